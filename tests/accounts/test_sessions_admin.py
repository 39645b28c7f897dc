"""Where a tenant's people are signed in, as its admin sees and ends it: the same with both stores."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import sessions
from accounts.models import AuditEvent, Role, User
from tenants.models import Tenant
from tests.accounts.test_account_sessions import DESK, PHONE, is_signed_in, sign_in
from tests.conftest import MakeUser
from tests.html import Page, ja, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("session_store")]

LIST, END = "/admin/sessions/", "/admin/sessions/end/"


@pytest.fixture
def boss(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="山田", first_name="太郎")


@pytest.fixture
def office(boss: User) -> Client:
    return sign_in(boss, DESK, "203.0.113.1")


def listed(client: Client, path: str = LIST) -> list[str]:
    return [" ".join(text_of(item).split()) for item in Page(client.get(path)).all(".//main//li/div")]


def test_everybodys_with_name_and_device_and_no_strangers(
    office: Client, employee: User, make_user: MakeUser, other_tenant: Tenant
) -> None:
    sign_in(employee, PHONE, "203.0.113.7")
    sign_in(make_user(tenant=other_tenant, last_name="他社", first_name="一郎"), DESK, "198.51.100.9")
    own, theirs = listed(office)
    assert own.startswith("山田 太郎 Chrome · Windows この端末")
    assert theirs.startswith("佐藤 花子 Safari · iPhone アドレス 203.0.113.7")
    assert listed(office, f"{LIST}?user={employee.pk}") == [theirs.removeprefix("佐藤 花子 ")]


def test_one_is_ended_at_once_and_that_is_on_record(office: Client, boss: User, employee: User) -> None:
    phone = sign_in(employee, PHONE, "203.0.113.7")
    (session,) = sessions.of_user(employee)
    page = Page(office.post(END, {"user": employee.pk, "session": session.id}, follow=True))
    assert page.messages == [ja("%(name)s is signed out on that device.").replace("%(name)s", "佐藤 花子")]
    assert not is_signed_in(phone)
    (event,) = AuditEvent.objects.filter(kind="sessions.ended")
    assert (event.subject_id, event.actor_id, event.door) == (employee.pk, boss.pk, "admin")
    again = Page(office.post(END, {"user": employee.pk, "session": session.id}, follow=True))
    assert again.notes == [ja("That device was signed out already.")]


def test_another_tenants_is_nobodys(
    office: Client, employee: User, make_user: MakeUser, other_tenant: Tenant
) -> None:
    stranger = make_user(tenant=other_tenant)
    elsewhere = sign_in(stranger, PHONE, "198.51.100.9")
    (session,) = sessions.of_user(stranger)
    assert office.get(f"{LIST}?user={stranger.pk}").status_code == 404
    assert office.post(END, {"user": stranger.pk, "session": session.id}).status_code == 404
    # Nor is it found under somebody of one's own.
    office.post(END, {"user": employee.pk, "session": session.id})
    assert is_signed_in(elsewhere)


@pytest.mark.parametrize("said", ["x", "日本", "0", "-1", "9" * 30])
def test_who_is_nobody(office: Client, said: str) -> None:
    assert office.get(LIST, {"user": said}).status_code == 404


def test_signing_somebody_out_everywhere(office: Client, employee: User) -> None:
    browsers = [sign_in(employee, agent, "203.0.113.7") for agent in (PHONE, DESK)]
    assert office.post(f"/admin/accounts/user/{employee.pk}/sign-out/").status_code == 303
    assert [is_signed_in(browser) for browser in browsers] == [False, False]
    assert sessions.of_user(employee) == []
    assert AuditEvent.objects.filter(kind="sessions.ended_all", subject_id=employee.pk).count() == 1


def test_as_many_queries_for_one_as_for_many(office: Client, make_user: MakeUser) -> None:
    counts = []
    for number in (1, 8):
        for _ in range(number):
            sign_in(make_user(), PHONE, "203.0.113.7")
        with CaptureQueriesContext(connection) as queries:
            assert office.get(LIST).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
