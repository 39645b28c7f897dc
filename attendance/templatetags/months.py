"""The rows of a month's pages, put together here: a hundred of them cost too much in the template engine."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Set

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from attendance import words
from attendance.calculations import work_date
from attendance.months import Month
from attendance.months_admin import OF_ANY_MONTH
from attendance.tenant_reports import (
    DayTotal,
    EmployeeLine,
    EmployeeMonth,
    Part,
    State,
    TenantMonth,
    WorkDay,
    is_forgotten,
)

register = template.Library()

EMPLOYEE = (
    '<tr class="{}"><th scope="row"><a href="{}">{}</a>{}</th><td class="states">{}</td>'
    '<td class="number" data-label="{}">{}</td><td class="number" data-label="{}">{}</td>{}</tr>\n'
)
LAST = '<td class="last" data-label="{}">{}</td>'
TAG = '<span class="tag {}">{}</span>'
WARNING = '<a class="tag warn" href="{}">{}</a>'
NOTHING = '<span class="faint" role="img" aria-label="{}">–</span>'
DAY_TOTAL = (
    '<tr class="{}"><th scope="row">{}</th><td class="number">{}</td><td class="number">{}</td></tr>\n'
)
DAY = '<tbody id="{}" class="{}">{}</tbody>\n'
PART = (
    '<tr>{}<td class="in">{}</td><td class="out">{}</td><td class="number minutes">{}</td>'
    '<td class="number gap" data-label="{}">{}</td>{}<td class="notes">{}</td></tr>'
)
DAY_HEAD = '<th scope="rowgroup" rowspan="{}">{}</th>'
TOTAL = '<td class="number total" rowspan="{}">{}</td>'


@register.simple_tag
def hours(minutes: int) -> SafeString:
    """Write whole minutes, thousands of hours too: 1,234時間05分."""
    whole, rest = divmod(minutes, 60)
    text = _("{hours} h {minutes} m").format(hours=f"{whole:,}", minutes=f"{rest:02d}")
    return format_html('<time datetime="PT{}H{}M">{}</time>', whole, rest, text)


@register.simple_tag
def people(count: int) -> str:
    """Write how many people: 12人."""
    return ngettext("{count} person", "{count} people", count).format(count=f"{count:,}")


@register.simple_tag
def day_count(count: int) -> str:
    """Write how many days: 16日."""
    return ngettext("{count} day", "{count} days", count).format(count=f"{count:,}")


@register.simple_tag
def beside_name(line: EmployeeLine, state: State, at: dt.datetime) -> str:
    """Write what a state says: since when they are at work, how often a clock-out is missing."""
    if state is State.FORGOT and line.unknown_ends:
        return _times(line.unknown_ends)
    return words.moment(line.running_since, at) if line.running_since else ""


@register.simple_tag
def month_url(line: EmployeeLine, page: TenantMonth) -> str:
    """Return the address of an employee's month; where a clock-out is missing, of the day."""
    month, fragment = page.month, ""
    if State.FORGOT in line.states and line.running_since and not line.at_work_since:
        day = work_date(line.running_since, page.tenant.zone)
        month, fragment = Month.of(day), f"#{_id(day)}"
    return reverse("admin:employee_month", args=[line.employee.pk, str(month)]) + fragment


@register.simple_tag
def employee_rows(page: TenantMonth, is_present: bool) -> SafeString:
    """Write the rows of the table of employees; what is so now, in the present month only."""
    # Turned into an address once and not for each row.
    before, after = reverse("admin:employee_month", args=[0, str(page.month)]).split("/0/")
    namesakes = Counter(line.employee.name for line in page.lines)
    labels = _("Days worked"), _("Hours"), _("Last punch")
    shown = frozenset(State) if is_present else OF_ANY_MONTH
    nothing = format_html(NOTHING, _("nothing"))
    return format_html_join(
        "",
        EMPLOYEE,
        (
            (
                "suspended" if line.employee.is_suspended else "here" if line.at_work_since else "",
                f"{before}/{line.employee.pk}/{after}",
                line.employee.name,
                format_html(' <span class="faint">{}</span>', line.employee.email)
                if namesakes[line.employee.name] > 1
                else "",
                format_html_join(" ", "<span>{}</span>", ((text,) for text in _states(line, page, shown))),
                labels[0],
                day_count(line.days) if line.days else nothing,
                labels[1],
                words.hours_and_minutes(line.minutes) if line.minutes else nothing,
                format_html(
                    LAST, labels[2], words.moment(line.last_punch, page.at) if line.last_punch else ""
                )
                if is_present
                else "",
            )
            for line in page.lines
        ),
    )


