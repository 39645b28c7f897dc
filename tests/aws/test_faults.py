"""Every page while DynamoDB is slow, throttled, broken or gone: nobody is signed out, nothing is lost."""

import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as project
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import tokens
from accounts.models import AuditEvent, RoleCode, User
from accounts.tokens import Purpose
from attendance.models import WorkSession
from tests.aws.faults import Fault, FaultyStore
from tests.conftest import PASSWORD
from tests.dynamodb import chosen, forget_everything, make_table
from tests.html import Page, ja
from tests.test_urls import URLS
from timerecord.aws import client as aws
from timerecord.core.errors import RETRY_AFTER_SECONDS
from timerecord.core.sessions import StoreUnavailableError

SECRET = "s3cret detail of the inside"
BUSY = "The service is busy at the moment"
COOKIE = project.SESSION_COOKIE_NAME
ASKING = {name: path for name, path in URLS.items() if name != "alive"}  # a session asks for them
FAULTS = pytest.mark.parametrize("fault", Fault)


@pytest.fixture
def store(dynamodb_server: str) -> Iterator[FaultyStore]:
    """A store that works until it is told not to. The client repeats nothing."""
    forget_everything(dynamodb_server)
    faulty = FaultyStore(dynamodb_server)
    with faulty.running() as address, chosen(address) as client:
        make_table(client)
        aws.use(aws.make_client(read_seconds=30, attempts=1))
        yield faulty


@contextlib.contextmanager
def failing(store: FaultyStore, fault: Fault, *operations: str) -> Iterator[None]:
    """Have operations fail, or all; wait for an answer that never comes no longer than need be."""
    patient = aws.dynamodb()
    if fault is Fault.SLOW:
        # Where all operations fail, no answer that comes can be missed.
        aws.use(aws.make_client(read_seconds=5 if operations else 0.02, attempts=1))
    try:
        with store.failing(fault, *operations):
            yield
    finally:
        aws.use(patient)


@pytest.fixture
def browser(store: FaultyStore, client: Client, employee: User) -> Client:
    """Somebody signed in, who sees answers and not the exceptions behind them."""
    client.force_login(employee)
    client.raise_request_exception = False
    return client


def check_busy(response: Any, language: str = "ja") -> None:
    page = Page(response)
    assert response.status_code == 503
    assert response["Retry-After"] == str(RETRY_AFTER_SECONDS)
    assert page.language == language
    assert page.heading == (BUSY if language == "en" else ja(BUSY))
    assert SECRET not in page.html
    assert "Traceback" not in page.html
    assert response.cookies == {}  # nobody's session, language or mark is taken away


