"""The site on which a tenant's admins look after their tenant: /admin/."""

from contextlib import AbstractContextManager
from typing import Any

from django.http import HttpRequest

from accounts.models import Role, User
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach
from timerecord.core.admin import Site


class TenantSite(Site):
    """Shows a tenant's admins the rows of their own tenant. Everybody else is refused, operators too."""

    front_page_has = ("employees/",)

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether somebody is a tenant admin; that they are active, the session's middleware sees to."""
        user = request.user
        return isinstance(user, User) and user.role == Role.TENANT_ADMIN and user.tenant_id is not None

    def entered(self) -> AbstractContextManager[object]:
        """Return the scope of the whole tenant."""
        return scope.enter(scope.current().replace(reach=Reach.TENANT, door=Door.ADMIN))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add the tenant."""
        user = request.user
        return {**super().each_context(request), "tenant": user.tenant if isinstance(user, User) else None}


tenant_site = TenantSite("admin")


def acting(request: HttpRequest) -> User:
    """Return who asks."""
    if not isinstance(request.user, User):
        raise TypeError("the site lets only signed-in people come here")
    return request.user


def tenant_of(request: HttpRequest) -> Tenant:
    """Return the tenant of who asks."""
    tenant = acting(request).tenant
    if tenant is None:
        raise TypeError("the site lets only people of a tenant come here")
    return tenant
