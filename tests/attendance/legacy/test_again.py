"""A second run, a second customer, and rows that were there before."""

from pathlib import Path

import pytest
from django.core.management import call_command

from accounts.models import User
from attendance.import_models import ImportedRow
from attendance.models import WorkSession
from tenants.models import Tenant
from tests.attendance.legacy import legacy_files as files
from tests.attendance.legacy.conftest import Import, everything, query
from tests.attendance.legacy.legacy_files import session, tenant, user
from timerecord.core import clock

pytestmark = pytest.mark.django_db


def other_company() -> dict[str, list[files.Row]]:
    """Another customer's rows, with ids that `small_company` has too."""
    return {
        "tenants": [tenant(1, tenant_uid="ten_ffffffffffff")],
        "users": [user(3, email="a@other.example"), user(7, email="b@other.example")],
        "work_sessions": [
            session(12, 7, "2025-10-23 00:00:00", "2025-10-23 03:00:00"),
            session(11, 7, "2025-10-24 00:00:00", "2025-10-24 03:00:00"),
            session(13, 3, "2025-10-25 00:00:00"),
        ],
    }


class TestTheSameFile:
    def test_nothing_changes(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.generation_2_wal_only(tmp_path)
        assert import_sqlite(path).status == 0
        before = everything()
        done = import_sqlite(path)
        assert (done.status, done.last_line) == (
            0,
            "OK: nothing to do, 6 rows are already there. Verified.",
        )
        assert done.report["plan"]["tables"]["work_sessions"]["already_there"] == 3
        assert everything() == before

    def test_after_a_checkpoint_it_is_the_same(self, tmp_path: Path, import_sqlite: Import) -> None:
        assert import_sqlite(files.generation_2_wal_only(tmp_path)).status == 0
        (tmp_path / "later").mkdir()
        done = import_sqlite(files.write(tmp_path / "later", 2, files.small_company()))
        assert done.last_line.startswith("OK: nothing to do"), done.said

    def test_a_row_that_was_changed_here(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.generation_2_wal_only(tmp_path)
        assert import_sqlite(path).status == 0
        User.objects.filter(pk=7).update(last_name="田中")
        before = everything()
        done = import_sqlite(path)
        assert done.status == 1
        [conflict] = done.report["plan"]["conflicts"]
        assert (conflict["table"], conflict["id"]) == ("users", 7)
        assert conflict["reasons"][0]["code"] == "changed"
        assert "changed here since: last_name is '佐藤' in the file, '田中' here" in done.said
        assert everything() == before

    def test_what_working_with_it_changes_is_no_conflict(self, tmp_path: Path, import_sqlite: Import) -> None:
        company = files.small_company()
        company["work_sessions"].append(session(20, 7, "2025-10-26 00:00:00"))
        path = files.write(tmp_path, 2, company)
        assert import_sqlite(path).status == 0
        assert User.objects.get(email=files.EMPLOYEE_EMAIL).check_password(files.EMPLOYEE_PASSWORD)
        assert User.objects.get(pk=7).password.startswith("argon2$")
        WorkSession.objects.filter(pk=20).update(end_time=clock.now())
        done = import_sqlite(path)
        assert done.status == 0, done.said
        changed = {(d["table"], d["column"]) for d in done.report["plan"]["changed_by_use"]}
        assert changed == {("users", "password_hash"), ("work_sessions", "end_time")}
        verified = import_sqlite(path, "--verify")
        assert verified.status == 0, verified.said
        assert "sessions that ended since the import" in verified.said

    def test_a_row_that_was_removed_here(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.generation_2_wal_only(tmp_path)
        assert import_sqlite(path).status == 0
        WorkSession.objects.filter(pk=12).delete()
        done = import_sqlite(path)
        assert done.status == 1
        assert "work_sessions 12: was imported, and removed here since" in done.said

    def test_a_later_state_adds_what_is_new(self, tmp_path: Path, import_sqlite: Import) -> None:
        assert import_sqlite(files.generation_2_wal_only(tmp_path)).status == 0
        (tmp_path / "later").mkdir()
        company = files.small_company()
        company["work_sessions"].append(session(16, 7, "2025-10-25 00:00:00", "2025-10-25 01:00:00"))
        later = files.write(tmp_path / "later", 2, company)
        done = import_sqlite(later)
        assert done.status == 0, done.said
        assert "OK: 1 rows imported, 6 were there already" in done.last_line
        assert import_sqlite(later, "--verify").status == 0
        assert query("SELECT count(*) FROM import_sources WHERE continues IS NOT NULL") == [(1,)]


class TestIdsFromElsewhere:
    def test_it_stops_and_names_the_way_out(self, tmp_path: Path, import_sqlite: Import) -> None:
        own = Tenant.objects.create(pk=1, name="here before")
        before = everything()
        done = import_sqlite(files.generation_2_wal_only(tmp_path))
        assert done.status == 1
        assert "run again with --remap-ids" in done.last_line
        assert everything() == before
        assert Tenant.objects.get() == own

    def test_an_id_that_the_file_gave_to_a_deleted_row(self, tmp_path: Path, import_sqlite: Import) -> None:
        Tenant.objects.create(pk=40, name="here before")
        path = files.write(
            tmp_path,
            2,
            files.small_company(),
            afterwards=["UPDATE sqlite_sequence SET seq = 50 WHERE name = 'tenants'"],
        )
        assert import_sqlite(path).status == 1
        Tenant.objects.all().delete()
        Tenant.objects.create(pk=51, name="above them all")
        assert import_sqlite(path).status == 0

    def test_two_customers_in_one_database(self, tmp_path: Path, import_sqlite: Import) -> None:
        first = files.generation_2_wal_only(tmp_path)
        (tmp_path / "b").mkdir()
        second = files.write(tmp_path / "b", 2, other_company())
        assert import_sqlite(first).status == 0
        assert import_sqlite(second).status == 1
        done = import_sqlite(second, "--remap-ids")
        assert done.status == 0, done.said
        assert not done.report["plan"]["tables"]["users"]["ids_kept"]
        user = User.objects.get(email="b@other.example")
        assert user.pk > 7
        assert user.tenant is not None
        assert user.tenant.tenant_uid == "ten_ffffffffffff"
        assert ImportedRow.objects.get(table_name="users", row_id=user.pk).legacy_id == 7
        moved = WorkSession.objects.filter(user__tenant=user.tenant).order_by("start_time")
        assert [s.start_time.day for s in moved] == [23, 24, 25]
        # In the order of time, whatever the old ids were.
        assert [s.pk for s in moved] == sorted(s.pk for s in moved)
        before = everything()
        for path in (first, second):
            for options in ((), ("--remap-ids",), ("--verify",)):
                again = import_sqlite(path, *options)
                assert again.status == 0, again.said
        assert everything() == before

    def test_an_address_that_somebody_here_has(self, tmp_path: Path, import_sqlite: Import) -> None:
        Tenant.objects.create(pk=500, name="here before")
        User.objects.create_user(pk=600, email=files.EMPLOYEE_EMAIL, password=None)
        done = import_sqlite(files.generation_2_wal_only(tmp_path), "--on-conflict=quarantine")
        assert done.status == 0, done.said
        assert "email 'hanako@legacy.example' belongs to users 600 of the new database" in done.said
        assert not WorkSession.objects.exists()

    def test_beside_demo_data_ids_stay(self, tmp_path: Path, import_sqlite: Import) -> None:
        call_command("seed_demo", "--today=2026-03-11", verbosity=0)
        demo = WorkSession.objects.count()
        done = import_sqlite(files.generation_2_wal_only(tmp_path))
        assert done.status == 0, done.said
        assert User.objects.get(email=files.EMPLOYEE_EMAIL).pk == files.EMPLOYEE_ID
        assert WorkSession.objects.count() == demo + 3
        # Demo data can be asked for again.
        call_command("seed_demo", "--today=2026-03-11", verbosity=0)
        assert WorkSession.objects.count() == demo + 3
