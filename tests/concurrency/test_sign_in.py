"""Many attempts to sign in at the same moment, on connections of their own."""

from collections import Counter
from collections.abc import Iterator

import pytest
import time_machine
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from accounts import actions, sessions, throttling
from accounts.hashers import verify_at_one_price
from accounts.models import AuditEvent, ThrottleCounter, User
from tenants import scope
from tests.concurrency.racing import at_once
from tests.conftest import PASSWORD, japan, own_scope

pytestmark = pytest.mark.django_db(transaction=True)

GUESSES = 50
NOW = japan("2026-11-20 12:00")


@pytest.fixture(autouse=True)
def one_moment(settings: Settings) -> Iterator[None]:
    settings.SIGN_IN_FAILURES_PER_ADDRESS = 1000
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The guesses that were held against the account's own hash."""
    guesses: list[str] = []

    def spy(password: str, encoded: str | None) -> tuple[bool, str | None]:
        if encoded is not None:
            guesses.append(password)
        return verify_at_one_price(password, encoded)

    monkeypatch.setattr(actions, "verify_at_one_price", spy)
    return guesses


def guess(user: User, password: str) -> HttpResponse:
    response = Client().post("/sign-in", {"email": user.email, "password": password})
    assert isinstance(response, HttpResponse)
    return response


def test_fifty_guesses_verify_five_and_lock_once(employee: User, verified: list[str]) -> None:
    answers = at_once(lambda n: guess(employee, f"guess {n}"), GUESSES)
    assert {answer.status_code for answer in answers} == {200}
    assert len(verified) == 5
    employee.refresh_from_db()
    assert employee.failed_attempts == 5
    assert employee.is_locked(NOW)
    kinds = Counter(AuditEvent.objects.filter(kind__startswith="sign_in").values_list("kind", flat=True))
    assert kinds == {"sign_in.failed": GUESSES, "sign_in.locked": 1}
    assert [message.to for message in mail.outbox] == [[employee.email]]


def test_what_is_left_of_five_is_verified(employee: User, verified: list[str]) -> None:
    User.objects.filter(pk=employee.pk).update(failed_attempts=3)
    at_once(lambda n: guess(employee, f"guess {n}"), GUESSES)
    assert len(verified) == 2


def test_after_a_lock_five_more(employee: User, verified: list[str]) -> None:
    User.objects.filter(pk=employee.pk).update(failed_attempts=5, locked_until=NOW)
    at_once(lambda n: guess(employee, f"guess {n}"), GUESSES)
    assert len(verified) == 5
    assert len(mail.outbox) == 1


def test_five_with_the_right_password_all_get_in(employee: User) -> None:
    answers = at_once(lambda _n: guess(employee, PASSWORD), 5)
    assert {answer.status_code for answer in answers} == {302}
    employee.refresh_from_db()
    assert (employee.failed_attempts, employee.locked_until) == (0, None)
    assert mail.outbox == []


def test_a_limit_is_exact(db: None) -> None:
    allowed = at_once(lambda _n: throttling.hit("test", "one", limit=7, seconds=60), GUESSES)
    assert Counter(allowed) == {True: 7, False: GUESSES - 7}
    assert ThrottleCounter.objects.get().hits == 7


def test_many_whose_time_is_over_begin_anew_together(db: None) -> None:
    """Each clears away what is over, the rows of the others included, and none waits for ever."""
    for n in range(10):
        throttling.hit("test", str(n), limit=1, seconds=60)
    with time_machine.travel(NOW.timestamp() + 61, tick=False):
        allowed = at_once(
            lambda n: (n % 10, throttling.hit("test", str(n % 10), limit=3, seconds=60)), GUESSES
        )
    assert Counter(key for key, may in allowed if may) == dict.fromkeys(range(10), 3)


def test_a_network_fails_so_often_and_no_more(db: None, settings: Settings) -> None:
    settings.SIGN_IN_FAILURES_PER_ADDRESS = 30
    answers = at_once(
        lambda n: Client().post("/sign-in", {"email": f"{n}@example.com", "password": "x"}).status_code,
        GUESSES,
    )
    assert Counter(answers) == {200: 30, 429: GUESSES - 30}


def test_sessions_that_end_while_others_do(employee: User) -> None:
    def end(_n: int) -> None:
        with scope.enter(own_scope(employee)):
            sessions.end_all(User.objects.in_scope().get())

    at_once(end, 10)
    employee.refresh_from_db()
    assert employee.session_epoch == 10