class TestEveryPage:
    @FAULTS
    def test_of_who_is_signed_in(
        self, browser: Client, store: FaultyStore, subtests: pytest.Subtests, fault: Fault
    ) -> None:
        # A slow store costs the time-out for each request: there the pages alone.
        methods = ["get"] if fault is Fault.SLOW else ["get", "post"]
        before = browser.cookies[COOKIE].value
        with failing(store, fault):
            for name, path in ASKING.items():
                for method in methods:
                    with subtests.test(url=name, method=method):
                        check_busy(getattr(browser, method)(path))
        assert browser.cookies[COOKIE].value == before
        assert browser.get("/").status_code == 200  # signed in as before
        assert not WorkSession.objects.exists()

    def test_while_nothing_listens(self, browser: Client, subtests: pytest.Subtests) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{nobody.getsockname()[1]}")
                aws.use(aws.make_client(attempts=1))
                for name, path in ASKING.items():
                    with subtests.test(url=name):
                        check_busy(browser.get(path))

    def test_of_a_stranger_are_as_ever(self, store: FaultyStore, client: Client, db: None) -> None:
        # What is mailed leads on to a look at its token; and one is there to ask.
        asking = {"accounts:password_reset_link", "accounts:invitation_link", "ready"}
        paths = {name: path for name, path in URLS.items() if name not in asking}
        as_ever = {name: client.get(path).status_code for name, path in paths.items()}
        store.received.clear()
        with store.failing(Fault.BROKEN):
            assert {name: client.get(path).status_code for name, path in paths.items()} == as_ever
        assert store.received == []

    @pytest.mark.parametrize("language", ["ja", "en"])
    def test_in_the_readers_language(self, browser: Client, store: FaultyStore, language: str) -> None:
        with store.failing(Fault.THROTTLED):
            check_busy(browser.get("/", headers={"accept-language": language}), language)
            browser.cookies[project.LANGUAGE_COOKIE_NAME] = language
            check_busy(browser.get("/"), language)

    def test_one_that_is_not_there_needs_no_store(self, browser: Client, store: FaultyStore) -> None:
        with store.failing(Fault.BROKEN):
            assert browser.get("/nowhere").status_code == 404

    def test_the_log_says_what_it_was(
        self, browser: Client, store: FaultyStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        with store.failing(Fault.NO_TABLE):
            browser.get("/")
        assert "ResourceNotFoundException" in caplog.text


class TestSigningIn:
    def post(self, client: Client, user: User) -> Any:
        return client.post("/sign-in", {"email": user.email, "password": PASSWORD})

    @FAULTS
    def test_is_not_possible_and_says_so(
        self, store: FaultyStore, client: Client, employee: User, fault: Fault
    ) -> None:
        client.raise_request_exception = False
        with failing(store, fault):
            check_busy(self.post(client, employee))
        assert self.post(client, employee).status_code == 302
        assert client.get("/").status_code == 200

    def test_fails_as_well_where_the_last_write_does(
        self, store: FaultyStore, client: Client, employee: User
    ) -> None:
        client.raise_request_exception = False
        store.received.clear()
        with store.failing(Fault.THROTTLED, "PutItem", times=1):
            check_busy(self.post(client, employee))
        assert store.received == ["PutItem"]
        assert COOKIE not in client.cookies

    def test_out_fails_aloud(self, browser: Client, store: FaultyStore) -> None:
        """Who reads that they are signed out must be."""
        with store.failing(Fault.BROKEN, "DeleteItem"):
            check_busy(browser.post("/sign-out"))
        assert browser.get("/").status_code == 200
        assert not AuditEvent.objects.filter(kind="sign_out").exists()  # for it did not happen
        assert browser.post("/sign-out").status_code == 302
        assert browser.get("/").status_code == 302

    def test_with_a_new_password_nothing_changes_by_half(
        self, browser: Client, store: FaultyStore, employee: User
    ) -> None:
        given = {"current_password": PASSWORD, "new_password": "a longer passphrase than before"}
        for operation in ("PutItem", "DeleteItem"):
            with store.failing(Fault.BROKEN, operation):
                check_busy(browser.post("/password/change", given))
            employee.refresh_from_db()
            assert employee.check_password(PASSWORD)
            assert browser.get("/").status_code == 200
        assert browser.post("/password/change", given).status_code == 303
        assert browser.get("/").status_code == 200

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("times", [1, None])
    def test_wherever_it_fails_nobody_is_signed_out(
        self,
        browser: Client,
        store: FaultyStore,
        employee: User,
        subtests: pytest.Subtests,
        times: int | None,
    ) -> None:
        """The store fails at the first request to it, the second, and so on: once, or from then on."""
        password = PASSWORD
        for path in ("/password/change", "/account/sessions/end-others"):
            for number in range(20):
                other = Client()
                other.force_login(employee)
                given = {"current_password": password, "new_password": f"another long passphrase {number}"}
                store.received.clear()
                with store.failing(Fault.BROKEN, times=times, after=number):
                    answer = browser.post(path, given)
                has_failed = len(store.received) > number
                employee.refresh_from_db()
                with subtests.test(path=path, after=number):
                    if answer.status_code != 303:
                        assert has_failed
                        check_busy(answer)
                    elif path == "/password/change":
                        password = given["new_password"]
                    assert other.get("/").status_code == (302 if answer.status_code == 303 else 200)
                    assert employee.check_password(password)
                    assert browser.get("/").status_code == 200
                if not has_failed:
                    break
            assert 3 < number < 19  # all of them failed in turn

    @pytest.mark.django_db(transaction=True)
    def test_everywhere_needs_no_list(
        self, browser: Client, store: FaultyStore, employee: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        other = Client()
        other.force_login(employee)
        with store.failing(Fault.BROKEN, "Query"):
            assert browser.post("/account/sign-out-everywhere").status_code == 303
        assert other.get("/").status_code == 302
        assert "forget_ended" in caplog.text

    def test_who_registers_is_told_to_sign_in(
        self, store: FaultyStore, client: Client, employee: User
    ) -> None:
        code = RoleCode.objects.create(tenant_id=employee.tenant_id or 0, code="A" * 16)
        given = {
            "code": code.code,
            "email": "new@example.com",
            "password": PASSWORD,
            "last_name": "鈴木",
            "first_name": "一郎",
        }
        with store.failing(Fault.THROTTLED, "PutItem"):
            page = Page(client.post("/register", given, follow=True))
        assert page.messages == [ja("You are registered. Please sign in in a moment.")]
        assert self.post(client, User.objects.get(email="new@example.com")).status_code == 302

    def test_so_is_who_follows_an_invitation(
        self, store: FaultyStore, client: Client, employee: User
    ) -> None:
        token = tokens.issue(employee.pk, Purpose.INVITE, 600)
        client.get(reverse("accounts:invitation_link", args=[token]))
        with store.failing(Fault.THROTTLED, "PutItem"):
            answer = client.post(reverse("accounts:invitation"), {"new_password": "x1" * 10}, follow=True)
        assert Page(answer).messages == [ja("Your password is set. Please sign in in a moment.")]
        employee.refresh_from_db()
        assert employee.check_password("x1" * 10)


class TestPunches:
    @FAULTS
    def test_one_that_was_refused_is_not_recorded(
        self, browser: Client, store: FaultyStore, fault: Fault
    ) -> None:
        with failing(store, fault):
            check_busy(browser.post("/clock-in", {"seen": "0"}))
        assert not WorkSession.objects.exists()
        assert browser.post("/clock-in", {"seen": "0"}).status_code == 303
        assert WorkSession.objects.count() == 1

    @FAULTS
    def test_one_that_was_answered_is_recorded_whatever_comes_after(
        self,
        browser: Client,
        store: FaultyStore,
        settings: Settings,
        caplog: pytest.LogCaptureFixture,
        fault: Fault,
    ) -> None:
        """That a session is in use is noted after the commit. It may fail; the punch may not."""
        settings.SESSION_IDLE_SECONDS = 300
        seen = {":now": {"N": "0"}}
        aws.dynamodb().update_item(  # as if seen long ago
            TableName=aws.table(),
            Key={
                "pk": aws.dynamodb().scan(TableName=aws.table())["Items"][0]["pk"],
                "sk": {"S": "META"},
            },
            UpdateExpression="SET seenAt = :now",
            ExpressionAttributeValues=seen,
        )
        store.received.clear()
        with failing(store, fault, "UpdateItem"), caplog.at_level(logging.WARNING):
            response = browser.post("/clock-in", {"seen": "0"})
        assert store.received == ["GetItem", "UpdateItem"]
        assert response.status_code == 303
        assert WorkSession.objects.count() == 1
        assert "could not be noted" in caplog.text
        assert browser.get("/").status_code == 200


class TestTokens:
    @FAULTS
    def test_a_link_is_good_afterwards(
        self, store: FaultyStore, client: Client, employee: User, fault: Fault
    ) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, 600)
        client.raise_request_exception = False
        client.get(reverse("accounts:password_reset_link", args=[token]))
        with failing(store, fault):
            check_busy(client.get(reverse("accounts:password_reset")))
            check_busy(client.post(reverse("accounts:password_reset"), {"new_password": "x" * 20}))
        response = client.post(reverse("accounts:password_reset"), {"new_password": "x1" * 10})
        assert response.status_code == 303


class TestRetries:
    """The client as an installation has it, but for more patience."""

    @pytest.fixture(autouse=True)
    def real_client(self, store: FaultyStore) -> None:
        aws.use(aws.make_client(read_seconds=30))

    @pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.DROPPED])
    def test_what_fails_now_and_then_is_noticed_by_nobody(
        self, browser: Client, store: FaultyStore, fault: Fault
    ) -> None:
        store.received.clear()
        with store.failing(fault, times=1):
            assert browser.get("/").status_code == 200
        assert store.received == ["GetItem"] * 2

    def test_it_gives_up(self, browser: Client, store: FaultyStore) -> None:
        store.received.clear()
        with store.failing(Fault.UNAVAILABLE):
            check_busy(browser.get("/"))
        assert store.received == ["GetItem"] * aws.ATTEMPTS

    def test_all_attempts_end_before_a_request_does(self) -> None:
        # Between two attempts standard retries wait a second, then two, at most.
        longest = aws.ATTEMPTS * (aws.CONNECT_SECONDS + aws.READ_SECONDS) + 1 + 2
        assert longest < 15

    def test_one_client_for_all_threads(self) -> None:
        assert aws.dynamodb() is aws.dynamodb()


def test_a_failure_names_what_dynamodb_said(store: FaultyStore, employee: User) -> None:
    with store.failing(Fault.DENIED), pytest.raises(StoreUnavailableError, match="AccessDeniedException"):
        tokens.issue(employee.pk, Purpose.RESET, 600)
