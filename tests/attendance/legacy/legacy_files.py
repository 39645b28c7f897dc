"""Old database files of all three generations, built by SQLite itself with the quirks of real ones."""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import bcrypt

Row = dict[str, Any]
Tables = Mapping[str, list[Row]]

# Who is in `generation_2_wal_only`.
EMPLOYEE_EMAIL = "hanako@legacy.example"
EMPLOYEE_PASSWORD = "タイムカード old password"
EMPLOYEE_ID = 7
TENANT_UID = "ten_0123456789ab"
# Longer than the 72 bytes that the old application read.
LONG_PASSWORD = "0123456789" * 8
NAME = "database.sqlite"

_KEY = "id INTEGER PRIMARY KEY AUTOINCREMENT"
_NOW = "created_at TEXT NOT NULL DEFAULT (datetime('now'))"
_WORK_SESSIONS = (
    f"CREATE TABLE work_sessions ({_KEY}, user_id INTEGER NOT NULL, start_time TEXT NOT NULL, end_time TEXT,"
    f" {_NOW}, FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE)"
)
GENERATION_1 = (
    f"CREATE TABLE users ({_KEY}, username TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL,"
    f" role TEXT NOT NULL CHECK (role IN ('admin', 'employee')), {_NOW})",
    _WORK_SESSIONS,
    "CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess JSON NOT NULL, expire TEXT NOT NULL)",
)
GENERATION_2 = (
    f"CREATE TABLE tenants ({_KEY}, tenant_uid TEXT NOT NULL UNIQUE, name TEXT, contact_email TEXT, {_NOW})",
    f"CREATE TABLE users ({_KEY}, tenant_id INTEGER REFERENCES tenants(id) ON DELETE SET NULL,"
    " username TEXT NOT NULL, email TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL, role TEXT NOT NULL,"
    " must_change_password INTEGER NOT NULL DEFAULT 0, failed_attempts INTEGER NOT NULL DEFAULT 0,"
    f" locked_until TEXT, first_name TEXT, last_name TEXT, {_NOW})",
    f"CREATE TABLE role_codes ({_KEY}, tenant_id INTEGER NOT NULL REFERENCES tenants(id) ON DELETE CASCADE,"
    " code TEXT NOT NULL UNIQUE, expires_at TEXT, max_uses INTEGER, usage_count INTEGER NOT NULL DEFAULT 0,"
    " is_disabled INTEGER NOT NULL DEFAULT 0, created_by INTEGER REFERENCES users(id) ON DELETE SET NULL,"
    f" {_NOW})",
    f"CREATE TABLE password_resets ({_KEY}, user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    f" token TEXT NOT NULL UNIQUE, expires_at TEXT NOT NULL, used_at TEXT, {_NOW})",
    _WORK_SESSIONS,
    "CREATE TABLE sessions (sid TEXT PRIMARY KEY, sess JSON NOT NULL, expire TEXT NOT NULL)",
)
GENERATION_3 = (
    *GENERATION_2[:-1],
    "CREATE TABLE sessions (sid VARCHAR(255) PRIMARY KEY, sess JSON NOT NULL, expired DATETIME NOT NULL)",
    f"CREATE TABLE knex_migrations ({_KEY}, name VARCHAR(255), batch INTEGER, migration_time DATETIME)",
    'CREATE TABLE knex_migrations_lock ("index" INTEGER PRIMARY KEY AUTOINCREMENT, is_locked INTEGER)',
    f"CREATE TABLE payroll_records ({_KEY}, tenant_id INTEGER, employee_id INTEGER, uploaded_by INTEGER,"
    " original_file_name TEXT, stored_file_path TEXT, mime_type TEXT, file_size INTEGER, sent_on TEXT,"
    f" sent_at TEXT, {_NOW})",
    "CREATE INDEX work_sessions_user_start ON work_sessions (user_id, start_time)",
    "CREATE INDEX users_tenant ON users (tenant_id)",
)
LATER_COLUMNS = (
    "ALTER TABLE tenants ADD COLUMN status TEXT DEFAULT 'active'",
    "ALTER TABLE users ADD COLUMN status TEXT DEFAULT 'active'",
    "ALTER TABLE users ADD COLUMN deactivated_at TEXT",
    "ALTER TABLE users ADD COLUMN phone_number TEXT",
    "ALTER TABLE work_sessions ADD COLUMN archived_at TEXT",
)
SCHEMAS = {1: GENERATION_1, 2: GENERATION_2, 3: GENERATION_3}
BORN = "2025-01-06 00:00:00"


def old_hash(password: str, variant: bytes = b"2a") -> str:
    """Return what bcryptjs wrote: it read no further than 72 bytes. Of a low cost, for speed."""
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4, variant)).decode()


# Of EMPLOYEE_PASSWORD: hashed once, however many files hold it.
HASH = old_hash(EMPLOYEE_PASSWORD)


