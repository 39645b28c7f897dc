"""The whole or nothing: killed half-way, run twice at once, looked at after somebody's hand."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.db import connection, connections, transaction

from attendance.legacy.importer import LOCK
from tests.attendance.legacy import legacy_files as files
from tests.attendance.legacy.conftest import TABLES, Import, everything, query
from tests.attendance.legacy.legacy_files import EMPLOYEE_ID, session

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 60  # nothing here takes that long
NOTHING: dict[str, int] = dict.fromkeys(TABLES, 0)
COMPANY = {
    **NOTHING,
    "tenants": 1,
    "users": 2,
    "work_sessions": 3,
    "import_sources": 1,
    "imported_rows": 6,
}
WAITING_FOR_ME = (
    "SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
)

Process = subprocess.Popen[str]
Start = Callable[[Path], Process]


def database_url() -> str:
    """Return where the tests' own database is, for another process."""
    connection.ensure_connection()
    info = connection.connection.info
    where = urlencode({"host": info.host, "port": info.port})
    return f"postgresql://{quote(info.user)}:{quote(info.password, safe='')}@/{quote(info.dbname)}?{where}"


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands that `start` starts put their private copies."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture
def start(scratch: Path) -> Iterator[Start]:
    """Start the command in a process of its own."""
    with contextlib.ExitStack() as stack:

        def run(path: Path) -> Process:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "manage.py", "import_sqlite", str(path), "--no-color"],
                    cwd=settings.BASE_DIR,
                    env={
                        "DATABASE_URL": database_url(),
                        "LOCAL_TRIAL": "true",
                        "TMPDIR": str(scratch),
                    },
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield run


def said_by(process: Process) -> str:
    """Wait until a process ended well; return what it said."""
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    return said


def said_so_far(process: Process) -> str:
    """Return what a process has said by now, without waiting for more."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    try:
        return os.read(process.stdout.fileno(), 1 << 16).decode()
    except BlockingIOError:
        return ""


def held_by_me(*processes: Process) -> list[int]:
    """Wait until as many backends as processes wait for a lock of this connection; return their ids."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found = [pid for (pid,) in query(WAITING_FOR_ME)]
        if len(found) == len(processes):
            return found
        with contextlib.suppress(subprocess.TimeoutExpired):
            processes[0].wait(0.05)
            raise AssertionError(f"it ended before it came to the lock: {processes[0].communicate()[0]}")
    raise AssertionError("nobody came to the lock")


def wait_until_gone(backend: int) -> None:
    """Wait until a backend holds no lock and waits for none: it rolled back."""
    until = time.monotonic() + SECONDS
    while query("SELECT 1 FROM pg_locks WHERE pid = %s", backend):
        assert time.monotonic() < until, "the backend of a killed process is still there"


def counts() -> dict[str, int]:
    return {table: len(rows) for table, rows in everything().items() if table in TABLES}


def test_a_kill_in_the_middle_leaves_nothing(tmp_path: Path, start: Start) -> None:
    path = files.generation_2_wal_only(tmp_path)
    before = path.read_bytes(), files.wal_of(path).read_bytes()
    with transaction.atomic():
        # Others may read, so the plan is made; but the work sessions have to wait.
        query("LOCK TABLE work_sessions IN SHARE ROW EXCLUSIVE MODE")
        process = start(path)
        (backend,) = held_by_me(process)
        written = query(
            "SELECT DISTINCT relation::regclass::text FROM pg_locks"
            " WHERE pid = %s AND granted AND mode = 'RowExclusiveLock' AND relation IN"
            " ('tenants'::regclass, 'users'::regclass, 'import_sources'::regclass) ORDER BY 1",
            backend,
        )
        assert written == [("import_sources",), ("tenants",), ("users",)]
        process.kill()
        assert process.wait(SECONDS) == -9
        # Without being woken: it looks for its client while it waits for me.
        wait_until_gone(backend)
    assert counts() == NOTHING
    assert (path.read_bytes(), files.wal_of(path).read_bytes()) == before

    last_line = said_by(start(path)).splitlines()[-1]
    assert last_line == "OK: 6 rows imported. Verified: counts, checksums and minutes agree."
    assert counts() == COMPANY


def test_two_at_once_import_once(tmp_path: Path, start: Start) -> None:
    path = files.generation_2_wal_only(tmp_path)
    with transaction.atomic():
        query("SELECT pg_advisory_xact_lock(%s)", LOCK)
        both = start(path), start(path)
        held_by_me(*both)
        [(since, pid)] = query(
            "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), pg_backend_pid()"
        )
        for process in both:
            # Said before they began to wait, so it is in the pipe already.
            assert (
                f"Waiting: another import holds the lock (since {since} UTC, pid {pid} of PostgreSQL)\n"
                in said_so_far(process)
            )
        assert counts() == NOTHING
    assert sorted(said_by(process).splitlines()[-1] for process in both) == [
        "OK: 6 rows imported. Verified: counts, checksums and minutes agree.",
        "OK: nothing to do, 6 rows are already there. Verified.",
    ]
    assert counts() == COMPANY


