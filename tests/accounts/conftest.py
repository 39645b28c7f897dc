"""A tenant's admin, at their desk."""

import pytest
from django.test import Client

from accounts.models import Role, User
from tests.conftest import MakeUser


@pytest.fixture
def tenant_admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="小林", first_name="直子", email="admin@example.com")


@pytest.fixture
def desk(tenant_admin: User) -> Client:
    """A browser in which the tenant's admin is signed in."""
    client = Client()
    client.force_login(tenant_admin)
    return client
