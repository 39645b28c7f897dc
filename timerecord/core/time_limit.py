"""An end to what takes too long, on the one thread that a process answers with. Unix only."""

import contextlib
import math
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

SHORTEST: Final = 0.001  # 0 would take the alarm back
# Python loses an exception in a destructor: then there is another one. Long enough to clear away undisturbed.
AGAIN_SECONDS: Final = 1.0


class OutOfTimeError(KeyboardInterrupt):
    """The time is over.

    A KeyboardInterrupt, and so no Exception: no handler takes it for a fault that it can go on from, and
    psycopg cancels the query that it waits for before it passes it on.
    """


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError inside once the time is over, at the next step of Python; a wait for I/O ends.

    Works in the main thread alone (ValueError elsewhere), and not inside of another one of its kind. Without
    a limit that is finite, nothing is done.
    """
    if math.isinf(seconds):
        yield
        return
    before = signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, SHORTEST), AGAIN_SECONDS)
    try:
        try:
            yield
        finally:  # may itself be what the alarm interrupts: the next one is a second away
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _out_of_time(_number: int, _frame: FrameType | None) -> None:
    raise OutOfTimeError("the time is over")
