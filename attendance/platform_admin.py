"""The platform's site: tenants, what is done to them, imports, and looks into records."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db import models, transaction
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts import mail, platform, support, words
from accounts.account_actions import AddressTakenError
from accounts.admin_site import acting
from accounts.models import AuditEvent, SupportAccess, User
from accounts.people import FirstPassword
from accounts.people_forms import TAKEN_BY_SOMEBODY
from accounts.platform import AlreadyMadeError, Problem, TenantError
from accounts.platform_forms import AccessForm, CloseForm, CreateForm, TenantReasonForm
from accounts.platform_site import platform_site
from accounts.support import NoAccessError
from attendance import archives, platform_reports, tenant_reports
from attendance.import_models import QuarantinedRow
from attendance.listing import AskedList, Head, page_number, row_id
from attendance.months import Month
from attendance.months_admin import Asked as MonthAsked
from attendance.months_admin import heads, month_of, steps
from attendance.platform_reports import ROWS_SHOWN, Sort, TenantList
from attendance.platform_words import CODES, TABLES
from attendance.words import month_name
from tenants.admin import (
    SEE_OTHER,
    Deed,
    HistoryEntry,
    RefusedError,
    ScopedModelAdmin,
    focus_error,
)
from tenants.models import Tenant, TenantStatus
from timerecord.core import clock
from timerecord.core.admin import Text

PROBLEMS: Final = {
    Problem.CHANGED_MEANWHILE: _("Somebody else has changed this in the meantime. Please look again."),
    Problem.NO_ARCHIVE: _("Nothing was exported yet. Please download the archive of the records first."),
    Problem.ARCHIVE_TOO_OLD: _(
        "Something was recorded or corrected since the archive was downloaded. Please download it once more."
    ),
    Problem.WRONG_CODE: _(
        "This is not the closing code of the newest archive. Please download it once more if you do not "
        "have it."
    ),
    Problem.IN_USE: _("The company is in use already: its own admins give passwords now."),
}
FIELDS: Final = {Problem.WRONG_CODE: "code"}
# Where the most comes first when the head of a column is chosen.
DESCENDING_AT_FIRST: Final = frozenset({Sort.CREATED, Sort.EMPLOYEES, Sort.ACTIVITY})
TAGS: Final = {TenantStatus.ACTIVE: "", TenantStatus.SUSPENDED: "warn", TenantStatus.CLOSED: "off"}


@contextlib.contextmanager
def refused(field: str | None = None) -> Iterator[None]:
    """Turn what an action refuses into what its form says."""
    try:
        yield
    except TenantError as error:
        raise RefusedError(PROBLEMS[error.problem], FIELDS.get(error.problem, field)) from error


# --- the list ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Asked(AskedList):
    """What the address of the list asks for. Whatever it does not know it passes over."""

    search: str = ""
    state: TenantStatus | None = None
    sort: Sort = Sort.NAME
    descending: bool = False
    page: int = 1

    @classmethod
    def read(cls, request: HttpRequest) -> "Asked":
        """Read it."""
        said = request.GET
        state, sort, page = said.get("state", ""), said.get("sort", ""), said.get("page", "")
        return cls(
            search=said.get("q", "").strip(),
            state=TenantStatus(state) if state in TenantStatus else None,
            sort=Sort(sort) if sort in Sort else Sort.NAME,
            descending=said.get("order") == "desc",
            page=page_number(page),
        )

    @property
    def parameters(self) -> dict[str, str]:
        """What an address needs to ask for the same."""
        said = {
            "q": self.search,
            "state": self.state or "",
            "sort": "" if self.sort is Sort.NAME else self.sort,
            "order": "desc" if self.descending else "",
            "page": "" if self.page == 1 else str(self.page),
        }
        return {name: value for name, value in said.items() if value}


@platform_site.page("", name="index", label=_("Tenants"), order=0)
@require_safe
def tenants_page(request: HttpRequest) -> HttpResponse:
    """Show the tenants: state, sizes, when somebody last used it, where it came from."""
    asked = Asked.read(request)
    page = platform_reports.tenant_list(
        search=asked.search, state=asked.state, sort=asked.sort, descending=asked.descending, page=asked.page
    )
    context = {
        "title": _("Tenants"),
        "page": page,
        "asked": asked,
        "choices": _choices(page, asked),
        "heads": _heads(asked),
        "pages": [(n, asked.url(page=n)) for n in range(1, page.pages + 1)],
        "is_narrowed": bool(asked.search or asked.state),
        "is_empty": not any(page.counts.values()),
        "tags": TAGS,
    }
    return platform_site.render(request, "platform/tenants.html", context)


def _choices(page: TenantList, asked: Asked) -> list[tuple[Text, int, str, bool]]:
    everything = (_("All"), sum(page.counts.values()), asked.url(state=None), asked.state is None)
    states: list[tuple[Text, int, str, bool]] = [
        (state.label, page.counts[state], asked.url(state=state), asked.state is state)
        for state in TenantStatus
    ]
    return [everything, *states]


def _heads(asked: Asked) -> list[Head]:
    def sortable(sort: Sort, label: Text) -> Head:
        return asked.head(sort, label, descending_at_first=sort in DESCENDING_AT_FIRST)

    return [
        sortable(Sort.NAME, _("Tenant")),
        Head(_("State"), "state"),
        sortable(Sort.EMPLOYEES, _("Employees")),
        Head(_("Active accounts"), "active"),
        Head(_("Work sessions"), "work_sessions"),
        sortable(Sort.ACTIVITY, _("Last activity")),
        Head(_("Last import"), "import"),
        sortable(Sort.CREATED, _("Since")),
    ]


# --- a tenant ---------------------------------------------------------------------------------------------


class TenantDeed(Deed[Tenant]):
    """Something that is done to a tenant, in some states of it."""

    states: frozenset[TenantStatus]
    form_class = TenantReasonForm

    def is_offered(self, request: HttpRequest, row: Tenant) -> bool:
        return row.status in self.states


class Suspend(TenantDeed):
    name = "suspend"
    label = _("Suspend")
    is_dangerous = True
    states = frozenset({TenantStatus.ACTIVE})

    def question(self, row: Tenant) -> Text:
        return _(
            "Everybody of %(name)s is signed out at once and cannot sign in or clock in any more. Nothing is "
            "deleted, and you can restore it at any time. Its admins read the reason once they are back."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: Tenant, form: Any) -> None:
        with refused():
            platform.suspend(row)

    def done(self, row: Tenant) -> Text:
        return _("The company %(name)s is suspended.") % {"name": row}


class Restore(TenantDeed):
    name = "restore"
    label = _("Restore")
    states = frozenset({TenantStatus.SUSPENDED})

    def question(self, row: Tenant) -> Text:
        return _("The people of %(name)s can sign in again, with their passwords from before.") % {
            "name": row
        }

    def do(self, request: HttpRequest, row: Tenant, form: Any) -> None:
        with refused():
            platform.restore(row)

    def done(self, row: Tenant) -> Text:
        return _("The people of %(name)s can sign in again.") % {"name": row}


class Close(TenantDeed):
    name = "close"
    label = _("Close for good")
    is_dangerous = True
    template = "platform/close.html"
    states = frozenset({TenantStatus.SUSPENDED})

    def form(self, request: HttpRequest, row: Tenant, data: Any) -> forms.Form:
        return CloseForm(row, data)

    def question(self, row: Tenant) -> Text:
        return _(
            "%(name)s is taken out of service. Nobody of it signs in any more, and nothing is recorded. Its "
            "records stay for as long as they have to be kept, and are read through an access to them only."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: Tenant, form: Any) -> None:
        with refused():
            platform.close(row, form.cleaned_data["code"])

    def done(self, row: Tenant) -> Text:
        return _("%(name)s is closed.") % {"name": row}


class Reopen(TenantDeed):
    name = "reopen"
    label = _("Reopen")
    states = frozenset({TenantStatus.CLOSED})

    def question(self, row: Tenant) -> Text:
        return _(
            "%(name)s becomes a suspended company again. Look whether all is well, then restore it: then "
            "alone its people can sign in."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: Tenant, form: Any) -> None:
        with refused():
            platform.reopen(row)

    def done(self, row: Tenant) -> Text:
        return _("%(name)s is reopened, and suspended until you restore it.") % {"name": row}


class Password(TenantDeed):
    """For whoever lost the first password before it was used."""

    name = "password"
    label = _("New first password")
    states = frozenset({TenantStatus.ACTIVE})

    def is_offered(self, request: HttpRequest, row: Tenant) -> bool:
        return super().is_offered(request, row) and platform.only_newcomer(row) is not None

    def question(self, row: Tenant) -> Text:
        return _(
            "The first admin of %(name)s has not signed in yet. The first password from before does not work "
            "any more; the new one is shown once."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: Tenant, form: Any) -> HttpResponse:
        with refused():
            first = platform.give_first_password_again(row)
        return _first_password_page(request, row, first)


class Access(TenantDeed):
    name = "access"
    label = _("Look into the records")
    states = frozenset(TenantStatus)

    def form(self, request: HttpRequest, row: Tenant, data: Any) -> forms.Form:
        return AccessForm(data)

    def question(self, row: Tenant) -> Text:
        return _(
            "You may read the work sessions of %(name)s, and change nothing, for as long as you choose here. "
            "Its admins see on their start page that you do, and why; every page that you open is in their "
            "audit trail; they can end it at any time, and so can you."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: Tenant, form: Any) -> HttpResponse:
        said = form.cleaned_data
        support.begin(row, acting(request), reason=said["reason"], minutes=said["minutes"])
        return HttpResponseRedirect(reverse("platform:support_month", args=[row.pk]), status=SEE_OTHER)


@admin.register(Tenant, site=platform_site)
class TenantAdmin(ScopedModelAdmin[Tenant]):
    """The pages of one tenant. The list is the site's front page."""

    allows = frozenset({"add"})
    add_title = _("Create a tenant")
    row_name, rows_name = _("tenant"), _("Tenants")
    deeds = (Access(), Suspend(), Restore(), Password(), Close(), Reopen())

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return HttpResponseRedirect(reverse("platform:index"))

    def pages(self) -> list[Any]:
        return [self.row_page("quarantine", require_safe(self.quarantine_view))]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for a tenant and its first admin, or make both and show the first password once."""
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        form = CreateForm(acting(request).pk, request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            tenant = form.tenant
            try:
                with transaction.atomic():
                    first = platform.create_tenant(tenant, form.admin, language=form.cleaned_data["language"])
            except AlreadyMadeError as made:
                text = _(
                    "This form was sent already: the company is there. If you did not see the first "
                    "password, give a new one."
                )
                messages.info(request, text)
                return HttpResponseRedirect(self.url("change", made.tenant), status=SEE_OTHER)
            except AddressTakenError:
                form.add_error("email", str(TAKEN_BY_SOMEBODY))
            else:
                return _first_password_page(request, tenant, first)
        focus_error(form)
        names = ("name", "contact_email", "time_zone")
        context = {
            "title": self.add_title,
            "form": form,
            "of_tenant": [form[name] for name in names],
            "of_admin": [form[name] for name in ("last_name", "first_name", "email", "language")],
        }
        return self.render(request, "platform/create.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show what is known of a tenant without looking into its records, and what can be done."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        tenant = self.row_of(request, object_id)
        page = platform_reports.tenant_page(tenant)
        deeds = self.offered_deeds(request, tenant)
        context = {
            "title": str(tenant),
            "page": page,
            "deeds": deeds,
            "mine": [access for access in page.accesses if access.user_id == request.user.pk],
            "entries": list(words.entries(page.events)),
            "tag": TAGS[TenantStatus(tenant.status)],
            "last_archive": platform.last_archive(tenant),
            "history_url": self.url("history", tenant),
            "quarantine_url": self.url("quarantine", tenant),
        }
        return self.render(request, "platform/tenant.html", context, tenant)

    def deed_view(self, request: HttpRequest, object_id: str, deed: Deed[Tenant]) -> HttpResponse:
        """Give the page of a closing what has to be there first."""
        response = super().deed_view(request, object_id, deed)
        if isinstance(response, TemplateResponse) and isinstance(deed, Close) and response.context_data:
            tenant = self.row_of(request, object_id)
            archive = platform.last_archive(tenant)
            is_new = archive is not None and (archive.after or {}).get(
                "changes"
            ) == platform_reports.changes_of(tenant.pk)
            live = support.live_of(tenant).filter(user=acting(request)).last()
            response.context_data |= {"archive": archive, "is_new": is_new, "live": live}
        return response

    def quarantine_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show which rows of a tenant imports refused, and why; what stands in them, with an access alone."""
        tenant = self.row_of(request, object_id)
        after = row_id(request.GET.get("after", "")) or 0
        rows = platform_reports.refused_rows(tenant, after=after)
        shown = rows[:ROWS_SHOWN]
        contents: dict[int, QuarantinedRow]
        access: dict[str, Any]
        try:
            with _looking(request, tenant, "access.quarantine") as access:
                contents = QuarantinedRow.objects.filter(tenant=tenant.pk).in_bulk([row.pk for row in shown])
        except NoAccessError:  # none, or one that ended meanwhile: then its trace is undone
            access, contents = {}, {}
        sources = {source.pk: source for source in platform_reports.sources()}
        context = {
            **access,
            "title": _("Rows that the import refused"),
            "lines": [
                {
                    "row": row,
                    "table": TABLES.get(row.table, row.table),
                    "why": CODES.get(row.code, row.code),
                    "source": sources.get(row.source),
                    "content": contents.get(row.pk),
                }
                for row in shown
            ],
            "access_url": self.url("access", tenant),
            "older": f"?after={shown[-1].pk}" if len(rows) > ROWS_SHOWN else "",
            "is_first": not after,
        }
        return self.render(request, "platform/quarantine.html", context, tenant)

    def events(self, request: HttpRequest, row: Tenant) -> models.QuerySet[AuditEvent]:
        return AuditEvent.objects.in_scope().filter(tenant_id=row.pk).order_by("-at", "-pk")

    def history_entries(
        self, request: HttpRequest, row: Tenant, events: Iterable[AuditEvent]
    ) -> Iterable[HistoryEntry]:
        return words.entries(events)


