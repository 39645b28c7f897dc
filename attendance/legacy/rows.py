"""The rows of the old tables as the new schema has them, and their one canonical form."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from accounts.querysets import normalise_email
from attendance.legacy import values
from attendance.legacy.reader import Generation, RawRow, Table, Value
from attendance.legacy.values import Code, RefusedError
from attendance.legacy.wal import SourceError

T = TypeVar("T")

TENANTS, USERS, ROLE_CODES = "tenants", "users", "role_codes"
PASSWORD_RESETS, WORK_SESSIONS = "password_resets", "work_sessions"
# In the order in which they can be written: each after those that it refers to.
SMALL_TABLES = (TENANTS, USERS, ROLE_CODES, PASSWORD_RESETS)
TABLES = (*SMALL_TABLES, WORK_SESSIONS)

# Columns by what they hold, in every table alike.
TIMES = frozenset({"created_at", "locked_until", "expires_at", "used_at", "start_time", "end_time"})
REFERENCES: Mapping[str, str] = {"tenant_id": TENANTS, "user_id": USERS, "created_by": USERS}
UNIQUE: Mapping[str, str] = {
    TENANTS: "tenant_uid",
    USERS: "email",
    ROLE_CODES: "code",
    PASSWORD_RESETS: "token",
}
SECRET = frozenset({"password_hash", "token", "code"})


class TenantRow(NamedTuple):
    """Instants here and below are microseconds since 1970 (UTC), ids those of the old database."""

    id: int
    tenant_uid: str
    name: str | None
    contact_email: str | None
    status: str
    created_at: int


class UserRow(NamedTuple):
    """`password_hash` as it is stored: a bcrypt hash with its hasher's name."""

    id: int
    tenant_id: int | None
    username: str
    email: str
    password_hash: str
    role: str
    status: str
    must_change_password: bool
    failed_attempts: int
    locked_until: int | None
    first_name: str | None
    last_name: str | None
    created_at: int


class RoleCodeRow(NamedTuple):
    """What people register with."""

    id: int
    tenant_id: int
    code: str
    expires_at: int | None
    max_uses: int | None
    usage_count: int
    is_disabled: bool
    created_by: int | None
    created_at: int


class ResetRow(NamedTuple):
    """`token` is the SHA-256 of the old token."""

    id: int
    user_id: int
    token: str
    expires_at: int
    used_at: int | None
    created_at: int


class SessionRow(NamedTuple):
    """One pair of clock-in and clock-out."""

    id: int
    user_id: int
    start_time: int
    end_time: int | None
    end_unknown: bool
    created_at: int


Row = TenantRow | UserRow | RoleCodeRow | ResetRow | SessionRow
ROW_TYPES: Mapping[str, type[Row]] = {
    TENANTS: TenantRow,
    USERS: UserRow,
    ROLE_CODES: RoleCodeRow,
    PASSWORD_RESETS: ResetRow,
    WORK_SESSIONS: SessionRow,
}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def canonical(row: Row) -> bytes:
    """Return a row as both sides of a comparison write it: a JSON array without spaces, UTF-8.

    Values in the order of the class's fields; ids and references are those of the old database, instants
    are microseconds since 1970 (UTC), a password hash carries its hasher's name, a token is its SHA-256.
    """
    return _encode(row).encode()


def digest(row: Row) -> bytes:
    """Return the SHA-256 of a row's canonical form."""
    return hashlib.sha256(canonical(row)).digest()


class Reason(NamedTuple):
    """One reason why a row was refused or kept beside."""

    code: Code
    text: str


class RefusedRow(NamedTuple):
    """A row that cannot be written as it is. `raw` is there where the file cannot be asked for it again."""

    table: str
    legacy_id: int | None
    reasons: tuple[Reason, ...]
    raw: RawRow | None = None


class _RowRefusedError(Exception):
    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__()
        self.reasons = reasons


class _Fields:
    """Reads the columns of one row and gathers every reason to refuse it, not only the first."""

    def __init__(self, row: RawRow) -> None:
        self.row = row
        self.reasons: list[Reason] = []

    def get(self, column: str, meaning: Callable[[Value], T], instead: T) -> T:
        try:
            return meaning(self.row.get(column))
        except RefusedError as refused:
            self.reasons.append(Reason(refused.code, f"{column} {refused.text}"))
            return instead

    def get_or_default(self, column: str, meaning: Callable[[Value], T], default: T) -> T:
        """Read a column that older files of the same generation do not have."""
        return self.get(column, meaning, default) if column in self.row else default

    def done(self) -> None:
        if self.reasons:
            raise _RowRefusedError(tuple(self.reasons))


_ROLES_FIRST = {"admin": "platform_admin", "employee": "employee"}
_ROLES = {name: name for name in ("platform_admin", "tenant_admin", "employee")}


def _tenant(row: RawRow, _generation: Generation) -> TenantRow:
    fields = _Fields(row)
    tenant = TenantRow(
        id=fields.get("id", values.identifier, 0),
        tenant_uid=fields.get("tenant_uid", values.uid, ""),
        name=fields.get("name", values.optional_text, None),
        contact_email=fields.get("contact_email", values.optional_text, None),
        status=fields.get("status", values.status, ""),
        created_at=fields.get("created_at", values.time, 0),
    )
    fields.done()
    return tenant


