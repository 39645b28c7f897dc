"""How an installation gets its first account."""

import getpass
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.test import Client

from accounts.models import AuditEvent, Role, User, UserStatus
from tests.accounts.test_views import sign_in
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db

EMAIL, PHRASE = "root@example.com", "correct horse battery staple"


class Person:
    """Somebody at a terminal, who types these answers, one after the other."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def isatty(self) -> bool:
        return bool(self.answers)

    def type(self, *_: object) -> str:
        return self.answers.pop(0)


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLATFORM_ADMIN_EMAIL", "PLATFORM_ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdin", Person())


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_ADMIN_PASSWORD", PHRASE)


def person(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    somebody = Person(*answers)
    monkeypatch.setattr(sys, "stdin", somebody)
    monkeypatch.setattr("builtins.input", somebody.type)
    monkeypatch.setattr(getpass, "getpass", somebody.type)


def run(**options: Any) -> str:
    out = StringIO()
    call_command("create_platform_admin", stdout=out, **options)
    assert PHRASE not in out.getvalue()
    return out.getvalue()


def refused(**options: Any) -> str:
    before = list(User.objects.values().order_by("pk"))
    with pytest.raises(CommandError) as refusal:
        run(**options)
    assert list(User.objects.values().order_by("pk")) == before
    assert PHRASE not in str(refusal.value)
    return str(refusal.value)


class TestMade:
    def made(self) -> User:
        user = User.objects.get()
        assert (user.role, user.tenant, user.status) == (Role.PLATFORM_ADMIN, None, UserStatus.ACTIVE)
        assert user.must_change_password
        assert user.check_password(PHRASE)
        return user

    def test_from_arguments_and_the_environment(self, password: None, client: Client) -> None:
        said = run(email=" Root@Example.COM", last_name="山田", first_name="太郎")
        assert said.startswith(f"Made the platform admin {EMAIL}")
        assert self.made().display_name == "山田 太郎"
        assert sign_in(client, EMAIL, PHRASE) == "/"
        assert client.get("/")["Location"] == "/password/change?next=/"

    def test_from_the_environment_alone(self, password: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLATFORM_ADMIN_EMAIL", EMAIL)
        run()
        assert self.made().display_name == EMAIL

    def test_from_a_prompt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        person(monkeypatch, EMAIL, PHRASE, PHRASE)
        run()
        self.made()

    def test_it_is_audited_with_its_reason_and_without_the_password(self, password: None) -> None:
        run(email=EMAIL)
        event = AuditEvent.objects.get(kind="users.insert")
        assert (event.door, event.reason) == ("command", "a platform admin is made")
        assert PHRASE not in str(event.after)

    def test_again_it_changes_nothing(self, password: None, monkeypatch: pytest.MonkeyPatch) -> None:
        run(email=EMAIL)
        before = User.objects.values().get()
        monkeypatch.setenv("PLATFORM_ADMIN_PASSWORD", "another good passphrase")
        assert "is a platform admin already" in run(email="ROOT@example.com", last_name="x")
        monkeypatch.delenv("PLATFORM_ADMIN_PASSWORD")
        assert "nothing was changed" in run(email=EMAIL)  # nor does it ask for anything
        assert User.objects.values().get() == before

    def test_a_suspended_one_stays_so_and_that_is_said(self, password: None) -> None:
        run(email=EMAIL)
        User.objects.update(status=UserStatus.SUSPENDED)
        assert ", suspended)" in run(email=EMAIL)
        assert User.objects.get().status == UserStatus.SUSPENDED


class TestRefused:
    @pytest.mark.parametrize("role", [Role.EMPLOYEE, Role.TENANT_ADMIN])
    def test_somebody_elses_address(self, password: None, make_user: MakeUser, role: Role) -> None:
        user = make_user(role=role)
        said = refused(email=user.email)
        assert f"the address of user {user.pk}, whose role is {role.value}" in said
        assert "Name another address" in said

    @pytest.mark.parametrize("weak", ["short", "password1234", "123456789012345678", "root@example.com"])
    def test_a_weak_password(self, monkeypatch: pytest.MonkeyPatch, weak: str) -> None:
        monkeypatch.setenv("PLATFORM_ADMIN_PASSWORD", weak)
        said = refused(email=EMAIL)
        assert said.startswith("Not a good password: ")
        assert said.isascii()

    @pytest.mark.parametrize("email", ["root", "root@", "@example.com", "a b@example.com"])
    def test_what_is_no_address(self, password: None, email: str) -> None:
        assert "is not an e-mail address" in refused(email=email)

    def test_nobody_to_ask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "--email or PLATFORM_ADMIN_EMAIL" in refused()
        assert "put it into PLATFORM_ADMIN_PASSWORD" in refused(email=EMAIL)

    def test_two_passwords_that_differ(self, monkeypatch: pytest.MonkeyPatch) -> None:
        person(monkeypatch, PHRASE, PHRASE + "x")
        assert "not the same" in refused(email=EMAIL)

    def test_a_password_as_an_argument(self) -> None:
        app = get_commands()["create_platform_admin"]
        assert isinstance(app, str)
        command = load_command_class(app, "create_platform_admin")
        options = command.create_parser("manage.py", "create_platform_admin")._option_string_actions
        assert [name for name in options if "pass" in name] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("without_scope")
def test_somebody_who_was_faster(password: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the write another process makes the same one."""
    original = User.set_password

    def make_it_first(user: User, raw: str | None) -> None:
        monkeypatch.setattr(User, "set_password", original)
        run(email=EMAIL)
        original(user, raw)

    monkeypatch.setattr(User, "set_password", make_it_first)
    assert "is a platform admin already" in run(email=EMAIL)
