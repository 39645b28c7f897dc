import datetime as dt
from collections import Counter
from typing import Any

import argon2
import bcrypt
import pytest
import time_machine
from django.contrib.auth import authenticate
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.backends import EmailBackend
from accounts.hashers import STAND_IN
from accounts.models import User, UserStatus
from tenants import scope
from tenants.models import Tenant, TenantStatus
from tests.accounts.test_hashers import WRITTEN_BY_BCRYPTJS, node
from tests.conftest import EVERYTHING, PASSWORD, MakeUser, japan

NOW = japan("2026-11-20 12:00")
OF_THE_OLD_COST = WRITTEN_BY_BCRYPTJS["タイムカード2025"]
WRITES = ("INSERT", "UPDATE", "DELETE", "SELECT RECORD_EVENT")


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often Argon2 and bcrypt themselves are put to work."""
    calls: Counter[str] = Counter()

    def spy(module: object, name: str, kind: str) -> None:
        original = getattr(module, name)

        def counted(*args: object, **kwargs: object) -> object:
            calls[kind] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)

    spy(argon2.low_level, "hash_secret", "argon2")
    spy(argon2.PasswordHasher, "verify", "argon2")
    spy(bcrypt, "checkpw", "bcrypt")
    spy(bcrypt, "hashpw", "bcrypt")
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
    """How long a refusal takes tells nobody whether an address is known, or what became of its account."""

    @pytest.fixture
    def known(self, make_user: MakeUser, other_tenant: Tenant) -> dict[str, User]:
        """A user in each state, with a password of each kind."""
        people = {
            "active": make_user(),
            "suspended": make_user(status=UserStatus.SUSPENDED),
            "locked": make_user(locked_until=NOW + dt.timedelta(days=36500)),
            "about to be locked": make_user(failed_attempts=4),
            "must change the password": make_user(must_change_password=True),
            "without a tenant": make_user(tenant=None),
            "of a suspended tenant": make_user(tenant=other_tenant),
            "with an address made up": make_user(email="x@placeholder.local"),
            "without a password": make_user(),
            "imported": make_user(),
            "imported and suspended": make_user(status=UserStatus.SUSPENDED),
        }
        User.objects.filter(pk=people["without a password"].pk).update(password="!nothing fits this")
        imported = [people["imported"].pk, people["imported and suspended"].pk]
        User.objects.filter(pk__in=imported).update(password=node(OF_THE_OLD_COST))
        Tenant.objects.filter(pk=other_tenant.pk).update(status=TenantStatus.SUSPENDED)
        return people

    @pytest.fixture
    def known_committed(self, transactional_db: None) -> dict[str, str]:
        """Addresses by what state their user is in."""
        states: dict[str, dict[str, Any]] = {
            "active": {},
            "suspended": {"status": UserStatus.SUSPENDED},
            "locked": {"locked_until": NOW + dt.timedelta(days=36500)},
            "imported": {"password": node(OF_THE_OLD_COST)},
        }
        with scope.enter(EVERYTHING):
            for state, fields in states.items():
                User.objects.create(username=state, email=f"{state}@example.com", **fields)
        return {state: f"{state}@example.com" for state in (*states, "nobody")}

    def cost(self, hashing: Counter[str], email: str, password: str) -> tuple[int, int]:
        hashing.clear()
        authenticate(email=email, password=password)
        return hashing["argon2"], hashing["bcrypt"]

    @pytest.mark.parametrize("password", ["wrong", PASSWORD, "", "タイムカード2025"])
    def test_every_attempt_costs_one_argon2_and_one_bcrypt(
        self, known: dict[str, User], hashing: Counter[str], password: str
    ) -> None:
        addresses = {state: user.email for state, user in known.items()} | {"nobody": "nobody@example.com"}
        costs = {state: self.cost(hashing, email, password) for state, email in addresses.items()}
        assert costs == dict.fromkeys(addresses, (1, 1))

    def test_space_around_costs_everybody_the_same_again(
        self, known: dict[str, User], hashing: Counter[str]
    ) -> None:
        """The old application trimmed passwords, so an old hash is tried twice."""
        addresses = [*(user.email for user in known.values()), "nobody@example.com"]
        assert {self.cost(hashing, email, " タイムカード2025 ") for email in addresses} == {(1, 2)}

    def test_the_stand_in_is_of_the_cost_of_the_old_application(self) -> None:
        stand_in, old = (encoded.split("$")[-2] for encoded in (STAND_IN, OF_THE_OLD_COST))
        assert stand_in == old == "10"
        assert STAND_IN.startswith(node("$2a$"))

    def test_the_queries_of_a_success_and_of_a_refusal(
        self, employee: User, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        # To take a turn: savepoint, scope, user with tenant, UPDATE, its count, and back from both.
        # Then again: savepoint, scope, what became of it, and back.
        with django_assert_num_queries(7 + 5):
            user = authenticate(email=employee.email, password=PASSWORD)
            assert isinstance(user, User)
            assert user.zone.key == "Asia/Tokyo"
        with django_assert_num_queries(7 + 5):
            authenticate(email=employee.email, password="wrong")
        # No turn to take, but a count all the same.
        with django_assert_num_queries(5 + 1 + 5):
            authenticate(email="nobody@example.com", password="wrong")
        with django_assert_num_queries(1):
            found = EmailBackend().get_user(employee.pk)
            assert found
            assert found.zone.key == "Asia/Tokyo"

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.usefixtures("without_scope")
    def test_a_refusal_commits_as_often_whoever_it_is(self, known_committed: dict[str, str]) -> None:
        """A commit waits for the disk, which can be measured from afar."""

        def commits(email: str) -> int:
            writes: list[bool] = []  # for each transaction whether it wrote anything

            def watch(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
                done = execute(sql, params, many, context)
                if sql == scope.SAY or not connection.in_atomic_block:
                    writes.append(False)
                writes[-1] |= sql.strip().upper().startswith(WRITES) and context["cursor"].rowcount > 0
                return done

            with connection.execute_wrapper(watch):
                authenticate(email=email, password="wrong")
            return sum(writes)

        assert {state: commits(email) for state, email in known_committed.items()} == dict.fromkeys(
            known_committed, 2
        )


def test_a_new_password_ends_the_sessions_of_the_old_one(employee: User, employee_client: Client) -> None:
    assert employee_client.get("/").status_code == 200
    employee.set_password("another passphrase")
    employee.save()
    assert employee_client.get("/")["Location"] == "/sign-in?next=/"
