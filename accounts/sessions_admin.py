"""Where a tenant's people are signed in, for its admins: to see it, and to end it."""

import re
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts import audit, sessions
from accounts.admin_site import tenant_of, tenant_site
from accounts.models import User
from accounts.querysets import UserQuerySet
from accounts.session_views import SEE_OTHER, lines

MOST_SHOWN: Final = 200
ID: Final = re.compile(r"[0-9]{1,18}")


@tenant_site.page("sessions/", name="sessions", label=gettext_lazy("Devices"), order=60)
@require_safe
def list_sessions(request: HttpRequest) -> HttpResponse:
    """Show the sessions of all, or of one person (`user`); the last seen first."""
    one = request.GET.get("user", "")
    user = _person(one) if one else None
    found = sessions.of_user(user) if user else sessions.of_tenant(tenant_of(request).pk)
    people = _people().in_bulk({listed.user for listed in found[:MOST_SHOWN]})
    context: dict[str, Any] = {
        "title": _("Where people are signed in"),
        "person": user,
        "lines": [
            (people[line.session.user], line)
            for line in lines(request, found[:MOST_SHOWN])
            if line.session.user in people
        ],
        "more": max(0, len(found) - MOST_SHOWN),
    }
    return tenant_site.render(request, "admin/accounts/sessions.html", context)


@tenant_site.page("sessions/end/", name="session_end")
@require_POST
def end_session(request: HttpRequest) -> HttpResponse:
    """End one session (`session`) of one person (`user`)."""
    user = _person(request.POST.get("user", ""))
    if sessions.end(user, request.POST.get("session", "")):
        audit.record("sessions.ended", user.pk)
        messages.success(request, _("%(name)s is signed out on that device.") % {"name": user})
    else:
        messages.warning(request, _("That device was signed out already."))
    only = f"?user={user.pk}" if request.POST.get("only") else ""
    return HttpResponseRedirect(reverse("admin:sessions") + only, status=SEE_OTHER)


def _people() -> UserQuerySet:
    """Return the people whom the tenant's admins look after."""
    return User.objects.in_scope().looked_after()


def _person(said: str) -> User:
    """Return one of them. Http404 for anybody else."""
    return get_object_or_404(_people(), pk=int(said) if ID.fullmatch(said) else 0)
