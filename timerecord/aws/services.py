"""The one botocore session of a process, from which the clients of all services are made. No Django here."""

import os
import threading
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from botocore.session import Session

# What a client tries at most.
ATTEMPTS: Final = 2
CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 2.0

_lock = threading.Lock()
_session: "Session | None" = None


def session() -> "Session":
    """Return the session: it finds credentials once for all clients, and reads their descriptions once."""
    global _session
    with _lock:
        if _session is None:
            _session = botocore.session.get_session()
        return _session


def client(
    service: str,
    *,
    region: str | None = None,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    attempts: int = ATTEMPTS,
    **more: Any,
) -> Any:
    """Return a new client of a service; each attempt ends after so many seconds.

    Unless it is named, the region is that of AWS_REGION; endpoint and credentials are found as botocore does:
    AWS_ENDPOINT_URL_*, the process's role. `more` is for botocore's Config.
    """
    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        **more,
    )
    region = region or os.environ.get("AWS_REGION")
    return session().create_client(service, region_name=region, config=config)


def forget() -> None:
    """Find everything anew for the clients that are made from now on, as after a snapshot was restored."""
    global _session
    with _lock:
        _session = None
