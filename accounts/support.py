"""How a platform admin gets to read the records of a tenant: for a reason, for an hour at most, in its sight.

PostgreSQL judges whether an access lasts, by its own clock, with each statement. So nothing has to run for it
to be over, and nothing that is forgotten here opens anything. docs/adr/0012-platform-site.md.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any, Final

from django.db import DatabaseError, connection, transaction

from accounts.models import SupportAccess, User
from accounts.querysets import StatementNow, SupportAccessQuerySet
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach

MINUTES: Final = (15, 30, 60)


class NoAccessError(Exception):
    """A tenant's records were asked for, and no access lasts."""


def begin(tenant: Tenant, user: User, *, reason: str, minutes: int) -> SupportAccess:
    """Give a platform admin, who asks for it in the scope of the platform, the records of a tenant to read.

    One that lasts already is returned as it is: two at once make one. Minutes are 60 at most, or the
    database refuses.
    """
    Tenant.objects.in_scope().select_for_update(no_key=True).get(pk=tenant.pk)
    found = live_of(tenant).filter(user=user).first()
    if found is None:
        found = SupportAccess(
            tenant=tenant, user=user, user_name=user.display_name, reason=reason, minutes=minutes
        )
        found.save(force_insert=True)
        found.refresh_from_db()
    return found


def end(access: SupportAccess) -> bool:
    """End an access in scope at once; False if it was over already."""
    rows = SupportAccess.objects.in_scope().live().filter(pk=access.pk)
    return bool(rows.update(ended_at=StatementNow()))


def live_of(tenant: Tenant) -> SupportAccessQuerySet:
    """Return the accesses to a tenant's records that last and are in scope; the first to end first."""
    return SupportAccess.objects.in_scope().live().filter(tenant=tenant).order_by("ends_at", "pk")


@contextlib.contextmanager
def reading(tenant: Tenant, user: User, *, what: str, **details: Any) -> Iterator[SupportAccess]:
    """Do everything inside in the scope of an access that lasts, and leave a trace of it in the tenant.

    `what` is the kind of the event: `access.month`, `export.archive`. NoAccessError where none lasts to the
    end, for from when it is over rows are missing; nothing that was done inside is left then.
    """
    access = live_of(tenant).filter(user=user).last()
    if access is None:
        raise NoAccessError
    inside = scope.current().replace(
        reach=Reach.SUPPORT, door=Door.ADMIN, tenant=tenant.pk, reason=access.reason
    )
    # One that is over does not begin again: if it lasts afterwards, it lasted all the while.
    lasting = live_of(tenant).filter(pk=access.pk)
    try:
        with transaction.atomic():
            with scope.enter(inside):
                record(what, **details)
                yield access
            if not lasting.exists():
                raise NoAccessError
    except DatabaseError as refused:  # an event, for one, by whom it shows nothing any more
        if lasting.exists():
            raise
        raise NoAccessError from refused


def record(kind: str, **details: Any) -> None:
    """Write an event about the tenant of the scope: a kind that begins with `access.` or `export.`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT record_tenant_event(%s, %s)", [kind, json.dumps(details)])
