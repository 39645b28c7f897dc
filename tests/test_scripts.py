"""The launcher of PostgreSQL: what it leaves behind, whatever happens, and that data survive."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ROOT / "script" / "with_postgres.py"
SECONDS = 60  # nothing here takes that long
SQL = "import os, sys, psycopg\nwith psycopg.connect(os.environ['DATABASE_URL']) as c: c.execute(sys.argv[1])"
HOLD = "import os, sys\nprint(os.getpid(), os.environ['PGHOST'], flush=True)\nsys.stdin.read()"


def words(*options: str, command: list[str]) -> list[str]:
    return [sys.executable, str(LAUNCHER), "--fast", *options, "--", *command]


def launch(*options: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(*options, command=command), capture_output=True, text=True, timeout=SECONDS, check=False
    )


def sql(statement: str) -> list[str]:
    return [sys.executable, "-c", SQL, statement]


def exit_status(command: list[str]) -> int:
    return launch(command=command).returncode


def is_gone(pid: int) -> bool:
    """Wait until a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], SECONDS)[0])
    finally:
        os.close(descriptor)


class Held:
    """A launcher whose command waits, with the processes and folders that belong to it."""

    def __init__(self, data: Path, *options: str) -> None:
        self.launcher = subprocess.Popen(
            words("--data", str(data), *options, command=[sys.executable, "-c", HOLD]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.launcher.stdout is not None
        said = self.launcher.stdout.readline().split()
        assert said, self.launcher.communicate(timeout=SECONDS)
        self.command = int(said[0])
        self.sockets = Path(said[1])
        self.server = int((data / "postmaster.pid").read_text().split()[0])

    def finish(self) -> tuple[int, str]:
        """Let the command end; return the launcher's exit status and standard error."""
        _, errors = self.launcher.communicate(timeout=SECONDS)
        return self.launcher.returncode, errors

    def nothing_left(self) -> bool:
        return is_gone(self.server) and is_gone(self.command) and not self.sockets.parent.exists()


@contextlib.contextmanager
def held(data: Path, *options: str) -> Iterator[Held]:
    running = Held(data, *options)
    with running.launcher:
        yield running
        running.launcher.kill()


def test_the_command_finds_a_server_with_what_the_migrations_need() -> None:
    done = launch(command=sql("CREATE EXTENSION btree_gist"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -TERM $$", 128 + 15)])
def test_the_exit_status_is_passed_on(script: str, status: int) -> None:
    assert exit_status(["sh", "-c", script]) == status


def test_a_command_that_does_not_exist_is_named_in_one_line() -> None:
    done = launch(command=["/no/such/command"])
    assert done.returncode == 1
    assert done.stderr == "with_postgres: /no/such/command: No such file or directory\n"


def test_kept_data_survive_in_a_folder_that_others_may_not_enter(tmp_path: Path) -> None:
    parent = tmp_path / "a folder with spaces"
    parent.mkdir(mode=0o700)
    data = parent / "data"
    assert launch("--data", str(data), command=sql("CREATE TABLE kept ()")).returncode == 0
    again = launch("--data", str(data), command=sql("DROP TABLE kept"))
    assert (again.returncode, again.stderr) == (0, "")
    assert parent.stat().st_mode & 0o777 == 0o700
    assert not (data / "postmaster.pid").exists()


def test_a_pid_file_that_names_somebody_else_by_now_does_not_stop_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert launch("--data", str(data), command=["true"]).returncode == 0
    # after a reboot the old server's id belongs to any process, of the same account if luck is bad
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=data.stat().st_uid) as somebody:
        (data / "postmaster.pid").write_text(f"{somebody.pid}\n{data}\n1\n5432\n\n\n0 0\nready\n")
        done = launch("--data", str(data), command=["true"])
        assert (done.returncode, done.stderr) == (0, "")
        assert somebody.poll() is None
        somebody.communicate()


def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n")
    assert launch("--data", str(tmp_path / "data"), command=sql("SELECT 1")).returncode == 0
    assert not (tmp_path / "data.new").exists()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 128 + 2), (signal.SIGTERM, 128 + 15), (signal.SIGHUP, 128 + 15)]
)
def test_a_signal_ends_the_command_and_the_server(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    with held(tmp_path / "data") as running:
        running.launcher.send_signal(number)
        assert running.launcher.wait(SECONDS) == status
        assert running.nothing_left()


def test_kill_9_leaves_no_process_and_the_next_start_clears_the_rest(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with held(data) as running:
        running.launcher.kill()
        running.launcher.wait(SECONDS)
        # at once, while the old server may still be stopping
        assert launch("--data", str(data), command=sql("SELECT 1")).returncode == 0
        assert is_gone(running.server)
        assert is_gone(running.command)
        left = running.sockets.parent
        assert left.exists()
        os.utime(left, (0, 0))
        assert launch(command=["true"]).returncode == 0
        assert not left.exists()


def test_the_command_is_stopped_when_the_server_dies(tmp_path: Path) -> None:
    with held(tmp_path / "data") as running:
        os.kill(running.server, signal.SIGKILL)
        assert is_gone(running.command)
        status, errors = running.finish()
        assert status == 128 + 15
        assert errors == f"with_postgres: PostgreSQL stopped unexpectedly; see {tmp_path / 'data.log'}\n"


def test_a_second_start_is_refused_in_one_line_and_harms_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with held(data, "--name", "the first") as running:
        second = launch("--data", str(data), command=["true"])
        assert second.returncode == 1
        process = f"process {running.launcher.pid}"
        assert second.stderr == f"with_postgres: already running: the first, {process}; stop that one first\n"
        assert running.finish() == (0, "")
        assert running.nothing_left()


def test_joining_uses_the_server_that_runs_and_leaves_it_running(tmp_path: Path) -> None:
    data = tmp_path / "data"
    show = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    with held(data) as running:
        joined = json.loads(launch("--data", str(data), "--join", command=show).stdout)
        assert joined["PGHOST"] == str(running.sockets)
        assert launch("--data", str(data), "--join", command=sql("CREATE TABLE joined ()")).returncode == 0
        assert running.finish() == (0, "")
    # nobody runs it now: joining starts a server of its own
    alone = launch("--data", str(data), "--join", command=sql("DROP TABLE joined"))
    assert (alone.returncode, alone.stderr) == (0, "")


def test_of_two_that_would_join_the_first_waits_for_the_second(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with held(data, "--join") as first, held(data, "--join") as second:
        assert second.sockets == first.sockets
        assert first.launcher.stdin is not None
        first.launcher.stdin.close()
        assert is_gone(first.command)
        with pytest.raises(subprocess.TimeoutExpired):
            first.launcher.wait(0.5)
        assert launch("--data", str(data), "--join", command=sql("SELECT 1")).returncode == 0
        assert second.finish() == (0, "")
        assert first.launcher.wait(SECONDS) == 0
        assert first.nothing_left()


def test_bootstrap_leaves_an_environment_alone_that_is_another_checkouts(tmp_path: Path) -> None:
    theirs, here = tmp_path / "theirs", tmp_path / "here"
    theirs.mkdir()
    (theirs / "made-from").write_text("what it was made from\n")
    (here / "script").mkdir(parents=True)
    for name in ("script/bootstrap", "requirements-dev.txt"):
        shutil.copy(ROOT / name, here / name)
    (here / ".venv").symlink_to(theirs)
    said = subprocess.run(
        [here / "script" / "bootstrap"], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (said.returncode, said.stderr) == (1, "script/bootstrap: .venv is a link: remove it\n")
    assert [(path.name, path.read_text()) for path in theirs.iterdir()] == [
        ("made-from", "what it was made from\n")
    ]
