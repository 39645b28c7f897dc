import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts import mail
from accounts.models import User
from tests.conftest import MakeUser

LINK = "https://time.example.com/password/reset/abc"


class Down(BaseEmailBackend):
    """A mail server that does not answer."""

    def open(self) -> bool:
        raise ConnectionRefusedError("no answer")

    def send_messages(self, messages: object) -> int:
        raise ConnectionRefusedError("no answer")


class Misconfigured(BaseEmailBackend):
    """One whose settings contradict each other, as Django's SMTP backend says it."""

    def open(self) -> bool:
        raise ValueError("EMAIL_USE_TLS and EMAIL_USE_SSL are mutually exclusive")


class Counting(BaseEmailBackend):
    """One that counts how often it is opened."""

    opened = 0

    def open(self) -> bool:
        Counting.opened += 1
        return True


DOWN, MISCONFIGURED, COUNTING = (f"{__name__}.{name}" for name in ("Down", "Misconfigured", "Counting"))


def test_it_is_sent_after_the_commit_and_not_without(
    employee: User,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        mail.send(employee, "reset", {"link": LINK, "minutes": 10})
        assert mailoutbox == []
    assert len(mailoutbox) == 1
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        mail.send(employee, "reset", {"link": LINK, "minutes": 10})
        transaction.set_rollback(True)
    assert len(mailoutbox) == 1


@pytest.mark.parametrize(
    ("language", "subject"), [("ja", "新しいパスワードの設定"), ("en", "Choose a new password")]
)
def test_in_the_language_of_whom_it_is_for_as_text_and_html(language: str, subject: str) -> None:
    message = mail.render("a@example.com", "reset", {"link": LINK, "minutes": 10}, language)
    assert message.subject == subject
    assert message.to == ["a@example.com"]
    assert LINK in message.body
    assert "\n\n\n" not in message.body
    (alternative,) = message.alternatives
    html = str(alternative[0])
    assert f'<a href="{LINK}"' in html
    assert f'<html lang="{language}">' in html


def test_text_stays_text_and_html_is_escaped() -> None:
    message = mail.render("a@example.com", "email_changed", {"email": "a&b<c>@example.com"}, "en")
    assert "a&b<c>@example.com" in message.body
    (alternative,) = message.alternatives
    assert "a&amp;b&lt;c&gt;@example.com" in str(alternative[0])


def test_nobody_is_written_to_at_an_address_that_was_made_up(
    make_user: MakeUser,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        mail.send(make_user(email="7@placeholder.local"), "password_changed", {"forgot": LINK})
    assert mailoutbox == []


def test_a_server_that_does_not_answer_is_found_out_before_anything_is_done(
    settings: Settings,
) -> None:
    mail.require_server()
    for broken in (DOWN, MISCONFIGURED):
        settings.EMAIL_BACKEND = broken
        with pytest.raises(mail.MailError):
            mail.require_server()


def test_one_that_answered_just_before_is_not_asked_again(settings: Settings) -> None:
    settings.EMAIL_BACKEND = COUNTING
    for _ in range(3):
        mail.require_server()
    assert Counting.opened == 1


def test_a_mail_that_fails_after_the_commit_is_logged_without_its_text(
    employee: User,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    settings.EMAIL_BACKEND = DOWN
    with django_capture_on_commit_callbacks(execute=True):
        mail.send(employee, "reset", {"link": LINK, "minutes": 10})
    assert "The mail reset could not be sent." in caplog.text
    assert LINK not in caplog.text


def test_links_lead_to_the_address_of_the_settings(settings: Settings) -> None:
    settings.APP_BASE_URL = "https://time.example.com"
    assert mail.link("/sign-in") == "https://time.example.com/sign-in"
