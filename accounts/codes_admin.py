"""A tenant's role codes, in the tenant admin's site."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final, Literal

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import date as format_date
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts import codes, words
from accounts.admin_site import acting, tenant_of, tenant_site
from accounts.codes import CodeState
from accounts.models import AuditEvent, RoleCode
from accounts.people_forms import RoleCodeForm
from tenants.admin import SEE_OTHER, ChoiceFilter, Deed, HistoryEntry, ScopedModelAdmin, tag
from timerecord.core import clock
from timerecord.core.admin import Text
from timerecord.core.downloads import download

PICTURES: Final = {"svg": "image/svg+xml", "png": "image/png"}


class Disable(Deed[RoleCode]):
    name = "disable"
    label = _("Disable")
    is_dangerous = True

    def is_offered(self, request: HttpRequest, row: RoleCode) -> bool:
        return not row.is_disabled

    def question(self, row: RoleCode) -> Text:
        return _(
            "Nobody can register with the code %(code)s any more. Who has registered with it stays. It "
            "cannot be enabled again; you can make a new one."
        ) % {"code": codes.grouped(row.code)}

    def do(self, request: HttpRequest, row: RoleCode, form: Any) -> None:
        codes.disable(row)

    def done(self, row: RoleCode) -> Text:
        return _("The code %(code)s is disabled.") % {"code": codes.grouped(row.code)}


def state_of(code: RoleCode) -> CodeState:
    """Return the state that came along from the database."""
    return CodeState(vars(code)["state"])


class StateFilter(ChoiceFilter):
    values = CodeState.choices


@admin.register(RoleCode, site=tenant_site)
class RoleCodeAdmin(ScopedModelAdmin[RoleCode]):
    """The codes with which employees register by themselves."""

    allows = frozenset({"add"})
    order = 40
    add_title = _("Make a role code")
    empty_text = _(
        "There is no role code yet. Make one and hand it out: whoever has it can register as your employee."
    )
    deeds = (Disable(),)
    form = RoleCodeForm
    list_display = ("in_groups", "state_tag", "uses", "until")
    list_filter = (StateFilter,)
    ordering = ("is_disabled", "-created_at", "-pk")
    readonly_fields = ("in_groups", "state_tag", "uses", "until", "maker", "made")

    def name_of(self, row: RoleCode) -> str:
        return codes.grouped(row.code)

    def rows(self, request: HttpRequest) -> models.QuerySet[RoleCode]:
        rows = super().rows(request).select_related("created_by")
        return rows.annotate(state=codes.state_at(clock.now()))

    @admin.display(description=_("code"), ordering="code")
    def in_groups(self, row: RoleCode) -> str:
        return codes.grouped(row.code)

    @admin.display(description=_("state"))
    def state_tag(self, row: RoleCode) -> SafeString:
        state = state_of(row)
        return tag(state.label, "" if state is CodeState.ACTIVE else "off")

    @admin.display(description=_("registered"), ordering="usage_count")
    def uses(self, row: RoleCode) -> str:
        if row.max_uses is None:
            return str(_("%(count)s people") % {"count": row.usage_count})
        return str(_("%(count)s of %(limit)s people") % {"count": row.usage_count, "limit": row.max_uses})

    @admin.display(description=_("works until"), ordering="expires_at")
    def until(self, row: RoleCode) -> str:
        """Return the last day; with the time where it is not the day's end."""
        if row.expires_at is None:
            return str(_("no end"))
        end = timezone.localtime(row.expires_at)
        if end.time() == dt.time.min:
            return format_date(end - dt.timedelta(days=1), "DATE_FORMAT")
        return format_date(end, "DATETIME_FORMAT")

    @admin.display(description=_("made by"))
    def maker(self, row: RoleCode) -> str:
        return str(row.created_by or "")

    @admin.display(description=_("made at"), ordering="created_at")
    def made(self, row: RoleCode) -> str:
        return format_date(timezone.localtime(row.created_at), "DATETIME_FORMAT")

    def get_fields(self, request: HttpRequest, obj: RoleCode | None = None) -> tuple[str, ...]:
        return ("state_tag", "uses", "until", "maker", "made") if obj else ("last_day", "max_uses")

    def store(self, request: HttpRequest, row: RoleCode, form: Any, *, is_new: bool) -> None:
        made = codes.create(
            tenant_of(request),
            acting(request),
            expires_at=form.expires_at,
            max_uses=form.cleaned_data["max_uses"],
        )
        row.pk, row.code = made.pk, made.code

    def response_add(
        self, request: HttpRequest, obj: RoleCode, post_url_continue: str | None = None
    ) -> HttpResponse:
        self.message_user(
            request, _("The code is ready. Hand out the link, the code or the picture."), messages.SUCCESS
        )
        return HttpResponseRedirect(self.url("change", obj), status=SEE_OTHER)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        row = context.get("original")
        if row:
            context |= self._handout(row)
        return super().render_change_form(request, context, *args, **kwargs)

    def _handout(self, row: RoleCode) -> dict[str, Any]:
        return {
            "code": codes.grouped(row.code),
            "link": codes.link(row.code),
            "is_good": state_of(row) is CodeState.ACTIVE,
            "qr_svg": self.url("qr_svg", row),
            "qr_png": self.url("qr_png", row),
            "print_url": self.url("print", row),
        }

    def events(self, request: HttpRequest, row: RoleCode) -> models.QuerySet[AuditEvent]:
        events = AuditEvent.objects.in_scope().filter(subject_id=row.pk, kind__startswith="role_codes.")
        return events.order_by("-at", "-pk")

    def history_entries(
        self, request: HttpRequest, row: RoleCode, events: Iterable[AuditEvent]
    ) -> Iterable[HistoryEntry]:
        return words.entries(events)

    def pages(self) -> list[Any]:
        return [
            self.row_page("qr_svg", require_safe(self.qr_view), "qr.svg", kind="svg"),
            self.row_page("qr_png", require_safe(self.qr_view), "qr.png", kind="png"),
            self.row_page("print", require_safe(self.print_view)),
        ]

    def qr_view(self, request: HttpRequest, object_id: str, kind: Literal["svg", "png"]) -> HttpResponse:
        """Return the link as a picture; to be saved, if the address says so."""
        row = self.row_of(request, object_id)
        content = codes.qr_code(row.code, kind)
        name = f"{codes.grouped(row.code)}.{kind}"
        return download(content, PICTURES[kind], name, as_attachment="save" in request.GET)

    def print_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a sheet to print and hang up."""
        row = self.row_of(request, object_id)
        context = {"title": _("Sheet to print"), **self._handout(row), "until": self.until(row)}
        return self.render(request, "admin/accounts/rolecode/print.html", context, row)
