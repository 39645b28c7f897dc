"""Sessions, wherever they are kept: what is signed, when one ends, and what people can see of them.

A driver stores and finds records; this module knows neither it nor any app. docs/sessions.md has the
numbers, docs/adr/0003-session-store.md the reasons.
"""

import dataclasses
import datetime as dt
import hashlib
import logging
import re
from importlib import import_module
from typing import Any, ClassVar, Final, Protocol

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import VALID_KEY_CHARS, CreateError, SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core import signing
from django.db import Error as DatabaseFailure
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import get_random_string
from django.utils.encoding import force_str
from django.utils.module_loading import import_string

from timerecord.core import clock

# Where a session of somebody who signed in keeps what its list shows. Beside Django's own SESSION_KEY.
TENANT_KEY: Final = "_tenant_id"
DEVICE_KEY: Final = "_device"
ADDRESS_KEY: Final = "_address"
# Made at the sign-in: what is counted for it stays with it under another key.
ORIGIN_KEY: Final = "_origin"

ID: Final = re.compile(r"[0-9a-f]{64}")
KEY_CHARACTERS: Final = 32  # of 36: some 165 bits
MOST_BYTES: Final = 64 * 1024  # DynamoDB refuses an item of 400 KB
REFRESHES: Final = 10  # in one idle lifetime
GOOD_FOR_CHARACTERS: Final = 16

logger = logging.getLogger(__name__)
security_logger = logging.getLogger("django.security.SuspiciousSession")


class StoreUnavailableError(Exception):
    """What keeps sessions or tokens is out of reach, too slow, or refuses to work: for now, one hopes."""


class SessionTooLargeError(ValueError):
    """Somebody put more into a session than one may hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listed:
    """What can be shown of a session. `id` names it to nobody but its store: it opens nothing.

    `user` and `tenant` are None before somebody signs in, `tenant` also for who has none. Device and address
    are those of the sign-in. `seen` may lag by a tenth of the idle lifetime; instants are whole seconds, UTC.
    `good_for` is the beginning of the hash that a session keeps of its user, see `good_for`.
    """

    id: str
    user: int | None
    tenant: int | None
    created: dt.datetime
    seen: dt.datetime
    expires: dt.datetime
    device: str
    address: str
    good_for: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record(Listed):
    """What is stored of a session: `data` are signed for this id and this beginning."""

    data: str


class Driver(Protocol):
    """Where sessions are kept. Each method that changes one does so in one atomic step.

    StoreUnavailableError from each of them, or Django's DatabaseError.
    """

    def create(self, record: Record) -> bool:
        """Keep a new record; False if there is one of this id."""

    def replace(self, record: Record, now: dt.datetime) -> bool:
        """Put a record into the place of the one that is there; False if that has ended."""

    def read(self, id_: str) -> Record | None:
        """Return a record as the last write left it. It may have expired."""

    def touch(self, id_: str, *, seen: dt.datetime, expires: dt.datetime) -> None:
        """Note that one which has not expired at `seen` is in use."""

    def remove(self, id_: str) -> bool:
        """Forget a record, if there is one; whether there was one that had not ended.

        Of those who remove it at once one is told so. True if the store cannot tell.
        """

    def clear_expired(self) -> None:
        """Forget what has expired, where the store does not do so by itself."""

    def of_user(self, tenant: int | None, user: int, now: dt.datetime) -> list[Listed]:
        """Return the sessions of a user that began in this tenant, the last seen first.

        One that has just begun may be missing, one that has just ended still be there.
        """

    def of_tenant(self, tenant: int, now: dt.datetime) -> list[Listed]:
        """Return the sessions of a tenant's people, the last seen first; as exact as `of_user`."""

    def end(self, user: int, id_: str) -> bool:
        """End a session if it is this user's; False if there is no such one. Exact, whatever lists say."""


