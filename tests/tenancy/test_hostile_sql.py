"""A hostile session in psql, as the application's role: it reads, writes and moves nothing across tenants.

What such a session can do all the same, and nobody can forbid it in PostgreSQL, is at the end.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from psycopg import errors, sql
from pytest_django import DjangoDbBlocker

from accounts.models import Session
from accounts.session_store import SessionStore
from tenants import database, scope
from tenants.scope import Door, Scope
from tests.conftest import EVERYTHING
from tests.tenancy.protection import FUNCTIONS, OTHERS, TABLES
from tests.tenancy.world import World, make_world, say, tell
from timerecord.core.sessions import Record, as_signed, id_of

Refusal = type[psycopg.Error]
On = psycopg.Connection[tuple[Any, ...]]
Rows = list[tuple[Any, ...]]

# A column that can be written, of tables whose rows are no tenant's.
PLATFORMS = {"import_sources": "digest", "imported_rows": "digest", "errands": "details"}
EVERY_TABLE = pytest.mark.parametrize("table", TABLES)
DENIED = errors.InsufficientPrivilege


def connect(alias: str) -> On:
    given = connections[alias].get_connection_params()
    return psycopg.connect(
        **{key: given[key] for key in ("host", "port", "user", "password", "dbname") if key in given},
        autocommit=True,
    )


def everything() -> Rows:
    """Return what is in all tables, as their owner sees it."""
    with connect("owner") as on:
        return [
            row
            for table in TABLES
            for row in on.execute(f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1".encode())
        ]


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Two tenants full of rows, committed, so that other connections could see them."""
    with django_db_blocker.unblock():
        try:
            with scope.enter(EVERYTHING):
                made = make_world()
            connection.close()
            with connect("owner") as on:
                on.execute("ANALYZE")
            yield made
        finally:
            with connect("owner") as on:
                on.execute(f"TRUNCATE {', '.join(TABLES)}")
            connections["owner"].close()


@pytest.fixture(scope="module")
def psql(world: World) -> Iterator[On]:
    with connect("default") as on:
        yield on


@contextlib.contextmanager
def within(psql: On, wanted: Scope | None) -> Iterator[On]:
    """Begin a transaction in a scope that the application named; it is rolled back."""
    with psql.transaction(force_rollback=True):
        if wanted:
            psql.execute(tell(wanted))
        yield psql


def names(world: World) -> dict[str, Any]:
    """Return what the statements below call by name."""
    return {
        "here": world.here.pk,
        "there": world.there.pk,
        "me": world.own_admin.user.pk,
        "colleague": world.colleague.user.pk,
        "other": world.other_employee.user.pk,
        "session": world.colleague.past.pk,
        "other_session": world.other_employee.past.pk,
    }


def foreign(world: World, table: str) -> str:
    """Return the condition for the rows of `there`."""
    column = TABLES[table]
    if not column:
        return "true"
    if table == "tenants" or column.startswith("tenant"):
        return f"{column} = {world.there.pk}"
    ids = [str(p.user.pk) for p in world.people.values() if p.user.tenant_id == world.there.pk]
    return f"{column} IN ({', '.join(ids)})"


def test_the_application_is_nobody_special(world: World) -> None:
    application = connection.copy()  # as a new process connects
    with contextlib.closing(application), application.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, session_user,"
            " rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,"
            " current_setting('search_path'), current_setting('TimeZone'), current_setting('row_security'),"
            " current_setting('session_replication_role'), current_setting('track_activities'),"
            " has_database_privilege(current_database(), 'CREATE, TEMPORARY'),"
            " has_schema_privilege('timerecord', 'CREATE'),"
            " (SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole),"
            " (SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole)"
            " FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (
            "timerecord_app", "timerecord_app", False, False, False, False, False,
            "timerecord", "UTC", "on", "origin", "off", False, False, 0, 0,
        )  # fmt: skip


