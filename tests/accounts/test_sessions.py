"""Where somebody is signed in, and how that ends: on each store."""

import dataclasses
import datetime as dt
from collections.abc import Callable

import pytest
from django.conf import settings as project
from django.http import HttpRequest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts import account_actions, people, sessions, tokens
from accounts.models import Role, Session, User
from accounts.people import Person
from accounts.tokens import Purpose
from tests.conftest import PASSWORD, MakeUser
from tests.html import Page, ja
from tests.tenancy.world import begin_session
from timerecord.core.sessions import ADDRESS_KEY, DEVICE_KEY, Listed, StoreUnavailableError, driver

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
    phone.cookies[project.SESSION_COOKIE_NAME] = str(request.session.session_key)
    assert request.session.session_key != before
    assert (is_signed_in(phone), is_signed_in(desk)) == (True, False)
    (listed,) = sessions.of_user(employee)
    # What is known of it goes along.
    assert (listed.device, listed.id) == (PHONE, sessions.own_id(request))
    assert (request.session[DEVICE_KEY], request.session[ADDRESS_KEY]) == (PHONE, "192.0.2.7")


def test_ending_all_needs_no_list(
    employee: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    """A session that the index does not show yet ends with the others; so do all while it is broken."""
    phone = sign_in(employee, PHONE)

    def broken(*_: object) -> list[Listed]:
        raise StoreUnavailableError("no list today")

    monkeypatch.setattr(driver(), "of_user", broken)
    with django_capture_on_commit_callbacks(execute=True):
        sessions.end_all(employee)
    assert not is_signed_in(phone)
    assert "no list today" in caplog.text


class TestWhatEndedIsNotKept:
    """It would be listed until it expires, and admins would see people signed in who are not."""

    @staticmethod
    def reset(user: User) -> None:
        token = tokens.issue(user.pk, Purpose.RESET, 600)
        assert account_actions.reset_password(token, "another long passphrase")

    @staticmethod
    def promote(user: User) -> None:
        seen = Person(user.last_name or "", user.first_name or "", user.email, user.role)
        people.change(user, dataclasses.replace(seen, role=Role.TENANT_ADMIN), seen=seen)

    WAYS = [
        pytest.param(sessions.end_all, id="everywhere"),
        pytest.param(lambda user: account_actions.change_password(user, "another long one"), id="password"),
        pytest.param(reset, id="reset"),
        pytest.param(people.give_first_password, id="first password"),
        pytest.param(people.suspend, id="suspension"),
        pytest.param(promote, id="role"),
    ]

    def kept(self, user: User) -> list[str]:
        listed = driver().of_user(user.tenant_id, user.pk, dt.datetime.now(dt.UTC))
        return [session.device for session in listed]

    @pytest.mark.parametrize("end", WAYS)
    def test_it_is_hidden_at_once_and_removed_after_the_commit(
        self,
        employee: User,
        make_user: MakeUser,
        end: Callable[[User], object],
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        colleague = make_user()
        phone = sign_in(employee, PHONE)
        sign_in(colleague, DESK)
        with django_capture_on_commit_callbacks() as after_the_commit:
            end(employee)
        employee.refresh_from_db()
        assert sessions.of_user(employee) == []
        assert [listed.device for listed in sessions.of_tenant(employee.tenant_id or 0)] == [DESK]
        assert self.kept(employee) == [PHONE]
        for callback in after_the_commit:
            callback()
        assert self.kept(employee) == []
        assert self.kept(colleague) == [DESK]
        assert not is_signed_in(phone)

    def test_what_is_good_is_kept(
        self, employee: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        phone = sign_in(employee, PHONE)
        with django_capture_on_commit_callbacks(execute=True):
            sessions.forget_ended(employee)
        assert is_signed_in(phone)
        assert [listed.device for listed in sessions.of_user(employee)] == [PHONE]

    def test_under_a_new_secret_key_they_are_good(self, employee: User, settings: Settings) -> None:
        sign_in(employee, PHONE)
        settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "y" * 60
        assert [listed.device for listed in sessions.of_user(employee)] == [PHONE]


def test_a_password_is_not_changed_in_a_session_that_was_ended_meanwhile(employee: User) -> None:
    asks = User.objects.get(pk=employee.pk)
    sessions.end_all(employee)
    assert not account_actions.change_password(asks, "another long passphrase")


@pytest.mark.parametrize("language", ["ja", "en"])
def test_one_that_is_ended_while_its_password_is_changed(
    employee: User, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = sign_in(employee, PHONE)
    phone.raise_request_exception = False
    go_on = sessions.go_on

    def then_it_ends(request: HttpRequest, user: User) -> None:
        own = sessions.own_id(request)
        go_on(request, user)
        assert sessions.end(user, own)

    monkeypatch.setattr("accounts.account_views.sessions.go_on", then_it_ends)
    given = {"current_password": PASSWORD, "new_password": "another long passphrase"}
    answer = phone.post("/password/change", given, headers={"accept-language": language})
    page, title = Page(answer), "You were signed out in the meantime"
    assert (answer.status_code, page.heading) == (400, title if language == "en" else ja(title))
    assert not is_signed_in(phone)
    employee.refresh_from_db()
    assert employee.check_password("another long passphrase")  # so nobody reads that nothing was changed


@pytest.mark.parametrize("role", [Role.TENANT_ADMIN, Role.PLATFORM_ADMIN])
def test_another_role_ends_them(employee: User, role: Role) -> None:
    phone = sign_in(employee, PHONE)
    User.objects.filter(pk=employee.pk).update(role=role)
    assert not is_signed_in(phone)
    assert sessions.of_user(employee) == []


def test_so_does_the_end_of_all(employee: User) -> None:
    phone = sign_in(employee, PHONE)
    sessions.end_all(employee)
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
