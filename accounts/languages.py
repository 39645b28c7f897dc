"""The language that somebody chose, on whatever device they sign in."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.middleware import MARKED
from accounts.models import User


class ChosenLanguageMiddleware:
    """Leaves in the browser in which somebody signs in the language that they chose, perhaps elsewhere.

    From then on the browser's cookie says it, and no page asks the account.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Look at answers in which somebody was signed in."""
        response = self.get_response(request)
        # Said by accounts.middleware.mark: only then is there a user whom nobody needs to look up.
        if MARKED.on(request) and isinstance(request.user, User):
            language = request.user.language
            if language in dict(settings.LANGUAGES):
                response.set_cookie(
                    settings.LANGUAGE_COOKIE_NAME,
                    language,
                    max_age=settings.LANGUAGE_COOKIE_AGE,
                    path=settings.LANGUAGE_COOKIE_PATH,
                    secure=settings.LANGUAGE_COOKIE_SECURE,
                    httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
                    samesite="Lax",
                )
        return response