def id_of(session_key: str | None) -> str:
    """Return what a session is stored under: the SHA-256 of its key, so that no store can take one over."""
    return hashlib.sha256(session_key.encode()).hexdigest() if session_key else ""


def good_for(session_hash: str) -> str:
    """Return what lists keep of a session's hash of its user: enough to see that it is another one by now."""
    return session_hash[:GOOD_FOR_CHARACTERS]


def is_id(said: str) -> bool:
    """Whether something can be the id of a session."""
    return ID.fullmatch(said) is not None


def driver() -> Driver:
    """Return the driver of the store that the settings choose."""
    chosen: Driver = _engine().driver
    return chosen


def as_signed(record: Record) -> Listed | None:
    """Return what the data of a record say of it; None if they are somebody else's, or not ours at all."""
    data = _opened(record.data, _salt(record.id, record.created))
    if data is None or _whose(data) != (record.user, record.tenant):
        return None
    return Listed(
        id=record.id,
        user=record.user,
        tenant=record.tenant,
        created=record.created,
        seen=record.seen,
        expires=record.expires,
        device=_text(data, DEVICE_KEY),
        address=_text(data, ADDRESS_KEY),
        good_for=good_for(_text(data, HASH_SESSION_KEY)),
    )


def _whose(data: dict[str, Any]) -> tuple[int | None, int | None]:
    user, tenant = data.get(SESSION_KEY), data.get(TENANT_KEY)
    if user is None:
        return None, None
    return int(user), None if tenant is None else int(tenant)


def _text(data: dict[str, Any], key: str) -> str:
    return str(data.get(key) or "")


def _engine() -> "type[SessionStore]":
    engine: type[SessionStore] = import_module(settings.SESSION_ENGINE).SessionStore
    return engine


def _salt(id_: str, created: dt.datetime) -> str:
    # Signed data that somebody copies to another id, or keeps beyond its lifetime, fit no more.
    return f"timerecord.core.sessions {id_} {int(created.timestamp())}"


def _opened(data: bytes | str, salt: str) -> dict[str, Any] | None:
    try:
        serializer = import_string(settings.SESSION_SERIALIZER)
        found = signing.loads(force_str(data), salt=salt, serializer=serializer)
    except signing.BadSignature:
        security_logger.warning("Session data corrupted")
        return None
    except Exception:  # whatever a serializer raises, or zlib
        logger.warning("Session data cannot be read")
        return None
    return found if isinstance(found, dict) else None


@dataclasses.dataclass(frozen=True)
class _Former:
    """A session that goes on under another key."""

    id: str
    was_signed_in: bool


