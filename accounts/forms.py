import unicodedata
from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from accounts import throttling
from accounts.models import User

REFUSED: Final = _("You could not be signed in. Please check your e-mail address and password.")
WHAT_MAY_HELP: Final = _(
    "After five wrong passwords, sign-in is locked for 15 minutes; you can also reset the password. If that "
    "does not help, ask your administrator; administrators ask the operator of the service."
)


def half_width(address: str) -> str:
    """Return an address in half width if it was typed in full width.

    One with a plain @ stays as it is: the import stored some with other characters of full or half width.
    """
    return address if "@" in address else unicodedata.normalize("NFKC", address)


class SignInForm(forms.Form):
    """E-mail address and password. The password is taken exactly as it was typed."""

    # No EmailInput: addresses that the import made up need not please a browser.
    email = forms.CharField(
        label=_("E-mail address"),
        max_length=254,
        error_messages={"required": _("Please enter your e-mail address.")},
        widget=forms.TextInput(
            attrs={
                "inputmode": "email",
                "autocomplete": "username",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=4096,
        error_messages={"required": _("Please enter your password.")},
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.user: User | None = None

    def clean_email(self) -> str:
        """Return the address in half width."""
        return half_width(self.cleaned_data["email"])

    @sensitive_variables("password")
    def clean(self) -> dict[str, Any]:
        """Find the user; one message for every way in which that can fail.

        TooManyError after too many failures from the same network: then nothing is looked at.
        """
        email, password = self.cleaned_data.get("email"), self.cleaned_data.get("password")
        if email is not None and password is not None:
            self._count()
            try:
                user = authenticate(self.request, email=email, password=password)
            except Exception:
                self._count(failed=False)  # not theirs
                raise
            if not isinstance(user, User):
                raise ValidationError([REFUSED, WHAT_MAY_HELP])
            self._count(failed=False)
            self.user = user
        return self.cleaned_data

    def _count(self, *, failed: bool = True) -> None:
        """Take each attempt for a failure, and back once it was none: many at once get no further."""
        if self.request is None:
            return
        who = ("sign_in", throttling.client_key(self.request))
        if not failed:
            throttling.take_back(*who)
        elif not throttling.hit(
            *who, limit=settings.SIGN_IN_FAILURES_PER_ADDRESS, seconds=settings.SIGN_IN_ADDRESS_SECONDS
        ):
            raise throttling.TooManyError(throttling.seconds_left(*who))

    def get_user(self) -> User | None:
        """Return who signed in, as Django's view asks for it."""
        return self.user
