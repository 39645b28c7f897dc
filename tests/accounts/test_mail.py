import email
import email.policy
import re

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


EVERY_MAIL = pytest.mark.parametrize(
    ("template", "context"),
    {
        "reset": {"link": LINK},
        "password_changed": {"forgot": LINK},
        "email_code": {"code": "048213"},
        "email_taken": {"sign_in": LINK},
        "email_changed": {"email": "hanako@example.net"},
        "locked": {"forgot": LINK},
        "welcome": {"email": "hanako@example.net", "sign_in": LINK},
    }.items(),
)

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
    ("language", "subject", "heading", "greeting"),
    [
        (
            "ja",
            "【タイムレコード】パスワード再設定のご案内",
            "パスワード再設定のご案内",
            "佐藤 花子 様",
        ),
        ("en", "Time clock: reset your password", "Reset your password", "Hello 佐藤 花子,"),
    ],
)
def test_in_the_language_of_whom_it_is_for_as_text_and_html(
    language: str, subject: str, heading: str, greeting: str
) -> None:
    message = mail.render("a@example.com", "reset", {"link": LINK, "minutes": 10}, language, "佐藤 花子")
    assert message.subject == subject
    assert message.to == ["a@example.com"]
    assert str(message.body).startswith(f"{greeting}\n\n")
    assert f"\n{LINK}\n" in str(message.body)
    assert "\n\n\n" not in message.body
    html = html_of(message)
    assert html.count(f'<a href="{LINK}"') == 2  # a button, and the link to be read or copied
    assert f">{LINK}</a>" in html
    assert f'<html lang="{language}">' in html
    assert f">{heading}</h1>" in html
    assert greeting in html


def html_of(message: mail.Mail) -> str:
    (alternative,) = message.alternatives
    return str(alternative[0])


@EVERY_MAIL
@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_mail_says_whose_it_is_and_that_no_machine_need_answer(
    settings: Settings, template: str, context: dict[str, object], language: str
) -> None:
    settings.APP_BASE_URL = "https://time.example.com"
    message = mail.render("a@example.com", template, context, language)
    service, ending = {
        "ja": ("タイムレコード", "このメールは自動送信です。ご返信いただいてもお答えできません。"),
        "en": ("Time clock", "This is an automatic message; please do not reply."),
    }[language]
    assert message.subject.startswith({"ja": "【タイムレコード】", "en": "Time clock: "}[language])
    assert str(message.body).endswith(f"\n{service}\nhttps://time.example.com\n{ending}\n")
    assert ending in html_of(message)
    assert message.message()["Auto-Submitted"] == "auto-generated"


@EVERY_MAIL
@pytest.mark.parametrize("language", ["ja", "en"])
def test_what_is_shown_on_a_locked_screen_is_on_one_line_and_no_secret(
    template: str, context: dict[str, object], language: str
) -> None:
    message = mail.render("a@example.com", template, context, language)
    raw = message.message().as_bytes().decode()
    assert "\nSubject: \n" not in raw
    (first,) = [line for line in raw.splitlines() if line.startswith("Subject: ")]
    assert len(first) <= 78
    read = email.message_from_string(raw, policy=email.policy.default)
    assert read["Subject"] == message.subject
    assert not any(str(secret) in message.subject for secret in context.values())


def test_a_code_stands_out(employee: User) -> None:
    message = mail.render("a@example.com", "email_code", {"code": "048213", "minutes": 10}, "ja")
    assert "\n\n048213\n\n" in str(message.body)
    assert re.search(r"<p style=\"[^>]*font-size: 1.75rem[^>]*>048213</p>", html_of(message))


def test_an_address_that_may_be_somebody_elses_is_told_no_name(employee: User) -> None:
    context: dict[str, object] = {"code": "048213", "minutes": 10}
    to_them = mail.compose(employee, "email_code", context)
    to_an_address = mail.compose("somebody@example.com", "email_code", context)
    assert to_them
    assert to_an_address
    assert employee.display_name in str(to_them.body)
    assert employee.display_name not in str(to_an_address.body)


def test_a_name_stays_on_its_line(make_user: MakeUser) -> None:
    message = mail.compose(
        make_user(last_name="佐藤\n\nhttp://evil.example", first_name="<b>"), "locked", {"minutes": 15}, "ja"
    )
    assert message
    assert str(message.body).startswith("佐藤 http://evil.example <b> 様\n\n")
    assert "<b>" not in html_of(message)
    assert 'href="http://evil.example' not in html_of(message)


def test_text_stays_text_and_html_is_escaped() -> None:
    message = mail.render("a@example.com", "email_changed", {"email": "a&b<c>@example.com"}, "en")
    assert "a&b<c>@example.com" in message.body
    assert "a&amp;b&lt;c&gt;@example.com" in html_of(message)


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