def test_what_came_in_between_stops_it(tmp_path: Path, start: Start, import_sqlite: Import) -> None:
    """A punch that was committed after the plan was made meets the database's own guarantee."""
    assert import_sqlite(files.generation_2_wal_only(tmp_path)).status == 0
    company = files.small_company()
    company["work_sessions"].append(session(16, EMPLOYEE_ID, "2025-10-25 00:00:00", "2025-10-25 01:00:00"))
    (tmp_path / "later").mkdir()
    with transaction.atomic():
        query("LOCK TABLE work_sessions IN SHARE ROW EXCLUSIVE MODE")
        process = start(files.write(tmp_path / "later", 2, company))
        held_by_me(process)
        query(
            "INSERT INTO work_sessions (id, user_id, start_time, end_time) VALUES (%s, %s, %s, %s)",
            9_000_000_000,  # the sequence, if no test has used it yet, would give what the file has
            EMPLOYEE_ID,
            "2025-10-25 00:30Z",
            "2025-10-25 00:40Z",
        )
    before = everything()
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert said.splitlines()[-1] == (
        "STOPPED: nothing was written. The database refused: two work sessions of one user overlap."
        " Run it again."
    )
    assert everything() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_stop_leaves_no_copy(
    tmp_path: Path, start: Start, number: signal.Signals, scratch: Path
) -> None:
    with transaction.atomic():
        query("SELECT pg_advisory_xact_lock(%s)", LOCK)
        process = start(files.generation_2_wal_only(tmp_path))
        held_by_me(process)
        assert [*scratch.glob("timerecord-import-*/copy.sqlite")]
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number
    assert not [*scratch.iterdir()]
    assert counts() == NOTHING


@pytest.mark.parametrize("mode", ["--dry-run", "--verify"])
def test_a_database_that_refuses_is_named(tmp_path: Path, import_sqlite: Import, mode: str) -> None:
    with connections["owner"].cursor() as owner:
        owner.execute("ALTER TABLE import_sources RENAME TO elsewhere")
        try:
            done = import_sqlite(files.generation_2_wal_only(tmp_path), mode)
        finally:
            owner.execute("ALTER TABLE elsewhere RENAME TO import_sources")
    assert (done.status, done.last_line) == (
        1,
        'STOPPED: nothing was written. The database refused: relation "import_sources" does not exist.',
    )


class TestVerify:
    def test_what_nobody_touched_agrees(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.generation_2_wal_only(tmp_path)
        assert import_sqlite(path).status == 0
        before = everything()
        done = import_sqlite(path, "--verify")
        assert (done.status, done.last_line) == (0, "OK: counts, checksums and minutes agree.")
        assert "DIFFERENT" not in done.said
        assert everything() == before

    @pytest.mark.parametrize(
        ("tamper", "told"),
        [
            (
                "UPDATE work_sessions SET end_time = end_time + interval '1 hour' WHERE id = 12",
                [
                    "DIFFERENT without explanation: 1 values",
                    "  work_sessions 12.end_time: 2025-10-23T09:30:00.750000+00:00 in the file,"
                    " 2025-10-23T10:30:00.750000+00:00 here",
                    "  users 7, 2025-10: 609 before, 610 expected, 670 now",
                ],
            ),
            (
                "UPDATE users SET last_name = '鈴木' WHERE id = 7",
                [
                    "DIFFERENT without explanation: 1 values",
                    "  users 7.last_name: '佐藤' in the file, '鈴木' here",
                ],
            ),
        ],
        ids=["an end", "a name"],
    )
    def test_somebodys_hand_is_seen(
        self, tmp_path: Path, import_sqlite: Import, tamper: str, told: list[str]
    ) -> None:
        path = files.generation_2_wal_only(tmp_path)
        assert import_sqlite(path).status == 0
        query(tamper)
        before = everything()
        done = import_sqlite(path, "--verify")
        assert (done.status, done.last_line) == (
            3,
            "DIFFERENT: see above. --report FILE.json has every difference.",
        )
        lines = done.said.splitlines()
        assert [line for line in told if line not in lines] == []
        assert done.report["verification"]["is_right"] is False
        assert len(done.report["verification"]["differences"]) == 1
        assert everything() == before


def test_a_minute_more_over_midnight_is_explained(tmp_path: Path, import_sqlite: Import) -> None:
    """23:30:30 to 01:10:15 in Japan: 29 and 70 whole minutes before, 30 and 70 now."""
    company = files.small_company()
    company["work_sessions"] = [session(15, EMPLOYEE_ID, "2025-10-24 14:30:30", "2025-10-24 16:10:15")]
    done = import_sqlite(files.write(tmp_path, 2, company))
    assert done.status == 0
    lines = done.said.splitlines()
    told = (
        "Minutes of 1 employees in 1 months: 99 as counted before, 100 now; 1 months differ,"
        " 0 of them without explanation"
    )
    assert lines[lines.index(told) + 1] == (
        "  +1 minutes: start and end lose their seconds once, not each piece between midnights"
    )
    (month,) = done.report["verification"]["months"]
    assert (month["minutes_before"], month["minutes_now"], month["unexplained"]) == (99, 100, 0)
    assert month["explained_by"] == {"seconds": 1, "time_zone": 0, "quarantined": 0, "since_the_import": 0}
