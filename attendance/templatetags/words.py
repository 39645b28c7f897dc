"""Words for templates, and what many rows of a page are made of.

Rows and durations are put together here: forty rows through the template engine, three tags in each,
cost more than all else on the employee's page together (docs/benchmarks.md).
"""

from collections.abc import Iterable
from functools import lru_cache

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from attendance import words
from attendance.reports import DaySummary, SessionLine

register = template.Library()
register.filter(words.moment)

DURATION = '<time datetime="PT{}H{}M">{}</time>'
RUNNING = '<time datetime="PT{}H{}M" data-running="{}" data-pattern="{}">{}</time>'
TAG = '<span class="{}">{}</span>'
NOTHING = '<span class="faint" role="img" aria-label="{}">–</span>'
SESSION = '<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td class="number">{}</td></tr>\n'
DAY = '<tr class="{}"><th scope="row">{}</th><td class="number">{}{}</td></tr>\n'


@register.simple_tag
def duration(minutes: int, running: bool = False) -> SafeString:
    """Write whole minutes; the script on the page counts on those that are running."""
    return _duration(minutes, running, get_language())


@register.simple_tag
def session_rows(sessions: Iterable[SessionLine]) -> SafeString:
    """Write the rows of a table of work sessions: date, start, end, time worked."""
    return format_html_join("", SESSION, (_session(session) for session in sessions))


@register.simple_tag
def day_rows(days: Iterable[DaySummary]) -> SafeString:
    """Write the rows of a table of days: date, time worked."""
    at_work, nothing = format_html(TAG + " ", "tag", _("at work")), format_html(NOTHING, _("nothing"))
    return format_html_join(
        "",
        DAY,
        (
            (
                "weekend" if day.is_weekend else "weekday",
                words.short_day(day.date),
                at_work if day.is_running else "",
                words.hours_and_minutes(day.minutes) if day.minutes or day.is_running else nothing,
            )
            for day in days
        ),
    )


@lru_cache(maxsize=4096)
def _duration(minutes: int, running: bool, _language: str | None) -> SafeString:
    text = words.hours_and_minutes(minutes)
    if running:
        return format_html(RUNNING, *divmod(minutes, 60), minutes, _("{hours} h {minutes} m"), text)
    return format_html(DURATION, *divmod(minutes, 60), text)


def _session(session: SessionLine) -> tuple[str, str, str, str]:
    day = words.short_day(session.start)
    start = words.moment(session.start, session.start)
    if session.is_running:
        end: str = format_html(TAG, "tag", _("at work"))
    elif session.end is None:
        return day, start, format_html(TAG, "tag warn", _("end unknown")), ""
    else:
        end = words.moment(session.end, session.start)
    return day, start, end, duration(session.minutes, session.is_running)
