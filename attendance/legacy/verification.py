"""An old file beside what came of it: counts, checksums and minutes, from one canonical form."""

import dataclasses
import datetime as dt
import functools
import hashlib
import zoneinfo
from collections import Counter
from collections.abc import Iterator

from attendance import calculations
from attendance.legacy import compare, rows, values
from attendance.legacy.compare import Difference
from attendance.legacy.plan import Options, beside, left_behind
from attendance.legacy.rows import SMALL_TABLES, TABLES, USERS, WORK_SESSIONS, Row, SessionRow
from attendance.legacy.staging import Progress, Staged, quiet
from attendance.legacy.target import Mapped, Target, last_value, zones_of_users

OLD_ZONE = zoneinfo.ZoneInfo("Asia/Tokyo")
# Japan's clocks have not changed since 1951.
_OLD_OFFSET = 9 * 3600 * values.SECOND

Month = tuple[int, int]


def minutes_as_before(start: int, end: int) -> Iterator[tuple[Month, int]]:
    """Yield the minutes of a session by month, as the old application counted them.

    It cut at the midnights of Asia/Tokyo, floored each piece to whole minutes and added the pieces up.
    Instants are microseconds since 1970 (UTC).
    """
    at, end = start + _OLD_OFFSET, end + _OLD_OFFSET
    while at < end:
        day = at // values.DAY
        piece_end = min(end, (day + 1) * values.DAY)
        date = dt.date.fromordinal(values.EPOCH.toordinal() + day)
        yield (date.year, date.month), (piece_end - at) // values.MINUTE
        at = piece_end