class SessionStore(SessionBase):
    """A session engine on a driver.

    A session lives for SESSION_COOKIE_AGE from its beginning, whatever happens, and for SESSION_IDLE_SECONDS
    from when it was last seen. A new key begins a new session.

    The session `of_request` is good under the key that the browser has until the answer brings a new one:
    `cycle_key` stores nothing, `save` stores the new one, once, and `settle` ends the former. Everywhere else
    `cycle_key` has done all of that when it returns.
    """

    driver: ClassVar[Driver]

    def __init__(self, session_key: str | None = None, *, of_request: bool = False) -> None:
        self._of_request = of_request
        self._formers: list[_Former] = []
        # What this object stored last, and whether it began the session.
        self._kept: bytes | None = None
        self._is_new = False
        self._created: dt.datetime | None = None
        # The beginning that a new key is to have, too.
        self._renewed: dt.datetime | None = None
        self._seen: dt.datetime | None = None
        super().__init__(session_key)

    @property
    def id(self) -> str:
        """What lists call this session; "" for one that is not stored."""
        return id_of(self.session_key)

    def whose(self) -> tuple[int | None, int | None]:
        """Return user and tenant as far as they are known by now: the store is not asked."""
        return _whose(getattr(self, "_session_cache", {}))

    @property
    def ids(self) -> frozenset[str]:
        """What lists call this session, and called it before it went on under a new key."""
        return frozenset({self.id, *(former.id for former in self._formers)} - {""})

    # --- what is signed ---------------------------------------------------------------------------------
    @property
    def key_salt(self) -> str:
        """What the data are signed for: this session since its beginning."""
        return _salt(self.id, self._beginning())

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """Return the data; {} of what was tampered with or cannot be read."""
        return _opened(session_data, self.key_salt) or {}

    def _data(self, *, no_load: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = self._get_session(no_load=no_load)  # type: ignore[attr-defined] # private
        return found

    def _beginning(self) -> dt.datetime:
        if self._created is None:
            self._created = clock.now().replace(microsecond=0)
        return self._created

    # --- when it ends -----------------------------------------------------------------------------------
    def get_session_cookie_age(self) -> int:
        """Return the seconds that are left of the longest lifetime: the cookie's too."""
        if self._created is None:
            return settings.SESSION_COOKIE_AGE
        return max(0, int((self._end() - clock.now()).total_seconds()))

    def _end(self) -> dt.datetime:
        return self._beginning() + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE)

    def _expires(self, data: dict[str, Any], now: dt.datetime) -> dt.datetime:
        ends = [self._end(), now + dt.timedelta(seconds=settings.SESSION_IDLE_SECONDS)]
        if custom := data.get("_session_expiry"):  # what set_expiry leaves
            ends.append(self.get_expiry_date(modification=now, expiry=custom))
        return min(ends).replace(microsecond=0)

    # --- Django's interface -----------------------------------------------------------------------------
    def exists(self, session_key: str) -> bool:
        """Whether there is such a session, and it has not ended."""
        record = self.driver.read(id_of(session_key)) if session_key else None
        return record is not None and record.expires > clock.now()

    def create(self) -> None:
        """Begin a new session, with a key that nobody has: the store says so, without being asked before."""
        while True:
            self._session_key = get_random_string(KEY_CHARACTERS, VALID_KEY_CHARS)
            self._created = self._renewed
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            except BaseException:
                self._session_key = None  # that is none
                raise
            self._renewed = None
            self._is_new = self.modified = True
            return

    def cycle_key(self) -> None:
        """Go on under a new key. Of who is signed in the beginning stays: no key lengthens the lifetime.

        UpdateError if that session of theirs was ended meanwhile, and nothing goes on.
        """
        data = self._data()
        is_signed_in = SESSION_KEY in data
        if self.session_key is not None:
            self._formers.append(_Former(self.id, is_signed_in))
        self._session_key = None
        self._renewed = self._created if is_signed_in else None
        self._created = self._renewed
        self.modified = True
        if not self._of_request:
            self.create()
            for former in self._take_formers():
                self._follow(former)

    async def acycle_key(self) -> None:
        """Go on under a new key."""
        await sync_to_async(self.cycle_key)()

    def save(self, must_create: bool = False) -> None:
        """Store the session. UpdateError if it has ended meanwhile: it is not brought back to life."""
        if self.session_key is None:
            self.create()
            return
        data = self._data(no_load=must_create)
        if self.session_key is None:  # that is what loading it found
            raise UpdateError
        said = self.serializer().dumps(data)
        if self._of_request and said == self._kept and not must_create:
            return
        now = clock.now()
        record = self._record(data, now)
        if must_create:
            if not self.driver.create(record):
                raise CreateError
        elif not self.driver.replace(record, now):
            raise UpdateError
        self._seen = record.seen
        self._kept = said

    def _record(self, data: dict[str, Any], now: dt.datetime) -> Record:
        encoded = self.encode(data)
        if len(encoded) > MOST_BYTES:
            raise SessionTooLargeError(
                f"a session of {len(encoded)} bytes, but one may hold {MOST_BYTES}: keep this elsewhere"
            )
        user, tenant = _whose(data)
        return Record(
            id=self.id,
            user=user,
            tenant=tenant,
            created=self._beginning(),
            seen=now.replace(microsecond=0),
            expires=self._expires(data, now),
            device=_text(data, DEVICE_KEY),
            address=_text(data, ADDRESS_KEY),
            good_for=good_for(_text(data, HASH_SESSION_KEY)),
            data=encoded,
        )

    def load(self) -> dict[str, Any]:
        """Return the data; without a session that is there, good and not over, {} and no key any more."""
        record = self.driver.read(self.id) if self.session_key else None
        now = clock.now()
        if record is not None and record.expires > now:
            self._created = record.created
            data = _opened(record.data, self.key_salt)
            if data is not None and self._end() > now:
                self._seen = record.seen
                return data
        self._created = None
        self._session_key = None
        return {}

    def delete(self, session_key: str | None = None) -> None:
        """End a session: the one with this key, else this one, whatever it was called before."""
        for id_ in sorted({id_of(session_key)} if session_key else self.ids):
            self.driver.remove(id_)
        if not session_key:
            self._formers.clear()

    # --- under a new key ----------------------------------------------------------------------------------
    def settle(self) -> None:
        """End what this session was called before: the new key is stored.

        UpdateError if somebody's session was ended meanwhile: it does not go on. What the store cannot do
        now is left to expire, for nobody is to be signed out by that.
        """
        for former in self._take_formers():
            try:
                self._follow(former)
            except (StoreUnavailableError, DatabaseFailure):
                logger.warning("A session that went on under a new key could not be ended.", exc_info=True)

    def abandon(self) -> None:
        """Forget a session that was begun for an answer that never came: nobody has its key."""
        if self._is_new and self.session_key is not None:
            self._forget_it()

    def _take_formers(self) -> list[_Former]:
        formers, self._formers = self._formers, []
        return formers

    def _follow(self, former: _Former) -> None:
        was_live = self.driver.remove(former.id)
        if former.was_signed_in and not was_live:
            self._forget_it()
            self._session_key = None
            raise UpdateError

    def _forget_it(self) -> None:
        try:
            self.driver.remove(self.id)
        except (StoreUnavailableError, DatabaseFailure):
            logger.warning("A session whose key nobody has could not be removed.", exc_info=True)

    @classmethod
    def clear_expired(cls) -> None:
        """Forget what has expired, where the store does not do so by itself."""
        cls.driver.clear_expired()

    # --- that it is in use --------------------------------------------------------------------------------
    def refresh(self) -> None:
        """Note that the session is in use, unless that was noted within a tenth of its idle lifetime."""
        if self._seen is None or self.session_key is None:
            return
        now = clock.now()
        if now - self._seen >= dt.timedelta(seconds=settings.SESSION_IDLE_SECONDS) / REFRESHES:
            seen = now.replace(microsecond=0)
            self.driver.touch(self.id, seen=seen, expires=self._expires(self._data(), now))
            self._seen = seen


class SessionMiddleware(DjangoSessionMiddleware):
    """Django's, with a store that can be out of reach for a while."""

    def process_request(self, request: HttpRequest) -> None:
        """Give the request its session, of the store that the settings choose; nothing is read yet."""
        key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        request.session = _engine()(key, of_request=True)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save what changed, before the answer says so; note that the session is in use, if that can be done.

        By now the request's transaction is committed: what the answer says must not fail for such a note.
        SessionInterrupted if a session that went on under a new key was ended meanwhile.
        """
        session = getattr(request, "session", None)
        if not isinstance(session, SessionStore):
            return super().process_response(request, response)
        if response.status_code >= 500:
            session.abandon()
            return super().process_response(request, response)
        response = super().process_response(request, response)
        try:
            session.settle()
        except UpdateError as error:
            raise SessionInterrupted("The session was ended while it went on under a new key.") from error
        try:
            session.refresh()
        except (StoreUnavailableError, DatabaseFailure):
            logger.warning("That a session is in use could not be noted.", exc_info=True)
        return response
