"""What is done once the answer is out."""

import logging
import socket
import threading
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlencode, urlsplit

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.core.signals import request_finished
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from timerecord.core import afterwards
from timerecord.core.afterwards import AfterAnswerMiddleware, after_answer

SECONDS = 30


@pytest.fixture(autouse=True)
def connections_stay() -> Iterator[None]:
    """An answer that is closed would close connections, too, of other tests."""
    request_finished.disconnect(close_old_connections)
    yield
    request_finished.connect(close_old_connections)


def test_it_waits_until_the_answer_is_closed_and_is_done_once() -> None:
    done: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        after_answer(request, lambda: done.append("first"))
        after_answer(request, lambda: done.append("second"))
        return HttpResponse()

    response = AfterAnswerMiddleware(view)(RequestFactory().get("/"))
    assert done == []
    response.close()
    assert done == ["first", "second"]
    assert response.closed
    response.close()
    assert done == ["first", "second"]


def test_without_a_request_it_is_done_at_once() -> None:
    done: list[str] = []
    after_answer(None, lambda: done.append("done"))
    after_answer(RequestFactory().get("/"), lambda: done.append("nor through the middleware"))
    assert len(done) == 2


def test_one_that_fails_is_logged_and_keeps_no_other_from_being_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        after_answer(request, lambda: 1 // 0)
        after_answer(request, lambda: done.append("second"))
        return HttpResponse()

    AfterAnswerMiddleware(view)(RequestFactory().get("/")).close()
    assert done == ["second"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


class HeldUp(EmailBackend):
    """A mail server that takes its time: until it is let go."""

    go: ClassVar[threading.Event]

    def send_messages(self, messages: list[EmailMessage]) -> int:  # type: ignore[override]  # Django's is a Sequence of two kinds
        assert self.go.wait(SECONDS)
        return super().send_messages(messages)


@pytest.fixture
def slow_mail(settings: Settings) -> Iterator[threading.Event]:
    HeldUp.go = threading.Event()
    settings.EMAIL_BACKEND = f"{__name__}.HeldUp"
    yield HeldUp.go
    HeldUp.go.set()


@pytest.mark.usefixtures("in_a_thread_of_its_own")
class TestInAThread:
    @pytest.mark.django_db(transaction=True)
    def test_not_even_the_end_of_the_connection_waits_for_a_mail(
        self,
        live_server: LiveServer,
        employee: User,
        slow_mail: threading.Event,
        mailoutbox: list[EmailMessage],
    ) -> None:
        """That would tell by the time whether anybody has the address."""
        site, token = urlsplit(live_server.url), "b" * 32
        form = urlencode({"email": employee.email, "csrfmiddlewaretoken": token})
        request = (
            f"POST /password/forgot HTTP/1.1\r\nHost: {site.netloc}\r\nCookie: csrftoken={token}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n"
            f"Connection: close\r\n\r\n{form}"
        )
        with (
            socket.create_connection((site.hostname, site.port or 80), timeout=SECONDS / 2) as connection,
            connection.makefile("rb") as answer,
        ):
            connection.sendall(request.encode())
            assert b" 303 " in answer.read()  # until the server hangs up
        assert mailoutbox == []
        slow_mail.set()
        afterwards._thread().submit(lambda: None).result(SECONDS)  # after what came before
        assert [message.to for message in mailoutbox] == [[employee.email]]

    def test_where_the_process_may_stand_still_it_is_done_before_the_answer_is_handed_over(
        self, settings: Settings
    ) -> None:
        settings.ERRANDS_AFTER_ANSWER = False
        done: list[str] = []

        def view(request: HttpRequest) -> HttpResponse:
            after_answer(request, lambda: done.append(threading.current_thread().name))
            return HttpResponse()

        AfterAnswerMiddleware(view)(RequestFactory().get("/")).close()
        assert done == [threading.current_thread().name]
