"""Every row of an old file, read and looked at by itself: before any database is asked."""

import contextlib
import dataclasses
import hashlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from attendance.legacy import rows, values
from attendance.legacy.reader import SESSION_TABLE, RawRow, Source, Value
from attendance.legacy.rows import RefusedRow, Row, SessionRow, UserRow
from attendance.legacy.values import Code

T = TypeVar("T")
# Shows how far a long loop is: items, their number, what they are.
Progress = Callable[[Iterable[T], int, str], Iterable[T]]


def quiet(items: Iterable[T], _total: int, _what: str) -> Iterable[T]:
    """Show nothing."""
    return items


# What becomes of a work session. Kept beside each in the scratch file.
READY, ALREADY, REFUSED, IN_QUARANTINE = range(4)


class Kept(NamedTuple):
    """A row, or the part of one, for which the new schema has no place."""

    table: str
    legacy_id: int | None
    code: Code
    values: RawRow
    digest: bytes


@dataclasses.dataclass
class Staged:
    """What a file holds. The work sessions, of which there can be millions, are in `scratch`."""

    source: Source
    small: dict[str, dict[int, Row]]
    refused: dict[str, list[RefusedRow]]
    scratch: sqlite3.Connection
    # Users whose address was written otherwise than it will be stored.
    normalised_emails: list[int]
    unknown_tables: dict[str, int]
    # By table and column: how many rows have a value there.
    unknown_columns: dict[tuple[str, str], int]
    missing: list[str]

    def read(self, table: str) -> int:
        """Return how many rows a table has."""
        found = self.source.tables.get(table)
        return found.rows if found else 0

    @property
    def sessions_left_behind(self) -> int:
        """How many sign-in sessions there are: they are not moved."""
        return self.read(SESSION_TABLE)

    def highest_id(self, table: str) -> int:
        """Return the highest id that the old database ever gave in a table; 0 for none."""
        found = self.source.tables.get(table)
        if found is None:
            return 0
        # Refused rows too: they may come in later, under the ids that they have.
        query = f"SELECT max(id) FROM \"{found.name}\" WHERE typeof(id) = 'integer' AND id <= {values.MAX_ID}"  # noqa: S608
        highest = self.source.connection.execute(query).fetchone()[0] or 0
        return max(highest, found.sequence)

    def users(self) -> Mapping[int, UserRow]:
        """Return the users by id."""
        return {key: row for key, row in self.small[rows.USERS].items() if isinstance(row, UserRow)}

    def placeholder_users(self) -> list[UserRow]:
        """Return the users whom no mail can reach."""
        return [u for u in self.users().values() if u.email.endswith(values.PLACEHOLDER_DOMAIN)]

    def sessions(self, *, state: int | None = None, by: str = "id") -> Iterator[SessionRow]:
        """Yield work sessions in an order, in constant memory."""
        where = "" if state is None else f"WHERE state = {state:d}"
        query = f"SELECT id, user_id, start, end, created FROM sessions {where} ORDER BY {by}"  # noqa: S608
        for key, user_id, start, end, created in self.scratch.execute(query):
            yield SessionRow(key, user_id, start, end, False, created)

    def sample_of_sessions(self, at_most: int = 2000) -> list[SessionRow]:
        """Return some work sessions, evenly spread."""
        highest = self.scratch.execute("SELECT max(id) FROM sessions").fetchone()[0] or 0
        query = "SELECT id, user_id, start, end, created FROM sessions WHERE id % ? = 0 LIMIT ?"
        step = max(1, min(self.read(rows.WORK_SESSIONS), highest) // at_most)
        return [
            SessionRow(key, user_id, start, end, False, created)
            for key, user_id, start, end, created in self.scratch.execute(query, (step, at_most))
        ]

    def count_sessions(self, state: int) -> int:
        """Return how many work sessions have a state."""
        query = "SELECT count(*) FROM sessions WHERE state = ?"
        count: int = self.scratch.execute(query, (state,)).fetchone()[0]
        return count

    def mark_sessions(self, keys: Iterable[int], state: int) -> None:
        """Give work sessions a state."""
        self.scratch.execute("BEGIN")
        self.scratch.executemany("UPDATE sessions SET state = ? WHERE id = ?", ((state, key) for key in keys))
        self.scratch.execute("COMMIT")

    def raw(self, row: RefusedRow) -> RawRow:
        """Return a refused row as it is in the file."""
        if row.raw is not None:
            return row.raw
        found = self.source.row_by_id(row.table, row.legacy_id) if row.legacy_id is not None else None
        if found is None:
            raise LookupError(f"{row.table} {row.legacy_id}")
        return found

    def kept(self) -> Iterator[Kept]:
        """Yield what the new schema has no place for: unknown tables, and values in unknown columns."""
        for table in self.unknown_tables:
            key = self.source.tables[table].key
            seen: dict[bytes, int] = {}
            for row in self.source.named_rows(table):
                digest = raw_digest(table, row)
                # Rows without a key can be equal. The count keeps them apart.
                seen[digest] = seen.get(digest, 0) + 1
                if seen[digest] > 1:
                    digest = hashlib.sha256(digest + b"%d" % seen[digest]).digest()
                legacy_id = row[key] if key else None
                yield Kept(
                    table,
                    legacy_id if isinstance(legacy_id, int) else None,
                    Code.UNKNOWN_TABLE,
                    row,
                    digest,
                )
        columns: dict[str, list[str]] = {}
        for table, column in self.unknown_columns:
            columns.setdefault(table, []).append(column)
        for table, extra in columns.items():
            for row in self.source.named_rows(table):
                found = {name: row[name] for name in extra if row[name] is not None}
                if found:
                    key_value = row["id"]
                    part = {"id": key_value, **found}
                    yield Kept(
                        table,
                        key_value if isinstance(key_value, int) else None,
                        Code.UNKNOWN_COLUMN,
                        part,
                        raw_digest(table, part),
                    )

    @property
    def kept_total(self) -> int:
        """An upper bound of how many rows `kept` yields."""
        return sum(self.unknown_tables.values()) + sum(self.unknown_columns.values())


def raw_digest(table: str, row: RawRow) -> bytes:
    """Return the SHA-256 by which a row is recognised in the quarantine."""
    return hashlib.sha256(ascii((table, tuple(row.items()))).encode()).digest()


@contextlib.contextmanager
def staged(source: Source, progress: Progress[tuple[Value, ...]] = quiet) -> Iterator[Staged]:
    """Read every row of a file, in memory bounded by everything but the work sessions."""
    with (
        tempfile.TemporaryDirectory(prefix="timerecord-import-") as folder,
        contextlib.closing(sqlite3.connect(Path(folder) / "scratch.sqlite", isolation_level=None)) as scratch,
    ):
        scratch.execute("PRAGMA journal_mode = OFF")
        scratch.execute("PRAGMA synchronous = OFF")
        scratch.execute(
            "CREATE TABLE sessions (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, start INTEGER NOT NULL,"
            f" end INTEGER, created INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT {READY})"
        )
        result = Staged(
            source=source,
            small={table: {} for table in rows.SMALL_TABLES},
            refused={table: [] for table in rows.TABLES},
            scratch=scratch,
            normalised_emails=[],
            unknown_tables={},
            unknown_columns={},
            missing=[],
        )
        scratch.execute("BEGIN")
        for table, shape in rows.shapes(source.generation).items():
            _stage(result, table, shape, progress)
        for name, found in source.tables.items():
            if name not in rows.shapes(source.generation) and name != SESSION_TABLE:
                result.unknown_tables[name] = found.rows
        scratch.execute("COMMIT")
        yield result


def _stage(result: Staged, table: str, shape: rows.Shape, progress: Progress[tuple[Value, ...]]) -> None:
    source = result.source
    found = source.tables.get(table)
    if found is None:
        result.missing.append(f"the file has no table {table}")
        return
    rows.check_columns(table, shape, found)
    result.missing += [
        f"the table {table} has no column {column}: taken as empty"
        for column in sorted(shape.optional - set(found.columns) - {"status"})
    ]
    for column in shape.unknown(found):
        quoted = column.replace('"', '""')
        counted = source.connection.execute(f'SELECT count("{quoted}") FROM "{found.name}"').fetchone()[0]  # noqa: S608
        result.unknown_columns[table, column] = counted
    keyed = found.key == "id"
    read = progress(source.rows(table), found.rows, f"reading {table}")
    accepted = _accepted(result, table, shape, keyed, read)
    if table == rows.WORK_SESSIONS:
        _insert_sessions(result, keyed, accepted)
        return
    kept = result.small[table]
    for row, raw in accepted:
        if row.id in kept:
            reason = rows.Reason(Code.DUPLICATE, f"id {row.id} is there twice")
            result.refused[table].append(RefusedRow(table, row.id, (reason,), raw))
            continue
        kept[row.id] = row
        if isinstance(row, UserRow) and "email" in raw and raw["email"] != row.email:
            result.normalised_emails.append(row.id)


def _accepted(
    result: Staged, table: str, shape: rows.Shape, keyed: bool, read: Iterable[tuple[Value, ...]]
) -> Iterator[tuple[Row, RawRow]]:
    generation = result.source.generation
    columns = result.source.tables[table].columns
    for values_ in read:
        raw = dict(zip(columns, values_, strict=True))
        row = rows.read_row(shape, table, raw, generation, keyed)
        if isinstance(row, RefusedRow):
            result.refused[table].append(row)
        else:
            yield row, raw


def _insert_sessions(result: Staged, keyed: bool, accepted: Iterator[tuple[Row, RawRow]]) -> None:
    insert = "INSERT INTO sessions (id, user_id, start, end, created) VALUES (?, ?, ?, ?, ?)"
    plain = (
        (row, raw, (row.id, row.user_id, row.start_time, row.end_time, row.created_at))
        for row, raw in accepted
        if isinstance(row, SessionRow)
    )
    if keyed:
        result.scratch.executemany(insert, (values_ for _row, _raw, values_ in plain))
        return
    for row, raw, values_ in plain:
        try:
            result.scratch.execute(insert, values_)
        except sqlite3.IntegrityError:
            reason = rows.Reason(Code.DUPLICATE, f"id {row.id} is there twice")
            result.refused[rows.WORK_SESSIONS].append(RefusedRow(rows.WORK_SESSIONS, row.id, (reason,), raw))