class TestSchema:
    """What is added to the schema is protected, or says why it need not be."""

    def tables(self, psql: On) -> Rows:
        return psql.execute(
            "SELECT relname, relrowsecurity, pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace = 'timerecord'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')"
        ).fetchall()

    def test_every_table_is_declared(self, psql: On) -> None:
        found = {name for name, _protected, _owner in self.tables(psql)}
        unsaid = found - set(TABLES) - set(OTHERS)
        assert unsaid == set(), "say in tests/tenancy/protection.py whose rows these are"
        assert set(TABLES) | set(OTHERS) == found

    def test_tenants_tables_are_bound_by_policies(self, psql: On) -> None:
        assert {name for name, protected, _owner in self.tables(psql) if protected} == set(TABLES)
        assert {owner for _name, _protected, owner in self.tables(psql)} == {database.OWNER}

    @EVERY_TABLE
    def test_each_policy_asks_for_the_scope(self, psql: On, table: str) -> None:
        policies = psql.execute(
            "SELECT policyname, roles, cmd, qual, with_check FROM pg_policies WHERE tablename = %s", [table]
        ).fetchall()
        of_app = [policy for policy in policies if policy[1] == [database.APP]]
        assert {command for _n, _r, command, _q, _c in of_app} & {"ALL", "SELECT"}
        for name, roles, command, using, check in policies:
            if roles != [database.IMPORT]:
                assert roles == [database.APP], name
                condition = check if command == "INSERT" else using
                assert "scope_" in condition or "_in_scope" in condition, name

    def test_what_runs_as_the_owner_finds_its_own_tables_and_is_called_by_nobody_else(self, psql: On) -> None:
        functions = psql.execute(
            "SELECT proname, proconfig @> '{\"search_path=timerecord, pg_temp\"}',"
            " prorettype = 'trigger'::regtype,"
            " has_function_privilege(oid, 'EXECUTE'), pg_get_userbyid(proowner)"
            " FROM pg_proc WHERE pronamespace = 'timerecord'::regnamespace AND prosecdef"
        ).fetchall()
        assert {row[0] for row in functions if not row[1]} == set()
        assert {row[4] for row in functions} == {database.OWNER}
        callable_ = {row[0] for row in functions if row[3] and not row[2]}
        assert callable_ == set(FUNCTIONS), "say in tests/tenancy/protection.py why that harms nobody"

    def test_of_what_runs_as_the_owner_one_function_alone_removes_work_sessions(self, psql: On) -> None:
        """For it the trigger of the history makes an exception."""
        found = psql.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'timerecord'::regnamespace AND prosecdef"
            " AND prosrc ~* 'delete\\s+from\\s+(only\\s+)?(timerecord\\.)?work_sessions'"
        ).fetchall()
        assert found == [("purge_work_sessions",)]

    def test_triggers_cannot_be_skipped(self, psql: On) -> None:
        found = psql.execute(
            "SELECT tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid"
            " WHERE relnamespace = 'timerecord'::regnamespace AND NOT tgisinternal AND tgenabled <> 'A'"
        ).fetchall()
        assert found == []


NEW_USER = "INSERT INTO users (tenant_id, username, email, password_hash)"
OTHER_SCOPES = ["absent", "empty", "forged", "unsealed", "old seal", "upper case", "of a digest"]


def pretend(world: World, how: str) -> sql.Composed:
    """Return the statements that name a scope without the application."""
    own = scope.text_of(world.own_admin.admin)
    every = scope.text_of(EVERYTHING)
    if how == "of a digest":
        return say(every, "") + sql.SQL(
            "; SELECT set_config('timerecord.seal', encode(sha256(convert_to({}, 'UTF8')), 'hex'), true)"
        ).format(every)
    texts = {
        "empty": ("", ""),
        "forged": (every, "0" * 64),
        "unsealed": (every, ""),
        "old seal": (every, scope.seal(own)),
        "upper case": (every, scope.seal(every).upper()),
    }
    return say(*texts[how])


def copied(psql: On, query: bytes) -> list[object]:
    with psql.cursor() as cursor, cursor.copy(query) as copy:
        return list(copy)


