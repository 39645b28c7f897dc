"""Every URL says in protection.URLS how it is protected, and keeps to it, whoever knocks."""

import io
import types
import zipfile
from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.http import FileResponse, HttpRequest, HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver, include, path, reverse
from django.urls.resolvers import RegexPattern
from django.utils.html import escape

from tests.conftest import EVERYTHING
from tests.tenancy.protection import (
    LOCKED_OUT,
    PLATFORM_ADMINS,
    TABLES,
    TENANT_ADMINS,
    URLS,
    VISITORS,
    Guard,
    Protection,
)
from tests.tenancy.world import World, told
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
def clients(world: World) -> dict[str, Client]:
    """A browser for each visitor; the suspended one had signed in before."""
    clients = {visitor: Client() for visitor in VISITORS}
    for visitor in VISITORS:
        if visitor != "nobody":
            clients[visitor].force_login(world.people[visitor].user)
    return clients


def whole(response: FileResponse) -> HttpResponse:
    """Return a file's answer with the file in it."""
    return HttpResponse(response.getvalue(), status=response.status_code, headers=dict(response.items()))


def readable(content: bytes) -> str:
    """Return the text of an answer; of a workbook, that of all its parts."""
    if not content.startswith(b"PK"):
        return content.decode(errors="replace")
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        return "".join(parts.read(name).decode(errors="replace") for name in parts.namelist())


def rows(question: str) -> dict[str, str]:
    """Return the answer to a question for pairs."""
    with connection.cursor() as cursor:
        cursor.execute(question)
        return dict(cursor.fetchall())


class Visit:
    """One request of one visitor, undone when it is answered. PostgreSQL knows no scope when it begins."""

    def __init__(
        self,
        world: World,
        clients: dict[str, Client],
        visitor: str,
        method: str,
        *,
        guard: Guard = Guard.OWN,
    ) -> None:
        self.world, self.visitor, self.method, self.guard = world, visitor, method, guard
        self.client = Client()
        self.client.cookies.update(clients[visitor].cookies)
        self.changed: set[str] = set()

    def answer(self, url: str, data: dict[str, object]) -> HttpResponse:
        question = self.digests_of_others()
        with transaction.atomic():
            # Each visit is undone: what was there before the first is there before all.
            before = self.world.before.get(question) or rows(question)
            self.world.before[question] = before
            told(None)
            response = getattr(self.client, self.method)(url, data if self.method == "post" else None)
            if isinstance(response, FileResponse):
                response = whole(response)
            told(EVERYTHING)
            after = rows(question)
            self.changed = {table for table in before if before[table] != after[table]}
            transaction.set_rollback(True)
        assert isinstance(response, HttpResponse)
        return response

    def digests_of_others(self) -> str:
        """Return the query for a digest of each table without the visitor's own rows.

        An admin's own are the tenant's.
        """
        if self.guard is Guard.ADMIN and self.visitor in TENANT_ADMINS:
            return self._digests(self._of_other_tenants)
        me = self.world.people[self.visitor].user.pk if self.visitor != "nobody" else 0
        return self._digests(
            lambda table, column: (
                f"{column} IS DISTINCT FROM {me}" if column == "user_id" or table == "users" else "true"
            )
        )

    def _of_other_tenants(self, table: str, column: str) -> str:
        tenant = self.world.people[self.visitor].user.tenant_id
        match table, column:
            case "users", _:
                return f"tenant_id IS DISTINCT FROM {tenant}"
            case _, "user_id":
                return f"user_id NOT IN (SELECT id FROM users WHERE tenant_id = {tenant})"
            case _, "":
                return "true"
            case _:
                return f"{column} IS DISTINCT FROM {tenant}"

    @staticmethod
    def _digests(condition: Callable[[str, str], str]) -> str:
        parts = [
            f"SELECT '{table}', md5(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t))::text) FROM {table} t"
            f" WHERE {condition(table, column)}"
            for table, column in TABLES.items()
            if table != "audit_events"
        ]
        return " UNION ALL ".join(parts)

    def leaks(self, response: HttpResponse, allowed: set[str]) -> set[str]:
        """Return the marks in body and headers that should not be there."""
        text = readable(response.content) + str(response.headers) + str(response.cookies)
        return {
            mark
            for mark in self.world.marks()
            if mark not in allowed and (mark in text or escape(mark) in text)
        }