def minutes_now(start: int, end: int, zone: zoneinfo.ZoneInfo) -> Iterator[tuple[Month, int]]:
    """Yield the minutes of a session by month, as the application counts them in a tenant's zone."""
    month, since, until = _day_around(start // values.HOUR, zone)
    if since <= start and end <= until:
        # Nothing to split, as with nearly all of a million: the whole is the one part.
        yield month, end // values.MINUTE - start // values.MINUTE
        return
    for day, minutes in calculations.minutes_by_day(values.to_datetime(start), values.to_datetime(end), zone):
        yield (day.year, day.month), minutes


@functools.lru_cache(maxsize=1 << 16)
def _day_around(hour: int, zone: zoneinfo.ZoneInfo) -> tuple[Month, int, int]:
    """Return the month, the beginning and the end of the work date at the beginning of an hour since 1970."""
    day = calculations.work_date(values.to_datetime(hour * values.HOUR), zone)
    since, until = (calculations.day_start(each, zone) for each in (day, day + calculations.DAY))
    return (day.year, day.month), values.to_micros(since), values.to_micros(until)


@dataclasses.dataclass
class MonthCheck:
    """One employee's minutes in one month. `before` and all explanations together are `now`."""

    before: int = 0
    # Each session loses its seconds at start and end, no longer each piece between two midnights.
    seconds: int = 0
    # The tenant's zone is another than that in which the old application counted.
    zone: int = 0
    # Sessions that are in the quarantine.
    quarantined: int = 0
    # Sessions that ended since the import, or came with another state of the old database.
    since: int = 0
    now: int = 0

    @property
    def explained(self) -> int:
        """What the minutes should be by now."""
        return self.before + self.seconds + self.zone + self.quarantined + self.since

    @property
    def unexplained(self) -> int:
        """What nothing explains: 0 unless something is wrong."""
        return self.now - self.explained


@dataclasses.dataclass
class TableCheck:
    """One table. Each row of the file is counted once: moved, quarantined, left behind or missing."""

    file_rows: int = 0
    moved: int = 0
    quarantined: int = 0
    left_behind: int = 0
    missing: int = 0
    # Rows here that came with another state of the same old database and are not in this file.
    surplus: int = 0
    database_rows: int = 0
    # Over the canonical forms, in the order of the old ids, of what should be here, and of what is.
    file_checksum: str = ""
    database_checksum: str = ""
    # As above with the explained differences set aside.
    explained_checksum: str = ""
    sequence_above: bool = True

    @property
    def is_right(self) -> bool:
        """Whether nothing differs that does not explain itself."""
        accounted = self.moved + self.quarantined + self.left_behind
        return (
            self.file_rows == accounted
            and not self.missing
            and self.file_checksum == self.explained_checksum
            and self.sequence_above
        )


@dataclasses.dataclass
class Verification:
    """What a comparison found."""

    was_imported: bool
    tables: dict[str, TableCheck]
    differences: list[Difference]
    months: dict[tuple[int, Month], MonthCheck]
    kept: int = 0
    kept_missing: int = 0
    kept_by_table: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def is_right(self) -> bool:
        """Whether nothing differs that does not explain itself."""
        return (
            self.was_imported
            and all(table.is_right for table in self.tables.values())
            and all(difference.explained for difference in self.differences)
            and not any(month.unexplained for month in self.months.values())
            and not self.kept_missing
        )


def verify(
    staged: Staged, target: Target, now: dt.datetime, progress: Progress[SessionRow] = quiet
) -> Verification:
    """Compare a file with what the database holds of it. Writes nothing.

    `now` tells which reset tokens have expired: those stayed behind.
    """
    return _Verifier(staged, target, now).run(progress)


class _Checksums:
    """SHA-256 over canonical rows, each with a line feed, on both sides."""

    def __init__(self) -> None:
        self.file, self.database, self.explained = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def add(self, old: Row | None, new: Row | None, *, explained: bool) -> None:
        line = None
        if old is not None:
            line = rows.canonical(old) + b"\n"
            self.file.update(line)
        if new is not None:
            found = line if line is not None and new == old else rows.canonical(new) + b"\n"
            self.database.update(found)
            if not explained:
                self.explained.update(found)
        if explained and line is not None:
            self.explained.update(line)

    def put_into(self, check: TableCheck) -> None:
        check.file_checksum = self.file.hexdigest()
        check.database_checksum = self.database.hexdigest()
        check.explained_checksum = self.explained.hexdigest()


class _Verifier:
    def __init__(self, staged: Staged, target: Target, now: dt.datetime) -> None:
        self.staged, self.target = staged, target
        lineage = target.lineage
        self.now = values.to_micros(now)
        reset = lineage.latest.options.get("reset_tables", []) if lineage else []
        self.options = Options(
            reset_tokens=rows.PASSWORD_RESETS in reset, reset_role_codes=rows.ROLE_CODES in reset
        )
        self.result = Verification(
            was_imported=lineage is not None,
            tables={table: TableCheck(file_rows=staged.read(table)) for table in TABLES},
            differences=[],
            months={},
        )
        self.zone_names = zones_of_users()
        self.zones: dict[int, zoneinfo.ZoneInfo] = {}

    def run(self, progress: Progress[SessionRow]) -> Verification:
        for table in SMALL_TABLES:
            self._small(table)
        self._sessions(progress)
        if not self.result.was_imported:
            self.result.months.clear()
        for table in TABLES:
            self._refused(table)
            if table in self.staged.source.tables and self.result.was_imported:
                check = self.result.tables[table]
                check.sequence_above = not check.moved or last_value(table) >= self.staged.highest_id(table)
        self._kept()
        return self.result

    def _small(self, table: str) -> None:
        parsed, mapped = self.staged.small[table], self.target.mapped[table]
        sums = _Checksums()
        for key in sorted(parsed.keys() | mapped.keys()):
            self._one(table, parsed.get(key), mapped.get(key), sums)
        sums.put_into(self.result.tables[table])

    def _sessions(self, progress: Progress[SessionRow]) -> None:
        sums = _Checksums()
        total = self.staged.read(WORK_SESSIONS)
        old = iter(progress(self.staged.sessions(), total, "verifying work sessions"))
        for row, found in beside(old, self.target.sessions()):
            before = len(self.result.differences)
            fate = self._one(WORK_SESSIONS, row, found, sums)
            explained = all(d.explained for d in self.result.differences[before:])
            new = found.row if found else None
            self._minutes(row, new if isinstance(new, SessionRow) else None, fate, explained=explained)
        sums.put_into(self.result.tables[WORK_SESSIONS])

    def _one(self, table: str, old: Row | None, found: Mapped | None, sums: _Checksums) -> str:
        """Count one row of the file, or one that should be of it; return what became of it."""
        check = self.result.tables[table]
        if found is None:
            if old is None:
                raise ValueError("a row is of the file, of the database or of both")
            if self.target.refused_before(table, old.id):
                check.quarantined += 1
                return "quarantined"
            if left_behind(table, old, self.options, self.now):
                check.left_behind += 1
                return "left behind"
            check.missing += 1
            sums.add(old, None, explained=False)
            if self.result.was_imported:
                self.result.differences.append(Difference(table, old.id, "", "there", "never imported", None))
            return "missing"
        new = found.row
        if old is None:
            check.surplus += 1
            check.database_rows += new is not None
            sums.add(None, new, explained=True)
            self.result.differences.append(compare.not_in_file(table, new.id if new is not None else 0))
            return "surplus"
        if new is None:
            differences = [compare.removed(table, old)]
        else:
            new = self.target.as_it_came(old, new)
            differences = list(compare.differences(table, old, new))
        explained = all(difference.explained for difference in differences)
        if not explained and self.target.known_conflict(table, old.id):
            check.quarantined += 1
            return "quarantined"
        check.database_rows += new is not None
        check.moved += 1
        sums.add(old, new, explained=explained)
        self.result.differences += differences
        return "moved"

    def _refused(self, table: str) -> None:
        """Count the rows of the file that could not even be read."""
        check = self.result.tables[table]
        for row in self.staged.refused[table]:
            if self.target.refused_before(table, row.legacy_id):
                check.quarantined += 1
            elif table in self.options.reset_tables:
                check.left_behind += 1
            else:
                check.missing += 1

    def _kept(self) -> None:
        present = self.target.kept_digests()
        for row in self.staged.kept():
            self.result.kept += 1
            self.result.kept_by_table[row.table] += 1
            self.result.kept_missing += (row.table, row.digest) not in present

    # --- minutes --------------------------------------------------------------------------------------
    def _minutes(self, old: SessionRow | None, new: SessionRow | None, fate: str, *, explained: bool) -> None:
        if old is not None and old.end_time is not None:
            for month, minutes in minutes_as_before(old.start_time, old.end_time):
                check = self._month(old, month)
                check.before += minutes
                if fate == "quarantined":
                    check.quarantined -= minutes
                elif fate == "moved":
                    check.seconds -= minutes
        if fate in ("quarantined", "missing"):
            return
        zone = self._zone((new or old or _NOBODY).user_id)
        expected = list(_counted(old, zone))
        if old is not None:
            for month, minutes in expected if zone is OLD_ZONE else _counted(old, OLD_ZONE):
                check = self._month(old, month)
                check.seconds += minutes
                check.zone -= minutes
            for month, minutes in expected:
                self._month(old, month).zone += minutes
        is_same = old is not None and new is not None and old[1:5] == new[1:5]
        for month, minutes in expected if is_same else _counted(new, zone):
            check = self._month(new or old or _NOBODY, month)
            check.now += minutes
            if explained and not is_same:
                check.since += minutes
        if explained and not is_same and old is not None:
            for month, minutes in expected:
                self._month(old, month).since -= minutes

    def _month(self, row: SessionRow, month: Month) -> MonthCheck:
        key = (row.user_id, month)
        found = self.result.months.get(key)
        if found is None:
            found = self.result.months[key] = MonthCheck()
        return found

    def _zone(self, user_id: int) -> zoneinfo.ZoneInfo:
        found = self.zones.get(user_id)
        if found is None:
            mapped = self.target.mapped[USERS].get(user_id)
            name = self.zone_names.get(mapped.row_id if mapped else -user_id)
            found = self.zones[user_id] = zoneinfo.ZoneInfo(name) if name else OLD_ZONE
        return found


_NOBODY = SessionRow(0, 0, 0, None, False, 0)


def _counted(row: SessionRow | None, zone: zoneinfo.ZoneInfo) -> Iterator[tuple[Month, int]]:
    if row is not None and row.end_time is not None:
        yield from minutes_now(row.start_time, row.end_time, zone)
