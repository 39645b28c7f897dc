"""The page on which people see where they are signed in, and end it."""

import dataclasses

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import audit, devices, sessions
from accounts.models import User
from timerecord.core.sessions import Listed

SEE_OTHER = 303


@dataclasses.dataclass(frozen=True)
class Line:
    """A session as a list shows it."""

    session: Listed
    device: str
    is_own: bool


def lines(request: HttpRequest, found: list[Listed]) -> list[Line]:
    """Return sessions as a list shows them, that of the request first."""
    own = sessions.own_id(request)
    shown = [Line(listed, devices.name_of(listed.device), listed.id == own) for listed in found]
    return sorted(shown, key=lambda line: not line.is_own)


@never_cache
@require_safe
def account_sessions(request: HttpRequest) -> HttpResponse:
    """Show where the signed-in person is signed in."""
    shown = lines(request, sessions.of_user(_user(request)))
    context = {
        "lines": shown,
        "others": sum(not line.is_own for line in shown),
        "hours": settings.SESSION_COOKIE_AGE // 3600 if settings.SESSION_COOKIE_AGE % 3600 == 0 else None,
        "minutes": -(-settings.SESSION_COOKIE_AGE // 60),
        "lag": -(-settings.SESSION_IDLE_SECONDS // 600),
    }
    return render(request, "accounts/account_sessions.html", context)


@never_cache
@require_POST
def session_end(request: HttpRequest) -> HttpResponse:
    """End one session of the signed-in person, named by `session`; this one is signed out of."""
    user, named = _user(request), request.POST.get("session", "")
    if named == sessions.own_id(request):
        logout(request)
        return HttpResponseRedirect(reverse("accounts:sign_in"), status=SEE_OTHER)
    if sessions.end(user, named):
        audit.record("sessions.ended", user.pk)
        messages.success(request, _("That device is signed out."))
    else:
        messages.warning(request, _("That device was signed out already."))
    return _to_list()


@never_cache
@require_POST
def sessions_end_others(request: HttpRequest) -> HttpResponse:
    """End all sessions of the signed-in person but this one."""
    user = _user(request)
    sessions.end_others(request, user)
    audit.record("sessions.ended_others", user.pk)
    messages.success(request, _("All other devices are signed out."))
    return _to_list()


def _to_list() -> HttpResponse:
    return HttpResponseRedirect(reverse("accounts:account_sessions"), status=SEE_OTHER)


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise TypeError("the middleware lets only signed-in people come here")
    return request.user
