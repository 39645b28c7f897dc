"""The project's URLs, and views that fail, take too long, or answer too much."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from django.contrib.auth.decorators import login_not_required
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, connection
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from accounts.models import User
from attendance.models import WorkSession
from timerecord.core import clock
from timerecord.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

AT_THE_EDGE = "stands at the edge of a transaction"
LARGE_NAME = "勤務記録_青空商店_202611.csv"


@login_not_required
def failing(_request: HttpRequest, token: str) -> HttpResponse:
    raise ZeroDivisionError(f"of somebody@example.com with {token[:0]}nothing")


def uploads(request: HttpRequest) -> Iterator[tuple[str, UploadedFile]]:
    for name in request.FILES:
        for file in request.FILES.getlist(name):
            assert isinstance(file, UploadedFile)
            yield name, file


@login_not_required
def echo(request: HttpRequest) -> HttpResponse:
    """Say what arrived."""
    files = {name: file.read().decode() for name, file in uploads(request)}
    return JsonResponse(
        {
            "address": request.META["REMOTE_ADDR"],
            "scheme": request.scheme,
            "host": request.get_host(),
            "path": request.path,
            "query": request.GET.dict(),
            "cookies": request.COOKIES,
            "post": request.POST.dict(),
            "files": files,
            "sizes": {name: len(text) for name, text in files.items()},
        }
    )


def taken(request: HttpRequest) -> HttpResponse:
    """Fail as a constraint makes it fail: PostgreSQL quotes the row."""
    user = request.user
    assert isinstance(user, User)
    try:
        WorkSession.objects.create(user=user, start_time=clock.now(), end_time=None)
        WorkSession.objects.create(user=user, start_time=clock.now(), end_time=None)
    except IntegrityError as error:
        raise RuntimeError("two at once") from error
    return HttpResponse()


def slow(request: HttpRequest) -> HttpResponse:
    """Clock in, then wait for the database, or for nothing in particular."""
    user = request.user
    assert isinstance(user, User)
    WorkSession.objects.create(user=user, start_time=clock.now())
    if request.GET.get("at") == "database":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
    while True:
        with contextlib.suppress(Exception):  # what takes every error for its own keeps no request alive
            clock.now()


@login_not_required
def interrupted(_request: HttpRequest) -> HttpResponse:
    """Be out of time in Django's `Atomic`, where it has begun a transaction and not yet gone into it."""
    response = HttpResponse()
    response.close = stand_at_the_edge  # type: ignore[method-assign]  # no transaction is around it then
    return response


def stand_at_the_edge(*_arguments: object, **_options: object) -> NoReturn:
    """Leave the connection as Atomic.__enter__ does, say so, and be told there that the time is over."""
    connection.ensure_connection()
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    connection.in_atomic_block = True
    os.write(sys.stdout.fileno(), f"{AT_THE_EDGE}\n".encode())
    signal.raise_signal(signal.SIGALRM)
    raise AssertionError("nothing limits the time")


@login_not_required
def large(request: HttpRequest) -> FileResponse:
    """Answer with as many bytes as was asked for."""
    size = int(request.GET["size"])
    # Bytes that are no UTF-8, and differ.
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    return FileResponse(
        io.BytesIO(content), as_attachment=True, filename=LARGE_NAME, content_type="text/csv; charset=utf-8"
    )


@login_not_required
def large_page(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("長" * 3_000_000)


@login_not_required
def two_cookies(_request: HttpRequest) -> HttpResponse:
    response = HttpResponse("two")
    response.set_cookie("one", "1 2,3")
    response.set_cookie("two", "2", secure=True, httponly=True)
    return response


urlpatterns = [
    path("", include("timerecord.urls")),
    path("failing/<str:token>", failing),
    path("echo", echo),
    path("taken", taken),
    path("slow", slow),
    path("interrupted", interrupted),
    path("large", large),
    path("large-page", large_page),
    path("two-cookies", two_cookies),
]
