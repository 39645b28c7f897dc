"""Forms for registering and for one's own account. What is wrong is said at its field."""

import re
import unicodedata
from typing import Any, Final

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import mail, throttling
from accounts.account_actions import CodeProblem
from accounts.forms import half_width
from accounts.models import User
from accounts.querysets import normalise_email
from accounts.tokens import DIGITS
from accounts.validators import MAX_PASSWORD_LENGTH

CODE: Final = re.compile(r"[A-HJ-NP-Z2-9]{16}")
# Japanese keyboards have these beside the hyphen; NFKC leaves them alone.
LOOKS_LIKE_A_HYPHEN: Final = "ー−"
MAX_NAME_LENGTH: Final = 100

CODE_PROBLEMS: Final = {
    CodeProblem.UNKNOWN: _("There is no such code. Please compare it with what you were given."),
    CodeProblem.DISABLED: _("This code has been disabled. Please ask your administrator for a new one."),
    CodeProblem.EXPIRED: _("This code has expired. Please ask your administrator for a new one."),
    CodeProblem.USED_UP: _(
        "As many people as this code is for have registered already. Please ask your administrator for a "
        "new one."
    ),
    CodeProblem.TENANT_SUSPENDED: _(
        "Nobody can register with this code at present. Please ask your administrator."
    ),
}
# No more than this: neither whose it is, nor in which company, nor whether it may sign in.
TAKEN: Final = _(
    "This e-mail address cannot be used. If it is yours, sign in with it or reset its password; otherwise "
    "take another one."
)
NO_MAIL: Final = _("No mail can be sent at the moment. Nothing was changed. Please try again later.")


def too_many(what: str, key: str | None) -> str:
    """Return what to tell somebody whom throttling keeps from `what`: the minutes to wait, rounded up."""
    minutes = -(-throttling.seconds_left(what, key) // 60)
    return ngettext(
        "Too many attempts. Please try again in about %(minutes)s minute.",
        "Too many attempts. Please try again in about %(minutes)s minutes.",
        minutes,
    ) % {"minutes": minutes}


def normalise_code(text: str) -> str:
    """Return a role code as it is stored: half width, upper case, without hyphens and spaces."""
    wide = unicodedata.normalize("NFKC", text).upper()
    return "".join(
        c
        for c in wide
        if not c.isspace() and c not in LOOKS_LIKE_A_HYPHEN and unicodedata.category(c) not in ("Pd", "Cf")
    )


def normalise_digits(text: str) -> str:
    """Return a mailed code as it was sent: half width, without hyphens and spaces."""
    return normalise_code(text)


class CodeField(forms.CharField):
    """A role code, however it is typed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Role code"),
            help_text=_(
                "The 16 characters that your administrator gave you; hyphens and case do not matter."
            ),
            max_length=100,
            error_messages={"required": _("Please enter the code that your administrator gave you.")},
            widget=forms.TextInput(
                attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
            ),
            **kwargs,
        )

    def clean(self, value: Any) -> str:
        """Return the code as it is stored; ValidationError for what can be none."""
        code = normalise_code(super().clean(value))
        if not CODE.fullmatch(code):
            if len(code) != 16:
                raise ValidationError(
                    ngettext(
                        "A code has 16 characters; this has %(count)s.",
                        "A code has 16 characters; this has %(count)s.",
                        len(code),
                    )
                    % {"count": len(code)}
                )
            raise ValidationError(
                _("A code has the letters A to Z without I and O, and the digits 2 to 9, and nothing else.")
            )
        return code


class AddressField(forms.EmailField):
    """An e-mail address that somebody can have. In lower case, as it is stored."""

    default_error_messages = {
        "required": _("Please enter your e-mail address."),
        "invalid": _("This does not look like an e-mail address. Please check it."),
    }

    def __init__(self, *, autocomplete: str = "email", is_new: bool = True, **kwargs: Any) -> None:
        self.is_new = is_new
        kwargs.setdefault("label", _("E-mail address"))
        super().__init__(
            max_length=254,
            widget=forms.EmailInput(
                attrs={
                    "inputmode": "email",
                    "autocomplete": autocomplete,
                    "autocapitalize": "none",
                    "spellcheck": "false",
                }
            ),
            **kwargs,
        )

    def clean(self, value: Any) -> str:
        """Return the address as it is stored; ValidationError for a new one to which no mail can go."""
        address = str(super().clean(normalise_email(half_width(str(value or "")))))
        if self.is_new and (not address.isascii() or mail.is_placeholder(address)):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return address


class NewPasswordField(forms.CharField):
    """A password to be: any characters, as they are typed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("New password"),
            help_text=_(
                "At least 12 characters. Not only digits, not a common password, nothing like your name or "
                "address. Several words in a row work well."
            ),
            strip=False,
            error_messages={"required": _("Please enter the new password.")},
            # The validator says what is wrong; this keeps megabytes from being looked at.
            max_length=64 * MAX_PASSWORD_LENGTH,
            widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
            **kwargs,
        )
        self.widget.attrs.pop("maxlength", None)  # a paste that is cut short in silence locks its owner out


