import datetime as dt
from typing import TYPE_CHECKING

from django.db.models import F, Q, Subquery
from django.db.models.functions import Coalesce

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

    def reaching_into(self, since: dt.datetime) -> "WorkSessionQuerySet":
        """Keep those with time at or after an instant; made for one user's, and cheap for any history.

        Since no two sessions of a user overlap, of all that start earlier only the last that takes any
        time can reach across the instant: one step back in the index finds it.
        """
        before = self.filter(TAKES_TIME, start_time__lt=since).newest_first().values("start_time")[:1]
        return self.filter(start_time__gte=Coalesce(Subquery(before), since))


class WorkSessionHistoryQuerySet(ScopedQuerySet["WorkSessionHistory"]):
    """Sets of changes to work sessions."""

    tenant_path = "user__tenant"
    user_path = "user"
    for_support = True
