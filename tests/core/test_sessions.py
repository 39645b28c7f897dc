"""What a session engine owes to Django, and what ours promises besides: on each of the stores alike.

`TestInterface` goes case by case through what Django's own suite asks of an engine, synchronously and
asynchronously: its `SessionTestsMixin`, which its wheel lacks. Of what Django asks of single engines, nothing
applies: caches, files and cookies are not ours, and there is no model of Django's.
"""

import base64
import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.conf import settings as project
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.signing import TimestampSigner
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils.module_loading import import_string
from pytest_django import Settings

from accounts.models import Session, User
from tenants.models import Tenant
from timerecord.core import sessions
from timerecord.core.sessions import ADDRESS_KEY, DEVICE_KEY, MOST_BYTES, TENANT_KEY, SessionStore

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("session_store")]

NOW = dt.datetime(2026, 11, 20, 3, 0, 0, 400_000, tzinfo=dt.UTC)
LIFETIME = dt.timedelta(hours=12)

Do = Callable[..., Any]


def new(key: str | None = None) -> SessionStore:
    """Begin to use a session, as a request with this cookie does."""
    store: SessionStore = import_string(f"{project.SESSION_ENGINE}.SessionStore")(key)
    return store


def again(session: SessionStore) -> SessionStore:
    """The same session in the next request."""
    return new(session.session_key)


def stored(**data: Any) -> SessionStore:
    session = new()
    session.update(data)
    session.save()
    return session


@pytest.fixture
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Do:
    """Call a method of a session, or its asynchronous twin."""

    def call(session: SessionStore, method: str, *args: Any, **options: Any) -> Any:
        if request.param == "async":
            return async_to_sync(getattr(session, f"a{method}"))(*args, **options)
        twin = {"set": "__setitem__"}.get(method, method)
        return getattr(session, twin)(*args, **options)

    return call


def is_marked(session: SessionStore, *, accessed: bool, modified: bool) -> bool:
    return (session.accessed, session.modified) == (accessed, modified)


