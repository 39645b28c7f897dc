"""What a password has to keep to besides Django's own validators."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MAX_PASSWORD_LENGTH = 1024


class MaximumLengthValidator:
    """Refuses a password so long that hashing it would be work for nothing."""

    def __init__(self, max_length: int = MAX_PASSWORD_LENGTH) -> None:
        self.max_length = max_length

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:  # noqa: ARG002
        """Raise ValidationError above the limit, counted in characters."""
        if len(password) > self.max_length:
            raise ValidationError(
                _("This password is too long. It may have %(max_length)s characters at most."),
                code="password_too_long",
                params={"max_length": f"{self.max_length:,}"},
            )

    def get_help_text(self) -> str:
        """Say the rule, in the active language."""
        return _("Your password may have %(max_length)s characters at most.") % {
            "max_length": f"{self.max_length:,}"
        }
