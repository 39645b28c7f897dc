"""The database as it is, read from its own catalogues: the design's tables, and what they refuse."""

import importlib
import re
import zoneinfo
from collections.abc import Callable

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import ProtectedError

from accounts.models import User
from attendance.legacy import values
from attendance.models import WorkSession
from tenants.models import Tenant
from tests.conftest import MakeSession, MakeUser, connects_as

pytestmark = pytest.mark.django_db
as_owner = connects_as("owner")

# The columns of the design, with those that the old application's later files and this one need.
TABLES = {
    "tenants": "id tenant_uid name contact_email time_zone status created_at session_epoch retention_months",
    "users": (
        "id tenant_id username email password_hash role status must_change_password failed_attempts "
        "locked_until first_name last_name created_at session_epoch language"
    ),
    "role_codes": ("id tenant_id code expires_at max_uses usage_count is_disabled created_by created_at"),
    "password_resets": "id user_id purpose token data tries expires_at used_at created_at",
    "work_sessions": "id user_id start_time end_time end_unknown created_at",
}
NULLABLE = {
    "tenants": "name contact_email",
    "users": "tenant_id locked_until first_name last_name language",
    "role_codes": "expires_at max_uses created_by",
    "password_resets": "data used_at",
    "work_sessions": "end_time",
}
INDEXES = {
    "tenants": {"UNIQUE (id)", "UNIQUE (tenant_uid)"},
    "users": {"UNIQUE (id)", "UNIQUE (email)", "(tenant_id, role)"},
    "role_codes": {"UNIQUE (id)", "UNIQUE (code)", "(tenant_id)", "(created_by)"},
    "password_resets": {"UNIQUE (id)", "UNIQUE (token)", "(user_id)"},
    "work_sessions": {
        "UNIQUE (id)",
        "(user_id, start_time)",
        "UNIQUE (user_id) WHERE ((end_time IS NULL) AND (NOT end_unknown))",
    },
}
FOREIGN_KEYS = {
    # n: SET NULL, c: CASCADE, r: RESTRICT
    ("users", "tenant_id", "tenants", "n"),
    ("role_codes", "tenant_id", "tenants", "c"),
    ("role_codes", "created_by", "users", "n"),
    ("password_resets", "user_id", "users", "c"),
    ("work_sessions", "user_id", "users", "r"),
}
OURS = pytest.mark.parametrize("table", TABLES)

Refused = Callable[[str, str], None]


def rows(sql: str, *parameters: int | str | list[str]) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall()) if cursor.description else []


def columns(condition: str) -> set[tuple[object, ...]]:
    return set(
        rows(
            "SELECT table_name, column_name FROM information_schema.columns "
            f"WHERE table_schema = current_schema() AND {condition}"
        )
    )


@pytest.fixture
def refused() -> Refused:
    """Run SQL that the constraint with this name refuses, and nothing else."""

    def run(sql: str, constraint: str) -> None:
        with pytest.raises(IntegrityError) as error, transaction.atomic():
            rows(sql)
        cause = error.value.__cause__
        assert isinstance(cause, psycopg.Error)
        assert cause.diag.constraint_name == constraint

    return run


class TestTables:
    @OURS
    def test_the_columns(self, table: str) -> None:
        assert {name for _, name in columns(f"table_name = '{table}'")} == set(TABLES[table].split())

    @OURS
    def test_which_of_them_can_be_null(self, table: str) -> None:
        nullable = columns(f"table_name = '{table}' AND is_nullable = 'YES'")
        assert {name for _, name in nullable} == set(NULLABLE[table].split())

    def test_every_time_is_an_instant(self) -> None:
        assert (
            columns("data_type IN ('timestamp without time zone', 'time without time zone', 'date')") == set()
        )
        times = columns("data_type = 'timestamp with time zone'")
        named = {
            (table, name)
            for table, names in TABLES.items()
            for name in names.split()
            if name.endswith(("_at", "_time", "_until"))
        }
        assert {(table, name) for table, name in times if table in TABLES} == named

    def test_the_history_has_its_columns_in_the_order_that_its_trigger_fills_them(self) -> None:
        found = rows(
            "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = 'work_session_history'::regclass AND attnum > 0"
        )
        assert found == [
            (
                "id user_id seq work_session_id operation at actor_id actor_name actor_role door address"
                " reason before after previous digest",
            )
        ]

    def test_ids_are_identities_and_wide(self) -> None:
        identities = columns(
            "is_identity = 'YES' AND identity_generation = 'BY DEFAULT' AND data_type = 'bigint'"
        )
        assert {(table, "id") for table in TABLES} <= identities
        assert {(table, name) for table, name, *_ in FOREIGN_KEYS} <= columns("data_type = 'bigint'")

    def test_the_models_say_nothing_else(self) -> None:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)


