"""Reading an old database file: from a private copy with its write-ahead log, the source untouched."""

import contextlib
import dataclasses
import enum
import functools
import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from attendance.legacy.wal import (
    LogFile,
    SourceError,
    WriteAheadLog,
    refuse_other_page_size,
    wal_path,
    wal_state,
)

HEADER = b"SQLite format 3\x00"
# Stay behind with the old application: who was signed in is nobody's record.
SESSION_TABLE = "sessions"
# What PRAGMA integrity_check says of values and not of the file. Every value is looked at later, one by one.
_ABOUT_VALUES = re.compile(r" value (missing )?(in|from) |^CHECK constraint failed")


class Generation(enum.IntEnum):
    """The three schemas that the old application had in turn."""

    FIRST = 1
    MULTI_TENANT = 2
    SCHEMA_TOOL = 3


@dataclasses.dataclass(frozen=True)
class BadText:
    """Text that is not UTF-8: the bytes as they are."""

    raw: bytes


Value = int | float | str | bytes | BadText | None
RawRow = dict[str, Value]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as it was found."""

    name: str
    columns: tuple[str, ...]
    # The one column that is INTEGER PRIMARY KEY, if any.
    key: str | None
    order: tuple[str, ...]
    rows: int
    # Of them in the main file alone; None where that cannot be told.
    rows_without_wal: int | None
    # The highest id ever given, by sqlite_sequence; 0 where nothing is known.
    sequence: int


@dataclasses.dataclass(frozen=True)
class Source:
    """An old database, opened. `path` is the operator's file; only the private copy is ever read."""

    path: Path
    generation: Generation
    tables: Mapping[str, Table]
    wal: WriteAheadLog
    foreign_key_violations: Mapping[str, int]
    notices: tuple[str, ...]
    connection: sqlite3.Connection = dataclasses.field(repr=False)

    def rows(self, table: str) -> Iterator[tuple[Value, ...]]:
        """Yield a table's rows in the order of its key, values in the order of its columns."""
        found = self.tables[table]
        names = ", ".join(_quoted(name) for name in found.columns)
        yield from self.connection.execute(
            f"SELECT {names} FROM {_quoted(found.name)} ORDER BY {', '.join(found.order)}"  # noqa: S608
        )

    def named_rows(self, table: str) -> Iterator[RawRow]:
        """Yield a table's rows with the names of their columns."""
        columns = self.tables[table].columns
        for row in self.rows(table):
            yield dict(zip(columns, row, strict=True))

    def row_by_id(self, table: str, legacy_id: int) -> RawRow | None:
        """Return one row of a table that has a key."""
        found = self.tables[table]
        names = ", ".join(_quoted(name) for name in found.columns)
        row = self.connection.execute(
            f"SELECT {names} FROM {_quoted(found.name)} WHERE {_quoted(found.key or 'id')} = ?",  # noqa: S608
            (legacy_id,),
        ).fetchone()
        return dict(zip(found.columns, row, strict=True)) if row else None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of what the file says, whatever its pages: all tables but the sessions, every row.

        Two files with equal rows have equal digests, whether the rows are in the main file or in the
        write-ahead log.
        """
        digest = hashlib.sha256()
        for name in sorted(self.tables):
            table = self.tables[name]
            if name == SESSION_TABLE:
                continue
            digest.update(ascii((name, table.columns, table.sequence)).encode())
            for row in self.rows(name):
                digest.update(ascii(row).encode())
        return digest.hexdigest()


@contextlib.contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Copy an old database with its write-ahead log, check the copy, and yield it opened.

    Nothing beside or inside the source is written, locked or removed; its folder may be read-only. The
    copy goes to the folder for temporary files (`TMPDIR`) and is removed in the end. SourceError
    for whatever must not be imported from.
    """
    with tempfile.TemporaryDirectory(prefix="timerecord-import-") as folder:
        try:
            real = path.resolve(strict=True)
            copy = _private_copy(real, Path(folder))
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
        yield from _opened(path, copy)


