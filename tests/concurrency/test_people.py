"""Tenant admins who act on each other, or on the same person, at the same moment."""

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Role, User, UserStatus
from tests.concurrency.racing import all_at_once
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db(transaction=True)


def suspends(admin: User, other: User) -> Callable[[threading.Barrier], int]:
    client = Client()
    client.force_login(admin)

    def send(barrier: threading.Barrier) -> int:
        barrier.wait()
        return client.post(f"/admin/accounts/user/{other.pk}/suspend/", {"reason": "x"}).status_code

    return send


@pytest.mark.parametrize("round_", range(5))
def test_admins_who_suspend_each_other_leave_one(
    make_user: MakeUser,
    round_: int,
) -> None:
    """Each suspends the next one, in a ring: whoever comes late is no admin any more."""
    admins = [make_user(role=Role.TENANT_ADMIN) for _ in range(6)]
    pairs = zip(admins, [*admins[1:], admins[0]], strict=True)
    answers = Counter(all_at_once([suspends(admin, other) for admin, other in pairs]))
    left = User.objects.filter(status=UserStatus.ACTIVE).count()
    assert left >= 1
    # Told why not, signed out by then, or no admin's page any more.
    assert set(answers) <= {303, 200, 302}
    assert User.objects.filter(status=UserStatus.SUSPENDED).count() == 6 - left


def test_one_person_suspended_by_many_at_once_is_suspended_once(
    make_user: MakeUser,
) -> None:
    employee = make_user()
    before = employee.session_epoch
    admins = [make_user(role=Role.TENANT_ADMIN) for _ in range(8)]
    all_at_once([suspends(admin, employee) for admin in admins])
    employee.refresh_from_db()
    assert (employee.status, employee.session_epoch) == (UserStatus.SUSPENDED, before + 1)
