"""What is in the cells of a file: kinds of values, and texts that fit."""

import contextlib
import dataclasses
import datetime as dt
import io
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import IO, Final

DAY_MINUTES: Final = 24 * 60
CELLS: Final = 4096  # different ones that are kept in memory as they are written
JOINERS: Final = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"  # seen by the letters beside them
INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
NO_XML: Final = frozenset("\ufffe\uffff")


class Clock(int):
    """A time of day: the minutes after midnight, 1440 at the day's end."""


class Hours(int):
    """Whole minutes, to be shown as hours and minutes."""


@dataclasses.dataclass(frozen=True)
class Formula:
    """What a cell computes, and the result of it, which is shown as a kind of value."""

    text: str
    kind: type
    result: float


Value = str | dt.date | int | None
Row = Sequence[Value]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column: its title in the active language, and its width in characters."""

    title: Callable[[], str]
    width: int


def date_text(day: dt.date) -> str:
    """Return a date as it stands in a text: 2026/11/23."""
    return f"{day.year:04}/{day.month:02}/{day.day:02}"


@lru_cache(maxsize=1024)
def one_line(text: str) -> str:
    """Return a text without what cannot be seen, one space for each gap, none at its ends.

    A tab could begin a formula, other control characters are no XML, and marks of direction turn names round.
    """
    return " ".join("".join(filter(_is_kept, word)) for word in text.split()).strip()


def _is_kept(letter: str) -> bool:
    if letter in NO_XML:
        return False
    return letter in JOINERS or unicodedata.category(letter) not in INVISIBLE


@contextlib.contextmanager
def new_file() -> Iterator[IO[bytes]]:
    """Yield a file without a name, which stays open for whoever sends it, unless writing fails."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 whoever sends it closes it
    try:
        yield file
    except BaseException:
        file.close()
        raise


def rewound(file: IO[bytes]) -> int:
    """Go back to the beginning; return the size in bytes."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
