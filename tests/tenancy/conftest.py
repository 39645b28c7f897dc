from collections.abc import Iterator

import pytest
import time_machine
from django.test import Client

from tests.tenancy.office import Office, model_admin_of
from tests.tenancy.protection import ADMINS
from tests.tenancy.world import NOW, World, make_world, take_the_first_barrier_away


@pytest.fixture
def world(db: None) -> Iterator[World]:
    with time_machine.travel(NOW, tick=False):
        yield make_world()


@pytest.fixture(params=["both", "the second alone"])
def barriers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "the second alone":
        take_the_first_barrier_away(monkeypatch)
    return str(request.param)


@pytest.fixture(
    params=[
        (name, visitor)
        for name in ADMINS
        if name.startswith("admin:")
        for visitor in ("own_admin", "other_admin")
    ]
)
def office(request: pytest.FixtureRequest, world: World, barriers: str) -> Office:
    name, visitor = request.param
    client = Client()
    client.force_login(world.people[visitor].user)
    return Office(world, model_admin_of(name), ADMINS[name], visitor, client)