def _first_password_page(request: HttpRequest, tenant: Tenant, first: FirstPassword) -> HttpResponse:
    """Return the page that shows a password once. Nobody keeps it: the site's `never_cache` says no-store."""
    context = {
        "title": _("First password"),
        "tenant_row": tenant,
        "first": first,
        "sign_in": mail.link(reverse("accounts:sign_in")),
        "tenant_url": reverse("platform:tenants_tenant_change", args=[tenant.pk]),
    }
    return platform_site.render(request, "platform/first_password.html", context)


# --- imports and accesses ---------------------------------------------------------------------------------


@platform_site.page("imports/", name="imports", label=_("Imports"), order=20)
@require_safe
def imports_page(request: HttpRequest) -> HttpResponse:
    """Show the files that were imported, and how much of each was refused and why."""
    found = platform_reports.quarantine_summary()
    tenants = platform_reports.tenants_named(each.tenant for each in found)
    by_source: dict[int, list[dict[str, Any]]] = {}
    for each in found:
        by_source.setdefault(each.source, []).append(
            {
                "refused": each,
                "tenant": tenants.get(each.tenant or 0),
                "table": TABLES.get(each.table, each.table),
                "why": CODES.get(each.code, each.code),
            }
        )
    sources = [
        {"source": source, "refused": by_source.get(source.pk, []), "rows": _row_counts(source.row_counts)}
        for source in platform_reports.sources()
    ]
    return platform_site.render(request, "platform/imports.html", {"title": _("Imports"), "sources": sources})


