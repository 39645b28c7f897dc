"""What goes to the log: a line for each request, and nothing of people but their ids."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Final

import psycopg
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from timerecord.core.sessions import SessionStore

logger = logging.getLogger("timerecord.requests")

ADDRESS: Final = re.compile(r"[^\s@'\"<>(){}\[\],;:]+@[^\s@'\"<>(){}\[\],;:]+")
NO_ROUTE: Final = "(none)"


class RequestLogMiddleware:
    """Logs method, route, status and milliseconds of each request, and whose it was: ids of tenant and user.

    The route is the pattern of the address, for an address itself can hold a token. What is not known when
    the answer is there is left out: nothing is asked for the log's sake.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, then log."""
        started = time.perf_counter()
        response = self.get_response(request)
        session = getattr(request, "session", None)
        user, tenant = session.whose() if isinstance(session, SessionStore) else (None, None)
        logger.info(
            "request",
            extra={
                "method": request.method if request.method in METHODS else "other",
                "route": route_of(request),
                "status": response.status_code,
                "milliseconds": round((time.perf_counter() - started) * 1000, 1),
                "tenant": tenant,
                "user": user,
            },
        )
        return response


METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE")


def route_of(request: HttpRequest) -> str:
    """Return the pattern that the address fits: `reset/<str:token>`; NO_ROUTE for none."""
    match = request.resolver_match
    if match is None:  # no view was reached
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return NO_ROUTE
    return f"/{match.route}"


class WithoutValues(logging.Filter):
    """Takes out of what is logged what somebody typed, or what the database quotes of a row.

    For the handler of a log that is kept: whoever looks at a screen may see all of it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; it is logged in any case."""
        request = record.__dict__.pop("request", None)
        message = record.getMessage()
        if isinstance(request, HttpRequest):
            record.__dict__["route"] = route_of(request)
            for said in (request.path, request.path.encode("unicode_escape").decode("ascii")):
                message = message.replace(said, record.__dict__["route"]) if len(said) > 1 else message
        record.msg, record.args = _masked(message), ()
        if record.exc_info and record.exc_info[1]:
            for error in _chain(record.exc_info[1]):
                _clean(error)
        return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that led to it."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop()
        if id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [led for led in (found.__cause__, found.__context__) if led is not None]


def _clean(error: BaseException) -> None:
    """Leave of a database's message what names no value, of others no e-mail address."""
    behind = error.__cause__ if isinstance(error, DatabaseFailure) else error
    if isinstance(behind, psycopg.Error) and behind.diag.sqlstate:
        where = (behind.diag.table_name, behind.diag.constraint_name, behind.diag.column_name)
        error.args = (" ".join([f"SQLSTATE {behind.diag.sqlstate}", *filter(None, where)]),)
    elif any(isinstance(said, str | bytes | dict | tuple | list) for said in error.args):
        error.args = tuple(_masked(said if isinstance(said, str) else repr(said)) for said in error.args)


def _masked(text: str) -> str:
    return ADDRESS.sub("…@…", text)
