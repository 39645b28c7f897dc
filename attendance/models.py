import datetime as dt

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from attendance import words
from attendance.querysets import RUNNING, WorkSessionHistoryQuerySet, WorkSessionQuerySet
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
                    created_at__gte=EARLIEST,
                    created_at__lt=AFTER_THE_LATEST,
                ),
                name="work_sessions_calendar_check",
            ),
        ]

    def __str__(self) -> str:
        """Return whose it is, by name if that was read along, and when it began in the active zone."""
        who = self.user.display_name if "user" in self._state.fields_cache else self.user_id
        return f"{who} {words.short_day(self.start_time)} {timezone.localtime(self.start_time):%H:%M}"

    @property
    def is_running(self) -> bool:
        """Whether the employee is at work in it."""
        return self.end_time is None and not self.end_unknown


class Operation(models.TextChoices):
    """What a row of the history tells."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    IMPORT = "import"  # many work sessions at once, by their digest
    PURGE = "purge"  # what was older than the retention and went, history too: docs/adr/0015-retention.md


class WorkSessionHistory(models.Model):
    """One change to a work session, or one import of an employee's. A trigger writes it; nobody changes it.

    The rows of one employee are a chain: each digest is over the row and the digest before.
    docs/adr/0009-history.md.
    """

    user = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    # 1, 2, 3 … for each employee.
    seq = models.IntegerField()
    # No foreign key, as for the actor: what is gone leaves its trace here.
    work_session_id = models.BigIntegerField(null=True, blank=True)
    operation = models.CharField(choices=Operation.choices)
    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True, blank=True)
    # As it was then, like the role.
    actor_name = models.CharField(null=True, blank=True)  # noqa: DJ001
    actor_role = models.CharField(null=True, blank=True)  # noqa: DJ001
    door = models.CharField()
    address = models.CharField(null=True, blank=True)  # noqa: DJ001
    reason = models.CharField(null=True, blank=True)  # noqa: DJ001
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    previous = models.BinaryField()
    digest = models.BinaryField()

    objects = WorkSessionHistoryQuerySet.as_manager()

    class Meta:
        db_table = "work_session_history"
        indexes = [
            models.Index(
                fields=["work_session_id"],
                condition=Q(work_session_id__isnull=False),
                name="work_session_history_session",
            ),
            models.Index(
                fields=["user", "seq"],
                # Few, and each about many work sessions.
                condition=Q(operation__in=[Operation.IMPORT, Operation.PURGE]),
                name="work_session_history_of_many",
            ),
            models.Index(
                fields=["user"], condition=Q(operation="delete"), name="work_session_history_deletions"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["user", "seq"], name="work_session_history_chain_key"),
            models.CheckConstraint(
                condition=Q(operation__in=Operation.values), name="work_session_history_operation_check"
            ),
            models.CheckConstraint(
                condition=Q(door__in=["clock", "admin", "command", "import", "migration"]),
                name="work_session_history_door_check",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.seq} {self.operation}"