def _opened(path: Path, copy: Path) -> Iterator[Source]:
    has_wal = wal_path(copy).exists()
    alone = _MainFileAlone.look(copy) if has_wal else None
    refuse_other_page_size(copy)
    log = LogFile.look(copy)
    connection = sqlite3.connect(copy)
    try:
        try:
            source = _examine(path, log, connection, alone)
        except sqlite3.Error as error:
            raise SourceError(
                f"{path.name} is damaged, or the -wal file beside it belongs to another database: {error}"
            ) from error
        yield source
    finally:
        connection.close()


def _private_copy(real: Path, folder: Path) -> Path:
    if not real.is_file():
        raise SourceError(f"{real.name} is not a file: name the .sqlite file itself")
    copy = folder / "copy.sqlite"
    pairs = [
        (real.with_name(real.name + suffix), copy.with_name(copy.name + suffix))
        for suffix in ("", "-wal", "-journal")
    ]
    before = [_state(source) for source, _ in pairs]
    for source, target in pairs:
        if source.exists():
            shutil.copyfile(source, target)
    if [_state(source) for source, _ in pairs] != before:
        raise SourceError(f"{real.name} changed while it was copied: stop the old application first")
    with copy.open("rb") as opened:
        start = opened.read(len(HEADER))
    if start != HEADER:
        raise SourceError(f"{real.name} is not an SQLite database")
    return copy