class TestWithoutAScope:
    @EVERY_TABLE
    @pytest.mark.parametrize("how", OTHER_SCOPES)
    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT count(*) FROM {}",
            "TABLE {}",
            "DELETE FROM {}",
            "COPY {} TO STDOUT",
            "SELECT FROM {} FOR UPDATE",
        ],
    )
    def test_nothing_is_read_or_removed(
        self, psql: On, world: World, table: str, how: str, statement: str
    ) -> None:
        with within(psql, None):
            if how != "absent":
                psql.execute(pretend(world, how))
            query = statement.format(table).encode()
            run = copied if statement.startswith("COPY") else On.execute
            with pytest.raises(DENIED) as refusal:
                run(psql, query)
        only_read = table in ("work_session_history", "audit_events")
        if not (only_read and statement.startswith(("DELETE", "SELECT FROM"))):
            absent = how in ("absent", "empty")
            said = "no scope was named" if absent else "the seal of the scope does not fit"
            assert said in str(refusal.value)

    def test_a_scope_ends_with_its_transaction(self, psql: On, world: World) -> None:
        with psql.transaction():
            psql.execute(tell(world.themselves.own))
            assert psql.execute("SELECT count(*) FROM users").fetchone() == (1,)
        with pytest.raises(DENIED, match="no scope was named"):
            psql.execute("SELECT count(*) FROM users")
        assert psql.execute("SELECT current_setting('timerecord.scope', true)").fetchone() == ("",)

    def test_with_a_savepoint_too(self, psql: On, world: World) -> None:
        with within(psql, None):
            with psql.transaction(force_rollback=True):
                psql.execute(tell(EVERYTHING))
                assert psql.execute("SELECT count(*) FROM users").fetchone() == (len(world.people),)
            with pytest.raises(DENIED, match="no scope was named"):
                psql.execute("SELECT count(*) FROM users")


class TestAcrossTenants:
    @pytest.fixture(params=["employee", "admin", "nobody's employee"])
    def mine(self, request: pytest.FixtureRequest, world: World) -> Scope:
        return {
            "employee": world.themselves.own,
            "admin": world.own_admin.admin,
            "nobody's employee": world.without_tenant.own,
        }[request.param]

    @EVERY_TABLE
    def test_nothing_is_read(self, psql: On, world: World, mine: Scope, table: str) -> None:
        where = foreign(world, table)
        with connect("owner") as on:
            there = on.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
        assert there
        assert there > (0,)
        with within(psql, mine):
            assert psql.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone() == (0,)
            text = str(psql.execute(f"SELECT to_jsonb(t)::text FROM {table} t").fetchall())
        theirs = world.tenant_marks[world.there.pk] | world.other_employee.marks | world.other_admin.marks
        # A wall-clock time is in no column as it is shown; minutes and seconds of now look like one.
        assert {mark for mark in theirs if ":" not in mark and mark in text} == set()

    @EVERY_TABLE
    def test_nothing_is_written(self, psql: On, world: World, mine: Scope, table: str) -> None:
        before = everything()
        for statement in (
            f"UPDATE {table} SET {TABLES[table] or PLATFORMS[table]} = DEFAULT",
            f"DELETE FROM {table}",
        ):
            with psql.transaction(force_rollback=True):
                psql.execute(tell(mine))
                try:
                    assert psql.execute(f"{statement} WHERE {foreign(world, table)}").rowcount == 0
                except DENIED:
                    assert table in ("work_session_history", "audit_events")
        assert everything() == before

    def test_a_tenant_admin_sees_the_own_tenant(self, psql: On, world: World) -> None:
        with within(psql, world.own_admin.admin):
            seen = psql.execute("SELECT id FROM users ORDER BY id").fetchall()
            owners = psql.execute("SELECT DISTINCT user_id FROM work_sessions").fetchall()
        here = [(p.user.pk,) for p in world.people.values() if p.user.tenant_id == world.here.pk]
        assert seen == sorted(here)
        assert sorted(owners) == sorted(here)

    def test_an_employee_sees_no_colleague(self, psql: On, world: World) -> None:
        me = (world.themselves.user.pk,)
        with within(psql, world.themselves.own):
            assert psql.execute("SELECT id FROM users").fetchall() == [me]
            for table in ("work_sessions", "work_session_history", "password_resets", "sessions"):
                assert psql.execute(f"SELECT DISTINCT user_id FROM {table}").fetchall() == [me]
            assert psql.execute("SELECT count(*) FROM role_codes").fetchone() == (0,)

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT u.* FROM tenants t LEFT JOIN users u ON u.tenant_id = t.id WHERE t.id = {there}",
            "SELECT (SELECT email FROM users WHERE id = {other})",
            "WITH moved AS (UPDATE users SET first_name = 'x' WHERE id = {other} RETURNING *) TABLE moved",
            "DELETE FROM work_sessions WHERE user_id = {other} RETURNING start_time",
            "MERGE INTO users u USING (VALUES ({other}::bigint)) v(id) ON u.id = v.id"
            " WHEN MATCHED THEN DELETE RETURNING u.email",
            "SELECT query_to_xml('SELECT * FROM users WHERE id = {other}', true, false, '')::text LIKE '%@%'",
            "SELECT most_common_vals FROM pg_stats WHERE tablename = 'users'",
            "SELECT histogram_bounds FROM pg_stats WHERE tablename = 'work_sessions'",
            "SELECT seq FROM work_session_history WHERE user_id = {other}",
        ],
    )
    def test_no_way_round_shows_them(self, psql: On, world: World, statement: str) -> None:
        with within(psql, world.own_admin.admin):
            found = psql.execute(statement.format(**names(world)).encode()).fetchall()
        assert not any(value for row in found for value in row)

    def test_sessions_of_the_role_do_not_see_each_others_statements(self, psql: On, world: World) -> None:
        with connect("default") as neighbour, neighbour.transaction(force_rollback=True):
            neighbour.execute(tell(EVERYTHING))
            neighbour.execute("SELECT 'of-another-tenant'")
            seen = psql.execute("SELECT pid, query FROM pg_stat_activity WHERE query <> ''").fetchall()
            assert neighbour.info.backend_pid not in {pid for pid, _query in seen}
            assert "of-another-tenant" not in str(seen)
            assert scope.seal(scope.text_of(EVERYTHING)) not in str(seen)


