"""The database stops and starts again, as for maintenance or a failover, while somebody clocks in."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import connection, connections
from django.test import Client
from pytest_django import DjangoDbBlocker

from accounts.models import Role, User
from attendance.models import NO_SESSION, WorkSession
from tenants import scope
from tenants.models import Tenant
from tests.conftest import EVERYTHING, japan
from tests.html import Page, ja
from tests.postgresql import OwnServer, answer, own_server

IN, OUT, HOME = "/clock-in", "/clock-out", "/"
SEE_OTHER, UNAVAILABLE = 303, 503
ATTEMPTS = 3  # of somebody who does as the page says


@pytest.fixture(scope="module")
def database() -> Iterator[OwnServer]:
    with own_server(content="tables") as own:
        yield own


@pytest.fixture
def server(
    database: OwnServer, django_db_blocker: DjangoDbBlocker, time_machine: time_machine.TimeMachineFixture
) -> Iterator[OwnServer]:
    """The application, led to a server that may be stopped."""
    time_machine.move_to(japan("2026-11-20 12:00:05"), tick=True)
    with django_db_blocker.unblock(), database.in_place_of_the_tests("default"):
        yield database


@pytest.fixture
def employee(server: OwnServer, request: pytest.FixtureRequest) -> User:
    with scope.enter(EVERYTHING):
        return User.objects.create(
            tenant=Tenant.objects.create(name="青空商店"),
            role=Role.EMPLOYEE,
            email=f"{abs(hash(request.node.name))}@example.com",
        )


@pytest.fixture
def client(employee: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(employee)
    assert answer(client, "get", HOME) == 200
    return client


def sessions_of(user: User) -> list[tuple[bool, int]]:
    """Return whether each work session is running, and how many rows of history it has."""
    with scope.enter(EVERYTHING), connection.cursor() as cursor:
        cursor.execute(
            "SELECT end_time IS NULL,"
            " (SELECT count(*) FROM work_session_history h WHERE h.work_session_id = s.id)"
            " FROM work_sessions s WHERE user_id = %s ORDER BY id",
            [user.pk],
        )
        return list(cursor.fetchall())


def test_between_two_invocations_nobody_notices(server: OwnServer, client: Client, employee: User) -> None:
    assert answer(client, "post", IN, {"seen": NO_SESSION}) == SEE_OTHER
    before = connection.connection
    server.restart()
    assert connection.connection is before  # the process still believes in it
    assert answer(client, "get", HOME) == 200
    server.restart()
    with scope.enter(EVERYTHING):
        running = WorkSession.objects.in_scope().get(user=employee)
    server.restart()
    assert answer(client, "post", OUT, {"seen": running.pk, "confirmed": "1"}) == SEE_OTHER
    assert sessions_of(employee) == [(False, 2)]


def test_while_it_is_away_a_page_says_so(server: OwnServer, client: Client, employee: User) -> None:
    server.server.stop()
    try:
        response = client.post(IN, {"seen": NO_SESSION})
        assert (response.status_code, response["Retry-After"]) == (UNAVAILABLE, "10")
        assert Page(response).heading == ja("The service is busy at the moment")
        assert settings.SESSION_COOKIE_NAME not in response.cookies  # still signed in
    finally:
        server.server.start()
    assert answer(client, "post", IN, {"seen": NO_SESSION}) == SEE_OTHER
    assert sessions_of(employee) == [(True, 1)]


def around_the_insert(strike: Callable[[], None], *, before: bool) -> Any:
    def wrapper(execute: Any, statement: str, *arguments: Any) -> Any:
        hit = statement.startswith('INSERT INTO "work_sessions"')
        if hit and before:
            strike()
        result = execute(statement, *arguments)
        if hit and not before:
            strike()
        return result

    return connection.execute_wrapper(wrapper)


@contextlib.contextmanager
def around_the_commit(strike: Callable[[], None], *, before: bool) -> Iterator[None]:
    kept = connections["default"]
    commit = kept.commit

    def wrapped() -> None:
        if before:
            strike()
        commit()
        if not before:
            strike()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "commit", wrapped)
        yield


Strike = Callable[[], None]
MOMENTS: dict[str, Callable[[Strike], contextlib.AbstractContextManager[None]]] = {
    "before the row is written": lambda strike: around_the_insert(strike, before=True),
    "after the row is written": lambda strike: around_the_insert(strike, before=False),
    "before the transaction ends": lambda strike: around_the_commit(strike, before=True),
    "after it has ended": lambda strike: around_the_commit(strike, before=False),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_in_the_middle_of_a_punch_it_costs_one_page_at_most(
    server: OwnServer, client: Client, employee: User, moment: str
) -> None:
    """Whoever taps again, as the page says that they may, has clocked in once."""
    struck = 0

    def strike() -> None:
        nonlocal struck
        struck += 1
        if struck == 1:
            server.restart()

    with MOMENTS[moment](strike):
        answers = [answer(client, "post", IN, {"seen": NO_SESSION})]
    while answers[-1] == UNAVAILABLE and len(answers) < ATTEMPTS:
        answers.append(answer(client, "post", IN, {"seen": NO_SESSION}))
    assert struck
    assert answers in ([UNAVAILABLE, SEE_OTHER], [SEE_OTHER])
    assert sessions_of(employee) == [(True, 1)]
    response = client.get(HOME)
    assert Page(response).heading == "勤務中"
