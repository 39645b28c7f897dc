"""What the new database holds already, in the terms of an old file: ids as the file gives them."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection

from accounts.models import User
from attendance.import_models import ImportSource, QuarantinedRow
from attendance.legacy.overlaps import Span
from attendance.legacy.rows import (
    REFERENCES,
    ROW_TYPES,
    SMALL_TABLES,
    TENANTS,
    TIMES,
    USERS,
    WORK_SESSIONS,
    Row,
    UserRow,
)
from attendance.legacy.values import Code
from tenants.models import Tenant

KEPT_CODES = (Code.UNKNOWN_TABLE, Code.UNKNOWN_COLUMN)
CONFLICT_CODES = (Code.CHANGED, Code.REMOVED)
_SAMPLE = 2000


class Mapped(NamedTuple):
    """A row that an earlier import wrote: its id here, the digest as it came, and the row as it is now."""

    row_id: int
    digest: bytes
    row: Row | None


class Quarantined(NamedTuple):
    """A row that an earlier import refused."""

    key: int
    code: str
    digest: bytes
    resolved: bool


@dataclasses.dataclass(frozen=True)
class Lineage:
    """The imports, one or several, of one old database in its earlier states and this one."""

    root_id: int
    source_ids: tuple[int, ...]
    # The import of the file exactly as it is now, if there was one.
    exact: ImportSource | None
    latest: ImportSource

    @property
    def orphan_tenant_uid(self) -> str | None:
        """The tenant into which employees without one were put."""
        uid: str | None = self.latest.options.get("tenant_for_orphans")
        return uid


def find_lineage(
    digest: str, sample: Mapping[str, Sequence[tuple[int, bytes]]]
) -> tuple[Lineage | None, str | None]:
    """Return earlier imports of the same old database, and why a file that changed is taken for it.

    A file that was imported as it is is known by its digest. Another state of an imported database is
    known by its rows: of those in the sample whose table and id are known from a source, at least half
    must have come with the very digest.
    """
    exact = ImportSource.objects.filter(digest=digest).first()
    if exact is not None:
        root = exact.continues_id or exact.pk
        return _lineage(root, exact), None
    best: tuple[int, int, int] = (0, 0, 0)
    votes: dict[int, list[int]] = {}
    with connection.cursor() as cursor:
        for table, pairs in sample.items():
            keys, digests = [key for key, _ in pairs], [value for _, value in pairs]
            cursor.execute(
                "SELECT coalesce(s.continues, s.id), count(*), count(*) FILTER (WHERE r.digest = f.digest)"
                " FROM unnest(%s::bigint[], %s::bytea[]) AS f (legacy_id, digest)"
                " CROSS JOIN import_sources s JOIN imported_rows r ON r.source_id = s.id"
                " AND r.table_name = %s AND r.legacy_id = f.legacy_id GROUP BY 1",
                [keys, digests, table],
            )
            for root, known, equal in cursor.fetchall():
                vote = votes.setdefault(root, [0, 0])
                vote[0] += known
                vote[1] += equal
    for root, (known, equal) in votes.items():
        if equal and 2 * equal >= known:
            best = max(best, (equal, known, root))
    if not best[0]:
        return None, None
    lineage = _lineage(best[2], None)
    said = (
        f"this is another state of {lineage.latest.file_name},"
        f" imported on {lineage.latest.imported_at:%Y-%m-%d}:"
        f" {best[0]:,} of {best[1]:,} rows that were compared came with it"
    )
    return lineage, said


def _lineage(root: int, exact: ImportSource | None) -> Lineage:
    sources = [
        *ImportSource.objects.filter(pk=root),
        *ImportSource.objects.filter(continues_id=root).order_by("pk"),
    ]
    return Lineage(root, tuple(source.pk for source in sources), exact, exact or sources[-1])


def sample_of(keys: Sequence[int]) -> list[int]:
    """Return at most a few thousand of some ids, evenly spread."""
    step = max(1, len(keys) // _SAMPLE)
    return list(keys[::step])


class Target:
    """The new database, read inside the caller's transaction."""

    def __init__(self, lineage: Lineage | None) -> None:
        self.lineage = lineage
        self.mapped: dict[str, dict[int, Mapped]] = {table: {} for table in SMALL_TABLES}
        self.quarantined: dict[tuple[str, int | None], list[Quarantined]] = {}
        self._legacy_ids: dict[str, dict[int, int]] = {TENANTS: {}, USERS: {}}
        self._orphan_tenant: int | None = None
        if lineage is None:
            return
        if lineage.orphan_tenant_uid:
            self._orphan_tenant = tenant_by_uid(lineage.orphan_tenant_uid)
        for table in SMALL_TABLES:
            for legacy_id, found in self._stream(table):
                self.mapped[table][legacy_id] = found
                if table in self._legacy_ids:
                    self._legacy_ids[table][found.row_id] = legacy_id
        for key, table, refused_id, code, digest, resolved_at in (
            QuarantinedRow.objects.filter(source_id__in=lineage.source_ids)
            .exclude(reason_code__in=KEPT_CODES)
            .values_list("pk", "table_name", "legacy_id", "reason_code", "digest", "resolved_at")
        ):
            self.quarantined.setdefault((table, refused_id), []).append(
                Quarantined(key, code, bytes(digest), resolved_at is not None)
            )

    def sessions(self) -> Iterator[tuple[int, Mapped]]:
        """Yield the work sessions that earlier imports wrote, by their old ids in order."""
        if self.lineage is not None:
            yield from self._stream(WORK_SESSIONS)

    def _stream(self, table: str) -> Iterator[tuple[int, Mapped]]:
        assert self.lineage is not None  # noqa: S101 # for the type checker
        row_type = ROW_TYPES[table]
        columns = row_type._fields[1:]
        selected = ", ".join(_micros(f"t.{name}") if name in TIMES else f"t.{name}" for name in columns)
        sources = ", ".join(str(key) for key in self.lineage.source_ids)
        query = (
            f"SELECT r.legacy_id, r.row_id, r.digest, t.id, {selected}"  # noqa: S608 # names of our own
            f" FROM imported_rows r LEFT JOIN {table} t ON t.id = r.row_id"
            f" WHERE r.source_id IN ({sources}) AND r.table_name = '{table}' ORDER BY r.legacy_id"
        )
        with connection.cursor() as cursor:
            # Read to its end, so planned for that and not for the first row.
            cursor.execute("SELECT set_config('cursor_tuple_fraction', '1', true)")
            cursor.execute(f"DECLARE imported NO SCROLL CURSOR FOR {query}")
            while True:
                cursor.execute("FETCH 5000 FROM imported")
                found = cursor.fetchall()
                for legacy_id, row_id, digest, here, *columns_here in found:
                    row = None if here is None else self._as_in_file(row_type, legacy_id, columns_here)
                    yield legacy_id, Mapped(row_id, digest, row)
                if not found:
                    break
            cursor.execute("CLOSE imported")

    def _as_in_file(self, row_type: type[Row], legacy_id: int, found: list[Any]) -> Row:
        for n, name in enumerate(row_type._fields[1:]):
            if name in REFERENCES and found[n] is not None:
                found[n] = self.legacy_id(REFERENCES[name], found[n])
        return row_type(legacy_id, *found)

    def legacy_id(self, table: str, row_id: int) -> int:
        """Return the id in the file; of a row that is not from it, the id here made negative."""
        return self._legacy_ids[table].get(row_id, -row_id)

    def row_ids(self, table: str) -> dict[int, int]:
        """Return the ids here by ids in the file, of the imported rows that are still there."""
        return {key: found.row_id for key, found in self.mapped[table].items() if found.row is not None}

    def as_it_came(self, old: Row, new: Row) -> Row:
        """Return a row of this database, less what the import itself decided: an orphan's tenant."""
        if (
            isinstance(old, UserRow)
            and isinstance(new, UserRow)
            and is_orphan(old)
            and self._orphan_tenant is not None
            and new.tenant_id == self.legacy_id(TENANTS, self._orphan_tenant)
        ):
            return new._replace(tenant_id=None)
        return new

    def refused_before(self, table: str, legacy_id: int | None) -> list[Quarantined]:
        """Return what the quarantine holds of a row."""
        return self.quarantined.get((table, legacy_id), [])

    def known_conflict(self, table: str, legacy_id: int) -> bool:
        """Whether the quarantine says of an imported row that it differs from the file."""
        return any(entry.code in CONFLICT_CODES for entry in self.refused_before(table, legacy_id))

    def kept_digests(self) -> set[tuple[str, bytes]]:
        """Return which rows and parts of rows without a place are kept already."""
        if self.lineage is None:
            return set()
        found = QuarantinedRow.objects.filter(
            source_id__in=self.lineage.source_ids, reason_code__in=KEPT_CODES
        ).values_list("table_name", "digest")
        return {(table, bytes(digest)) for table, digest in found.iterator()}


