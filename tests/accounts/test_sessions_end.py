"""Whose rights change, signs in anew: whatever code, or whoever, changes the row."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import Role, User, UserStatus
from tenants.models import Tenant, TenantStatus

pytestmark = pytest.mark.django_db


def is_signed_in(client: Client) -> bool:
    return client.get("/").status_code == 200


@pytest.mark.parametrize(
    ("then", "back"),
    [
        ({"status": UserStatus.SUSPENDED}, {"status": UserStatus.ACTIVE}),
        ({"role": Role.TENANT_ADMIN}, {"role": Role.EMPLOYEE}),
    ],
)
def test_a_change_that_is_taken_back_before_the_next_request(
    employee_client: Client, employee: User, then: dict[str, Any], back: dict[str, Any]
) -> None:
    assert is_signed_in(employee_client)
    User.objects.filter(pk=employee.pk).update(**then)
    User.objects.filter(pk=employee.pk).update(**back)
    assert not is_signed_in(employee_client)


def test_a_move_to_another_tenant_and_back(
    employee_client: Client, employee: User, tenant: Tenant, other_tenant: Tenant
) -> None:
    for place in (other_tenant, tenant):
        User.objects.filter(pk=employee.pk).update(tenant=place)
    assert not is_signed_in(employee_client)


def test_a_tenant_that_was_suspended_for_a_while(employee_client: Client, tenant: Tenant) -> None:
    for status in (TenantStatus.SUSPENDED, TenantStatus.ACTIVE):
        Tenant.objects.filter(pk=tenant.pk).update(status=status)
    assert not is_signed_in(employee_client)


def test_nothing_else_ends_them(employee_client: Client, employee: User, tenant: Tenant) -> None:
    User.objects.filter(pk=employee.pk).update(last_name="鈴木", status=UserStatus.ACTIVE, failed_attempts=4)
    Tenant.objects.filter(pk=tenant.pk).update(name="青空商会", status=TenantStatus.ACTIVE)
    assert is_signed_in(employee_client)
