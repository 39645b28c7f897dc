"""Every URL says in protection.URLS how it is protected, and keeps to it, whoever knocks."""

import types
from collections.abc import Iterator

import pytest
import time_machine
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver, include, path, reverse
from django.urls.resolvers import RegexPattern
from django.utils.html import escape

from tests.conftest import EVERYTHING
from tests.tenancy.protection import LOCKED_OUT, TABLES, URLS, VISITORS, Guard, Protection
from tests.tenancy.world import NOW, World, make_world, take_the_first_barrier_away, told
from tests.test_urls import patterns

METHODS = ("get", "post")
NOWHERE = 9_000_000_000  # nobody's id


SAY = "say in tests/tenancy/protection.py how it is protected"


def named(resolver: URLResolver) -> set[str]:
    return {name for name, _path in patterns(resolver)}


def complaints(resolver: URLResolver) -> list[str]:
    """Return a line for each URL without an entry, and for each entry without a URL."""
    there = named(resolver)
    return [
        *(f"{name}: {SAY}" for name in sorted(there - set(URLS))),
        *(f"{name}: there is no such URL any more" for name in sorted(set(URLS) - there)),
    ]


def test_every_url_says_how_it_is_protected() -> None:
    assert complaints(get_resolver()) == []


def test_one_that_is_added_or_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    nested = ([path("deep/<int:pk>", leak, name="leak")], "nested")
    urlconf = types.ModuleType("with_more")
    urlconf.urlpatterns = [  # type: ignore[attr-defined]
        path("", include(settings.ROOT_URLCONF)),
        path("new/", include(nested)),
        path("bare", leak),
    ]
    before = complaints(get_resolver())
    added = set(complaints(URLResolver(RegexPattern(r"^/"), urlconf))) - set(before)
    assert added == {f"/bare: {SAY}", f"nested:leak: {SAY}"}
    monkeypatch.setitem(URLS, "attendance:was_once", Protection(guard=Guard.OWN, get=200, post=200))
    assert [*before, "attendance:was_once: there is no such URL any more"] == complaints(get_resolver())


@pytest.fixture
def world(db: None) -> Iterator[World]:
    with time_machine.travel(NOW, tick=False):
        yield make_world()


@pytest.fixture
def clients(world: World) -> dict[str, Client]:
    """A browser for each visitor; the suspended one had signed in before."""
    clients = {visitor: Client() for visitor in VISITORS}
    for visitor in VISITORS:
        if visitor != "nobody":
            clients[visitor].force_login(world.people[visitor].user)
    return clients


class Visit:
    """One request of one visitor, undone when it is answered. PostgreSQL knows no scope when it begins."""

    def __init__(self, world: World, clients: dict[str, Client], visitor: str, method: str) -> None:
        self.world, self.visitor, self.method = world, visitor, method
        self.client = Client()
        self.client.cookies.update(clients[visitor].cookies)
        self.changed: set[str] = set()

    def answer(self, url: str, data: dict[str, object]) -> HttpResponse:
        with transaction.atomic():
            before = self.rows_of_others()
            told(None)
            response = getattr(self.client, self.method)(url, data if self.method == "post" else None)
            told(EVERYTHING)
            after = self.rows_of_others()
            self.changed = {table for table in before if before[table] != after[table]}
            transaction.set_rollback(True)
        assert isinstance(response, HttpResponse)
        return response

    def rows_of_others(self) -> dict[str, str]:
        """Return a digest of each table without the visitor's own rows."""
        me = self.world.people[self.visitor].user.pk if self.visitor != "nobody" else 0
        parts = [
            f"SELECT '{table}', md5(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t))::text) FROM {table} t"
            + (f" WHERE {column} IS DISTINCT FROM {me}" if column == "user_id" or table == "users" else "")
            for table, column in TABLES.items()
            if table != "audit_events"
        ]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts))
            return dict(cursor.fetchall())

    def leaks(self, response: HttpResponse, allowed: set[str]) -> set[str]:
        """Return the marks in body and headers that should not be there."""
        text = response.content.decode() + str(response.headers) + str(response.cookies)
        return {
            mark
            for mark in self.world.marks()
            if mark not in allowed and (mark in text or escape(mark) in text)
        }


