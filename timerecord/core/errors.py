"""The one place that answers when a page cannot: in the user's language, without the database."""

import sys
from collections.abc import Callable
from typing import TypeVar

from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.urls import Resolver404, resolve
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from timerecord.core.sessions import StoreUnavailableError

RETRY_AFTER_SECONDS = 10

View = TypeVar("View", bound=Callable[..., HttpResponse])


def asks_on_get(view: View) -> View:
    """Mark a view whose GET asks whether to do what its POST does, and changes nothing.

    A POST to it that is refused for an expired session or token is not lost: it comes back as that
    question.
    """
    view.asks_on_get = True  # type: ignore[attr-defined]
    return view


def is_question(path: str) -> bool:
    """Whether a GET of this path asks a question that a POST had wanted to skip."""
    try:
        return getattr(resolve(path).func, "asks_on_get", False)
    except Resolver404:
        return False


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 400."""
    with _language_of(request):
        if isinstance(exception, SessionInterrupted):
            # Sessions are stored after what the page did: that may be there.
            return _page(
                400,
                _("You were signed out in the meantime"),
                _(
                    "This happens if you sign out in another tab or on another device while a page is being "
                    "sent. Please sign in again and look whether your entry is there."
                ),
            )
        return _page(
            400,
            _("That request could not be understood"),
            _("Nothing was changed. Please go back and try again."),
        )


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 403."""
    with _language_of(request):
        return _page(
            403,
            _("This page is not for you"),
            _("Your account may not do that. Please ask your administrator if you think it should."),
            _with_languages(request),
        )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token does not fit: with the page's question where it has one, else 403."""
    if is_question(request.path):
        return HttpResponseRedirect(request.path, status=303)
    with _language_of(request):
        return _page(
            403,
            _("This form was open for too long"),
            _("For your safety nothing was changed. Please open the page again and repeat it."),
            _with_languages(request)
            | {
                "again": _page_of(request),
                "hint": _("If this keeps happening, check that your browser allows cookies."),
            },
        )


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 404."""
    with _language_of(request):
        return _page(
            404,
            _("There is no such page"),
            _("The address may be mistyped, or the page was moved."),
        )


class MethodNotAllowedMiddleware:
    """Answers 405: Django leaves it empty, and asks no handler. What is allowed stays in its header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Fill the page in; headers that the view set stay."""
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            with _language_of(request):
                response.content = _page(
                    405,
                    _("This address does not work that way"),
                    _("Nothing was changed. Please go back and use the buttons of the page."),
                ).content
        return response


def too_many_requests(request: HttpRequest, seconds: int) -> HttpResponse:
    """Answer 429 and say in how many seconds to try again; the page says it in minutes, rounded up."""
    minutes = -(-seconds // 60)
    with _language_of(request):
        response = _page(
            429,
            _("Too many attempts from here"),
            ngettext(
                "This was tried too often from your network. Please wait %(minutes)s minute, then try "
                "again. Whoever is signed in can go on.",
                "This was tried too often from your network. Please wait %(minutes)s minutes, then try "
                "again. Whoever is signed in can go on.",
                minutes,
            )
            % {"minutes": minutes},
            _with_languages(request),
        )
    response["Retry-After"] = str(seconds)
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500; or 503 while the database or the store of sessions is out of reach or took too long."""
    with _language_of(request):
        if isinstance(sys.exception(), (OperationalError, InterfaceError, StoreUnavailableError)):
            return service_unavailable(request)
        return _page(
            500,
            _("Something went wrong on our side"),
            _("It was reported. Please open the page again and look whether your entry is there."),
        )


def service_unavailable(request: HttpRequest) -> HttpResponse:
    """Answer 503 and say when to try again."""
    with _language_of(request):
        response = _page(
            503,
            _("The service is busy at the moment"),
            _(
                "Please wait a few seconds and open the page again. It shows whether your entry was "
                "recorded; repeating it does no harm."
            ),
        )
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def answer_too_large(request: HttpRequest) -> HttpResponse:
    """Answer 500 in place of a page or file that is larger than what runs the process can hand over."""
    with _language_of(request):
        return _page(
            500,
            _("This is too large to be sent"),
            _(
                "The file or page was made, but it is larger than what can be sent at once. Please choose "
                "less, such as a single employee or the totals only."
            ),
        )


def _language_of(request: HttpRequest) -> translation.override:
    """The request's language: the middleware that activates it may not have been reached."""
    return translation.override(translation.get_language_from_request(request))


def _page_of(request: HttpRequest) -> str:
    """Return the address of the page that sent this: some forms lie on another page than where they go."""
    sender = request.headers.get("Referer", "")
    if request.method == "POST" and url_has_allowed_host_and_scheme(
        sender, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return sender
    return request.get_full_path()


def _with_languages(request: HttpRequest) -> dict[str, object]:
    """Return what the choice of the language needs. Only where the middleware for its cookie was reached."""
    return {"next": _page_of(request), "csrf_token": get_token(request)}


def _page(status: int, title: str, text: str, more: dict[str, object] | None = None) -> HttpResponse:
    content = render_to_string("error.html", {"status": status, "title": title, "text": text, **(more or {})})
    return HttpResponse(content, status=status)
