"""The settings of a tenant, in the tenant admin's site."""

import datetime as dt
import zoneinfo
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts.admin_site import tenant_of, tenant_site
from accounts.models import Role, User, UserStatus
from tenants.actions import Settings, change_settings, settings_to_store
from tenants.admin import SEE_OTHER, focus_error
from tenants.changes import ChangedMeanwhileError, say_present
from tenants.forms import SettingsForm, offset_of
from tenants.models import Tenant
from timerecord.core import clock

CONFIRMED: Final = "confirmed"  # in the form: the zone that was asked about


@tenant_site.page("settings/", name="settings", label=_("Settings"), order=80)
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HttpRequest) -> HttpResponse:
    """Show the settings, or change them; another time zone only once it was asked whether to."""
    tenant = tenant_of(request)
    form = SettingsForm(tenant, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        said, seen = form.said, form.seen
        try:
            zone = settings_to_store(said, seen=seen, present=Settings.of(tenant)).get("time_zone")
            if zone not in (None, request.POST.get(CONFIRMED)):
                return _question(request, form, tenant)
            changed = change_settings(tenant, said, seen=seen)
        except ChangedMeanwhileError as error:
            say_present(form, error.present)
            focus_error(form)
        else:
            if changed:
                messages.success(request, _("The settings are changed."))
            else:
                messages.info(request, _("Nothing was changed."))
            return HttpResponseRedirect(reverse("admin:settings"), status=SEE_OTHER)
    active = User.objects.in_scope().filter(status=UserStatus.ACTIVE)
    context = {
        "title": _("Settings"),
        "form": form,
        "stored": tenant,
        "employees": active.filter(role=Role.EMPLOYEE).count(),
        "retention": _kept_for(tenant.retention_months),
    }
    return tenant_site.render(request, "admin/tenants/settings.html", context)


def _question(request: HttpRequest, form: SettingsForm, tenant: Tenant) -> HttpResponse:
    """Ask whether the days are to begin elsewhere, and say what that means."""
    zone, now = form.cleaned_data["time_zone"], clock.now()
    context: dict[str, Any] = {
        "title": _("Another time zone?"),
        "form": form,
        "confirmed": CONFIRMED,
        "zones": [
            (label, name, offset_of(name), _wall_clock(now, zoneinfo.ZoneInfo(name)))
            for label, name in ((_("So far"), str(tenant.zone)), (_("From now on"), zone))
        ],
    }
    return tenant_site.render(request, "admin/tenants/settings_question.html", context)


def _kept_for(months: int) -> str:
    """Write for how long records are kept, in years if these are whole."""
    years, rest = divmod(months, 12)
    if rest:
        return ngettext(
            "at least %(counter)s month, with the history of each",
            "at least %(counter)s months, with the history of each",
            months,
        ) % {"counter": months}
    return ngettext(
        "at least %(counter)s year, with the history of each",
        "at least %(counter)s years, with the history of each",
        years,
    ) % {"counter": years}


def _wall_clock(now: dt.datetime, zone: zoneinfo.ZoneInfo) -> str:
    return date_format(now.astimezone(zone), "DATETIME_FORMAT")
