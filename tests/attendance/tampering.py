"""What the owner of the database can do behind the application's back, and what is then found."""

import contextlib
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, connections

from tenants.database import SCHEMA

On = psycopg.Connection[tuple[Any, ...]]
OFF = "ALTER TABLE work_sessions DISABLE TRIGGER USER"
ALWAYS = (
    "SELECT format('ALTER TABLE work_sessions ENABLE ALWAYS TRIGGER %I', tgname) FROM pg_trigger"
    " WHERE tgrelid = 'work_sessions'::regclass AND NOT tgisinternal"
)
# As the triggers leave it: each row from some number on follows the one before it.
REWRITE = """
    DO $$
    DECLARE
        entry work_session_history;
        last bytea := decode(repeat('00', 32), 'hex');
    BEGIN
        FOR entry IN SELECT * FROM work_session_history WHERE user_id = {user} ORDER BY seq LOOP
            entry.previous := last;
            last := work_session_history_digest(entry);
            UPDATE work_session_history SET previous = entry.previous, digest = last WHERE id = entry.id;
        END LOOP;
    END $$
"""
# Ids as an old database left them: not one after the other.
INCOMING = """
    INSERT INTO work_sessions (id, user_id, start_time, end_time)
    SELECT 1000 + n * 7, %s, '2020-01-01'::timestamptz + n * '1 day'::interval,
        '2020-01-01 08:00'::timestamptz + n * '1 day'::interval
    FROM generate_series(1, 5) AS n
"""


def connect(alias: str) -> On:
    given = connection.get_connection_params() | {
        key.lower(): connections[alias].settings_dict[key] for key in ("USER", "PASSWORD")
    }
    keys = ("host", "port", "user", "password", "dbname")
    return psycopg.connect(**{key: given[key] for key in keys if given.get(key)}, autocommit=True)


@contextlib.contextmanager
def no_triggers(owner: On) -> Iterator[None]:
    owner.execute(OFF)
    try:
        yield
    finally:
        for (statement,) in owner.execute(ALWAYS).fetchall():
            owner.execute(statement)


def past_the_foreign_keys(statement: str, values: list[Any]) -> None:
    """Do what a superuser alone can: no trigger and no foreign key looks at it."""
    given = {"dbname": connection.settings_dict["NAME"], "options": f"-c search_path={SCHEMA}"}
    with psycopg.connect(settings.DATABASE_ADMIN_URL, autocommit=True, **given) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(statement, values)


def found(**options: str) -> list[str]:
    """Run the command and return its lines, less the tenant, which is the same in all."""
    output = StringIO()
    said = ""
    try:
        call_command("verify_history", stdout=output, **options)
    except CommandError as error:
        said = str(error)
    *lines, last = [*output.getvalue().splitlines(), said] if said else output.getvalue().splitlines()
    assert last.startswith(f"{len(lines)} findings in " if lines else "Nothing to find in ")
    return [line.split(", ", 1)[1] for line in lines]
