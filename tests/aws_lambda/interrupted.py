"""The maintenance handler, of which an event with `interrupted` asks what no event of Lambda's does."""

import signal
from typing import Any
from unittest import mock

from timerecord import maintenance_handler  # isort: split

from attendance import retention

__all__ = ["handler"]

PURGE = retention.purge


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Carry out an event; or be out of time where a transaction of its command begins, or after a tenant."""
    match event.pop("interrupted", False):
        case False:
            return maintenance_handler.handler(event, context)
        case "after a tenant":
            with mock.patch.object(retention, "purge", purge_and_be_out_of_time):
                return maintenance_handler.handler(event, context)
    from tests.aws_lambda.urls import stand_at_the_edge  # once Django is set up

    # A timer that ends just there cannot be set.
    with mock.patch.object(maintenance_handler, "call_command", stand_at_the_edge):
        return maintenance_handler.handler(event, context)


def purge_and_be_out_of_time(*given: Any, **named: Any) -> retention.Amount:
    """Remove what is old of somebody who has that, and be out of time then."""
    amount = PURGE(*given, **named)
    if amount.is_any():
        signal.raise_signal(signal.SIGALRM)
    return amount
