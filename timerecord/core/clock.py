"""The only source of the present."""

import datetime as dt


def now() -> dt.datetime:
    """Return this moment by the server's clock: aware, UTC, to the microsecond."""
    return dt.datetime.now(dt.UTC)
