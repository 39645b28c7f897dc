"""What becomes of the rows of each generation, and of their ids."""

import datetime as dt
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from accounts import tokens
from accounts.models import PasswordReset, Role, RoleCode, User, UserStatus
from accounts.tokens import Purpose
from attendance.import_models import QuarantinedRow
from attendance.models import WorkSession
from tenants.models import Tenant, TenantStatus
from tests.attendance.legacy import legacy_files as files
from tests.attendance.legacy.conftest import Import, query
from tests.dynamodb import make_table
from timerecord.aws import client as aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.django_db

TOKEN = "0123456789abcdef" * 4
OTHER_TOKEN = "f" * 64
CODE = "ABCDEFGHJKLMNPQ2"


def next_id(table: str) -> int:
    [(found,)] = query("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", table)
    return int(found)


def first(folder: Path) -> Path:
    return files.write(
        folder,
        1,
        {
            "users": [
                files.first_user(1, username="Admin", role="admin"),
                files.first_user(2, username="山田"),
                files.first_user(3, username="suzuki"),
            ],
            "work_sessions": [files.session(5, 2, "2025-10-24 23:09:02", "2025-10-24T23:50:00.123Z")],
            "sessions": [files.signed_in("x")],
        },
    )


class TestFirst:
    def test_the_upgrade_of_the_old_application(self, tmp_path: Path, import_sqlite: Import) -> None:
        done = import_sqlite(first(tmp_path))
        assert done.status == 0, done.said
        found: list[Any] = list(
            User.objects.order_by("pk").values_list("pk", "username", "email", "role", "tenant")
        )
        assert found == [
            (1, "Admin", "admin_1@placeholder.local", Role.PLATFORM_ADMIN, None),
            (2, "山田", "山田_2@placeholder.local", Role.EMPLOYEE, None),
            (3, "suzuki", "suzuki_3@placeholder.local", Role.EMPLOYEE, None),
        ]
        assert [account["id"] for account in done.report["placeholder_accounts"]] == [1, 2, 3]
        assert "3 accounts have a placeholder address" in done.said
        assert "users 2: 山田_2@placeholder.local" in done.said
        assert "2 employees have no tenant: they cannot clock in. --tenant-for-orphans" in done.said
        assert "Left behind: 1 rows of sessions" in done.said
        session = WorkSession.objects.get()
        assert session.pk == 5
        assert session.start_time == dt.datetime(2025, 10, 24, 23, 9, 2, tzinfo=dt.UTC)
        assert session.end_time == dt.datetime(2025, 10, 24, 23, 50, 0, 123000, tzinfo=dt.UTC)

    def test_orphans_go_where_the_operator_says(self, tmp_path: Path, import_sqlite: Import) -> None:
        there = Tenant.objects.create(pk=1_000_000, name="here")
        path = first(tmp_path)
        done = import_sqlite(path, f"--tenant-for-orphans={there.tenant_uid}")
        assert done.status == 0, done.said
        assert list(User.objects.order_by("pk").values_list("tenant", flat=True)) == [
            None,
            there.pk,
            there.pk,
        ]
        assert import_sqlite(path, "--verify").status == 0
        again = import_sqlite(path)
        assert again.status == 0, again.said
        assert again.last_line.startswith("OK: nothing to do, 4 rows are already there")

    def test_a_later_state_and_another_tenant(self, tmp_path: Path, import_sqlite: Import) -> None:
        one, two = Tenant.objects.create(pk=1_000_000), Tenant.objects.create(pk=1_000_001)
        company: dict[str, list[files.Row]] = {
            "users": [files.first_user(2)],
            "work_sessions": [files.session(5, 2, "2025-10-24 01:00:00", "2025-10-24 02:00:00")],
        }
        path = files.write(tmp_path, 1, company)
        assert import_sqlite(path, f"--tenant-for-orphans={one.tenant_uid}").status == 0
        company["work_sessions"].append(files.session(6, 2, "2025-10-25 01:00:00", "2025-10-25 02:00:00"))
        later = files.write(tmp_path, 1, company, name="later.sqlite")
        done = import_sqlite(later, f"--tenant-for-orphans={two.tenant_uid}")
        assert done.status == 0, done.said
        assert User.objects.get(pk=2).tenant == one
        assert import_sqlite(later, "--verify").status == 0

    def test_who_came_without_a_tenant_stays_so(self, tmp_path: Path, import_sqlite: Import) -> None:
        there = Tenant.objects.create(pk=1_000_000)
        path = first(tmp_path)
        assert import_sqlite(path).status == 0
        done = import_sqlite(path, f"--tenant-for-orphans={there.tenant_uid}")
        assert done.status == 0, done.said
        assert "NOTE: 2 employees came with an earlier import without a tenant and stay so" in done.said
        assert User.objects.filter(tenant=None).count() == 3

    def test_a_tenant_that_is_nowhere(self, tmp_path: Path, import_sqlite: Import) -> None:
        done = import_sqlite(first(tmp_path), "--tenant-for-orphans=ten_none")
        assert done.status == 2
        assert done.last_line.startswith("STOPPED: --tenant-for-orphans: there is no tenant ten_none")
        assert not User.objects.exists()