class TestIndexes:
    @OURS
    def test_those_of_the_design_and_no_others(self, table: str) -> None:
        found = rows(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = %s", table
        )
        assert len(found) == len(INDEXES[table])
        shapes = set()
        for (definition,) in found:
            shape = re.fullmatch(r"CREATE (UNIQUE )?INDEX \S+ ON \S+ USING btree (.*)", str(definition))
            assert shape
            shapes.add((shape[1] or "") + shape[2])
        assert shapes == INDEXES[table]

    def test_an_index_finds_who_signs_in_and_who_is_at_work(self, employee: User) -> None:
        def plan(sql: str) -> str:
            return "\n".join(str(line) for (line,) in rows(f"EXPLAIN (COSTS OFF) {sql}"))

        rows("SET LOCAL enable_seqscan = off")
        assert "users_email_key" in plan("SELECT * FROM users WHERE email = 'employee1@example.com'")
        running = f"user_id = {employee.pk} AND end_time IS NULL AND NOT end_unknown"
        # Which of the two it takes depends on what the tests before have left to be known of the table.
        assert "Index Scan using work_sessions_" in plan(f"SELECT * FROM work_sessions WHERE {running}")
        newest = f"user_id = {employee.pk} ORDER BY start_time DESC LIMIT 1"
        assert "work_sessions_user_start_idx" in plan(f"SELECT * FROM work_sessions WHERE {newest}")


