import logging
import secrets
import zoneinfo

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from tenants.querysets import TenantQuerySet
from timerecord.core import clock

DEFAULT_ZONE = zoneinfo.ZoneInfo("Asia/Tokyo")
# Article 109 of Japan's Labour Standards Act: five years; its article 143 (1): for the time being three.
DEFAULT_RETENTION_MONTHS = 60
LEAST_RETENTION_MONTHS = 36
MOST_RETENTION_MONTHS = 1200

logger = logging.getLogger(__name__)


def validate_time_zone(name: str) -> None:
    """Raise ValidationError unless the name is in the IANA time zone database."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(_("“%(name)s” is not the name of a time zone."), params={"name": name})


def new_tenant_uid() -> str:
    """Return an identifier of the old application's form: `ten_` and 12 hexadecimal digits."""
    return f"ten_{secrets.token_hex(6)}"


class TenantStatus(models.TextChoices):
    """Whether a tenant's people may sign in."""

    ACTIVE = "active", _("active")
    SUSPENDED = "suspended", _("suspended")
    # For good, once everything was exported: its records stay for as long as they have to be kept.
    CLOSED = "closed", _("closed")


class Tenant(models.Model):
    """A customer. Its people and their records are nobody else's to see."""

    tenant_uid = models.CharField(_("uid"), max_length=64, default=new_tenant_uid)
    # Unbounded and nullable, because the old application's rows are.
    name = models.CharField(_("name"), null=True, blank=True)  # noqa: DJ001
    contact_email = models.CharField(_("contact e-mail"), null=True, blank=True)  # noqa: DJ001
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default=DEFAULT_ZONE.key,
        db_default=DEFAULT_ZONE.key,
        validators=[validate_time_zone],
    )
    status = models.CharField(
        _("status"),
        max_length=16,
        choices=TenantStatus.choices,
        default=TenantStatus.ACTIVE,
        db_default=TenantStatus.ACTIVE,
    )
    # Work sessions with their history, and the audit trail, are kept so long after the end of their month:
    # docs/adr/0015-retention.md.
    retention_months = models.IntegerField(
        _("months of retention"), default=DEFAULT_RETENTION_MONTHS, db_default=DEFAULT_RETENTION_MONTHS
    )
    # Part of what its people's sessions are good for; a trigger raises it when the tenant is suspended.
    session_epoch = models.IntegerField(_("session epoch"), default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), default=clock.now, db_default=Now(), editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        db_table = "tenants"
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")
        constraints = [
            models.UniqueConstraint(fields=["tenant_uid"], name="tenants_tenant_uid_key"),
            models.CheckConstraint(
                condition=models.Q(status__in=TenantStatus.values), name="tenants_status_check"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    retention_months__gte=LEAST_RETENTION_MONTHS, retention_months__lte=MOST_RETENTION_MONTHS
                ),
                name="tenants_retention_months_check",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.tenant_uid

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The zone in which this tenant's days begin and end.

        Japan's, and an error in the log, where SQL wrote a name that there is not: pages go on.
        """
        try:
            return zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder
            logger.error(
                "Tenant %s has the time zone %r, which there is not; %s is used.",
                self.tenant_uid,
                self.time_zone,
                DEFAULT_ZONE.key,
            )
            return DEFAULT_ZONE

    @property
    def is_active(self) -> bool:
        """Whether its people may sign in."""
        return self.status == TenantStatus.ACTIVE
