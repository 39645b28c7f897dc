"""What the database has to be before a migration runs: roles, schema, rights, and the scope's functions.

Each point is compared with what is there, and only a difference is mended; so everything here can run at
any time, again, and without writing. docs/adr/0008-tenant-isolation.md says why it is so.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
from django.db import connection, connections
from psycopg import sql

SCHEMA: Final = "timerecord"
OWNER: Final = "timerecord_owner"  # owns everything, migrates, is not bound by policies
APP: Final = "timerecord_app"  # serves the pages, bound by policies
IMPORT: Final = "timerecord_import"  # moves customers in, sees everything by policies of its own
ROLES: Final = (OWNER, APP, IMPORT)
GUESTS: Final = (APP, IMPORT)

SCOPE_SQL: Final = (Path(__file__).with_name("sql") / "scope.sql").read_text(encoding="utf-8")
SCOPE_DIGEST: Final = hashlib.sha256(SCOPE_SQL.encode()).hexdigest()

EVERYBODY = {"search_path": SCHEMA, "TimeZone": "UTC"}  # names as PostgreSQL writes them
SETTINGS: Final[dict[str, dict[str, str]]] = {
    # A migration that waits for a lock keeps everybody waiting who comes after it.
    OWNER: EVERYBODY | {"lock_timeout": "10s"},
    # A request ends after 30 s; what it had asked for would go on without these.
    APP: EVERYBODY
    | {"statement_timeout": "25s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"},
    IMPORT: EVERYBODY,
}
CRUD: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
# What nobody but the owner may do to any table.
FORBIDDEN: Final = ("TRUNCATE", "REFERENCES", "TRIGGER")
# Triggers write here; everybody else reads.
EVIDENCE: Final = ("work_session_history", "audit_events")
SEQUENCE_RIGHTS: Final = {APP: frozenset({"USAGE"}), IMPORT: frozenset({"USAGE", "SELECT", "UPDATE"})}


class RoleError(RuntimeError):
    """What was asked for is another role's to do."""


@contextlib.contextmanager
def connected_as(alias: str) -> Iterator[None]:
    """Make the default connection another role's, for a command that is run for nothing else.

    No other thread may be using it. Where the role is the right one already, nothing happens. RoleError if
    nothing says how to reach the role, and the application's cannot take its place.
    """
    if alias not in connections and connection.settings_dict["USER"] == APP:
        raise RoleError(f"DATABASE_{alias.upper()}_URL is not set: the application's role may not do this.")
    here = connection.settings_dict
    there = connections[alias].settings_dict if alias in connections else here
    names = ("USER", "PASSWORD")
    before = {name: here[name] for name in names}
    if before == {name: there[name] for name in names}:
        yield
        return
    connection.close()
    here.update({name: there[name] for name in names})
    try:
        yield
    finally:
        connection.close()
        here.update(before)


