"""Which of one user's old work sessions can stand beside each other: pure arithmetic."""

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from attendance.legacy.rows import Reason
from attendance.legacy.values import Code


class Span(NamedTuple):
    """A work session: instants in microseconds since 1970 (UTC), no end while it is running."""

    id: int
    start: int
    end: int | None


def refusals(candidates: Iterable[Span], present: Sequence[Span]) -> Iterator[tuple[int, Reason]]:
    """Yield the candidates that break the rule of one user's sessions, each with the reason.

    The rule: no two overlap, half-open; one of zero length takes no time; at most one is running, and
    nothing ends after its start. `present` are the user's sessions that the new database already holds.

    Of closed ones the earlier start wins, then the lower id. The open one that starts last goes on
    running unless a session ends after its start; every other open one has an end that nobody knows.
    """
    spans = sorted(candidates, key=lambda span: (span.start, span.id))
    taken = sorted((span for span in present if span.end is None or span.end > span.start), key=_by_start)
    starts = [span.start for span in taken]
    last: Span | None = None
    last_end = -math.inf
    for span in spans:
        if span.end is None or span.end == span.start:
            continue
        if last is not None and span.start < last_end:
            yield span.id, Reason(Code.OVERLAP, f"overlaps with work session {last.id}")
            continue
        before = bisect.bisect_left(starts, span.end)
        if before and _end(taken[before - 1]) > span.start:
            yield span.id, Reason(Code.OVERLAP, f"overlaps with {_there(taken[before - 1])}")
            continue
        last, last_end = span, span.end
    opened = [span for span in spans if span.end is None]
    for span, following in itertools.pairwise(opened):
        text = f"has no end, and work session {following.id}, also open, starts after it: its end is unknown"
        yield span.id, Reason(Code.OPEN_NOT_LAST, text)
    if opened:
        running = opened[-1]
        latest = max(taken, key=_end, default=None)
        if last_end > running.start and last is not None:
            text = f"has no end, and work session {last.id} ends after its start: its end is unknown"
            yield running.id, Reason(Code.OPEN_NOT_LAST, text)
        elif latest is not None and _end(latest) > running.start:
            text = f"has no end, and {_there(latest)} ends after its start or is running"
            yield running.id, Reason(Code.OPEN_NOT_LAST, text)


def _by_start(span: Span) -> tuple[int, int]:
    return span.start, span.id


def _end(span: Span) -> float:
    return math.inf if span.end is None else span.end


def _there(span: Span) -> str:
    return f"work session {span.id} of the new database"
