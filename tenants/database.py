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
    | {"statement_timeout": "25s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
    # PostgreSQL takes the aggregate of a tenant's month for one that is worth compiling, each time anew.
    | {"jit": "off"},
    IMPORT: EVERYBODY,
}
ALLOWED_SETTINGS: Final = frozenset({"track_activities"})
CRUD: Final = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
# What nobody but the owner may do to any table.
FORBIDDEN: Final = ("TRUNCATE", "REFERENCES", "TRIGGER")
# Triggers and migrations write here; the application and the import read.
READ_ONLY: Final = frozenset(
    {"work_session_history", "audit_events", "django_migrations", "django_content_type", "auth_permission"}
)
KEYS: Final = "scope_keys"
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
            "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication"
            " OR (rolcreatedb AND rolname <> {1}), coalesce(rolconfig, '{{}}')"
            " FROM pg_roles WHERE rolname = ANY ({0})",
            sql.Literal(list(ROLES)),
            sql.Literal(OWNER),
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
                _sql("ALTER ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION", name)
                + (sql.SQL(" NOCREATEDB") if role in GUESTS else sql.SQL("")),
            )
        found: dict[str, str] = dict(entry.split("=", 1) for entry in config)
        for setting, value in SETTINGS[role].items():
            if found.get(setting) != value:
                yield Difference(
                    f"role {role}: {setting} is {found.get(setting, 'not set')}, should be {value}",
                    _sql("ALTER ROLE {} SET {} = {}", name, sql.Identifier(setting), sql.Literal(value)),
                )
        for setting in sorted(found.keys() - SETTINGS[role].keys() - ALLOWED_SETTINGS):
            yield Difference(
                f"role {role}: {setting} is {found[setting]}, should not be set",
                _sql("ALTER ROLE {} RESET {}", name, sql.Identifier(setting)),
            )
    # A role may change its own settings, and one for this database goes before the role's.
    for role, where, setting in _rows(
        on,
        "SELECT rolname, current_database(), split_part(entry, '=', 1)"
        " FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(setconfig) AS entry"
        " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND rolname = ANY ({})",
        sql.Literal(list(ROLES)),
    ):
        yield Difference(
            f"role {role}: {setting} is set for this database, should not be",
            _sql("ALTER ROLE {} IN DATABASE {} RESET {}", *map(sql.Identifier, (role, where, setting))),
        )
    for member, role in _rows(
        on,
        "SELECT r.rolname, g.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member"
        " JOIN pg_roles g ON g.oid = m.roleid WHERE r.rolname = ANY ({}) AND g.rolname <> 'rds_iam'",
        sql.Literal(list(GUESTS)),
    ):
        yield Difference(
            f"role {member} is a member of {role}, and so has its rights",
            _sql("REVOKE {} FROM {}", sql.Identifier(role), sql.Identifier(member)),
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
    # All at once: half of it would be mistaken for a database from which nothing is missing.
    left = _rows(
        on,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND to_regclass('public.django_migrations') IS NOT NULL"
        " AND to_regclass('public.work_sessions') IS NOT NULL",
    )
    if left:
        moves = [
            _sql("ALTER TABLE public.{} SET SCHEMA {}", sql.Identifier(table), name) for (table,) in left
        ]
        yield Difference(f"{len(left)} tables are in the schema public", sql.SQL("; ").join(moves))
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


def inside(on: Connection, keys: Iterable[bytes], *, forget_others: bool = False) -> Iterator[Difference]:
    """Yield what is wrong inside the schema. The owner mends it.

    `keys` are those of the scope's seals. That there are others is wrong only where somebody asks to forget
    them: a migration that is run with another secret key must not stop the servers that run.
    """
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
        yield from _rights(on, role)
    yield from _barriers(on)
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
    yield from _keys(on, {_pads(key) for key in keys}, forget_others=forget_others)


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


def _rights(on: Connection, role: str) -> Iterator[Difference]:
    """What the role may do with what is there, too much and too little."""
    for kind, name, privilege, has in _rows(
        on,
        "SELECT 'TABLE', relname, p, has_table_privilege({0}, oid, p) FROM pg_class, unnest({1}::text[]) AS p"
        " WHERE relnamespace = to_regnamespace({2}) AND relkind = 'r' UNION ALL"
        " SELECT 'SEQUENCE', relname, p, has_sequence_privilege({0}, oid, p)"
        " FROM pg_class, unnest({3}::text[]) AS p"
        " WHERE relnamespace = to_regnamespace({2}) AND relkind = 'S'",
        sql.Literal(role),
        sql.Literal([*sorted(CRUD), *FORBIDDEN]),
        sql.Literal(SCHEMA),
        sql.Literal(["USAGE", "SELECT", "UPDATE"]),
    ):
        if has == (privilege in _wanted(role, kind, name)):
            continue
        said, statement = (
            ("has", "REVOKE {} ON {} {} FROM {}") if has else ("lacks", "GRANT {} ON {} {} TO {}")
        )
        yield Difference(
            f"role {role} {said} {privilege} on {name}",
            _sql(
                statement,
                sql.SQL(privilege),
                sql.SQL(kind),
                sql.Identifier(SCHEMA, name),
                sql.Identifier(role),
            ),
        )


def _wanted(role: str, kind: str, name: str) -> frozenset[str]:
    if kind == "SEQUENCE":
        return frozenset() if name.removesuffix("_id_seq") in READ_ONLY else SEQUENCE_RIGHTS[role]
    if name == KEYS:
        return frozenset()
    return frozenset({"SELECT"}) if name in READ_ONLY else CRUD


def _barriers(on: Connection) -> Iterator[Difference]:
    """Policies and triggers that are there but asleep."""
    for (table,) in _rows(
        on,
        "SELECT relname FROM pg_class c WHERE relnamespace = to_regnamespace({}) AND NOT relrowsecurity"
        " AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)",
        sql.Literal(SCHEMA),
    ):
        yield Difference(
            f"table {table} has policies, but no row-level security",
            _sql("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", sql.Identifier(SCHEMA, table)),
        )
    for table, trigger in _rows(
        on,
        "SELECT relname, tgname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid"
        " WHERE relnamespace = to_regnamespace({}) AND NOT tgisinternal AND tgenabled <> 'A'",
        sql.Literal(SCHEMA),
    ):
        yield Difference(
            f"trigger {trigger} of {table} is not always enabled",
            _sql(
                "ALTER TABLE {} ENABLE ALWAYS TRIGGER {}",
                sql.Identifier(SCHEMA, table),
                sql.Identifier(trigger),
            ),
        )


def _keys(on: Connection, wanted: set[tuple[bytes, bytes]], *, forget_others: bool) -> Iterator[Difference]:
    table = _rows(on, "SELECT 1 WHERE to_regclass('timerecord.scope_keys') IS NOT NULL")
    rows = _rows(on, "SELECT inner_pad, outer_pad FROM timerecord.scope_keys") if table else []
    found = {(bytes(inner), bytes(outer)) for inner, outer in rows}
    for inner, outer in sorted(wanted - found):
        yield Difference(
            "a secret key in use cannot seal scopes yet",
            _sql("INSERT INTO timerecord.scope_keys VALUES ({}, {})", sql.Literal(inner), sql.Literal(outer)),
        )
    for inner, _outer in sorted(found - wanted) if forget_others else ():
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
