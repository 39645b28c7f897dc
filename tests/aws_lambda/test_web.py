"""Pages through the real runtime client, by events as API Gateway sends them."""

import json
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from accounts.models import Role, User
from attendance.models import WorkSession
from tenants.database import SCHEMA
from tests.aws_lambda.conftest import administrator
from tests.aws_lambda.runtime import HOST, SECONDS, SOURCE, Answer, Browser, Function, FunctionError, event
from tests.aws_lambda.urls import AT_THE_EDGE
from tests.conftest import PASSWORD, MakeUser
from tests.html import ja

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser(web: Function) -> Browser:
    return Browser(web)


@pytest.fixture
def signed_in(browser: Browser, employee: User) -> Browser:
    return sign_in(browser, employee)


def sign_in(browser: Browser, user: User) -> Browser:
    browser.get("/sign-in")
    answer = browser.post("/sign-in", {"email": user.email, "password": PASSWORD})
    assert (answer.status, answer.headers.get("location")) == (302, "/"), answer.text
    return browser


def seen(browser: Browser) -> str:
    found = re.search(r'name="seen" value="(\d+)"', browser.get("/").text)
    assert found
    return found[1]


class TestPages:
    def test_somebody_signs_in_clocks_in_and_out_and_signs_out(
        self, signed_in: Browser, employee: User
    ) -> None:
        assert signed_in.get("/").status == 200
        for path in ("/clock-in", "/clock-out"):
            answer = signed_in.post(path, {"seen": seen(signed_in), "confirmed": "yes"})
            assert (answer.status, answer.headers["location"]) == (303, "/")
        (punched,) = WorkSession.objects.filter(user=employee)
        assert punched.end_time is not None
        signed_in.get("/")
        assert "__Host-timerecord_session" in signed_in.cookies
        assert signed_in.post("/sign-out", {}).status == 302
        assert "__Host-timerecord_session" not in signed_in.cookies
        assert signed_in.get("/").headers["location"] == "/sign-in?next=/"

    def test_cookies_go_each_by_itself(self, browser: Browser) -> None:
        answer = browser.get("/two-cookies")
        assert "set-cookie" not in answer.headers
        assert len(answer.cookies) == 2
        assert browser.cookies == {"one": "1 2,3", "two": "2"}
        assert web_echo(browser, "/echo")["cookies"] == {"one": "1 2,3", "two": "2"}

    def test_a_page_has_the_headers_of_an_installation(self, browser: Browser) -> None:
        answer = browser.get("/sign-in")
        assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["content-type"] == "text/html; charset=utf-8"

    def test_the_network_address_is_the_one_that_api_gateway_saw(self, browser: Browser) -> None:
        found = web_echo(browser, "/echo", forwarded_for=f"198.51.100.1, {SOURCE}")
        assert found["address"] == SOURCE
        assert (found["scheme"], found["host"]) == ("https", HOST)

    def test_paths_and_queries_arrive_as_they_were_sent(self, browser: Browser) -> None:
        assert web_echo(browser, "/echo?q=%E9%9D%92%E7%A9%BA%26x&plus=a+b")["query"] == {
            "q": "青空&x",
            "plus": "a b",
        }
        assert browser.get("/%E5%8B%A4%E6%80%A0").status == 404

    def test_plain_http_is_led_to_https(self, browser: Browser) -> None:
        answer = browser.get("/sign-in", x_forwarded_proto="http")
        assert (answer.status, answer.headers["location"]) == (301, f"https://{HOST}/sign-in")

    def test_a_form_and_a_file_arrive_whole(self, browser: Browser) -> None:
        browser.get("/sign-in")
        upload = "名前,メール\r\n佐藤 花子,hanako@example.com\r\n" * 50_000
        answer = browser.post("/echo", {"note": "遅刻　電車", "n": 3}, upload=upload.encode())
        found = json.loads(answer.text)
        assert (found["post"]["note"], found["post"]["n"]) == ("遅刻　電車", "3")
        assert found["files"]["file"] == upload

    def test_a_form_without_its_token_is_refused(self, signed_in: Browser) -> None:
        signed_in.page = ""
        assert signed_in.post("/sign-out", {}).status == 403
        assert signed_in.get("/").status == 200

    def test_head_has_no_body(self, browser: Browser) -> None:
        whole, head = browser.get("/sign-in"), browser.get("/sign-in", method="HEAD")
        assert (head.status, head.content) == (200, b"")
        assert whole.content
        assert head.headers["content-type"] == whole.headers["content-type"]

    def test_404_and_500_are_pages(self, browser: Browser) -> None:
        missing = browser.get("/nowhere")
        assert (missing.status, ja("There is no such page") in missing.text) == (404, True)
        broken = browser.get("/failing/x")
        assert (broken.status, ja("Something went wrong on our side") in broken.text) == (500, True)
        assert "ZeroDivisionError" not in broken.text

    def test_a_host_that_is_not_ours_is_refused(self, web: Function) -> None:
        assert Answer.of(web.invoke(event(host="evil.example"))).status == 400

    def test_an_event_of_another_kind_is_no_request(self, web: Function) -> None:
        old = {"httpMethod": "GET", "path": "/echo", "headers": {"X-Forwarded-For": "198.51.100.1"}}
        for other in (old, {**old, "version": "1.0"}, {"version": "2.0"}, {"command": "housekeeping"}):
            with pytest.raises(FunctionError, match=r"payload format 2\.0"):
                web.invoke(other)
        assert Answer.of(web.invoke(event("GET", "/healthz"))).text == "alive\n"

    def test_files_are_hashed_compressed_and_kept_for_ever(self, browser: Browser) -> None:
        found = re.search(r'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', browser.get("/sign-in").text)
        assert found
        plain, small = browser.get(found[1]), browser.get(found[1], accept_encoding="gzip")
        assert plain.headers["content-type"] == 'text/css; charset="utf-8"'
        assert plain.headers["cache-control"] == "max-age=315360000, public, immutable"
        assert small.headers["content-encoding"] == "gzip"
        assert small.content[:2] == b"\x1f\x8b"
        assert len(small.content) < len(plain.content)

    def test_a_file_has_a_japanese_name(self, browser: Browser, make_user: MakeUser) -> None:
        admin = sign_in(browser, make_user(role=Role.TENANT_ADMIN, email="admin@example.com"))
        book = admin.get("/admin/month.xlsx?month=2026-11")
        assert (book.status, book.content[:2]) == (200, b"PK")
        assert book.headers["content-disposition"] == (
            "attachment; filename*=utf-8''%E9%9D%92%E7%A9%BA%E5%95%86%E5%BA%97_202611.xlsx"
        )
        csv = admin.get("/admin/month.csv?month=2026-11&encoding=shift_jis")
        assert ja("Days worked") in csv.content.decode("cp932")


