"""The settings of a tenant."""

import dataclasses
import zoneinfo
from typing import Any, Final

from django import forms
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from tenants.actions import Settings
from tenants.changes import remember_shown, shown
from tenants.models import DEFAULT_ZONE, Tenant
from timerecord.core import clock
from timerecord.core.admin import Text

MAX_NAME_LENGTH: Final = 100
# Where customers are; everywhere else follows.
USUAL_ZONES: Final = (
    DEFAULT_ZONE.key,
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Taipei",
    "Asia/Hong_Kong",
    "Asia/Singapore",
    "Asia/Bangkok",
    "Asia/Ho_Chi_Minh",
    "Asia/Kolkata",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "Australia/Sydney",
    "UTC",
)
# Besides the places, the database has old names, and zones without a place.
REGIONS: Final = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)

Choices = list[tuple[str, Text]]


def offset_of(name: str) -> str:
    """Write how far a zone is from UTC at present: UTC+09:00. ZoneInfoNotFoundError without such a zone."""
    written = f"{clock.now().astimezone(zoneinfo.ZoneInfo(name)):%z}"
    return f"UTC{written[:3]}:{written[3:5]}"


def zone_choices(present: str) -> list[tuple[Text, Choices]]:
    """Return the zones to choose from, the usual ones and the present one first."""
    usual: Choices = [
        (name, f"{name} ({offset_of(name)})" if name in zoneinfo.available_timezones() else name)
        for name in dict.fromkeys((*USUAL_ZONES, present))
    ]
    others: Choices = [
        (name, name)
        for name in sorted(zoneinfo.available_timezones())
        if name.partition("/")[0] in REGIONS and name not in dict(usual)
    ]
    return [(_("Often chosen"), usual), (_("All time zones"), others)]


class TenantForm(forms.Form):
    """What a tenant is called, where it is written to, where its days begin and end."""

    name = forms.CharField(
        label=_("Name of the company"),
        max_length=MAX_NAME_LENGTH,
        help_text=_("Employees see it when they register; files and printed pages bear it."),
        error_messages={"required": _("Please enter a name.")},
    )
    contact_email = forms.EmailField(
        label=_("Contact e-mail address"),
        required=False,
        max_length=254,
        help_text=_("Where the operator of the service writes to. Nobody signs in with it."),
        error_messages={"invalid": _("This is no e-mail address. Please check it.")},
    )

    def __init__(self, tenant: Tenant, data: Any = None) -> None:
        super().__init__(data, initial=dataclasses.asdict(Settings.of(tenant)))
        self.label_suffix = ""
        self.fields["time_zone"] = forms.ChoiceField(
            label=_("Time zone"),
            help_text=_("Work dates begin and end at midnight there, and all times are shown so."),
            choices=zone_choices(tenant.time_zone),
        )

    def clean_time_zone(self) -> str:
        """Refuse a zone that there is not any more, though it is stored."""
        name = str(self.cleaned_data["time_zone"])
        if name not in zoneinfo.available_timezones():
            raise forms.ValidationError(_("There is no such time zone any more. Please choose another one."))
        return name

    def clean_name(self) -> str:
        """Return the name on one line: mails bear it, in their subject too."""
        return " ".join(self.cleaned_data["name"].split())


class SettingsForm(TenantForm):
    """The same of a tenant that there is, by somebody who is not the only one to change it."""

    def __init__(self, tenant: Tenant, data: Any = None) -> None:
        super().__init__(tenant, data)
        remember_shown(self, self.fields)

    @property
    def seen(self) -> Settings:
        """What the page showed."""
        return Settings(**shown(self, self.fields))

    @property
    def said(self) -> Settings:
        """What a valid form says."""
        return Settings(**self.cleaned_data)

    def hidden(self) -> SafeString:
        """Return all that the form says, and what its page showed, without showing it again."""
        said = [(field.html_name, field.value() or "") for field in self]
        seen = [
            (self.add_initial_prefix(name), value) for name, value in dataclasses.asdict(self.seen).items()
        ]
        return format_html_join("", '<input type="hidden" name="{}" value="{}">', said + seen)
