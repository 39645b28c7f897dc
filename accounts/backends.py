from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from accounts import audit
from accounts.models import User
from accounts.querysets import normalise_email
from tenants import scope
from tenants.scope import Door, Reach
from timerecord.core import clock


class EmailBackend(BaseBackend):
    """Signs people in by e-mail address and password, and finds the user of a session."""

    def authenticate(
        self, request: HttpRequest | None, email: str = "", password: str = "", **_: Any
    ) -> User | None:
        """Return the user, or None for an unknown address, a wrong password or an account out of use.

        The password is taken as it was typed. An unknown address costs a hash as a known one does.
        """
        address = request.META.get("REMOTE_ADDR") if request else None
        with scope.everything("somebody signs in", door=Door.CLOCK, address=address):
            user = User.objects.in_scope().with_tenant().filter(email=normalise_email(email)).first()
            if user is None:
                make_password(password)
            elif user.check_password(password) and user.is_active and not user.is_locked(clock.now()):
                return user
            audit.record("sign_in.failed", user.pk if user else None)
            return None

    def get_user(self, user_id: int) -> User | None:
        """Return the user of a session with the tenant; None if either was suspended or is gone.

        None also if the user has moved to another tenant since: the session's scope is of the old one.
        NoScopeError without a scope: that is a fault of ours, and signs nobody out.
        """
        user = User.objects.in_scope().with_tenant().filter(pk=user_id).first()
        moved = user and scope.current().reach is Reach.OWN and user.tenant_id != scope.current().tenant
        return user if user and user.is_active and not moved else None