class CurrentPasswordField(forms.CharField):
    """The password that somebody has, to show that it is them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Current password"),
            strip=False,
            error_messages={"required": _("Please enter your current password.")},
            max_length=4096,
            widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
            **kwargs,
        )
        self.widget.attrs.pop("maxlength", None)


class NameField(forms.CharField):
    """A part of a name."""

    def __init__(self, label: Any, autocomplete: str, missing: Any) -> None:
        super().__init__(
            label=label,
            max_length=MAX_NAME_LENGTH,
            error_messages={"required": missing},
            widget=forms.TextInput(attrs={"autocomplete": autocomplete}),
        )


def family_name() -> NameField:
    """Return the field for 姓."""
    return NameField(_("Family name"), "family-name", _("Please enter your family name."))


def given_name() -> NameField:
    """Return the field for 名."""
    return NameField(_("Given name"), "given-name", _("Please enter your given name."))


class AccountForm(forms.Form):
    """A form that has the focus where it is wrong when it comes back."""

    use_required_attribute = True
    # Whether what is wrong belongs to no field: then what says so has the focus.
    is_wrong_as_a_whole = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is needed is said in the page's language, at the field, with and without scripts.
        self.label_suffix = ""

    def focus(self) -> None:
        """Give the focus to the first error, and have each read before the help of its field.

        Called when all errors are known.
        """
        wrong = [self[name] for name in self.fields if name in self.errors]
        for field in wrong:
            described_by = f"{field.auto_id}_error"
            if field.help_text:
                described_by += f" {field.auto_id}_helptext"
            field.field.widget.attrs["aria-describedby"] = described_by
        if wrong:
            wrong[0].field.widget.attrs["autofocus"] = True
        else:
            self.is_wrong_as_a_whole = bool(self.errors)

    def check_new_password(self, name: str, user: User) -> None:
        """Add to a field what its password lacks: judged beside the name and address of this user."""
        password = self.cleaned_data.get(name)
        if password is not None:
            try:
                validate_password(password, user)
            except ValidationError as problems:
                self.add_error(name, problems)


class RegisterForm(AccountForm):
    """Who somebody is, and the code that says where they work."""

    code = CodeField()
    last_name = family_name()
    first_name = given_name()
    email = AddressField(autocomplete="username")
    password = NewPasswordField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].label = _("Password")
        self.fields["password"].error_messages["required"] = _("Please enter a password.")

    def clean(self) -> dict[str, Any]:
        """Judge the password beside the rest."""
        given = {name: self.cleaned_data.get(name, "") for name in ("last_name", "first_name", "email")}
        self.check_new_password("password", User(**given))
        return self.cleaned_data


class ForgotForm(AccountForm):
    """The address to which a link is to go. One that the old application made up is as good as any."""

    email = AddressField(autocomplete="username", is_new=False)


class AccountOf(AccountForm):
    """A form about one user's account."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user


class ResetForm(AccountOf):
    """A new password, by a mailed link."""

    new_password = NewPasswordField()

    def clean(self) -> dict[str, Any]:
        """Judge the password beside the user's name and address."""
        self.check_new_password("new_password", self.user)
        return self.cleaned_data


class ChangePasswordForm(AccountOf):
    """The password that is and the one that is to be."""

    current_password = CurrentPasswordField()
    new_password = NewPasswordField()

    def clean(self) -> dict[str, Any]:
        """Judge the new password; the view looks at the current one, and counts."""
        self.check_new_password("new_password", self.user)
        current, new = self.cleaned_data.get("current_password"), self.cleaned_data.get("new_password")
        if new is not None and new == current:
            self.add_error(
                "new_password", _("This is the password that you have. Please choose another one.")
            )
        return self.cleaned_data


class NameForm(AccountForm):
    """How somebody is called."""

    last_name = family_name()
    first_name = given_name()


class EmailForm(AccountOf):
    """A new address, and the password as a proof."""

    email = AddressField(label=_("New e-mail address"))
    current_password = CurrentPasswordField()

    def clean_email(self) -> str:
        """Refuse the address that the user has."""
        email: str = self.cleaned_data["email"]
        if email == self.user.email:
            raise ValidationError(_("This is the address that you have."))
        return email


class EmailCodeForm(AccountForm):
    """The code that was mailed to a new address."""

    code = forms.CharField(
        label=_("6-digit code"),
        max_length=100,
        error_messages={"required": _("Please enter the code from the mail.")},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code"}),
    )

    def clean_code(self) -> str:
        """Return six digits; anything else is no try."""
        code = normalise_digits(self.cleaned_data["code"])
        if not (code.isascii() and code.isdigit() and len(code) == DIGITS):
            raise ValidationError(_("The code has six digits. Please check it."))
        return code
