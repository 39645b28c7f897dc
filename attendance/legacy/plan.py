"""What an import would do with each row of a file: decided before anything is written."""

import dataclasses
import datetime as dt
import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator

from attendance.legacy import compare, rows, values
from attendance.legacy.compare import Difference
from attendance.legacy.overlaps import Span, refusals
from attendance.legacy.rows import (
    PASSWORD_RESETS,
    REFERENCES,
    ROLE_CODES,
    SMALL_TABLES,
    TABLES,
    TENANTS,
    UNIQUE,
    USERS,
    WORK_SESSIONS,
    Reason,
    RefusedRow,
    ResetRow,
    Row,
    SessionRow,
    TenantRow,
)
from attendance.legacy.staging import ALREADY, IN_QUARANTINE, READY, REFUSED, Kept, Staged, raw_digest
from attendance.legacy.target import (
    Mapped,
    Target,
    from_elsewhere,
    holders,
    is_orphan,
    not_lower_here,
    sessions_of,
    tenant_by_uid,
)
from attendance.legacy.values import Code


@dataclasses.dataclass(frozen=True)
class Options:
    """What the operator asked for."""

    tenant_for_orphans: str | None = None
    quarantine: bool = False
    remap_ids: bool = False
    reset_tokens: bool = False
    reset_role_codes: bool = False

    @property
    def reset_tables(self) -> frozenset[str]:
        """The tables of which no row is to come along."""
        wanted = {PASSWORD_RESETS: self.reset_tokens, ROLE_CODES: self.reset_role_codes}
        return frozenset(table for table, reset in wanted.items() if reset)


class OptionError(Exception):
    """An option names something that is not there."""


@dataclasses.dataclass
class TablePlan:
    """One table. Every row that was read is counted once: `read` is the sum of the others but `explained`."""

    read: int = 0
    ready: int = 0
    already: int = 0
    in_quarantine: int = 0
    refused: list[RefusedRow] = dataclasses.field(default_factory=list)
    left_behind: Counter[str] = dataclasses.field(default_factory=Counter)
    # Of those that are there already: what working with the application changed since.
    explained: list[Difference] = dataclasses.field(default_factory=list)
    # Whether rows get the ids that they had.
    keeps_ids: bool = True

    @property
    def adds_up(self) -> bool:
        """Whether no row was passed over."""
        parts = self.ready + self.already + self.in_quarantine + len(self.refused)
        return self.read == parts + self.left_behind.total()


@dataclasses.dataclass
class Plan:
    """The whole of it. `small` are the rows to write but the work sessions, which are marked in `staged`."""

    staged: Staged
    target: Target
    options: Options
    tables: dict[str, TablePlan]
    small: dict[str, list[Row]]
    # Kept beside: what the new schema has no place for, as far as it is not kept yet.
    kept: int = 0
    kept_already: int = 0
    # Of the quarantine: what this import writes after all.
    settled: list[int] = dataclasses.field(default_factory=list)
    blockers: list[str] = dataclasses.field(default_factory=list)
    notices: list[str] = dataclasses.field(default_factory=list)
    orphans: int = 0

    @property
    def refused(self) -> int:
        """How many rows cannot be written as they are."""
        return sum(len(table.refused) for table in self.tables.values())

    @property
    def ready(self) -> int:
        """How many rows can be written."""
        return sum(table.ready for table in self.tables.values())

    @property
    def already(self) -> int:
        """How many rows are there from an earlier import."""
        return sum(table.already for table in self.tables.values())

    @property
    def in_quarantine(self) -> int:
        """How many rows an earlier import refused and kept."""
        return sum(table.in_quarantine for table in self.tables.values())

    def kept_rows(self) -> Iterator[Kept]:
        """Return what is to be kept beside.

        Asks the database at once, not while somebody goes through the rows: during a COPY nothing can
        be asked, and psycopg would wait for ever.
        """
        if self.kept_already and not self.kept:
            return iter(())
        present = self.target.kept_digests()
        return (row for row in self.staged.kept() if (row.table, row.digest) not in present)


