"""What a tenant's admins may change of work sessions, and what is refused at which field."""

import dataclasses
import datetime as dt
import zoneinfo
from collections.abc import Iterator

import pytest
import time_machine
from django.db import IntegrityError

from accounts.models import Role, User
from attendance import corrections
from attendance.actions import CLOCK_SKEW
from attendance.corrections import CorrectionError, Problem, Times
from attendance.models import WorkSession, WorkSessionHistory
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import MakeSession, MakeUser, japan

NOW = japan("2026-11-20 12:00:30")
SECOND = dt.timedelta(seconds=1)
MINUTE = dt.timedelta(minutes=1)
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="山田", first_name="太郎")


@pytest.fixture(autouse=True)
def _as_the_admin(
    admin: User, time_machine: time_machine.TimeMachineFixture, _everything_is_in_scope: None
) -> Iterator[None]:
    time_machine.move_to(NOW, tick=False)
    mine = Scope(
        reach=Reach.TENANT, door=Door.ADMIN, tenant=admin.tenant_id, user=admin.pk, reason="打刻忘れ"
    )
    with scope.enter(mine):
        yield


def span(start: str, end: str | None = None, *, end_unknown: bool = False) -> Times:
    return Times(japan(start), japan(end) if end else None, end_unknown)


def correct(session: WorkSession, times: Times, *, accepted: int = 0) -> WorkSession:
    session.refresh_from_db()
    return corrections.correct(session, times, seen=Times.of(session).text, accepted=accepted)


def stored() -> list[Times]:
    return [Times.of(session) for session in WorkSession.objects.order_by("start_time", "pk")]


def refused(error: pytest.ExceptionInfo[CorrectionError]) -> tuple[Problem, str | None]:
    return error.value.problem, error.value.field


def last_change() -> WorkSessionHistory:
    change = WorkSessionHistory.objects.order_by("-seq").first()
    assert change
    return change