def tenant(key: int = 1, **fields: Any) -> Row:
    return {"id": key, "tenant_uid": f"ten_{key:012x}", "name": f"会社{key}", "created_at": BORN, **fields}


def user(key: int, tenant_id: int | None = 1, **fields: Any) -> Row:
    return {
        "id": key,
        "tenant_id": tenant_id,
        "username": f"user{key}",
        "email": f"user{key}@legacy.example",
        "password_hash": HASH,
        "role": "employee",
        "created_at": BORN,
        **fields,
    }


def first_user(key: int, **fields: Any) -> Row:
    """A user of generation 1."""
    return {
        "id": key,
        "username": f"user{key}",
        "password_hash": HASH,
        "role": "employee",
        "created_at": BORN,
        **fields,
    }


def session(key: object, user_id: int, start: object, end: object = None, **fields: Any) -> Row:
    return {
        "id": key,
        "user_id": user_id,
        "start_time": start,
        "end_time": end,
        "created_at": start if isinstance(start, str) and len(start) > 18 else BORN,
        **fields,
    }


def code(key: int, text: str, tenant_id: int = 1, **fields: Any) -> Row:
    return {"id": key, "tenant_id": tenant_id, "code": text, "created_at": BORN, **fields}


def reset(key: int, user_id: int, token: str, expires_at: str, **fields: Any) -> Row:
    return {
        "id": key,
        "user_id": user_id,
        "token": token,
        "expires_at": expires_at,
        "created_at": BORN,
        **fields,
    }


def signed_in(key: str) -> Row:
    """A row of `sessions`: who was signed in."""
    return {"sid": key, "sess": "{}", "expire": "2025-12-01 00:00:00"}


def write(
    folder: Path,
    generation: int,
    tables: Tables,
    *,
    more: Iterable[str] = (),
    afterwards: Iterable[str] = (),
    wal_only: bool = False,
    schema: Iterable[str] | None = None,
    name: str = NAME,
) -> Path:
    """Write a file of a generation into an existing folder and return its path.

    `more` is SQL between schema and rows, `afterwards` SQL after the rows. With `wal_only` the main file
    stays at 4,096 bytes and every row is in the `-wal` beside it, as a stopped process leaves them.
    """

    def fill(connection: sqlite3.Connection) -> None:
        for statement in (*(schema if schema is not None else SCHEMAS[generation]), *more):
            connection.execute(statement)
        for table, rows in tables.items():
            for row in rows:
                insert(connection, table, row)
        for statement in afterwards:
            connection.execute(statement)

    path = folder / name
    if wal_only:
        left_running(path, fill)
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            fill(connection)
            connection.commit()
    return path


def insert(connection: sqlite3.Connection, table: str, row: Row) -> None:
    names = ", ".join(f'"{column}"' for column in row)
    marks = ", ".join("?" * len(row))
    connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', tuple(row.values()))


def left_running(path: Path, *steps: Callable[[sqlite3.Connection], None], checkpoint_after: int = 0) -> None:
    """Leave the files of a process that was killed: each step is one transaction in the `-wal`.

    After the first `checkpoint_after` steps the log is written back into the main file, as far as it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        busy = Path(folder) / path.name
        if path.exists():
            shutil.copyfile(path, busy)
        with contextlib.closing(sqlite3.connect(busy)) as connection:
            connection.execute("PRAGMA page_size = 4096")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            for number, step in enumerate(steps, start=1):
                step(connection)
                connection.commit()
                if number == checkpoint_after:
                    connection.execute("PRAGMA wal_checkpoint(RESTART)")
            shutil.copyfile(busy, path)
            shutil.copyfile(wal_of(busy), wal_of(path))


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def shm_of(path: Path) -> Path:
    return path.with_name(path.name + "-shm")


def small_company() -> dict[str, list[Row]]:
    """A tenant, its administrator and one employee with a few closed sessions."""
    return {
        "tenants": [tenant(1, tenant_uid=TENANT_UID, name="青空商店")],
        "users": [
            user(3, username="管理者", email="admin@legacy.example", role="tenant_admin"),
            user(EMPLOYEE_ID, username="hanako", email=EMPLOYEE_EMAIL, first_name="花子", last_name="佐藤"),
        ],
        "work_sessions": [
            session(11, EMPLOYEE_ID, "2025-10-23 00:00:12", "2025-10-23 03:00:40"),
            session(12, EMPLOYEE_ID, "2025-10-23T04:00:00.250Z", "2025-10-23T09:30:00.750Z"),
            # Over midnight in Japan: 23:30:30 to 01:10:15.
            session(15, EMPLOYEE_ID, "2025-10-24 14:30:30", "2025-10-24 16:10:15"),
        ],
        "sessions": [signed_in("a"), signed_in("b")],
    }


def generation_2_wal_only(folder: Path) -> Path:
    """Write a generation 2 file of `small_company` whose main file holds no table, and return its path.

    EMPLOYEE_EMAIL signs in with EMPLOYEE_PASSWORD.
    """
    return write(folder, 2, small_company(), wal_only=True)