def web_echo(browser: Browser, target: str, *, forwarded_for: str = SOURCE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(browser.get(target, x_forwarded_for=forwarded_for).text)
    return found


# For what PostgreSQL waits while a page takes too long in either.
WAITS_FOR = {"database": "PgSleep", "python": "ClientRead"}


@pytest.mark.parametrize("at", WAITS_FOR)
class TestOutOfTime:
    def test_it_is_told_undone_and_over(
        self, signed_in: Browser, web: Function, employee: User, at: str
    ) -> None:
        with administrator() as admin, ThreadPoolExecutor(1) as pool:
            answering = pool.submit(signed_in.get, f"/slow?at={at}", seconds=SECONDS, accept_language="ja")
            while (WAITS_FOR[at],) not in writing(admin):
                assert not answering.done(), answering.result().status
            assert web.process
            web.process.send_signal(signal.SIGALRM)  # as the timer does, but not before it has come so far
            answer = answering.result(SECONDS)
            # By itself, none of it would be over before the role's limits end it, 25 seconds and more later.
            over_by = time.monotonic() + 15
            while still := writing(admin):
                assert time.monotonic() < over_by, still
        assert (answer.status, answer.headers["retry-after"]) == (503, "10")
        assert ja("The service is busy at the moment") in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.cookies == []
        assert not WorkSession.objects.filter(user=employee).exists()
        # The same process goes on, and the same person.
        assert signed_in.get("/").status == 200
        clocked = signed_in.post("/clock-in", {"seen": seen(signed_in), "confirmed": "yes"})
        assert clocked.status == 303
        assert WorkSession.objects.filter(user=employee).count() == 1

    def test_in_the_language_of_who_asks(self, signed_in: Browser, at: str) -> None:
        answer = signed_in.get(f"/slow?at={at}", seconds=3.5, accept_language="en")
        assert answer.status == 503
        assert "The service is busy at the moment" in answer.text


def writing(admin: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Return what each transaction waits for that has written a work session, or is about to.

    What it asks is told to nobody.
    """
    return admin.execute(
        "SELECT wait_event FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE datname = current_database()"
        f" AND relation = '{SCHEMA}.work_sessions'::regclass AND mode = 'RowExclusiveLock'"
    ).fetchall()


def test_out_of_time_at_the_edge_of_a_transaction_the_process_goes_on(
    signed_in: Browser, web: Function, employee: User
) -> None:
    before = web.lines().count(AT_THE_EDGE)
    assert signed_in.get("/interrupted").status == 503
    assert web.lines().count(AT_THE_EDGE) == before + 1
    assert signed_in.get("/").status == 200
    assert signed_in.post("/clock-in", {"seen": seen(signed_in), "confirmed": "yes"}).status == 303
    assert WorkSession.objects.filter(user=employee).count() == 1


class TestTooLarge:
    def test_what_just_fits_is_sent(self, browser: Browser) -> None:
        answer = browser.get("/large?size=4600000")
        assert (answer.status, len(answer.content)) == (200, 4_600_000)
        assert answer.content[:256] == bytes(range(256))

    @pytest.mark.parametrize("target", ["/large?size=4700000", "/large-page"])
    def test_without_a_bucket_it_is_said(self, browser: Browser, target: str) -> None:
        answer = browser.get(target)
        assert answer.status == 500
        assert ja("This is too large to be sent") in answer.text
        assert "content-disposition" not in answer.headers
        assert browser.get("/healthz").status == 200


class TestHealth:
    def test_alive_and_ready(self, browser: Browser) -> None:
        assert (browser.get("/healthz").status, browser.get("/readyz").text) == (200, "ready\n")


@pytest.fixture(autouse=True)
def _process_lives(web: Function) -> Iterator[None]:
    """No test may have ended the process: Lambda would start another, and somebody would wait."""
    yield
    web.check()