# As a tenant admin, in the own tenant's scope.
REFUSED: dict[str, Refusal] = {
    # to make or to move rows
    "INSERT INTO tenants (tenant_uid) VALUES ('ten_000000000000')": DENIED,
    "UPDATE tenants SET id = {there} + 99 WHERE id = {here}": DENIED,
    f"{NEW_USER} VALUES ({{there}}, '', 'n@example.com', '')": DENIED,
    "INSERT INTO users (username, email, password_hash) VALUES ('', 'n@example.com', '')": DENIED,
    "INSERT INTO users (tenant_id, username, email, password_hash, role)"
    " VALUES ({here}, '', 'n@example.com', '', 'platform_admin')": DENIED,
    "UPDATE users SET tenant_id = {there} WHERE id = {colleague}": DENIED,
    "UPDATE users SET tenant_id = NULL WHERE id = {colleague}": DENIED,
    "UPDATE users SET tenant_id = {there} WHERE id = {me}": DENIED,
    "UPDATE users SET role = 'platform_admin' WHERE id = {colleague}": DENIED,
    "UPDATE users SET role = 'platform_admin' WHERE id = {me}": DENIED,
    "UPDATE users SET role = 'employee' WHERE id = {me}": DENIED,
    "INSERT INTO users (id, tenant_id, username, email, password_hash)"
    " VALUES ({other}, {here}, '', 'n@example.com', '')"
    " ON CONFLICT (id) DO UPDATE SET tenant_id = {here}": DENIED,
    f"{NEW_USER} SELECT {{here}}, '', 'mail-other-employee-q@example.com', ''"
    " ON CONFLICT (email) DO UPDATE SET first_name = users.last_name RETURNING *": DENIED,
    "INSERT INTO role_codes (tenant_id, code) VALUES ({there}, 'KKKKKKKKKKKKKKKK')": DENIED,
    "UPDATE role_codes SET tenant_id = {there} WHERE tenant_id = {here}": DENIED,
    "INSERT INTO password_resets (user_id, token, expires_at) VALUES ({other}, 'x', now())": DENIED,
    "UPDATE password_resets SET user_id = {other} WHERE user_id = {colleague}": DENIED,
    "INSERT INTO work_sessions (user_id, start_time) VALUES ({other}, now())": DENIED,
    "UPDATE work_sessions SET user_id = {other} WHERE id = {session}": DENIED,
    "UPDATE work_sessions SET user_id = {me} WHERE id = {session}": errors.CheckViolation,
    "UPDATE work_sessions SET id = id + 1000000 WHERE id = {session}": errors.CheckViolation,
    "COPY users (tenant_id, username, email, password_hash) FROM STDIN": errors.FeatureNotSupported,
    "INSERT INTO import_quarantine (source_id, tenant, table_name, row, reason_code, reason, digest)"
    " SELECT 1, {there}, 'users', '{{}}', 'x', 'x', ''": DENIED,
    # to write history
    "INSERT INTO work_session_history SELECT * FROM work_session_history": DENIED,
    "UPDATE work_session_history SET reason = 'x' WHERE user_id = {me}": DENIED,
    "DELETE FROM work_session_history WHERE user_id = {me}": DENIED,
    "TRUNCATE work_session_history": DENIED,
    "INSERT INTO audit_events (at, kind, door) VALUES (now(), 'x', 'clock')": DENIED,
    "UPDATE audit_events SET reason = 'x'": DENIED,
    "DELETE FROM audit_events": DENIED,
    "SELECT nextval('work_session_history_id_seq')": DENIED,
    "SELECT setval('users_id_seq', 1)": DENIED,
    # to have history removed, or sooner
    "SELECT purge_work_sessions({colleague}, 'x', 1)": DENIED,
    "SELECT purge_work_sessions({other}, 'x', 1)": DENIED,
    "SELECT purge_audit_events({here}, 'x', 1)": DENIED,
    "SELECT purge_import_quarantine({here}, 'x', 1)": DENIED,
    "SELECT record_purge('retention.audit_events', {here}, '{{}}')": DENIED,
    "SELECT who_purges()": DENIED,
    "UPDATE tenants SET retention_months = 36 WHERE id = {here}": DENIED,
    "SELECT who_changes()": DENIED,
    "SELECT record_work_session_history()": DENIED,
    "SELECT record_event('users.update', {me}, '{{}}')": DENIED,
    "SELECT record_event('sign_in.failed', {other}, '{{}}')": DENIED,
    # to take the barriers down
    "TRUNCATE users CASCADE": DENIED,
    "TRUNCATE work_sessions": DENIED,
    "ALTER TABLE work_sessions DISABLE TRIGGER ALL": DENIED,
    "ALTER TABLE users DISABLE ROW LEVEL SECURITY": DENIED,
    "ALTER TABLE users OWNER TO timerecord_app": DENIED,
    "DROP POLICY see ON users": DENIED,
    "CREATE POLICY mine ON users USING (true)": DENIED,
    "CREATE RULE mine AS ON INSERT TO users DO NOTHING": DENIED,
    "CREATE TRIGGER mine AFTER INSERT ON users EXECUTE FUNCTION suppress_redundant_updates_trigger()": DENIED,
    "CREATE INDEX mine ON users (length(email))": DENIED,
    "DROP TABLE work_session_history": DENIED,
    "CREATE OR REPLACE FUNCTION scope_all() RETURNS boolean LANGUAGE sql STABLE RETURN true": DENIED,
    "ALTER FUNCTION scope() RESET search_path": DENIED,
    "DROP FUNCTION scope() CASCADE": DENIED,
    "SELECT * FROM scope_keys": DENIED,
    "INSERT INTO scope_keys VALUES ('', '')": DENIED,
    "LOCK TABLE scope_keys": DENIED,
    "SET row_security = off; SELECT * FROM users": DENIED,
    "SET session_replication_role = replica": DENIED,
    "SET track_activities = on": DENIED,
    # to become somebody else
    "SET ROLE timerecord_owner": DENIED,
    "SET ROLE timerecord_import": DENIED,
    "SET ROLE pg_read_all_data": DENIED,
    "SET SESSION AUTHORIZATION timerecord_owner": DENIED,
    "GRANT timerecord_owner TO timerecord_app": DENIED,
    "ALTER ROLE timerecord_app BYPASSRLS": DENIED,
    "ALTER ROLE timerecord_app SUPERUSER": DENIED,
    "ALTER ROLE timerecord_owner PASSWORD 'x'": DENIED,
    "ALTER ROLE timerecord_owner SET search_path = public": DENIED,
    "CREATE ROLE mine": DENIED,
    # to leave something behind for the next one on this connection, or to look at rows by a function
    "CREATE TABLE mine ()": DENIED,
    "CREATE TABLE public.users ()": DENIED,
    "CREATE SCHEMA mine": DENIED,
    "CREATE TEMPORARY TABLE users (LIKE users)": DENIED,
    "CREATE TEMPORARY VIEW users AS SELECT 1": DENIED,
    "CREATE TEMPORARY SEQUENCE users_id_seq": DENIED,
    "CREATE FUNCTION pg_temp.scope_all() RETURNS boolean LANGUAGE sql RETURN true": DENIED,
    "CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001"
    " AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END'": DENIED,
    "CREATE EXTENSION hstore": DENIED,
    # to leave the database
    "SELECT pg_read_file('/etc/passwd')": DENIED,
    "SELECT pg_ls_dir('.')": DENIED,
    "SELECT lo_import('/etc/passwd')": DENIED,
    "COPY users TO '/tmp/users'": DENIED,
    "COPY users TO PROGRAM 'cat'": DENIED,
    "SELECT pg_reload_conf()": DENIED,
    "LOAD 'auto_explain'": DENIED,
}  # fmt: skip


