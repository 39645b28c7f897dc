"""The months in the tenant admin's site: everybody's, which is the front page, one employee's, and files."""

import dataclasses
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from accounts import audit, support
from accounts.admin_site import acting, tenant_of, tenant_site
from accounts.models import User
from attendance import charts, exports, history, tenant_reports, words
from attendance.exports import Encoding, Export, Table
from attendance.listing import AskedList, Head, page_number
from attendance.months import Month
from attendance.tenant_reports import EmployeeMonth, Part, Sort, State, TenantMonth
from tenants.models import Tenant
from timerecord.core import clock
from timerecord.core.admin import Text

# Where the most comes first when the head of a column is chosen.
DESCENDING_AT_FIRST: Final = frozenset({Sort.HOURS, Sort.DAYS, Sort.LAST_PUNCH})
# What a month that is over is filtered by: the others speak of the present.
OF_ANY_MONTH: Final = frozenset({State.FORGOT, State.SUSPENDED})


@dataclasses.dataclass(frozen=True)
class Asked(AskedList):
    """What the address of the month's page asks for. Whatever it does not know it passes over."""

    month: Month
    is_present: bool
    search: str = ""
    state: State | None = None
    sort: Sort = Sort.NAME
    descending: bool = False
    page: int = 1

    @classmethod
    def read(cls, request: HttpRequest, present: Month) -> "Asked":
        """Read it; Http404 for a month that there is not."""
        said = request.GET
        month = month_of(said["month"]) if said.get("month") else present
        state, sort, page = said.get("state", ""), said.get("sort", ""), said.get("page", "")
        return cls(
            month=month,
            is_present=month == present,
            search=said.get("q", "").strip(),
            state=State(state) if state in State else None,
            sort=Sort(sort) if sort in Sort else Sort.NAME,
            descending=said.get("order") == "desc",
            page=page_number(page),
        )

    @property
    def parameters(self) -> dict[str, str]:
        """What an address needs to ask for the same."""
        said = {
            "month": "" if self.is_present else str(self.month),
            "q": self.search,
            "state": self.state or "",
            "sort": "" if self.sort is Sort.NAME else self.sort,
            "order": "desc" if self.descending else "",
            "page": "" if self.page == 1 else str(self.page),
        }
        return {name: value for name, value in said.items() if value}


@dataclasses.dataclass(frozen=True)
class Choice:
    """A state to filter by, or none, and of how many employees it holds."""

    label: Text
    count: int
    url: str
    is_chosen: bool
    is_warning: bool = False


@tenant_site.page("", name="index", label=_("This month"), order=0)
@require_safe
def tenant_month_page(request: HttpRequest) -> HttpResponse:
    """Show the month of all employees: who is at work, who forgot to clock out, how many hours."""
    tenant, now = tenant_of(request), clock.now()
    asked, index = Asked.read(request, Month.at(now, tenant.zone)), reverse("admin:index")
    page = tenant_reports.tenant_month(
        tenant,
        asked.month,
        now,
        search=asked.search,
        state=asked.state,
        sort=asked.sort,
        descending=asked.descending,
        page=asked.page,
    )
    context = {
        "title": words.month_name(asked.month),
        "page": page,
        "asked": asked,
        "chart": charts.day_chart(page.days),
        "choices": _choices(page, asked),
        "tiles": _tiles(page) if asked.is_present else [],
        "heads": heads(asked),
        "pages": [(n, asked.url(page=n)) for n in range(1, page.pages + 1)],
        "is_narrowed": bool(asked.search or asked.state),
        "show_all": asked.url(search="", state=None),
        "steps": steps(page, lambda month: f"{index}?month={month}", index),
        "files": _files(asked.month),
        "accesses": list(support.live_of(tenant)),
    }
    return tenant_site.render(request, "admin/attendance/month.html", context)


