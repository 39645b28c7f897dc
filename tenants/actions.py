"""What is changed of a tenant itself. A trigger records it: docs/adr/0009-history.md."""

import dataclasses
from typing import Self

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from tenants.changes import to_store
from tenants.models import LEAST_RETENTION_MONTHS, MOST_RETENTION_MONTHS, Tenant, validate_time_zone


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a tenant's admins decide: its name, where it is written to, in whose zone days begin and end."""

    name: str
    contact_email: str
    time_zone: str

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        """Return those of a tenant; what it has not is empty."""
        return cls(tenant.name or "", tenant.contact_email or "", tenant.time_zone)


def settings_to_store(said: Settings, *, seen: Settings, present: Settings) -> dict[str, str]:
    """Return by name which settings are to be stored: tenants.changes.to_store, with its errors.

    ValidationError for a zone that there is not.
    """
    validate_time_zone(said.time_zone)
    asdict = dataclasses.asdict
    return to_store(asdict(said), seen=asdict(seen), present=asdict(present))


def change_settings(tenant: Tenant, said: Settings, *, seen: Settings) -> frozenset[str]:
    """Store which settings somebody said otherwise than their page showed. Return their names.

    No record is changed by another zone: all are instants, of which work dates are made anew wherever they
    are shown. In the caller's scope and transaction. Tenant.DoesNotExist for one that is not in scope; also
    the errors of `settings_to_store`.
    """
    # NO KEY: what only refers to the tenant, such as a registration, does not wait.
    stored = Tenant.objects.in_scope().select_for_update(no_key=True).get(pk=tenant.pk)
    changed = settings_to_store(said, seen=seen, present=Settings.of(stored))
    for name, value in changed.items():
        setattr(stored, name, value or None)
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