Connection = psycopg.Connection[Any]


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is not as it should be, and the statements that mend it."""

    text: str
    mend: sql.Composed | sql.SQL


def mend(on: Connection, differences: Iterable[Difference]) -> list[Difference]:
    """Mend differences as they are found; return them."""
    mended = []
    for difference in differences:
        on.execute(difference.mend)
        mended.append(difference)
    return mended


def cluster(on: Connection) -> Iterator[Difference]:
    """Yield what is wrong with the roles. To mend it, a superuser is needed, or one who may make roles."""
    there = {
        row[0]: row[1:]
        for row in _rows(
            on,
            "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication,"
            " coalesce(rolconfig, '{{}}') FROM pg_roles WHERE rolname = ANY ({})",
            sql.Literal(list(ROLES)),
        )
    }
    for role in ROLES:
        name = sql.Identifier(role)
        if role not in there:
            yield Difference(f"role {role} is missing", _sql("CREATE ROLE {} LOGIN", name))
        can_login, may_too_much, config = there.get(role, (True, False, []))
        if not can_login or may_too_much:
            yield Difference(
                f"role {role} cannot sign in, or is more than an ordinary role",
                _sql("ALTER ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION", name),
            )
        found: dict[str, str] = dict(entry.split("=", 1) for entry in config)
        for setting, value in SETTINGS[role].items():
            if found.get(setting) != value:
                yield Difference(
                    f"role {role}: {setting} is {found.get(setting, 'not set')}, should be {value}",
                    _sql("ALTER ROLE {} SET {} = {}", name, sql.Identifier(setting), sql.Literal(value)),
                )
    for member, role in _rows(
        on,
        "SELECT m.member::regrole::text, m.roleid::regrole::text FROM pg_auth_members m"
        " JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = ANY ({})",
        sql.Literal(list(GUESTS)),
    ):
        if role in ROLES:
            yield Difference(
                f"role {member} is a member of {role}, and so has its rights",
                _sql("REVOKE {} FROM {}", sql.Identifier(str(role)), sql.Identifier(str(member))),
            )
    yield from _activities(on)


def _activities(on: Connection) -> Iterator[Difference]:
    """Sessions of a role see each other's statements in pg_stat_activity: other tenants' values, seals."""
    if (True,) in _shown_activities(on):
        yield Difference(
            f"role {APP}: track_activities is on, should be off",
            _sql("ALTER ROLE {} SET track_activities = off", sql.Identifier(APP)),
        )


def beyond_reach(on: Connection) -> list[str]:
    """Return what should be otherwise, but is not for this administrator to mend."""
    if (False,) not in _shown_activities(on):
        return []
    return [
        f"sessions of {APP} can read each other's statements in pg_stat_activity: a superuser may set "
        f"track_activities = off for the role, else it is a parameter of the server."
    ]


def _shown_activities(on: Connection) -> list[tuple[object, ...]]:
    """Return whether this administrator may turn them off, in one row; no row if they are off."""
    return _rows(
        on,
        "SELECT has_parameter_privilege('track_activities', 'SET') FROM pg_settings"
        " WHERE name = 'track_activities' AND reset_val <> 'off' AND NOT EXISTS (SELECT FROM pg_roles"
        " WHERE rolname = {} AND 'track_activities=off' = ANY (rolconfig))",
        sql.Literal(APP),
    )


def schema(on: Connection) -> Iterator[Difference]:
    """Yield what is wrong about the schema being there and whose. To mend it, as for the cluster."""
    owner, name = sql.Identifier(OWNER), sql.Identifier(SCHEMA)
    found = _rows(
        on, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = {}", sql.Literal(SCHEMA)
    )
    if not found:
        yield Difference(
            f"schema {SCHEMA} is missing", _sql("CREATE SCHEMA {} AUTHORIZATION {}", name, owner)
        )
    elif found != [(OWNER,)]:
        yield Difference(
            f"schema {SCHEMA} does not belong to {OWNER}", _sql("ALTER SCHEMA {} OWNER TO {}", name, owner)
        )
    yield from _temporary(on)
    # Before there was a schema of its own, everything was in the one that every database has.
    for (table,) in _rows(
        on,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND to_regclass('public.django_migrations') IS NOT NULL"
        " AND to_regclass('public.work_sessions') IS NOT NULL",
    ):
        yield Difference(
            f"table {table} is in the schema public",
            _sql(
                "ALTER TABLE public.{1} SET SCHEMA {0}; GRANT {2} ON {0}.{1} TO {3}, {4}",
                name,
                sql.Identifier(str(table)),
                sql.SQL(", ".join(sorted(CRUD))),
                *map(sql.Identifier, GUESTS),
            ),
        )
    for kind, thing in _rows(
        on,
        "SELECT 'TABLE', oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace({0})"
        " AND relkind = 'r' AND relowner <> {1}::regrole"
        " UNION ALL SELECT 'FUNCTION', oid::regprocedure::text FROM pg_proc"
        " WHERE pronamespace = to_regnamespace({0}) AND proowner <> {1}::regrole",
        sql.Literal(SCHEMA),
        sql.Literal(OWNER),
    ):
        yield Difference(
            f"{str(kind).lower()} {thing} does not belong to {OWNER}",
            _sql("ALTER {} {} OWNER TO {}", sql.SQL(str(kind)), sql.SQL(str(thing)), owner),
        )


def _temporary(on: Connection) -> Iterator[Difference]:
    """Nobody leaves a table of their own before ours on a connection that others use after them."""
    if _rows(
        on, "SELECT 1 WHERE has_database_privilege({}, current_database(), 'TEMPORARY')", sql.Literal(APP)
    ):
        ((database,),) = _rows(on, "SELECT current_database()")
        yield Difference(
            f"role {APP} may make temporary tables, which hide those of the schema",
            _sql(
                "REVOKE TEMPORARY ON DATABASE {0} FROM PUBLIC, {1};"
                " GRANT TEMPORARY ON DATABASE {0} TO {2}, {3}",
                sql.Identifier(str(database)),
                *map(sql.Identifier, (APP, OWNER, IMPORT)),
            ),
        )


def inside(on: Connection, keys: Iterable[bytes]) -> Iterator[Difference]:
    """Yield what is wrong inside the schema. The owner mends it; `keys` are those of the scope's seals."""
    for role in GUESTS:
        if _rows(
            on,
            "SELECT 1 WHERE NOT has_schema_privilege({0}, {1}, 'USAGE')"
            " OR has_schema_privilege({0}, {1}, 'CREATE')",
            sql.Literal(role),
            sql.Literal(SCHEMA),
        ):
            yield Difference(
                f"role {role} has not USAGE alone on schema {SCHEMA}",
                _sql("REVOKE ALL ON SCHEMA {0} FROM {1}; GRANT USAGE ON SCHEMA {0} TO {1}", *_names(role)),
            )
        yield from _default_privileges(on, role)
        yield from _excess(on, role)
    if not _rows(
        on,
        "SELECT 1 FROM pg_proc WHERE oid = to_regprocedure({}) AND obj_description(oid, 'pg_proc') = {}",
        sql.Literal(f"{SCHEMA}.scope()"),
        sql.Literal(SCOPE_DIGEST),
    ):
        yield Difference(
            "the functions of the scope are not those of this version",
            sql.SQL(SCOPE_SQL)
            + _sql("COMMENT ON FUNCTION timerecord.scope() IS {}", sql.Literal(SCOPE_DIGEST)),
        )
    yield from _keys(on, {_pads(key) for key in keys})