@tenant_site.page("employees/<int:user_id>/months/<str:month>/", name="employee_month")
@require_safe
def employee_month_page(request: HttpRequest, user_id: int, month: str) -> HttpResponse:
    """Show one employee's month: each work date with its work sessions."""
    employee, wanted, now = _employee(user_id), month_of(month), clock.now()
    found = tenant_reports.employee_month(employee, wanted, now)

    def address(of: Month) -> str:
        return reverse("admin:employee_month", args=[user_id, str(of)])

    add, deleted = (
        reverse("admin:attendance_worksession_add"),
        reverse("admin:attendance_worksession_deleted"),
    )
    bounds = wanted.bounds(found.zone)
    context = {
        "title": f"{found.employee.name} {words.month_name(wanted)}",
        "found": found,
        "month_name": words.month_name(wanted),
        "open_parts": _open_parts(found),
        "chart": charts.day_chart(found.days),
        "steps": steps(found, address, address(Month.at(now, found.zone))),
        "of_all": f"{reverse('admin:index')}?month={wanted}",
        "add_url": f"{add}?user={user_id}" if add else "",
        "xlsx_url": reverse("admin:employee_month_xlsx", args=[user_id, month]),
        "account_url": reverse("admin:accounts_user_change", args=[user_id]),
        "deleted": history.deletions(bounds[0], bounds[-1]).filter(user=employee).count(),
        "deleted_url": f"{deleted}?{urlencode({'date': wanted, 'user': user_id})}",
    }
    return tenant_site.render(request, "admin/attendance/employee_month.html", context)


# --- files ------------------------------------------------------------------------------------------------


@tenant_site.page("month.xlsx", name="month_xlsx")
@require_safe
def month_xlsx(request: HttpRequest) -> FileResponse:
    """Return the workbook of the tenant's month."""
    tenant, now = tenant_of(request), clock.now()
    month = _month_asked(request, tenant)
    return _file(request, exports.tenant_month_xlsx(tenant, month, now), acting(request), month)


@tenant_site.page("month.csv", name="month_csv")
@require_safe
def month_csv(request: HttpRequest) -> FileResponse:
    """Return the tenant's month as CSV: totals by employee or work sessions, as UTF-8 or Shift_JIS."""
    tenant, now = tenant_of(request), clock.now()
    month = _month_asked(request, tenant)
    table, encoding = request.GET.get("table", Table.TOTALS), request.GET.get("encoding", Encoding.UTF_8)
    if table not in Table or encoding not in Encoding:
        raise Http404
    export = exports.tenant_month_csv(tenant, month, now, Table(table), Encoding(encoding))
    return _file(request, export, acting(request), month)


@tenant_site.page("employees/<int:user_id>/months/<str:month>/export.xlsx", name="employee_month_xlsx")
@require_safe
def employee_month_xlsx(request: HttpRequest, user_id: int, month: str) -> FileResponse:
    """Return the workbook of one employee's month."""
    employee, wanted = _employee(user_id), month_of(month)
    return _file(request, exports.employee_month_xlsx(employee, wanted, clock.now()), employee, wanted)


def _file(request: HttpRequest, export: Export, subject: User, month: Month) -> FileResponse:
    """Return a file, and leave a trace of who took it: about its employee, or, of all, about who asks."""
    _record_export(export, subject, month)
    if export.replaced:
        text = ngettext(
            "In the file, 〓 stands for %(count)s character that Shift_JIS does not have. UTF-8 has all.",
            "In the file, 〓 stands for %(count)s characters that Shift_JIS does not have. UTF-8 has all.",
            export.replaced,
        )
        messages.warning(request, text % {"count": export.replaced})
    return export.response()


def _record_export(export: Export, subject: User, month: Month) -> None:
    """Record that a file was taken."""
    audit.record("export.month", subject.pk, month=str(month), file=export.name)


