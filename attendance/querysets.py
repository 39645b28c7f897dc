import datetime as dt
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q, Subquery
from django.db.models.functions import Coalesce

if TYPE_CHECKING:
    from accounts.models import User
    from attendance.models import WorkSession

RUNNING = Q(end_time__isnull=True, end_unknown=False)


class WorkSessionQuerySet(models.QuerySet["WorkSession"]):
    """Sets of work sessions."""

    def of(self, user: "User") -> "WorkSessionQuerySet":
        """Keep one user's."""
        return self.filter(user=user)

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
        before = (
            self.filter(RUNNING | Q(end_time__gt=F("start_time")), start_time__lt=since)
            .newest_first()
            .values("start_time")[:1]
        )
        return self.filter(start_time__gte=Coalesce(Subquery(before), since))
