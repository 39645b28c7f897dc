"""What one part of a request leaves for another part of it."""

from typing import Generic, TypeVar

from django.http import HttpRequest

Value = TypeVar("Value")


class Note(Generic[Value]):
    """A note of one kind, on any request: an attribute of the request, whose type is known."""

    def __init__(self, name: str) -> None:
        self._name = f"_timerecord_{name}"

    def leave(self, request: HttpRequest, value: Value) -> None:
        """Leave it, in the place of an earlier one."""
        request.__dict__[self._name] = value

    def on(self, request: HttpRequest | None) -> Value | None:
        """Return what was left; None if nothing was, or without a request."""
        found: Value | None = getattr(request, self._name, None)
        return found
