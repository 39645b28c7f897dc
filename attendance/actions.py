"""Clocking in and out. Views and everything else go through here."""

import dataclasses
import datetime as dt
import enum

from django.db import IntegrityError, transaction

from accounts.models import User
from attendance.models import NO_SESSION, WorkSession
from timerecord.core import clock

# An impatient thumb, or a page sent twice: so soon after a punch its opposite is asked for once more.
HURRY = dt.timedelta(minutes=1)
# How far the clocks of two servers may be apart: a punch then takes the instant of the one before it.
CLOCK_SKEW = dt.timedelta(seconds=5)


class Outcome(enum.Enum):
    """What became of a punch."""

    CLOCKED_IN = enum.auto()
    CLOCKED_OUT = enum.auto()
    ALREADY_IN = enum.auto()
    ALREADY_OUT = enum.auto()
    # The page that sent it showed something that is no longer so.
    STALE = enum.auto()
    # The opposite punch was a moment ago: nothing changed, the person is to be asked.
    ASK = enum.auto()
    # The time is taken by a session that ends later, or the person has no tenant.
    REFUSED = enum.auto()


CHANGED = frozenset({Outcome.CLOCKED_IN, Outcome.CLOCKED_OUT})


@dataclasses.dataclass(frozen=True)
class Punch:
    """The outcome, and the work session that explains it: the new, the running or the last one."""

    outcome: Outcome
    session: WorkSession | None


def clock_in(user: User, *, seen: int, confirmed: bool = False) -> Punch:
    """Begin a work session now, by the server's clock, if the user is off the clock.

    `seen` is the id of the work session that the user's page showed as the last one (NO_SESSION for
    none): when another has come since, the page was stale and nothing changes. Any number of
    simultaneous calls begins one session.
    """
    last = None
    try:
        with transaction.atomic():
            now = take_turn(user)
            last = WorkSession.objects.of(user).last_of_one()
            if not user.can_punch:
                return Punch(Outcome.REFUSED, last)
            if last and last.is_running:
                return Punch(Outcome.ALREADY_IN, last)
            if seen != (last.pk if last else NO_SESSION):
                return Punch(Outcome.STALE, last)
            if last and last.end_time:
                if not confirmed and abs(now - last.end_time) < HURRY:
                    return Punch(Outcome.ASK, last)
                now = _not_before(last.end_time, now)
            return Punch(Outcome.CLOCKED_IN, WorkSession.objects.create(user=user, start_time=now))
    except IntegrityError:
        return Punch(Outcome.REFUSED, last)


def clock_out(user: User, *, seen: int, confirmed: bool = False) -> Punch:
    """End the running work session now, by the server's clock.

    `seen` is the id of the work session that the user's page showed as running: when it ended since,
    or another is running, nothing changes.
    """
    last = None
    try:
        with transaction.atomic():
            now = take_turn(user)
            last = WorkSession.objects.of(user).last_of_one()
            if last is None or not last.is_running:
                return Punch(Outcome.ALREADY_OUT, last)
            if seen != last.pk:
                return Punch(Outcome.STALE, last)
            if not confirmed and now - last.start_time < HURRY:
                return Punch(Outcome.ASK, last)
            end = _not_before(last.start_time, now)
            # An administrator may have ended it since it was read: their end stays.
            if not WorkSession.objects.of(user).running().filter(pk=last.pk).update(end_time=end):
                return Punch(Outcome.STALE, None)
            last.end_time = end
            return Punch(Outcome.CLOCKED_OUT, last)
    except IntegrityError:
        return Punch(Outcome.REFUSED, last)


def take_turn(user: User) -> dt.datetime:
    """Wait until nobody else changes the user's work sessions, and return the present after that.

    Whatever changes a work session begins with this. The triggers take the same lock, but after the row's
    own: two who take them in opposite order would end in a deadlock.
    """
    User.objects.in_scope().select_for_update(no_key=True).only("pk").get(pk=user.pk)
    return clock.now()


def _not_before(earlier: dt.datetime, now: dt.datetime) -> dt.datetime:
    return earlier if now < earlier <= now + CLOCK_SKEW else now
