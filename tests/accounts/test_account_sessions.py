"""Where somebody is signed in, and how they end it: the same with both stores."""

from collections.abc import Iterator

import pytest
import time_machine
from django.test import Client
from pytest_django import Settings

from accounts import sessions
from accounts.models import AuditEvent, User
from tests.accounts.test_devices import CHROME, IPHONE, SAFARI, WINDOWS
from tests.conftest import PASSWORD, MakeUser, japan
from tests.html import Page, ja, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("session_store")]

SESSIONS, END, END_OTHERS = "/account/sessions", "/account/sessions/end", "/account/sessions/end-others"
PHONE, DESK = f"{IPHONE} {SAFARI} Mobile Safari/604.1", f"{WINDOWS} {CHROME} Safari/537.36"
NOW = japan("2026-11-20 09:00")


@pytest.fixture(autouse=True)
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def sign_in(user: User, user_agent: str, address: str) -> Client:
    client = Client(REMOTE_ADDR=address, headers={"user-agent": user_agent, "accept-language": "ja"})
    assert client.post("/sign-in", {"email": user.email, "password": PASSWORD}).status_code == 302
    return client


@pytest.fixture
def phone(employee: User) -> Client:
    return sign_in(employee, PHONE, "203.0.113.7")


@pytest.fixture
def desk(employee: User, phone: Client, now: time_machine.Traveller) -> Client:
    now.move_to(japan("2026-11-20 11:30"))
    return sign_in(employee, DESK, "198.51.100.9")


def is_signed_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def listed(client: Client) -> list[str]:
    return [" ".join(text_of(item).split()) for item in Page(client.get(SESSIONS)).all(".//main//li/div")]


def ids(client: Client) -> list[str]:
    found = Page(client.get(SESSIONS)).all(".//input[@name='session']")
    return [field.get("value", "") for field in found]


def test_each_device_with_address_and_times_this_one_first(phone: Client, desk: Client) -> None:
    assert listed(phone) == [
        "Safari · iPhone この端末 アドレス 203.0.113.7 ログイン 11月20日 9:00",
        "Chrome · Windows アドレス 198.51.100.9 ログイン 11月20日 11:30 最終利用 11月20日 11:30",
    ]


def test_last_seen_is_exact_to_a_tenth_of_the_lifetime(
    phone: Client, desk: Client, now: time_machine.Traveller
) -> None:
    now.move_to(japan("2026-11-20 10:11"))
    phone.get("/")
    assert "最終利用 11月20日 9:00" in listed(desk)[1]
    now.move_to(japan("2026-11-20 12:42"))
    phone.get("/")
    assert "最終利用 11月20日 12:42" in listed(desk)[1]
    assert "「最終利用」の時刻には、最大72分の遅れがあります。" in Page(desk.get(SESSIONS)).text(".//main")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(3600, "最長1時間です。"), (5400, "最長90分です。"), (300, "最長5分です。"), (301, "最長6分です。")],
)
def test_how_long_a_sign_in_lasts(phone: Client, settings: Settings, seconds: int, told: str) -> None:
    settings.SESSION_COOKIE_AGE = seconds
    assert told in Page(phone.get(SESSIONS)).text(".//main")


def test_one_is_ended_at_once(phone: Client, desk: Client, employee: User) -> None:
    (other,) = ids(desk)
    page = Page(desk.post(END, {"session": other}, follow=True))
    assert page.messages == [ja("That device is signed out.")]
    assert len(listed(desk)) == 1
    assert ja("You are signed in nowhere else.") in page.text(".//main")
    assert not is_signed_in(phone)
    assert is_signed_in(desk)
    (event,) = AuditEvent.objects.filter(kind="sessions.ended")
    assert (event.subject_id, event.actor_id, event.device) == (employee.pk, employee.pk, DESK)


def test_one_that_is_over_already(phone: Client, desk: Client) -> None:
    (other,) = ids(desk)
    phone.post("/sign-out")
    page = Page(desk.post(END, {"session": other}, follow=True))
    assert page.notes == [ja("That device was signed out already.")]


def test_ending_this_one_signs_out(phone: Client, desk: Client) -> None:
    (this,) = ids(desk)
    response = phone.post(END, {"session": this})
    assert (response.status_code, response["Location"]) == (303, "/sign-in")
    assert not is_signed_in(phone)
    assert is_signed_in(desk)


def test_all_others(phone: Client, desk: Client) -> None:
    page = Page(desk.post(END_OTHERS, follow=True))
    assert page.messages == [ja("All other devices are signed out.")]
    assert len(listed(desk)) == 1
    assert is_signed_in(desk)
    assert not is_signed_in(phone)
    assert AuditEvent.objects.filter(kind="sessions.ended_others").count() == 1


def test_nobody_ends_anybody_elses(phone: Client, make_user: MakeUser) -> None:
    colleague = sign_in(make_user(), DESK, "203.0.113.7")
    (theirs,) = sessions.of_user(User.objects.get(email="employee1@example.com"))
    assert colleague.post(END, {"session": theirs.id}).status_code == 303
    colleague.post(END_OTHERS)
    assert is_signed_in(phone)


@pytest.mark.parametrize("named", ["", "x", "0" * 64, "日本"])
def test_what_names_none(phone: Client, named: str) -> None:
    page = Page(phone.post(END, {"session": named}, follow=True))
    assert page.notes == [ja("That device was signed out already.")]
    assert is_signed_in(phone)


def test_signing_out_everywhere_leaves_none(phone: Client, desk: Client, employee: User) -> None:
    phone.post("/account/sign-out-everywhere")
    employee.refresh_from_db()
    assert sessions.of_user(employee) == []
    assert not is_signed_in(desk)


def test_a_browser_that_says_nothing(employee: User) -> None:
    assert listed(sign_in(employee, "", "203.0.113.7"))[0].startswith(ja("Unknown device"))


def test_as_many_queries_for_one_as_for_many(
    employee: User, phone: Client, django_assert_max_num_queries: object
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    for number in (1, 12):
        for n in range(number):
            sign_in(employee, DESK, f"198.51.100.{n}")
        with CaptureQueriesContext(connection) as queries:
            phone.get(SESSIONS)
        counts.append(len(queries))
    assert counts[0] == counts[1]
