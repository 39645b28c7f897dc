import datetime as dt

import pytest
import time_machine

from accounts.models import User
from attendance.actions import HURRY, Outcome, clock_in, clock_out
from attendance.models import NO_SESSION, WorkSession
from tenants.models import Tenant
from tests.conftest import MakeSession, MakeUser, japan

NOW = japan("2026-11-20 12:00:00.123456")
TICK = dt.timedelta(microseconds=1)
SKEW = dt.timedelta(seconds=5)


@pytest.fixture(autouse=True)
def noon(time_machine: time_machine.TimeMachineFixture) -> None:
    time_machine.move_to(NOW, tick=False)


def at(moment: dt.datetime) -> time_machine.travel:
    return time_machine.travel(moment, tick=False)


def rows() -> list[tuple[object, ...]]:
    return list(WorkSession.objects.order_by("pk").values_list())


def only() -> WorkSession:
    return WorkSession.objects.get()


def session_of(user: User, start: dt.datetime, end: dt.datetime | None = None) -> WorkSession:
    return WorkSession.objects.create(user=user, start_time=start, end_time=end)


class TestClockIn:
    def test_the_first_time(self, employee: User) -> None:
        punch = clock_in(employee, seen=NO_SESSION)
        assert punch.outcome is Outcome.CLOCKED_IN
        assert punch.session == only()
        assert (only().user, only().start_time, only().end_time, only().end_unknown) == (
            employee, NOW, None, False,
        )  # fmt: skip

    def test_again_after_a_work_session(self, employee: User, make_session: MakeSession) -> None:
        last = make_session("2026-11-20 08:00", "2026-11-20 11:00")
        punch = clock_in(employee, seen=last.pk)
        assert punch.outcome is Outcome.CLOCKED_IN
        assert [(s.start_time, s.end_time) for s in WorkSession.objects.order_by("start_time")] == [
            (last.start_time, last.end_time),
            (NOW, None),
        ]

    @pytest.mark.parametrize("seen", ["the running one", "nothing", "garbage"])
    def test_at_work_changes_nothing_whatever_the_page_showed(
        self, employee: User, make_session: MakeSession, seen: str
    ) -> None:
        running = make_session("2026-11-20 09:00")
        before = rows()
        ids = {"the running one": running.pk, "nothing": NO_SESSION, "garbage": -1}
        punch = clock_in(employee, seen=ids[seen], confirmed=True)
        assert (punch.outcome, punch.session) == (Outcome.ALREADY_IN, running)
        assert rows() == before

    def test_a_retry_that_arrives_after_the_clock_out_is_stale(self, employee: User) -> None:
        with at(NOW - 4 * HURRY):
            came = clock_in(employee, seen=NO_SESSION).session
        assert came
        with at(NOW - 2 * HURRY):
            assert clock_out(employee, seen=came.pk).outcome is Outcome.CLOCKED_OUT
        before = rows()
        punch = clock_in(employee, seen=NO_SESSION)
        assert (punch.outcome, punch.session) == (Outcome.STALE, came)
        assert rows() == before
        assert clock_in(employee, seen=NO_SESSION, confirmed=True).outcome is Outcome.STALE
        assert rows() == before

    @pytest.mark.parametrize("seen", [-1, NO_SESSION, 10**30])
    def test_a_page_that_showed_anything_else_is_stale(
        self, employee: User, make_session: MakeSession, seen: int
    ) -> None:
        make_session("2026-11-20 08:00", "2026-11-20 09:00")
        before = rows()
        assert clock_in(employee, seen=seen).outcome is Outcome.STALE
        assert rows() == before

    def test_an_id_that_the_page_cannot_have_shown_while_there_is_no_session(self, employee: User) -> None:
        assert clock_in(employee, seen=7).outcome is Outcome.STALE
        assert rows() == []

    def test_the_page_of_an_older_session_is_stale(self, employee: User, make_session: MakeSession) -> None:
        older = make_session("2026-11-19 08:00", "2026-11-19 09:00")
        newer = make_session("2026-11-20 08:00", "2026-11-20 09:00")
        punch = clock_in(employee, seen=older.pk)
        assert (punch.outcome, punch.session) == (Outcome.STALE, newer)

    def test_an_unknown_end_blocks_nothing(self, employee: User, make_session: MakeSession) -> None:
        forgotten = make_session("2026-11-20 11:59:30", end_unknown=True)
        assert clock_in(employee, seen=NO_SESSION).outcome is Outcome.STALE
        punch = clock_in(employee, seen=forgotten.pk)
        assert punch.outcome is Outcome.CLOCKED_IN
        assert [s.end_unknown for s in WorkSession.objects.order_by("start_time")] == [True, False]

    def test_without_a_tenant_nobody_answers_for_the_records(self, make_user: MakeUser) -> None:
        alone = make_user(tenant=None)
        punch = clock_in(alone, seen=NO_SESSION, confirmed=True)
        assert (punch.outcome, punch.session) == (Outcome.REFUSED, None)
        assert rows() == []

    def test_other_peoples_sessions_do_not_matter(
        self, employee: User, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 09:00", user=make_user())
        assert clock_in(employee, seen=NO_SESSION).outcome is Outcome.CLOCKED_IN
        assert WorkSession.objects.running().count() == 2


class TestClockOut:
    def test_the_running_one_ends(self, employee: User, make_session: MakeSession) -> None:
        running = make_session("2026-11-20 09:00:10.5")
        punch = clock_out(employee, seen=running.pk)
        assert (punch.outcome, punch.session) == (Outcome.CLOCKED_OUT, running)
        assert punch.session
        assert punch.session.end_time == only().end_time == NOW
        assert only().start_time == japan("2026-11-20 09:00:10.5")

    def test_with_no_session_at_all(self, employee: User) -> None:
        punch = clock_out(employee, seen=NO_SESSION)
        assert (punch.outcome, punch.session) == (Outcome.ALREADY_OUT, None)
        assert rows() == []

    @pytest.mark.parametrize("confirmed", [False, True])
    def test_a_retry_finds_that_it_is_done(
        self, employee: User, make_session: MakeSession, confirmed: bool
    ) -> None:
        running = make_session("2026-11-20 09:00")
        with at(NOW - 2 * HURRY):
            clock_out(employee, seen=running.pk)
        before = rows()
        punch = clock_out(employee, seen=running.pk, confirmed=confirmed)
        assert (punch.outcome, punch.session) == (Outcome.ALREADY_OUT, running)
        assert rows() == before

    def test_a_retry_that_arrives_after_the_next_clock_in_is_stale(
        self, employee: User, make_session: MakeSession
    ) -> None:
        ended = make_session("2026-11-20 09:00", "2026-11-20 10:00")
        running = make_session("2026-11-20 11:00")
        before = rows()
        punch = clock_out(employee, seen=ended.pk, confirmed=True)
        assert (punch.outcome, punch.session) == (Outcome.STALE, running)
        assert rows() == before

    @pytest.mark.parametrize("seen", [-1, NO_SESSION, 10**30])
    def test_a_page_that_showed_anything_else_is_stale(
        self, employee: User, make_session: MakeSession, seen: int
    ) -> None:
        make_session("2026-11-20 09:00")
        before = rows()
        assert clock_out(employee, seen=seen).outcome is Outcome.STALE
        assert rows() == before

    def test_an_unknown_end_is_not_ended(self, employee: User, make_session: MakeSession) -> None:
        forgotten = make_session("2026-11-19 09:00", end_unknown=True)
        before = rows()
        punch = clock_out(employee, seen=forgotten.pk)
        assert (punch.outcome, punch.session) == (Outcome.ALREADY_OUT, forgotten)
        assert rows() == before

    def test_who_lost_the_tenant_can_still_go_home(self, employee: User, make_session: MakeSession) -> None:
        running = make_session("2026-11-20 09:00")
        Tenant.objects.all().delete()
        employee.refresh_from_db()
        assert not employee.can_punch
        assert clock_in(employee, seen=running.pk).outcome is Outcome.REFUSED
        assert clock_out(employee, seen=running.pk).outcome is Outcome.CLOCKED_OUT

    def test_the_running_one_ends_even_if_another_started_later(
        self, employee: User, make_session: MakeSession
    ) -> None:
        running = make_session("2026-11-20 09:00")
        make_session("2026-11-20 10:00", end_unknown=True)
        make_session("2026-11-20 10:30", "2026-11-20 10:30")
        assert clock_out(employee, seen=running.pk).outcome is Outcome.CLOCKED_OUT
        running.refresh_from_db()
        assert running.end_time == NOW

    def test_other_peoples_sessions_keep_running(
        self, employee: User, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        theirs = make_session("2026-11-20 08:00", user=make_user())
        mine = make_session("2026-11-20 09:00")
        assert clock_out(employee, seen=theirs.pk).outcome is Outcome.STALE
        assert clock_out(employee, seen=mine.pk).outcome is Outcome.CLOCKED_OUT
        theirs.refresh_from_db()
        assert theirs.is_running


class TestWithinAMinute:
    """An impatient thumb, or a page sent twice, must not undo what it did a moment ago."""

    @pytest.mark.parametrize("passed", [dt.timedelta(), dt.timedelta(seconds=1), HURRY - TICK])
    def test_clocking_out_asks_first(self, employee: User, passed: dt.timedelta) -> None:
        running = session_of(employee, NOW - passed)
        before = rows()
        punch = clock_out(employee, seen=running.pk)
        assert (punch.outcome, punch.session) == (Outcome.ASK, running)
        assert rows() == before
        assert clock_out(employee, seen=running.pk, confirmed=True).outcome is Outcome.CLOCKED_OUT
        assert only().end_time == NOW

    def test_a_minute_later_clocking_out_does_not_ask(self, employee: User) -> None:
        running = session_of(employee, NOW - HURRY)
        assert clock_out(employee, seen=running.pk).outcome is Outcome.CLOCKED_OUT

    @pytest.mark.parametrize("passed", [dt.timedelta(), dt.timedelta(seconds=1), HURRY - TICK])
    def test_clocking_in_again_asks_first(self, employee: User, passed: dt.timedelta) -> None:
        ended = session_of(employee, NOW - 3 * HURRY, NOW - passed)
        before = rows()
        punch = clock_in(employee, seen=ended.pk)
        assert (punch.outcome, punch.session) == (Outcome.ASK, ended)
        assert rows() == before
        assert clock_in(employee, seen=ended.pk, confirmed=True).outcome is Outcome.CLOCKED_IN
        assert WorkSession.objects.running().get().start_time == NOW

    def test_a_minute_later_clocking_in_does_not_ask(self, employee: User) -> None:
        ended = session_of(employee, NOW - 3 * HURRY, NOW - HURRY)
        assert clock_in(employee, seen=ended.pk).outcome is Outcome.CLOCKED_IN

    def test_a_stale_page_is_told_so_rather_than_asked(self, employee: User) -> None:
        session_of(employee, NOW - 3 * HURRY, NOW - TICK)
        assert clock_in(employee, seen=NO_SESSION).outcome is Outcome.STALE

    def test_a_minute_is_what_a_person_would_call_one(self) -> None:
        assert dt.timedelta(seconds=60) == HURRY


class TestTwoServersClocks:
    """The last punch was recorded by a server whose clock is a little ahead of this one's."""

    @pytest.mark.parametrize("ahead", [TICK, SKEW])
    def test_clocking_in_takes_the_instant_of_the_clock_out(
        self, employee: User, ahead: dt.timedelta
    ) -> None:
        ended = session_of(employee, NOW - 3 * HURRY, NOW + ahead)
        assert clock_in(employee, seen=ended.pk).outcome is Outcome.ASK
        assert clock_in(employee, seen=ended.pk, confirmed=True).outcome is Outcome.CLOCKED_IN
        assert WorkSession.objects.running().get().start_time == NOW + ahead

    def test_further_ahead_the_time_is_taken(self, employee: User) -> None:
        ended = session_of(employee, NOW - 3 * HURRY, NOW + SKEW + TICK)
        before = rows()
        punch = clock_in(employee, seen=ended.pk, confirmed=True)
        assert (punch.outcome, punch.session) == (Outcome.REFUSED, ended)
        assert rows() == before

    @pytest.mark.parametrize("ahead", [TICK, SKEW])
    def test_clocking_out_takes_the_instant_of_the_clock_in(
        self, employee: User, ahead: dt.timedelta
    ) -> None:
        running = session_of(employee, NOW + ahead)
        assert clock_out(employee, seen=running.pk).outcome is Outcome.ASK
        assert clock_out(employee, seen=running.pk, confirmed=True).outcome is Outcome.CLOCKED_OUT
        assert only().end_time == only().start_time == NOW + ahead

    def test_further_ahead_nothing_can_end_before_it_starts(self, employee: User) -> None:
        running = session_of(employee, NOW + SKEW + TICK)
        before = rows()
        punch = clock_out(employee, seen=running.pk, confirmed=True)
        assert (punch.outcome, punch.session) == (Outcome.REFUSED, running)
        assert punch.session
        assert punch.session.is_running
        assert rows() == before


def test_time_that_an_administrator_has_filled_ahead_is_refused(
    employee: User, make_session: MakeSession
) -> None:
    planned = make_session("2026-11-20 13:00", "2026-11-20 14:00")
    before = rows()
    punch = clock_in(employee, seen=planned.pk)
    assert (punch.outcome, punch.session) == (Outcome.REFUSED, planned)
    assert rows() == before
    with at(japan("2026-11-20 14:30")):  # and nothing is left of it once that has passed
        assert clock_in(employee, seen=planned.pk).outcome is Outcome.CLOCKED_IN


def test_a_day_of_punches(employee: User) -> None:
    times = ["09:00:12.000001", "12:00:59.999999", "13:00:00", "18:30:30.5"]
    seen = NO_SESSION
    for clock, punch in zip(times, [clock_in, clock_out] * 2, strict=True):
        with at(japan(f"2026-11-20 {clock}")):
            session = punch(employee, seen=seen).session
        assert session
        seen = session.pk
    assert list(WorkSession.objects.order_by("pk").values_list("start_time", "end_time")) == [
        (japan("2026-11-20 09:00:12.000001"), japan("2026-11-20 12:00:59.999999")),
        (japan("2026-11-20 13:00:00"), japan("2026-11-20 18:30:30.5")),
    ]
