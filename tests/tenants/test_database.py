"""Roles, schema and rights: made from nothing by somebody who is no superuser, mended where they differ."""

import hmac
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, connections
from psycopg import sql

from tenants import database, scope

LAUNCHER = settings.BASE_DIR / "script" / "with_postgres.py"
SECONDS = 120  # nothing here takes that long
# As the master user of RDS is: may make roles and databases, and owns what it made. Nothing else.
FROM_NOTHING = """
set -e
psql -qc "CREATE ROLE master LOGIN CREATEROLE CREATEDB"
psql -qc "CREATE DATABASE service OWNER master"
at="@/service?host=$PGHOST&port=$PGPORT"
export DATABASE_ADMIN_URL="postgresql://master$at" DATABASE_URL="postgresql://timerecord_app:one$at"
export DATABASE_OWNER_URL="postgresql://timerecord_owner:two$at" DATABASE_IMPORT_URL="postgresql://timerecord_import$at"
{python} manage.py bootstrap_database --check && exit 9
{python} manage.py bootstrap_database
{python} manage.py bootstrap_database
{python} manage.py bootstrap_database --check
{python} manage.py migrate --verbosity 0
{python} manage.py bootstrap_database --check
DATABASE_OWNER_URL= {python} manage.py migrate --verbosity 0 && exit 9
psql -qAt service -c "SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL ORDER BY 1"
psql -qAt service -c "SELECT count(*) > 10 FROM pg_tables WHERE schemaname = 'timerecord'"
psql -qAt service -c "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
SECRET_KEY={new} {python} manage.py bootstrap_database
SECRET_KEY={new} SECRET_KEY_FALLBACKS={old} {python} manage.py bootstrap_database
"""


def test_from_nothing_by_a_master_user(tmp_path: Path) -> None:
    new, old = "n" * 50, settings.SECRET_KEY
    done = subprocess.run(
        [
            *(sys.executable, str(LAUNCHER), "--fast", "--", "sh", "-c"),
            FROM_NOTHING.format(python=sys.executable, new=new, old=old),
        ],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "LOCAL_TRIAL": "true", "TMPDIR": str(tmp_path), "SECRET_KEY": old},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "differs: role timerecord_owner is missing"
    assert "mended: schema timerecord is missing" in lines
    assert lines.count("Nothing differed.") == 1
    assert lines.count("The database is as it should be.") == 2
    rest = lines[len(lines) - lines[::-1].index("The database is as it should be.") :]
    assert rest == [
        "timerecord_app",
        "timerecord_owner",
        "t",
        "0",
        "mended: a secret key in use cannot seal scopes yet",
        "mended: a secret key that is not in use any more can seal scopes",
        "2 differences mended.",
        "mended: a secret key in use cannot seal scopes yet",
        "1 differences mended.",
    ]
    assert "run bootstrap_database without --check" in done.stderr
    assert "Migrations run as the role timerecord_owner" in done.stderr


def everything_inside(on: database.Connection) -> Iterator[database.Difference]:
    return database.inside(on, scope.keys(), forget_others=True)


@pytest.mark.django_db(databases=["default", "owner"])
def test_a_migration_with_another_secret_key_leaves_the_servers_theirs() -> None:
    owner = connections["owner"]
    owner.ensure_connection()
    added = database.mend(owner.connection, database.inside(owner.connection, [scope.key("another")]))
    assert [difference.text for difference in added] == ["a secret key in use cannot seal scopes yet"]
    assert [difference.text for difference in everything_inside(owner.connection)] == [
        "a secret key that is not in use any more can seal scopes"
    ]


@pytest.mark.django_db
def test_a_setting_for_one_database_goes_before_the_roles(request: pytest.FixtureRequest) -> None:
    name = connection.settings_dict["NAME"]
    with psycopg.connect(settings.DATABASE_ADMIN_URL, dbname=name, autocommit=True) as on:
        on.execute(
            sql.SQL("ALTER ROLE timerecord_app IN DATABASE {} SET search_path = public").format(
                sql.Identifier(name)
            )
        )
        found = database.mend(on, database.cluster(on))
        assert "role timerecord_app: search_path is set for this database, should not be" in [
            difference.text for difference in found
        ]
        assert list(database.cluster(on)) == []


