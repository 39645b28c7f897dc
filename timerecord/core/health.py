"""Whether the process lives, and whether it can work: for what watches over it."""

import logging
from collections.abc import Callable
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseFailure
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from timerecord.core import sessions
from timerecord.core.sessions import StoreUnavailableError

ALIVE: Final = "/healthz"

logger = logging.getLogger(__name__)


class AliveMiddleware:
    """Has whoever asks whether the process lives told by it alone, whatever their session is.

    To be placed outside of what looks at sessions and the database.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as usual if it is about anything else."""
        return alive(request) if request.path_info == ALIVE else self.get_response(request)


@login_not_required
@never_cache
@require_safe
def alive(_request: HttpRequest) -> HttpResponse:
    """Answer that the process answers; nothing is asked for that."""
    return _said("alive", 200)


@login_not_required
@never_cache
@require_safe
def ready(_request: HttpRequest) -> HttpResponse:
    """Answer 200 if the database and the store of sessions answer, else 503 and which of them does not."""
    missing = [name for name, ask in (("database", _database), ("sessions", _sessions)) if not _answers(ask)]
    return _said(f"not ready: {', '.join(missing)}", 503) if missing else _said("ready", 200)


def _said(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", content_type="text/plain; charset=utf-8", status=status)


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (DatabaseFailure, StoreUnavailableError):
        logger.warning("Not ready.", exc_info=True)
        return False
    return True


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _sessions() -> None:
    sessions.driver().read(sessions.id_of("no session has this key"))
