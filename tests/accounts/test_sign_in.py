"""Locks, limits and ends of sessions, as people meet them."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts import actions, sessions
from accounts.hashers import verify_at_one_price
from accounts.middleware import MARKER
from accounts.models import AuditEvent, Role, Session, User, UserStatus
from tenants import scope
from tenants.models import Tenant, TenantStatus
from tests.accounts.test_hashers import old_hash
from tests.accounts.test_views import REFUSED, errors, is_signed_in, sign_in
from tests.conftest import EVERYTHING, PASSWORD, MakeUser, japan
from tests.html import Page, ja

NOW = japan("2026-11-20 12:00")
QUARTER = dt.timedelta(minutes=15)
INSTANT = dt.timedelta(microseconds=1)
NOBODY = "nobody@example.com"
Clock = time_machine.Traveller


@pytest.fixture
def now() -> Any:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def no_limit(settings: Settings) -> None:
    settings.SIGN_IN_FAILURES_PER_ADDRESS = 1000


def fail(client: Client, user: User, times: int = 1) -> None:
    for _ in range(times):
        assert errors(sign_in(client, user.email, "wrong")) == [ja(REFUSED)]


def count_of(user: User) -> tuple[int, dt.datetime | None]:
    user.refresh_from_db()
    return user.failed_attempts, user.locked_until


class TestLock:
    def test_five_failures_lock_for_fifteen_minutes(self, client: Client, employee: User, now: Clock) -> None:
        fail(client, employee, 4)
        assert count_of(employee) == (4, None)
        fail(client, employee)
        assert count_of(employee) == (5, NOW + QUARTER)
        now.move_to(NOW + QUARTER - INSTANT)
        assert errors(sign_in(client, employee.email, PASSWORD)) == [ja(REFUSED)]
        assert count_of(employee) == (5, NOW + QUARTER)
        now.move_to(NOW + QUARTER)
        assert sign_in(client, employee.email, PASSWORD) == "/"
        assert count_of(employee) == (0, None)

    def test_a_failure_changes_nothing_but_the_count(
        self, client: Client, employee: User, make_user: MakeUser
    ) -> None:
        make_user()
        before = {row.pop("id"): row for row in User.objects.values()}
        fail(client, employee)
        before[employee.pk]["failed_attempts"] = 1
        assert {row.pop("id"): row for row in User.objects.values()} == before

    def test_a_success_begins_anew(self, client: Client, employee: User) -> None:
        for _ in range(2):
            fail(client, employee, 4)
            assert sign_in(client, employee.email, PASSWORD) == "/"
            assert count_of(employee) == (0, None)
            client.logout()

    def test_after_a_lock_there_are_five_attempts_again(
        self, client: Client, employee: User, now: Clock
    ) -> None:
        fail(client, employee, 5)
        now.move_to(NOW + QUARTER)
        fail(client, employee, 4)
        assert count_of(employee) == (4, None)
        fail(client, employee)
        assert count_of(employee) == (5, NOW + 2 * QUARTER)

    def test_a_count_that_the_import_brought(self, client: Client, make_user: MakeUser, now: Clock) -> None:
        user = make_user(failed_attempts=7)
        fail(client, user)
        assert count_of(user) == (8, NOW + QUARTER)

    def test_who_is_suspended_is_not_counted(
        self, client: Client, make_user: MakeUser, other_tenant: Tenant
    ) -> None:
        suspended = make_user(status=UserStatus.SUSPENDED)
        closed = make_user(tenant=other_tenant)
        Tenant.objects.filter(pk=other_tenant.pk).update(status=TenantStatus.SUSPENDED)
        for user in (suspended, closed):
            fail(client, user, 6)
            assert count_of(user) == (0, None)
        assert not AuditEvent.objects.filter(kind="sign_in.locked").exists()

    def test_the_right_password_of_an_imported_account_takes_the_count_back(
        self, client: Client, employee: User
    ) -> None:
        User.objects.filter(pk=employee.pk).update(password=old_hash("correct horse"), failed_attempts=4)
        assert sign_in(client, employee.email, "correct horse") == "/"
        assert count_of(employee) == (0, None)

    def test_it_is_audited_once(self, client: Client, employee: User, now: Clock) -> None:
        agent = {"user-agent": "Browser/1.0 \x07" + "x" * 500}
        for _ in range(7):
            client.post("/sign-in", {"email": employee.email, "password": "wrong"}, headers=agent)
        events = AuditEvent.objects.filter(kind__startswith="sign_in", subject_id=employee.pk)
        assert [e.kind for e in events.order_by("pk")] == [
            *["sign_in.failed"] * 5,
            "sign_in.locked",
            *["sign_in.failed"] * 2,
        ]
        for event in events:
            assert event.device == "Browser/1.0 " + "x" * 288
            assert (event.address, event.tenant_id) == ("127.0.0.1", employee.tenant_id)


class TestMailOfTheLock:
    @pytest.fixture(autouse=True)
    def commits(self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Any:
        self.capture = django_capture_on_commit_callbacks

    def lock(self, client: Client, user: User, attempts: int = 7) -> None:
        with self.capture(execute=True):
            fail(client, user, attempts)

    def test_one_for_each_lock(self, client: Client, employee: User, now: Clock) -> None:
        self.lock(client, employee, 4)
        assert mail.outbox == []
        self.lock(client, employee, 3)
        (message,) = mail.outbox
        assert message.to == [employee.email]
        assert message.subject == "【タイムレコード】ログインを一時停止しました"
        assert "15分間" in str(message.body)
        assert "管理者" in str(message.body)
        assert "http://localhost:8000/password/forgot\n" in str(message.body)
        now.move_to(NOW + QUARTER)
        self.lock(client, employee, 7)
        assert len(mail.outbox) == 2

    def test_in_the_language_of_who_gets_it(self, client: Client, make_user: MakeUser) -> None:
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ja"
        self.lock(client, make_user(language="en"))
        (message,) = mail.outbox
        assert message.subject == "Time clock: sign-in is locked for a while"

    def test_none_to_an_address_that_was_made_up(self, client: Client, make_user: MakeUser) -> None:
        user = make_user(email="worker@placeholder.local")
        self.lock(client, user)
        assert mail.outbox == []
        assert count_of(user)[0] == 5

    def test_none_to_who_is_suspended_or_unknown(self, client: Client, make_user: MakeUser) -> None:
        self.lock(client, make_user(status=UserStatus.SUSPENDED))
        self.lock(client, User(email=NOBODY))
        assert mail.outbox == []

    def test_the_answer_does_not_wait_for_it(
        self, client: Client, employee: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order: list[str] = []
        close = HttpResponse.close

        def close_in_order(answer: HttpResponse) -> None:
            order.append("answer is out")
            close(answer)

        monkeypatch.setattr(EmailMessage, "send", lambda *_: order.append("mail"))
        monkeypatch.setattr(HttpResponse, "close", close_in_order)
        fail(client, employee, 5)
        assert order == ["answer is out"] * 5 + ["mail"]

    def test_a_mail_server_that_is_down_changes_nothing(
        self, client: Client, employee: User, settings: Settings
    ) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
        self.lock(client, employee)
        assert count_of(employee)[0] == 5


class TestOneAnswer:
    """Status, text, headers and cookies are the same whatever became of the attempt."""

    def answer(self, email: str, password: str, language: str) -> tuple[Any, ...]:
        client = Client(headers={"accept-language": language})
        response = client.post("/sign-in", {"email": email, "password": password})
        page = Page(response)
        cookies = {
            name: {key: value for key, value in morsel.items() if key != "expires"}
            for name, morsel in response.cookies.items()
        }
        text = page.html.replace(page.csrf_token, "").replace(email, "")
        headers = {name: value for name, value in response.headers.items() if name != "Content-Length"}
        return response.status_code, text, headers, cookies

    @pytest.mark.usefixtures("no_limit")
    @pytest.mark.parametrize("language", ["ja", "en"])
    def test_for_everybody(
        self, make_user: MakeUser, other_tenant: Tenant, now: Clock, language: str
    ) -> None:
        closed = make_user(tenant=other_tenant)
        Tenant.objects.filter(pk=other_tenant.pk).update(status=TenantStatus.SUSPENDED)
        imported = make_user()
        User.objects.filter(pk=imported.pk).update(password=old_hash("correct horse"))
        attempts = [
            (NOBODY, "wrong"),
            (make_user().email, "wrong"),
            (make_user(failed_attempts=4).email, "wrong"),
            (make_user(must_change_password=True).email, "wrong"),
            (make_user(email="x@placeholder.local").email, "wrong"),
            (make_user(tenant=None).email, "wrong"),
            (imported.email, "wrong"),
            *(
                (email, password)
                for password in ("wrong", PASSWORD)
                for email in (
                    make_user(locked_until=NOW + QUARTER).email,
                    make_user(status=UserStatus.SUSPENDED).email,
                    closed.email,
                )
            ),
        ]
        answers = [self.answer(email, password, language) for email, password in attempts]
        assert answers == [answers[0]] * len(attempts)
        status, text, _headers, cookies = answers[0]
        assert status == 200
        assert set(cookies) == {"csrftoken"}
        assert (REFUSED if language == "en" else ja(REFUSED)) in text
        for page in ("/password/forgot", "/register"):
            assert f'href="{page}"' in text


class TestThrottling:
    def try_often(self, client: Client, times: int, **extra: Any) -> list[int]:
        """A new address each time: no account is locked by this."""
        return [
            client.post("/sign-in", {"email": f"{n}-{NOBODY}", "password": "wrong"}, **extra).status_code
            for n in range(times)
        ]

    def test_thirty_failures_of_one_network(
        self, client: Client, employee: User, now: Clock, settings: Settings
    ) -> None:
        settings.SIGN_IN_FAILURES_PER_ADDRESS = 30
        assert self.try_often(client, 32) == [200] * 30 + [429] * 2
        now.shift(dt.timedelta(minutes=14, seconds=30, microseconds=1))
        response = client.post("/sign-in", {"email": employee.email, "password": PASSWORD})
        page = Page(response)
        assert (response.status_code, response["Retry-After"]) == (429, "30")
        assert page.heading == ja("Too many attempts from here")
        assert "1分ほど" in page.html
        assert page.language == "ja"
        assert SESSION_KEY not in client.session
        assert count_of(employee) == (0, None)
        now.shift(dt.timedelta(seconds=30))
        assert sign_in(client, employee.email, PASSWORD) == "/"

    def test_in_english(self, client: Client, db: None, settings: Settings) -> None:
        settings.SIGN_IN_FAILURES_PER_ADDRESS = 1
        self.try_often(client, 1)
        response = client.post(
            "/sign-in", {"email": NOBODY, "password": "x"}, headers={"accept-language": "en"}
        )
        page = Page(response)
        assert (response.status_code, page.language) == (429, "en")
        assert page.heading == "Too many attempts from here"
        assert "Please wait 15 minutes" in page.html
        assert "no-store" in response["Cache-Control"]

    def test_successes_do_not_count(self, client: Client, employee: User, settings: Settings) -> None:
        settings.SIGN_IN_FAILURES_PER_ADDRESS = 2
        fail(client, employee)
        for _ in range(4):
            assert sign_in(client, employee.email, PASSWORD) == "/"
            client.logout()
        fail(client, employee)
        assert client.post("/sign-in", {"email": NOBODY, "password": "x"}).status_code == 429

    def test_what_was_not_looked_at_does_not_either(
        self, client: Client, employee: User, settings: Settings
    ) -> None:
        settings.SIGN_IN_FAILURES_PER_ADDRESS = 1
        assert len(errors(sign_in(client, "", ""))) == 2
        fail(client, employee)

    def test_nor_does_what_fails_for_a_reason_of_ours(
        self, client: Client, employee: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.SIGN_IN_FAILURES_PER_ADDRESS = 1
        with monkeypatch.context() as broken:
            broken.setattr("accounts.backends.actions.attempt_sign_in", None)
            with pytest.raises(TypeError):
                fail(client, employee)
        fail(client, employee)

    def test_other_networks_go_on(self, client: Client, db: None, settings: Settings) -> None:
        settings.SIGN_IN_FAILURES_PER_ADDRESS = 1
        assert self.try_often(client, 2, REMOTE_ADDR="203.0.113.7") == [200, 429]
        assert self.try_often(client, 2, REMOTE_ADDR="203.0.113.8") == [200, 429]

    def test_a_header_changes_nothing(self, client: Client, db: None, settings: Settings) -> None:
        settings.SIGN_IN_FAILURES_PER_ADDRESS = 1
        self.try_often(client, 1)
        forged = {"HTTP_X_FORWARDED_FOR": "198.51.100.1", "HTTP_X_REAL_IP": "198.51.100.1"}
        assert self.try_often(client, 1, **forged, HTTP_FORWARDED="for=198.51.100.1") == [429]


def suspend(user: User) -> None:
    User.objects.filter(pk=user.pk).update(status=UserStatus.SUSPENDED)


def suspend_the_tenant(user: User) -> None:
    Tenant.objects.filter(users=user).update(status=TenantStatus.SUSPENDED)


def move(user: User) -> None:
    User.objects.filter(pk=user.pk).update(tenant=Tenant.objects.create())


def remove(user: User) -> None:
    user.delete()


def make_admin(user: User) -> None:
    User.objects.filter(pk=user.pk).update(role=Role.TENANT_ADMIN)


def choose_another_password(user: User) -> None:
    user.set_password("another passphrase")
    user.save()


OUT_OF_USE = (
    "You were signed out, because your account was suspended, moved or removed. If you cannot sign in again, "
    "please ask your administrator."
)
ENDED = (
    "You were signed out, because your account was changed (its password or role, for example) or you signed "
    "out everywhere. Please sign in again."
)
AWAY = "Your sign-in ran out, or was ended on another device. Please sign in again."
ENDINGS = pytest.mark.parametrize(
    ("end", "told"),
    [
        (suspend, OUT_OF_USE),
        (suspend_the_tenant, OUT_OF_USE),
        (move, OUT_OF_USE),
        (remove, OUT_OF_USE),
        (choose_another_password, ENDED),
        (make_admin, ENDED),
        (sessions.end_all, ENDED),
    ],
)


class TestEndOfASession:
    @ENDINGS
    @pytest.mark.parametrize("path", ["/", "/clock-in", "/sign-in"])
    def test_at_the_next_request(
        self, client: Client, employee: User, end: Callable[[User], None], told: str, path: str
    ) -> None:
        assert sign_in(client, employee.email, PASSWORD) == "/"
        end(employee)
        response = client.get(path, follow=True)
        page = Page(response)
        assert page.heading == ja("Sign in")
        assert page.messages == [ja(told)]
        assert not Session.objects.exists()
        assert settings.SESSION_COOKIE_NAME not in client.cookies or (
            client.cookies[settings.SESSION_COOKIE_NAME].value == ""
        )
        assert Page(client.get("/", follow=True)).messages == []  # said once

    @ENDINGS
    def test_a_punch_is_not_lost_in_silence(
        self, employee_client: Client, employee: User, end: Callable[[User], None], told: str
    ) -> None:
        end(employee)
        response = employee_client.post("/clock-out", {"seen": "0"})
        assert response["Location"] == "/sign-in?next=/clock-out"
        page = Page(employee_client.get(response["Location"]))
        assert ja(told) in page.messages
        assert len(page.notes) == len(page.messages) + 1  # and that it waits

    def test_it_is_in_the_language_of_the_page(self, employee_client: Client, employee: User) -> None:
        suspend(employee)
        page = Page(employee_client.get("/", headers={"accept-language": "en"}, follow=True))
        assert page.messages == [OUT_OF_USE]

    def test_who_signs_in_at_once_is_told_nothing(self, client: Client, employee: User) -> None:
        sign_in(client, employee.email, PASSWORD)
        sessions.end_all(employee)
        assert sign_in(client, employee.email, PASSWORD) == "/"
        assert Page(client.get("/")).messages == []
        assert Session.objects.count() == 1

    def test_one_that_ran_out(self, client: Client, employee: User, now: Clock) -> None:
        sign_in(client, employee.email, PASSWORD)
        now.shift(dt.timedelta(seconds=settings.SESSION_COOKIE_AGE + 1))
        del client.cookies[settings.SESSION_COOKIE_NAME]  # as a browser does it
        assert Page(client.get("/", follow=True)).messages == [ja(AWAY)]
        assert Page(client.get("/", follow=True)).messages == []

    def test_one_that_was_ended_by_its_owner(self, client: Client, employee: User) -> None:
        sign_in(client, employee.email, PASSWORD)
        assert client.cookies[MARKER]["httponly"]
        client.post("/sign-out")
        assert Page(client.get("/", follow=True)).messages == []

    def test_a_stranger_is_told_nothing(self, client: Client, db: None) -> None:
        assert Page(client.get("/", follow=True)).messages == []

    def test_all_of_them_at_once_but_for_the_callers(self, make_user: MakeUser) -> None:
        user, other = make_user(), make_user()
        phones = [Client() for _ in range(3)]
        for phone in phones[:2]:
            phone.force_login(user)
        phones[2].force_login(other)
        sessions.end_all(user)
        assert [is_signed_in(phone) for phone in phones] == [False, False, True]
        assert count_of(user) == (0, None)
        assert user.session_epoch == 1


class TestFirstPassword:
    """Until it is chosen, there is nothing but the page to do so, sign-out and the language."""

    @pytest.fixture
    def new(self, make_user: MakeUser, client: Client) -> User:
        user = make_user(must_change_password=True)
        client.force_login(user)
        return user

    @pytest.mark.parametrize(
        ("path", "following"),
        [
            ("/", "?next=/"),
            ("/?page=2", "?next=/%3Fpage%3D2"),
            ("/clock-in", "?next=/clock-in"),
            ("/sign-in", "?next=/sign-in"),
            ("/work-sessions/1/history", "?next=/work-sessions/1/history"),
        ],
    )
    def test_every_page_leads_there(self, client: Client, new: User, path: str, following: str) -> None:
        response = client.get(path)
        assert (response.status_code, response["Location"]) == (302, f"/password/change{following}")

    @pytest.mark.parametrize(
        ("path", "following"),
        [("/clock-in", "?next=/clock-in"), ("/clock-out", "?next=/clock-out"), ("/", "")],
    )
    def test_a_punch_waits(self, client: Client, new: User, path: str, following: str) -> None:
        response = client.post(path, {"seen": "0"})
        assert (response.status_code, response["Location"]) == (302, f"/password/change{following}")
        assert not new.work_sessions.exists()

    def test_sign_out_and_language_are_reachable(self, client: Client, new: User) -> None:
        assert client.post("/language", {"language": "en"})["Location"] == "/"
        assert client.post("/sign-out")["Location"] == "/sign-in"
        assert SESSION_KEY not in client.session

    def test_the_page_itself(self, client: Client, new: User) -> None:
        assert client.get("/password/change").status_code == 200

    def test_afterwards_everything_is(self, client: Client, new: User) -> None:
        User.objects.filter(pk=new.pk).update(must_change_password=False)
        assert is_signed_in(client)

    def test_it_costs_others_no_query(self, employee_client: Client, employee: User) -> None:
        with CaptureQueriesContext(connection) as queries:
            employee_client.get("/clock-out")
        assert len([q for q in queries if 'FROM "users"' in q["sql"]]) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_scope")
class TestQueries:
    """Of a whole sign-in, page included. BEGIN and COMMIT are none that is waited for on their own."""

    @pytest.fixture
    def anybody(self) -> User:
        with scope.enter(EVERYTHING):
            return User.objects.create_user(email="a@example.com", password=PASSWORD)

    @pytest.mark.parametrize(("password", "budget"), [(PASSWORD, 13), ("wrong", 7)])
    def test_budget(self, client: Client, anybody: User, password: str, budget: int) -> None:
        form = {"email": anybody.email, "password": password}
        client.post("/sign-in", {**form, "password": "wrong"})
        with CaptureQueriesContext(connection) as queries:
            client.post("/sign-in", form)
        statements = [q["sql"] for q in queries if q["sql"] not in ("BEGIN", "COMMIT")]
        assert len(statements) <= budget, "\n".join(statements)
        assert [s for s in statements if s.startswith("SAVEPOINT")] == []

    def test_nothing_is_left_open_while_a_password_is_verified(
        self, client: Client, anybody: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not even with a session that is good for nothing any more: a lock would keep others waiting."""
        seen: list[bool] = []

        def spy(password: str, encoded: str | None) -> tuple[bool, str | None]:
            seen.append(connection.in_atomic_block)
            return verify_at_one_price(password, encoded)

        monkeypatch.setattr(actions, "verify_at_one_price", spy)
        sign_in(client, anybody.email, PASSWORD)
        with scope.enter(EVERYTHING):
            sessions.end_all(anybody)
        sign_in(client, anybody.email, PASSWORD)
        with scope.enter(EVERYTHING):
            User.objects.update(status=UserStatus.SUSPENDED)
        sign_in(client, anybody.email, PASSWORD)
        assert seen == [False] * 3
