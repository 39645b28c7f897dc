from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from django.db import models

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
            case _own if self.user_path is None:
                return self.none()
            case _own:
                conditions: dict[str, Any] = {self.user_path: found.user}
                return self.filter(**conditions)


class TenantQuerySet(ScopedQuerySet["Tenant"]):
    """Sets of tenants."""

    tenant_path = "pk"
    user_path = "users"
