"""The maintenance handler, of which the event `{"interrupted": true}` asks what no event of Lambda's does."""

from typing import Any
from unittest import mock

from timerecord import maintenance_handler

__all__ = ["handler"]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Carry out an event; or be out of time where a transaction of its command begins."""
    if not event.pop("interrupted", False):
        return maintenance_handler.handler(event, context)
    from tests.aws_lambda.urls import stand_at_the_edge  # once Django is set up

    # A timer that ends just there cannot be set.
    with mock.patch.object(maintenance_handler, "call_command", stand_at_the_edge):
        return maintenance_handler.handler(event, context)
