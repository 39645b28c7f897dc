"""Forms with which platform admins look after tenants."""

from typing import Any, Final

from django import forms
from django.conf import settings
from django.core import signing
from django.utils.translation import gettext_lazy as _

from accounts.account_forms import AddressField, family_name, given_name
from accounts.people import Person
from accounts.support import MINUTES
from tenants.admin import ReasonField
from tenants.forms import TenantForm
from tenants.models import Tenant, new_tenant_uid

UID_SALT: Final = "accounts.platform.uid"
# How long such a form may stay open.
UID_SECONDS: Final = 24 * 60 * 60


class CreateForm(TenantForm):
    """A new tenant and its first admin. It knows the uid of the tenant from the start: sent twice, one."""

    language = forms.ChoiceField(
        label=_("Language"),
        choices=settings.LANGUAGES,
        help_text=_(
            "In which the first admin sees the pages and is written to; everybody can choose another."
        ),
    )
    last_name = family_name()
    first_name = given_name()
    email = AddressField(autocomplete="off", label=_("E-mail address to sign in with"))
    uid = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, user_id: int, data: Any = None) -> None:
        super().__init__(Tenant(), data)
        self.user_id = user_id
        self.fields["name"].help_text = _(
            "Employees see it when they register; files and printed pages bear it."
        )
        self.initial["language"] = settings.LANGUAGE_CODE
        self.initial["uid"] = self._signed()
        for name in ("name", "contact_email", "last_name", "first_name"):
            self.fields[name].widget.attrs["autocomplete"] = "off"  # it is somebody else's
        self.fields["name"].error_messages["required"] = _("Please enter the name of the company.")
        self.fields["last_name"].error_messages["required"] = _("Please enter the family name.")
        self.fields["first_name"].error_messages["required"] = _("Please enter the given name.")
        self.fields["email"].error_messages["required"] = _("Please enter the e-mail address.")

    def _signed(self) -> str:
        return signing.dumps([self.user_id, new_tenant_uid()], salt=UID_SALT)

    def clean_uid(self) -> str:
        """Return the uid; where the form was open for too long, or is somebody else's, offer another."""
        try:
            user_id, uid = signing.loads(self.cleaned_data["uid"], salt=UID_SALT, max_age=UID_SECONDS)
        except signing.BadSignature:
            user_id, uid = None, ""
        if user_id != self.user_id:
            self.data = {**self.data, "uid": self._signed()}
            self.add_error(
                None, _("This page was open for too long. Please look at it once more and send it again.")
            )
        return str(uid)

    @property
    def tenant(self) -> Tenant:
        """The tenant that it asks for, not stored yet."""
        said = self.cleaned_data
        return Tenant(
            tenant_uid=said["uid"],
            name=said["name"],
            contact_email=said["contact_email"] or None,
            time_zone=said["time_zone"],
        )

    @property
    def admin(self) -> Person:
        """The first admin that it asks for."""
        said = self.cleaned_data
        return Person(said["last_name"], said["first_name"], said["email"])


class TenantReasonField(ReasonField):
    """Why something is done to a tenant. Required."""

    def __init__(self) -> None:
        super().__init__()
        self.help_text = _("It is kept in the audit trail, which the company's admins read.")


class TenantReasonForm(forms.Form):
    """Nothing but the reason."""

    reason = TenantReasonField()


class AccessForm(TenantReasonForm):
    """Why somebody has to look into a tenant's records, and for how long."""

    minutes = forms.TypedChoiceField(
        label=_("For how long"),
        coerce=int,
        choices=[(minutes, _("%(minutes)s minutes") % {"minutes": minutes}) for minutes in MINUTES],
        initial=MINUTES[0],
        widget=forms.RadioSelect,
    )


class CloseForm(TenantReasonForm):
    """The tenant's name and its archive's code, typed, and the reason: nobody closes one by a slip."""

    name = forms.CharField(
        label=_("Name of the company, as it is written above"),
        error_messages={
            "required": _("Please type the name, so that no other company is closed by mistake.")
        },
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    code = forms.CharField(
        label=_("Closing code of the newest archive"),
        help_text=_("It is in the archive, in the file tenant.json, as closing_code."),
        error_messages={"required": _("Please type the code: it shows that the archive arrived.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}),
    )

    def __init__(self, tenant: Tenant, data: Any = None) -> None:
        super().__init__(data)
        self.tenant = tenant

    def clean_name(self) -> str:
        """Return the name; ValidationError for another one. Spaces are compared as they look."""
        if " ".join(self.cleaned_data["name"].split()) != " ".join(str(self.tenant).split()):
            raise forms.ValidationError(_("This is not the name of this company."))
        return str(self.cleaned_data["name"])
