"""A tenant's work sessions, in the tenant admin's site: what is recorded, and its corrections."""

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db import models
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.admin_site import tenant_site
from accounts.models import Role, User
from attendance import corrections, history, words
from attendance.calculations import DAY, day_start, work_date
from attendance.correction_forms import (
    CorrectionForm,
    CorrectionRefusedError,
    DeleteForm,
    EmployeeField,
    EndForm,
    explain,
    zone,
)
from attendance.corrections import CorrectionError, Problem, Times
from attendance.listing import row_id
from attendance.models import WorkSession
from attendance.months import Month
from attendance.querysets import RUNNING
from attendance.tenant_reports import FORGOTTEN_AFTER
from tenants.admin import SEE_OTHER, Deed, HistoryEntry, ScopedModelAdmin
from timerecord.core import clock
from timerecord.core.admin import Text

# How many forgotten clock-outs stand above the list.
FORGOTTEN_SHOWN: Final = 5
SELECTED: Final = SafeString(" selected")
DEED: Final = "admin/attendance/worksession/deed.html"
YEAR, MONTH, DAY_OF_MONTH = "year", "month", "day"


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Turn what the rules refuse into what the form says."""
    try:
        yield
    except CorrectionError as error:
        raise CorrectionRefusedError(error) from error


def tag(label: Text, kind: str = "") -> SafeString:
    """Return a word of state as lists show it."""
    return format_html('<span class="tag {}">{}</span>', kind, label)


def is_forgotten(session: WorkSession, now: dt.datetime) -> bool:
    """Whether its employee seems to have forgotten to clock out."""
    return session.end_unknown or (session.is_running and now - session.start_time > FORGOTTEN_AFTER)


def forgotten(now: dt.datetime) -> models.Q:
    """Return the condition of what `is_forgotten` tells of one."""
    return models.Q(end_unknown=True) | (RUNNING & models.Q(start_time__lt=now - FORGOTTEN_AFTER))


class EnterEnd(Deed[WorkSession]):
    """The most frequent correction: somebody forgot to clock out."""

    name = "end"
    label = _("Enter the clock-out")
    leads_to = "changelist"  # to the next one
    template = DEED

    def is_offered(self, request: HttpRequest, row: WorkSession) -> bool:
        return row.end_time is None

    def form(self, request: HttpRequest, row: WorkSession, data: Any) -> forms.Form:
        return EndForm(data, row)

    def question(self, row: WorkSession) -> Text:
        return _("%(name)s clocked in on %(start)s.") % {"name": row.user.display_name, "start": _start(row)}

    def do(self, request: HttpRequest, row: WorkSession, form: Any) -> HttpResponse | None:
        times = Times(row.start_time, form.cleaned_data["end"])
        try:
            corrected = corrections.correct(row, times, seen=form.cleaned_data["seen"])
        except CorrectionError as error:
            if error.other and error.other.end_time and error.problem is Problem.MOVED_ON:
                messages.warning(request, explain(error))  # there is no end to be entered any more
                url = reverse("admin:attendance_worksession_change", args=[row.pk])
                return HttpResponseRedirect(url, status=SEE_OTHER)
            raise CorrectionRefusedError(error) from error
        row.end_time, row.end_unknown = corrected.end_time, corrected.end_unknown
        return None

    def done(self, row: WorkSession) -> Text:
        return _("The work session of %(name)s is now %(span)s.") % {
            "name": row.user.display_name,
            "span": history.span(row),
        }


class Delete(Deed[WorkSession]):
    name = "delete"
    label = _("Delete")
    is_dangerous = True
    leads_to = "changelist"
    template = DEED

    def form(self, request: HttpRequest, row: WorkSession, data: Any) -> forms.Form:
        return DeleteForm(data, row)

    def question(self, row: WorkSession) -> Text:
        return _(
            "The work session of %(name)s, %(span)s, will not count any more: %(hours)s less. What was "
            "recorded, and that you deleted it, stays in the history."
        ) % {
            "name": row.user.display_name,
            "span": history.span(row),
            "hours": words.hours_and_minutes(Times.of(row).minutes(clock.now())),
        }

    def do(self, request: HttpRequest, row: WorkSession, form: Any) -> None:
        with refused():
            corrections.delete(row, seen=form.cleaned_data["seen"])

    def done(self, row: WorkSession) -> Text:
        return _("The work session of %(name)s, %(span)s, is deleted.") % {
            "name": row.user.display_name,
            "span": history.span(row),
        }


class FieldFilter(admin.SimpleListFilter):
    """A filter that is a field of the search form."""

    values: ClassVar[Sequence[tuple[str, Text]]] = ()  # where it has but a few

    def value(self) -> str | None:
        """Return what was chosen: the field is sent empty where nothing is."""
        return super().value() or None


class SelectFilter(FieldFilter):
    """One that offers what there is."""

    template = "admin/attendance/worksession/no_filter.html"
    is_select = True

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield nothing: there are no links, of which a large tenant would need thousands."""
        return iter(())

    def options(self) -> SafeString:
        """Return what can be chosen; put together here, for a template's loop takes ten times as long."""
        chosen = self.value()
        return format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            (
                (value, SELECTED if str(value) == chosen else "", capfirst(str(label)))
                for value, label in self.lookup_choices
            ),
        )