class TestInterface:
    def test_a_new_one_is_untouched(self) -> None:
        assert is_marked(new(), accessed=False, modified=False)
        assert new().is_empty()

    def test_nothing_is_in_it(self, do: Do) -> None:
        session = new()
        assert do(session, "get", "cat") is None
        assert do(session, "get", "cat", "none") == "none"

    def test_a_value_is_kept(self, do: Do) -> None:
        session = new()
        do(session, "set", "cat", "dog")
        assert session.modified
        assert do(session, "pop", "cat") == "dog"
        assert "cat" not in session

    def test_taking_a_value_out(self, do: Do) -> None:
        session = stored(cat="dog")
        session.accessed = session.modified = False
        assert do(session, "pop", "cat") == "dog"
        assert is_marked(session, accessed=True, modified=True)
        assert do(session, "get", "cat") is None

    @pytest.mark.parametrize("named", [False, True])
    def test_taking_out_what_is_not_there(self, do: Do, named: bool) -> None:
        session = new()
        given: dict[str, Any] = {"default": "none"} if named else {}
        assert do(session, "pop", "cat", *(() if named else ("none",)), **given) == "none"
        assert is_marked(session, accessed=True, modified=False)

    def test_taking_out_what_is_not_there_without_a_default(self, do: Do) -> None:
        with pytest.raises(KeyError):
            do(new(), "pop", "cat")

    def test_a_value_unless_there_is_one(self, do: Do) -> None:
        session = new()
        assert do(session, "setdefault", "cat", 1) == 1
        assert do(session, "setdefault", "cat", 2) == 1
        assert is_marked(session, accessed=True, modified=True)

    def test_many_at_once(self, do: Do) -> None:
        session = new()
        do(session, "update", {"cat": 1})
        assert is_marked(session, accessed=True, modified=True)
        assert do(session, "get", "cat") == 1

    def test_what_is_in_it(self, do: Do) -> None:
        session = stored(cat=1)
        for method, expected in {"keys": ["cat"], "values": [1], "items": [("cat", 1)]}.items():
            session.accessed = session.modified = False
            assert list(do(session, method)) == expected
            assert is_marked(session, accessed=True, modified=False)
        session.accessed = session.modified = False
        assert do(session, "has_key", "cat")
        assert "dog" not in session
        assert is_marked(session, accessed=True, modified=False)

    def test_clear(self) -> None:
        session = stored(cat=1)
        session.accessed = session.modified = False
        session.clear()
        assert list(session.items()) == []
        assert is_marked(session, accessed=True, modified=True)

    def test_save(self, do: Do) -> None:
        session = new()
        do(session, "set", "cat", 1)
        do(session, "save")
        assert do(session, "exists", session.session_key)
        assert do(session, "get", "cat") == 1  # still
        assert do(again(session), "get", "cat") == 1

    def test_create(self, do: Do) -> None:
        session = new()
        do(session, "create")
        assert session.modified
        assert do(session, "exists", session.session_key)

    def test_delete(self, do: Do) -> None:
        session = stored(cat=1)
        do(session, "delete", session.session_key)
        assert not do(session, "exists", session.session_key)
        do(session, "delete")  # that is no error
        do(new(), "delete")

    def test_flush(self, do: Do) -> None:
        session = stored(cat=1)
        key = session.session_key
        do(session, "flush")
        assert not do(session, "exists", key)
        assert session.session_key is None
        assert is_marked(session, accessed=True, modified=True)
        assert session.is_empty()

    @pytest.mark.parametrize("is_read", [True, False])
    def test_a_new_key_for_the_same_data(self, do: Do, is_read: bool) -> None:
        session = stored(cat=1, dog=2)
        key = session.session_key
        if not is_read:
            session = again(session)
        do(session, "cycle_key")
        assert session.session_key != key
        assert not do(session, "exists", key)
        assert dict(do(session, "items")) == {"cat": 1, "dog": 2}
        assert dict(do(again(session), "items")) == {"cat": 1, "dog": 2}

    def test_a_key_that_is_none_leads_to_a_new_one(self, do: Do) -> None:
        session = new("1")
        do(session, "save")
        assert session.session_key != "1"
        assert do(session, "get", "cat") is None

    @pytest.mark.parametrize(("key", "kept"), [("", None), ("1234567", None), ("12345678", "12345678")])
    def test_what_can_be_a_key(self, key: str, kept: str | None) -> None:
        assert new(key).session_key == kept

    def test_nobody_sets_a_key(self) -> None:
        with pytest.raises(AttributeError):
            new().session_key = "somebody else's"  # type: ignore[misc]

    def test_it_lasts_as_long_as_the_settings_say(self, do: Do) -> None:
        session = new()
        assert do(session, "get_expiry_age") == project.SESSION_COOKIE_AGE
        do(session, "set_expiry", 0)
        assert do(session, "get_expiry_age") == project.SESSION_COOKIE_AGE

    @pytest.mark.parametrize("value", [10, dt.timedelta(seconds=10), NOW + dt.timedelta(seconds=10)])
    def test_or_as_long_as_somebody_says(self, do: Do, now: time_machine.Traveller, value: Any) -> None:
        session = new()
        do(session, "set_expiry", value)
        end = NOW + dt.timedelta(seconds=10)
        assert do(session, "get_expiry_date", modification=NOW) == end
        assert do(session, "get_expiry_age", modification=NOW) == 10
        do(session, "save")
        now.move_to(NOW + dt.timedelta(seconds=9))
        assert again(session).keys()
        now.move_to(end)
        assert not again(session).keys()

    def test_until_they_say_otherwise(self, do: Do) -> None:
        session = new()
        for value in (None, 10, None):
            do(session, "set_expiry", value)
        assert do(session, "get_expiry_age") == project.SESSION_COOKIE_AGE

    @pytest.mark.parametrize("by_default", [False, True])
    def test_until_the_browser_is_closed(self, do: Do, settings: Settings, by_default: bool) -> None:
        settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = by_default
        session = new()
        for value, expected in ((10, False), (0, True), (None, by_default)):
            do(session, "set_expiry", value)
            assert do(session, "get_expire_at_browser_close") is expected

    def test_what_is_encoded_can_be_decoded(self) -> None:
        session = new()
        assert session.decode(session.encode({"a key": "a value"})) == {"a key": "a value"}

    @pytest.mark.parametrize("given", [base64.b64encode(b"flask:alk").decode(), "bad:encoded:value", ""])
    def test_what_cannot_is_told_to_who_looks_after_security(
        self, caplog: pytest.LogCaptureFixture, given: str
    ) -> None:
        assert new().decode(given) == {}
        assert ("django.security.SuspiciousSession", logging.WARNING, "Session data corrupted") in (
            caplog.record_tuples
        )

    def test_what_is_signed_and_makes_no_sense_is_nothing(self) -> None:
        session = new()
        assert session.decode(TimestampSigner(salt=session.key_salt).sign("invalid data")) == {}

    def test_one_that_is_over_is_empty(self, do: Do) -> None:
        session = new()
        do(session, "set", "cat", 1)
        do(session, "set_expiry", -dt.timedelta(seconds=10))
        do(session, "save")
        assert not do(again(session), "has_key", "cat")

    def test_an_unknown_key_makes_no_session(self, do: Do) -> None:
        session = new("somebodysunknownkey")
        assert do(session, "load") == {}
        assert session.session_key is None
        assert not do(session, "exists", "somebodysunknownkey")

    def test_one_that_was_ended_stays_so(self, do: Do) -> None:
        session = stored(cat=1)
        do(again(session), "delete")
        session["cat"] = 2
        with pytest.raises(UpdateError):
            do(session, "save")
        assert do(session, "load") == {}

    def test_what_expired_can_be_cleared_away(
        self, do: Do, now: time_machine.Traveller, session_store: str
    ) -> None:
        old = stored(cat=1)
        now.shift(LIFETIME)
        live = stored(cat=2)
        do(old, "clear_expired")
        assert live.exists(live.session_key or "")
        if session_store == "database":  # DynamoDB does it by itself, at times
            assert [row.pk for row in Session.objects.all()] == [live.id]


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse("an answer")


