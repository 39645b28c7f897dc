"""What became of a work session, read for a page and told in words."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.db.models.fields.json import KT
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Role, User
from attendance import words
from attendance.models import Operation, WorkSession, WorkSessionHistory
from attendance.querysets import WorkSessionHistoryQuerySet
from tenants.scope import Door

# The least that tells two times of day apart; the last, where the clocks were put back.
PRECISIONS = ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M %Z")


@dataclasses.dataclass(frozen=True)
class State:
    """A work session as it was at some time; instants are aware."""

    start: dt.datetime
    end: dt.datetime | None
    end_unknown: bool
    created_at: dt.datetime

    @classmethod
    def read(cls, state: dict[str, Any] | None) -> "State | None":
        """Read what the database wrote; nothing before the first change and after a deletion."""
        if state is None or "start_time" not in state:
            return None
        return cls(
            dt.datetime.fromisoformat(state["start_time"]),
            dt.datetime.fromisoformat(state["end_time"]) if state["end_time"] else None,
            state["end_unknown"],
            dt.datetime.fromisoformat(state["created_at"]),
        )


@dataclasses.dataclass(frozen=True)
class Change:
    """One line of the history: when, who, what and why, in the active language and zone."""

    at: dt.datetime
    operation: str
    door: str
    is_own: bool
    actor_name: str
    actor_role: str
    reason: str
    before: State | None
    after: State | None

    @property
    def sentence(self) -> str:
        """The whole line."""
        told = {"when": self.when, "who": self.who, "what": self.what, "reason": self.given_reason}
        if self.given_reason:
            return _("{when}, {who} {what}. Reason: {reason}").format(**told)
        return _("{when}, {who} {what}.").format(**told)

    @property
    def given_reason(self) -> str:
        """Why, in somebody's words: an import says there what it read."""
        return "" if self.door in {"import", "migration"} else self.reason

    @property
    def when(self) -> str:
        """The day, with its year if that is another than this one's, and the time of day."""
        return f"{words.short_day(self.at)} {timezone.localtime(self.at):%H:%M}"

    @property
    def who(self) -> str:
        """What they are and what they are called; both as it was then."""
        if self.door in {"import", "migration"} and not self.actor_name:
            return _("the operator of the service")
        if self.is_own:
            role = _("the employee")
        elif self.actor_role in Role:
            role = str(Role(self.actor_role).label)
        else:
            return _("somebody")
        return _("{role} ({name})").format(role=role, name=self.actor_name)

    @property
    def what(self) -> str:
        """What was done."""
        match self.operation, self.before, self.after:
            case Operation.INSERT, _none, State() as state if self.door == Door.CLOCK:
                return _("clocked in at {start}").format(start=_time(state.start, state))
            case Operation.INSERT, _none, State() as state:
                return _("added the work session {span}").format(span=_span(state))
            case Operation.DELETE, State() as state, _none:
                return _("deleted the work session {span}").format(span=_span(state))
            case Operation.UPDATE, State() as before, State() as after:
                if self.door == Door.CLOCK and after == dataclasses.replace(before, end=after.end):
                    return _("clocked out at {end}").format(end=_time(after.end, after))
                # Translators: between two things that somebody did
                return _(" and ").join(_changes(before, after))
            case _import:
                return _("took the work session over from earlier records")


@dataclasses.dataclass(frozen=True)
class Deletion:
    """A work session that somebody else than the clock deleted, and how."""

    session_id: int
    employee: User
    change: Change


@dataclasses.dataclass(frozen=True)
class HistoryPage:
    """The history of one work session, from the first change to the last."""

    employee: User
    changes: list[Change]
    # None for one that was deleted.
    session: WorkSession | None


def of_session(session_id: int) -> HistoryPage | None:
    """Return the history of a work session, also of one that was deleted. None if it is not in scope.

    Three queries.
    """
    employee = (
        User.objects.in_scope()
        .with_tenant()
        .filter(
            Q(pk__in=WorkSession.objects.in_scope().filter(pk=session_id).values("user"))
            | Q(
                pk__in=WorkSessionHistory.objects.in_scope().filter(work_session_id=session_id).values("user")
            )
        )
        .first()
    )
    if employee is None:
        return None
    came = RawSQL("(after ->> 'ids')::int8multirange @> %s::bigint", [session_id])
    rows = (
        WorkSessionHistory.objects.in_scope()
        .filter(user=employee)
        .alias(came=came)
        .filter(Q(work_session_id=session_id) | Q(operation=Operation.IMPORT, came=True))
        .order_by("seq")
    )
    session = WorkSession.objects.in_scope().filter(pk=session_id).first()
    # The beginning comes first, though rows were written before it was recorded.
    ordered = sorted(rows, key=lambda row: row.operation != Operation.IMPORT or row.door != "migration")
    return HistoryPage(employee, [_change(row) for row in ordered], session)


