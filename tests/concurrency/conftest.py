from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tests.concurrency.racing import SECONDS
from tests.conftest import japan

NOON = japan("2026-11-20 12:00:05")


@pytest.fixture
def noon(time_machine: time_machine.TimeMachineFixture) -> None:
    """It stays noon, however long it takes: no minute ends."""
    time_machine.move_to(NOON, tick=False)


@pytest.fixture(autouse=True)
def _everybody_is_patient() -> Iterator[None]:
    """Twenty at once, in one process on a busy machine, may wait for longer than the role would."""

    def wait_longer(connection: BaseDatabaseWrapper, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{SECONDS}s'; SET statement_timeout = '{SECONDS}s'")

    connection_created.connect(wait_longer)
    yield
    connection_created.disconnect(wait_longer)