class TestMiddleware:
    """What Django's suite asks of its middleware, of ours."""

    def through(self, view: Callable[[HttpRequest], HttpResponse], key: str | None = None) -> Any:
        request = RequestFactory().get("/")
        if key:
            request.COOKIES[project.SESSION_COOKIE_NAME] = key
        response: Any = sessions.SessionMiddleware(view)(request)
        return request, response, response.cookies.get(project.SESSION_COOKIE_NAME)

    @staticmethod
    def touching(request: HttpRequest) -> HttpResponse:
        request.session["hello"] = "world"
        return answer(request)

    def test_the_cookie(self, settings: Settings) -> None:
        settings.SESSION_COOKIE_SECURE = True
        settings.SESSION_COOKIE_SAMESITE = "Strict"
        request, response, cookie = self.through(self.touching)
        assert cookie.value == request.session.session_key
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Strict")
        assert response["Vary"] == "Cookie"
        assert cookie["max-age"] == project.SESSION_COOKIE_AGE

    def test_without_httponly(self, settings: Settings) -> None:
        settings.SESSION_COOKIE_HTTPONLY = False
        assert self.through(self.touching)[2]["httponly"] == ""

    @pytest.mark.parametrize("status", [500, 503])
    def test_what_failed_is_not_saved(self, status: int) -> None:
        def failing(request: HttpRequest) -> HttpResponse:
            request.session["hello"] = "world"
            return HttpResponse(status=status)

        request, _, cookie = self.through(failing)
        assert cookie is None
        assert "hello" not in request.session.load()

    def test_one_that_was_ended_meanwhile(self) -> None:
        def ending(request: HttpRequest) -> HttpResponse:
            request.session["hello"] = "world"
            new(request.session.session_key).delete()
            return answer(request)

        with pytest.raises(SessionInterrupted, match="deleted before the request completed"):
            self.through(ending, stored(cat=1).session_key)

    def test_the_cookie_goes_with_the_session(self, settings: Settings) -> None:
        settings.SESSION_COOKIE_DOMAIN, settings.SESSION_COOKIE_PATH = ".example.local", "/example/"

        def ending(request: HttpRequest) -> HttpResponse:
            request.session.flush()
            return answer(request)

        _, response, cookie = self.through(ending, stored(cat=1).session_key)
        assert (cookie.value, cookie["max-age"]) == ("", 0)
        assert (cookie["domain"], cookie["path"]) == (".example.local", "/example/")
        assert response["Vary"] == "Cookie"
        _, response, cookie = self.through(ending)
        assert (cookie, response["Vary"]) == (None, "Cookie")

    def test_where_every_request_saves(self, settings: Settings) -> None:
        settings.SESSION_SAVE_EVERY_REQUEST = True
        key = stored(cat=1).session_key
        assert self.through(answer, key)[2].value == key

    def test_one_that_was_emptied_is_still_one(self) -> None:
        def emptying(request: HttpRequest) -> HttpResponse:
            del request.session["cat"]
            return answer(request)

        key = stored(cat=1).session_key
        _, _, cookie = self.through(emptying, key)
        assert cookie.value == key
        assert list(new(key).keys()) == []
        assert new(key).exists(key or "")


