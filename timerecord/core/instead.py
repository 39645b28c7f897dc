"""Answers in place of the one that cannot be had: what runs the process asks for them."""

import enum
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from timerecord.core import errors

# In the WSGI environment, beside what a client says: all of that begins with HTTP_.
KEY: Final = "timerecord.instead"


class Instead(enum.StrEnum):
    """Why."""

    UNAVAILABLE = "unavailable"  # no time is left, or what the answer needs is out of reach
    TOO_LARGE = "too large"


class InsteadMiddleware:
    """Gives such an answer with the headers that every answer has, and asks nothing further inside.

    To be placed inside of what sets those headers, and outside of what looks at sessions and the database.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as usual unless it was said why not."""
        match request.META.get(KEY):
            case Instead.UNAVAILABLE:
                return errors.service_unavailable(request)
            case Instead.TOO_LARGE:
                return errors.answer_too_large(request)
            case _:
                return self.get_response(request)
