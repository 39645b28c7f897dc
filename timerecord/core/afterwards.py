"""What is done when the answer is out: how long that takes, the answer does not tell."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from timerecord.core.requests import Note

logger = logging.getLogger(__name__)

Deed = Callable[[], object]
WAITING: Note[list[Deed]] = Note("after_answer")


def after_answer(request: HttpRequest | None, deed: Deed) -> None:
    """Do something once the whole answer was handed to the browser's connection; at once without a request.

    It runs outside of the request's transaction and scope, whatever the answer was. What it raises is logged.
    """
    waiting = WAITING.on(request)
    if waiting is None:
        deed()
    else:
        waiting.append(deed)


class AfterAnswerMiddleware:
    """Does what `after_answer` was given when the server closes the answer, that is after it was sent."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Keep the deeds of this request with its answer."""
        deeds: list[Deed] = []
        WAITING.leave(request, deeds)
        response = self.get_response(request)
        if deeds:
            close = response.close

            def close_and_do() -> None:
                close()
                while deeds:
                    _do(deeds.pop(0))

            response.close = close_and_do  # type: ignore[method-assign]
        return response


def _do(deed: Deed) -> None:
    try:
        deed()
    except Exception:
        logger.exception("What was to be done after an answer failed.")
