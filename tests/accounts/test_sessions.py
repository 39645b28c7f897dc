"""Where somebody is signed in, and how that ends: on each store."""

import pytest
from django.test import Client

from accounts import actions, sessions
from accounts.models import Role, Session, User
from tests.conftest import PASSWORD, MakeUser
from tests.tenancy.world import begin_session
from timerecord.core.sessions import ADDRESS_KEY, DEVICE_KEY, driver

pytestmark = pytest.mark.usefixtures("session_store")

PHONE, DESK = "Mozilla/5.0 (iPhone)", "Mozilla/5.0 (X11; Linux)"


def sign_in(user: User, device: str, address: str = "192.0.2.7") -> Client:
    client = Client(headers={"user-agent": device}, REMOTE_ADDR=address)
    assert client.post("/sign-in", {"email": user.email, "password": PASSWORD}).status_code == 302
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def test_what_is_known_of_a_sign_in(employee: User) -> None:
    sign_in(employee, PHONE, "2001:db8::7")
    (listed,) = sessions.of_user(employee)
    assert (listed.device, listed.address) == (PHONE, "2001:db8::7")
    assert (listed.user, listed.tenant) == (employee.pk, employee.tenant_id)
    assert listed.expires - listed.created == listed.expires - listed.seen


def test_the_own_one_is_told_apart(employee: User) -> None:
    phone, desk = sign_in(employee, PHONE), sign_in(employee, DESK)
    request = phone.get("/").wsgi_request
    own = [listed.device for listed in sessions.of_user(employee) if listed.id == sessions.own_id(request)]
    assert own == [PHONE]
    assert is_signed_in(desk)


def test_ending_one(employee: User, make_user: MakeUser) -> None:
    phone, desk = sign_in(employee, PHONE), sign_in(employee, DESK)
    (listed,) = [listed for listed in sessions.of_user(employee) if listed.device == PHONE]
    assert not sessions.end(make_user(), listed.id)
    assert sessions.end(employee, listed.id)
    assert (is_signed_in(phone), is_signed_in(desk)) == (False, True)


def test_ending_all_the_others(employee: User) -> None:
    phone, desk = sign_in(employee, PHONE), sign_in(employee, DESK)
    request = phone.get("/").wsgi_request
    before = request.session.session_key
    sessions.end_others(request, employee)
    request.session.save()
    phone.cookies["sessionid"] = str(request.session.session_key)
    assert request.session.session_key != before
    assert (is_signed_in(phone), is_signed_in(desk)) == (True, False)
    (listed,) = sessions.of_user(employee)
    # What is known of it goes along.
    assert (listed.device, listed.id) == (PHONE, sessions.own_id(request))
    assert (request.session[DEVICE_KEY], request.session[ADDRESS_KEY]) == (PHONE, "192.0.2.7")


def test_ending_all_needs_no_list(employee: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that the index does not show yet ends with the others."""
    phone = sign_in(employee, PHONE)
    monkeypatch.setattr(driver(), "end_all", lambda *_, **__: 0)
    sessions.end_all(employee)
    assert not is_signed_in(phone)


@pytest.mark.parametrize("role", [Role.TENANT_ADMIN, Role.PLATFORM_ADMIN])
def test_another_role_ends_them(employee: User, role: Role) -> None:
    phone = sign_in(employee, PHONE)
    User.objects.filter(pk=employee.pk).update(role=role)
    assert not is_signed_in(phone)
    assert sessions.of_user(employee) == []


def test_so_does_the_end_of_all(employee: User) -> None:
    phone = sign_in(employee, PHONE)
    actions.end_sessions(employee)
    assert not is_signed_in(phone)


def test_of_a_tenant(make_user: MakeUser) -> None:
    one, two = make_user(), make_user()
    sign_in(one, PHONE)
    sign_in(two, DESK)
    assert {listed.device for listed in sessions.of_tenant(one.tenant_id or 0)} == {PHONE, DESK}


@pytest.mark.parametrize("session_store", ["database"], indirect=True)
def test_rows_that_sql_made_are_no_sessions(employee: User) -> None:
    """They would show an admin whatever somebody likes."""
    begin_session(employee, PHONE)
    (row,) = Session.objects.all()
    Session.objects.create(
        id="0" * 64,
        data=row.data,
        user=employee,
        tenant=employee.tenant,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
    )
    assert [listed.id for listed in sessions.of_user(employee)] == [row.pk]
