from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest
from django.utils.crypto import get_random_string

from timerecord.core.sessions import ADDRESS_KEY, DEVICE_KEY, ORIGIN_KEY, TENANT_KEY

if TYPE_CHECKING:
    from accounts.models import User


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Keep in each new session whose it is and from where; leave a trace of each sign-in."""
        from accounts import audit

        # In this order: a session that could not be stored leaves no trace of a sign-in.
        user_logged_in.connect(_remember, dispatch_uid="accounts.remember")
        audit.connect()
        user_logged_out.connect(_forget, dispatch_uid="accounts.forget")


def _remember(request: HttpRequest, user: "User", **_: Any) -> None:
    """The scope of later requests comes from the tenant, before anything is read of the user.

    The session is complete by now, and stored: who signs in learns here whether that was possible.
    """
    from accounts.middleware import mark
    from tenants.middleware import visitor

    came_from = visitor(request)
    request.session[TENANT_KEY] = user.tenant_id
    request.session[ORIGIN_KEY] = get_random_string(22)
    request.session[DEVICE_KEY] = came_from.device or ""
    request.session[ADDRESS_KEY] = came_from.address or ""
    try:
        request.session.save()
    except Exception:
        # The form can be sent again as it is: the browser keeps the token that is in it.
        request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
        raise
    mark(request, signed_in=True)


def _forget(request: HttpRequest, **_: Any) -> None:
    """Who signed out need not be told later that they were signed out."""
    from accounts.middleware import mark

    mark(request, signed_in=False)
