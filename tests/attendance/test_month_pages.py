"""The months in the tenant admin's site: everybody's, one employee's, and the files."""

import io
import re
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import openpyxl
import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role, User, UserStatus
from attendance import actions
from attendance.models import NO_SESSION, WorkSession
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import MakeSession, MakeUser, japan, own_scope
from tests.html import Page, text_of

pytestmark = pytest.mark.django_db

NOT_COUNTED = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET LOCAL timerecord.scope")
MADE = "corrected"  # what tests make came by no clock
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(autouse=True)
def friday_noon(time_machine: time_machine.TimeMachineFixture) -> None:
    time_machine.move_to(japan("2026-11-20 12:00:30"), tick=False)


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="大西", first_name="総務", email="boss@example.com")


@pytest.fixture
def office(admin: User) -> Client:
    """The admin's browser, in English."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    return client


def see(client: Client, address: str = "/admin/", status: int = 200) -> Page:
    response = client.get(address)
    assert response.status_code == status
    return Page(response)


def tile(page: Page, state: str) -> str:
    (found,) = [e for e in page.root.iter("div") if state in e.get("class", "").split()]
    return text_of(found)


def table(page: Page) -> list[list[str]]:
    """The rows of the table of employees."""
    return [[text_of(cell) for cell in row] for row in page.all(".//div[@class='results people']//tbody/tr")]


def names(page: Page) -> list[str]:
    return [row[0] for row in table(page)]


def link(page: Page, text: str) -> str:
    """Where the link with this text leads."""
    (found,) = [a for a in page.root.iter("a") if text_of(a) == text]
    return found.get("href", "")


def work(user: User, start: str, end: str | None = None, **fields: bool) -> WorkSession:
    """Make a work session of somebody; of nobody else, as `make_session` brings the employee along."""
    return WorkSession.objects.create(
        user=user, start_time=japan(start), end_time=japan(end) if end else None, **fields
    )


def queries(client: Client, address: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        response = client.get(address)
    assert response.status_code == 200
    assert b"".join(response)  # a file is closed at its end
    return [q["sql"] for q in captured.captured_queries if not q["sql"].startswith(NOT_COUNTED)]


class TestAtAGlance:
    def test_who_is_here_who_forgot_and_whom_nobody_saw(self, office: Client, make_user: MakeUser) -> None:
        here, night, forgetful, unknown, away = (
            make_user(last_name=name, first_name="花子") for name in ("有田", "伊東", "上野", "江口", "小川")
        )
        work(here, "2026-11-20 09:02")
        work(night, "2026-11-19 22:00")
        work(forgetful, "2026-11-18 09:05")
        work(unknown, "2026-11-17 09:00", end_unknown=True)
        work(away, "2026-11-13 09:00", "2026-11-13 17:00")

        page = see(office)

        assert page.heading == "November 2026"
        assert tile(page, "at_work") == "At work 2 people 伊東 花子 Thu 19 Nov 22:00 有田 花子 09:02"
        assert (
            tile(page, "forgot") == "Forgot to clock out 2 people 上野 花子 Wed 18 Nov 09:05 江口 花子 1 time"
        )
        assert tile(page, "not_this_week") == "Not this week 1 person 小川 花子"

    def test_nothing_to_do_is_said_as_well(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 09:00", "2026-11-20 11:00")
        page = see(office)
        assert tile(page, "at_work") == "At work 0 people Nobody is at work now."
        assert tile(page, "forgot") == "Forgot to clock out 0 people Nobody. All is well."
        assert tile(page, "not_this_week") == "Not this week 0 people Everybody has been at work this week."

    def test_a_dozen_is_named_and_the_others_are_counted(self, office: Client, make_user: MakeUser) -> None:
        for n in range(15):
            work(make_user(last_name=f"{n:02}"), "2026-11-20 09:00")
        page = see(office)
        assert "11 花子 09:00 and 3 others" in tile(page, "at_work")
        assert link(page, "and 3 others") == "?state=at_work"

    def test_who_forgot_leads_to_the_day(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-10-31 09:00")
        address = f"/admin/employees/{employee.pk}/months/2026-10/#d2026-10-31"
        page = see(office)
        assert [a.get("href") for a in page.root.iter("a") if text_of(a) == "forgot to clock out"] == [
            address
        ]
        assert len(see(office, address.partition("#")[0]).all(".//tbody[@id='d2026-10-31']")) == 1

    def test_sums_of_everybody(self, office: Client, make_user: MakeUser) -> None:
        for day in range(2, 20):
            for user in (make_user(), make_user(), make_user()):
                work(user, f"2026-11-{day:02} 00:00", f"2026-11-{day:02} 23:59")
        page = see(office)
        assert page.totals[:3] == ["1,295 h 06 m", "54 people", "54 days"]
        rows = page.table("sums")
        assert len(rows) == 30
        assert rows[0] == ["Sun 1 Nov", "", "–"]
        assert rows[1] == ["Mon 2 Nov", "3 people", "71 h 57 m"]


class TestTheList:
    def test_a_line_for_each(self, office: Client, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-18 09:00", "2026-11-18 17:30")
        make_session("2026-11-19 09:00", "2026-11-19 17:05")
        page = see(office)
        assert table(page) == [["佐藤 花子", "", "2 days", "16 h 35 m", "Thu 19 Nov 17:05"]]
        assert text_of(page.root.find(".//tfoot")) == "Total 1 person 2 days 16 h 35 m"
        assert link(page, "佐藤 花子") == f"/admin/employees/{employee.pk}/months/2026-11/"

    def test_people_of_one_name_are_told_apart(self, office: Client, make_user: MakeUser) -> None:
        make_user(email="first@example.com")
        make_user(email="second@example.com")
        make_user(last_name="田中", email="third@example.com")
        assert names(see(office)) == [
            "佐藤 花子 first@example.com",
            "佐藤 花子 second@example.com",
            "田中 花子",
        ]

    def test_a_name_is_never_markup(self, office: Client, make_user: MakeUser) -> None:
        user = make_user(last_name="<script>alert(1)</script>", first_name="&amp;")
        work(user, "2026-11-20 09:00")
        for address in ("/admin/", f"/admin/employees/{user.pk}/months/2026-11/"):
            assert "<script>alert" not in see(office, address).html
        assert names(see(office)) == ["<script>alert(1)</script> &amp;"]

    def test_the_heads_of_columns_order_it(self, office: Client, make_user: MakeUser) -> None:
        few, many = make_user(last_name="b"), make_user(last_name="a")
        work(few, "2026-11-18 09:00", "2026-11-18 10:00")
        work(many, "2026-11-17 09:00", "2026-11-17 18:00")

        page = see(office)
        assert names(page) == ["a 花子", "b 花子"]
        assert [h.get("aria-sort") for h in page.all(".//thead//th[@aria-sort]")] == ["ascending"]
        assert names(see(office, "/admin/" + link(page, "Name"))) == ["b 花子", "a 花子"]

        by_hours = see(office, "/admin/" + link(page, "Hours"))
        assert names(by_hours) == ["a 花子", "b 花子"]
        assert [text_of(h) for h in by_hours.all(".//thead//th[@aria-sort='descending']")] == ["Hours"]
        turned = see(office, "/admin/" + link(by_hours, "Hours"))
        assert names(turned) == ["b 花子", "a 花子"]
        assert [text_of(h) for h in turned.all(".//thead//th[@aria-sort='ascending']")] == ["Hours"]
        assert names(see(office, "/admin/" + link(page, "Last punch"))) == ["b 花子", "a 花子"]

    def test_search_and_filter_go_together(self, office: Client, make_user: MakeUser) -> None:
        for last_name in ("佐藤", "斎藤", "佐々木"):
            work(make_user(last_name=last_name), "2026-11-20 09:00")
        make_user(last_name="佐伯")
        make_user(last_name="田中", status=UserStatus.SUSPENDED)

        page = see(office, "/admin/?q=佐")
        assert names(page) == ["佐々木 花子", "佐伯 花子", "佐藤 花子"]
        choices = [text_of(a) for a in page.all(".//nav[@class='filter']//a")]
        assert choices == [
            "Everybody 5",
            "At work 3",
            "Forgot to clock out 0",
            "Not this week 1",
            "Suspended 1",
        ]
        both = see(office, "/admin/" + link(page, "At work 3"))
        assert names(both) == ["佐々木 花子", "佐藤 花子"]
        assert [text_of(a) for a in both.all(".//nav[@class='filter']//a[@aria-current]")] == ["At work 3"]
        assert text_of(both.root.find(".//tfoot/tr/th")) == "Total 2 people"
        kept = {e.get("name"): e.get("value") for e in both.all(".//form[@role='search']/input")}
        assert kept == {"q": "佐", "state": "at_work"}

    def test_nothing_found_says_what_to_do(self, office: Client, employee: User) -> None:
        page = see(office, "/admin/?q=nobody&sort=hours")
        assert names(page) == []
        assert "Nobody fits what you search for." in page.text(".//main")
        assert names(see(office, "/admin/" + link(page, "Show everybody"))) == ["佐藤 花子"]

    def test_nobody_yet_says_what_to_do(self, office: Client) -> None:
        page = see(office)
        assert link(page, "Invite somebody") == "/admin/accounts/user/add/"
        assert link(page, "Make a role code") == "/admin/accounts/rolecode/add/"
        assert "Download" not in page.html

    def test_a_hundred_to_a_page(self, office: Client, many: None) -> None:
        first, second = see(office), see(office, "/admin/?page=2")
        assert (len(names(first)), len(names(second))) == (100, 30)
        assert set(names(first)).isdisjoint(names(second))
        pages = ".//nav[@aria-label='Pages']/*"
        assert [(e.tag, text_of(e)) for e in second.all(pages)] == [("a", "1"), ("span", "2")]
        assert text_of(second.root.find(".//tfoot/tr/th")) == "Total 130 people"

    @pytest.mark.parametrize("page", ["0", "-1", "3", "x", "99999999999999999999"])
    def test_a_page_that_there_is_not_is_the_nearest(self, office: Client, many: None, page: str) -> None:
        assert len(names(see(office, f"/admin/?page={page}"))) in (100, 30)

    @pytest.mark.parametrize("parameter", ["state=x", "sort=x", "order=x", "unknown=1", "q=%00"])
    def test_what_it_does_not_know_it_passes_over(
        self, office: Client, employee: User, parameter: str
    ) -> None:
        assert see(office, f"/admin/?{parameter}").heading == "November 2026"


@pytest.fixture
def many(tenant: Tenant) -> None:
    User.objects.bulk_create(
        User(tenant=tenant, username=f"Person {n:03}", email=f"p{n}@example.com", password="!")
        for n in range(130)
    )


class TestOtherMonths:
    def test_back_and_forth(self, office: Client, employee: User, make_session: MakeSession) -> None:
        make_session("2026-10-01 09:00", "2026-10-01 17:00")
        october = see(office, "/admin/" + link(see(office), "‹ October 2026").partition("/admin/")[2])
        assert october.heading == "October 2026"
        assert table(october)[0][2:4] == ["1 day", "8 h 00 m"]
        assert link(october, "November 2026 ›") == "/admin/?month=2026-11"
        assert "November 2026 ›" not in see(office, "/admin/?month=2026-11").html
        assert "December" not in see(office).html

    def test_the_present_is_not_mixed_in(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 09:00")
        page = see(office, "/admin/?month=2026-10")
        assert page.all(".//section[@class='tiles']") == []
        choices = [text_of(a) for a in page.all(".//nav[@class='filter']//a")]
        assert choices == ["Everybody 1", "Forgot to clock out 0"]
        assert [text_of(head) for head in page.all(".//thead//th[a]")] == ["Name", "Days worked", "Hours"]
        assert table(page) == [["佐藤 花子", "", "–", "–"]]

    @pytest.mark.parametrize("month", ["2026-13", "2026", "x", "2026-1", "９９９９-01", "0000-01"])
    def test_a_month_that_there_is_not(self, office: Client, employee: User, month: str) -> None:
        for address in (
            f"/admin/?month={month}",
            f"/admin/month.xlsx?month={month}",
            f"/admin/month.csv?month={month}",
            f"/admin/employees/{employee.pk}/months/{month}/",
            f"/admin/employees/{employee.pk}/months/{month}/export.xlsx",
        ):
            assert office.get(address).status_code == 404


def test_three_employees_cost_as_much_as_three_hundred(
    office: Client, tenant: Tenant, make_user: MakeUser
) -> None:
    def add(count: int, *, first: int) -> None:
        users = User.objects.bulk_create(
            User(tenant=tenant, username=f"P{n}", email=f"p{n}@example.com", password="!")
            for n in range(first, first + count)
        )
        for user in users:
            WorkSession.objects.bulk_create(
                [
                    WorkSession(
                        user=user, start_time=japan("2026-11-19 09:00"), end_time=japan("2026-11-19 18:00")
                    ),
                    WorkSession(user=user, start_time=japan("2026-11-20 09:00")),
                ]
            )

    add(3, first=0)
    few = [queries(office, address) for address in ("/admin/", "/admin/month.xlsx", "/admin/audit/")]
    add(297, first=3)
    many = [queries(office, address) for address in ("/admin/", "/admin/month.xlsx", "/admin/audit/")]

    # The session, the user with the tenant, three of the report, and who looks on.
    assert len(few[0]) == len(many[0]) == 6
    # Two more for each further 200 employees.
    assert len(many[1]) - len(few[1]) == 2
    assert len(few[2]) == len(many[2]) == 4


class TestOneEmployee:
    def month(self, office: Client, user: User, month: str = "2026-11") -> Page:
        return see(office, f"/admin/employees/{user.pk}/months/{month}/")

    def day(self, page: Page, date: str) -> list[list[str]]:
        (body,) = page.all(f".//tbody[@id='d{date}']")
        rows = [[text_of(cell) for cell in row] for row in body]
        # The link at each work session is told of once, below.
        return [[*row[:-1], re.sub(r" ?Correct [A-Z].*", "", row[-1])] for row in rows]

    def test_each_work_session_leads_to_where_it_is_corrected(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        session = make_session("2026-11-17 22:04", "2026-11-18 06:31")
        page = self.month(office, employee)
        found = page.all(f".//tbody//a[@href='/admin/attendance/worksession/{session.pk}/change/']")
        assert [text_of(link) for link in found] == ["Correct Tue 17 Nov 22:04"] * 2

    def test_each_day_with_its_work_sessions(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-18 08:58:40", "2026-11-18 12:03")
        make_session("2026-11-18 12:57", "2026-11-18 18:05")
        page = self.month(office, employee)
        assert page.heading == "佐藤 花子 November 2026"
        assert self.day(page, "2026-11-18") == [
            ["Wed 18 Nov", "08:58", "12:03", "3 h 05 m", "", "8 h 13 m", MADE],
            ["12:57", "18:05", "5 h 08 m", "0 h 54 m", MADE],
        ]
        assert len(page.all(".//tbody")) == 30
        assert page.totals == ["8 h 13 m", "1 day"]
        assert text_of(page.root.find(".//tfoot")) == "Total 1 day 8 h 13 m"

    def test_a_night_is_on_two_days_and_says_so(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-17 22:04", "2026-11-18 06:31")
        page = self.month(office, employee)
        assert self.day(page, "2026-11-17") == [
            ["Tue 17 Nov", "22:04", "24:00", "1 h 56 m", "", "1 h 56 m", f"clocked out 06:31 next day {MADE}"]
        ]
        assert self.day(page, "2026-11-18") == [
            [
                "Wed 18 Nov",
                "00:00",
                "06:31",
                "6 h 31 m",
                "",
                "6 h 31 m",
                f"clocked in Tue 17 Nov 22:04 {MADE}",
            ]
        ]

    def test_what_is_open_is_said_above(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-10 09:00", end_unknown=True)
        make_session("2026-11-18 09:05")
        page = self.month(office, employee)
        assert page.notes == [
            "Nobody knows when the work session of Tue 10 Nov 09:00 ended: it counts no hours. Correct",
            "The work session of Wed 18 Nov 09:05 has no clock-out: its hours go on counting. Correct",
        ]
        assert self.day(page, "2026-11-10")[0][2:6] == ["no clock-out", "", "", ""]
        assert self.day(page, "2026-11-20")[0][2] == "no clock-out"
        assert page.totals[2] == "2 times"

    def test_somebody_at_work(self, office: Client, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-20 09:00")
        page = self.month(office, employee)
        assert self.day(page, "2026-11-20")[0] == [
            "Fri 20 Nov",
            "09:00",
            "at work",
            "3 h 00 m",
            "",
            "3 h 00 m",
            MADE,
        ]
        assert page.notes == []
        assert self.day(page, "2026-11-21") == [["Sat 21 Nov", "", "", "", "", "", ""]]  # is still to come
        assert self.day(page, "2026-11-19")[0][5] == "–"

    def test_what_was_corrected_leads_to_its_history(
        self, office: Client, admin: User, employee: User
    ) -> None:
        with scope.enter(own_scope(employee)):
            actions.clock_in(employee, seen=NO_SESSION)
        session = WorkSession.objects.get()
        assert self.day(self.month(office, employee), "2026-11-20")[0][6] == ""
        boss = Scope(
            reach=Reach.TENANT, door=Door.ADMIN, tenant=admin.tenant_id, user=admin.pk, reason="late train"
        )
        with scope.enter(boss):
            session.start_time = japan("2026-11-20 11:30")
            session.save(update_fields=["start_time"])
        page = self.month(office, employee)
        assert self.day(page, "2026-11-20")[0][6] == "corrected"
        assert "late train" in see(office, link(page, "corrected")).html

    def test_the_ways_on(self, office: Client, employee: User, make_session: MakeSession) -> None:
        page = self.month(office, employee, "2026-10")
        (here,) = page.all(".//nav[@class='sitebar']//a[@aria-current='page']")
        assert here.get("href") == "/admin/"
        session = make_session("2026-10-05 09:00", "2026-10-05 17:00")
        correcting = see(office, f"/admin/attendance/worksession/{session.pk}/change/")
        assert link(correcting, "佐藤 花子 October 2026").endswith("/months/2026-10/")
        account = see(office, f"/admin/accounts/user/{employee.pk}/change/")
        assert link(account, "Work sessions of this month").endswith("/months/2026-11/")
        assert link(page, "‹ September 2026") == f"/admin/employees/{employee.pk}/months/2026-09/"
        assert link(page, "November 2026 ›") == f"/admin/employees/{employee.pk}/months/2026-11/"
        assert link(page, "October 2026: everybody") == "/admin/?month=2026-10"
        assert "December" not in self.month(office, employee).html

    def test_days_are_the_tenants(
        self, office: Client, tenant: Tenant, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-18 11:00", "2026-11-18 15:00")  # 21:00 to 01:00 in New York
        tenant.time_zone = "America/New_York"
        tenant.save()
        page = self.month(office, employee)
        assert self.day(page, "2026-11-17")[0][1:4] == ["21:00", "24:00", "3 h 00 m"]
        assert self.day(page, "2026-11-18")[0][1:4] == ["00:00", "01:00", "1 h 00 m"]

    def test_somebody_suspended_can_be_read(self, office: Client, make_user: MakeUser) -> None:
        gone = make_user(status=UserStatus.SUSPENDED)
        work(gone, "2026-11-18 09:00", "2026-11-18 17:00")
        page = self.month(office, gone)
        assert page.heading == "佐藤 花子 November 2026 suspended"
        assert page.totals[0] == "8 h 00 m"

    def test_nobody_of_another_tenant(
        self, office: Client, make_user: MakeUser, other_tenant: Tenant
    ) -> None:
        other = make_user(tenant=other_tenant)
        for address in ("", "export.xlsx"):
            assert office.get(f"/admin/employees/{other.pk}/months/2026-11/{address}").status_code == 404

    def test_many_days_cost_as_much_as_one(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        address = f"/admin/employees/{employee.pk}/months/2026-11/"
        make_session("2026-11-01 09:00", "2026-11-01 17:00")
        few = queries(office, address)
        for day in range(2, 20):
            make_session(f"2026-11-{day:02} 09:00", f"2026-11-{day:02} 17:00")
        for day in range(20, 27):
            make_session(f"2026-11-{day:02} 09:00", f"2026-11-{day:02} 17:00").delete()
        assert len(queries(office, address)) == len(few) == 7

    def test_what_was_deleted_is_a_link_away(
        self, office: Client, employee: User, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        colleague = make_user(last_name="田中", first_name="一郎")
        for day in ("2026-11-17", "2026-11-18", "2026-10-30"):
            make_session(f"{day} 09:00", f"{day} 17:00").delete()
        make_session("2026-11-18 10:00", "2026-11-18 18:00", user=colleague).delete()
        page = see(office, link(self.month(office, employee), "2 deleted work sessions"))
        assert page.heading == "Deleted work sessions 佐藤 花子 November 2026"
        assert len(page.all(".//ol[@class='history']/li")) == 2
        assert "田中 一郎" not in page.html
        # To other months of the same person, and back to the one that led here.
        (gone,) = see(office, link(page, "‹ October 2026")).all(".//ol[@class='history']/li")
        assert "Fri 30 Oct" in text_of(gone)
        back = link(page, "佐藤 花子 November 2026")
        assert back == f"/admin/employees/{employee.pk}/months/2026-11/"
        assert "deleted work session" not in self.month(office, make_user()).html


class TestFiles:
    def file(self, client: Client, address: str) -> tuple[bytes, str, str]:
        """Return what is in it, what it is, and what it is called."""
        response = client.get(address)
        assert response.status_code == 200
        found = re.search(r"filename\*=utf-8''(\S+)", response["Content-Disposition"])
        assert found
        assert response["Cache-Control"].startswith("max-age=0")
        return b"".join(response), response["Content-Type"], unquote(found[1])

    def test_the_months_workbook(self, office: Client, employee: User, make_session: MakeSession) -> None:
        make_session("2026-10-19 09:00", "2026-10-19 17:00")
        page = see(office, "/admin/?month=2026-10")
        content, kind, name = self.file(office, link(page, "Excel: totals and work sessions"))
        assert (kind, name) == (XLSX, "青空商店_202610.xlsx")
        book = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
        totals, sessions = book.worksheets
        assert totals["A2"].value == "佐藤 花子"
        assert sessions.max_row == 3

    def test_an_employees_workbook(self, office: Client, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-19 09:00", "2026-11-19 17:00")
        page = see(office, f"/admin/employees/{employee.pk}/months/2026-11/")
        content, kind, name = self.file(office, link(page, "Excel file"))
        assert (kind, name) == (XLSX, "佐藤 花子_202611.xlsx")
        assert openpyxl.load_workbook(io.BytesIO(content)).worksheets[0].max_row == 32

    @pytest.mark.parametrize(
        ("label", "encoding", "lines"),
        [
            ("CSV, totals by employee: UTF-8 (Excel 2016 and later)", "utf-8-sig", 3),
            ("CSV, totals by employee: Shift_JIS (older programs)", "cp932", 3),
            ("CSV, work sessions: UTF-8 (Excel 2016 and later)", "utf-8-sig", 4),
            ("CSV, work sessions: Shift_JIS (older programs)", "cp932", 4),
        ],
    )
    def test_csv(
        self,
        office: Client,
        employee: User,
        make_user: MakeUser,
        make_session: MakeSession,
        label: str,
        encoding: str,
        lines: int,
    ) -> None:
        make_user(last_name="田中")
        for day in (17, 18, 19):
            make_session(f"2026-11-{day} 09:00", f"2026-11-{day} 17:00")
        content, _kind, name = self.file(office, link(see(office), label))
        assert name == "青空商店_202611.csv"
        text = content.decode(encoding)
        assert "佐藤 花子" in text
        assert len(text.splitlines()) == lines

    def test_letters_that_shift_jis_lacks_are_told(self, office: Client, make_user: MakeUser) -> None:
        make_user(last_name="𠮷田")
        content, _kind, _name = self.file(office, "/admin/month.csv?encoding=shift_jis")
        assert "〓田" in content.decode("cp932")
        assert see(office).messages == [
            "In the file, 〓 stands for 1 character that Shift_JIS does not have. UTF-8 has all."
        ]

    @pytest.mark.parametrize("said", ["table=x", "encoding=x", "encoding=utf-16"])
    def test_what_there_is_not(self, office: Client, said: str) -> None:
        assert office.get(f"/admin/month.csv?{said}").status_code == 404

    def test_getting_a_file_changes_nothing(
        self, office: Client, employee: User, make_session: MakeSession
    ) -> None:
        session = make_session("2026-11-19 09:00", "2026-11-19 17:00")
        for address in ("/admin/month.xlsx", "/admin/month.csv"):
            assert office.post(address).status_code == 405
            self.file(office, address)
        assert WorkSession.objects.get() == session


def test_the_chart_says_what_it_is(office: Client, employee: User) -> None:
    titles = [
        text_of(page.root.find(".//svg/title"))
        for page in (see(office), see(office, f"/admin/employees/{employee.pk}/months/2026-11/"))
    ]
    assert titles == [
        "Hours of all employees by day; the table below has the figures",
        "Hours by day; the table below has the figures",
    ]


def test_every_row_has_a_cell_for_each_head(
    office: Client, employee: User, make_session: MakeSession
) -> None:
    """Also where a day's date and total are cells of several rows."""
    make_session("2026-11-18 09:00", "2026-11-18 12:00")
    make_session("2026-11-18 13:00", "2026-11-18 17:00")
    make_session("2026-11-19 09:00", end_unknown=True)
    for address in ("/admin/", "/admin/?month=2026-10", f"/admin/employees/{employee.pk}/months/2026-11/"):
        page = see(office, address)
        (found,) = [t for t in page.root.iter("table") if t.find(".//th[@aria-sort]") is not None] or [
            t for t in page.root.iter("table") if t.find("tbody[@id]") is not None
        ]
        width = len(found.findall("thead/tr/th"))
        for body in found.findall("tbody"):
            spans = sum(_span(cell) for row in body for cell in row)
            assert spans == width * len(body)


def _span(cell: ET.Element) -> int:
    return int(cell.get("rowspan", 1)) * int(cell.get("colspan", 1))
