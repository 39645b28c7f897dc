from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Q

from tenants import scope
from tenants.scope import Reach

if TYPE_CHECKING:
    from tenants.models import Tenant  # noqa: F401 named in quotes

Model_co = TypeVar("Model_co", bound=models.Model, covariant=True)


class ScopedQuerySet(models.QuerySet[Model_co]):
    """Sets of rows that belong to a tenant, or to one of its users."""

    # The paths from a row to what a scope reaches. None: nobody's own, only the tenant's.
    tenant_path: ClassVar[str]
    user_path: ClassVar[str | None]
    # What of it a platform admin sees without an access to a tenant, and whether with one. None: nothing.
    for_platform: ClassVar[Q | None] = None
    for_support: ClassVar[bool] = False

    def in_scope(self) -> Self:
        """Keep what the scope reaches. NoScopeError without one.

        Every query of a page starts with this, in sight of its reader. PostgreSQL's policies refuse the
        rest all the same: they are a net, not an excuse.
        """
        found = scope.current()
        match found.reach:
            case Reach.ALL:
                return self.all()
            case Reach.TENANT:
                return self.filter(**{self.tenant_path: found.tenant})
            case Reach.PLATFORM:
                return self.none() if self.for_platform is None else self.filter(self.for_platform)
            case Reach.SUPPORT:
                return self.filter(**{self.tenant_path: found.tenant}) if self.for_support else self.none()
            case _own if self.user_path is None:
                return self.none()
            case _own:
                conditions: dict[str, Any] = {self.user_path: found.user}
                return self.filter(**conditions)


class TenantQuerySet(ScopedQuerySet["Tenant"]):
    """Sets of tenants."""

    tenant_path = "pk"
    user_path = "users"
    for_platform = Q()
    for_support = True
