"""What is left to be done once nobody waits for an answer."""

import datetime as dt
from collections.abc import Iterator

import pytest
import time_machine
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from accounts import errands, tokens
from accounts.account_actions import request_reset
from accounts.errands import FIRST_PAUSE, MAX_TRIES, Kind
from accounts.models import Errand, PasswordReset, Session, ThrottleCounter, User
from accounts.tokens import Purpose
from tests.accounts.test_mail import DOWN
from tests.conftest import MakeUser, japan
from tests.tenancy.world import begin_session

pytestmark = pytest.mark.django_db

NOW = japan("2026-11-20 12:00")
IN_MEMORY = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def ask(user: User) -> None:
    request_reset(user.email, "203.0.113.7", language="ja")


def test_it_is_done_once(employee: User, mailoutbox: list[EmailMessage], now: time_machine.Traveller) -> None:
    ask(employee)
    assert [errands.do_waiting(), errands.do_waiting()] == [1, 0]
    assert len(mailoutbox) == 1
    assert not Errand.objects.exists()


def test_what_is_rolled_back_leaves_none(employee: User) -> None:
    with transaction.atomic():
        ask(employee)
        transaction.set_rollback(True)
    assert errands.do_waiting() == 0


def test_a_mail_server_that_is_down_is_tried_again(
    employee: User,
    settings: Settings,
    mailoutbox: list[EmailMessage],
    now: time_machine.Traveller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.EMAIL_BACKEND = DOWN
    ask(employee)
    assert [errands.do_waiting(), errands.do_waiting()] == [1, 0]
    assert "The errand reset failed, try 1 of 5." in caplog.text
    settings.EMAIL_BACKEND = IN_MEMORY
    now.shift(FIRST_PAUSE)
    assert errands.do_waiting() == 1
    (message,) = mailoutbox
    token = str(message.body).partition("/password/reset/")[2].split()[0]
    assert tokens.find(token, Purpose.RESET)
    assert token not in caplog.text


def test_it_is_given_up_in_the_end(
    employee: User, settings: Settings, now: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = DOWN
    ask(employee)
    for _ in range(MAX_TRIES + 1):
        errands.do_waiting()
        now.shift(dt.timedelta(days=1))
    assert caplog.text.count("The errand reset failed") == MAX_TRIES
    assert not Errand.objects.exists()


def test_a_mail_server_that_is_gone_costs_few_errands_a_try(
    make_user: MakeUser,
    settings: Settings,
    mailoutbox: list[EmailMessage],
    now: time_machine.Traveller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A try takes until the time-out, and a thousand mails would have used theirs up by when it is back."""
    works = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = DOWN
    for _ in range(8):
        errands.leave(Kind.LOCKED, user=make_user().pk)
    call_command("housekeeping")
    assert list(Errand.objects.order_by("pk").values_list("tries", flat=True)) == [1, 1, 1, 1, 1, 0, 0, 0]
    assert "5 errands in a row failed: the others wait." in caplog.text
    settings.EMAIL_BACKEND = works
    now.shift(FIRST_PAUSE)
    call_command("housekeeping")
    assert len(mailoutbox) == 8


def test_one_that_nobody_knows_keeps_no_other_from_being_done(
    employee: User, mailoutbox: list[EmailMessage], now: time_machine.Traveller
) -> None:
    Errand.objects.create(kind="of tomorrow", details={})
    ask(employee)
    assert errands.do_waiting() == 2
    assert len(mailoutbox) == 1


def test_what_was_just_left_is_done_first(
    client: Client, employee: User, make_user: MakeUser, mailoutbox: list[EmailMessage]
) -> None:
    """However many wait from before, as after some minutes without a mail server: nobody waits for theirs."""
    others = [make_user() for _ in range(3)]
    for other in others:
        errands.leave(Kind.LOCKED, user=other.pk)
    assert client.post("/password/forgot", {"email": employee.email}).status_code == 303
    assert [message.to for message in mailoutbox] == [[employee.email], [others[0].email]]


def test_of_somebody_who_is_gone(mailoutbox: list[EmailMessage], now: time_machine.Traveller) -> None:
    errands.leave(Kind.LOCKED, user=-1)
    assert errands.do_waiting() == 1
    assert mailoutbox == []
    assert not Errand.objects.exists()


def test_housekeeping_clears_the_table_of_sessions_whatever_store_is_chosen(
    employee: User, now: time_machine.Traveller, request: pytest.FixtureRequest
) -> None:
    begin_session(employee, "Browser/1.0")
    request.getfixturevalue("dynamodb")
    call_command("housekeeping")
    assert Session.objects.count() == 1
    now.shift(dt.timedelta(hours=12))
    call_command("housekeeping")
    assert Session.objects.count() == 0


def test_housekeeping(
    employee: User,
    mailoutbox: list[EmailMessage],
    now: time_machine.Traveller,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens.issue(employee.pk, Purpose.RESET, 600)
    tokens.issue_code(employee.pk, Purpose.EMAIL, 600, {"email": "new@example.com"})
    ThrottleCounter.objects.create(key="x", hits=1, expires_at=NOW)
    now.shift(dt.timedelta(days=1, seconds=599))
    call_command("housekeeping")
    assert capsys.readouterr().out == "0 errands done; 0 links and codes, 1 counters removed\n"
    now.shift(dt.timedelta(seconds=2))
    for _ in range(21):
        errands.leave(Kind.LOCKED, user=employee.pk)
    call_command("housekeeping")
    assert capsys.readouterr().out == "21 errands done; 2 links and codes, 0 counters removed\n"
    assert len(mailoutbox) == 21
    assert not PasswordReset.objects.exists()