def _state(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns


@dataclasses.dataclass(frozen=True)
class _MainFileAlone:
    """What the main file holds without its write-ahead log. Some of that log may already be in it."""

    rows: Mapping[str, int]
    sequences: Mapping[str, int]
    schema_version: int
    born: Mapping[int, Value]

    @classmethod
    def look(cls, copy: Path) -> "_MainFileAlone | None":
        """Return it; None where a checkpoint was broken off, so that the file alone makes no sense."""
        try:
            with contextlib.closing(sqlite3.connect(f"{copy.as_uri()}?immutable=1", uri=True)) as main:
                main.text_factory = _text
                if main.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                    return None
                return cls(
                    rows={name: _count(main, name) for name in _table_names(main)},
                    sequences=_sequences(main),
                    schema_version=main.execute("PRAGMA schema_version").fetchone()[0],
                    born=_births(main),
                )
        except sqlite3.Error:
            return None

    def contradictions(self, connection: sqlite3.Connection) -> Iterator[str]:
        """Yield why the write-ahead log cannot be this file's own, or is older than it.

        SQLite itself takes any log whose checksums are right: it would replace this database by
        another. But ids are never given twice, a schema's version only grows, and `created_at` of a
        user never changes.
        """
        sequences = _sequences(connection)
        for name, given in self.sequences.items():
            if sequences.get(name, 0) < given:
                yield f"the highest id of {name} falls from {given} to {sequences.get(name, 0)}"
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
        if version < self.schema_version:
            yield f"the version of the schema falls from {self.schema_version} to {version}"
        births = _births(connection)
        others = [key for key, born in self.born.items() if key in births and births[key] != born]
        if others:
            yield f"{len(others)} users, id {others[0]} for one, turn into somebody created at another time"


def _examine(
    path: Path, log: LogFile, connection: sqlite3.Connection, alone: _MainFileAlone | None
) -> Source:
    connection.text_factory = _text
    connection.execute("PRAGMA trusted_schema = OFF")
    names = _table_names(connection)
    wal = wal_state(log, connection)
    if not names:
        raise SourceError(
            f"{path.name} holds no table ({wal}). If its rows were in a -wal file, put that file back beside"
            " it, whole, under the same name"
        )
    if alone and (contradictions := list(alone.contradictions(connection))):
        raise SourceError(
            f"the -wal file is not {path.name}'s own, or older than it: with it, {'; '.join(contradictions)}."
            " Find the right one, or import a copy of the main file alone"
        )
    complaints = [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
    damage = [line for line in complaints if not _ABOUT_VALUES.search(line)]
    if damage:
        raise SourceError(f"{path.name} is damaged ({wal}): {'; '.join(damage[:3])}")
    violations: dict[str, int] = {}
    for table, *_ in connection.execute("PRAGMA foreign_key_check"):
        violations[table] = violations.get(table, 0) + 1
    sequences = _sequences(connection)
    tables = {
        name.lower(): _describe(connection, name, sequences, alone.rows if alone else None) for name in names
    }
    connection.execute("PRAGMA query_only = ON")
    generation = _generation(path, tables)
    return Source(
        path=path,
        generation=generation,
        tables=tables,
        wal=wal,
        foreign_key_violations=violations,
        notices=(*complaints, *_view_notices(connection)),
        connection=connection,
    )


def _text(raw: bytes) -> str | BadText:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return BadText(raw)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table_names(connection: sqlite3.Connection) -> list[str]:
    return [
        name
        for (name,) in connection.execute(
            r"SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
        )
    ]


def _view_notices(connection: sqlite3.Connection) -> Iterator[str]:
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'"):
        yield f"the view {name} has no rows of its own and stays behind"


def _count(connection: sqlite3.Connection, name: str) -> int:
    count: int = connection.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0]  # noqa: S608
    return count


def _sequences(connection: sqlite3.Connection) -> dict[str, int]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return {}
    rows = connection.execute("SELECT name, max(seq) FROM sqlite_sequence GROUP BY name")
    return {name: seq for name, seq in rows if isinstance(name, str) and type(seq) is int}


def _births(connection: sqlite3.Connection) -> dict[int, Value]:
    columns = {row[1].lower() for row in connection.execute("PRAGMA table_info(users)")}
    if not {"id", "created_at"} <= columns:
        return {}
    return dict(connection.execute("SELECT id, created_at FROM users"))


def _describe(
    connection: sqlite3.Connection,
    name: str,
    sequences: Mapping[str, int],
    rows_without_wal: Mapping[str, int] | None,
) -> Table:
    info = [
        row
        for row in connection.execute(f"PRAGMA table_xinfo({_quoted(name)})")
        if row[6] != 1  # hidden columns of virtual tables
    ]
    columns = tuple(row[1].lower() for row in info)
    keys = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
    types = {row[1]: row[2].upper() for row in info}
    key = keys[0].lower() if len(keys) == 1 and types[keys[0]] == "INTEGER" else None
    if keys:
        order = tuple(_quoted(column) for column in keys)
    else:
        order = (*(alias for alias in ("rowid", "_rowid_", "oid") if alias not in columns), "1")[:1]
    return Table(
        name=name,
        columns=columns,
        key=key,
        order=order,
        rows=_count(connection, name),
        rows_without_wal=None if rows_without_wal is None else rows_without_wal.get(name, 0),
        sequence=sequences.get(name, 0),
    )


def _generation(path: Path, tables: Mapping[str, Table]) -> Generation:
    missing = {"users", "work_sessions"} - tables.keys()
    if missing:
        raise SourceError(
            f"{path.name} has no table {' and no table '.join(sorted(missing))}: it is not a database of the"
            f" old application. It has: {', '.join(sorted(tables))}"
        )
    multi_tenant = "tenants" in tables
    if multi_tenant != ("email" in tables["users"].columns):
        raise SourceError(
            f"{path.name} is of no known generation: it has "
            + ("tenants but no e-mail addresses" if multi_tenant else "e-mail addresses but no tenants")
        )
    if not multi_tenant:
        return Generation.FIRST
    session_columns = tables[SESSION_TABLE].columns if SESSION_TABLE in tables else ()
    if "knex_migrations" in tables or "expired" in session_columns:
        return Generation.SCHEMA_TOOL
    return Generation.MULTI_TENANT


def source_files(path: Path) -> set[Path]:
    """Return the files that belong to a source, existing or not: what nothing may ever write to."""
    real = Path(os.path.realpath(path))
    return {real.with_name(real.name + suffix) for suffix in ("", "-wal", "-shm", "-journal")}