def _user(row: RawRow, generation: Generation) -> UserRow:
    fields = _Fields(row)
    first = generation is Generation.FIRST
    key = fields.get("id", values.identifier, 0)
    username = fields.get("username", values.text, "")
    if first:
        # What the old application's own upgrade invented.
        email = normalise_email(f"{username}_{key}{values.PLACEHOLDER_DOMAIN}")
        if len(email) > values.MAX_EMAIL:
            fields.reasons.append(Reason(Code.TOO_LONG, "username is too long for a placeholder e-mail"))
    else:
        email = fields.get("email", values.email, "")
    roles = _ROLES_FIRST if first else _ROLES
    user = UserRow(
        id=key,
        tenant_id=fields.get("tenant_id", values.optional_identifier, None),
        username=username,
        email=email,
        password_hash=fields.get("password_hash", values.password_hash, ""),
        role=fields.get("role", lambda value: values.choice(value, roles), ""),
        status=fields.get("status", values.status, ""),
        must_change_password=fields.get_or_default("must_change_password", values.boolean, False),
        failed_attempts=fields.get_or_default("failed_attempts", values.count, 0),
        locked_until=fields.get("locked_until", values.optional_time, None),
        first_name=fields.get("first_name", values.optional_text, None),
        last_name=fields.get("last_name", values.optional_text, None),
        created_at=fields.get("created_at", values.time, 0),
    )
    fields.done()
    return user


def _role_code(row: RawRow, _generation: Generation) -> RoleCodeRow:
    fields = _Fields(row)
    code = RoleCodeRow(
        id=fields.get("id", values.identifier, 0),
        tenant_id=fields.get("tenant_id", values.identifier, 0),
        code=fields.get("code", values.role_code, ""),
        expires_at=fields.get("expires_at", values.optional_time, None),
        max_uses=fields.get("max_uses", values.optional_count, None),
        usage_count=fields.get_or_default("usage_count", values.count, 0),
        is_disabled=fields.get_or_default("is_disabled", values.boolean, False),
        created_by=fields.get("created_by", values.optional_identifier, None),
        created_at=fields.get("created_at", values.time, 0),
    )
    fields.done()
    return code


def _reset(row: RawRow, _generation: Generation) -> ResetRow:
    fields = _Fields(row)
    reset = ResetRow(
        id=fields.get("id", values.identifier, 0),
        user_id=fields.get("user_id", values.identifier, 0),
        token=fields.get("token", values.token, ""),
        expires_at=fields.get("expires_at", values.time, 0),
        used_at=fields.get("used_at", values.optional_time, None),
        created_at=fields.get("created_at", values.time, 0),
    )
    fields.done()
    return reset


def _session(row: RawRow, _generation: Generation) -> SessionRow:
    fields = _Fields(row)
    session = SessionRow(
        id=fields.get("id", values.identifier, 0),
        user_id=fields.get("user_id", values.identifier, 0),
        start_time=fields.get("start_time", values.time, 0),
        end_time=fields.get("end_time", values.optional_time, None),
        end_unknown=False,
        created_at=fields.get("created_at", values.time, 0),
    )
    fields.done()
    if session.end_time is not None and session.end_time < session.start_time:
        reason = f"end_time {row['end_time']!s} is before start_time {row['start_time']!s}"
        raise _RowRefusedError((Reason(Code.END_BEFORE_START, reason),))
    return session


@dataclasses.dataclass(frozen=True)
class Shape:
    """What is known of an old table: what it must have, what it may have, and how a row is read."""

    required: frozenset[str]
    optional: frozenset[str]
    read: Callable[[RawRow, Generation], Row]

    def unknown(self, table: Table) -> tuple[str, ...]:
        """Return the columns that nothing is known of."""
        return tuple(column for column in table.columns if column not in self.required | self.optional)


_SESSIONS = Shape(frozenset({"id", "user_id", "start_time", "end_time", "created_at"}), frozenset(), _session)
_FIRST_SHAPES: Mapping[str, Shape] = {
    USERS: Shape(frozenset({"id", "username", "password_hash", "role", "created_at"}), frozenset(), _user),
    WORK_SESSIONS: _SESSIONS,
}
_SHAPES: Mapping[str, Shape] = {
    TENANTS: Shape(
        frozenset({"id", "tenant_uid", "created_at"}),
        frozenset({"name", "contact_email", "status"}),
        _tenant,
    ),
    USERS: Shape(
        frozenset({"id", "tenant_id", "username", "email", "password_hash", "role", "created_at"}),
        frozenset(
            {"must_change_password", "failed_attempts", "locked_until", "first_name", "last_name", "status"}
        ),
        _user,
    ),
    ROLE_CODES: Shape(
        frozenset({"id", "tenant_id", "code", "created_at"}),
        frozenset({"expires_at", "max_uses", "usage_count", "is_disabled", "created_by"}),
        _role_code,
    ),
    PASSWORD_RESETS: Shape(
        frozenset({"id", "user_id", "token", "expires_at", "created_at"}), frozenset({"used_at"}), _reset
    ),
    WORK_SESSIONS: _SESSIONS,
}


def shapes(generation: Generation) -> Mapping[str, Shape]:
    """Return the tables that a generation's files have."""
    return _FIRST_SHAPES if generation is Generation.FIRST else _SHAPES


def check_columns(table: str, shape: Shape, found: Table) -> None:
    """Raise SourceError where a column is missing that no row can do without."""
    missing = shape.required - set(found.columns)
    if missing:
        raise SourceError(f"the table {table} has no column {', '.join(sorted(missing))}")


def read_row(shape: Shape, table: str, row: RawRow, generation: Generation, keyed: bool) -> Row | RefusedRow:
    """Return a row as the new schema has it, or why it cannot be. Looks at this row alone.

    `keyed` says that the file can be asked for a row by its id.
    """
    try:
        return shape.read(row, generation)
    except _RowRefusedError as refused:
        key = row.get("id")
        legacy_id = key if type(key) is int else None
        kept = None if keyed and legacy_id is not None else row
        return RefusedRow(table, legacy_id, refused.reasons, kept)