def _row_counts(counts: dict[str, Any]) -> list[tuple[Text, int]]:
    """Return how many rows of each table were written, as far as the report of the import says so."""
    said = ((TABLES.get(table, table), found) for table, found in counts.items() if isinstance(found, dict))
    return [(table, found["moved"]) for table, found in said if isinstance(found.get("moved"), int)]


@platform_site.page("accesses/", name="accesses", label=_("Accesses to records"), order=30)
@require_safe
def accesses_page(request: HttpRequest) -> HttpResponse:
    """Show who looks into whose records at present, and who did lately."""
    rows = SupportAccess.objects.in_scope().select_related("tenant").order_by("-started_at", "-pk")
    live = set(SupportAccess.objects.in_scope().live().values_list("pk", flat=True))
    lines = [(access, access.pk in live) for access in rows[:ROWS_SHOWN]]
    context = {"title": _("Accesses to records"), "lines": lines}
    return platform_site.render(request, "platform/accesses.html", context)


@platform_site.page("support/<int:tenant_id>/end/", name="support_end")
@require_POST
def end_access(request: HttpRequest, tenant_id: int) -> HttpResponse:
    """End what lasts of one's own accesses to a tenant's records, or of everybody's (`all`)."""
    tenant = _tenant(tenant_id)
    rows = support.live_of(tenant)
    if "all" not in request.POST:
        rows = rows.filter(user=acting(request))
    ended = [support.end(access) for access in rows]
    if any(ended):
        messages.success(request, _("The access to the records of %(name)s is ended.") % {"name": tenant})
    else:
        messages.info(request, _("The access was over already."))
    return HttpResponseRedirect(reverse("platform:tenants_tenant_change", args=[tenant_id]), status=SEE_OTHER)