class TestSecond:
    def test_every_column(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(
            tmp_path,
            2,
            {
                "tenants": [files.tenant(4, name=" 全角　社\ufeff", contact_email="x@y.example")],
                "users": [
                    files.user(
                        9,
                        4,
                        username="\ufeff太郎 ",
                        email=" Taro@Legacy.Example\ufeff",
                        role="tenant_admin",
                        must_change_password=1,
                        failed_attempts=3,
                        locked_until="2020-01-01T00:00:00.5Z",
                        first_name="太郎 ",
                        last_name="\u3000",
                    ),
                    files.user(10, 4, username="\ufeff太郎 "),
                ],
                "role_codes": [
                    files.code(2, CODE, 4, max_uses=5, usage_count=2, is_disabled=1, created_by=9),
                ],
            },
        )
        done = import_sqlite(path)
        assert done.status == 0, done.said
        tenant = Tenant.objects.get()
        assert (tenant.pk, tenant.name, tenant.contact_email) == (4, " 全角　社\ufeff", "x@y.example")
        assert (str(tenant.time_zone), tenant.status) == ("Asia/Tokyo", TenantStatus.ACTIVE)
        user = User.objects.get(pk=9)
        assert (user.username, user.first_name, user.last_name) == ("\ufeff太郎 ", "太郎 ", "\u3000")
        assert user.email == "taro@legacy.example"
        assert (user.role, user.must_change_password, user.failed_attempts) == ("tenant_admin", True, 3)
        assert user.locked_until == dt.datetime(2020, 1, 1, 0, 0, 0, 500000, tzinfo=dt.UTC)
        assert user.password == f"bcrypt_node${files.HASH}"
        assert User.objects.filter(username=user.username).count() == 2
        code = RoleCode.objects.get()
        assert (code.pk, code.code, code.tenant_id, code.max_uses, code.usage_count, code.is_disabled) == (
            2,
            CODE,
            4,
            5,
            2,
            True,
        )
        assert query("SELECT created_by FROM role_codes") == [(9,)]
        assert done.report["normalised_emails"] == [9]

    def test_no_id_that_was_ever_given_is_given_again(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = files.write(
            tmp_path,
            2,
            files.small_company(),
            afterwards=["UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'work_sessions'"],
        )
        done = import_sqlite(path)
        assert done.status == 0, done.said
        assert next_id("work_sessions") > 5000
        assert next_id("users") > files.EMPLOYEE_ID
        assert next_id("tenants") > 1

    def test_nor_that_of_a_row_in_the_quarantine(self, tmp_path: Path, import_sqlite: Import) -> None:
        company = files.small_company()
        company["users"].append(files.user(900, email=""))
        company["work_sessions"].append(files.session(7000, 7, "no time"))
        path = files.write(tmp_path, 2, company, afterwards=["DELETE FROM sqlite_sequence"])
        done = import_sqlite(path, "--on-conflict=quarantine")
        assert done.status == 0, done.said
        assert next_id("work_sessions") > 7000
        assert next_id("users") > 900

    @pytest.mark.parametrize("variant", [b"2a", b"2b"])
    def test_a_password_longer_than_bcrypt_reads(
        self, tmp_path: Path, import_sqlite: Import, variant: bytes
    ) -> None:
        company = files.small_company()
        company["users"][1]["password_hash"] = files.old_hash(files.LONG_PASSWORD, variant)
        path = files.write(tmp_path, 2, company)
        assert import_sqlite(path).status == 0
        found = User.objects.get(email=files.EMPLOYEE_EMAIL)
        assert found.check_password(files.LONG_PASSWORD)
        # What bcrypt took for the same is not the same to the hash that replaced it.
        assert not found.check_password(files.LONG_PASSWORD[:72])
        assert found.pk == files.EMPLOYEE_ID
        assert User.objects.get(pk=files.EMPLOYEE_ID).password.startswith("argon2$")
        # What the sign-in changed is no conflict, and no unexplained difference.
        again = import_sqlite(path)
        assert again.status == 0, again.said
        verified = import_sqlite(path, "--verify")
        assert verified.status == 0, verified.said
        assert "hashed anew at a sign-in" in verified.said
        assert files.HASH not in verified.said


def with_tokens(folder: Path) -> Path:
    return files.write(
        folder,
        2,
        {
            **files.small_company(),
            "role_codes": [files.code(1, CODE)],
            "password_resets": [
                files.reset(1, 7, TOKEN, "2025-11-20T01:00:00.000Z"),
                files.reset(2, 7, OTHER_TOKEN, "2025-11-19 00:00:00"),
                files.reset(3, 7, "e" * 64, "2025-11-20 01:00:00", used_at="2025-11-19 23:00:00"),
            ],
        },
    )


class TestTokens:
    @pytest.fixture(autouse=True)
    def the_day_of_the_move(self) -> Iterator[None]:
        with time_machine.travel("2025-11-20T00:00:00Z", tick=False):
            yield

    def test_good_ones_come_hashed_and_the_others_stay(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = with_tokens(tmp_path)
        done = import_sqlite(path)
        assert done.status == 0, done.said
        reset = PasswordReset.objects.get()
        assert (reset.pk, reset.token) == (1, hashlib.sha256(TOKEN.encode()).hexdigest())
        assert "Left behind: 1 rows of password_resets, expired" in done.said
        assert "Left behind: 1 rows of password_resets, used" in done.said
        assert "Left behind: 2 rows of sessions" in done.said
        for secret in (TOKEN, OTHER_TOKEN, files.HASH, reset.token):
            assert secret not in done.said + str(done.report)
        assert RoleCode.objects.get().code == CODE
        # Later it is expired, but it was not when it was moved.
        with time_machine.travel("2026-01-01T00:00:00Z", tick=False):
            assert import_sqlite(path, "--verify").status == 0
            assert import_sqlite(path).status == 0

    def test_into_the_store_that_is_chosen(
        self, tmp_path: Path, import_sqlite: Import, session_store: str
    ) -> None:
        path = with_tokens(tmp_path)
        done = import_sqlite(path)
        assert done.status == 0, done.said
        carried = session_store == "dynamodb"
        assert ("Carried 1 links" in done.said) is carried
        assert PasswordReset.objects.exists() is not carried
        assert import_sqlite(path, "--verify").status == 0
        found = tokens.redeem(TOKEN, Purpose.RESET)
        assert found
        assert found.user_id == 7
        # What was used up is not brought back by another run.
        again = import_sqlite(path)
        assert again.status == 0, again.said
        assert "Carried" not in again.said
        assert tokens.redeem(TOKEN, Purpose.RESET) is None
        assert tokens.redeem(OTHER_TOKEN, Purpose.RESET) is None

    def test_a_store_that_is_out_of_reach_gets_them_with_the_next_run(
        self, tmp_path: Path, import_sqlite: Import, dynamodb: "DynamoDBClient"
    ) -> None:
        path = with_tokens(tmp_path)
        dynamodb.delete_table(TableName=aws.table())
        done = import_sqlite(path)
        assert done.status == 3
        assert done.last_line.startswith("UNCERTAIN: the rows are there and verified"), done.said
        make_table(dynamodb)
        done = import_sqlite(path)
        assert done.status == 0, done.said
        assert "Carried 1 links" in done.said
        assert tokens.redeem(TOKEN, Purpose.RESET)

    def test_they_can_be_left_behind(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = with_tokens(tmp_path)
        done = import_sqlite(path, "--reset-tokens", "--reset-role-codes")
        assert done.status == 0, done.said
        assert not PasswordReset.objects.exists()
        assert not RoleCode.objects.exists()
        assert done.report["plan"]["tables"]["role_codes"]["left_behind"] == {"reset by option": 1}
        assert import_sqlite(path, "--verify").status == 0
        again = import_sqlite(path, "--reset-tokens", "--reset-role-codes")
        assert again.last_line.startswith("OK: nothing to do"), again.said


def third(folder: Path) -> Path:
    return files.write(
        folder,
        3,
        {
            "tenants": [files.tenant(1, status="inactive")],
            "users": [
                files.user(1, status="inactive", deactivated_at="2025-05-05 00:00:00"),
                files.user(2, phone_number="080-0000-0000"),
            ],
            "work_sessions": [files.session(1, 2, "2025-10-24 00:00:00", "2025-10-24 01:00:00")],
            "sessions": [{"sid": "a", "sess": "{}", "expired": "2025-12-01 00:00:00"}],
            "knex_migrations": [{"id": 1, "name": "001_init.js", "batch": 1}],
            "payroll_records": [
                {
                    "id": 3,
                    "tenant_id": 1,
                    "employee_id": 2,
                    "stored_file_path": "uploads\\2025\\10.pdf",
                    "file_size": 12.5,
                    "mime_type": b"\x00\xff",
                }
            ],
        },
        more=files.LATER_COLUMNS,
    )


class TestThird:
    def test_what_is_unknown_is_counted_and_kept(self, tmp_path: Path, import_sqlite: Import) -> None:
        path = third(tmp_path)
        done = import_sqlite(path)
        assert done.status == 0, done.said
        assert done.report["source"]["generation"] == 3
        assert done.report["unknown_tables"]["payroll_records"] == 1
        assert done.report["unknown_tables"]["knex_migrations_lock"] == 0
        assert done.report["unknown_columns"]["users.phone_number"] == 1
        assert done.report["unknown_columns"]["work_sessions.archived_at"] == 0
        kept = QuarantinedRow.objects.get(table_name="payroll_records")
        assert (kept.legacy_id, kept.reason_code, kept.tenant) == (3, "unknown_table", 1)
        assert kept.row["stored_file_path"] == "uploads\\2025\\10.pdf"
        assert kept.row["mime_type"] == {"$base64": "AP8="}
        assert kept.row["file_size"] == 12.5
        phones = QuarantinedRow.objects.filter(table_name="users", reason_code="unknown_column")
        assert {row.legacy_id: row.row.get("phone_number") for row in phones} == {
            1: None,
            2: "080-0000-0000",
        }
        assert User.objects.get(pk=1).status == UserStatus.SUSPENDED
        assert Tenant.objects.get().status == TenantStatus.SUSPENDED
        before = QuarantinedRow.objects.count()
        again = import_sqlite(path)
        assert again.last_line.startswith("OK: nothing to do"), again.said
        assert QuarantinedRow.objects.count() == before
        QuarantinedRow.objects.filter(table_name="payroll_records").delete()
        assert import_sqlite(path, "--verify").status == 3

    def test_without_the_later_columns(self, tmp_path: Path, import_sqlite: Import) -> None:
        done = import_sqlite(files.write(tmp_path, 3, files.small_company() | {"sessions": []}))
        assert done.status == 0, done.said
        assert User.objects.get(pk=7).status == UserStatus.ACTIVE
