"""What is changed of a tenant itself. A trigger records it: docs/adr/0009-history.md."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from tenants.models import LEAST_RETENTION_MONTHS, MOST_RETENTION_MONTHS, Tenant, validate_time_zone


def change_settings(
    tenant: Tenant, *, name: str, contact_email: str | None, time_zone: str
) -> frozenset[str]:
    """Store what a tenant is called, where it is written to, and where its days begin and end.

    Return the columns that were changed; those of another admin who changed something meanwhile stay as they
    are, unless they are named here with other values. No record is changed by another zone: all are instants,
    of which work dates are made anew wherever they are shown. In the caller's scope and transaction.
    Tenant.DoesNotExist for one that is not in scope, ValidationError for a zone that there is not.
    """
    validate_time_zone(time_zone)
    said = {"name": name, "contact_email": contact_email or None, "time_zone": time_zone}
    # NO KEY: what only refers to the tenant, such as a registration, does not wait.
    stored = Tenant.objects.in_scope().select_for_update(no_key=True).get(pk=tenant.pk)
    changed = {
        column: value
        for column, value in said.items()
        if value != getattr(tenant, column) and value != getattr(stored, column)
    }
    for column, value in changed.items():
        setattr(stored, column, value)
        setattr(tenant, column, value)
    if changed:
        stored.save(update_fields=list(changed))
    return frozenset(changed)


def change_retention(tenant: Tenant, months: int) -> bool:
    """Store for how many months after a month's end a tenant's records are kept. Return whether that is new.

    For the operator of the service: the database refuses everybody else who would shorten it. In the caller's
    scope and transaction. ValidationError for less than the law allows: docs/adr/0015-retention.md.
    """
    if not LEAST_RETENTION_MONTHS <= months <= MOST_RETENTION_MONTHS:
        raise ValidationError(
            _("Records are kept for %(least)s to %(most)s months."),
            params={"least": LEAST_RETENTION_MONTHS, "most": MOST_RETENTION_MONTHS},
        )
    stored = Tenant.objects.in_scope().select_for_update(no_key=True).get(pk=tenant.pk)
    if stored.retention_months == months:
        return False
    stored.retention_months = tenant.retention_months = months
    stored.save(update_fields=["retention_months"])
    return True
