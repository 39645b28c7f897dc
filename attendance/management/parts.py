"""One part of all tenants at a time, for as long as there is time: what a scheduler with short jobs needs."""

import dataclasses
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Self, TypeVar

from django.core.management.base import CommandError, CommandParser

from timerecord.core import clock

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Part:
    """One of so many parts; the first is 1. Whatever has a name is in one of them, and always in the same."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "3/20". CommandError for what is no part."""
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise CommandError(f"{text} is no part such as 3/20.")
        return cls(int(found[1]), int(found[2]))

    def has(self, name: str) -> bool:
        """Whether what is called so is in this part."""
        return zlib.crc32(name.encode()) % self.of == self.number - 1


def add_arguments(parser: CommandParser) -> None:
    """Declare --part and --seconds."""
    parser.add_argument("--part", metavar="K/N", help="only the K-th of N parts of the tenants")
    parser.add_argument(
        "--seconds", metavar="S", type=float, help="with --part: begin with no other tenant after S seconds"
    )


class Round(Generic[Item]):
    """Those of a part, by name, one after the other until the time is over.

    Each day they come in another order, so that whoever is left on one day is not on the next. `at` is whom
    it is at, and `left` who has not begun, by name.
    """

    def __init__(self, items: Mapping[str, Item], options: Mapping[str, Any]) -> None:
        """Take --part, all of them without it, and --seconds from a command's options."""
        part = Part.parse(options["part"]) if options["part"] else Part(1, 1)
        today = clock.now().date().isoformat()
        self._items = items
        self._until = time.monotonic() + options["seconds"] if options["seconds"] else None
        self.at: str | None = None
        self.left = sorted(filter(part.has, items), key=lambda name: zlib.crc32(f"{today} {name}".encode()))

    def __iter__(self) -> Iterator[Item]:
        """Yield each, as long as there is time."""
        while self.left and (self._until is None or time.monotonic() < self._until):
            self.at = self.left.pop(0)
            yield self._items[self.at]
        self.at = None

    def not_done(self) -> str:
        """Say whom it did not come to, and where it was broken off; nothing if it came to the end."""
        said = [f"Broken off at {self.at or 'the beginning'}."] if self.at is not None else []
        if self.left:
            said.append(f"Not reached: {', '.join(self.left)}.")
        return " ".join(said)
