from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from accounts import actions, errands
from accounts.models import User
from tenants import scope
from tenants.middleware import visitor
from tenants.scope import Reach


class EmailBackend(BaseBackend):
    """Signs people in by e-mail address and password, and finds the user of a session."""

    @sensitive_variables("password")
    def authenticate(
        self, request: HttpRequest | None, email: str = "", password: str = "", **_: Any
    ) -> User | None:
        """Return the user; None for an unknown address, a wrong password, an account locked or out of use.

        The password is taken as it was typed. Each of these costs the same. Who gets locked is told by mail,
        after the answer: before it, it would take longer than all other refusals.
        """
        attempt = actions.attempt_sign_in(email, password, visitor=visitor(request))
        if attempt.has_locked:
            errands.soon(request)
        return attempt.user

    def get_user(self, user_id: int) -> User | None:
        """Return the user of a session with the tenant; None if either was suspended or is gone.

        None also if the user has moved to another tenant since: the session's scope is of the old one.
        NoScopeError without a scope: that is a fault of ours, and signs nobody out.
        """
        user = User.objects.in_scope().with_tenant().filter(pk=user_id).first()
        moved = user and scope.current().reach is Reach.OWN and user.tenant_id != scope.current().tenant
        return user if user and user.is_active and not moved else None
