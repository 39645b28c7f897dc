"""What is done once the answer is out."""

import logging
from collections.abc import Iterator

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from timerecord.core.afterwards import AfterAnswerMiddleware, after_answer


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
