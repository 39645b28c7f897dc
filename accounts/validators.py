"""What a password has to keep to: Django's own rules in our words, and one more."""

from django.contrib.auth import password_validation as of_django
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

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


class MinimumLengthValidator(of_django.MinimumLengthValidator):
    """Refuses a password that is too short."""

    def get_error_message(self) -> str:
        """Say what would do."""
        return ngettext(
            "Please choose a password of at least %(min_length)s character.",
            "Please choose a password of at least %(min_length)s characters.",
            self.min_length,
        ) % {"min_length": self.min_length}


class SimilarityValidator(of_django.UserAttributeSimilarityValidator):
    """Refuses a password like the name or the address."""

    def get_error_message(self) -> str:
        """Name no attribute: what the user name is, its owner need not know."""
        return _("A password like your name or e-mail address cannot be used.")


class CommonPasswordValidator(of_django.CommonPasswordValidator):
    """Refuses what guessers try first."""

    def get_error_message(self) -> str:
        """Say why it will not do."""
        return _("This password is easily guessed. Please choose another one.")


class NumericPasswordValidator(of_django.NumericPasswordValidator):
    """Refuses digits alone."""

    def get_error_message(self) -> str:
        """Say why it will not do."""
        return _("A password of digits alone cannot be used.")
