"""Which files are read, what is said of them, and that the source is never touched."""

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from accounts.models import User
from attendance.models import WorkSession
from tests.attendance.legacy import legacy_files as files
from tests.attendance.legacy.conftest import Import, everything, query

pytestmark = pytest.mark.django_db(transaction=True)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {found.name: (found.read_bytes(), found.stat().st_mtime_ns) for found in sorted(folder.iterdir())}


class TestRowsInTheWalOnly:
    def test_they_are_imported(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.generation_2_wal_only(tmp_path)
        assert path.stat().st_size == 4096
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as alone:
            assert alone.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)

        done = import_sqlite(path)

        assert done.status == 0, done.said
        assert done.last_line.startswith("OK: 6 rows imported")
        assert User.objects.get(email=files.EMPLOYEE_EMAIL).pk == files.EMPLOYEE_ID
        assert list(WorkSession.objects.order_by("pk").values_list("pk", flat=True)) == [11, 12, 15]
        tables = done.report["source"]["tables"]
        assert (tables["work_sessions"]["rows"], tables["work_sessions"]["rows_without_wal"]) == (3, 0)
        log = done.report["source"]["write_ahead_log"]
        assert log["present"]
        assert log["frames"] == log["read"] > 0

    def test_the_source_stays_as_it_was(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.generation_2_wal_only(tmp_path)
        files.shm_of(path).write_bytes(b"\0" * 32768)
        for name in (path, files.wal_of(path), files.shm_of(path)):
            os.utime(name, ns=(10**18, 10**18))
            name.chmod(0o400)
        before = state(tmp_path)
        # Root may write into it nevertheless; but a file made there, and be it for an instant, shows in the
        # folder's own time.
        os.utime(tmp_path, ns=(10**18, 10**18))
        tmp_path.chmod(0o500)
        try:
            assert [import_sqlite(path, *words).status for words in (["--dry-run"], [], ["--verify"])] == [
                0,
                0,
                0,
            ]
        finally:
            tmp_path.chmod(0o700)
        assert state(tmp_path) == before
        assert tmp_path.stat().st_mtime_ns == 10**18

    def test_without_the_wal_the_file_never_passes_for_empty(
        self, tmp_path: Path, import_sqlite: Import
    ) -> None:
        path = files.generation_2_wal_only(tmp_path)
        files.wal_of(path).unlink()
        before = everything()
        done = import_sqlite(path)
        assert done.status == 2
        assert done.last_line.startswith(
            "UNREADABLE: database.sqlite holds no table (no -wal file beside it). If its rows were in a -wal"
        )
        assert done.last_line.endswith("Nothing was written.")
        assert everything() == before

    def test_a_symbolic_link_finds_the_wal_of_the_file(self, tmp_path: Path, import_sqlite: Import) -> None:
        (tmp_path / "real").mkdir()
        path = files.generation_2_wal_only(tmp_path / "real")
        link = tmp_path / "link.sqlite"
        link.symlink_to(path)
        assert import_sqlite(link).status == 0
        assert WorkSession.objects.count() == 3


class TestWalThatIsNotWhole:
    def test_cut_to_nothing_that_can_be_read(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.generation_2_wal_only(tmp_path)
        os.truncate(files.wal_of(path), 2000)
        done = import_sqlite(path)
        assert done.status == 2
        assert "the whole -wal file was IGNORED" in done.last_line

    def test_cut_short_after_some_transactions(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(tmp_path, 2, files.small_company())

        def punch(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO work_sessions (user_id, start_time, end_time) VALUES"
                " (7, '2025-11-01 00:00:00', '2025-11-01 01:00:00')"
            )

        def more(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM work_sessions WHERE id < 16")

        files.left_running(path, punch, more)
        os.truncate(files.wal_of(path), files.wal_of(path).stat().st_size - 100)
        done = import_sqlite(path, "--dry-run")
        assert done.status == 0
        told = done.report["source"]["write_ahead_log"]
        assert told["damaged"] > 0 or told["torn"]
        assert "IGNORED after its last whole transaction" in done.said
        assert "it was cut short" in done.said
        # Rows a table, with and without the log, stand above everything else.
        assert done.said.index("without the -wal") < done.said.index("left behind")
        assert done.report["source"]["tables"]["work_sessions"]["rows"] == 4
        assert done.report["source"]["tables"]["work_sessions"]["rows_without_wal"] == 3

    def test_stale_frames_from_before_a_checkpoint(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(tmp_path, 2, files.small_company())

        def add(connection: sqlite3.Connection) -> None:
            for n in range(200):
                files.insert(connection, "sessions", files.signed_in(f"s{n}"))

        def punch(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE users SET failed_attempts = 1 WHERE id = 7")

        files.left_running(path, add, punch, checkpoint_after=1)
        done = import_sqlite(path)
        assert done.status == 0, done.said
        told = done.report["source"]["write_ahead_log"]
        assert told["earlier"] > 0
        assert told["damaged"] == 0
        assert "left from before its last checkpoint" in done.said
        assert User.objects.get(pk=7).failed_attempts == 1

    def test_another_databases(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(tmp_path, 2, files.small_company())
        (tmp_path / "other").mkdir()
        other = files.write(
            tmp_path / "other",
            2,
            {"tenants": [files.tenant(1)], "users": [files.user(2, created_at="2024-01-01 00:00:00")]},
            wal_only=True,
        )
        shutil.copyfile(files.wal_of(other), files.wal_of(path))
        before = everything()
        done = import_sqlite(path)
        assert done.status == 2
        assert "the -wal file is not database.sqlite's own, or older than it" in done.last_line
        assert "the highest id of work_sessions falls from 15 to 0" in done.last_line
        assert everything() == before

    def test_one_of_other_pages(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(tmp_path, 2, files.small_company())
        (tmp_path / "other").mkdir()
        other = files.write(tmp_path / "other", 1, {"users": [files.first_user(1)]}, wal_only=True)
        raw = bytearray(files.wal_of(other).read_bytes())
        raw[8:12] = (8192).to_bytes(4, "big")
        files.wal_of(path).write_bytes(raw)
        done = import_sqlite(path)
        assert done.status == 2
        assert "left behind by another database: its pages have 8192 bytes" in done.last_line

    def test_an_empty_one_is_nothing_bad(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(tmp_path, 2, files.small_company())
        files.wal_of(path).write_bytes(b"")
        done = import_sqlite(path)
        assert done.status == 0
        assert "the -wal file is empty" in done.said


class TestOtherFiles:
    def test_no_file(self, tmp_path: Path, import_sqlite: Import) -> None:
        done = import_sqlite(tmp_path / "nothing.sqlite")
        assert done.status == 2
        assert done.last_line.startswith("UNREADABLE: cannot read ")

    def test_a_folder(self, tmp_path: Path, import_sqlite: Import) -> None:
        assert import_sqlite(tmp_path).status == 2

    @pytest.mark.parametrize("content", [b"", b"id,user\n1,2\n", b"SQLite format 3\0" + b"\xff" * 5000])
    def test_no_database(self, tmp_path: Path, import_sqlite: Import, content: bytes) -> None:
        path = tmp_path / files.NAME
        path.write_bytes(content)
        done = import_sqlite(path)
        assert done.status == 2, done.said
        assert done.last_line.startswith("UNREADABLE: ")

    def test_a_damaged_one(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(tmp_path, 2, files.small_company())
        raw = bytearray(path.read_bytes())
        raw[4096 * 2 : 4096 * 3] = b"\xab" * 4096
        path.write_bytes(raw)
        done = import_sqlite(path)
        assert done.status == 2, done.said
        assert "damaged" in done.last_line

    def test_another_applications(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = tmp_path / files.NAME
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE books (id INTEGER PRIMARY KEY)")
        done = import_sqlite(path)
        assert done.status == 2
        assert "has no table users and no table work_sessions" in done.last_line
        assert "It has: books" in done.last_line

    def test_a_column_that_no_row_can_do_without(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(tmp_path, 2, {}, more=["ALTER TABLE work_sessions DROP COLUMN start_time"])
        done = import_sqlite(path)
        assert done.status == 2
        assert "the table work_sessions has no column start_time" in done.last_line

    def test_an_empty_database_says_so(self, tmp_path: Path, import_sqlite: Import) -> None:
        done = import_sqlite(files.write(tmp_path, 2, {}))
        assert done.status == 0
        assert done.last_line.startswith("OK: nothing to do, 0 rows")
        assert query("SELECT count(*) FROM import_sources") == [(0,)]

    def test_no_room_for_the_copy(
        self, tmp_path: Path, import_sqlite: Import, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_arguments: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr("attendance.legacy.staging._stage", full)
        done = import_sqlite(files.generation_2_wal_only(tmp_path))
        assert (done.status, done.last_line) == (
            2,
            "STOPPED: nothing was written. The private copy: database or disk is full."
            " Has TMPDIR room for it?",
        )

    def test_the_report_never_replaces_the_source(self, tmp_path: Path, import_sqlite: Import) -> None:
        from django.core.management import call_command

        path = files.generation_2_wal_only(tmp_path)
        before = state(tmp_path)
        for name in (path, files.wal_of(path), files.shm_of(path)):
            with pytest.raises(SystemExit) as end:
                call_command("import_sqlite", str(path), f"--report={name}")
            assert end.value.code == 2
        assert state(tmp_path) == before
