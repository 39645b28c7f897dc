"""What is done for somebody once nobody waits for an answer: how long it takes, no answer tells.

An errand is left in PostgreSQL with the work of the request, so it is neither lost nor done for what was
rolled back. It is done after the answer where the process lives on, else by `manage.py housekeeping`.
What fails, as when the mail server does not answer, is tried again. docs/adr/0010-accounts.md.
"""

import datetime as dt
import enum
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import BooleanField, ExpressionWrapper, OrderBy, Q
from django.http import HttpRequest
from django.utils.module_loading import import_string

from accounts.models import Errand
from tenants import scope
from timerecord.core import clock
from timerecord.core.afterwards import after_answer

MAX_TRIES: Final = 5
# The first pause is longer than a try takes, for it is also what keeps others from trying meanwhile.
FIRST_PAUSE: Final = dt.timedelta(minutes=5)
# One's own, and one that was left over: nobody's errand keeps the thread from the next one's for long.
AFTER_ONE_ANSWER: Final = 2
# As when the mail server is gone: each further one would take its time-out, and one of its tries.
FAILURES_IN_A_ROW: Final = 5

logger = logging.getLogger(__name__)


class Kind(enum.StrEnum):
    """What is to be done; at most 16 characters."""

    RESET = "reset"
    LOCKED = "locked"
    WELCOME = "welcome"
    INVITATION = "invitation"


# Gets the details. The mail that comes of it is sent at once.
Doer = Callable[[dict[str, Any]], EmailMessage | None]
DOERS: Final = {
    Kind.RESET: "accounts.account_actions.reset_mail",
    Kind.LOCKED: "accounts.actions.locked_mail",
    Kind.WELCOME: "accounts.account_actions.welcome_mail",
    Kind.INVITATION: "accounts.people.invitation_mail",
}
OLDEST_FIRST: Final = (
    OrderBy(ExpressionWrapper(Q(kind=Kind.INVITATION), output_field=BooleanField())),
    "due_at",
    "pk",
)


def leave(kind: Kind, **details: Any) -> None:
    """Leave an errand with the caller's transaction, whose scope reaches all."""
    leave_all(kind, [details])


def leave_all(kind: Kind, details: Iterable[dict[str, Any]]) -> None:
    """Leave an errand for each of these, in one statement."""
    Errand.objects.bulk_create(Errand(kind=kind, details=each) for each in details)


def soon(request: HttpRequest | None, most: int = AFTER_ONE_ANSWER) -> None:
    """Do what waits after the answer to this request, unless the settings leave it to `housekeeping`."""
    if settings.ERRANDS_AFTER_ANSWER:
        after_answer(request, lambda: do_waiting(most, newest_first=True))


def do_waiting(most: int | None = None, *, newest_first: bool = False) -> int:
    """Do what is due, the oldest first, all of it or so many errands; return how many were tried.

    Invitations come last: a thousand of them, good for days, hold up no link that is good for minutes.

    With `newest_first` one is the last that was left: where each that leaves one does so, each of theirs is
    done by one of them, however many wait from before.

    What fails is logged, and tried again up to MAX_TRIES times, after longer and longer pauses; after some
    failures in a row, the others are left for later. Any number may do so at once: each errand is one's at a
    time.
    """
    tried = failures = 0
    while tried != most and failures < FAILURES_IN_A_ROW:
        errand = _claim(by=("-pk",) if newest_first and not tried else OLDEST_FIRST)
        if errand is None:
            return tried
        tried += 1
        failures = 0 if _do(errand) else failures + 1
    if failures == FAILURES_IN_A_ROW:
        logger.error("%s errands in a row failed: the others wait.", failures)
    return tried


def _claim(by: Sequence[str | OrderBy]) -> Errand | None:
    now = clock.now()
    with scope.everything("what waits to be done for somebody"):
        due = Errand.objects.select_for_update(skip_locked=True).filter(due_at__lte=now)
        errand = due.order_by(*by).first()
        if errand is not None:
            errand.due_at = now + FIRST_PAUSE * 2**errand.tries
            errand.tries += 1
            errand.save(update_fields=["tries", "due_at"])
        return errand


def _do(errand: Errand) -> bool:
    """Do one, and say whether it is done."""
    is_done = False
    try:
        doer: Doer = import_string(DOERS[Kind(errand.kind)])
        message = doer(errand.details)
        if message is not None:
            message.send()
        is_done = True
    except Exception:
        # Without the mail's text: it carries a link.
        logger.exception("The errand %s failed, try %s of %s.", errand.kind, errand.tries, MAX_TRIES)
        if errand.tries < MAX_TRIES:
            return False
    with scope.everything("what was done for somebody"):
        Errand.objects.filter(pk=errand.pk).delete()
    return is_done
