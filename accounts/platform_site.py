"""The site on which platform admins look after tenants: /platform/. docs/adr/0012-platform-site.md."""

from contextlib import AbstractContextManager
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import Role, User
from tenants import scope
from tenants.scope import Door, Reach
from timerecord.core.admin import Site


class PlatformSite(Site):
    """Shows platform admins the tenants, and no record of any. Everybody else is refused."""

    site_title = site_header = _("Platform")
    index_title = _("Tenants")
    front_page_has = ("tenants/", "support/")

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether somebody is a platform admin; that they are active, the session's middleware sees to."""
        return isinstance(request.user, User) and request.user.role == Role.PLATFORM_ADMIN

    def entered(self) -> AbstractContextManager[object]:
        """Return the scope of the platform."""
        return scope.enter(scope.current().replace(reach=Reach.PLATFORM, door=Door.ADMIN))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Say whose site it is, where others have the tenant."""
        return {**super().each_context(request), "tenant": self.site_header}


platform_site = PlatformSite("platform")