def _default_privileges(on: Connection, role: str) -> Iterator[Difference]:
    """What the role will be given on tables and sequences that migrations make."""
    for kind, code, wanted in (("TABLES", "r", CRUD), ("SEQUENCES", "S", SEQUENCE_RIGHTS[role])):
        found = {
            str(privilege)
            for (privilege,) in _rows(
                on,
                "SELECT given.privilege_type FROM pg_default_acl, aclexplode(defaclacl) AS given"
                " WHERE defaclrole = {}::regrole AND defaclnamespace = to_regnamespace({})"
                " AND defaclobjtype = {} AND given.grantee = {}::regrole",
                sql.Literal(OWNER),
                sql.Literal(SCHEMA),
                sql.Literal(code),
                sql.Literal(role),
            )
        }
        if not wanted <= found:
            yield Difference(
                f"role {role} will not get {', '.join(sorted(wanted))} on new {kind.lower()}",
                _sql(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {2} IN SCHEMA {0} GRANT {3} ON {4} TO {1}",
                    *_names(role),
                    sql.Identifier(OWNER),
                    sql.SQL(", ".join(sorted(wanted))),
                    sql.SQL(kind),
                ),
            )


def _excess(on: Connection, role: str) -> Iterator[Difference]:
    """Rights on tables that only the owner should have."""
    for table, right in _rows(
        on,
        "SELECT oid::regclass::text, right_ FROM pg_class, unnest({0}::text[] || {1}::text[]) AS right_"
        " WHERE relnamespace = to_regnamespace({2}) AND relkind = 'r'"
        " AND (right_ = ANY ({0}) OR relname = ANY ({3})) AND has_table_privilege({4}, oid, right_)",
        sql.Literal(list(FORBIDDEN)),
        sql.Literal(sorted(CRUD - {"SELECT"})),
        sql.Literal(SCHEMA),
        sql.Literal(list(EVIDENCE)),
        sql.Literal(role),
    ):
        yield Difference(
            f"role {role} has {right} on {table}",
            _sql(
                "REVOKE {} ON {} FROM {}",
                sql.SQL(str(right)),
                sql.SQL(str(table)),
                sql.Identifier(role),
            ),
        )


def _keys(on: Connection, wanted: set[tuple[bytes, bytes]]) -> Iterator[Difference]:
    table = _rows(on, "SELECT 1 WHERE to_regclass('timerecord.scope_keys') IS NOT NULL")
    rows = _rows(on, "SELECT inner_pad, outer_pad FROM timerecord.scope_keys") if table else []
    found = {(bytes(inner), bytes(outer)) for inner, outer in rows}
    for inner, outer in sorted(wanted - found):
        yield Difference(
            "a secret key in use cannot seal scopes yet",
            _sql("INSERT INTO timerecord.scope_keys VALUES ({}, {})", sql.Literal(inner), sql.Literal(outer)),
        )
    for inner, _outer in sorted(found - wanted):
        yield Difference(
            "a secret key that is not in use any more can seal scopes",
            _sql("DELETE FROM timerecord.scope_keys WHERE inner_pad = {}", sql.Literal(inner)),
        )


def _pads(key: bytes) -> tuple[bytes, bytes]:
    """Return the blocks that HMAC-SHA-256 (RFC 2104) puts before the message and before the inner digest."""
    block = key.ljust(64, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def _names(role: str) -> tuple[sql.Identifier, sql.Identifier]:
    return sql.Identifier(SCHEMA), sql.Identifier(role)


def _sql(query: str, *parts: sql.Composable) -> sql.Composed:
    return sql.SQL(query).format(*parts)


def _rows(on: Connection, query: str, *parts: sql.Composable) -> list[tuple[Any, ...]]:
    return on.execute(_sql(query, *parts)).fetchall()
