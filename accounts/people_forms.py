"""Forms with which a tenant's admins look after its people and its role codes."""

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import mail
from accounts.account_forms import AddressField, family_name, given_name
from accounts.models import Role, RoleCode, User
from accounts.people import Person
from tenants import scope
from tenants.admin import DateInput
from tenants.changes import remember_shown, shown
from timerecord.core import clock

if TYPE_CHECKING:
    UserForm = forms.ModelForm[User]
    CodeForm = forms.ModelForm[RoleCode]
else:
    UserForm = CodeForm = forms.ModelForm

# No more than this: whoever has it may be in another tenant.
TAKEN_BY_SOMEBODY: Final = _(
    "This e-mail address cannot be used. Please ask whom it is for to name another one."
)
BY_MAIL, BY_PASSWORD = "mail", "password"
WAYS: Final = [
    (BY_MAIL, _("Send a link by mail: they choose their own password")),
    (BY_PASSWORD, _("Show a first password here once: you pass it on, they have to change it")),
]
MAX_USES: Final = 10_000
MAX_FILE_BYTES: Final = 1_000_000
FILE_TOO_LARGE: Final = _("This file is too large for a list of people: 1 MB are possible.")
MAX_DAYS: Final = 3 * 366


class PersonForm(UserForm):
    """What somebody is called, how they sign in, and whether they look after the tenant."""

    last_name = family_name()
    first_name = given_name()
    email = AddressField(autocomplete="off", error_messages={"unique": TAKEN_BY_SOMEBODY})
    role = forms.ChoiceField(
        label=_("Role"),
        choices=[(Role.EMPLOYEE, Role.EMPLOYEE.label), (Role.TENANT_ADMIN, Role.TENANT_ADMIN.label)],
        initial=Role.EMPLOYEE,
        help_text=_(
            "Tenant admins record their time like everybody else, and see and change everything here."
        ),
    )

    class Meta:
        model = User
        fields = ("last_name", "first_name", "email", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.made_up = self.instance.email if mail.is_placeholder(self.instance.email or "") else ""
        for name in ("last_name", "first_name"):
            self.fields[name].widget.attrs["autocomplete"] = "off"  # it is somebody else's
        if self.made_up:
            # Nobody has to give a real one to change something else.
            self.fields["email"].required = False
            self.fields["email"].widget.attrs["placeholder"] = _("none yet")
            self.initial["email"] = ""
        if self.instance.pk:
            remember_shown(self, self.Meta.fields)
        if self.instance.pk == scope.current().user:
            self.fields["role"].disabled = True
            self.fields["role"].help_text = _("Nobody changes their own role: another admin can.")
            # There the password is asked for, and a code: nobody takes an account over at an unlocked desk.
            self.fields["email"].disabled = True
            self.fields["email"].help_text = _("You change your own address under your account.")

    @property
    def seen(self) -> Person:
        """What the page showed."""
        seen = shown(self, self.Meta.fields)
        return Person(**{**seen, "email": seen["email"] or self.made_up})

    def clean_email(self) -> str:
        """Return the address; where none is given, the one that was made up stays."""
        return str(self.cleaned_data["email"]) or self.made_up or self.instance.email


class InviteForm(PersonForm):
    """Somebody new, and how they get to their first password."""

    way = forms.ChoiceField(
        label=_("How do they sign in for the first time?"),
        choices=WAYS,
        initial=BY_MAIL,
        widget=forms.RadioSelect,
    )


class PasswordWayForm(forms.Form):
    """How somebody gets to another password. Nobody reads mail at an address that was made up."""

    def __init__(self, *args: Any, has_address: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ways = WAYS if has_address else [way for way in WAYS if way[0] == BY_PASSWORD]
        first, _label = ways[0]
        self.fields["way"] = forms.ChoiceField(
            label=_("How?"), choices=ways, initial=first, widget=forms.RadioSelect
        )


class ImportForm(forms.Form):
    """A file with people."""

    file = forms.FileField(
        label=_("CSV file"),
        help_text=_(
            "The first row names the columns: family name, given name, e-mail, and role if you like. UTF-8 "
            "or Shift_JIS, up to 1,000 people."
        ),
        error_messages={"required": _("Please choose a file."), "empty": _("This file is empty.")},
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv"}),
    )

    def clean_file(self) -> UploadedFile:
        """Refuse a large file, by the size that is known before it is read."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MAX_FILE_BYTES:
            raise ValidationError(FILE_TOO_LARGE)
        return file


class ImportWayForm(forms.Form):
    """How the people of a file get to their first passwords."""

    rows = forms.CharField(widget=forms.HiddenInput)
    way = forms.ChoiceField(
        label=_("How do they sign in for the first time?"),
        choices=[
            (BY_MAIL, _("Send a link by mail to each: they choose their own passwords")),
            (BY_PASSWORD, _("Show first passwords here once, as a list: you pass them on")),
        ],
        initial=BY_MAIL,
        widget=forms.RadioSelect,
    )


class RoleCodeForm(CodeForm):
    """How long a code is good for, and for how many people."""

    last_day = forms.DateField(
        label=_("Last day on which it works"),
        required=False,
        widget=DateInput,
        help_text=_("Without one it works until you disable it."),
    )
    max_uses = forms.IntegerField(
        label=_("For how many people"),
        required=False,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_USES)],
        widget=forms.NumberInput(attrs={"min": 1, "max": MAX_USES, "inputmode": "numeric"}),
        help_text=_("Without a number, for as many as have the code."),
    )

    class Meta:
        model = RoleCode
        fields = ("max_uses",)

    def clean_last_day(self) -> dt.date | None:
        """Refuse a day that is over, and one so late that it is a mistake."""
        day: dt.date | None = self.cleaned_data["last_day"]
        today = timezone.localdate(clock.now())
        if day is not None and day < today:
            raise ValidationError(_("This day is over."))
        if day is not None and day > today + dt.timedelta(days=MAX_DAYS):
            raise ValidationError(_("Please choose a day within three years, or none."))
        return day

    @property
    def expires_at(self) -> dt.datetime | None:
        """The instant at which the last day ends in the active zone."""
        day: dt.date | None = self.cleaned_data["last_day"]
        if day is None:
            return None
        return timezone.make_aware(dt.datetime.combine(day + dt.timedelta(days=1), dt.time.min))
