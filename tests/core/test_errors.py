"""Every way in which a page cannot answer, brought about for real wherever that can be done."""

from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils import translation
from pytest_django import Settings

from attendance.models import WorkSession
from tests.conftest import EVERYTHING, MakeSession, seeing
from tests.html import Page, ja
from timerecord.core.errors import asks_on_get, is_question

LANGUAGES = pytest.mark.parametrize("language", ["ja", "en"])
SECRET = "s3cret detail of the inside"


def failing(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError(SECRET)


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied(SECRET)


def too_slow(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 20")
        cursor.execute("SELECT pg_sleep(30)")
    raise AssertionError


class Urls:
    """The project's URLs and three views that fail."""

    urlpatterns = [
        path("", include("timerecord.urls")),
        path("failing", failing),
        path("forbidden", forbidden),
        path("too-slow", too_slow),
    ]
    handler400 = "timerecord.core.errors.bad_request"
    handler403 = "timerecord.core.errors.permission_denied"
    handler404 = "timerecord.core.errors.page_not_found"
    handler500 = "timerecord.core.errors.server_error"


@pytest.fixture
def browser(employee_client: Client, settings: Settings) -> Client:
    """Show answers instead of the exceptions behind them."""
    settings.ROOT_URLCONF = Urls
    employee_client.raise_request_exception = False
    return employee_client


def check(response: Any, language: str, status: int, title: str, links: tuple[str, ...] = ("/",)) -> None:
    page = Page(response)
    assert response.status_code == status
    assert page.language == language
    assert page.heading == (title if language == "en" else ja(title))
    assert page.text(".//title").startswith(page.heading)
    assert page.text(".//p[@class='faint']").endswith(f" {status}")
    assert [link.get("href") for link in page.all(".//main//a")] == list(links)
    assert SECRET not in page.html
    assert "Traceback" not in page.html


@LANGUAGES
class TestPages:
    def test_400_for_a_host_that_is_not_ours(self, browser: Client, language: str) -> None:
        headers = {"host": "evil.example", "accept-language": language}
        with CaptureQueriesContext(connection) as queries:
            response = browser.get("/", headers=headers)
        check(response, language, 400, "That request could not be understood")
        assert len(queries) == 0
        assert "evil.example" not in response.content.decode()

    def test_400_for_a_form_that_nobody_fills_in(
        self, browser: Client, settings: Settings, language: str
    ) -> None:
        settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 5
        response = browser.post(
            "/clock-in", {f"f{n}": n for n in range(9)}, headers={"accept-language": language}
        )
        check(response, language, 400, "That request could not be understood")
        assert not WorkSession.objects.exists()

    def test_403(self, browser: Client, language: str) -> None:
        response = browser.get("/forbidden", headers={"accept-language": language})
        check(response, language, 403, "This page is not for you")

    def test_403_for_a_form_with_an_old_token(self, browser: Client, language: str) -> None:
        browser.handler.enforce_csrf_checks = True
        response = browser.post("/sign-out", headers={"accept-language": language})
        check(response, language, 403, "This form was open for too long", ("/sign-out", "/"))
        assert browser.get("/").status_code == 200  # still signed in

    @pytest.mark.parametrize(
        ("sender", "again"),
        [
            ("http://testserver/account", "http://testserver/account"),
            ("", "/register?code=ABCD"),
            ("https://evil.example/account", "/register?code=ABCD"),
            ("javascript:alert(1)", "/register?code=ABCD"),
        ],
    )
    def test_such_a_form_can_be_opened_again_where_it_was(
        self, browser: Client, language: str, sender: str, again: str
    ) -> None:
        browser.handler.enforce_csrf_checks = True
        headers = {"accept-language": language, "referer": sender}
        response = browser.post("/register?code=ABCD", {"code": "ABCD"}, headers=headers)
        check(response, language, 403, "This form was open for too long", (again, "/"))
        told = "If this keeps happening, check that your browser allows cookies."
        assert (told if language == "en" else ja(told)) in Page(response).text(".//main")

    def test_403_and_429_can_be_read_in_the_other_language(
        self, browser: Client, settings: Settings, language: str
    ) -> None:
        settings.SIGN_IN_FAILURES_PER_ADDRESS = 1
        stranger = Client(headers={"accept-language": language})
        stranger.post("/sign-in", {"email": "a@example.com", "password": "x"})
        answers = [
            browser.get("/forbidden", headers={"accept-language": language}),
            Client(enforce_csrf_checks=True, headers={"accept-language": language}).post("/sign-in?next=/"),
            stranger.post("/sign-in?next=/", {"email": "a@example.com", "password": "x"}),
        ]
        assert [answer.status_code for answer in answers] == [403, 403, 429]
        for answer in answers:
            page = Page(answer)
            (following,) = [e.get("value") for e in page.root.iter("input") if e.get("name") == "next"]
            assert following in ("/forbidden", "/sign-in?next=/")
            chooser = Client(enforce_csrf_checks=True)
            chooser.cookies["csrftoken"] = answer.cookies["csrftoken"].value
            sent = {"language": "en", "next": following, "csrfmiddlewaretoken": page.csrf_token}
            assert chooser.post("/language", sent)["Location"] == following
            assert chooser.cookies[settings.LANGUAGE_COOKIE_NAME].value == "en"

    @pytest.mark.parametrize("address", ["/nowhere", "/clock-in/", "/%00", "/sign-in%0A", "/日本"])
    def test_404_without_a_look_at_the_database(self, browser: Client, language: str, address: str) -> None:
        with CaptureQueriesContext(connection) as queries:
            response = browser.get(address, headers={"accept-language": language})
        check(response, language, 404, "There is no such page")
        assert len(queries) == 0

    def test_404_for_a_stranger(self, client: Client, db: None, language: str) -> None:
        response = client.get("/nowhere", headers={"accept-language": language})
        check(response, language, 404, "There is no such page")

    @pytest.mark.parametrize(
        ("method", "address", "allowed"),
        [
            ("post", "/", "GET, HEAD"),
            ("delete", "/clock-in", "GET, HEAD, POST"),
            ("get", "/sign-out", "POST, OPTIONS"),
        ],
    )
    def test_405(self, browser: Client, language: str, method: str, address: str, allowed: str) -> None:
        response = getattr(browser, method)(address, headers={"accept-language": language})
        check(response, language, 405, "This address does not work that way")
        assert response["Allow"] == allowed
        assert response["Content-Length"] == str(len(response.content))
        assert browser.get("/").status_code == 200  # still signed in

    def test_500(self, browser: Client, language: str) -> None:
        response = browser.get("/failing", headers={"accept-language": language})
        check(response, language, 500, "Something went wrong on our side")
        assert "Retry-After" not in response
        assert "ZeroDivisionError" not in response.content.decode()

    def test_503_for_a_query_that_took_too_long(self, browser: Client, language: str) -> None:
        response = browser.get("/too-slow", headers={"accept-language": language})
        check(response, language, 503, "The service is busy at the moment")
        assert response["Retry-After"] == "10"


def test_the_chosen_language_wins_here_too(browser: Client) -> None:
    browser.post("/language", {"language": "en"})
    for address, status in (("/nowhere", 404), ("/failing", 500), ("/forbidden", 403)):
        response = browser.get(address, headers={"accept-language": "ja"})
        assert (response.status_code, Page(response).language) == (status, "en")


@LANGUAGES
def test_an_answer_from_before_the_language_was_chosen(settings: Settings, language: str) -> None:
    """In production a wrong host is refused by the very first middleware, which redirects to HTTPS."""
    settings.SECURE_SSL_REDIRECT = True
    with translation.override("ja" if language == "en" else "en"):
        response = Client().get("/", headers={"host": "evil.example", "accept-language": language})
    assert "Content-Language" not in response
    check(response, language, 400, "That request could not be understood")


def test_an_error_page_runs_and_frames_nothing(browser: Client) -> None:
    for address in ("/nowhere", "/failing", "/forbidden"):
        response = browser.get(address)
        assert "'unsafe-inline'" not in response["Content-Security-Policy"]
        assert response["X-Frame-Options"] == "DENY"
        assert Page(response).all(".//script") == Page(response).all(".//style") == []


class TestDatabaseOutOfReach:
    @pytest.fixture(autouse=True)
    def _real_connection(self, transactional_db: None) -> None:
        """A connection that breaks cannot be rolled back: these tests have none of pytest's around them."""

    @LANGUAGES
    def test_a_server_that_ended_the_connection_is_503_and_then_all_is_well(
        self, browser: Client, make_session: MakeSession, language: str
    ) -> None:
        running = make_session("2026-01-05 09:00")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (backend,) = cursor.fetchone()
        parameters = {k: v for k, v in connection.get_connection_params().items() if k != "cursor_factory"}
        with psycopg.connect(**{**parameters, "context": None}, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
        response = browser.post("/clock-out", {"seen": running.pk}, headers={"accept-language": language})
        check(response, language, 503, "The service is busy at the moment")
        assert response["Retry-After"] == "10"
        connection.close()  # what the end of a request does in a server
        with seeing(EVERYTHING):
            running.refresh_from_db()
        assert running.is_running
        assert browser.get("/").status_code == 200

    @LANGUAGES
    def test_a_server_that_is_not_there(
        self, browser: Client, client: Client, monkeypatch: pytest.MonkeyPatch, language: str
    ) -> None:
        connection.close()
        with monkeypatch.context() as patch:
            patch.setitem(connection.settings_dict, "PORT", "1")
            for address in ("/", "/clock-in"):
                response = browser.get(address, headers={"accept-language": language})
                check(response, language, 503, "The service is busy at the moment")
                assert response["Retry-After"] == "10"
            stranger = Client()
            assert stranger.get("/sign-in").status_code == 200
            assert stranger.get("/nowhere").status_code == 404
        assert browser.get("/").status_code == 200


class TestQuestions:
    def test_a_view_can_be_marked(self) -> None:
        @asks_on_get
        def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse("?")

        assert view(RequestFactory().get("/")).content == b"?"
        assert getattr(view, "asks_on_get", False) is True

    @pytest.mark.parametrize(
        ("address", "asks"),
        [
            ("/clock-in", True),
            ("/clock-out", True),
            ("/", False),
            ("/sign-in", False),
            ("/sign-out", False),
            ("/nowhere", False),
            ("", False),
            ("https://evil.example/clock-in", False),
        ],
    )
    def test_which_pages_ask(self, address: str, asks: bool) -> None:
        assert is_question(address) is asks
