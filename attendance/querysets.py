import datetime as dt
from typing import TYPE_CHECKING

from django.db.models import F, Q

from tenants.querysets import ScopedQuerySet

if TYPE_CHECKING:
    from accounts.models import User
    from attendance.models import WorkSession, WorkSessionHistory  # noqa: F401 named in quotes

RUNNING = Q(end_time__isnull=True, end_unknown=False)
# What no other of the same user may overlap: docs/adr/0002-overlap-guarantee.md.
TAKES_TIME = RUNNING | Q(end_time__gt=F("start_time"))


class WorkSessionQuerySet(ScopedQuerySet["WorkSession"]):
    """Sets of work sessions."""

    tenant_path = "user__tenant"
    user_path = "user"
    for_support = True

    def of(self, user: "User") -> "WorkSessionQuerySet":
        """Keep one user's, as far as they are in scope."""
        return self.in_scope().filter(user=user)

    def running(self) -> "WorkSessionQuerySet":
        """Keep those that have not ended: one for each user at most."""
        return self.filter(RUNNING)

    def newest_first(self) -> "WorkSessionQuerySet":
        """Order by start, the latest first; one order for equal starts."""
        return self.order_by("-start_time", "-pk")

    def last_of_one(self) -> "WorkSession | None":
        """Return, of one user's, the running one, or else the one that started last; in one query."""
        found = list(self.running().union(self.newest_first()[:1], all=True))
        return next((session for session in found if session.is_running), next(iter(found), None))

    def last_with_time(self, before: dt.datetime) -> "WorkSessionQuerySet":
        """Keep the last that starts before an instant and takes any time: one step back in the index.

        Since no two of a user overlap, of all that start before the instant only this one can reach into what
        comes after it.
        """
        return self.filter(TAKES_TIME, start_time__lt=before).newest_first()[:1]

    def reaching_into(self, since: dt.datetime) -> "WorkSessionQuerySet":
        """Return those of one user with time at or after an instant, to be ordered and read.

        It cannot be filtered further. In two branches: as a bound, the start of the last before it would be a
        subquery, which might leak, so row-level security would keep it out of the index and read all history.
        """
        return self.filter(start_time__gte=since).order_by().union(self.last_with_time(since), all=True)


class WorkSessionHistoryQuerySet(ScopedQuerySet["WorkSessionHistory"]):
    """Sets of changes to work sessions."""

    tenant_path = "user__tenant"
    user_path = "user"
    for_support = True
