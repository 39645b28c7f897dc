"""Many punches at the same moment, through the real pages and a real PostgreSQL."""

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import time_machine
from django.db import IntegrityError, connection, connections, transaction
from django.test import Client

from accounts.models import User
from attendance.actions import Outcome, clock_in, clock_out, take_turn
from attendance.models import NO_SESSION, WorkSession
from tenants import scope
from tests.concurrency.conftest import NOON
from tests.concurrency.racing import SECONDS, all_at_once
from tests.conftest import EVERYTHING, MakeUser, japan, own_scope
from tests.html import Page, ja
from timerecord.core import clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("noon")]

AT_ONCE = 20
ROUNDS = pytest.mark.parametrize("n", range(3))
IN, OUT = "/clock-in", "/clock-out"
MORNING = japan("2026-11-20 09:00")
CAME = "Clocked in at %(time)s."
WENT = "Clocked out at %(time)s. Thank you."
THERE = "You have been at work since %(time)s. Nothing was changed."
GONE = "You already clocked out at %(time)s. Nothing was changed."
HURRIED_IN = "You clocked out less than a minute ago. Did you mean to clock in again?"
HURRIED_OUT = "You clocked in less than a minute ago. Did you mean to clock out already?"
BLOCKED_BY_ME = "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"


def browser(user: User, path: str, seen: int, **data: str) -> Callable[[threading.Barrier], Page]:
    """Return what a browser of its own does: sign in, wait for the others, punch, follow the answer."""

    def send(barrier: threading.Barrier) -> Page:
        client = Client()
        client.force_login(user)  # that opened the connection, too
        barrier.wait()
        response = client.post(path, {"seen": seen, **data}, follow=True)
        assert response.status_code == 200
        return Page(response)

    return send


def answers(pages: list[Page]) -> Counter[str]:
    """Count the sentences that people were shown: each of them just one."""
    shown: Counter[str] = Counter()
    for page in pages:
        (sentence,) = page.messages or page.notes
        shown[sentence] += 1
    return shown


def clock_face(moment: dt.datetime | None, user: User) -> str:
    assert moment is not None
    return f"{moment.astimezone(user.zone):%H:%M}"


@ROUNDS
def test_twenty_clock_ins_leave_one_session(employee: User, n: int) -> None:
    pages = all_at_once([browser(employee, IN, NO_SESSION)] * AT_ONCE)
    session = WorkSession.objects.get()
    assert session.is_running
    time = clock_face(session.start_time, employee)
    assert answers(pages) == {ja(CAME, time=time): 1, ja(THERE, time=time): AT_ONCE - 1}
    assert {(page.heading, page.seen) for page in pages} == {("勤務中", str(session.pk))}


@ROUNDS
def test_twenty_clock_outs_end_it_once(employee: User, n: int) -> None:
    running = WorkSession.objects.create(user=employee, start_time=MORNING)
    pages = all_at_once([browser(employee, OUT, running.pk)] * AT_ONCE)
    session = WorkSession.objects.get()
    time = clock_face(session.end_time, employee)
    assert answers(pages) == {ja(WENT, time=time): 1, ja(GONE, time=time): AT_ONCE - 1}
    assert {(page.heading, page.seen) for page in pages} == {("勤務外", str(session.pk))}


@ROUNDS
def test_ins_and_outs_from_one_page_do_one_thing(employee: User, n: int) -> None:
    running = WorkSession.objects.create(user=employee, start_time=MORNING)
    half = AT_ONCE // 2
    does = [browser(employee, IN, running.pk), browser(employee, OUT, running.pk)] * half
    told = answers(all_at_once(does))
    session = WorkSession.objects.get()
    end = clock_face(session.end_time, employee)
    there = ja(THERE, time=clock_face(MORNING, employee))
    assert (told[ja(WENT, time=end)], told[ja(GONE, time=end)]) == (1, half - 1)
    # Those that came after the end are asked whether they mean it.
    assert told[there] + told[ja(HURRIED_IN)] == half
    assert told.total() == AT_ONCE


@ROUNDS
def test_everybody_gets_their_own(make_user: MakeUser, n: int) -> None:
    people = [make_user() for _ in range(AT_ONCE)]
    pages = all_at_once([browser(user, IN, NO_SESSION) for user in people])
    started = WorkSession.objects.running().order_by("user").values_list("user", "start_time")
    assert [user for user, _ in started] == [user.pk for user in people]
    assert answers(pages) == Counter(ja(CAME, time=clock_face(start, people[0])) for _, start in started)


