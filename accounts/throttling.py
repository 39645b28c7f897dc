"""How often somebody may try something: counted in PostgreSQL, which all instances share.

docs/adr/0010-accounts.md says what is limited, and why not in a cache.
"""

import datetime as dt
import ipaddress
import logging
import math

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import F
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from accounts.models import ThrottleCounter
from tenants import scope
from timerecord.core import clock

CLEARED_AT_ONCE = 20
NETWORK_BITS, SITE_BITS = 64, 48
# A hit by somebody over the limit writes nothing. The first of a while makes the row, or begins it anew.
COUNT = """
    INSERT INTO throttle_counters AS kept (key, hits, expires_at) VALUES (%(key)s, %(times)s, %(end)s)
    ON CONFLICT (key) DO UPDATE SET
        hits = CASE WHEN kept.expires_at <= %(now)s THEN 0 ELSE kept.hits END + excluded.hits,
        expires_at = CASE WHEN kept.expires_at <= %(now)s THEN excluded.expires_at ELSE kept.expires_at END
    WHERE kept.expires_at <= %(now)s OR kept.hits + excluded.hits <= %(limit)s
    RETURNING hits
"""
# Waits for nobody: two that wait for each other's rows would be a deadlock.
CLEAR = """
    DELETE FROM throttle_counters WHERE key IN (
        SELECT key FROM throttle_counters WHERE expires_at < %s
        ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
    )
"""


logger = logging.getLogger(__name__)


class TooManyError(Exception):
    """Something was tried too often. `seconds` until it may be tried again, at least 1."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many attempts; again in {seconds} s")
        self.seconds = seconds


def hit(what: str, key: str | None, *, limit: int, seconds: int, times: int = 1) -> bool:
    """Count one try of `what` by `key`, or several; whether all are within so many in so many seconds.

    None is nobody in particular, and not counted: one key for all would let one keep out all others.

    The while begins with the first try. Exact however many try at once, on whatever instance. It is
    committed at once, so nothing that fails later takes it back; inside a transaction, with that one: so
    call it before one begins. The key, an address of a person or a machine, is stored as an HMAC only.
    """
    if key is None or times < 1:
        return True
    if times > limit:
        return False
    now = clock.now()
    end = now + dt.timedelta(seconds=seconds)
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT, {"key": _key(what, key), "now": now, "end": end, "limit": limit, "times": times}
        )
        counted = cursor.fetchone()
        # Each row that may be new clears away some that are of no use any more. Not in a scope, whose
        # transaction would keep them from whoever counts anew on them until it ends.
        if counted == (times,) and not scope.is_named():
            _clear_some(cursor)
    return counted is not None


def clear() -> int:
    """Remove all counters that are over; return how many there were."""
    removed = 0
    with connection.cursor() as cursor:
        while some := _clear_some(cursor):
            removed += some
    return removed


def take_back(what: str, key: str | None) -> None:
    """Uncount one try: it turned out to be none that is limited."""
    if key is None:
        return
    ThrottleCounter.objects.filter(key=_key(what, key), hits__gt=0).update(hits=F("hits") - 1)


def seconds_left(what: str, key: str | None) -> int:
    """Return the seconds until the count of `what` by `key` begins anew, rounded up, at least 1."""
    if key is None:
        return 1
    ends = ThrottleCounter.objects.filter(key=_key(what, key)).values_list("expires_at", flat=True).first()
    return max(1, math.ceil((ends - clock.now()).total_seconds())) if ends else 1


def client_key(request: HttpRequest) -> str | None:
    """Return whom to count a request to: the network address that the connection came from.

    None, and an error in the log, where what runs the process does not tell: then nobody is counted.

    Never what a header says, which anybody can forge: what runs the process puts the true address into
    REMOTE_ADDR. Of IPv6 the first 64 bits, for one machine has all the rest.
    """
    given = request.META.get("REMOTE_ADDR", "")
    try:
        address = ipaddress.ip_address(given.partition("%")[0])
    except ValueError:
        logger.error(
            "REMOTE_ADDR is %r, no address: tries cannot be limited by network. See docs/configuration.md.",
            given,
        )
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, NETWORK_BITS), strict=False))
        address = address.ipv4_mapped
    return str(address)


def site_key(client: str | None) -> str | None:
    """Return whom to count a client to where one site must not count as many: of IPv6 the first 48 bits.

    That much a provider gives to one customer at most; a home has 256 or 65,536 of what `client_key` returns.
    """
    if client is None or ":" not in client:
        return client
    return str(ipaddress.IPv6Network(client).supernet(new_prefix=SITE_BITS))


def _clear_some(cursor: CursorWrapper) -> int:
    cursor.execute(CLEAR, [clock.now(), CLEARED_AT_ONCE])
    return int(cursor.rowcount)


def _key(what: str, key: str) -> str:
    return salted_hmac("accounts.throttling", f"{what}\n{key}", algorithm="sha256").hexdigest()