def _files(month: Month) -> list[tuple[Text, str]]:
    """Return what a month can be had as, and where."""
    tables = [
        (
            _("CSV, %(table)s: %(encoding)s") % {"table": table.label, "encoding": encoding.label},
            {"month": month, "table": table, "encoding": encoding},
        )
        for table in Table
        for encoding in Encoding
    ]
    return [
        (_("Excel: totals and work sessions"), f"{reverse('admin:month_xlsx')}?month={month}"),
        *((label, f"{reverse('admin:month_csv')}?{urlencode(said)}") for label, said in tables),
    ]


# --- what pages are made of -------------------------------------------------------------------------------


def month_of(text: str) -> Month:
    """Return the month that an address names; Http404 for none."""
    try:
        return Month.parse(text)
    except ValueError as error:
        raise Http404 from error


def _month_asked(request: HttpRequest, tenant: Tenant) -> Month:
    said = request.GET.get("month")
    return month_of(said) if said else Month.at(clock.now(), tenant.zone)


def _employee(user_id: int) -> User:
    return get_object_or_404(User.objects.in_scope().looked_after().with_tenant(), pk=user_id)


def steps(
    found: TenantMonth | EmployeeMonth, address: Callable[[Month], str], present: str
) -> dict[str, Any]:
    """Return the way to the months before and after, and to the present one from any other.

    `address` makes an address of a month; `present` is the one of the present month.
    """
    return {
        "previous": found.previous and (words.month_name(found.previous), address(found.previous)),
        "following": found.following and (words.month_name(found.following), address(found.following)),
        "present": present if found.following else "",
    }


def _choices(page: TenantMonth, asked: Asked) -> list[Choice]:
    """Return the states to filter by: those that mean something in this month and hold of somebody."""
    everybody = Choice(_("Everybody"), page.totals.employees, asked.url(state=None), asked.state is None)
    states = [
        Choice(
            state.label,
            page.counts[state],
            asked.url(state=state),
            asked.state is state,
            is_warning=state is State.FORGOT and page.counts[state] > 0,
        )
        for state in State
        if asked.state is state or _is_offered(state, page, asked)
    ]
    return [everybody, *states]


def _is_offered(state: State, page: TenantMonth, asked: Asked) -> bool:
    """Whether the state is one of the month shown; of suspended people, whether there are any."""
    if not asked.is_present and state not in OF_ANY_MONTH:
        return False
    return state is not State.SUSPENDED or page.counts[state] > 0


def _tiles(page: TenantMonth) -> list[dict[str, Any]]:
    """Return what a manager looks for first: who is there, who forgot to clock out, whom nobody has seen."""
    nobody = {
        State.AT_WORK: _("Nobody is at work now."),
        State.FORGOT: _("Nobody. All is well."),
        State.NOT_THIS_WEEK: _("Everybody has been at work this week."),
    }
    plain = Asked(page.month, is_present=True)
    return [
        {
            "state": state,
            "count": page.counts[state],
            "lines": page.first[state],
            "more": page.counts[state] - len(page.first[state]),
            "url": plain.url(state=state),
            "nobody": text,
        }
        for state, text in nobody.items()
    ]


def heads(asked: Asked) -> list[Head]:
    """Return the heads of the table of employees; the last punch, in the present month only."""

    def sortable(sort: Sort, label: Text) -> Head:
        return asked.head(sort, label, descending_at_first=sort in DESCENDING_AT_FIRST)

    shown = [
        sortable(Sort.NAME, _("Name")),
        Head(_("State"), "state"),
        sortable(Sort.DAYS, _("Days worked")),
        sortable(Sort.HOURS, _("Hours")),
    ]
    return [*shown, sortable(Sort.LAST_PUNCH, _("Last punch"))] if asked.is_present else shown


def _open_parts(found: EmployeeMonth) -> list[Part]:
    """Return what a clock-out is missing of, one part of each work session."""
    parts = {
        part.session: part
        for day in found.days
        for part in reversed(day.parts)
        if part.end_unknown or tenant_reports.is_forgotten(part, found.at)
    }
    return list(parts.values())
