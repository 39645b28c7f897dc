"""Rows that break a rule of the new schema: never dropped, never half written."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from attendance.import_models import QuarantinedRow
from attendance.models import WorkSession
from tests.attendance.legacy import legacy_files as files
from tests.attendance.legacy.conftest import Import, everything
from tests.attendance.legacy.legacy_files import session, tenant, user

pytestmark = pytest.mark.django_db

DAY = "2025-10-24"


def at(clock: str) -> str:
    return f"{DAY} {clock}:00"


def with_conflicts(folder: Path) -> Path:
    """Write a file in which every kind of conflict is there once, and rows that nothing is against."""
    return files.write(
        folder,
        2,
        {
            "tenants": [tenant(1), tenant(2, created_at="yesterday")],
            "users": [
                user(1, email="taro@legacy.example", username="same"),
                user(2, email="Taro@Legacy.Example", username="same"),
                user(3, password_hash=b"\x00\x01"),
                user(4, 2),
                user(5, role="root"),
                user(6, failed_attempts="many", locked_until="2025-13-01 00:00:00"),
                user(7),
                user(8),
                user(9, password_hash="plain text"),
            ],
            "work_sessions": [
                session(1, 1, at("01:00"), at("02:00")),
                session(2, 1, at("01:30"), at("02:30")),
                session(3, 1, at("02:00"), at("03:00")),
                session(4, 1, at("05:00"), at("04:00")),
                session(5, 1, at("06:00"), at("06:00")),
                session(6, 2, at("01:00"), at("02:00")),
                session(7, 4, at("01:00"), at("02:00")),
                session(8, 7, at("01:00")),
                session(9, 7, at("02:00")),
                session(10, 8, "2025-02-30 00:00:00", None),
                session(11, 8, f"{DAY}T01:00:00.250Z", f"{DAY} 01:00:30"),
                session(12, 8, 1761264000, None),
                session(13, 8, f"{DAY}T01:00:00", None),
            ],
        },
        afterwards=[
            "PRAGMA foreign_keys = OFF",
            f"INSERT INTO work_sessions (id, user_id, start_time) VALUES (14, 77, '{at('01:00')}')",
        ],
    )


REASONS = {
    ("tenants", 2): "bad_time",
    ("users", 2): "duplicate",
    ("users", 3): "wrong_type",
    ("users", 4): "parent_refused",
    ("users", 5): "bad_value",
    ("users", 6): "wrong_type",
    ("users", 9): "not_bcrypt",
    ("work_sessions", 2): "overlap",
    ("work_sessions", 4): "end_before_start",
    ("work_sessions", 6): "parent_refused",
    ("work_sessions", 7): "parent_refused",
    ("work_sessions", 8): "open_not_last",
    ("work_sessions", 10): "bad_time",
    ("work_sessions", 12): "bad_time",
    ("work_sessions", 13): "bad_time",
    ("work_sessions", 14): "no_parent",
}


def reasons(report: dict[str, Any]) -> dict[tuple[str, int], str]:
    return {(row["table"], row["id"]): row["reasons"][0]["code"] for row in report["plan"]["conflicts"]}


def test_a_dry_run_lists_them_and_writes_nothing(tmp_path: Path, import_sqlite: Import) -> None:
    path = with_conflicts(tmp_path)
    before = everything()
    done = import_sqlite(path, "--dry-run")
    assert done.status == 1
    assert done.last_line.startswith("DRY RUN, nothing was written. An import would be stopped: 16 rows")
    assert reasons(done.report) == REASONS
    assert "work_sessions 2: overlaps with work session 1" in done.said
    assert "email 'taro@legacy.example' is that of users 1 too" in done.said
    assert "end_time 2025-10-24 04:00:00 is before start_time 2025-10-24 05:00:00" in done.said
    assert "users 6: failed_attempts is text where an integer is expected; locked_until" in done.said
    table = done.report["plan"]["tables"]["work_sessions"]
    assert (table["read"], table["ready"], table["in_conflict"]) == (14, 5, 9)
    assert everything() == before
    quarantine = import_sqlite(path, "--dry-run", "--on-conflict=quarantine")
    assert quarantine.status == 0
    assert "16 would go into quarantine" in quarantine.last_line
    assert everything() == before


def test_the_default_stops_before_writing(tmp_path: Path, import_sqlite: Import) -> None:
    before = everything()
    done = import_sqlite(with_conflicts(tmp_path))
    assert done.status == 1
    assert done.last_line.startswith("STOPPED: nothing was written.")
    assert "--on-conflict=quarantine" in done.last_line
    assert reasons(done.report) == REASONS
    assert everything() == before


def test_quarantine_moves_the_rest_and_keeps_the_refused(tmp_path: Path, import_sqlite: Import) -> None:
    path = with_conflicts(tmp_path)
    done = import_sqlite(path, "--on-conflict=quarantine")
    assert done.status == 0, done.said
    assert "16 put into QUARANTINE" in done.last_line
    assert set(User.objects.values_list("pk", flat=True)) == {1, 7, 8}
    assert set(WorkSession.objects.values_list("pk", flat=True)) == {1, 3, 5, 9, 11}
    assert WorkSession.objects.get(pk=11).start_time == dt.datetime(
        2025, 10, 24, 1, 0, 0, 250000, tzinfo=dt.UTC
    )
    assert {
        (row.table_name, row.legacy_id): row.reason_code for row in QuarantinedRow.objects.all()
    } == REASONS
    overlapping = QuarantinedRow.objects.get(table_name="work_sessions", legacy_id=2)
    assert overlapping.row == session(2, 1, at("01:30"), at("02:30"))
    assert overlapping.tenant == 1
    assert overlapping.reason == "overlaps with work session 1"
    blob = QuarantinedRow.objects.get(table_name="users", legacy_id=3)
    assert blob.row["password_hash"] == {"$base64": "AAE="}
    number = QuarantinedRow.objects.get(table_name="work_sessions", legacy_id=12)
    assert number.row["start_time"] == "1761264000"

    before = everything()
    for options in ((), ("--on-conflict=quarantine",)):
        again = import_sqlite(path, *options)
        assert again.status == 0, again.said
        assert "16 in quarantine since an earlier import" in again.last_line
        assert everything() == before
    verified = import_sqlite(path, "--verify")
    assert verified.status == 0, verified.said
    assert "sessions in the quarantine" in verified.said


def test_of_several_open_sessions_the_last_goes_on(tmp_path: Path, import_sqlite: Import) -> None:
    path = files.write(
        tmp_path,
        2,
        {
            "tenants": [tenant(1)],
            "users": [user(1), user(2)],
            "work_sessions": [
                session(1, 1, at("01:00")),
                session(2, 1, at("02:00")),
                session(3, 1, at("03:00")),
                session(4, 2, at("01:00")),
                session(5, 2, at("02:00"), at("03:00")),
            ],
        },
    )
    done = import_sqlite(path, "--on-conflict=quarantine")
    assert done.status == 0, done.said
    assert {s.pk: s.is_running for s in WorkSession.objects.all()} == {3: True, 5: False}


def test_odd_bytes_are_kept_whole(tmp_path: Path, import_sqlite: Import) -> None:
    path = files.write(
        tmp_path,
        2,
        {"tenants": [tenant(1)], "users": [user(1), user(2, username="a\0b"), user(3, username=4.5)]},
        afterwards=[
            "UPDATE users SET username = CAST(X'ff41' AS TEXT) WHERE id = 1",
            "UPDATE users SET first_name = X'00' WHERE id = 3",
        ],
    )
    done = import_sqlite(path, "--on-conflict=quarantine")
    assert done.status == 0, done.said
    kept = {row.legacy_id: row for row in QuarantinedRow.objects.all()}
    assert kept[1].reason_code == "not_utf8"
    assert kept[1].row["username"] == {"$text_base64": "/0E="}
    assert kept[2].reason_code == "nul_character"
    assert kept[2].row["username"] == {"$text_base64": "YQBi"}
    assert kept[3].reason_code == "wrong_type"
    # Three users' worth of a tenant: nothing else came.
    assert not User.objects.exists()


def test_a_mended_file_admits_what_was_refused(tmp_path: Path, import_sqlite: Import) -> None:
    company = files.small_company()
    company["work_sessions"].append(session(16, 7, "2025-10-23 02:00:00", "2025-10-23 04:00:00"))
    (tmp_path / "one").mkdir()
    assert import_sqlite(files.write(tmp_path / "one", 2, company), "--on-conflict=quarantine").status == 0
    company["work_sessions"][-1]["start_time"] = "2025-10-23 03:30:00"
    company["work_sessions"][-1]["end_time"] = "2025-10-23 03:45:00"
    done = import_sqlite(files.write(tmp_path, 2, company))
    assert done.status == 0, done.said
    assert "this is another state of database.sqlite" in done.said
    assert WorkSession.objects.filter(pk=16).exists()
    assert QuarantinedRow.objects.get().resolved_at is not None