@pytest.mark.parametrize("statement", REFUSED)
def test_refused(psql: On, world: World, statement: str) -> None:
    before = everything()
    with pytest.raises(REFUSED[statement]), within(psql, world.own_admin.admin):
        psql.execute(statement.format(**names(world)).encode())
    assert everything() == before


class TestAsAnEmployee:
    """With their own scope only."""

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE users SET role = 'tenant_admin' WHERE id = {me}",
            "UPDATE users SET tenant_id = {there} WHERE id = {me}",
            "UPDATE users SET status = 'suspended' WHERE id = {me}",
            "UPDATE users SET id = {other} + 1000 WHERE id = {me}",
            f"{NEW_USER} VALUES ({{here}}, '', 'n@example.com', '')",
            "INSERT INTO role_codes (tenant_id, code) VALUES ({here}, 'KKKKKKKKKKKKKKKK')",
            "INSERT INTO work_sessions (user_id, start_time) VALUES ({colleague}, now())",
            "INSERT INTO work_sessions (user_id, start_time, end_time) VALUES ({me}, '2026-01-01', now())",
            "INSERT INTO work_sessions (user_id, start_time, end_unknown) VALUES ({me}, now(), true)",
            "INSERT INTO password_resets (user_id, token, expires_at) VALUES ({colleague}, 'x', now())",
        ],
    )
    def test_refused(self, psql: On, world: World, statement: str) -> None:
        given = names(world) | {"me": world.themselves.user.pk}
        with pytest.raises(DENIED), within(psql, world.themselves.own):
            psql.execute(statement.format(**given).encode())

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE work_sessions SET start_time = start_time - '1 h'::interval WHERE end_time IS NOT NULL",
            "UPDATE work_sessions SET end_time = now() WHERE end_time IS NOT NULL",
            "DELETE FROM work_sessions",
            "DELETE FROM users",
            "UPDATE tenants SET name = 'mine'",
            "DELETE FROM tenants",
            "UPDATE users SET first_name = 'x' WHERE id <> {me}",
        ],
    )
    def test_the_past_and_everybody_else_stay(self, psql: On, world: World, statement: str) -> None:
        with within(psql, world.themselves.own):
            assert psql.execute(statement.format(me=world.themselves.user.pk).encode()).rowcount == 0

    def test_through_the_clock_nobody_changes_a_colleagues_punch(self, psql: On, world: World) -> None:
        """A scope that reached the tenant through the wrong door would be stopped by the history."""
        wrong = world.own_admin.admin.replace(door=Door.CLOCK)
        query = b"UPDATE work_sessions SET end_time = now() WHERE user_id = %s"
        with pytest.raises(errors.CheckViolation), within(psql, wrong):
            psql.execute(query, [world.colleague.user.pk])


