"""What tests of every folder need: a tenant, its people, and pages as they see them."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Role, User
from attendance.models import WorkSession
from tenants.models import Tenant

PASSWORD = "a long enough passphrase"

MakeUser = Callable[..., User]
MakeSession = Callable[..., WorkSession]


@pytest.fixture
def tenant(db: None) -> Tenant:
    return Tenant.objects.create(name="青空商店")


@pytest.fixture
def other_tenant(db: None) -> Tenant:
    return Tenant.objects.create(name="港工業")


@pytest.fixture
def make_user(tenant: Tenant) -> MakeUser:
    """Make a user of the tenant (an employee, unless told otherwise), whose password is PASSWORD."""
    made = 0

    def make(**fields: object) -> User:
        nonlocal made
        made += 1
        given: dict[str, object] = {
            "email": f"employee{made}@example.com",
            "tenant": tenant,
            "role": Role.EMPLOYEE,
            "last_name": "佐藤",
            "first_name": "花子",
            **fields,
        }
        return User.objects.create_user(password=PASSWORD, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def employee(make_user: MakeUser) -> User:
    return make_user()


@pytest.fixture
def employee_client(client: Client, employee: User) -> Client:
    """A browser, without scripts, in which the employee is signed in."""
    client.force_login(employee)
    return client


@pytest.fixture
def make_session(employee: User) -> MakeSession:
    """Make a work session of the employee from times such as "2026-11-20 09:00" in Japan; no end: running."""

    def make(
        start: str, end: str | None = None, *, user: User | None = None, **fields: object
    ) -> WorkSession:
        return WorkSession.objects.create(
            user=user or employee, start_time=japan(start), end_time=japan(end) if end else None, **fields
        )

    return make


def japan(text: str) -> dt.datetime:
    """Return the instant of a wall-clock time in Japan: "2026-11-20 09:00", or with seconds."""
    return dt.datetime.fromisoformat(f"{text}+09:00")
