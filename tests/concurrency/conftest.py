import pytest
import time_machine

from tests.conftest import japan


@pytest.fixture
def noon(time_machine: time_machine.TimeMachineFixture) -> None:
    """No minute ends nearby."""
    time_machine.move_to(japan("2026-11-20 12:00:05"), tick=True)
