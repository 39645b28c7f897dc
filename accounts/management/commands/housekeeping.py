"""The command that does what waits, and clears away what is over."""

import datetime as dt
from typing import Any, Final

from django.core.management.base import BaseCommand

from accounts import errands, throttling
from accounts.models import PasswordReset
from accounts.session_store import DatabaseDriver
from tenants import scope
from timerecord.core import clock, sessions

# Whoever follows a link of yesterday still reads why it is no good.
TOKENS_KEPT: Final = dt.timedelta(days=1)
AT_ONCE: Final = 1000


class Command(BaseCommand):
    """Do the errands that wait; remove links, codes, counters and sessions that are over."""

    help = (
        "Do the errands that wait, such as mails with a link to a new password, and remove links, codes, "
        "counters and sessions that are over. To be run each minute where ERRANDS_AFTER_ANSWER is false, "
        "else each hour. Any number may run at once."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Say what was done."""
        done = errands.do_waiting()
        tokens = _clear_tokens()
        counters = throttling.clear()
        sessions.driver().clear_expired()
        DatabaseDriver().clear_expired()  # also those from before another store was chosen
        self.stdout.write(f"{done} errands done; {tokens} links and codes, {counters} counters removed")


def _clear_tokens() -> int:
    """Remove what expired a day ago, in batches; return how many there were."""
    over = clock.now() - TOKENS_KEPT
    removed = 0
    while True:
        with scope.everything("links and codes that are over"):
            some = PasswordReset.objects.in_scope().filter(expires_at__lt=over).values("pk")[:AT_ONCE]
            number, _by_model = PasswordReset.objects.in_scope().filter(pk__in=some).delete()
        removed += number
        if number < AT_ONCE:
            return removed