class TestDeletion:
    def test_the_rules_are_in_the_database(self) -> None:
        found = rows(
            "SELECT conrelid::regclass::text, attname, confrelid::regclass::text, confdeltype "
            "FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey) "
            "WHERE contype = 'f' AND conrelid::regclass::text = ANY (%s)",
            list(TABLES),
        )
        assert len(found) == len(FOREIGN_KEYS)
        assert set(found) == FOREIGN_KEYS

    def test_they_hold_at_once(self) -> None:
        deferrable = rows(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND (condeferrable OR NOT convalidated) "
            "AND conrelid::regclass::text = ANY (%s)",
            list(TABLES),
        )
        assert deferrable == []

    def test_a_tenant_that_goes_leaves_its_people(
        self, tenant: Tenant, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 09:00")
        rows("INSERT INTO role_codes (tenant_id, code) VALUES (%s, 'ABCDEFGH23456789')", tenant.pk)
        rows("DELETE FROM tenants")
        assert rows("SELECT id, tenant_id FROM users") == [(employee.pk, None)]
        assert rows("SELECT count(*) FROM role_codes") == [(0,)]
        assert rows("SELECT user_id FROM work_sessions") == [(employee.pk,)]

    @pytest.mark.parametrize("end", ["2026-11-20 10:00", None])
    def test_who_has_work_sessions_cannot_go(
        self, employee: User, make_session: MakeSession, refused: Refused, end: str | None
    ) -> None:
        make_session("2026-11-20 09:00", end)
        refused("DELETE FROM users", "work_sessions_user_id_fkey")
        with pytest.raises(ProtectedError):
            employee.delete()
        assert rows("SELECT count(*) FROM users") == [(1,)]

    def test_who_has_none_goes_with_what_is_theirs(self, tenant: Tenant, employee: User) -> None:
        rows(
            "INSERT INTO role_codes (tenant_id, code, created_by) VALUES (%s, 'ABCDEFGH23456789', %s)",
            tenant.pk,
            employee.pk,
        )
        rows("INSERT INTO password_resets (user_id, token, expires_at) VALUES (%s, 'x', now())", employee.pk)
        rows("DELETE FROM users")
        assert rows("SELECT created_by FROM role_codes") == [(None,)]
        assert rows("SELECT count(*) FROM password_resets") == [(0,)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ("email = 'Employee1@example.com'", "users_email_lower_check"),
            ("email = 'ＡＢＣ@example.com'", "users_email_lower_check"),
            ("role = 'admin'", "users_role_check"),
            ("role = ''", "users_role_check"),
            ("status = 'inactive'", "users_status_check"),
            ("failed_attempts = -1", "users_failed_attempts_check"),
            ("tenant_id = 999999", "users_tenant_id_fkey"),
        ],
    )
    def test_of_users(self, employee: User, refused: Refused, change: str, constraint: str) -> None:
        refused(f"UPDATE users SET {change}", constraint)

    def test_of_tenants(self, tenant: Tenant, refused: Refused) -> None:
        refused("UPDATE tenants SET status = 'gone'", "tenants_status_check")
        refused(f"INSERT INTO tenants (tenant_uid) VALUES ('{tenant.tenant_uid}')", "tenants_tenant_uid_key")

    @pytest.mark.parametrize(
        "code",
        [
            "",
            "ABCDEFGH2345678",
            "abcdefgh23456789",
            "ABCDEFGI23456789",
            "ABCDEFGO23456789",
            "ABCDEFGH03456789",
            "ABCDEFGH13456789",
            "ABCDEFGH2345678 ",
            "ＡBCDEFGH2345678",
        ],
    )
    def test_of_role_codes(self, tenant: Tenant, refused: Refused, code: str) -> None:
        refused(
            f"INSERT INTO role_codes (tenant_id, code) VALUES ({tenant.pk}, '{code}')",
            "role_codes_code_check",
        )

    def test_of_a_role_codes_uses(self, tenant: Tenant, refused: Refused) -> None:
        rows("INSERT INTO role_codes (tenant_id, code) VALUES (%s, 'ABCDEFGHJKMNPQRZ')", tenant.pk)
        refused("UPDATE role_codes SET usage_count = -1", "role_codes_usage_count_check")
        refused("UPDATE role_codes SET max_uses = -1", "role_codes_max_uses_check")

    @pytest.mark.parametrize(
        ("values", "constraint"),
        [
            ("'2026-11-20T09:00Z', '2026-11-20T08:59:59.999999Z', false", "work_sessions_order_check"),
            ("'2026-11-20T09:00Z', '2026-11-20T10:00Z', true", "work_sessions_end_unknown_check"),
            ("'-infinity', '2026-11-20T10:00Z', false", "work_sessions_calendar_check"),
            ("'2026-11-20T09:00Z', 'infinity', false", "work_sessions_calendar_check"),
            ("'infinity', 'infinity', false", "work_sessions_calendar_check"),
            ("'infinity', NULL, false", "work_sessions_calendar_check"),
            ("'-infinity', NULL, true", "work_sessions_calendar_check"),
            ("'2026-11-20T09:00Z', '10000-01-01T00:00Z', false", "work_sessions_calendar_check"),
            ("'0001-01-01T00:00Z BC', NULL, true", "work_sessions_calendar_check"),
        ],
    )
    def test_of_work_sessions(self, employee: User, refused: Refused, values: str, constraint: str) -> None:
        refused(
            "INSERT INTO work_sessions (user_id, start_time, end_time, end_unknown) "
            f"VALUES ({employee.pk}, {values})",
            constraint,
        )

    @pytest.mark.parametrize(
        "created_at",
        ["infinity", "-infinity", "0001-01-01T00:00Z BC", "0001-01-03T23:59Z", "9999-12-29T00:00Z"],
    )
    def test_of_when_a_work_session_was_recorded(
        self, employee: User, refused: Refused, created_at: str
    ) -> None:
        refused(
            "INSERT INTO work_sessions (user_id, start_time, end_time, created_at) "
            f"VALUES ({employee.pk}, '2026-11-20T09:00Z', '2026-11-20T10:00Z', '{created_at}')",
            "work_sessions_calendar_check",
        )

    def test_a_new_check_keeps_nobody_waiting_while_old_rows_are_looked_through(
        self, employee: User, refused: Refused
    ) -> None:
        first, second = (
            importlib.import_module(f"attendance.migrations.{name}").Migration("x", "attendance")
            for name in ("0004_work_session_calendar", "0005_work_session_calendar_validated")
        )
        state = MigrationLoader(connection).project_state(("attendance", "0003_legacy_import"))
        endless = f"INSERT INTO work_sessions (user_id, start_time) VALUES ({employee.pk}, 'infinity')"
        with connection.schema_editor(atomic=False) as editor:
            first.unapply(state.clone(), editor)
            rows(endless)
            after = first.apply(state.clone(), editor)
            refused(endless.replace(f"{employee.pk}", "0"), "work_sessions_calendar_check")
            with pytest.raises(IntegrityError, match="work_sessions_calendar_check"), transaction.atomic():
                second.apply(after.clone(), editor)
            rows("DELETE FROM work_sessions")
            second.apply(after.clone(), editor)
        assert rows("SHOW lock_timeout") == [("5s",)]
        assert rows("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []

    def test_of_a_second_running_session(
        self, employee: User, make_session: MakeSession, refused: Refused
    ) -> None:
        make_session("2026-11-20 09:00")
        refused(
            f"INSERT INTO work_sessions (user_id, start_time) VALUES ({employee.pk}, '2026-11-20T12:00Z')",
            "work_sessions_one_running",
        )

    def test_of_a_work_session_of_nobody(self, refused: Refused) -> None:
        refused(
            "INSERT INTO work_sessions (user_id, start_time, end_time) VALUES (999999, now(), now())",
            "work_sessions_user_id_fkey",
        )


class TestMigratingBack:
    @pytest.mark.django_db(transaction=True)
    def test_leaves_no_rule_behind_that_was_made_on_the_way(self) -> None:
        def left() -> list[tuple[object, ...]]:
            return rows(
                "SELECT polname || ' on ' || polrelid::regclass FROM pg_policy"
                " WHERE polrelid <> 'tenants'::regclass"
                " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
                " AND proname NOT IN"
                " ('refuse_overlapping_work_sessions', 'end_sessions_of_tenant', 'refuse_state_of_tenant',"
                " 'refuse_shorter_retention', 'retention_edge', 'retention_of')"
                " AND proname !~ '^scope'"
            )

        before = sorted(map(str, left()))
        try:
            call_command("migrate", "accounts", "0001", database="owner", verbosity=0)
            assert left() == []
        finally:
            call_command("migrate", database="owner", verbosity=0)
        assert sorted(map(str, left())) == before

    @pytest.mark.django_db(transaction=True)
    def test_keeps_the_audit_trail(self, tenant: Tenant) -> None:
        try:
            with pytest.raises(OperationalError, match="audit_events holds evidence"):
                call_command("migrate", "accounts", "0002", database="owner", verbosity=0)
        finally:
            call_command("migrate", database="owner", verbosity=0)
        assert rows("SELECT kind FROM audit_events") == [("tenants.insert",)]


class TestUniqueness:
    def test_of_addresses(self, employee: User, make_user: MakeUser, refused: Refused) -> None:
        make_user()
        refused(f"UPDATE users SET email = '{employee.email}'", "users_email_key")

    def test_of_role_codes_across_tenants(
        self, tenant: Tenant, other_tenant: Tenant, refused: Refused
    ) -> None:
        rows("INSERT INTO role_codes (tenant_id, code) VALUES (%s, 'ABCDEFGH23456789')", tenant.pk)
        refused(
            f"INSERT INTO role_codes (tenant_id, code) VALUES ({other_tenant.pk}, 'ABCDEFGH23456789')",
            "role_codes_code_key",
        )

    def test_of_reset_tokens(self, employee: User, refused: Refused) -> None:
        insert = (
            f"INSERT INTO password_resets (user_id, token, expires_at) VALUES ({employee.pk}, 'x', now())"
        )
        rows(insert)
        refused(insert, "password_resets_token_key")

    def test_not_of_user_names(self, make_user: MakeUser) -> None:
        make_user(username="hanako")
        make_user(username="hanako")
        assert rows("SELECT count(*) FROM users WHERE username = 'hanako'") == [(2,)]


class TestAllowed:
    def test_zero_length_and_unknown_ends(self, employee: User) -> None:
        rows(
            "INSERT INTO work_sessions (user_id, start_time, end_time, end_unknown) VALUES "
            "(%s, '2026-11-20T09:00Z', '2026-11-20T09:00Z', false), "
            "(%s, '2026-11-20T09:00Z', NULL, true), (%s, '2026-11-20T09:00Z', NULL, true), "
            "(%s, '2026-11-20T09:00Z', NULL, false)",
            *[employee.pk] * 4,
        )
        assert rows("SELECT count(*) FROM work_sessions") == [(4,)]

    def test_the_first_and_the_last_instant_that_an_import_may_bring(self, employee: User) -> None:
        rows(
            "INSERT INTO work_sessions (user_id, start_time, end_time) VALUES (%s, %s, %s)",
            employee.pk,
            f"{values.EARLIEST} 00:00Z",
            f"{values.LATEST} 23:59:59.999999Z",
        )
        session = WorkSession.objects.get()
        assert session.end_time is not None
        for zone in map(zoneinfo.ZoneInfo, ("Pacific/Kiritimati", "Etc/GMT+12")):
            assert session.start_time.astimezone(zone).year == 1
            assert session.end_time.astimezone(zone).year == 9999

    def test_times_keep_their_microseconds(self, employee: User) -> None:
        rows(
            "INSERT INTO work_sessions (user_id, start_time) VALUES (%s, '2026-11-20T09:00:00.123456Z')",
            employee.pk,
        )
        assert rows("SELECT extract(microseconds FROM start_time)::int FROM work_sessions") == [(123456,)]

    def test_an_id_can_be_given(self, tenant: Tenant) -> None:
        rows("INSERT INTO tenants (id, tenant_uid) VALUES (5000000000, 'ten_0123456789ab')")
        assert Tenant.objects.get(tenant_uid="ten_0123456789ab").pk == 5_000_000_000