class TestRemoval:
    def test_it_says_whether_there_was_one_that_had_not_ended(self, now: time_machine.Traveller) -> None:
        first, second = stored(cat=1), stored(cat=2)
        driver = sessions.driver()
        assert [driver.remove(first.id), driver.remove(first.id)] == [True, False]
        assert not driver.remove("0" * 64)
        now.shift(LIFETIME)
        assert not driver.remove(second.id)
        assert driver.read(second.id) is None


class TestNewKey:
    """Of somebody who is signed in, in the middle of a request."""

    @pytest.fixture
    def signed_in(self, employee: User) -> SessionStore:
        return stored(**{SESSION_KEY: str(employee.pk), TENANT_KEY: employee.tenant_id, "cat": 1})

    def test_one_that_was_ended_meanwhile_gets_none(self, signed_in: SessionStore, do: Do) -> None:
        session = again(signed_in)
        session.load()
        assert session["cat"] == 1
        signed_in.delete()
        with pytest.raises(UpdateError):
            do(session, "cycle_key")
        assert self.listed() == []

    def listed(self) -> list[sessions.Listed]:
        user = User.objects.get()
        return sessions.driver().of_user(user.tenant_id, user.pk, dt.datetime.now(dt.UTC))

    def answered(self, view: Callable[[HttpRequest], HttpResponse], key: str | None) -> Any:
        request = RequestFactory().get("/")
        request.COOKIES[project.SESSION_COOKIE_NAME] = key or ""
        response: Any = sessions.SessionMiddleware(view)(request)
        return response.cookies.get(project.SESSION_COOKIE_NAME)

    def test_the_browsers_is_good_until_the_answer_brings_another(self, signed_in: SessionStore) -> None:
        seen: list[Any] = []

        def cycling(request: HttpRequest) -> HttpResponse:
            request.session.cycle_key()
            request.session["cat"] = 2
            request.session.save()
            assert isinstance(request.session, SessionStore)
            seen.extend([again(signed_in).load()["cat"], len(request.session.ids)])
            return answer(request)

        cookie = self.answered(cycling, signed_in.session_key)
        assert seen == [1, 2]
        assert again(signed_in).load() == {}
        assert new(cookie.value)["cat"] == 2
        (listed,) = self.listed()
        assert listed.id == sessions.id_of(cookie.value)

    def test_it_stays_good_where_the_answer_is_an_error(self, signed_in: SessionStore) -> None:
        def failing(request: HttpRequest) -> HttpResponse:
            request.session.cycle_key()
            request.session.save()
            return HttpResponse(status=503)

        assert self.answered(failing, signed_in.session_key) is None
        assert again(signed_in).load()["cat"] == 1
        (listed,) = self.listed()  # and nothing that nobody has the key of
        assert listed.id == signed_in.id

    def test_one_that_is_ended_before_the_answer_is_out_stays_so(self, signed_in: SessionStore) -> None:
        def cycling(request: HttpRequest) -> HttpResponse:
            request.session.cycle_key()
            request.session.save()
            sessions.driver().end(int(request.session[SESSION_KEY]), signed_in.id)
            return answer(request)

        with pytest.raises(SessionInterrupted):
            self.answered(cycling, signed_in.session_key)
        assert self.listed() == []

    def test_a_strangers_matters_to_nobody(self) -> None:
        """Two who sign in at once in one browser: the second is not refused for the first."""
        stranger = stored(cat=1)

        def signing_in(request: HttpRequest) -> HttpResponse:
            request.session.cycle_key()
            stranger.delete()
            return answer(request)

        cookie = self.answered(signing_in, stranger.session_key)
        assert new(cookie.value)["cat"] == 1

    def test_who_signs_out_after_it_is_signed_out(self, signed_in: SessionStore) -> None:
        def leaving(request: HttpRequest) -> HttpResponse:
            request.session.cycle_key()
            request.session.flush()
            return answer(request)

        assert self.answered(leaving, signed_in.session_key).value == ""
        assert again(signed_in).load() == {}
        assert self.listed() == []

    def test_what_is_stored_already_is_stored_once(
        self, signed_in: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second write, after the commit, could fail: the browser would have no good key any more."""

        def refused(*_: Any) -> bool:
            raise sessions.StoreUnavailableError

        def cycling(request: HttpRequest) -> HttpResponse:
            request.session.cycle_key()
            request.session.save()
            monkeypatch.setattr(sessions.driver(), "replace", refused)
            return answer(request)

        assert self.answered(cycling, signed_in.session_key).value

    def test_a_former_one_that_cannot_be_ended_signs_nobody_out(
        self, signed_in: SessionStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refused(*_: Any) -> bool:
            raise sessions.StoreUnavailableError

        def cycling(request: HttpRequest) -> HttpResponse:
            request.session.cycle_key()
            monkeypatch.setattr(sessions.driver(), "remove", refused)
            return answer(request)

        cookie = self.answered(cycling, signed_in.session_key)
        assert new(cookie.value)["cat"] == 1
        assert "could not be ended" in caplog.text


class TestLifetime:
    def test_it_ends_however_busy_it_is(self, now: time_machine.Traveller) -> None:
        session = stored(cat=0)
        for hour in range(1, 12):
            now.move_to(NOW + dt.timedelta(hours=hour))
            session = again(session)
            session["cat"] = hour
            session.save()
            assert session.get_expiry_age() == (12 - hour) * 3600 - 1  # it began at a whole second
        now.move_to(NOW + LIFETIME)
        assert again(session).load() == {}
        with pytest.raises(UpdateError):
            session.save()

    def test_nobody_makes_it_longer(self, now: time_machine.Traveller) -> None:
        session = new()
        session.set_expiry(dt.timedelta(days=365))
        session.save()
        now.shift(LIFETIME)
        assert again(session).load() == {}

    def test_a_lifetime_that_was_shortened_counts_at_once(
        self, now: time_machine.Traveller, settings: Settings
    ) -> None:
        session = stored(cat=1)
        settings.SESSION_COOKIE_AGE = 600
        now.shift(dt.timedelta(seconds=601))
        assert again(session).load() == {}

    def test_who_does_nothing(self, now: time_machine.Traveller, settings: Settings) -> None:
        settings.SESSION_IDLE_SECONDS = 1000
        session = stored(cat=1)
        for _ in range(5):
            now.shift(dt.timedelta(seconds=900))
            session = again(session)
            assert session["cat"] == 1
            session.refresh()
        now.shift(dt.timedelta(seconds=1000))
        assert again(session).load() == {}

    def test_that_it_is_in_use_is_noted_now_and_then(
        self, now: time_machine.Traveller, settings: Settings, employee: User
    ) -> None:
        settings.SESSION_IDLE_SECONDS = 1000
        session = stored(**{SESSION_KEY: str(employee.pk), TENANT_KEY: employee.tenant_id})
        begun = NOW.replace(microsecond=0)

        def seen(after: int) -> int:
            now.move_to(NOW + dt.timedelta(seconds=after))
            found = again(session)
            found.load()
            found.refresh()
            (listed,) = sessions.driver().of_user(employee.tenant_id, employee.pk, NOW)
            return int((listed.seen - begun).total_seconds())

        assert [seen(after) for after in (0, 98, 99, 101, 150, 202)] == [0, 0, 0, 101, 101, 202]

    def test_a_note_brings_nothing_back(self, now: time_machine.Traveller, settings: Settings) -> None:
        settings.SESSION_IDLE_SECONDS = 1000
        session = again(stored(cat=1))
        session.load()
        again(session).delete()
        now.shift(dt.timedelta(seconds=500))
        session.refresh()
        assert not session.exists(session.session_key or "")


class TestTampering:
    """Whoever writes to the store makes no session of it."""

    @pytest.fixture
    def record(self) -> sessions.Record:
        session = stored(cat=1)
        self.key = session.session_key
        found = sessions.driver().read(session.id)
        assert found
        assert new(self.key).load() == {"cat": 1}
        return found

    def put(self, record: sessions.Record, **changes: Any) -> None:
        changed = dataclasses.replace(record, **changes)
        sessions.driver().remove(changed.id)
        assert sessions.driver().create(changed)

    def test_the_store_has_no_key(self, record: sessions.Record) -> None:
        assert self.key
        assert self.key not in str(record)
        assert new(record.id).load() == {}

    def test_data_of_another_session(self, record: sessions.Record) -> None:
        other = stored(cat=2)
        theirs = sessions.driver().read(other.id)
        assert theirs
        self.put(record, data=theirs.data)
        assert new(self.key).load() == {}

    def test_data_without_a_signature(self, record: sessions.Record) -> None:
        self.put(record, data=record.data[:-1] + ("x" if record.data[-1] != "x" else "y"))
        session = new(self.key)
        assert session.load() == {}
        assert session.session_key is None  # so the browser forgets it, too

    def test_another_beginning(self, record: sessions.Record) -> None:
        self.put(record, created=record.created + dt.timedelta(hours=1))
        assert new(self.key).load() == {}

    def test_a_later_end(self, record: sessions.Record) -> None:
        self.put(record, expires=record.expires + dt.timedelta(days=365))
        with time_machine.travel(record.created + LIFETIME, tick=False):
            assert new(self.key).load() == {}

    def test_under_another_secret_key(self, record: sessions.Record, settings: Settings) -> None:
        old, settings.SECRET_KEY = settings.SECRET_KEY, "y" * 60
        assert new(self.key).load() == {}
        settings.SECRET_KEY_FALLBACKS = [old]
        assert new(self.key).load() == {"cat": 1}


class TestSize:
    def test_too_much_is_refused_and_nothing_is_lost(self) -> None:
        session = stored(cat=1)
        # Random enough to resist compression.
        session["much"] = "".join(sessions.id_of(str(n)) for n in range(MOST_BYTES // 20))
        with pytest.raises(sessions.SessionTooLargeError, match=f"one may hold {MOST_BYTES}"):
            session.save()
        assert again(session)["cat"] == 1

    def test_a_large_one_fits(self) -> None:
        session = stored(much="".join(sessions.id_of(str(n)) for n in range(MOST_BYTES // 100)))
        assert len(session.encode(dict(session.items()))) > MOST_BYTES / 4
        assert again(session)["much"] == session["much"]


class TestLists:
    def begin(self, user: User, device: str = "Firefox", *, seen: dt.datetime = NOW) -> SessionStore:
        with time_machine.travel(seen, tick=False):
            return stored(
                **{
                    SESSION_KEY: str(user.pk),
                    TENANT_KEY: user.tenant_id,
                    DEVICE_KEY: device,
                    ADDRESS_KEY: "192.0.2.1",
                    HASH_SESSION_KEY: "0123456789abcdef" * 4,
                }
            )

    def ids(self, listed: list[sessions.Listed]) -> list[str]:
        return [entry.id for entry in listed]

    def test_what_is_shown(self, employee: User) -> None:
        session = self.begin(employee)
        begun = NOW.replace(microsecond=0)
        assert sessions.driver().of_user(employee.tenant_id, employee.pk, NOW) == [
            sessions.Listed(
                id=session.id,
                user=employee.pk,
                tenant=employee.tenant_id,
                created=begun,
                seen=begun,
                expires=begun + LIFETIME,
                device="Firefox",
                address="192.0.2.1",
                good_for="0123456789abcdef",
            )
        ]

    def test_whose_and_in_which_order(
        self, make_user: Callable[..., User], other_tenant: Tenant, now: time_machine.Traveller
    ) -> None:
        driver = sessions.driver()
        me, colleague = make_user(), make_user()
        there, nowhere = make_user(tenant=other_tenant), make_user(tenant=None)
        mine = [self.begin(me, seen=NOW + dt.timedelta(minutes=n)).id for n in range(3)]
        before = NOW - dt.timedelta(minutes=1)
        theirs, far, alone = (self.begin(user, seen=before).id for user in (colleague, there, nowhere))
        stored(cat=1)  # of nobody
        assert self.ids(driver.of_user(me.tenant_id, me.pk, NOW)) == mine[::-1]
        assert self.ids(driver.of_tenant(me.tenant_id or 0, NOW)) == [*mine[::-1], theirs]
        assert self.ids(driver.of_tenant(other_tenant.pk, NOW)) == [far]
        assert self.ids(driver.of_user(None, nowhere.pk, NOW)) == [alone]
        assert driver.of_user(None, me.pk, NOW) == []

    def test_ids_that_begin_alike(self, make_user: Callable[..., User]) -> None:
        one, ten = make_user(id=71), make_user(id=710)
        session = self.begin(one)
        self.begin(ten)
        assert self.ids(sessions.driver().of_user(one.tenant_id, one.pk, NOW)) == [session.id]

    def test_what_is_over_is_not_shown(self, employee: User) -> None:
        self.begin(employee)
        assert sessions.driver().of_user(employee.tenant_id, employee.pk, NOW + LIFETIME) == []

    def test_ending_one(self, make_user: Callable[..., User]) -> None:
        me, colleague = make_user(), make_user()
        first, second = self.begin(me), self.begin(me)
        driver = sessions.driver()
        assert not driver.end(colleague.pk, first.id)
        assert not driver.end(me.pk, "0" * 64)
        assert driver.end(me.pk, first.id)
        assert not driver.end(me.pk, first.id)
        assert self.ids(driver.of_user(me.tenant_id, me.pk, NOW)) == [second.id]

    def test_a_tenant_of_many(self, employee: User, make_user: Callable[..., User]) -> None:
        began = {self.begin(employee, device="x" * 300).id for _ in range(150)}
        assert set(self.ids(sessions.driver().of_tenant(employee.tenant_id or 0, NOW))) == began
