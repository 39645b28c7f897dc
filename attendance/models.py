import datetime as dt

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from attendance.querysets import RUNNING, WorkSessionQuerySet
from timerecord.core import clock

# Far enough from the ends of Python's calendar that the clocks of every zone can show it. PostgreSQL's goes
# further, and to infinity.
EARLIEST = dt.datetime(1, 1, 4, tzinfo=dt.UTC)
AFTER_THE_LATEST = dt.datetime(9999, 12, 29, tzinfo=dt.UTC)
# What a page shows in place of the id of the last work session while there is none.
NO_SESSION = 0


class WorkSession(models.Model):
    """One pair of clock-in and clock-out: half-open, from `start_time` to before `end_time`.

    Without `end_time` it is running, unless `end_unknown` says that the clock-out was forgotten: then
    it counts no minutes and keeps nobody from clocking in. Punches are kept to the microsecond.

    For one user the database guarantees that at most one is running, that no two overlap and that
    none ends before it starts: docs/adr/0002-overlap-guarantee.md.
    """

    user = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="work_sessions",
        verbose_name=_("employee"),
    )
    start_time = models.DateTimeField(_("start"))
    end_time = models.DateTimeField(_("end"), null=True, blank=True)
    end_unknown = models.BooleanField(_("end unknown"), default=False, db_default=False)
    created_at = models.DateTimeField(_("created at"), default=clock.now, db_default=Now(), editable=False)

    objects = WorkSessionQuerySet.as_manager()

    class Meta:
        db_table = "work_sessions"
        verbose_name = _("work session")
        verbose_name_plural = _("work sessions")
        indexes = [models.Index(fields=["user", "start_time"], name="work_sessions_user_start_idx")]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=RUNNING, name="work_sessions_one_running"),
            models.CheckConstraint(
                condition=Q(end_time__isnull=True) | Q(end_time__gte=F("start_time")),
                name="work_sessions_order_check",
            ),
            models.CheckConstraint(
                condition=Q(end_unknown=False) | Q(end_time__isnull=True),
                name="work_sessions_end_unknown_check",
            ),
            models.CheckConstraint(
                condition=Q(
                    Q(end_time__isnull=True) | Q(end_time__lt=AFTER_THE_LATEST),
                    start_time__gte=EARLIEST,
                    start_time__lt=AFTER_THE_LATEST,
                ),
                name="work_sessions_calendar_check",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.start_time:%Y-%m-%d %H:%M}"

    @property
    def is_running(self) -> bool:
        """Whether the employee is at work in it."""
        return self.end_time is None and not self.end_unknown