class TestPlatformAdminOfTheTenant:
    """Should a platform admin belong to a tenant, its admins do not get hold of the account."""

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE users SET password_hash = 'mine' WHERE id = {colleague}",
            "UPDATE users SET password_hash = 'mine', role = 'employee' WHERE id = {colleague}",
            "UPDATE users SET role = 'employee' WHERE id = {colleague}",
            "INSERT INTO password_resets (user_id, token, expires_at) VALUES ({colleague}, 'x', now())",
            "DELETE FROM users WHERE id = {colleague}",
        ],
    )
    def test_untouched(self, psql: On, world: World, statement: str) -> None:
        with within(psql, EVERYTHING):
            psql.execute("UPDATE users SET role = 'platform_admin' WHERE id = %s", [world.colleague.user.pk])
            psql.execute("DELETE FROM work_sessions WHERE user_id = %s", [world.colleague.user.pk])
            psql.execute(tell(world.own_admin.admin))
            query = statement.format(**names(world)).encode()
            if statement.startswith("DELETE"):
                assert psql.execute(query).rowcount == 0
            else:
                with pytest.raises(DENIED):
                    psql.execute(query)


class TestSessions:
    """Of browsers, in the table `sessions`: nobody takes one over, whatever SQL they run."""

    def ids(self, psql: On, wanted: Scope) -> dict[int, str]:
        with within(psql, wanted):
            return {
                user: id_
                for user, id_ in psql.execute("SELECT user_id, id FROM sessions").fetchall()
                if isinstance(user, int)
            }

    def test_no_key_is_there_to_be_sent(self, psql: On, world: World) -> None:
        for id_ in self.ids(psql, EVERYTHING).values():
            assert SessionStore(id_).load() == {}

    def test_whose_are_seen(self, psql: On, world: World) -> None:
        here = {p.user.pk for p in world.people.values() if p.user.tenant_id == world.here.pk}
        assert set(self.ids(psql, world.own_admin.admin)) == here
        assert set(self.ids(psql, world.themselves.own)) == {world.themselves.user.pk}

    def test_what_is_known_of_one_makes_no_other(self, psql: On, world: World) -> None:
        """The signed data of somebody's session, put under the id of a key that the thief has."""
        key = "k" * 32
        with scope.enter(EVERYTHING):
            stolen = Session.objects.get(user=world.platform_admin.user)
        psql.execute(
            "SELECT create_session(%s, %s, %s, NULL, %s, %s, %s)",
            [id_of(key), stolen.data, stolen.user_id, stolen.created_at, stolen.seen_at, stolen.expires_at],
        )
        try:
            assert SessionStore(key).load() == {}
        finally:
            psql.execute("SELECT remove_session(%s)", [id_of(key)])

    def test_the_own_one_is_not_made_somebody_elses(self, psql: On, world: World) -> None:
        me, other = world.themselves.user.pk, world.other_employee.user.pk
        with scope.enter(EVERYTHING):
            mine = Session.objects.get(user=me)
        with psql.transaction(force_rollback=True):
            given = [
                mine.pk,
                mine.data,
                other,
                world.there.pk,
                mine.seen_at,
                mine.expires_at,
                mine.created_at,
            ]
            psql.execute("SELECT replace_session(%s, %s, %s, %s, %s, %s, %s)", given)
            psql.execute(tell(world.other_admin.admin))
            row = psql.execute(
                "SELECT id, data, created_at, seen_at, expires_at, user_id, tenant_id FROM sessions"
                " WHERE id = %s",
                [mine.pk],
            ).fetchone()
        assert row
        id_, data, created, seen, expires, user, tenant = row
        assert (user, tenant) == (other, world.there.pk)
        # It is in the other tenant's table, but not on its pages.
        named = Record(
            id=id_, data=data, created=created, seen=seen, expires=expires,
            user=user, tenant=tenant, device="", address="",
        )  # fmt: skip
        assert as_signed(named) is None

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO sessions (id, data, user_id, created_at, seen_at, expires_at)"
            " VALUES ('x', 'x', {me}, now(), now(), now())",
            "UPDATE sessions SET expires_at = 'infinity'",
            "UPDATE sessions SET user_id = {other}",
        ],
    )
    def test_no_row_is_made_or_changed(self, psql: On, world: World, statement: str) -> None:
        for mine in (world.own_admin.admin, world.themselves.own):
            with pytest.raises(DENIED), within(psql, mine):
                psql.execute(statement.format(**names(world)).encode())

    def test_nobody_elses_is_cleared_away(self, psql: On, world: World) -> None:
        before = self.ids(psql, EVERYTHING)
        with psql.transaction(force_rollback=True):
            psql.execute("SELECT clear_sessions('infinity')")
            psql.execute(tell(EVERYTHING))
            kept = psql.execute("SELECT user_id, id FROM sessions").fetchall()
        assert dict(kept) == before


