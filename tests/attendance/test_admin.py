"""The tenant admin's pages of work sessions: the list, adding, correcting, deleting, the history."""

import datetime as dt
import re

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role, User
from attendance.corrections import Times
from attendance.models import WorkSession, WorkSessionHistory
from tenants.models import Tenant
from tests.conftest import MakeSession, MakeUser, japan
from tests.html import Page, fields_of, ja, text_of

pytestmark = pytest.mark.django_db

NOW = japan("2026-11-20 12:00:30")
LIST = "/admin/attendance/worksession/"
ADD = f"{LIST}add/"
WHY = "打刻忘れ"


@pytest.fixture(autouse=True)
def noon(time_machine: time_machine.TimeMachineFixture) -> None:
    time_machine.move_to(NOW, tick=False)


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="山田", first_name="太郎")


class Office:
    """The admin at a browser without scripts, who sends what the page has, but for what they type."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get(self, path: str) -> Page:
        response = self.client.get(path)
        assert response.status_code == 200
        return Page(response)

    def send(self, path: str, **typed: str) -> Page:
        data = {**fields_of(self.get(path)), **typed}
        return self.post(path, data)

    def post(self, path: str, data: dict[str, str]) -> Page:
        response = self.client.post(path, data, follow=True)
        assert response.status_code == 200
        return Page(response)


@pytest.fixture
def office(client: Client, admin: User) -> Office:
    client.force_login(admin)
    return Office(client)


def errors(page: Page) -> dict[str, str]:
    """Return what is said at each field; at "" of the whole form."""
    said = {}
    for box in page.root.iter():
        if box.get("id", "").endswith("_error"):
            said[box.get("id", "").removeprefix("id_").removesuffix("_error")] = text_of(box)
    general = [text for text in page.notes if text not in page.messages][1:]
    return said | ({"": " ".join(general)} if general else {})


def rows(page: Page) -> list[list[str]]:
    return [[text_of(cell) for cell in row] for row in page.all(".//table[@id='result_list']/tbody/tr")]


def change(session: WorkSession) -> str:
    return f"{LIST}{session.pk}/change/"


def deed(session: WorkSession, name: str) -> str:
    return f"{LIST}{session.pk}/{name}/"


def stored() -> list[Times]:
    return [Times.of(session) for session in WorkSession.objects.order_by("start_time", "pk")]


def span(start: str, end: str | None = None, *, end_unknown: bool = False) -> Times:
    return Times(japan(start), japan(end) if end else None, end_unknown)


class TestList:
    def test_each_kind_of_row(self, office: Office, make_session: MakeSession) -> None:
        make_session("2026-11-20 09:02:10")
        make_session("2026-11-19 22:04", "2026-11-20 06:31")
        make_session("2026-11-18 09:00", end_unknown=True)
        make_session("2026-11-17 00:00", "2026-11-17 08:05")
        page = office.get(LIST)
        (link,) = page.all(".//td[@class='field-end']/a")
        assert office.get(link.get("href", "")).heading == ja("Enter the clock-out")
        corrected = ja("corrected")  # the tests arrange through the door of commands
        assert rows(page) == [
            ["佐藤 花子", "11月20日(金)", "09:02", ja("at work"), "2:58", corrected],
            ["佐藤 花子", "11月19日(木)", "22:04", "翌 06:31", "8:27", corrected],
            ["佐藤 花子", "11月18日(水)", "09:00", ja("clock-out forgotten"), "", corrected],
            ["佐藤 花子", "11月17日(火)", "00:00", "08:05", "8:05", corrected],
        ]

    def test_a_punch_is_no_correction(self, office: Office, employee: User) -> None:
        client = Client()
        client.force_login(employee)
        client.post("/clock-in", {"seen": 0})
        assert rows(office.get(LIST))[0][-1] == ""
        office.send(deed(WorkSession.objects.get(), "end"), end="12:00", reason=WHY)
        assert rows(office.get(LIST))[0][-1] == ja("corrected")

    def test_the_month_that_it_is_and_others(self, office: Office, make_session: MakeSession) -> None:
        make_session("2026-10-31 23:59", "2026-11-01 08:00")
        make_session("2026-11-01 00:00:00", end_unknown=True)
        assert [row[1] for row in rows(office.get(LIST))] == ["11月1日(日)"]
        assert [row[1] for row in rows(office.get(f"{LIST}?date=2026-10"))] == ["10月31日(土)"]
        assert [row[1] for row in rows(office.get(f"{LIST}?date=2026-11-01"))] == ["11月1日(日)"]
        assert rows(office.get(f"{LIST}?date=2026-11-02")) == []
        for nonsense in ("2026-13", "2026-11-31", "0001-01", "9999-12", "x", "2026-11-1", "２０２６-11"):
            assert rows(office.get(f"{LIST}?date={nonsense}")) == []

    def test_the_dates_lead_to_each_other(self, office: Office) -> None:
        page = office.get(f"{LIST}?date=2026-11&user=")
        (years, months, days) = [
            [(text_of(link), link.get("href", "")) for link in group.iter("a")]
            for group in page.all(".//nav[@class='filters']/div[@role='group']")
        ]
        assert [text for text, _link in years] == ["2025年", "2026年"]
        assert [text for text, _link in months] == [f"{n}月" for n in range(1, 12)]
        assert [text for text, _link in days] == [ja("All"), *(str(n) for n in range(1, 21))]
        assert "date=2025-11" in years[0][1]
        for _text, link in (*years, *months, *days):
            assert office.client.get(LIST + link).status_code == 200
        page = office.get(f"{LIST}?date=2026-11-02")
        (_years, _months, again) = page.all(".//nav[@class='filters']/div[@role='group']")
        assert [text_of(link) for link in again.iter("a")] == [text for text, _link in days]
        back = office.get(f"{LIST}?date=2025-11-30")
        (_years, all_months, all_days) = back.all(".//nav[@class='filters']/div[@role='group']")
        assert (len(list(all_months.iter("a"))), len(list(all_days.iter("a")))) == (12, 31)

    def test_by_employee_state_and_name(
        self,
        office: Office,
        employee: User,
        make_user: MakeUser,
        make_session: MakeSession,
        other_tenant: Tenant,
    ) -> None:
        stranger = make_user(tenant=other_tenant, last_name="余所")
        make_session("2026-11-19 09:00", user=stranger)
        suzuki = make_user(last_name="鈴木", first_name="太郎")
        make_session("2026-11-20 09:00")
        make_session("2026-11-18 09:00", "2026-11-18 18:00")
        make_session("2026-11-17 09:00", user=suzuki)  # for three days
        make_session("2026-11-16 09:00", user=suzuki, end_unknown=True)

        def found(query: str) -> list[str]:
            return [f"{row[0]} {row[1]}" for row in rows(office.get(f"{LIST}?{query}"))]

        assert found(f"user={suzuki.pk}") == ["鈴木 太郎 11月17日(火)", "鈴木 太郎 11月16日(月)"]
        assert found("q=佐藤") == ["佐藤 花子 11月20日(金)", "佐藤 花子 11月18日(水)"]
        assert found("state=running") == ["佐藤 花子 11月20日(金)"]
        assert found("state=forgotten") == ["鈴木 太郎 11月17日(火)", "鈴木 太郎 11月16日(月)"]
        assert len(found("state=corrected")) == 4
        assert found(f"state=forgotten&user={employee.pk}") == []
        assert len(found("q=&user=&state=&date=")) == 4  # as the form sends it
        assert found("state=x") == found("user=x") == found(f"user={stranger.pk}") == []
        assert "余所" not in office.get(LIST).html

    def test_the_search_keeps_what_was_chosen(self, office: Office, employee: User) -> None:
        page = office.get(f"{LIST}?user={employee.pk}&state=running&date=2026-10&q=佐")
        (form,) = page.all(".//form[@role='search']")
        chosen = [option.get("value") for option in form.iter("option") if "selected" in option.attrib]
        typed = {box.get("name"): box.get("value") for box in form.iter("input")}
        assert chosen == [str(employee.pk), "running"]
        assert typed == {"q": "佐", "date": "2026-10"}

    def test_nothing_yet(self, office: Office) -> None:
        assert (
            ja("Nothing was recorded in this month. Clock-ins appear here at once.") in office.get(LIST).html
        )

    def test_forgotten_clock_outs_stand_above_whatever_is_chosen(
        self, office: Office, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 09:00")  # at work
        make_session("2026-11-19 19:00", user=make_user(last_name="田中"))  # for 17 hours
        make_session("2026-10-31 09:00", user=make_user(last_name="加藤"))
        page = office.get(f"{LIST}?state=running")
        (section,) = page.all(".//section[@aria-labelledby='forgotten']")
        told = [text_of(line) for line in section.iter("li")]
        assert [re.split(" 11月| 10月", line)[0] for line in told] == ["田中 花子", "加藤 花子"]
        links = [link.get("href", "") for link in section.iter("a")]
        assert [office.get(link).heading for link in links] == [ja("Enter the clock-out")] * 2
        for n in range(5):
            make_session(f"2026-11-1{n} 09:00", user=make_user())
        page = office.get(LIST)
        (section,) = page.all(".//section[@aria-labelledby='forgotten']")
        assert len(list(section.iter("li"))) == 5
        assert ja("There are more; these are the latest.") in text_of(section)

    def test_as_many_queries_for_300_as_for_3(
        self, office: Office, employee: User, make_session: MakeSession
    ) -> None:
        def cost(path: str) -> int:
            with CaptureQueriesContext(
                connection,
            ) as queries:
                office.get(path)
            return len(queries)

        def more(first: int, number: int) -> None:
            start = japan("2026-11-02 00:00")
            starts = [start + n * dt.timedelta(hours=1) for n in range(first, first + number)]
            WorkSession.objects.bulk_create(
                WorkSession(user=employee, start_time=each, end_time=each + dt.timedelta(minutes=59))
                for each in starts
            )

        make_session("2026-11-01 09:00", end_unknown=True)
        more(0, 2)
        paths = (LIST, f"{LIST}?q=佐藤&state=corrected", f"{LIST}?o=1&all=")
        few = [cost(path) for path in paths]
        more(2, 297)
        for n in range(20):
            make_session(f"2026-11-{15 + n // 10} 0{n % 10}:00", end_unknown=True)
        assert [cost(path) for path in paths] == few
        assert max(few) <= 15


class TestAdding:
    def test_a_day_that_nobody_punched(self, office: Office, employee: User, admin: User) -> None:
        page = office.send(
            ADD, user=str(employee.pk), start="2026-11-19T09:00", end="2026-11-19T18:00", reason=WHY
        )
        assert stored() == [span("2026-11-19 09:00", "2026-11-19 18:00")]
        assert page.heading == ja("Correct the times")
        assert page.messages == [ja("“%(row)s” is added.", row="佐藤 花子 11月19日(木) 09:00")]
        told = WorkSessionHistory.objects.get()
        assert (told.actor_id, told.door, told.reason) == (admin.pk, "admin", WHY)

    def test_everything_that_is_needed_is_asked_for(self, office: Office) -> None:
        page = office.send(ADD)
        assert set(errors(page)) == {"user", "start", "reason"}
        assert stored() == []

    def test_whom_an_address_names(self, office: Office, employee: User) -> None:
        assert fields_of(office.get(f"{ADD}?user={employee.pk}"))["user"] == str(employee.pk)

    def test_namesakes_can_be_told_apart(self, office: Office, employee: User, make_user: MakeUser) -> None:
        make_user(email="legacy@users.invalid")
        labels = [text_of(option) for option in office.get(ADD).all(".//select[@name='user']/option")]
        assert f"佐藤 花子 ({employee.email})" in labels

    def test_nobody_of_another_tenant(
        self, office: Office, make_user: MakeUser, other_tenant: Tenant
    ) -> None:
        stranger = make_user(tenant=other_tenant, last_name="余所")
        assert "余所" not in office.get(ADD).html
        page = office.send(ADD, user=str(stranger.pk), start="2026-11-19T09:00", reason=WHY)
        assert set(errors(page)) == {"user"}
        assert stored() == []

    def test_an_overlap_is_said_at_the_field_with_the_other_one(
        self, office: Office, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-19 09:00", "2026-11-19 12:00")
        page = office.send(
            ADD, user=str(employee.pk), start="2026-11-19T11:00", end="2026-11-19T13:00", reason=WHY
        )
        assert errors(page) == {
            "start": ja("This overlaps another work session: {span}.").format(
                span="11月19日(木) 09:00 から 12:00 まで"
            )
        }
        # What was typed is still there.
        assert fields_of(page)["start"] == "2026-11-19T11:00"
        assert fields_of(page)["reason"] == WHY

    @pytest.mark.parametrize(
        ("start", "end", "field", "sentence"),
        [
            ("2026-11-19T09:00", "2026-11-19T08:00", "end", "The end is before the start."),
            ("2026-11-20T12:01", "", "start", "This time is still to come."),
            ("2026-11-20T09:00", "2026-11-20T12:30", "end", "This time is still to come."),
            ("2016-11-19T09:00", "", "start", "This is more than five years ago. Is the year right?"),
            ("2026-02-30T09:00", "", "start", "Enter a valid date/time."),
            ("2026-11-19T09:00+09:00", "", "start", "Enter a valid date/time."),
            ("0001-01-01T00:00", "", "start", "There is no such date."),
            ("9999-12-31T23:59", "", "start", "This time is still to come."),
            ("12026-11-19T09:00", "", "start", "Enter a valid date/time."),
        ],
    )
    def test_what_cannot_be(
        self, office: Office, employee: User, start: str, end: str, field: str, sentence: str
    ) -> None:
        page = office.send(ADD, user=str(employee.pk), start=start, end=end, reason=WHY)
        assert errors(page) == {field: ja(sentence)}
        assert stored() == []

    def test_more_than_a_day_is_confirmed(self, office: Office, employee: User) -> None:
        typed = {"user": str(employee.pk), "start": "2026-11-17T09:00", "reason": WHY}
        asked = office.send(ADD, **typed, end="2026-11-18T10:30")
        assert set(errors(asked)) == {"lasts"}
        assert "25時間30分" in errors(asked)["lasts"]
        assert "lasts" not in fields_of(asked)  # nobody has ticked it
        again = office.post(ADD, fields_of(asked))
        assert set(errors(again)) == {"lasts"}
        # That was 25 hours; nobody has confirmed 73.
        other = office.post(ADD, {**fields_of(asked), "lasts": "1530", "end": "2026-11-20T10:00"})
        assert "73時間00分" in errors(other)["lasts"]
        assert "lasts" not in fields_of(other)
        office.post(ADD, {**fields_of(asked), "lasts": "1530"})
        assert stored() == [span("2026-11-17 09:00", "2026-11-18 10:30")]

    def test_an_end_and_that_nobody_knows_it(self, office: Office, employee: User) -> None:
        typed = {"user": str(employee.pk), "start": "2026-11-19T09:00", "reason": WHY, "end_unknown": "on"}
        page = office.send(ADD, **typed, end="2026-11-19T18:00")
        assert set(errors(page)) == {"end_unknown"}
        office.send(ADD, **typed)
        assert stored() == [span("2026-11-19 09:00", end_unknown=True)]


class TestCorrecting:
    def test_the_times(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:02:10", "2026-11-19 18:00:40")
        page = office.get(change(session))
        assert (fields_of(page)["start"], fields_of(page)["end"]) == ("2026-11-19T09:02", "2026-11-19T18:00")
        page = office.send(change(session), end="2026-11-19T19:30", reason=WHY)
        assert stored() == [span("2026-11-19 09:02:10", "2026-11-19 19:30")]
        assert len(page.messages) == 1

    def test_a_reason_is_required(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 18:00")
        for reason in ("", "   "):
            page = office.send(change(session), end="2026-11-19T19:30", reason=reason)
            assert errors(page) == {"reason": ja("Please say why.")}
        assert stored() == [span("2026-11-19 09:00", "2026-11-19 18:00")]

    def test_nothing_new(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:02:10", "2026-11-19 18:00:40")
        page = office.send(change(session), reason=WHY)
        assert errors(page) == {"": ja("Nothing is different from what is recorded.")}

    def test_an_end_is_found_out_with_the_box_still_ticked(
        self, office: Office, make_session: MakeSession
    ) -> None:
        session = make_session("2026-11-19 09:00", end_unknown=True)
        assert fields_of(office.get(change(session)))["end_unknown"] == "on"
        office.send(change(session), end="2026-11-19T18:00", reason=WHY)
        assert stored() == [span("2026-11-19 09:00", "2026-11-19 18:00")]

    def test_an_end_was_wrong_and_nobody_knows_it(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 23:59")
        page = office.send(change(session), end="2026-11-19T22:00", end_unknown="on", reason=WHY)
        assert set(errors(page)) == {"end_unknown"}
        office.send(change(session), end_unknown="on", reason=WHY)
        assert stored() == [span("2026-11-19 09:00", end_unknown=True)]

    def test_the_employee_clocks_out_meanwhile(
        self, office: Office, employee: User, make_session: MakeSession
    ) -> None:
        session = make_session("2026-11-20 09:00")
        form = {**fields_of(office.get(change(session))), "end": "2026-11-20T11:30", "reason": WHY}
        client = Client()
        client.force_login(employee)
        client.post("/clock-out", {"seen": session.pk})
        clocked_out = [span("2026-11-20 09:00", "2026-11-20 12:00:30")]
        assert stored() == clocked_out
        page = office.post(change(session), form)
        assert stored() == clocked_out
        assert "11月20日(金) 09:00 から 12:00 まで" in errors(page)[""]
        assert fields_of(page)["end"] == "2026-11-20T11:30"
        office.post(change(session), fields_of(page))  # having read that
        assert stored() == [span("2026-11-20 09:00", "2026-11-20 11:30")]

    def test_one_that_was_deleted_meanwhile(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-20 09:00")
        form = fields_of(office.get(change(session)))
        WorkSession.objects.filter(pk=session.pk).delete()
        assert office.client.post(change(session), form).status_code == 404

    def test_another_employee_is_not_taken(
        self, office: Office, employee: User, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 18:00")
        office.send(change(session), end="2026-11-19T17:00", user=str(make_user().pk), reason=WHY)
        assert WorkSession.objects.get().user == employee


class TestTheForgottenClockOut:
    def test_a_time_of_day_is_enough(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-18 22:00:10", end_unknown=True)
        page = office.send(deed(session, "end"), end="06:30", reason=WHY)
        assert stored() == [span("2026-11-18 22:00:10", "2026-11-19 06:30")]
        assert page.heading == ja("work sessions")
        assert page.messages == [
            ja(
                "The work session of %(name)s is now %(span)s.",
                name="佐藤 花子",
                span="11月18日(水) 22:00 から 翌 06:30 まで",
            )
        ]

    def test_what_cannot_be(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00")
        make_session("2026-11-19 09:30", end_unknown=True)
        assert set(errors(office.send(deed(session, "end")))) == {"end", "reason"}
        assert errors(office.send(deed(session, "end"), end="08:00", reason=WHY)) == {}
        running = make_session("2026-11-20 11:00")
        page = office.send(deed(running, "end"), end="12:30", reason=WHY)
        assert errors(page) == {"end": ja("This time is still to come.")}

    def test_an_overlap(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", end_unknown=True)
        make_session("2026-11-19 13:00", "2026-11-19 18:00")
        page = office.send(deed(session, "end"), end="14:00", reason=WHY)
        assert "11月19日(木) 13:00 から 18:00 まで" in errors(page)["end"]

    def test_who_has_clocked_out_has_nothing_forgotten(
        self, office: Office, make_session: MakeSession
    ) -> None:
        session = make_session("2026-11-20 09:00")
        form = {**fields_of(office.get(deed(session, "end"))), "end": "11:30", "reason": WHY}
        WorkSession.objects.filter(pk=session.pk).update(end_time=NOW)
        page = office.post(deed(session, "end"), form)
        assert page.messages == [ja("There is nothing to be done about this any more.")]
        assert stored() == [span("2026-11-20 09:00", "2026-11-20 12:00:30")]

    def test_another_admin_was_quicker(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-20 09:00")
        form = {**fields_of(office.get(deed(session, "end"))), "end": "11:30", "reason": WHY}
        WorkSession.objects.filter(pk=session.pk).update(start_time=japan("2026-11-20 09:30"))
        page = office.post(deed(session, "end"), form)
        assert "11月20日(金) 09:30" in errors_of_deed(page)
        office.post(deed(session, "end"), fields_of(page))
        assert stored() == [span("2026-11-20 09:30", "2026-11-20 11:30")]


def errors_of_deed(page: Page) -> str:
    (note,) = page.notes
    return note


class TestDeleting:
    def test_with_a_reason(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 18:00")
        page = office.get(deed(session, "delete"))
        assert "佐藤 花子" in page.text(".//main//form/p")
        assert "9時間00分" in page.text(".//main//form/p")
        assert errors(office.send(deed(session, "delete"))) == {"reason": ja("Please say why.")}
        page = office.send(deed(session, "delete"), reason=WHY)
        assert stored() == []
        assert page.heading == ja("work sessions")
        assert "09:00 から 18:00 まで" in page.messages[0]

    def test_not_what_became_another(self, office: Office, make_session: MakeSession) -> None:
        session = make_session("2026-11-20 09:00")
        form = {**fields_of(office.get(deed(session, "delete"))), "reason": WHY}
        WorkSession.objects.filter(pk=session.pk).update(end_time=NOW)
        page = office.post(deed(session, "delete"), form)
        assert "09:00 から 12:00 まで" in errors_of_deed(page)
        assert len(stored()) == 1
        office.post(deed(session, "delete"), fields_of(page))
        assert stored() == []


def test_the_zone_changes_while_a_form_is_open(
    office: Office, employee: User, tenant: Tenant, make_session: MakeSession
) -> None:
    """The times that it shows would be others: 09:00 in Tokyo is no 09:00 in New York."""
    session, open_one = make_session("2026-11-18 09:00", "2026-11-18 18:00"), make_session("2026-11-19 22:00")
    typed = {"user": str(employee.pk), "start": "2026-11-17T09:00", "end": "2026-11-17T10:00"}
    sent = [
        (change(session), {**fields_of(office.get(change(session))), "end": "2026-11-18T17:00"}),
        (ADD, {**fields_of(office.get(ADD)), **typed}),
        (deed(open_one, "end"), {**fields_of(office.get(deed(open_one, "end"))), "end": "10:00"}),
    ]
    before = stored()
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="America/New_York")
    for path, data in sent:
        page = office.post(path, {**data, "reason": WHY})
        assert "Asia/Tokyo" in page.html
        assert any("America/New_York" in note for note in page.notes)
        again = office.post(path, {**fields_of(page), "reason": WHY})
        assert any("America/New_York" in note for note in again.notes)
    assert stored() == before


class TestTheDeleted:
    DELETED = f"{LIST}deleted/"

    def test_they_are_found_by_the_month_in_which_they_began(
        self, office: Office, employee: User, make_session: MakeSession
    ) -> None:
        gone, old = (
            make_session("2026-11-18 09:00", "2026-11-18 18:00"),
            make_session("2026-10-31 23:30", "2026-11-01 02:00"),
        )
        make_session("2026-11-19 09:00", "2026-11-19 18:00")
        for session in (gone, old):
            office.send(deed(session, "delete"), reason="二重に登録されていた")
        links = [a.get("href") for a in office.get(f"{LIST}?date=2026-11-18").root.iter("a")]
        assert f"{self.DELETED}?date=2026-11" in links
        page = office.get(self.DELETED)
        (entry,) = page.all(".//ol[@class='history']/li")
        for said in ("佐藤 花子", "山田 太郎", "09:00 から 18:00", "二重に登録されていた"):
            assert said in text_of(entry)
        (entry,) = office.get(f"{self.DELETED}?date=2026-10").all(".//ol[@class='history']/li")
        assert "23:30" in text_of(entry)
        assert len(Page(office.client.get(f"/work-sessions/{gone.pk}/history")).all(".//ol/li")) == 2
        assert office.get(f"{self.DELETED}?date=2026-09").all(".//ol[@class='history']/li") == []
        assert office.client.get(f"{self.DELETED}?date=2026-13").status_code == 404

    def test_nobody_elses(
        self, office: Office, make_user: MakeUser, other_tenant: Tenant, make_session: MakeSession
    ) -> None:
        stranger = make_user(tenant=other_tenant)
        make_session("2026-11-18 09:00", "2026-11-18 18:00", user=stranger).delete()
        assert office.get(self.DELETED).all(".//ol[@class='history']/li") == []
        for user in (stranger.pk, 99999, "x", "９", "9" * 30):
            assert office.client.get(f"{self.DELETED}?user={user}").status_code == 404

    def test_it_costs_the_same_with_three_and_with_thirty(
        self, office: Office, make_session: MakeSession
    ) -> None:
        counts = []
        for days in (range(1, 4), range(4, 17)):
            for day in days:
                make_session(f"2026-11-{day:02} 09:00", f"2026-11-{day:02} 18:00").delete()
            with CaptureQueriesContext(connection) as queries:
                assert office.get(self.DELETED).all(".//ol[@class='history']/li")
            counts.append(len(queries))
        assert counts[0] == counts[1]


def test_the_employee_sees_what_was_corrected_and_deleted(
    office: Office, employee: User, make_session: MakeSession
) -> None:
    client = Client()
    client.force_login(employee)
    client.post("/clock-in", {"seen": 0})
    kept = WorkSession.objects.get()
    corrected = make_session("2026-11-18 09:00", "2026-11-18 18:00")
    gone = make_session("2026-11-17 09:00", "2026-11-17 18:00")
    office.send(change(corrected), end="2026-11-18T17:00", reason=WHY)
    office.send(deed(gone, "delete"), reason="二重に登録されていた")
    page = Page(client.get("/"))
    days = [text_of(cell) for cell in page.all(".//table[@class='sessions']//th[@scope='row']")]
    assert days == ["11月20日(金)", f"11月18日(水) {ja('corrected')}"]
    marked = [row[0] for row in page.table("days") if ja("corrected") in row[0]]
    assert marked == [f"11月18日(水) {ja('corrected')}"]
    (told,) = [text_of(entry) for entry in page.all(".//ul[@class='deleted']/li")]
    for said in ("山田 太郎", "11月17日(火) 09:00 から 18:00", "二重に登録されていた"):
        assert said in told
    (link,) = page.all(".//ul[@class='deleted']//a")
    assert "二重に登録されていた" in Page(client.get(str(link.get("href")))).text(".//ol")
    assert kept.pk
    assert "corrected" in Page(client.get("/", headers={"accept-language": "en"})).text(".//table")


def test_the_history_in_words(office: Office, employee: User) -> None:
    client = Client()
    client.force_login(employee)
    client.post("/clock-in", {"seen": 0})
    session = WorkSession.objects.get()
    office.send(change(session), start="2026-11-20T09:00", reason="電車遅延の届け出")
    office.send(change(session), end="2026-11-20T11:30", reason=WHY)
    page = office.get(deed(session, "history"))
    told = [text_of(entry) for entry in page.all(".//ol[@class='history']/li")]
    assert len(told) == 3
    assert "山田 太郎" in told[0]
    assert "11:30" in told[0]
    assert WHY in told[0]
    assert "12:00 から 09:00" in told[1]
    assert "電車遅延の届け出" in told[1]
    assert "佐藤 花子" in told[2]


class TestInNewYork:
    """Where clocks were put forward on 8 March 2026 at 2, and put back on 1 November at 2."""

    @pytest.fixture(autouse=True)
    def abroad(self, tenant: Tenant) -> None:
        tenant.time_zone = "America/New_York"
        tenant.save(update_fields=["time_zone"])

    def type_in(self, office: Office, employee: User, start: str, end: str = "", **more: str) -> Page:
        return office.send(ADD, user=str(employee.pk), start=start, end=end, reason=WHY, **more)

    def test_times_are_those_of_its_clocks(self, office: Office, employee: User) -> None:
        self.type_in(office, employee, "2026-11-19T09:00", "2026-11-19T17:00")
        (times,) = stored()
        assert times == Times(at("2026-11-19T09:00-05:00"), at("2026-11-19T17:00-05:00"))
        page = office.get(change(WorkSession.objects.get()))
        assert (fields_of(page)["start"], fields_of(page)["end"]) == ("2026-11-19T09:00", "2026-11-19T17:00")

    def test_a_time_that_was_skipped(self, office: Office, employee: User) -> None:
        page = self.type_in(office, employee, "2026-03-08T02:30", "2026-03-08T09:00")
        assert set(errors(page)) == {"start"}
        page = self.type_in(office, employee, "2026-03-07T22:00", "2026-03-08T02:59")
        assert set(errors(page)) == {"end"}
        assert stored() == []
        self.type_in(office, employee, "2026-03-07T22:00", "2026-03-08T03:00")
        assert stored() == [Times(at("2026-03-07T22:00-05:00"), at("2026-03-08T03:00-04:00"))]

    @pytest.mark.parametrize(("which", "offset"), [("0", "-04:00"), ("1", "-05:00")])
    def test_a_time_that_came_twice(self, office: Office, employee: User, which: str, offset: str) -> None:
        page = self.type_in(office, employee, "2026-10-31T22:00", "2026-11-01T01:30")
        assert set(errors(page)) == {"which_end"}
        choices = [text_of(label) for label in page.all(".//fieldset//label")]
        assert ["EDT" in choices[0], "EST" in choices[1]] == [True, True]
        office.post(ADD, {**fields_of(page), "which_end": which})
        assert stored() == [Times(at("2026-10-31T22:00-04:00"), at(f"2026-11-01T01:30{offset}"))]
        session = WorkSession.objects.get()
        # Shown again, it is known which one.
        shown = fields_of(office.get(change(session)))
        assert (shown["end"], shown["which_end"]) == ("2026-11-01T01:30", which)
        page = office.post(change(session), {**shown, "reason": WHY})
        assert errors(page) == {"": ja("Nothing is different from what is recorded.")}
        other = "1" if which == "0" else "0"
        office.post(change(session), {**shown, "which_end": other, "reason": WHY})
        assert stored()[0].end == at(f"2026-11-01T01:30{'-05:00' if other == '1' else '-04:00'}")
        told = text_of(office.get(deed(session, "history")).all(".//ol[@class='history']/li")[0])
        assert re.search("01:30 E[DS]T から 01:30 E[DS]T", told)

    def test_nonsense_for_which(self, office: Office, employee: User) -> None:
        page = self.type_in(office, employee, "2026-11-01T01:30", which_start="2")
        assert set(errors(page)) == {"which_start"}

    def test_a_forgotten_clock_out_of_that_night(
        self, office: Office, employee: User, make_session: MakeSession
    ) -> None:
        night = WorkSession.objects.create(
            user=employee, start_time=at("2026-10-31T22:00-04:00"), end_unknown=True
        )
        assert set(errors(office.send(deed(night, "end"), end="01:30", reason=WHY))) == {"end"}
        office.send(deed(night, "end"), end="06:00", reason=WHY)
        assert stored() == [Times(at("2026-10-31T22:00-04:00"), at("2026-11-01T06:00-05:00"))]

    def test_its_months_begin_there(self, office: Office, employee: User) -> None:
        WorkSession.objects.create(
            user=employee, start_time=at("2026-10-31T23:59-04:00"), end_time=at("2026-11-01T04:00-05:00")
        )
        assert rows(office.get(LIST)) == []
        (row,) = rows(office.get(f"{LIST}?date=2026-10-31"))
        assert row[2:5] == ["23:59", "翌 04:00", "5:01"]


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
