from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import tenant_reach
from accounts.models import Role, User
from attendance import actions, charts, history, reports, words
from attendance.actions import Outcome, Punch
from attendance.models import NO_SESSION, WorkSession
from timerecord.core import clock
from timerecord.core.errors import asks_on_get

SEE_OTHER = 303


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the signed-in user's state, button, totals, last work sessions and last 30 days.

    A platform admin has no time to record: they are led to the tenants, unless they once had a clock.
    """
    user = _user(request)
    page = reports.employee_page(user, clock.now())
    if user.role == Role.PLATFORM_ADMIN and not user.can_punch and page.state.last is None:
        return HttpResponseRedirect(reverse("platform:index"))
    chart = charts.day_chart(page.days[::-1])
    return render(request, "attendance/home.html", {"page": page, "chart": chart})


@never_cache
@asks_on_get
@require_http_methods(["GET", "HEAD", "POST"])
def clock_in(request: HttpRequest) -> HttpResponse:
    """POST begins a work session; GET asks whether to."""
    return _punch(request, actions.clock_in)


@never_cache
@asks_on_get
@require_http_methods(["GET", "HEAD", "POST"])
def clock_out(request: HttpRequest) -> HttpResponse:
    """POST ends the running work session; GET asks whether to."""
    return _punch(request, actions.clock_out)


@never_cache
@require_safe
@tenant_reach
def history_of_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """Show every change to a work session: to its employee and to the tenant's admins. 404 to others."""
    page = history.of_session(session_id)
    if page is None:
        raise Http404
    return render(request, "attendance/history.html", {"page": page})


def _punch(request: HttpRequest, action: Callable[..., Punch]) -> HttpResponse:
    user = _user(request)
    if request.method != "POST":
        return _question(request, user, is_in=action is actions.clock_in)
    punch = action(user, seen=_seen(request), confirmed="confirmed" in request.POST)
    if punch.outcome is Outcome.ASK:
        return HttpResponseRedirect(request.path, status=SEE_OTHER)
    level = messages.SUCCESS if punch.outcome in actions.CHANGED else messages.INFO
    messages.add_message(request, level, explain(punch, user))
    return HttpResponseRedirect(reverse("attendance:home"), status=SEE_OTHER)


def _question(request: HttpRequest, user: User, *, is_in: bool) -> HttpResponse:
    """Ask whether to punch: after a hurried second tap, or one that met an expired session."""
    state = reports.ClockState(clock.now(), WorkSession.objects.of(user).last_of_one())
    if state.at_work is is_in or (is_in and not user.can_punch):
        return HttpResponseRedirect(reverse("attendance:home"))
    last = state.last
    since = (last.start_time if state.at_work else last.end_time) if last else None
    hurried = since is not None and abs(state.at - since) < actions.HURRY
    return render(
        request,
        "attendance/question.html",
        {"state": state, "is_in": is_in, "since": since, "hurried": hurried},
    )


def explain(punch: Punch, user: User) -> str:
    """Return the sentence that tells the user what became of a punch, in the active language and zone."""
    session = punch.session
    start = words.moment(session.start_time, clock.now()) if session else ""
    end = words.moment(session.end_time, clock.now()) if session and session.end_time else ""
    match punch.outcome:
        case Outcome.CLOCKED_IN:
            return _("Clocked in at %(time)s.") % {"time": start}
        case Outcome.CLOCKED_OUT:
            return _("Clocked out at %(time)s. Thank you.") % {"time": end}
        case Outcome.ALREADY_IN:
            return _("You have been at work since %(time)s. Nothing was changed.") % {"time": start}
        case Outcome.ALREADY_OUT if end:
            return _("You already clocked out at %(time)s. Nothing was changed.") % {"time": end}
        case Outcome.ALREADY_OUT:
            return _("You are off the clock. Nothing was changed.")
        case Outcome.REFUSED if not user.can_punch:
            return _(
                "Your account belongs to no company yet, so nothing was recorded. Please ask your "
                "administrator."
            )
        case Outcome.REFUSED:
            return _(
                "A record for this time exists already, so nothing was changed. Please ask your "
                "administrator."
            )
        case _other:
            return _("The page was out of date, so nothing was changed. This is how things stand now.")


def _seen(request: HttpRequest) -> int:
    """Return the id that the form carries; one that it could not have got makes the page a stale one."""
    try:
        return int(request.POST.get("seen", ""))
    except ValueError:
        return NO_SESSION - 1


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise TypeError("the middleware lets only signed-in people come here")
    return request.user
