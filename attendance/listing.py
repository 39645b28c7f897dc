"""What pages with a long list have in common: an address that says what is shown, heads that order it."""

import dataclasses
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from timerecord.core.admin import Text

# An address that asks for a later page than this asks for the first.
DIGITS_OF_PAGES = 5
DIGITS_OF_IDS = 18


@dataclasses.dataclass(frozen=True)
class Head:
    """A column's head; with an address, the list can be ordered by it."""

    label: Text
    name: str
    url: str = ""
    order: str = ""  # as aria-sort has it


def page_number(said: str) -> int:
    """Return the page that an address asks for, from 1; the first for what is no number."""
    return int(said) if said.isascii() and said.isdigit() and len(said) <= DIGITS_OF_PAGES else 1


def row_id(said: str) -> int | None:
    """Return the id that an address names; None for what is none of a row."""
    return int(said) if said.isascii() and said.isdigit() and len(said) <= DIGITS_OF_IDS else None


class AskedList:
    """What the address of a page with a list asks for: mixed into a frozen dataclass with these fields."""

    sort: Any
    descending: bool

    @property
    def parameters(self) -> dict[str, str]:
        """What an address needs to ask for the same."""
        raise NotImplementedError

    def url(self, **changes: Any) -> str:
        """Return the address of the same page but for some of it; from its first page on."""
        replaced: AskedList = dataclasses.replace(self, **{"page": 1, **changes})  # type: ignore[type-var] # a mixin is no dataclass by itself
        return f"?{urlencode(replaced.parameters)}"

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """What the form to search with keeps."""
        return [(name, value) for name, value in self.parameters.items() if name not in ("q", "page")]

    def head(self, sort: StrEnum | str, label: Text, *, descending_at_first: bool) -> Head:
        """Return the head of a column by which the list can be ordered, one way and then the other."""
        is_chosen = self.sort is sort
        descending = not self.descending if is_chosen else descending_at_first
        order = ("descending" if self.descending else "ascending") if is_chosen else ""
        return Head(label, str(sort), self.url(sort=sort, descending=descending), order)