# --- looks into records -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _looking(request: HttpRequest, tenant: Tenant, what: str, **details: Any) -> Iterator[dict[str, Any]]:
    """Yield what every page says that is shown through an access, in its scope. NoAccessError without one."""
    with (
        support.reading(tenant, acting(request), what=what, **details) as access,
        timezone.override(tenant.zone),
    ):
        yield {"access": access, "tenant_row": tenant}


def _tenant(tenant_id: int) -> Tenant:
    return get_object_or_404(Tenant.objects.in_scope(), pk=tenant_id)


def _over(request: HttpRequest, tenant: Tenant) -> HttpResponse:
    text = _("You cannot read the records of %(name)s at present. To go on, say why and for how long.")
    messages.warning(request, text % {"name": tenant})
    url = reverse("platform:tenants_tenant_access", args=[tenant.pk])
    return HttpResponseRedirect(url, status=SEE_OTHER)


@platform_site.page("support/<int:tenant_id>/", name="support_month")
@require_safe
def support_month_page(request: HttpRequest, tenant_id: int) -> HttpResponse:
    """Show a month of all employees of a tenant, to be read only."""
    tenant, now = _tenant(tenant_id), clock.now()
    asked, here = MonthAsked.read(request, Month.at(now, tenant.zone)), request.path
    try:
        with _looking(request, tenant, "access.month", month=str(asked.month)) as context:
            page = tenant_reports.tenant_month(
                tenant,
                asked.month,
                now,
                search=asked.search,
                sort=asked.sort,
                descending=asked.descending,
                page=asked.page,
            )
            context |= {
                "title": f"{tenant} {month_name(asked.month)}",
                "month_name": month_name(asked.month),
                "page": page,
                "asked": asked,
                "heads": [head for head in heads(asked) if head.name != "state"],
                "pages": [(n, asked.url(page=n)) for n in range(1, page.pages + 1)],
                "show_all": asked.url(search=""),
                "steps": steps(page, lambda month: f"{here}?month={month}", here),
            }
            return platform_site.render(request, "platform/support_month.html", context).render()
    except NoAccessError:
        return _over(request, tenant)