def sessions_of(user_id: int) -> list[Span]:
    """Return the work sessions of a user (an id of this database) that take time."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, {_micros('start_time')}, {_micros('end_time')} FROM work_sessions"  # noqa: S608
            " WHERE user_id = %s AND NOT end_unknown AND (end_time IS NULL OR end_time > start_time)",
            [user_id],
        )
        return [Span(*row) for row in cursor.fetchall()]


def from_elsewhere(lineage: Lineage | None, table: str, up_to: int) -> tuple[int, int | None]:
    """Return how many rows, and the lowest id of them, hold an id of the file without being its row."""
    sources = list(lineage.source_ids) if lineage else []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), min(id) FROM {table} t WHERE id <= %s AND NOT EXISTS ("  # noqa: S608
            " SELECT 1 FROM imported_rows r WHERE r.source_id = ANY(%s) AND r.table_name = %s"
            " AND r.row_id = t.id AND r.legacy_id = t.id)",
            [up_to, sources, table],
        )
        count, lowest = cursor.fetchone()
    return count, lowest


def is_orphan(row: UserRow) -> bool:
    """Whether a user is an employee without a tenant."""
    return row.tenant_id is None and row.role == "employee"


def holders(table: str, column: str, wanted: Iterable[str]) -> dict[str, int]:
    """Return which of some values a unique column here holds already, with the ids of their rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {column}, id FROM {table} WHERE {column} = ANY(%s)",  # noqa: S608
            [list(wanted)],
        )
        return dict(cursor.fetchall())


def not_lower_here(addresses: Iterable[str]) -> set[str]:
    """Return the addresses that PostgreSQL, by its own rules for letters, would write otherwise."""
    beyond_ascii = [address for address in addresses if not address.isascii()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT a FROM unnest(%s::text[]) AS a WHERE a <> lower(a)", [beyond_ascii])
        return {address for (address,) in cursor.fetchall()}


def tenant_by_uid(uid: str) -> int | None:
    """Return the id of a tenant."""
    return Tenant.objects.filter(tenant_uid=uid).values_list("pk", flat=True).first()


def zones_of_users() -> dict[int, str]:
    """Return the time zone of each user who has a tenant, by ids here."""
    return dict(User.objects.filter(tenant__isnull=False).values_list("pk", "tenant__time_zone"))


def last_value(table: str) -> int:
    """Return the highest id that a table's sequence has given; 0 if none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        (sequence,) = cursor.fetchone()
        cursor.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")  # noqa: S608
        value: int = cursor.fetchone()[0]
    return value


def _micros(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"
