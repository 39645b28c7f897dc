"""Mails to people: plain text and HTML, in their language, sent once what they tell of is committed."""

import dataclasses
import logging
import math
import re
import time
from email.header import Header
from typing import Any, Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.template import Context, Engine
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.tokens import DIGITS

# The old application gave it to whoever had no address: nobody reads mail there.
PLACEHOLDER_DOMAIN = "@placeholder.local"

TRUSTED_SECONDS: Final = 60
PROBE_SECONDS: Final = 3
# When which mail server last answered, by the process's own clock.
_answered: dict[tuple[str, str, int], float] = {}

LINK: Final = re.compile(r"https?://\S+")
CODE: Final = re.compile(rf"\d{{{DIGITS}}}")

logger = logging.getLogger(__name__)


class MailError(Exception):
    """No mail can be sent at present."""


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """One of a mail's: text, a code on its own, or a link whose text says where it leads."""

    text: str
    link: str = ""
    is_code: bool = False


class Mail(EmailMultiAlternatives):
    """A mail whose subject begins on the line that it belongs to."""

    def message(self, *args: Any, **kwargs: Any) -> Any:
        """Fold the subject anew: Django leaves the first line of a long Japanese one empty."""
        built = super().message(*args, **kwargs)
        built.replace_header("Subject", Header(str(self.subject), header_name="Subject"))
        return built


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
    """Raise MailError if the mail server does not answer. One that did less than a minute ago is not asked.

    Called before anything is written that a mail has to tell of: then nothing is left half done. SES has no
    connection to open, so there it finds missing credentials only.
    """
    server = (settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT)
    if time.monotonic() < _answered.get(server, -math.inf) + TRUSTED_SECONDS:
        return
    try:
        connection = get_connection(timeout=PROBE_SECONDS)
        connection.open()
        connection.close()
    except Exception as error:  # each backend has errors of its own
        logger.error("The mail server does not answer: %s", error)
        raise MailError from error
    _answered[server] = time.monotonic()


def send(to: User | str, template: str, context: dict[str, object], language: str | None = None) -> None:
    """Send templates/accounts/mail/<template>.txt, whose first line is the subject, after the commit.

    `language` is the recipient's, unless given. Nothing goes to an address that the old application made
    up. A failure is logged: by then there is nobody left to tell, so ask `require_server` before.
    """
    message = compose(to, template, context, language)
    if message is not None:
        transaction.on_commit(lambda: _send(message, template))


def compose(
    to: User | str, template: str, context: dict[str, object], language: str | None = None
) -> Mail | None:
    """Return a mail as `send` sends it; None to an address that the old application made up."""
    address = to.email if isinstance(to, User) else to
    if is_placeholder(address):
        return None
    if language is None and isinstance(to, User):
        language = language_of(to)
    return render(address, template, context, language, to.display_name if isinstance(to, User) else "")


def render(
    address: str, template: str, context: dict[str, object], language: str | None = None, name: str = ""
) -> Mail:
    """Return the mail, unsent.

    It greets `name`: for an address that may be somebody else's leave it out, for people name themselves
    what they like.
    """
    with translation.override(language or translation.get_language() or settings.LANGUAGE_CODE):
        subject, _newline, body = _plain(template, context).partition("\n")
        frame: dict[str, object] = {
            "subject": subject,
            "name": " ".join(name.split()),
            "body": body.strip(),
            "paragraphs": [_paragraph(text) for text in body.strip().split("\n\n")],
            "site": settings.APP_BASE_URL,
        }
        text = _plain("message", frame) + "\n"
        html = render_to_string("accounts/mail/message.html", frame)
        full_subject = _("Time clock: %(subject)s") % {"subject": subject}
    # Lets no machine answer (RFC 3834).
    headers = {"Auto-Submitted": "auto-generated"}
    message = Mail(full_subject, text, to=[address], headers=headers)
    message.attach_alternative(html, "text/html")
    return message


def _plain(template: str, context: dict[str, object]) -> str:
    # Not HTML: a name with an ampersand stays as it is.
    found = Engine.get_default().get_template(f"accounts/mail/{template}.txt")
    return found.render(Context(context, autoescape=False)).strip()


def _paragraph(text: str) -> Paragraph:
    """Read a paragraph: a line that is a link belongs to the line above it."""
    label, _newline, last = text.rpartition("\n")
    if LINK.fullmatch(last):
        return Paragraph(label, link=last)
    return Paragraph(text, is_code=CODE.fullmatch(text) is not None)


def _send(message: Mail, template: str) -> None:
    try:
        message.send()
    except Exception:  # whatever it is, what was committed is not undone by it
        # Without the mail's text: it carries links and codes.
        logger.exception("The mail %s could not be sent.", template)
