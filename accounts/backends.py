from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from accounts.models import User
from accounts.querysets import normalise_email
from timerecord.core import clock


class EmailBackend(BaseBackend):
    """Signs people in by e-mail address and password, and finds the user of a session."""

    def authenticate(
        self, request: HttpRequest | None, email: str = "", password: str = "", **_: Any
    ) -> User | None:
        """Return the user, or None for an unknown address, a wrong password or an account out of use.

        The password is taken as it was typed. An unknown address costs a hash as a known one does.
        """
        user = User.objects.with_tenant().filter(email=normalise_email(email)).first()
        if user is None:
            make_password(password)
            return None
        fits = user.check_password(password)
        return user if fits and user.is_active and not user.is_locked(clock.now()) else None

    def get_user(self, user_id: int) -> User | None:
        """Return the user of a session with the tenant; None if either was suspended or is gone."""
        user = User.objects.with_tenant().filter(pk=user_id).first()
        return user if user and user.is_active else None
