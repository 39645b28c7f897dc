#!/usr/bin/env python3
r"""What moving an old database of a million work sessions costs, beside copying the same rows.

    .venv/bin/python script/with_postgres.py -- .venv/bin/python script/as_roles.py -- \
        .venv/bin/python -m bench.import_sqlite

Fills the database of DATABASE_URL, which must be an empty one. The file is of the second generation, all its
rows in the `-wal`. Every run of the command is a process of its own: its seconds, its CPU and its peak memory
are the kernel's. The floor is a binary COPY of the very rows that the import wrote to work_sessions, into the
same table with its trigger and its indexes, committed: no reading, no checking, no notes of origin.
"""

import argparse
import contextlib
import itertools
import os
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.attendance.legacy import legacy_files as files

DAY = 86_400
FIRST_DAY = 1_600_041_600  # 2020-09-14 00:00 UTC
RUNS = {
    "--dry-run": ("--dry-run",),
    "import": (),
    "--verify": ("--verify",),
    "import, all there": (),
}


def punches(employees: int, each: int) -> Iterator[tuple[int, str, str, str]]:
    """Yield sessions as they came about: two a day and employee, in both spellings of time."""
    for number, employee in itertools.product(range(each), range(1, employees + 1)):
        start = FIRST_DAY + number // 2 * DAY + number % 2 * 18_000 + employee * 7 % 3_600
        end = start + 10_800 + employee * 11 % 3_600
        came = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(start))
        yield employee, came, time.strftime("%Y-%m-%dT%H:%M:%S.250Z", time.gmtime(end)), came


def build(folder: Path, employees: int, each: int) -> Path:
    """Write the old file and return its path."""

    def fill(connection: sqlite3.Connection) -> None:
        for statement in files.GENERATION_2:
            connection.execute(statement)
        files.insert(connection, "tenants", files.tenant(1))
        for key in range(1, employees + 1):
            files.insert(connection, "users", files.user(key))
        connection.executemany(
            "INSERT INTO work_sessions (user_id, start_time, end_time, created_at) VALUES (?, ?, ?, ?)",
            punches(employees, each),
        )

    path = folder / files.NAME
    files.left_running(path, fill)
    return path


def run(*arguments: str) -> tuple[float, float, float]:
    """Run manage.py; return seconds, seconds of CPU, and the peak of its memory in MiB."""
    start = time.perf_counter()
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "manage.py", *arguments],
        os.environ | {"LOCAL_TRIAL": "true"},
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"import_sqlite: {' '.join(arguments)} failed")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def floor(connection: psycopg.Connection, folder: Path) -> float:
    """Copy the sessions out, and in again; return the seconds of the latter."""
    saved = folder / "work_sessions.copy"
    with saved.open("wb") as file, connection.cursor() as cursor:
        with cursor.copy("COPY work_sessions TO STDOUT (FORMAT BINARY)") as copy:
            for part in copy:
                file.write(part)
        cursor.execute("TRUNCATE work_sessions")
    start = time.perf_counter()
    into = "COPY work_sessions FROM STDIN (FORMAT BINARY)"
    with saved.open("rb") as file, connection.cursor() as cursor, cursor.copy(into) as copy:
        while part := file.read(1 << 16):
            copy.write(part)
    return time.perf_counter() - start


def main() -> None:
    """Build, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--employees", type=int, default=2_000)
    parser.add_argument("--sessions", type=int, default=500, help="of each employee")
    options = parser.parse_args()
    if "DATABASE_OWNER_URL" not in os.environ:
        sys.exit("import_sqlite: DATABASE_OWNER_URL is not set; script/as_roles.py sets it")
    run("migrate", "--verbosity=0")
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True)) as connection,
    ):
        path = build(Path(folder), options.employees, options.sessions)
        # A process that is started takes over the peak of the one that starts it.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = {what: run("import_sqlite", str(path), *words) for what, words in RUNS.items()}
        least = statistics.median(floor(connection, Path(folder)) for _ in range(3))
        print(f"{options.employees * options.sessions:,} work sessions, {options.employees:,} employees;")
        print(
            f"a plain COPY of them takes {least:.1f} s (median of 3); this script's peak is {own:.0f} MiB\n"
        )
        print(f"{'':20}{'s':>8}{'of COPY':>10}{'CPU, s':>10}{'MiB':>8}")
        for what, (seconds, busy, memory) in figures.items():
            print(f"{what:20}{seconds:>8.1f}{seconds / least:>10.1f}{busy:>10.1f}{memory:>8.0f}")


if __name__ == "__main__":
    main()