@pytest.mark.django_db(databases=["default", "owner"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("GRANT TRUNCATE ON users TO timerecord_app", "role timerecord_app has TRUNCATE on users"),
        (
            "GRANT UPDATE ON work_session_history TO timerecord_import",
            "role timerecord_import has UPDATE on work_session_history",
        ),
        ("GRANT SELECT ON scope_keys TO timerecord_app", "role timerecord_app has SELECT on scope_keys"),
        ("REVOKE INSERT ON users FROM timerecord_app", "role timerecord_app lacks INSERT on users"),
        (
            "REVOKE ALL ON SEQUENCE users_id_seq FROM timerecord_import",
            "role timerecord_import lacks UPDATE on users_id_seq",
        ),
        (
            "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
            "table users has policies, but no row-level security",
        ),
        (
            "ALTER TABLE work_sessions DISABLE TRIGGER work_sessions_history_update",
            "trigger work_sessions_history_update of work_sessions is not always enabled",
        ),
        ("GRANT CREATE ON SCHEMA timerecord TO timerecord_app", "role timerecord_app has not USAGE alone"),
        (
            "ALTER DEFAULT PRIVILEGES IN SCHEMA timerecord REVOKE DELETE ON TABLES FROM timerecord_app",
            "role timerecord_app will not get DELETE, INSERT, SELECT, UPDATE on new tables",
        ),
        ("DELETE FROM scope_keys", "a secret key in use cannot seal scopes yet"),
        ("INSERT INTO scope_keys VALUES ('old', 'old')", "a secret key that is not in use any more"),
        (
            "CREATE OR REPLACE FUNCTION scope_all() RETURNS boolean LANGUAGE sql STABLE RETURN true;"
            " COMMENT ON FUNCTION scope() IS 'of another version'",
            "the functions of the scope are not those of this version",
        ),
    ],
)
def test_what_differs_is_named_and_mended(spoil: str, said: str) -> None:
    owner = connections["owner"]
    owner.ensure_connection()
    on = owner.connection
    on.execute(sql.SQL(spoil))
    assert said in " ".join(difference.text for difference in everything_inside(on))
    assert database.mend(on, everything_inside(on))
    assert list(everything_inside(on)) == []
    assert on.execute(sql.SQL("SELECT pg_get_functiondef('scope_all'::regproc)")).fetchone()[0].count("reach")


@pytest.mark.django_db
def test_pages_and_tests_run_as_an_ordinary_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, session_user, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,"
            " current_setting('search_path'), current_setting('TimeZone'),"
            " current_setting('statement_timeout') <> '0', current_setting('jit')"
            " FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchall() == [
            ("timerecord_app", "timerecord_app", False, False, False, False, "timerecord", "UTC", True, "off")
        ]


def test_without_an_administrator_the_command_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DATABASE_ADMIN_URL", "")
    with pytest.raises(CommandError, match="DATABASE_ADMIN_URL is not set"):
        call_command("bootstrap_database")
    monkeypatch.setattr(settings, "DATABASE_ADMIN_URL", "postgresql://nobody@/?host=/nowhere")
    with pytest.raises(CommandError, match="The server of DATABASE_ADMIN_URL refused"):
        call_command("bootstrap_database")


class TestConnectedAs:
    def test_another_role_and_back(self, transactional_db: None) -> None:
        def role() -> str:
            with connection.cursor() as cursor:
                cursor.execute("SELECT session_user")
                return str(cursor.fetchone()[0])

        with database.connected_as("import"):
            assert role() == database.IMPORT
            with database.connected_as("import"):
                assert role() == database.IMPORT
        assert role() == database.APP

    def test_without_its_variable_the_application_is_refused(self) -> None:
        with (
            pytest.raises(database.RoleError, match="DATABASE_ELSEWHERE_URL is not set"),
            database.connected_as("elsewhere"),
        ):
            pytest.fail("it went on")

    def test_the_import_says_so(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delitem(connections.settings, "import")
        with pytest.raises(SystemExit) as end:
            call_command("import_sqlite", str(tmp_path / "any.sqlite3"))
        assert end.value.code == 2
        assert "STOPPED: DATABASE_IMPORT_URL is not set" in capsys.readouterr().out


def test_a_seal_is_hmac_sha_256_as_everybody_else_computes_it(db: None) -> None:
    """Against PostgreSQL's own arithmetic: if the pads were wrong, nothing at all would work."""
    with psycopg.connect(settings.DATABASE_ADMIN_URL, dbname=connection.settings_dict["NAME"]) as on:
        inner, outer = database._pads(scope.key("secret"))
        found = on.execute(
            "SELECT encode(sha256(%s::bytea || sha256(%s::bytea || 'text'::bytea)), 'hex')", [outer, inner]
        ).fetchone()
    assert found == (hmac.new(scope.key("secret"), b"text", "sha256").hexdigest(),)