@register.simple_tag
def day_total_rows(days: list[DayTotal]) -> SafeString:
    """Write the rows of the table of days: date, how many people, time worked."""
    nothing = format_html(NOTHING, _("nothing"))
    return format_html_join(
        "",
        DAY_TOTAL,
        (
            (
                "weekend" if day.is_weekend else "weekday",
                words.short_day(day.date, day.date.year),
                people(day.people) if day.people else "",
                words.hours_and_minutes(day.minutes) if day.minutes else nothing,
            )
            for day in days
        ),
    )


@register.simple_tag
def day_bodies(found: EmployeeMonth) -> SafeString:
    """Write the days of an employee's month, each a body of the table, with a row for each work session."""
    today = work_date(found.at, found.zone)
    return format_html_join("", DAY, (_day(day, found, today) for day in found.days))


@register.simple_tag
def part_name(part: Part) -> str:
    """Write a work session as a sentence names it: 11月18日(水) 08:55."""
    return f"{words.short_day(part.clocked_in)} {timezone.localtime(part.clocked_in):%H:%M}"


@register.simple_tag
def part_end(part: Part, found: EmployeeMonth) -> SafeString | str:
    """Write when a part of a work session ended: 24:00 at midnight, or what is known instead."""
    if part.end is None or (is_forgotten(part, found.at) and not part.goes_on):
        return format_html(TAG, "warn", _("no clock-out"))
    if part.is_running and not part.goes_on:
        return format_html(TAG, "", _("at work"))
    local = timezone.localtime(part.end)
    return "24:00" if local.date() > part.date and local.time() == dt.time.min else f"{local:%H:%M}"


@register.simple_tag
def correct_url(part: Part) -> str:
    """Return where a work session is corrected."""
    return reverse("admin:attendance_worksession_change", args=[part.session])


def _states(line: EmployeeLine, page: TenantMonth, shown: Set[State]) -> Iterator[SafeString | str]:
    if line.at_work_since and State.AT_WORK in shown:
        yield format_html(TAG, "", State.AT_WORK.label)
        yield _("from {start}").format(start=words.moment(line.at_work_since, page.at))
    if State.FORGOT in line.states:
        yield format_html(WARNING, month_url(line, page), State.FORGOT.label)
        if line.running_since and not line.at_work_since:
            yield _("from {start}").format(start=words.moment(line.running_since, page.at))
        if line.unknown_ends:
            yield _times(line.unknown_ends)
    for state in (State.NOT_THIS_WEEK, State.SUSPENDED):
        if state in line.states & shown:
            yield format_html(TAG, "off", state.label)


def _times(count: int) -> str:
    return ngettext("{count} time", "{count} times", count).format(count=count)


def _id(day: dt.date) -> str:
    return f"d{day.isoformat()}"


def _day(day: WorkDay, found: EmployeeMonth, today: dt.date) -> tuple[str, str, SafeString]:
    kinds = ["day", *(["weekend"] if day.is_weekend else []), *(["today"] if day.date == today else [])]
    kinds += [] if day.parts else ["free"]
    rows = max(1, len(day.parts))
    head = format_html(DAY_HEAD, rows, words.short_day(day.date, day.date.year))
    if not day.parts:
        nothing = "" if day.date > today else format_html(NOTHING, _("nothing"))
        cells: list[object] = [head, "", "", "", "", "", format_html(TOTAL, 1, nothing), ""]
        return _id(day.date), " ".join(kinds), format_html(PART, *cells)
    is_unknown = not day.minutes and any(part.end_unknown for part in day.parts)
    total = format_html(TOTAL, rows, "" if is_unknown else words.hours_and_minutes(day.minutes))
    away = _("Since the clock-out before")
    return (
        _id(day.date),
        " ".join(kinds),
        format_html_join(
            "",
            PART,
            (
                (
                    "" if n else head,
                    f"{timezone.localtime(part.start):%H:%M}",
                    part_end(part, found),
                    "" if part.end_unknown else words.hours_and_minutes(part.minutes),
                    away,
                    words.hours_and_minutes(part.gap) if part.gap else "",
                    "" if n else total,
                    format_html_join(" ", "<span>{}</span>", ((note,) for note in _notes(part))),
                )
                for n, part in enumerate(day.parts)
            ),
        ),
    )


def _notes(part: Part) -> Iterator[SafeString | str]:
    if part.continues:
        yield _("clocked in {moment}").format(moment=part_name(part))
    if part.goes_on and part.clocked_out:
        yield _("clocked out {moment}").format(moment=words.moment(part.clocked_out, part.start))
    history = reverse("attendance:history", args=[part.session])
    if part.is_corrected:
        yield format_html('<a href="{}">{}</a>', history, _("corrected"))
    if url := correct_url(part):
        yield format_html(
            '<a class="correct" href="{}">{}<span class="visually-hidden"> {}</span></a>',
            url,
            _("Correct"),
            part_name(part),
        )