def corrections() -> WorkSessionHistoryQuerySet:
    """Return the changes that somebody else than the clock and the import made, but for deletions."""
    return WorkSessionHistory.objects.in_scope().filter(
        operation__in=[Operation.INSERT, Operation.UPDATE], door__in=[Door.ADMIN, Door.COMMAND]
    )


def corrected(ids: Iterable[int]) -> set[int]:
    """Return which of these work sessions were corrected, in one query."""
    found = corrections().filter(work_session_id__in=ids).values_list("work_session_id", flat=True)
    return {pk for pk in found if pk is not None}


def deletions(since: dt.datetime, until: dt.datetime | None = None) -> WorkSessionHistoryQuerySet:
    """Return the changes by which somebody deleted work sessions that began in a span, in no order.

    A partial index has the deletions of an employee, of which there are few.
    """
    # As text, UTC to the microsecond: that is also its order.
    began = WorkSessionHistory.objects.in_scope().alias(began=KT("before__start_time"))
    found = began.filter(
        operation=Operation.DELETE, door__in=[Door.ADMIN, Door.COMMAND], began__gte=_utc_text(since)
    )
    return found.filter(began__lt=_utc_text(until)) if until else found


def as_deletions(rows: Iterable[WorkSessionHistory]) -> list[Deletion]:
    """Return what rows of `deletions` tell; whose they are is read along or asked for."""
    return [Deletion(row.work_session_id or 0, row.user, _change(row)) for row in rows]


def marks(user: User, ids: Iterable[int], since: dt.datetime) -> tuple[set[int], list[Deletion]]:
    """Return which of these work sessions of a user were corrected, and what was deleted, the latest first.

    Of the deletions those of work sessions that began at an instant or later. One query.
    """
    rows = (
        corrections()
        .filter(user=user, work_session_id__in=list(ids))
        .union(deletions(since).filter(user=user), all=True)
        .order_by("-seq")
    )
    corrected, deleted = set(), []
    for row in rows:
        if row.operation == Operation.DELETE:
            row.user = user
            deleted.append(row)
        else:
            corrected.add(row.work_session_id or 0)
    return corrected, as_deletions(deleted)


def _utc_text(instant: dt.datetime) -> str:
    """Write an instant as the database does in the history."""
    return f"{instant.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def span(session: WorkSession) -> str:
    """Write from when to when a work session is, with its day, in the active language and zone."""
    return _span(State(session.start_time, session.end_time, session.end_unknown, session.created_at))


def _change(row: WorkSessionHistory) -> Change:
    return Change(
        at=row.at,
        operation=row.operation,
        door=row.door,
        is_own=row.actor_id == row.user_id,
        actor_name=row.actor_name or "",
        actor_role=row.actor_role or "",
        reason=row.reason or "",
        before=State.read(row.before),
        after=State.read(row.after),
    )


def _changes(before: State, after: State) -> Iterator[str]:
    if before.start != after.start:
        first, second = _two_times(before.start, after.start, after)
        yield _("changed the start from {before} to {after}").format(before=first, after=second)
    if before.end and after.end and before.end != after.end:
        first, second = _two_times(before.end, after.end, after)
        yield _("changed the end from {before} to {after}").format(before=first, after=second)
    elif before.end and not after.end:
        yield _("took back the end {before}").format(before=_time(before.end, before))
    elif after.end and not before.end:
        yield _("set the end to {after}").format(after=_time(after.end, after))
    if after.end_unknown and not before.end_unknown:
        yield _("marked the end as unknown")
    elif before.end_unknown and not after.end_unknown and not after.end:
        yield _("marked it as running")
    if before.created_at != after.created_at:
        yield _("changed the time at which it was recorded")


def _span(state: State) -> str:
    start = f"{words.short_day(state.start)} {timezone.localtime(state.start):%H:%M}"
    if state.end:
        return _("from {start} to {end}").format(start=start, end=_time(state.end, state))
    if state.end_unknown:
        return _("from {start}, its end unknown").format(start=start)
    return _("from {start}, which was running").format(start=start)


def _time(instant: dt.datetime | None, state: State) -> str:
    """Write a time of day, with its day if that is not the day of the start."""
    return words.moment(instant, state.start) if instant else ""


def _two_times(before: dt.datetime, after: dt.datetime, state: State) -> tuple[str, str]:
    """Write two instants so that they differ."""
    first, second = _time(before, state), _time(after, state)
    for precision in PRECISIONS:
        if first != second:
            break
        first, second = (timezone.localtime(instant).strftime(precision) for instant in (before, after))
    return first, second
