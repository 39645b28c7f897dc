"""Mails to people: plain text and HTML, in their language, sent once what they tell of is committed."""

import logging
import smtplib

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.template import Context, Engine
from django.template.loader import render_to_string
from django.utils import translation

from accounts.models import User

# The old application gave it to whoever had no address: nobody reads mail there.
PLACEHOLDER_DOMAIN = "@placeholder.local"

logger = logging.getLogger(__name__)


class MailError(Exception):
    """No mail can be sent at present."""


def is_placeholder(address: str) -> bool:
    """Whether an address was made up by the old application, so that nobody has it."""
    return address.lower().endswith(PLACEHOLDER_DOMAIN)


def language_of(user: User) -> str:
    """Return the language to write to somebody in: what they chose, else that of the page."""
    return user.language or translation.get_language() or settings.LANGUAGE_CODE


def link(path: str) -> str:
    """Return the full address of a page of ours. The host is the settings', whatever the request named."""
    return f"{settings.APP_BASE_URL}{path}"


def require_server() -> None:
    """Raise MailError if the mail server does not answer.

    Called before anything is written that a mail has to tell of: then nothing is left half done.
    """
    try:
        connection = get_connection()
        connection.open()
        connection.close()
    except (OSError, smtplib.SMTPException) as error:
        logger.error("The mail server does not answer: %s", error)
        raise MailError from error


def send(to: User | str, template: str, context: dict[str, object], language: str | None = None) -> None:
    """Send templates/accounts/mail/<template>.txt, whose first line is the subject, after the commit.

    `language` is the recipient's, unless given. Nothing goes to an address that the old application made
    up. A failure is logged: by then there is nobody left to tell, so ask `require_server` before.
    """
    address = to.email if isinstance(to, User) else to
    if is_placeholder(address):
        return
    message = render(
        address, template, context, language or (language_of(to) if isinstance(to, User) else None)
    )
    transaction.on_commit(lambda: _send(message, template))


def render(
    address: str, template: str, context: dict[str, object], language: str | None = None
) -> EmailMultiAlternatives:
    """Return the mail, unsent."""
    with translation.override(language or translation.get_language() or settings.LANGUAGE_CODE):
        # Not HTML: a name with an ampersand stays as it is.
        plain = Engine.get_default().get_template(f"accounts/mail/{template}.txt")
        text = plain.render(Context(context, autoescape=False))
        subject, _newline, body = text.strip().partition("\n")
        body = body.strip() + "\n"
        html = render_to_string("accounts/mail/message.html", {"subject": subject.strip(), "body": body})
    message = EmailMultiAlternatives(subject.strip(), body, to=[address])
    message.attach_alternative(html, "text/html")
    return message


def _send(message: EmailMultiAlternatives, template: str) -> None:
    try:
        message.send()
    except Exception:  # whatever it is, what was committed is not undone by it
        # Without the mail's text: it carries links and codes.
        logger.exception("The mail %s could not be sent.", template)