def expected(protection: Protection, method: str, visitor: str) -> int:
    status = protection.get if method == "get" else protection.post
    if (method, visitor) in protection.unless:
        return protection.unless[method, visitor]
    if protection.guard is not Guard.PUBLIC and visitor in LOCKED_OUT:
        return 302
    if protection.guard is Guard.OBJECT and visitor not in protection.may and status != 405:
        return 404
    return status


def allowed(world: World, protection: Protection, visitor: str) -> set[str]:
    """Return the marks that the visitor may meet there."""
    marks = set(world.minutes)
    if protection.guard is Guard.PUBLIC or visitor in LOCKED_OUT:
        return marks
    me = world.people[visitor]
    marks |= me.marks | world.tenant_marks.get(me.user.tenant_id or 0, frozenset())
    if visitor in protection.may:
        for shown in {"themselves", *protection.shows}:
            marks |= world.people[shown].marks
    return marks


@pytest.mark.parametrize("barriers", ["both", "the second alone"])
def test_whoever_knocks_sees_their_own(
    world: World,
    clients: dict[str, Client],
    subtests: pytest.Subtests,
    monkeypatch: pytest.MonkeyPatch,
    barriers: str,
) -> None:
    if barriers != "both":
        take_the_first_barrier_away(monkeypatch)
    for name, protection in URLS.items():
        is_object = protection.guard is Guard.OBJECT
        url = name if name.startswith("/") else reverse(name, kwargs=protection.kwargs(world))
        data = protection.data(world)
        typed = {str(value) for value in data.values()}
        for visitor in VISITORS:
            for method in METHODS:
                with subtests.test(url=name, visitor=visitor, method=method):
                    visit = Visit(world, clients, visitor, method)
                    response = visit.answer(url, data)
                    assert response.status_code == expected(protection, method, visitor)
                    assert visit.leaks(response, allowed(world, protection, visitor) | typed) == set()
                    assert visit.changed <= protection.changes or visitor in protection.may
                    if protection.guard is not Guard.PUBLIC and visitor in LOCKED_OUT:
                        assert response["Location"].startswith("/sign-in?next=")
                    if is_object and response.status_code == 404:
                        # Nor does the answer tell that there is such a row elsewhere.
                        kwargs = dict.fromkeys(protection.kwargs(world), NOWHERE)
                        again = Visit(world, clients, visitor, method)
                        missing = again.answer(reverse(name, kwargs=kwargs), data)
                        assert (missing.status_code, missing.content) == (404, response.content)


def test_the_marks_are_there_to_be_seen(world: World, clients: dict[str, Client]) -> None:
    """A page shows somebody's own marks, and a search of it without permissions would find them."""
    for visitor in ("themselves", "other_employee", "without_tenant"):
        visit = Visit(world, clients, visitor, "get")
        response = visit.answer("/", {})
        me = world.people[visitor]
        seen = visit.leaks(response, set())
        assert seen >= {str(me.user.last_name), min(me.marks & seen)}
        assert {mark for mark in seen if ":" in mark} == {mark for mark in me.marks if ":" in mark}
        assert seen <= me.marks | world.tenant_marks.get(me.user.tenant_id or 0, frozenset())


@pytest.mark.parametrize("visitor", ["themselves", "own_admin"])
def test_an_object_shows_what_it_is_there_for(world: World, clients: dict[str, Client], visitor: str) -> None:
    for name, protection in URLS.items():
        if protection.guard is Guard.OBJECT and visitor in protection.may:
            visit = Visit(world, clients, visitor, "get")
            response = visit.answer(reverse(name, kwargs=protection.kwargs(world)), {})
            assert "because-themselves-q" in visit.leaks(response, set()), name
