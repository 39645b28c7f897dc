"""Corrections at the same moment as punches and as each other, through the real pages."""

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Role, User
from attendance.corrections import Times
from attendance.models import NO_SESSION, WorkSession, WorkSessionHistory
from tests.concurrency.racing import all_at_once
from tests.concurrency.test_punches import AT_ONCE, IN, MORNING, OUT, ROUNDS, browser
from tests.conftest import MakeUser, japan
from tests.html import Page, ja, text_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("noon")]

LIST = "/admin/attendance/worksession/"
WHY = "打刻忘れ"

Do = Callable[[threading.Barrier], Page]


@pytest.fixture
def admins(make_user: MakeUser) -> list[User]:
    return [make_user(role=Role.TENANT_ADMIN, last_name=f"管理{n}") for n in range(AT_ONCE // 2)]


def office(admin: User, path: str, data: dict[str, str]) -> Do:
    """Return what an admin's browser does: sign in, wait for the others, send the form."""

    def send(barrier: threading.Barrier) -> Page:
        client = Client()
        client.force_login(admin)
        barrier.wait()
        response = client.post(path, {"reason": WHY, **data}, follow=True)
        assert response.status_code == 200
        return Page(response)

    return send


def ends(admin: User, session: WorkSession, end: str) -> Do:
    return office(admin, f"{LIST}{session.pk}/end/", {"end": end, "seen": Times.of(session).text})


def changes(admin: User, session: WorkSession, start: str, end: str) -> Do:
    data = {"start": start, "end": end, "seen": Times.of(session).text}
    return office(admin, f"{LIST}{session.pk}/change/", data)


def refusals(pages: list[Page]) -> list[str]:
    """What the pages that refused say."""
    return [
        " ".join(page.notes + [text_of(e) for e in page.root.iter("p") if e.get("class") == "field-error"])
        for page in pages
        if not page.messages
    ]


def doors() -> list[str]:
    return list(WorkSessionHistory.objects.order_by("pk").values_list("door", flat=True))


@ROUNDS
def test_a_clock_out_and_a_correction_do_not_overwrite_each_other(
    employee: User, admins: list[User], n: int
) -> None:
    session = WorkSession.objects.create(user=employee, start_time=MORNING)
    correction = changes(admins[0], session, "2026-11-20T09:00", "2026-11-20T11:30")
    office_page, employee_page = all_at_once([correction, browser(employee, OUT, session.pk)])
    stored = WorkSession.objects.get()
    if stored.end_time == japan("2026-11-20 11:30"):  # the admin came first
        assert doors()[1:] == ["admin"]
        assert employee_page.messages == [
            ja("You already clocked out at %(time)s. Nothing was changed.", time="11:30")
        ]
    else:
        assert doors()[1:] == ["clock"]
        (refusal,) = refusals([office_page])
        assert "11月20日(金) 09:00 から 12:00 まで" in refusal


@ROUNDS
def test_of_many_admins_one_enters_the_clock_out(employee: User, admins: list[User], n: int) -> None:
    session = WorkSession.objects.create(user=employee, start_time=MORNING)
    pages = all_at_once([ends(admin, session, f"11:{n:02}") for n, admin in enumerate(admins)])
    assert len(doors()) == 2
    told = Counter(page.messages[0] for page in pages)
    assert told.total() == len(admins)
    stored = WorkSession.objects.get()
    assert stored.end_time
    done = ja("The work session of %(name)s is now %(span)s.")
    minute = f"{stored.end_time.minute:02}"
    span = f"11月20日(金) 09:00 から 11:{minute} まで"
    assert told[done % {"name": employee.display_name, "span": span}] == 1


@ROUNDS
def test_one_of_many_that_are_added_for_the_same_time(employee: User, admins: list[User], n: int) -> None:
    data = {"user": str(employee.pk), "start": "2026-11-19T09:00", "end": "2026-11-19T18:00"}
    pages = all_at_once([office(admin, f"{LIST}add/", data) for admin in admins])
    stored = WorkSession.objects.get()
    assert (stored.start_time, stored.end_time) == (japan("2026-11-19 09:00"), japan("2026-11-19 18:00"))
    refused = refusals(pages)
    assert len(refused) == len(admins) - 1
    overlap = ja("This overlaps another work session: {span}.")
    sentence = overlap.format(span="11月19日(木) 09:00 から 18:00 まで")
    assert all(sentence in refusal for refusal in refused)


@ROUNDS
def test_a_clock_in_while_a_running_one_is_added(employee: User, admins: list[User], n: int) -> None:
    data = {"user": str(employee.pk), "start": "2026-11-20T09:00", "end": ""}
    pages = all_at_once([office(admins[0], f"{LIST}add/", data), browser(employee, IN, NO_SESSION)])
    stored = WorkSession.objects.get()
    assert stored.is_running
    if stored.start_time == MORNING:  # the admin came first
        at_work = ja("You have been at work since %(time)s. Nothing was changed.", time="09:00")
        assert pages[1].messages == [at_work]
    else:
        (refusal,) = refusals(pages[:1])
        assert "11月20日(金) 12:00 から勤務中" in refusal


@ROUNDS
def test_deleting_and_clocking_out(employee: User, admins: list[User], n: int) -> None:
    session = WorkSession.objects.create(user=employee, start_time=MORNING)
    seen = {"seen": Times.of(session).text}
    pages = all_at_once(
        [office(admins[0], f"{LIST}{session.pk}/delete/", seen), browser(employee, OUT, session.pk)]
    )
    if WorkSession.objects.exists():
        (refusal,) = refusals(pages[:1])
        assert "09:00 から 12:00 まで" in refusal
    else:
        assert pages[1].messages == [ja("You are off the clock. Nothing was changed.")]
    assert len(doors()) == 2