@platform_site.page(
    "support/<int:tenant_id>/employees/<int:user_id>/months/<str:month>/", name="support_employee"
)
@require_safe
def support_employee_page(request: HttpRequest, tenant_id: int, user_id: int, month: str) -> HttpResponse:
    """Show one employee's month, to be read only."""
    tenant, wanted, now = _tenant(tenant_id), month_of(month), clock.now()
    try:
        with _looking(request, tenant, "access.employee", month=str(wanted), employee=user_id) as context:
            employee = User.objects.in_scope().with_tenant().filter(pk=user_id).first()
            if employee is None:
                raise Http404

            def address(of: Month) -> str:
                return reverse("platform:support_employee", args=[tenant_id, user_id, str(of)])

            found = tenant_reports.employee_month(employee, wanted, now)
            of_all = f"{reverse('platform:support_month', args=[tenant_id])}?month={wanted}"
            context |= {
                "title": f"{found.employee.name} {month_name(wanted)}",
                "found": found,
                "of_all": of_all,
                "month_name": month_name(wanted),
                "steps": steps(found, address, address(Month.at(now, tenant.zone))),
            }
            return platform_site.render(request, "platform/support_employee.html", context).render()
    except NoAccessError:
        return _over(request, tenant)


@platform_site.page("support/<int:tenant_id>/archive.zip", name="support_archive")
@require_safe
def support_archive(request: HttpRequest, tenant_id: int) -> HttpResponse | FileResponse:
    """Return the tenant's people, work sessions and history; for what is not in it see `archives`."""
    tenant = _tenant(tenant_id)
    with contextlib.ExitStack() as unless_handed_over:
        try:
            with support.reading(tenant, acting(request), what="access.archive"):
                export, facts = archives.archive(tenant, clock.now())
                unless_handed_over.callback(export.file.close)
                support.record("export.archive", file=export.name, **facts)
        except NoAccessError:
            return _over(request, tenant)
        unless_handed_over.pop_all()
        return export.response()
