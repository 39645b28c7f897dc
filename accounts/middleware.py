from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from timerecord.core.errors import is_question
from timerecord.core.requests import Note

# Says that somebody was signed in with this browser: the session's own cookie goes when the session does.
MARKER = "signed_in"
MARKER_AGE = 365 * 24 * 60 * 60
MARKED: Note[bool] = Note("is_signed_in_marked")
# Where somebody gets who has to choose a password first. By a link too, if the temporary one is lost.
ALWAYS_REACHABLE = frozenset(
    {
        "accounts:password_change",
        "accounts:password_reset_link",
        "accounts:password_reset",
        "accounts:invitation_link",
        "accounts:invitation",
        "accounts:sign_out",
        "set_language",
    }
)


def _end_stale_session(request: HttpRequest, *, asks_for_a_person: bool, tell: bool) -> None:
    """End a session that is good for nothing any more, and have the next page say why."""
    if SESSION_KEY in request.session:
        if request.user.is_authenticated:
            return
        # Gone by now if the password or the epoch is another one: Django sees to that.
        is_refused = SESSION_KEY in request.session
        request.session.flush()
        text = (
            _(
                "You were signed out, because your account was suspended, moved or removed. If you cannot "
                "sign in again, please ask your administrator."
            )
            if is_refused
            else _(
                "You were signed out, because your account was changed (its password or role, for example) "
                "or you signed out everywhere. Please sign in again."
            )
        )
    elif asks_for_a_person and request.COOKIES.get(MARKER):
        text = _("Your sign-in ran out, or was ended on another device. Please sign in again.")
    else:
        return
    if tell:
        messages.warning(request, text)
        mark(request, signed_in=False)


def mark(request: HttpRequest, *, signed_in: bool) -> None:
    """Have the answer leave in the browser, or take away, that somebody is signed in."""
    MARKED.leave(request, signed_in)


class StaleSessionMiddleware:
    """Ends the session of who may not go on, before the page that was asked for leads to the sign-in.

    That is who was suspended, moved or removed, whose tenant was suspended, who has another password, who
    signed out everywhere, and whose session ran out.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Keep the browser's marker in step."""
        response = self.get_response(request)
        marked = MARKED.on(request)
        if response.status_code >= 500:  # nothing of it happened
            return response
        if marked:
            response.set_cookie(
                MARKER,
                "1",
                max_age=MARKER_AGE,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        elif marked is False and request.COOKIES.get(MARKER):
            response.delete_cookie(MARKER, samesite="Lax")
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *_: Any, **__: Any
    ) -> None:
        """Do so before anything else looks at the user. Who signs in again at once need not be told."""
        match = request.resolver_match
        is_sign_in = match is not None and match.view_name == "accounts:sign_in"
        _end_stale_session(
            request,
            asks_for_a_person=is_sign_in or getattr(view, "login_required", True),
            tell=not (is_sign_in and request.method == "POST"),
        )


class PasswordChangeMiddleware:
    """Leads who must choose a password to where that is done, whatever they asked for.

    What they wanted is offered afterwards: a punch that was refused comes back as its question.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass everything on; `process_view` does the work."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse | None:
        """Answer in place of the view, or not at all."""
        match = request.resolver_match
        if match is None or match.view_name in ALWAYS_REACHABLE:
            return None
        if not (isinstance(request.user, User) and request.user.must_change_password):
            return None
        page = reverse("accounts:password_change")
        if request.method in ("GET", "HEAD"):
            return redirect_to_login(request.get_full_path(), page)
        if is_question(request.path):
            return redirect_to_login(request.path, page)
        return HttpResponseRedirect(page)


class TenantTimeZoneMiddleware:
    """Shows every time on a signed-in person's page in the zone of their tenant.

    Views that are open to anybody do not load the user for it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Leave no zone behind for the next request of the thread."""
        try:
            return self.get_response(request)
        finally:
            timezone.deactivate()

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *_: Any, **__: Any
    ) -> None:
        """Activate the zone before a view that asks for a signed-in person."""
        if getattr(view, "login_required", True) and isinstance(request.user, User):
            timezone.activate(request.user.zone)
