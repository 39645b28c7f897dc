"""Tokens that go out by mail: links to be used once, and codes of six digits with few tries.

Whoever reads the store finds digests only. One user has one token of a purpose at most: a new one voids
the one before. Every function works in the caller's scope, which must reach the user, and transaction.
Locks are taken in one order, lest two wait for each other: the user's row, then the token's.
"""

import dataclasses
import datetime as dt
import enum
import hashlib
import secrets
from typing import Any, Final, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string

from accounts.models import PasswordReset, User
from accounts.querysets import PasswordResetQuerySet
from timerecord.core import clock

TOKEN_BYTES: Final = 32
DIGITS: Final = 6
MAX_TRIES: Final = 5


class Purpose(enum.StrEnum):
    """What a token is good for; at most 16 characters."""

    RESET = "reset"  # choose a new password
    EMAIL = "email"  # confirm a new e-mail address; the data have it
    INVITE = "invite"  # choose a password at an admin's invitation


@dataclasses.dataclass(frozen=True)
class Token:
    """What a token that was good stands for."""

    user_id: int
    data: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Pending:
    """A code that somebody may still type."""

    token: Token
    tries_left: int


class Store(Protocol):
    """Where tokens are kept. Each method is one atomic step, however many do it at once."""

    def put(self, digest: str, token: Token, purpose: Purpose, expires_at: dt.datetime) -> None:
        """Keep a token in the place of the user's earlier one of this purpose."""

    def find(self, digest: str, purpose: Purpose, now: dt.datetime) -> Token | None:
        """Return a token that is unused and not expired."""

    def take(self, digest: str, purpose: Purpose, now: dt.datetime) -> Token | None:
        """Use such a token up and return it: of any number of callers, one gets it."""

    def pending(self, user_id: int, purpose: Purpose, now: dt.datetime) -> Pending | None:
        """Return the user's token that is unused, not expired and may be tried."""

    def try_once(self, user_id: int, purpose: Purpose, now: dt.datetime) -> bool:
        """Count one try at the user's token; False if there is none, or it had MAX_TRIES already."""

    def void(self, user_id: int, purpose: Purpose) -> None:
        """Forget the user's token of this purpose."""


class DatabaseStore:
    """Tokens in the table password_resets, under row-level security."""

    def put(self, digest: str, token: Token, purpose: Purpose, expires_at: dt.datetime) -> None:
        """Keep a token; two at once take turns at the user's row, so that one stays."""
        with transaction.atomic():
            lock_user(token.user_id)
            self.void(token.user_id, purpose)
            PasswordReset.objects.create(
                user_id=token.user_id, purpose=purpose, token=digest, data=token.data, expires_at=expires_at
            )

    def find(self, digest: str, purpose: Purpose, now: dt.datetime) -> Token | None:
        """Return a token that is unused and not expired."""
        row = (
            PasswordReset.objects.in_scope()
            .filter(token=digest, purpose=purpose, used_at=None, expires_at__gt=now)
            .first()
        )
        return _token(row)

    def take(self, digest: str, purpose: Purpose, now: dt.datetime) -> Token | None:
        """Use a token up: whose UPDATE finds it unused gets it."""
        rows = PasswordReset.objects.in_scope().filter(token=digest, purpose=purpose)
        if not rows.filter(used_at=None, expires_at__gt=now).update(used_at=now):
            return None
        return _token(rows.first())

    def pending(self, user_id: int, purpose: Purpose, now: dt.datetime) -> Pending | None:
        """Return the user's token that may be tried."""
        row = self._tryable(user_id, purpose, now).first()
        token = _token(row)
        return Pending(token, MAX_TRIES - row.tries) if row and token else None

    def try_once(self, user_id: int, purpose: Purpose, now: dt.datetime) -> bool:
        """Count one try. Its lock lasts to the end of the transaction: tries at once take turns."""
        return bool(self._tryable(user_id, purpose, now).update(tries=F("tries") + 1))

    def _tryable(self, user_id: int, purpose: Purpose, now: dt.datetime) -> PasswordResetQuerySet:
        return PasswordReset.objects.in_scope().filter(
            user=user_id, purpose=purpose, used_at=None, expires_at__gt=now, tries__lt=MAX_TRIES
        )

    def void(self, user_id: int, purpose: Purpose) -> None:
        """Forget a token, used or not."""
        PasswordReset.objects.in_scope().filter(user=user_id, purpose=purpose).delete()


