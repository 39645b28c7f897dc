from collections.abc import Iterator

import pytest

from accounts.models import User
from tests.attendance.tampering import INCOMING, On, connect


@pytest.fixture
def owner() -> Iterator[On]:
    with connect("owner") as on:
        yield on


@pytest.fixture
def comes_in(employee: User) -> None:
    """Five work sessions of the employee came by the import."""
    with connect("import") as on:
        on.execute(INCOMING, [employee.pk])