class TestAdding:
    def test_a_day_that_nobody_punched(self, employee: User, admin: User) -> None:
        times = span("2026-11-19 09:00", "2026-11-19 18:00")
        session = corrections.add(employee, times)
        assert (session.user, stored()) == (employee, [times])
        told = last_change()
        assert (told.operation, told.actor_id, told.door, told.reason) == (
            "insert",
            admin.pk,
            "admin",
            "打刻忘れ",
        )

    def test_somebody_who_forgot_to_clock_in_and_is_at_work(self, employee: User) -> None:
        session = corrections.add(employee, span("2026-11-20 09:00"))
        assert session.is_running

    def test_an_end_that_nobody_knows(self, employee: User) -> None:
        corrections.add(employee, span("2026-11-18 09:00", end_unknown=True))
        assert stored() == [span("2026-11-18 09:00", end_unknown=True)]

    def test_an_end_that_is_known_and_unknown_makes_no_sense(self) -> None:
        with pytest.raises(ValueError, match="not unknown"):
            span("2026-11-18 09:00", "2026-11-18 18:00", end_unknown=True)

    def test_beside_others_there_is_room(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-19 08:00", "2026-11-19 09:00")
        make_session("2026-11-19 12:00", "2026-11-19 13:00")
        make_session("2026-11-19 10:00", "2026-11-19 10:00")  # takes no time
        make_session("2026-11-19 10:30", end_unknown=True)  # nor does this
        corrections.add(employee, span("2026-11-19 09:00", "2026-11-19 12:00"))
        assert len(stored()) == 5

    def test_other_peoples_are_not_in_the_way(
        self, employee: User, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        make_session("2026-11-19 09:00", "2026-11-19 18:00", user=make_user())
        corrections.add(employee, span("2026-11-19 09:00", "2026-11-19 18:00"))
        assert len(stored()) == 2

    def test_the_minute_that_the_one_before_ended_in(self, employee: User, make_session: MakeSession) -> None:
        """Pages show 12:00 for both; nobody who types it means the 45 seconds."""
        make_session("2026-11-19 09:00:10", "2026-11-19 12:00:45")
        corrections.add(employee, span("2026-11-19 12:00", "2026-11-19 13:00"))
        assert stored()[1] == span("2026-11-19 12:00:45", "2026-11-19 13:00")
        corrections.add(employee, span("2026-11-19 13:00", "2026-11-19 13:30"))
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span("2026-11-19 11:59", "2026-11-19 13:00"))
        assert refused(error) == (Problem.OVERLAP, "start")

    def test_somebody_beyond_the_scope_is_not_found(self, make_user: MakeUser) -> None:
        with scope.everything("a test arranges", user=-1):
            stranger = make_user(tenant=Tenant.objects.create(name="港工業"))
        with pytest.raises(User.DoesNotExist):
            corrections.add(stranger, span("2026-11-19 09:00", "2026-11-19 18:00"))


class TestRules:
    @pytest.mark.parametrize(
        ("start", "end", "field", "named"),
        [
            ("2026-11-19 08:00", "2026-11-19 09:01", "end", 0),
            ("2026-11-19 09:00", "2026-11-19 12:00", "start", 0),
            ("2026-11-19 11:59", "2026-11-19 12:30", "start", 0),
            ("2026-11-19 10:00", "2026-11-19 11:00", "start", 0),
            ("2026-11-19 08:00", "2026-11-19 20:00", "end", 0),
            ("2026-11-19 12:30", "2026-11-19 20:00", "end", 1),
            ("2026-11-19 12:30", None, "end", 1),
            ("2026-11-20 10:00", "2026-11-20 11:00", "start", 2),
            ("2026-11-20 08:00", "2026-11-20 09:30", "end", 2),
        ],
    )
    def test_an_overlap_names_the_other(
        self,
        employee: User,
        make_session: MakeSession,
        start: str,
        end: str | None,
        field: str,
        named: int,
    ) -> None:
        others = [
            make_session("2026-11-19 09:00", "2026-11-19 12:00"),
            make_session("2026-11-19 13:00", "2026-11-19 18:00"),
            make_session("2026-11-20 09:00"),
        ]
        before = stored()
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span(start, end))
        assert (refused(error), error.value.other) == ((Problem.OVERLAP, field), others[named])
        assert stored() == before

    def test_a_second_one_that_runs(self, employee: User, make_session: MakeSession) -> None:
        running = make_session("2026-11-20 09:00")
        for start in ("2026-11-20 08:00", "2026-11-20 10:00"):
            with pytest.raises(CorrectionError) as error:
                corrections.add(employee, span(start))
            assert (refused(error), error.value.other) == ((Problem.RUNNING, "end"), running)

    def test_the_end_before_the_start(self, employee: User, make_session: MakeSession) -> None:
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span("2026-11-19 09:00", "2026-11-19 08:59"))
        assert refused(error) == (Problem.ORDER, "end")
        session = make_session("2026-11-19 09:00", "2026-11-19 18:00")
        with pytest.raises(CorrectionError) as error:
            correct(session, span("2026-11-19 18:01", "2026-11-19 18:00"))
        assert refused(error) == (Problem.ORDER, "start")  # which is what was changed

    def test_what_is_still_to_come(self, employee: User) -> None:
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span("2026-11-20 12:01"))
        assert refused(error) == (Problem.FUTURE, "start")
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span("2026-11-20 09:00", "2026-11-20 12:01"))
        assert refused(error) == (Problem.FUTURE, "end")
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, Times(NOW + CLOCK_SKEW + SECOND, None))
        assert refused(error) == (Problem.FUTURE, "start")
        corrections.add(employee, Times(NOW + CLOCK_SKEW, None))

    def test_years_ago(self, employee: User, make_session: MakeSession) -> None:
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span("2016-11-19 09:00", "2016-11-19 18:00"))
        assert refused(error) == (Problem.LONG_AGO, "start")
        corrections.add(employee, span("2021-11-22 09:00", "2021-11-22 18:00"))
        # What an old file brought is not judged again by the time that nobody touches.
        imported = make_session("2016-11-19 09:00", end_unknown=True)
        correct(imported, span("2016-11-19 09:00", "2016-11-19 18:00"))

    @pytest.mark.parametrize("moment", ["0001-01-01T00:00+00:00", "9999-12-31T23:59+00:00"])
    def test_the_ends_of_the_calendar(self, employee: User, moment: str) -> None:
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, Times(dt.datetime.fromisoformat(moment), None))
        assert error.value.problem in {Problem.LONG_AGO, Problem.FUTURE}

    def test_more_than_a_day_is_asked_for(self, employee: User) -> None:
        times = span("2026-11-17 09:00", "2026-11-18 09:01")
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, times)
        assert (refused(error), error.value.minutes) == ((Problem.LONG, "end"), 24 * 60 + 1)
        with pytest.raises(CorrectionError):
            corrections.add(employee, span("2026-11-17 09:00", "2026-11-18 18:00"), accepted=24 * 60 + 1)
        corrections.add(employee, times, accepted=24 * 60 + 1)
        assert stored() == [times]
        corrections.add(employee, span("2026-11-15 09:00", "2026-11-16 09:00"))  # a day is a day

    def test_days_at_work_without_an_end_are_asked_for(self, employee: User) -> None:
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span("2026-11-19 11:59"))
        assert refused(error) == (Problem.LONG, "end")
        corrections.add(employee, span("2026-11-19 11:59"), accepted=error.value.minutes)


