"""Whose rows a transaction may see and change, and who is doing it.

Two barriers keep tenants apart. The first is in Python: querysets of a tenant's rows are cut down by
`in_scope()`, which fails without a scope. The second is PostgreSQL's row-level security: its policies read
the scope that this module says to it, for one transaction only. docs/adr/0008-tenant-isolation.md.
"""

import contextlib
import dataclasses
import enum
import hmac
import json
import logging
from collections.abc import Iterator
from contextvars import ContextVar, Token
from functools import lru_cache
from typing import Self

from django.conf import settings
from django.db import connection, transaction
from django.utils.crypto import salted_hmac

logger = logging.getLogger(__name__)

SAY = "SET LOCAL timerecord.scope = %s; SET LOCAL timerecord.seal = %s"


class NoScopeError(RuntimeError):
    """A tenant's rows were asked for, and nobody had said whose."""


class Reach(enum.StrEnum):
    """How far a scope goes."""

    OWN = "own"  # one user's own rows
    TENANT = "tenant"  # one tenant's
    PLATFORM = "platform"  # tenants, their admins, what was done to them: no employee, no work session
    SUPPORT = "support"  # one tenant's, to be read only, as long as a platform admin's access lasts
    ALL = "all"


class Door(enum.StrEnum):
    """Through what a change comes. The import's door belongs to its database role, not to a scope."""

    CLOCK = "clock"  # the employee's own pages
    ADMIN = "admin"
    COMMAND = "command"


@dataclasses.dataclass(frozen=True)
class Visitor:
    """Where a request comes from, for the audit trail: network address, and what the browser calls itself."""

    address: str | None = None
    device: str | None = None


NOBODY = Visitor()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose rows, who asks, through which door, from where and with what, and why."""

    reach: Reach
    door: Door
    tenant: int | None = None
    user: int | None = None
    address: str | None = None
    device: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """ValueError for a reach without what it reaches."""
        if self.reach is Reach.OWN and self.user is None:
            raise ValueError("a scope of one's own rows names the user")
        if self.reach in (Reach.TENANT, Reach.SUPPORT) and self.tenant is None:
            raise ValueError("a scope of a tenant's rows names the tenant")
        if self.reach in (Reach.PLATFORM, Reach.SUPPORT) and self.user is None:
            raise ValueError("a scope of the platform names the platform admin")
        if self.reach is Reach.ALL and not (self.reason and self.reason.strip()):
            raise ValueError("a scope of all tenants' rows names the reason")

    def replace(self, **changes: object) -> Self:
        """Return the same scope but for some fields."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


_current: ContextVar[Scope | None] = ContextVar("timerecord_scope", default=None)
# What none() hides. A transaction that is open all the while, as in a test, has been told it.
_hidden: ContextVar[Scope | None] = ContextVar("timerecord_hidden_scope", default=None)


def current() -> Scope:
    """Return the scope. NoScopeError without one."""
    scope = _current.get()
    if scope is None:
        raise NoScopeError("no scope: name one with tenants.scope before reading a tenant's rows")
    return scope


def is_named() -> bool:
    """Whether there is a scope, and so a transaction."""
    return _current.get() is not None


@contextlib.contextmanager
def enter(scope: Scope) -> Iterator[Scope]:
    """Do everything inside in one transaction, in this scope; inside another one, in a savepoint of its.

    PostgreSQL forgets the scope at the end of the transaction: the connection carries nothing on. What is
    left of a transaction that had begun before is in the scope that it had before, or in none.
    """
    if scope.reach is Reach.ALL:
        logger.info(
            "Scope widened to all tenants: %s",
            scope.reason,
            extra={"reason": scope.reason, "door": str(scope.door), "user": scope.user},
        )
    outer = _current.get() or _hidden.get()
    is_inner = connection.in_atomic_block
    with transaction.atomic():
        _say(scope)
        token = _current.set(scope)
        try:
            yield scope
        finally:
            _current.reset(token)
        # An exception rolls back to the scope before. Otherwise that is said again.
        if is_inner and not connection.needs_rollback:
            _say(outer)


@contextlib.contextmanager
def everything(
    reason: str, *, door: Door = Door.COMMAND, user: int | None = None, visitor: Visitor = NOBODY
) -> Iterator[Scope]:
    """Reach all tenants' rows, for a reason that is logged: signing in, platform work, commands."""
    wanted = Scope(
        reach=Reach.ALL, door=door, user=user, address=visitor.address, device=visitor.device, reason=reason
    )
    with enter(wanted) as scope:
        yield scope


@contextlib.contextmanager
def because(reason: str) -> Iterator[Scope]:
    """Give the reason for what is changed inside: the history keeps it."""
    with enter(current().replace(reason=reason)) as scope:
        yield scope


@contextlib.contextmanager
def none() -> Iterator[None]:
    """Begin without a scope, whatever the thread did before."""
    hidden = _hidden.set(_current.get() or _hidden.get())
    token: Token[Scope | None] = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)
        _hidden.reset(hidden)


def text_of(scope: Scope) -> str:
    """Return the scope as PostgreSQL is told it."""
    return json.dumps(dataclasses.asdict(scope), ensure_ascii=False, separators=(",", ":"))


def seal(text: str) -> str:
    """Return the seal without which PostgreSQL does not believe a scope: HMAC-SHA-256, in hexadecimal.

    SQL alone can name any scope, but cannot make its seal: whoever slips SQL into a statement stays in
    the scope that the request had.
    """
    return hmac.new(key(settings.SECRET_KEY), text.encode(), "sha256").hexdigest()


def keys() -> list[bytes]:
    """Return the keys whose seals PostgreSQL should believe: of the secret key, and of those before it."""
    return [key(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@lru_cache
def key(secret: str) -> bytes:
    """Return the key of the seals that follows from a secret key."""
    return salted_hmac("tenants.scope", "key of the seals", secret=secret, algorithm="sha256").digest()


def _say(scope: Scope | None) -> None:
    text = text_of(scope) if scope else ""
    with connection.cursor() as cursor:
        cursor.execute(SAY, [text, seal(text) if scope else ""])