def lock_user(user_id: int) -> None:
    """Lock the user's row to the end of the transaction: before a token is redeemed and the user changed.

    Of a user who is gone, there is neither row nor token.
    """
    rows = User.objects.in_scope().select_for_update(no_key=True).filter(pk=user_id)
    rows.values("pk").first()


def issue(user_id: int, purpose: Purpose, seconds: int, data: dict[str, Any] | None = None) -> str:
    """Return a new token for a link, good for so many seconds, once."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _put(digest(token), Token(user_id, data or {}), purpose, seconds)
    return token


def find(token: str, purpose: Purpose) -> Token | None:
    """Return what a token stands for, unused as it stays; None if it is no good."""
    return _store().find(digest(token), purpose, clock.now())


def redeem(token: str, purpose: Purpose) -> Token | None:
    """Use a token up and return what it stands for; None if it is no good, or somebody was faster."""
    return _take(digest(token), purpose, clock.now())


def issue_code(user_id: int, purpose: Purpose, seconds: int, data: dict[str, Any] | None = None) -> str:
    """Return a new code of six digits, good for so many seconds and MAX_TRIES tries, once."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    _put(_code_digest(user_id, purpose, code), Token(user_id, data or {}), purpose, seconds)
    return code


def redeem_code(user_id: int, code: str, purpose: Purpose) -> Token | None:
    """Use a user's code up; None if it is wrong, which counts as a try, or no good any more."""
    now = clock.now()
    if not _store().try_once(user_id, purpose, now):
        return None
    return _take(_code_digest(user_id, purpose, code), purpose, now)


def pending(user_id: int, purpose: Purpose) -> Pending | None:
    """Return what a user's code stands for while it can be typed, and how often still."""
    return _store().pending(user_id, purpose, clock.now())


def void(user_id: int, purpose: Purpose) -> None:
    """Make the user's token of this purpose worthless."""
    _forget_waiting(user_id, purpose)
    _store().void(user_id, purpose)


def digest(token: str) -> str:
    """Return what is stored of a token: its SHA-256, in hexadecimal. Nobody guesses 32 random bytes."""
    return hashlib.sha256(token.encode()).hexdigest()


def _code_digest(user_id: int, purpose: Purpose, code: str) -> str:
    # Keyed, for a million codes are soon tried; whose it is makes it differ from everybody else's.
    return salted_hmac("accounts.tokens", f"{purpose}\n{user_id}\n{code}", algorithm="sha256").hexdigest()


def _put(digest: str, token: Token, purpose: Purpose, seconds: int) -> None:
    _forget_waiting(token.user_id, purpose)
    _store().put(digest, token, purpose, _end(seconds))


def _take(digest: str, purpose: Purpose, now: dt.datetime) -> Token | None:
    found = _store().take(digest, purpose, now)
    if found:
        _forget_waiting(found.user_id, purpose)
    return found


def _forget_waiting(user_id: int, purpose: Purpose) -> None:
    """Forget what waits in the table to be carried into another store: carried later, it would be good again.

    Before the store's own is voided: its rows wait for who is carrying them, see accounts.token_moves.
    """
    if not isinstance(_store(), DatabaseStore):
        DatabaseStore().void(user_id, purpose)


def _end(seconds: int) -> dt.datetime:
    return clock.now() + dt.timedelta(seconds=seconds)


def _store() -> Store:
    store: Store = import_string(settings.TOKEN_STORE)()
    return store


def _token(row: PasswordReset | None) -> Token | None:
    return Token(row.user_id, row.data or {}) if row else None