class EmployeeFilter(SelectFilter):
    """One employee's."""

    title = _("employee")
    parameter_name = "user"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[Any, Text]]:
        names = ("last_name", "first_name", "username")
        people = User.objects.in_scope().looked_after().only(*names).order_by(*names, "pk")
        return [(user.pk, user.display_name) for user in people]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if value is None:
            return queryset
        # Who is not offered has none: of another tenant as of nobody.
        known = {str(pk) for pk, _name in self.lookup_choices}
        return queryset.filter(user=value) if value in known else queryset.none()


class StateFilter(SelectFilter):
    """By what there is to be seen to."""

    title = _("state")
    parameter_name = "state"
    values = (
        ("running", _("at work")),
        ("forgotten", _("clock-out forgotten")),
        ("corrected", _("corrected")),
    )

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[Any, Text]]:
        return self.values

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case None:
                return queryset
            case "running":
                return queryset.filter(RUNNING, start_time__gte=clock.now() - FORGOTTEN_AFTER)
            case "forgotten":
                return queryset.filter(forgotten(clock.now()))
            case "corrected":
                corrections = history.corrections().filter(work_session_id=OuterRef("pk"))
                return queryset.filter(Exists(corrections))
            case _unknown:
                return queryset.none()


class DateFilter(FieldFilter):
    """A month, or a day of it; without a choice, the present month.

    Django's own hierarchy looks for the first and the last row, and for each month that has any: through a
    whole tenant's history. This one asks for nothing, and keeps every list to one month, which the index on
    employee and start finds.
    """

    title = _("date")
    parameter_name = "date"
    template = "admin/attendance/worksession/date_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[Any, Text]]:
        return [("", "")]  # without any, Django leaves the filter out

    @property
    def chosen(self) -> tuple[Month, dt.date | None] | None:
        """The month, and the day if it is one; None for what is no date."""
        value = self.value()
        if value is None:
            return Month.at(clock.now(), zone()), None
        try:
            month = Month.parse(value[: len("2026-11")])
        except ValueError:
            return None
        if value == str(month):
            return month, None
        return next(((month, day) for day in month.days if day.isoformat() == value), None)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.chosen is None:
            return queryset.none()
        month, day = self.chosen
        first, last = (day, day) if day else (month.days[0], month.days[-1])
        return queryset.filter(
            start_time__gte=day_start(first, zone()), start_time__lt=day_start(last + DAY, zone())
        )

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield what leads to other years, to the months of this one, and to the days of this month."""
        today = work_date(clock.now(), zone())
        month, day = self.chosen or (Month.of(today), None)

        def choice(kind: str, to: str, label: str, *, selected: bool = False) -> dict[str, Any]:
            query = changelist.get_query_string({self.parameter_name: to})
            return {"kind": kind, "query_string": query, "display": label, "selected": selected}

        for year in (month.year - 1, month.year, month.year + 1):
            with contextlib.suppress(ValueError):
                there = min(Month(year, month.number), max(Month.of(today), month))
                if there.year == year:
                    yield choice(YEAR, str(there), words.year(there.first), selected=year == month.year)
        for number in range(1, 13):
            with contextlib.suppress(ValueError):
                there = Month(month.year, number)
                if there <= max(Month.of(today), month):
                    yield choice(MONTH, str(there), words.month(there.first), selected=there == month)
        yield choice(DAY_OF_MONTH, str(month), str(_("All")), selected=day is None)
        for each in month.days:
            if each <= max(today, day or today) or month > Month.of(today):
                yield choice(DAY_OF_MONTH, each.isoformat(), str(each.day), selected=each == day)


class SessionList(ChangeList):
    """The rows of a page, with what their history tells: looked up for them, and for no others."""

    def get_results(self, request: HttpRequest) -> None:
        """Read them."""
        super().get_results(request)
        corrected = history.corrected([row.pk for row in self.result_list])
        for row in self.result_list:
            row.is_corrected = row.pk in corrected


@admin.register(WorkSession, site=tenant_site)
class WorkSessionAdmin(ScopedModelAdmin[WorkSession]):
    """What is recorded, a month at a time; added and corrected with a reason, deleted by a deed."""

    allows = frozenset({"add", "change"})
    order = 20
    add_title = _("Add a work session")
    empty_text = _("Nothing was recorded in this month. Clock-ins appear here at once.")
    deeds = (EnterEnd(), Delete())
    form = CorrectionForm
    list_display = ("employee", "day", "start", "end", "hours", "mark")
    list_filter = (EmployeeFilter, StateFilter, DateFilter)
    search_fields = ("user__last_name", "user__first_name", "user__username")
    search_help_text = _("Name")
    ordering = ("-start_time", "-pk")
    list_per_page = 50

    def rows(self, request: HttpRequest) -> models.QuerySet[WorkSession]:
        rows = super().rows(request).exclude(user__role=Role.PLATFORM_ADMIN)  # as `looked_after` has it
        return rows.select_related("user")

    # --- the list -------------------------------------------------------------------------------------

    @admin.display(description=_("employee"), ordering="user__last_name")
    def employee(self, row: WorkSession) -> str:
        return row.user.display_name

    @admin.display(description=_("date"), ordering="start_time")
    def day(self, row: WorkSession) -> str:
        return words.short_day(work_date(row.start_time, zone()))

    @admin.display(description=_("clock-in"))
    def start(self, row: WorkSession) -> str:
        return f"{timezone.localtime(row.start_time):%H:%M}"

    @admin.display(description=_("clock-out"))
    def end(self, row: WorkSession) -> str:
        if row.end_time:
            return words.moment(row.end_time, row.start_time)
        if not is_forgotten(row, clock.now()):
            return tag(_("at work"))
        forgotten = tag(_("clock-out forgotten"), "warn")
        return format_html('<a href="{}">{}</a>', self.url(EnterEnd.name, row), forgotten)

    @admin.display(description=_("hours"), empty_value="")
    def hours(self, row: WorkSession) -> str:
        if is_forgotten(row, clock.now()):
            return ""
        hours, minutes = divmod(Times.of(row).minutes(clock.now()), 60)
        return f"{hours}:{minutes:02}"

    @admin.display(description=_("note"), empty_value="")
    def mark(self, row: Any) -> str:
        return tag(_("corrected"), "off") if row.is_corrected else ""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SessionList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        found = self._forgotten(request)
        said = request.GET.get(str(DateFilter.parameter_name), "")[: len("2026-11")]
        context = {
            "forgotten": found[:FORGOTTEN_SHOWN],
            "more_forgotten": len(found) > FORGOTTEN_SHOWN,
            "deleted_url": f"{self.url('deleted')}{f'?date={quote(said)}' if said else ''}",
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def _forgotten(self, request: HttpRequest) -> list[WorkSession]:
        """Return the forgotten clock-outs, the latest first: from the index of those that run."""
        rows = self.rows(request).filter(RUNNING, start_time__lt=clock.now() - FORGOTTEN_AFTER)
        return list(rows.order_by("-start_time", "-pk")[: FORGOTTEN_SHOWN + 1])

    # --- what is not there any more -------------------------------------------------------------------

    def pages(self) -> list[Any]:
        return [self.list_page("deleted", require_safe(self.deleted_view))]

    def deleted_view(self, request: HttpRequest) -> HttpResponse:
        """Show the work sessions of a month that were deleted, the last deletion first.

        `date` names the month, `user` one employee; Http404 for what there is not.
        """
        present = Month.at(clock.now(), zone())
        try:
            month = Month.parse(said) if (said := request.GET.get("date")) else present
        except ValueError as error:
            raise Http404 from error
        bounds, employee = month.bounds(zone()), self._employee_asked(request)
        rows = history.deletions(bounds[0], bounds[-1]).select_related("user").order_by("-at", "-pk")
        if employee:
            rows = rows.filter(user=employee)
        page = Paginator(rows, self.list_per_page).get_page(request.GET.get(PAGE_VAR, 1))
        kept = {"user": employee.pk} if employee else {}

        def url(**said: Any) -> str:
            query = urlencode({**said, **kept})
            return f"{self.url('deleted')}{f'?{query}' if query else ''}"

        def step(to: Month | None) -> tuple[str, str] | None:
            return (words.month_name(to), url(date=to)) if to else None

        context = {
            "title": _("Deleted work sessions"),
            "kept": f"{urlencode({'date': month, **kept})}&",
            "employee": employee,
            "employee_url": _month_url(employee, month) if employee else "",
            "page_var": PAGE_VAR,
            "month_name": words.month_name(month),
            "page": page,
            "deletions": history.as_deletions(page.object_list),
            "steps": {
                "previous": step(month.previous),
                "following": step(month.following) if month < present else None,
                "present": url() if month < present else "",
            },
        }
        return self.render(request, "admin/attendance/worksession/deleted.html", context)

    def _employee_asked(self, request: HttpRequest) -> User | None:
        """Return whose deletions are asked for, None for everybody's; Http404 for nobody of the tenant."""
        said = request.GET.get("user", "")
        if not said:
            return None
        return get_object_or_404(User.objects.in_scope().looked_after(), pk=row_id(said))

    # --- adding and correcting ------------------------------------------------------------------------

    def get_fields(self, request: HttpRequest, obj: WorkSession | None = None) -> Any:
        said = ("start", "end", "end_unknown", "reason")
        return (*said, "seen") if obj else ("user", *said)

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> Any:
        return super().get_field_queryset(db, db_field, request).looked_after()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return super().formfield_for_foreignkey(db_field, request, **{"form_class": EmployeeField, **kwargs})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        row: WorkSession | None = kwargs.get("obj")
        if row:
            month = Month.of(work_date(row.start_time, zone()))
            context |= {
                "month_url": _month_url(row.user, month),
                "month_name": words.month_name(month),
                "span": history.span(row),
                "hours": self.hours(row),
                "is_forgotten": is_forgotten(row, clock.now()),
                "is_corrected": bool(history.corrected([row.pk])),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def store(self, request: HttpRequest, row: WorkSession, form: Any, *, is_new: bool) -> None:
        with refused():
            if is_new:
                stored = corrections.add(form.cleaned_data["user"], form.times, accepted=form.accepted)
            else:
                seen = form.cleaned_data["seen"]
                stored = corrections.correct(row, form.times, seen=seen, accepted=form.accepted)
        row.pk = stored.pk
        row.start_time, row.end_time, row.end_unknown = stored.start_time, stored.end_time, stored.end_unknown

    # --- history --------------------------------------------------------------------------------------

    def events(self, request: HttpRequest, row: WorkSession) -> Sequence[history.Change]:
        page = history.of_session(row.pk)
        return page.changes[::-1] if page else ()

    def history_entries(
        self, request: HttpRequest, row: WorkSession, events: Iterable[history.Change]
    ) -> Iterable[HistoryEntry]:
        return (HistoryEntry(change.at, change.who, [change.what], change.given_reason) for change in events)


def _month_url(employee: User, month: Month) -> str:
    return reverse("admin:employee_month", args=[employee.pk, str(month)])


def _start(session: WorkSession) -> str:
    return f"{words.short_day(session.start_time)} {timezone.localtime(session.start_time):%H:%M}"