class TestWhatErrorsAndPlansTell:
    """Nobody else's values; but that an address is taken, and how many rows were passed over."""

    def test_a_taken_address_is_refused_without_its_row(self, psql: On, world: World) -> None:
        taken = world.other_employee.user.email
        with pytest.raises(errors.UniqueViolation) as refusal, within(psql, world.own_admin.admin):
            psql.execute(
                f"{NEW_USER} VALUES (%s, '', %s, '')".encode(),
                [world.here.pk, taken],
            )
        assert refusal.value.diag.constraint_name == "users_email_key"
        assert refusal.value.diag.message_detail is None
        assert taken not in str(refusal.value)

    @pytest.mark.parametrize(
        "condition", ["1 / (id - {other}) >= 0", "email ~ (CASE id WHEN {other} THEN '(' ELSE 'x' END)"]
    )
    def test_a_condition_is_put_to_visible_rows_only(self, psql: On, world: World, condition: str) -> None:
        query = f"SELECT count(*) FROM users WHERE {condition.format(**names(world))}".encode()
        with within(psql, EVERYTHING), pytest.raises(errors.DataError):
            psql.execute(query)
        with within(psql, world.own_admin.admin):
            assert psql.execute(query).fetchone()

    def test_and_its_failure_tells_of_no_other(self, psql: On, world: World) -> None:
        with pytest.raises(errors.InvalidTextRepresentation) as refusal, within(psql, world.themselves.own):
            psql.execute("SELECT count(*) FROM users WHERE email::int = 0")
        assert {mark for mark in world.marks() if mark in str(refusal.value)} == {world.themselves.user.email}

    def test_a_plan_tells_counts_and_no_values(self, psql: On, world: World) -> None:
        # PostgreSQL counts the rows that policies passed over: whoever can send EXPLAIN ANALYZE learns, guess
        # by guess, whether there are rows that match. docs/adr/0008-tenant-isolation.md: taken into account.
        query = b"EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM users WHERE email > 'm'"
        with within(psql, world.own_admin.admin):
            plan = str(psql.execute(query).fetchall())
        assert "Rows Removed by Filter" in plan
        assert {mark for mark in world.marks() if mark in plan} == set()

    def test_a_role_may_change_its_own_settings_and_bootstrap_tells(self, psql: On, world: World) -> None:
        with connect("owner") as on, psql.transaction(force_rollback=True):
            psql.execute("ALTER ROLE timerecord_app SET search_path = public")
            assert list(database.cluster(on)) == []  # seen by nobody else yet
            found = [difference.text for difference in database.cluster(psql)]
        assert found == ["role timerecord_app: search_path is public, should be timerecord"]
