import datetime as dt
from collections import Counter

import pytest
import time_machine
from django.contrib.auth import authenticate
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.backends import EmailBackend
from accounts.hashers import NodeBcryptPasswordHasher, SmallLambdaArgon2PasswordHasher
from accounts.models import User, UserStatus
from tenants.models import Tenant, TenantStatus
from tests.accounts.test_hashers import SHORT, node
from tests.conftest import PASSWORD, MakeUser, japan

NOW = japan("2026-11-20 12:00")
HASHERS = (SmallLambdaArgon2PasswordHasher, NodeBcryptPasswordHasher)


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often the real hashers are put to work."""
    calls: Counter[str] = Counter()

    def spy(hasher: type, name: str) -> None:
        original = getattr(hasher, name)

        def counted(self: object, *args: object) -> object:
            calls[name] += 1
            return original(self, *args)

        monkeypatch.setattr(hasher, name, counted)

    for hasher in HASHERS:
        spy(hasher, "encode")
        spy(hasher, "verify")
    return calls


class TestWho:
    def test_the_right_password_leads_to_the_user(self, employee: User, make_user: MakeUser) -> None:
        make_user()
        assert authenticate(email=employee.email, password=PASSWORD) == employee

    @pytest.mark.parametrize(
        "typed",
        [
            "Hanako@Example.COM",
            "  hanako@example.com ",
            "\ufeffhanako@example.com",
            "hanako@example.com\ufeff\n",
            "\u3000HANAKO@EXAMPLE.COM\ufeff ",
        ],
    )
    def test_an_address_however_it_is_typed(self, make_user: MakeUser, typed: str) -> None:
        user = make_user(email="hanako@example.com")
        assert authenticate(email=typed, password=PASSWORD) == user

    @pytest.mark.parametrize(
        "password",
        ["", " ", PASSWORD[:-1], PASSWORD + " ", " " + PASSWORD, PASSWORD.upper(), PASSWORD + "\0"],
    )
    def test_a_wrong_password(self, employee: User, password: str) -> None:
        assert authenticate(email=employee.email, password=password) is None

    @pytest.mark.parametrize("email", ["", "nobody@example.com", "%", "employee1@example.com' --"])
    def test_an_unknown_address(self, employee: User, email: str) -> None:
        assert authenticate(email=email, password=PASSWORD) is None

    def test_without_a_password_nobody_signs_in(self, tenant: Tenant) -> None:
        User.objects.create_user(email="new@example.com", password=None, tenant=tenant)
        assert authenticate(email="new@example.com", password="") is None
        assert authenticate(email="new@example.com", password="None") is None


class TestOutOfUse:
    def test_a_suspended_user(self, make_user: MakeUser) -> None:
        user = make_user(status=UserStatus.SUSPENDED)
        assert authenticate(email=user.email, password=PASSWORD) is None
        assert EmailBackend().get_user(user.pk) is None

    def test_a_suspended_tenant(self, employee: User) -> None:
        Tenant.objects.update(status=TenantStatus.SUSPENDED)
        assert authenticate(email=employee.email, password=PASSWORD) is None
        assert EmailBackend().get_user(employee.pk) is None

    def test_a_user_without_a_tenant_is_in_use(self, make_user: MakeUser) -> None:
        alone = make_user(tenant=None)
        assert authenticate(email=alone.email, password=PASSWORD) == alone
        assert EmailBackend().get_user(alone.pk) == alone

    @pytest.mark.parametrize(
        ("until", "may"),
        [
            (None, True),
            (NOW - dt.timedelta(microseconds=1), True),
            (NOW, True),
            (NOW + dt.timedelta(microseconds=1), False),
        ],
    )
    def test_a_lock_until_a_moment(self, make_user: MakeUser, until: dt.datetime | None, may: bool) -> None:
        user = make_user(locked_until=until)
        with time_machine.travel(NOW, tick=False):
            assert authenticate(email=user.email, password=PASSWORD) == (user if may else None)

    def test_a_user_who_is_gone(self, employee: User) -> None:
        employee.delete()
        assert EmailBackend().get_user(employee.pk) is None


class TestCost:
    """How long a refusal takes tells nobody whether an address is known."""

    def cost(self, hashing: Counter[str], email: str, password: str) -> int:
        hashing.clear()
        authenticate(email=email, password=password)
        # Argon2's verify does not encode, bcrypt's neither.
        return hashing["encode"] + hashing["verify"]

    def test_an_unknown_address_costs_one_hash_as_a_known_one(
        self, employee: User, make_user: MakeUser, hashing: Counter[str]
    ) -> None:
        suspended = make_user(status=UserStatus.SUSPENDED)
        locked = make_user(locked_until=NOW + dt.timedelta(days=36500))
        without = make_user()
        User.objects.filter(pk=without.pk).update(password="!nothing fits this")
        old = make_user()
        User.objects.filter(pk=old.pk).update(password=node(SHORT))
        known = [employee, suspended, locked, without, old]
        assert {user.pk: self.cost(hashing, user.email, "wrong") for user in known} == {
            user.pk: 1 for user in known
        }
        assert self.cost(hashing, "nobody@example.com", "wrong") == 1
        assert self.cost(hashing, employee.email, PASSWORD) == 1

    def test_one_query_finds_the_user_with_the_tenant(
        self, employee: User, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        # Besides it: the savepoint, the wider scope, and back.
        with django_assert_num_queries(5):
            user = authenticate(email=employee.email, password=PASSWORD)
            assert isinstance(user, User)
            assert user.zone.key == "Asia/Tokyo"
        with django_assert_num_queries(1):
            found = EmailBackend().get_user(employee.pk)
            assert found
            assert found.zone.key == "Asia/Tokyo"
        # One more leaves a trace in the audit trail.
        with django_assert_num_queries(6):
            authenticate(email="nobody@example.com", password=PASSWORD)


def test_a_new_password_ends_the_sessions_of_the_old_one(employee: User, employee_client: Client) -> None:
    assert employee_client.get("/").status_code == 200
    employee.set_password("another passphrase")
    employee.save()
    assert employee_client.get("/")["Location"] == "/sign-in?next=/"
