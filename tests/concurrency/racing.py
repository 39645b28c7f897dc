"""Runs functions at the same moment, in threads with a database connection each."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection, connections

SECONDS = 120  # nothing here takes that long

Result = TypeVar("Result")


def all_at_once(does: Sequence[Callable[[threading.Barrier], Result]]) -> list[Result]:
    """Run all of these, which meet at the barrier that they are given, and return what each returned."""
    barrier = threading.Barrier(len(does), timeout=SECONDS)

    def work(do: Callable[[threading.Barrier], Result]) -> Result:
        try:
            return do(barrier)
        except BaseException:
            barrier.abort()  # the others must not wait for this one
            raise
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(does)) as pool:
        return [done.result(SECONDS) for done in [pool.submit(work, do) for do in does]]


def at_once(do: Callable[[int], Result], times: int) -> list[Result]:
    """Run one function so many times, each with its number, connected beforehand."""

    def numbered(n: int) -> Callable[[threading.Barrier], Result]:
        def run(barrier: threading.Barrier) -> Result:
            connection.ensure_connection()
            barrier.wait()
            return do(n)

        return run

    return all_at_once([numbered(n) for n in range(times)])