@ROUNDS
def test_an_impatient_thumb_on_the_next_button(employee: User, n: int) -> None:
    running = WorkSession.objects.create(user=employee, start_time=clock.now())
    assert answers(all_at_once([browser(employee, OUT, running.pk)] * AT_ONCE)) == {ja(HURRIED_OUT): AT_ONCE}
    assert WorkSession.objects.get().is_running
    told = answers(all_at_once([browser(employee, OUT, running.pk, confirmed="yes")] * AT_ONCE))
    time = clock_face(WorkSession.objects.get().end_time, employee)
    assert told == {ja(WENT, time=time): 1, ja(GONE, time=time): AT_ONCE - 1}


def test_a_punch_that_waits_has_the_time_of_its_turn(
    employee: User, time_machine: time_machine.TimeMachineFixture
) -> None:
    """Were it the time of its arrival, it could begin before the end of the one it waited for."""
    time_machine.move_to(NOON, tick=True)

    def punch() -> tuple[Outcome, dt.datetime]:
        try:
            with scope.enter(own_scope(employee)):
                done = clock_in(employee, seen=NO_SESSION)
        finally:
            connections.close_all()
        assert done.session
        return done.outcome, done.session.start_time

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(), connection.cursor() as cursor:
            User.objects.select_for_update().get(pk=employee.pk)
            waiting = pool.submit(punch)
            is_waiting = False
            while not is_waiting and not waiting.done():
                cursor.execute(BLOCKED_BY_ME)
                is_waiting = cursor.fetchone() is not None
            assert is_waiting
            its_turn = clock.now()
        outcome, start = waiting.result(SECONDS)
    assert outcome is Outcome.CLOCKED_IN
    assert its_turn <= start <= clock.now()


class TestWithoutTheApplicationsLock:
    """Whoever forgets it, the database still refuses the second running session."""

    @ROUNDS
    def test_twenty_rows_written_at_once(self, employee: User, n: int) -> None:
        def write(barrier: threading.Barrier) -> str:
            connection.ensure_connection()
            barrier.wait()
            try:
                with scope.enter(own_scope(employee)):
                    WorkSession.objects.create(user=employee, start_time=clock.now())
            except IntegrityError as refused:
                return "one running" if "work_sessions_one_running" in str(refused) else str(refused)
            return "written"

        assert Counter(all_at_once([write] * AT_ONCE)) == {"written": 1, "one running": AT_ONCE - 1}
        assert WorkSession.objects.get().is_running

    def test_an_unknown_end_is_none_that_runs(self, employee: User) -> None:
        WorkSession.objects.create(user=employee, start_time=MORNING, end_unknown=True)
        WorkSession.objects.create(user=employee, start_time=MORNING)
        with (
            pytest.raises(IntegrityError, match="work_sessions_one_running"),
            transaction.atomic(),
        ):
            WorkSession.objects.filter(end_unknown=True).update(end_unknown=False)


def test_an_administrator_waits_for_a_punch_that_has_begun(
    employee: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the punch's look and its write; only a seam in the punch can hold it right there."""
    session = WorkSession.objects.create(user=employee, start_time=MORNING)

    def mark() -> None:
        try:
            with scope.enter(EVERYTHING):
                take_turn(employee)
                WorkSession.objects.filter(pk=session.pk).update(end_unknown=True)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        marking = []

        def meanwhile(earlier: dt.datetime, now: dt.datetime) -> dt.datetime:
            marking.append(pool.submit(mark))
            with connection.cursor() as cursor:
                while not marking[0].done():
                    cursor.execute(BLOCKED_BY_ME)
                    if cursor.fetchone():
                        break
            return max(earlier, now)

        monkeypatch.setattr("attendance.actions._not_before", meanwhile)
        assert clock_out(employee, seen=session.pk).outcome is Outcome.CLOCKED_OUT
        with pytest.raises(IntegrityError, match="work_sessions_end_unknown_check"):
            marking[0].result(SECONDS)
    session.refresh_from_db()
    assert session.end_time
    assert not session.end_unknown