def make_plan(staged: Staged, target: Target, options: Options, now: dt.datetime) -> Plan:
    """Decide about every row of a file. Reads the new database, writes nothing.

    `now` decides which reset tokens are still good. OptionError for an option that cannot be followed.
    """
    plan = Plan(
        staged=staged,
        target=target,
        options=options,
        tables={table: TablePlan(read=staged.read(table)) for table in TABLES},
        small={table: [] for table in SMALL_TABLES},
    )
    planner = _Planner(plan, values.to_micros(now))
    for table in SMALL_TABLES:
        planner.plan_small(table)
    planner.plan_sessions()
    planner.plan_orphans()
    planner.plan_kept()
    planner.plan_ids()
    for name, table_plan in plan.tables.items():
        if not table_plan.adds_up:
            raise AssertionError(f"rows of {name} were passed over: {table_plan}")
    return plan


def left_behind(table: str, row: Row, options: Options, now: int) -> str | None:
    """Return why a row that is right stays behind nevertheless. `now` in microseconds since 1970."""
    if isinstance(row, ResetRow):
        if row.used_at is not None:
            return "used"
        if row.expires_at <= now:
            return "expired"
    return "reset by option" if table in options.reset_tables else None


class _Planner:
    def __init__(self, plan: Plan, now: int) -> None:
        self.plan = plan
        self.staged = plan.staged
        self.target = plan.target
        self.now = now
        # Ids that dependent rows can refer to, and those that are in the file but cannot be.
        self.available: dict[str, set[int]] = {TENANTS: set(), USERS: set()}
        self.unavailable: dict[str, set[int]] = {TENANTS: set(), USERS: set()}

    # --- the four small tables ------------------------------------------------------------------------
    def plan_small(self, table: str) -> None:
        table_plan = self.plan.tables[table]
        parsed = self.staged.small[table]
        mapped = self.target.mapped[table]
        self._note_vanished(table, mapped.keys() - parsed.keys())
        fresh = {key: row for key, row in parsed.items() if key not in mapped}
        column = UNIQUE[table]
        taken = holders(table, column, (getattr(row, column) for row in fresh.values()))
        not_lower = not_lower_here(taken_from(fresh.values(), "email")) if table == USERS else set()
        first: dict[str, int] = {}
        refused = list(self.staged.refused[table])
        if table in self.plan.options.reset_tables:
            table_plan.left_behind["reset by option"] += len(refused)
            refused = []
        for key in sorted(parsed):
            row = parsed[key]
            if key in mapped:
                if reason := self._compare(table, row, mapped[key].digest, mapped[key].row):
                    refused.append(RefusedRow(table, key, (reason,)))
                if mapped[key].row is not None:
                    self._offer(table, key)
                continue
            if why := left_behind(table, row, self.plan.options, self.now):
                table_plan.left_behind[why] += 1
                continue
            if self._is_settled(table, key):
                table_plan.in_quarantine += 1
                continue
            reasons = list(self._missing_parents(row))
            unique = getattr(row, column)
            shown = "" if column in rows.SECRET else f" {values.shown(unique)}"
            if unique in first:
                reasons.append(
                    Reason(Code.DUPLICATE, f"{column}{shown} is that of {table} {first[unique]} too")
                )
            elif unique in taken:
                text = f"{column}{shown} belongs to {table} {taken[unique]} of the new database"
                reasons.append(Reason(Code.TAKEN, text))
            elif unique in not_lower:
                reasons.append(Reason(Code.BAD_VALUE, f"{column}{shown} has no lower case in the database"))
            if reasons:
                refused.append(RefusedRow(table, key, tuple(reasons)))
                continue
            first[unique] = key
            self.plan.small[table].append(row)
            self._offer(table, key)
        table_plan.ready = len(self.plan.small[table])
        self._settle(table, self.plan.small[table])
        self._take_refused(table, refused)
        if table in self.available:
            every = {row.legacy_id for row in refused if row.legacy_id is not None} | parsed.keys()
            self.unavailable[table] = every - self.available[table]

    def _offer(self, table: str, key: int) -> None:
        if table in self.available:
            self.available[table].add(key)

    def _missing_parents(self, row: Row) -> Iterator[Reason]:
        for column in row._fields:
            if column not in REFERENCES:
                continue
            parent, key = REFERENCES[column], getattr(row, column)
            if key is None or key in self.available[parent]:
                continue
            yield self._missing_parent(column, parent, key)

    def _missing_parent(self, column: str, parent: str, key: int) -> Reason:
        if key in self.unavailable[parent]:
            return Reason(Code.PARENT_REFUSED, f"{column} {key}: that row of {parent} is refused itself")
        return Reason(Code.NO_PARENT, f"{column} {key}: there is no such row of {parent}")

    def _compare(self, table: str, old: Row, came: bytes, new: Row | None) -> Reason | None:
        """Count a row that an earlier import wrote; return why it is in conflict, if it is."""
        table_plan = self.plan.tables[table]
        if new is None:
            found = [compare.removed(table, old)]
        else:
            new = self.target.as_it_came(old, new)
            found = list(compare.differences(table, old, new))
        if all(difference.explained for difference in found):
            table_plan.already += 1
            table_plan.explained += found
            return None
        if new is None:
            return Reason(Code.REMOVED, "was imported, and removed here since")
        where = "in the file" if rows.digest(old) != came else "here"
        changes = "; ".join(
            f"{d.column} is {d.file} in the file, {d.database} here" for d in found if not d.explained
        )
        return Reason(Code.CHANGED, f"was imported, and changed {where} since: {changes}")

    def _note_vanished(self, table: str, keys: Iterable[int]) -> None:
        if count := len(list(keys)):
            self.plan.notices.append(f"{count:,} rows of {table} that were imported are not in this file")

    # --- the quarantine of earlier imports ------------------------------------------------------------
    def _is_settled(self, table: str, key: int) -> bool:
        """Whether somebody dealt with a row in the quarantine, so that it must not come again."""
        entries = self.target.refused_before(table, key)
        if not any(entry.resolved for entry in entries):
            return False
        digest = self._digest(RefusedRow(table, key, ()))
        return any(entry.resolved and entry.digest == digest for entry in entries)

    def _settle(self, table: str, ready: Iterable[Row]) -> None:
        """Note which rows of the quarantine come in now, because nothing is against them any more."""
        for row in ready:
            self.plan.settled += [entry.key for entry in self.target.refused_before(table, row.id)]

    def _take_refused(self, table: str, refused: Iterable[RefusedRow]) -> None:
        table_plan = self.plan.tables[table]
        for row in refused:
            entries = self.target.refused_before(table, row.legacy_id)
            if entries and self._digest(row) in {entry.digest for entry in entries}:
                table_plan.in_quarantine += 1
            else:
                table_plan.refused.append(row)

    def _digest(self, row: RefusedRow) -> bytes:
        return raw_digest(row.table, self.staged.raw(row))

    # --- work sessions --------------------------------------------------------------------------------
    def plan_sessions(self) -> None:
        staged, table_plan = self.staged, self.plan.tables[WORK_SESSIONS]
        refused = list(staged.refused[WORK_SESSIONS])
        refused += self._compare_sessions()
        settled = [
            key
            for table, key in self.target.quarantined
            if table == WORK_SESSIONS and key is not None and self._is_settled_session(key)
        ]
        staged.mark_sessions(settled, IN_QUARANTINE)
        table_plan.in_quarantine += len(settled)
        found = list(self._refuse_sessions())
        staged.mark_sessions((row.legacy_id for row in found if row.legacy_id is not None), REFUSED)
        self._take_refused(WORK_SESSIONS, refused + found)
        table_plan.ready = staged.count_sessions(READY)
        if any(table == WORK_SESSIONS for table, _ in self.target.quarantined):
            self._settle(WORK_SESSIONS, staged.sessions(state=READY))

    def _is_settled_session(self, key: int) -> bool:
        query = "SELECT 1 FROM sessions WHERE id = ? AND state = ?"
        ready = self.staged.scratch.execute(query, (key, READY)).fetchone()
        return bool(ready) and self._is_settled(WORK_SESSIONS, key)

    def _compare_sessions(self) -> list[RefusedRow]:
        """Set aside the work sessions that earlier imports wrote; return those that differ now."""
        refused: list[RefusedRow] = []
        if self.target.lineage is None:
            return refused
        already, differing, vanished = array("q"), list[int](), 0
        for old, found in beside(self.staged.sessions(), self.target.sessions()):
            if old is None:
                vanished += 1
            elif found is not None:
                if reason := self._compare(WORK_SESSIONS, old, found.digest, found.row):
                    refused.append(RefusedRow(WORK_SESSIONS, old.id, (reason,)))
                    differing.append(old.id)
                else:
                    already.append(old.id)
        self.staged.mark_sessions(already, ALREADY)
        self.staged.mark_sessions(differing, REFUSED)
        if vanished:
            self._note_vanished(WORK_SESSIONS, range(vanished))
        return refused

    def _refuse_sessions(self) -> Iterator[RefusedRow]:
        ids = self.target.row_ids(USERS)
        ordered = self.staged.sessions(state=READY, by="user_id, start, id")
        for user_id, group in itertools.groupby(ordered, key=lambda row: row.user_id):
            if user_id not in self.available[USERS]:
                reason = self._missing_parent("user_id", USERS, user_id)
                yield from (RefusedRow(WORK_SESSIONS, row.id, (reason,)) for row in group)
                continue
            spans = (Span(row.id, row.start_time, row.end_time) for row in group)
            present = sessions_of(ids[user_id]) if user_id in ids else []
            for key, reason in refusals(spans, present):
                yield RefusedRow(WORK_SESSIONS, key, (reason,))

    # --- options, ids, what is kept ---------------------------------------------------------------------
    def plan_orphans(self) -> None:
        orphans = [row for row in self.plan.small[USERS] if isinstance(row, rows.UserRow) and is_orphan(row)]
        self.plan.orphans = len(orphans)
        uid = self.plan.options.tenant_for_orphans
        if uid is None:
            return
        in_file = any(
            isinstance(row, TenantRow) and row.tenant_uid == uid for row in self.plan.small[TENANTS]
        )
        if not in_file and tenant_by_uid(uid) is None:
            raise OptionError(
                f"--tenant-for-orphans: there is no tenant {uid}, here or among the rows to import"
            )
        before = [found.row for found in self.target.mapped[USERS].values()]
        if stay := sum(isinstance(row, rows.UserRow) and is_orphan(row) for row in before):
            self.plan.notices.append(
                f"{stay:,} employees came with an earlier import without a tenant and stay so:"
                " --tenant-for-orphans is for those that come in now"
            )
        lineage = self.target.lineage
        if lineage and lineage.orphan_tenant_uid not in (None, uid) and orphans:
            raise OptionError(
                "--tenant-for-orphans: an earlier import of this file put them into"
                f" {lineage.orphan_tenant_uid}"
            )

    def plan_kept(self) -> None:
        plan, lineage = self.plan, self.target.lineage
        if lineage is not None and lineage.exact is not None:
            plan.kept_already = sum(1 for _ in self.staged.kept())
            return
        present = self.target.kept_digests()
        for row in self.staged.kept():
            if (row.table, row.digest) in present:
                plan.kept_already += 1
            else:
                plan.kept += 1

    def plan_ids(self) -> None:
        """Let rows keep their ids where no other row here has one that the file ever gave."""
        for table, table_plan in self.plan.tables.items():
            highest = self.staged.highest_id(table)
            if highest > values.MAX_ID:
                self.plan.blockers.append(
                    f"sqlite_sequence says that {table} reached id {highest}, which the old application"
                    " cannot have given: look at the file"
                )
                continue
            if not table_plan.ready:
                continue
            count, lowest = from_elsewhere(self.target.lineage, table, highest)
            table_plan.keeps_ids = not count
            if count and not self.plan.options.remap_ids:
                self.plan.blockers.append(
                    f"{count:,} rows of {table} from elsewhere hold ids that the file gave up to {highest}"
                    f" (id {lowest} is the lowest): run again with --remap-ids"
                )


def taken_from(found: Iterable[Row], column: str) -> list[str]:
    """Return the values of one column."""
    return [getattr(row, column) for row in found]


def beside(
    old: Iterator[SessionRow], new: Iterator[tuple[int, Mapped]]
) -> Iterator[tuple[SessionRow | None, Mapped | None]]:
    """Merge the work sessions of the file with those that came from it, in the order of their old ids."""
    row, found = next(old, None), next(new, None)
    while row is not None or found is not None:
        if found is None or (row is not None and row.id < found[0]):
            yield row, None
            row = next(old, None)
        elif row is None or found[0] < row.id:
            yield None, found[1]
            found = next(new, None)
        else:
            yield row, found[1]
            row, found = next(old, None), next(new, None)