def expected(protection: Protection, method: str, visitor: str, *, names_a_row: bool = False) -> int:
    status = protection.get if method == "get" else protection.post
    if (method, visitor) in protection.unless:
        return protection.unless[method, visitor]
    if protection.guard is not Guard.PUBLIC and visitor in LOCKED_OUT:
        return 302
    if protection.guard is Guard.OBJECT and visitor not in protection.may and status != 405:
        return 404
    if protection.guard is Guard.ADMIN and visitor not in TENANT_ADMINS:
        return 403
    if protection.guard is Guard.PLATFORM and visitor not in PLATFORM_ADMINS:
        return 403
    if protection.guard is Guard.ADMIN and names_a_row and visitor != "own_admin" and status != 405:
        return 404
    return status


def allowed(world: World, protection: Protection, visitor: str) -> set[str]:
    """Return the marks that the visitor may meet there."""
    marks = set(world.minutes)
    if protection.guard is Guard.PUBLIC or visitor in LOCKED_OUT:
        return marks
    me = world.people[visitor]
    marks |= me.marks | world.tenant_marks.get(me.user.tenant_id or 0, frozenset())
    if protection.guard is Guard.ADMIN and visitor in TENANT_ADMINS:
        colleagues = (p for p in world.people.values() if p.user.tenant_id == me.user.tenant_id)
        marks |= {mark for colleague in colleagues for mark in colleague.marks}
        for shown in protection.shows:
            marks |= world.people[shown].marks
    if protection.guard is Guard.PLATFORM and visitor in PLATFORM_ADMINS:
        marks |= whom_the_platform_knows(world)
        if protection.looks:
            here = (p for p in world.people.values() if p.user.tenant_id == world.here.pk)
            marks |= {mark for person in here for mark in person.marks}
    if visitor in protection.may:
        for shown in {"themselves", *protection.shows}:
            marks |= world.people[shown].marks
    return marks


def whom_the_platform_knows(world: World) -> set[str]:
    """Return the marks of tenants and their admins, but for what an admin has as somebody who works."""
    marks = {str(tenant.name) for tenant in (world.here, world.there)}
    marks |= {str(tenant.contact_email) for tenant in (world.here, world.there)}
    for admin in (world.own_admin.user, world.other_admin.user):
        marks |= {str(admin.last_name), str(admin.first_name), admin.email}
    return marks


@pytest.mark.usefixtures("barriers")
def test_whoever_knocks_sees_their_own(
    world: World,
    clients: dict[str, Client],
    subtests: pytest.Subtests,
) -> None:
    for name, protection in URLS.items():
        kwargs = protection.kwargs(world)
        names_a_row = protection.guard is Guard.OBJECT or (protection.guard is Guard.ADMIN and bool(kwargs))
        url = name if name.startswith("/") else reverse(name, kwargs=kwargs)
        data = protection.data(world)
        typed = {str(value) for value in data.values()}
        for visitor in VISITORS:
            for method in METHODS:
                with subtests.test(url=name, visitor=visitor, method=method):
                    visit = Visit(world, clients, visitor, method, guard=protection.guard)
                    response = visit.answer(url, data)
                    status = expected(protection, method, visitor, names_a_row=names_a_row)
                    assert response.status_code == status
                    assert visit.leaks(response, allowed(world, protection, visitor) | typed) == set()
                    assert visit.changed <= protection.changes or visitor in protection.may
                    if protection.guard is not Guard.PUBLIC and visitor in LOCKED_OUT:
                        assert response["Location"].startswith("/sign-in?next=")
                    if names_a_row and response.status_code == 404:
                        # Nor does the answer tell that there is such a row elsewhere.
                        nowhere = reverse(name, kwargs=dict.fromkeys(kwargs, NOWHERE))
                        missing = Visit(world, clients, visitor, method).answer(nowhere, data)
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


@pytest.mark.parametrize("name", ["admin:index", "admin:month_xlsx", "admin:month_csv", "admin:audit"])
def test_what_is_of_a_tenant_shows_its_people(world: World, clients: dict[str, Client], name: str) -> None:
    """Files, too, are searched for marks that are there."""
    visit = Visit(world, clients, "own_admin", "get", guard=Guard.ADMIN)
    seen = visit.leaks(visit.answer(reverse(name), {}), set())
    assert {str(world.people[who].user.last_name) for who in ("themselves", "colleague")} <= seen