class TestCorrecting:
    def test_a_forgotten_clock_out(self, admin: User, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:02:10", end_unknown=True)
        corrected = correct(session, span("2026-11-19 09:02", "2026-11-19 18:00"))
        assert stored() == [Times.of(corrected)] == [span("2026-11-19 09:02:10", "2026-11-19 18:00")]
        told = last_change()
        assert told.before
        assert told.after
        assert (told.before["end_unknown"], told.after["end_unknown"]) == (True, False)
        assert (told.actor_id, told.reason) == (admin.pk, "打刻忘れ")

    def test_one_that_runs_ends(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-20 09:02:10")
        assert not correct(session, span("2026-11-20 09:02", "2026-11-20 11:30")).is_running
        assert stored() == [span("2026-11-20 09:02:10", "2026-11-20 11:30")]

    def test_a_clock_out_that_was_none_is_taken_back(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-20 09:00", "2026-11-20 11:00")
        assert correct(session, span("2026-11-20 09:00")).is_running

    def test_an_end_that_turns_out_to_be_unknown(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 23:59")
        correct(session, span("2026-11-19 09:00", end_unknown=True))
        assert stored() == [span("2026-11-19 09:00", end_unknown=True)]

    def test_both_times(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 18:00")
        correct(session, span("2026-11-19 08:30", "2026-11-19 17:30"))
        assert stored() == [span("2026-11-19 08:30", "2026-11-19 17:30")]

    def test_what_is_not_touched_keeps_its_seconds(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00:59.999999", "2026-11-19 18:00:01")
        correct(session, span("2026-11-19 09:00", "2026-11-19 17:00"))
        assert stored() == [span("2026-11-19 09:00:59.999999", "2026-11-19 17:00")]

    def test_an_end_in_the_minute_of_the_start(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00:30", "2026-11-19 18:00")
        correct(session, span("2026-11-19 09:00", "2026-11-19 09:00"))
        assert stored() == [span("2026-11-19 09:00:30", "2026-11-19 09:00:30")]

    def test_its_own_time_is_not_in_its_way(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 18:00")
        correct(session, span("2026-11-19 10:00", "2026-11-19 17:00"))
        assert stored() == [span("2026-11-19 10:00", "2026-11-19 17:00")]

    def test_nothing_new_is_said_and_leaves_no_trace(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00:10", "2026-11-19 18:00:10")
        rows = WorkSessionHistory.objects.count()
        with pytest.raises(CorrectionError) as error:
            correct(session, span("2026-11-19 09:00", "2026-11-19 18:00"))
        assert refused(error) == (Problem.NOTHING, None)
        assert WorkSessionHistory.objects.count() == rows

    def test_a_clock_out_in_the_meantime_is_shown_first(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-20 09:00")
        seen = Times.of(session).text
        WorkSession.objects.filter(pk=session.pk).update(end_time=japan("2026-11-20 11:58:20"))
        with pytest.raises(CorrectionError) as error:
            corrections.correct(session, span("2026-11-20 09:00", "2026-11-20 11:30"), seen=seen)
        other = error.value.other
        assert error.value.problem is Problem.MOVED_ON
        assert other
        assert Times.of(other) == span("2026-11-20 09:00", "2026-11-20 11:58:20")
        assert stored() == [Times.of(other)]
        corrections.correct(session, span("2026-11-20 09:00", "2026-11-20 11:30"), seen=Times.of(other).text)
        assert stored() == [span("2026-11-20 09:00", "2026-11-20 11:30")]

    def test_one_that_was_deleted_in_the_meantime(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-20 09:00")
        WorkSession.objects.filter(pk=session.pk).delete()
        for attempt in (
            lambda: corrections.correct(session, span("2026-11-20 09:30"), seen=Times.of(session).text),
            lambda: corrections.delete(session, seen=Times.of(session).text),
        ):
            with pytest.raises(CorrectionError) as error:
                attempt()
            assert error.value.problem is Problem.GONE

    def test_each_state_is_seen_as_another(self) -> None:
        states = [
            span("2026-11-20 09:00"),
            span("2026-11-20 09:00:00.000001"),
            span("2026-11-20 09:00", end_unknown=True),
            span("2026-11-20 09:00", "2026-11-20 10:00"),
        ]
        assert len({state.text for state in states}) == len(states)
        other_zone = dataclasses.replace(states[0], start=states[0].start.astimezone(NEW_YORK))
        assert other_zone.text == states[0].text


class TestDeleting:
    def test_it_goes_and_its_history_stays(self, admin: User, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 18:00")
        pk = session.pk
        corrections.delete(session, seen=Times.of(session).text)
        assert stored() == []
        told = last_change()
        assert (told.operation, told.work_session_id, told.actor_id, told.reason) == (
            "delete",
            pk,
            admin.pk,
            "打刻忘れ",
        )

    def test_not_if_it_is_another_than_was_shown(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-20 09:00")
        seen = Times.of(session).text
        WorkSession.objects.filter(pk=session.pk).update(end_time=japan("2026-11-20 11:58"))
        with pytest.raises(CorrectionError) as error:
            corrections.delete(session, seen=seen)
        assert error.value.problem is Problem.MOVED_ON
        assert len(stored()) == 1


class TestWhatTheDatabaseRefuses:
    """Should a rule have a gap, people read the same sentence. The rules are taken away to see that."""

    @pytest.fixture(autouse=True)
    def without_rules(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(corrections, "_checked", lambda _user, times, *_others: times)

    def test_an_overlap(self, employee: User, make_session: MakeSession) -> None:
        other = make_session("2026-11-19 09:00", "2026-11-19 12:00")
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span("2026-11-19 10:00", "2026-11-19 11:00"))
        assert (refused(error), error.value.other) == ((Problem.OVERLAP, "start"), other)
        assert isinstance(error.value.__cause__, IntegrityError)

    def test_a_second_one_that_runs(self, employee: User, make_session: MakeSession) -> None:
        other = make_session("2026-11-20 09:00")
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, span("2026-11-20 10:00"))
        assert (refused(error), error.value.other) == ((Problem.RUNNING, "end"), other)

    def test_the_order(self, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 18:00")
        with pytest.raises(CorrectionError) as error:
            correct(session, span("2026-11-19 09:00", "2026-11-19 08:00"))
        assert refused(error) == (Problem.ORDER, "end")

    def test_the_calendar(self, employee: User) -> None:
        with pytest.raises(CorrectionError) as error:
            corrections.add(employee, Times(dt.datetime(1, 1, 3, tzinfo=dt.UTC), None, True))
        assert refused(error) == (Problem.IMPOSSIBLE, None)

    def test_anything_else_is_no_sentence(self, employee: User) -> None:
        with (
            scope.enter(scope.current().replace(reason=None)),
            pytest.raises(IntegrityError, match="reason"),
        ):
            corrections.add(employee, span("2026-11-19 09:00", "2026-11-19 18:00"))


class TestTheFirstTimeAfterAStart:
    @pytest.mark.parametrize(
        ("start", "time", "expected"),
        [
            ("2026-11-19 09:02:10", "18:00", ["2026-11-19 18:00"]),
            ("2026-11-19 22:00", "06:30", ["2026-11-20 06:30"]),
            ("2026-11-19 09:02:10", "09:02", ["2026-11-19 09:02"]),
            ("2026-11-19 09:02:10", "09:01", ["2026-11-20 09:01"]),
        ],
    )
    def test_in_japan(self, start: str, time: str, expected: list[str]) -> None:
        found = corrections.first_after(
            japan(start), dt.time.fromisoformat(time), zoneinfo.ZoneInfo("Asia/Tokyo")
        )
        assert found == [japan(text) for text in expected]

    @pytest.mark.parametrize(
        ("start", "time", "expected"),
        [
            # Clocks there were put forward on 8 March 2026 at 2, and put back on 1 November at 2.
            ("2026-03-07T22:00-05:00", "02:30", []),
            ("2026-03-08T00:30-05:00", "02:30", []),
            ("2026-03-07T22:00-05:00", "03:30", ["2026-03-08T03:30-04:00"]),
            ("2026-10-31T22:00-04:00", "01:30", ["2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00"]),
            ("2026-11-01T01:45-04:00", "01:30", ["2026-11-01T01:30-05:00"]),
            ("2026-11-01T01:45-05:00", "01:30", ["2026-11-02T01:30-05:00"]),
        ],
    )
    def test_where_the_clocks_change(self, start: str, time: str, expected: list[str]) -> None:
        found = corrections.first_after(
            dt.datetime.fromisoformat(start), dt.time.fromisoformat(time), NEW_YORK
        )
        assert found == [dt.datetime.fromisoformat(text) for text in expected]
