"""A session that goes on under a new key stays what it was: the same with both stores."""

import datetime as dt
from collections.abc import Iterator

import pytest
import time_machine
from django.conf import settings
from django.test import Client

from accounts.account_views import GUESSES
from accounts.models import User
from accounts.sessions import of_user
from tenants.models import Tenant
from tests.accounts.test_account_sessions import END_OTHERS, PHONE, is_signed_in, sign_in
from tests.accounts.test_registration import errors
from tests.conftest import PASSWORD, japan
from tests.html import Page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("session_store")]

CHANGE, NEW = "/password/change", "川沿いの道を自転車で走る"
NOW = japan("2026-11-20 09:00")


@pytest.fixture(autouse=True)
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def phone(employee: User) -> Client:
    return sign_in(employee, PHONE, "203.0.113.7")


def test_no_key_lengthens_the_longest_lifetime(
    phone: Client, employee: User, now: time_machine.Traveller
) -> None:
    (before,) = of_user(employee)
    now.shift(dt.timedelta(seconds=settings.SESSION_COOKIE_AGE - 60))
    phone.post(END_OTHERS)
    employee.refresh_from_db()
    (after,) = of_user(employee)
    assert after.id != before.id
    assert (after.created, after.expires) == (before.created, before.expires)
    assert is_signed_in(phone)
    now.shift(dt.timedelta(seconds=60))
    assert not is_signed_in(phone)


def test_nor_gives_new_guesses_at_the_password(phone: Client) -> None:
    for n in range(GUESSES):
        if n == GUESSES // 2:
            phone.post(END_OTHERS)
        phone.post(CHANGE, {"current_password": "wrong", "new_password": NEW})
    page = Page(phone.post(CHANGE, {"current_password": PASSWORD, "new_password": NEW}))
    assert "試行回数が多すぎます" in errors(page)["current_password"][0]


def test_a_row_that_was_read_before_brings_no_ended_session_back(
    phone: Client, employee: User, tenant: Tenant
) -> None:
    """Stored whole, as `save` does."""
    read = User.objects.get(pk=employee.pk)
    phone.post("/account/sign-out-everywhere")
    read.first_name = "華子"
    read.save()
    employee.refresh_from_db()
    assert (employee.first_name, employee.session_epoch) == ("華子", read.session_epoch + 1)
    company = Tenant.objects.get(pk=tenant.pk)
    Tenant.objects.filter(pk=tenant.pk).update(status="suspended")
    company.save()
    tenant.refresh_from_db()
    assert (tenant.status, tenant.session_epoch) == ("active", 1)
