"""How far a signed-in person's pages reach."""

import functools
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.models import Role, User
from tenants import scope
from tenants.scope import Door, Reach

View = Callable[..., HttpResponse]


def tenant_reach(view: View) -> View:
    """Let the view see the whole tenant if it is the tenant admin's; everybody else's stays their own."""

    @functools.wraps(view)
    def widened(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = request.user
        if not (isinstance(user, User) and user.role == Role.TENANT_ADMIN and user.tenant_id):
            return view(request, *args, **kwargs)
        with scope.enter(scope.current().replace(reach=Reach.TENANT, door=Door.ADMIN)):
            return view(request, *args, **kwargs)

    return widened
