"""Words for templates, and what many rows of a page are made of.

Rows and durations are put together here: forty rows through the template engine, three tags in each,
cost more than all else on the employee's page together (docs/benchmarks.md).
"""

from collections.abc import Iterable
from functools import lru_cache

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from attendance import words
from attendance.reports import DaySummary, SessionLine

register = template.Library()
register.filter(words.moment)
register.filter(words.short_day)
register.filter(words.seconds_left)

DURATION = '<time datetime="PT{}H{}M">{}</time>'
RUNNING = '<time datetime="PT{}H{}M" data-running="{}" data-pattern="{}">{}</time>'
TAG = '<span class="{}">{}</span>'
NOTHING = '<span class="faint" role="img" aria-label="{}">–</span>'
SESSION = (
    '<tr><th scope="row"><a href="%s">%s%s</a></th><td>%s</td><td>%s</td><td class="number">%s</td></tr>'
)
DAY = '<tr class="%s"><th scope="row">%s%s</th><td class="number">%s%s</td></tr>'


@register.simple_tag
def duration(minutes: int, running: bool = False) -> SafeString:
    """Write whole minutes; the script on the page counts on those that are running."""
    return _duration(minutes, running, get_language())


@register.simple_tag
def session_rows(sessions: Iterable[SessionLine]) -> SafeString:
    """Write the rows of a table of work sessions: date, start, end, time worked."""
    year = words.this_year()
    # Turned into an address once and not for each row, which would cost as much as all else in it.
    history, end = reverse("attendance:history", args=[0]).split("0")
    mark = _corrected()
    return _rows(
        SESSION,
        (
            (
                f"{history}{session.pk}{end}",
                *_marked(_session(session, year), mark if session.is_corrected else ""),
            )
            for session in sessions
        ),
    )


@register.simple_tag
def day_rows(days: Iterable[DaySummary]) -> SafeString:
    """Write the rows of a table of days: date, time worked."""
    year = words.this_year()
    at_work, nothing = format_html(TAG + " ", "tag", _("at work")), format_html(NOTHING, _("nothing"))
    mark = _corrected()
    return _rows(
        DAY,
        (
            (
                "weekend" if day.is_weekend else "weekday",
                words.short_day(day.date, year),
                mark if day.is_corrected else "",
                at_work if day.is_running else "",
                words.hours_and_minutes(day.minutes) if day.minutes or day.is_running else nothing,
            )
            for day in days
        ),
    )


def _corrected() -> SafeString:
    """Write that somebody else than the clock had a hand in it; who and why, its link tells."""
    return format_html(" " + TAG, "tag off", _("corrected"))


def _marked(cells: tuple[str, ...], mark: str) -> tuple[str, ...]:
    day, *others = cells
    return day, mark, *others


def _rows(pattern: str, rows: Iterable[tuple[str, ...]]) -> SafeString:
    """Fill the pattern. What goes in is HTML, or dates and numbers in words of our own: nobody's text."""
    return SafeString("\n".join(pattern % row for row in rows))


@lru_cache(maxsize=4096)
def _duration(minutes: int, running: bool, _language: str | None) -> SafeString:
    text = words.hours_and_minutes(minutes)
    if running:
        return format_html(RUNNING, *divmod(minutes, 60), minutes, _("{hours} h {minutes} m"), text)
    return format_html(DURATION, *divmod(minutes, 60), text)


def _session(session: SessionLine, year: int) -> tuple[str, str, str, str]:
    day = words.short_day(session.start, year)
    start = words.moment(session.start, session.start)
    if session.is_running:
        end: str = format_html(TAG, "tag", _("at work"))
    elif session.end is None:
        return day, start, format_html(TAG, "tag warn", _("no clock-out")), ""
    else:
        end = words.moment(session.end, session.start)
    return day, start, end, duration(session.minutes, session.is_running)
