from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User


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

    def clean(self) -> dict[str, Any]:
        """Find the user; one message for every way in which that can fail."""
        email, password = self.cleaned_data.get("email"), self.cleaned_data.get("password")
        if email is not None and password is not None:
            user = authenticate(self.request, email=email, password=password)
            if not isinstance(user, User):
                raise ValidationError(
                    _(
                        "E-mail address and password do not match. If this keeps happening, please ask your "
                        "administrator: the account may be suspended or locked."
                    )
                )
            self.user = user
        return self.cleaned_data

    def get_user(self) -> User | None:
        """Return who signed in, as Django's view asks for it."""
        return self.user
