"""What is done when the answer is out: how long that takes, neither the answer nor its end tells."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse

from timerecord.core.requests import Note

logger = logging.getLogger(__name__)

Deed = Callable[[], object]
WAITING: Note[list[Deed]] = Note("after_answer")


def after_answer(request: HttpRequest | None, deed: Deed) -> None:
    """Do something once the whole answer was handed to the browser's connection; at once without a request.

    It runs outside of the request's transaction and scope, whatever the answer was; with ERRANDS_AFTER_ANSWER
    in a thread of its own, for a server that closes the connection waits for what is done before. Deeds take
    turns there. What one raises is logged. Without it the answer waits, inside the time limit of the request:
    what takes long has to be left as an errand in its place (accounts/errands.py).
    """
    waiting = WAITING.on(request)
    if waiting is None:
        deed()
    else:
        waiting.append(deed)


class AfterAnswerMiddleware:
    """Has what `after_answer` was given done when the server closes the answer, that is after it was sent."""

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
                    _begin(deeds.pop(0))

            response.close = close_and_do  # type: ignore[method-assign]
        return response


def _begin(deed: Deed) -> None:
    if settings.ERRANDS_AFTER_ANSWER:
        _thread().submit(_do_apart, deed)
    else:  # the process may stand still as soon as the answer is handed over
        _do(deed)


@cache
def _thread() -> ThreadPoolExecutor:
    """Return the thread of this process, made with its first deed. The process ends when the last is done."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="after answers")


def _do_apart(deed: Deed) -> None:
    try:
        _do(deed)
    finally:
        connections.close_all()  # this thread's own: the next deed may come tomorrow


def _do(deed: Deed) -> None:
    try:
        deed()
    except Exception:
        logger.exception("What was to be done after an answer failed.")
