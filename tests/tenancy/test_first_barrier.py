"""What the admin keeps to by itself: the connection is the owner's, whom no policy of PostgreSQL's binds."""

import pytest

from accounts import support
from accounts.models import User
from accounts.support import NoAccessError
from attendance.models import WorkSession, WorkSessionHistory
from tenants import scope
from tests.conftest import connects_as
from tests.tenancy import test_every_admin
from tests.tenancy.office import Office
from tests.tenancy.test_platform import looking
from tests.tenancy.world import World

as_owner = connects_as("owner")


@pytest.fixture
def barriers() -> str:
    return "the first alone"


def test_the_second_barrier_is_away(world: World) -> None:
    with scope.enter(world.own_admin.admin):
        assert set(User.objects.values_list("tenant", flat=True)) == {world.here.pk, world.there.pk, None}


@pytest.mark.parametrize(
    "proof",
    [
        test_every_admin.test_the_list_has_the_rows_of_the_tenant_and_no_others,
        test_every_admin.test_a_search_finds_nothing_of_others,
        test_every_admin.test_a_filter_offers_and_finds_nothing_of_others,
        test_every_admin.test_no_address_asks_for_more_than_the_list_offers,
        test_every_admin.test_an_action_on_rows_of_others_does_nothing,
        test_every_admin.test_a_form_offers_and_takes_no_row_of_others,
        test_every_admin.test_autocomplete_finds_no_row_of_others,
    ],
    ids=lambda proof: proof.__name__,
)
def test_without_the_second_barrier(office: Office, proof: object) -> None:
    assert callable(proof)
    proof(office)


def test_the_platform_finds_tenants_and_no_record(world: World) -> None:
    with scope.enter(world.platform_admin.platform):
        assert WorkSession.objects.count() > 10
        assert not WorkSession.objects.in_scope().exists()
        assert not WorkSessionHistory.objects.in_scope().exists()
        found = set(User.objects.in_scope().values_list("role", flat=True))
        assert found == {"tenant_admin", "platform_admin"}
        with (
            pytest.raises(NoAccessError),
            support.reading(world.there, world.platform_admin.user, what="access.month"),
        ):
            pytest.fail("there is no access to it")


def test_an_access_finds_the_records_of_its_tenant(world: World) -> None:
    with scope.enter(looking(world, world.there)):
        found = set(WorkSession.objects.in_scope().values_list("user__tenant", flat=True))
        assert found == {world.there.pk}
