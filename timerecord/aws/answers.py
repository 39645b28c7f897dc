"""Answers that fit Lambda, in time and in size: docs/adr/0013-lambda.md."""

import dataclasses
import logging
import math
from collections.abc import Callable, Iterable
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from wsgiref.headers import Headers

from django.conf import settings
from django.db import connections

from timerecord.aws import large_answers
from timerecord.core.instead import KEY, Instead
from timerecord.core.sessions import StoreUnavailableError
from timerecord.core.time_limit import OutOfTimeError, time_limit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The longest answer that Lambda takes, and what is left in it for headers and the JSON around. The body is
# in base64: four characters for three bytes.
LONGEST_ANSWER: Final = 6_291_556
FOR_HEADERS: Final = 64 * 1024
MOST_BYTES: Final = (LONGEST_ANSWER - FOR_HEADERS) // 4 * 3
# What psycopg may take to cancel a query, and the page that says so to be made.
MARGIN_SECONDS: Final = 2.5

# What describes a body, and does not fit another one.
OF_A_BODY: Final = (
    "Content-Type",
    "Content-Length",
    "Content-Disposition",
    "Content-Encoding",
    "Last-Modified",
    "ETag",
)

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Answer:
    """A whole answer: nothing of it is produced later."""

    status: str
    headers: Headers
    body: bytes


def seconds_left(context: Any) -> float:
    """Return the seconds that work may take in an invocation: what is left, but for what its end takes."""
    if context is None:
        return math.inf
    return float(context.get_remaining_time_in_millis()) / 1000 - MARGIN_SECONDS


def drop_connections() -> None:
    """Forget this thread's connections to databases, after an OutOfTimeError: the next query makes others.

    Closing them is not enough. What was interrupted at the edge of a transaction may have left the object
    believing that it is inside of one, and then it never connects again.
    """
    for connection in connections.all(initialized_only=True):
        try:
            connection.close()
        except Exception:
            logger.exception("A connection could not be closed.")
        del connections[connection.alias]


def fitting(application: "WSGIApplication") -> "WSGIApplication":
    """Return the application as Lambda can run it: no answer comes too late, and none is too large.

    One that is out of time is undone, and 503 takes its place. What it was doing may have been anything, so
    its connections to the database are dropped. A file that is too large goes by way of S3; where there is
    no bucket for it, or for anything else, a page says what to do.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            with time_limit(seconds_left(environ.get("apig_wsgi.context"))):
                found = _small(application, environ, _ask(application, environ))
        except OutOfTimeError:
            drop_connections()
            logger.warning("A request was out of time, and undone.")
            found = _instead(application, environ, Instead.UNAVAILABLE)
        start_response(found.status, found.headers.items())
        # No server is behind this that would leave it out.
        return [b"" if environ["REQUEST_METHOD"] == HTTPMethod.HEAD else found.body]

    return answer


def _small(application: "WSGIApplication", environ: "WSGIEnvironment", found: Answer) -> Answer:
    if len(found.body) <= MOST_BYTES:
        return found
    is_file = found.headers.get("Content-Disposition", "").startswith("attachment")
    if not (is_file and settings.EXPORT_BUCKET):
        logger.error("An answer of %s bytes is too large to be sent.", len(found.body))
        return _instead(application, environ, Instead.TOO_LARGE)
    try:
        url = large_answers.url_of(dict(found.headers.items()), found.body)
    except StoreUnavailableError:
        logger.exception("A file of %s bytes could not be kept for who wants it.", len(found.body))
        return _instead(application, environ, Instead.UNAVAILABLE)
    for name in OF_A_BODY:
        del found.headers[name]
    found.headers["Location"] = url
    found.headers["Content-Length"] = "0"
    found.headers["Cache-Control"] = "no-store"
    return Answer(f"{HTTPStatus.SEE_OTHER} {HTTPStatus.SEE_OTHER.phrase}", found.headers, b"")


def _instead(application: "WSGIApplication", environ: "WSGIEnvironment", why: Instead) -> Answer:
    return _ask(application, {**environ, KEY: why})


def _ask(application: "WSGIApplication", environ: "WSGIEnvironment") -> Answer:
    """Return the whole answer, closed: what the server does after an answer is done by now."""
    said: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: Any = None
    ) -> Callable[[bytes], object]:
        said.append((status, headers))
        return written.append

    parts = application(environ, start_response)
    try:
        body = b"".join([*written, *parts])
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    status, headers = said[-1]
    return Answer(status, Headers(headers), body)
