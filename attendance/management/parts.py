"""One part of all tenants at a time, for as long as there is time: what a scheduler with short jobs needs."""

import dataclasses
import re
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Generic, Self, TypeVar

from django.core.management.base import CommandError, CommandParser
from django.db import Error as DatabaseFailure
from django.db import close_old_connections

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


def check(options: Mapping[str, Any]) -> None:
    """CommandError for what does not go together: whoever names a tenant means all of it."""
    if options["part"] and options["tenant"]:
        raise CommandError("Name a --tenant or a --part, not both.")
    if options["seconds"] is not None and not options["part"]:
        raise CommandError("--seconds goes with --part.")


class Round(Generic[Item]):
    """Those of a part, by name, one after the other until the time is over. Who fails stops no other.

    Each day they come in another order, so that nobody is the last each time. `failed` and `left` have the
    names of those with whom something went wrong, and of those to whom it did not come.
    """

    def __init__(self, items: Mapping[str, Item], options: Mapping[str, Any]) -> None:
        """Take --part, all of them without it, and --seconds from a command's options."""
        part = Part.parse(options["part"]) if options["part"] else Part(1, 1)
        today = clock.now().date().isoformat()
        self._items = items
        self._until = None if options["seconds"] is None else time.monotonic() + options["seconds"]
        self.failed: list[str] = []
        self.left = sorted(filter(part.has, items), key=lambda name: zlib.crc32(f"{today} {name}".encode()))

    def each(self, do: Callable[[Item], object], say: Callable[[str], object]) -> None:
        """Do something with each, as long as there is time; `say` what goes wrong and where it breaks off."""
        while self.left and (self._until is None or time.monotonic() < self._until):
            name = self.left.pop(0)
            try:
                do(self._items[name])
            except (DatabaseFailure, CommandError) as error:
                self.failed.append(name)
                say(f"{name}: {str(error).splitlines()[0]}")
                close_old_connections()  # the next one may have a better one
            except KeyboardInterrupt:
                say(f"Broken off at {name}. {self.problem()}".rstrip())
                raise

    def problem(self) -> str:
        """Say with whom it failed, and whom it did not come to; nothing if all went well."""
        said = [f"It failed with {', '.join(self.failed)}."] if self.failed else []
        if self.left:
            said.append(f"There was too little time. Not reached: {', '.join(self.left)}.")
        return " ".join(said)
