import math
import signal
import sys
import threading
import time

import pytest

from timerecord.core.time_limit import OutOfTimeError, time_limit

ALARM = {signal.SIGALRM}


def work_for(seconds: float) -> int:
    """Work without a wait, in which each error is passed over."""
    end, steps = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        try:
            steps += 1
        except Exception:  # what no longer takes this for an error of its own
            steps -= 1
    return steps


def test_it_ends_what_takes_longer_whatever_that_passes_over() -> None:
    started = time.monotonic()
    with pytest.raises(OutOfTimeError), time_limit(0.05):
        work_for(60)
    assert time.monotonic() - started < 30


def test_it_ends_a_wait() -> None:
    with pytest.raises(OutOfTimeError), time_limit(0.05):
        threading.Event().wait(60)


def test_it_is_no_exception_that_a_handler_of_errors_takes() -> None:
    assert not issubclass(OutOfTimeError, Exception)


def test_nothing_is_left_of_one_that_was_kept() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_nothing_is_left_of_one_that_was_over() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(OutOfTimeError), time_limit(0):
        work_for(60)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_without_an_end_there_is_no_alarm() -> None:
    with time_limit(math.inf):
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_what_python_swallows_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an exception in a destructor Python tells a hook, and goes on."""
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told_of: told.append(told_of.exc_value))

    class Slow:
        def __del__(self) -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ALARM)  # it falls here, and nowhere before
            work_for(60)

    def lose_one() -> None:
        Slow()
        work_for(60)

    signal.pthread_sigmask(signal.SIG_BLOCK, ALARM)
    try:
        with pytest.raises(OutOfTimeError), time_limit(0.05):
            lose_one()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ALARM)
    assert [type(error) for error in told] == [OutOfTimeError]
