"""Tokens that wait in the table to be carried into the store that was chosen."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.db import transaction

from accounts import token_moves, tokens
from accounts.models import PasswordReset, User
from accounts.token_moves import carry_tokens
from accounts.tokens import DatabaseStore, Purpose, Token
from timerecord.aws.tokens import DynamoDBStore
from timerecord.core.sessions import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("dynamodb")]

LINK = "a link that was mailed before the move"


@pytest.fixture
def waiting(employee: User) -> User:
    """Somebody whose link is in the table: nothing is in the store yet."""
    end = tokens._end(600)
    DatabaseStore().put(tokens.digest(LINK), Token(employee.pk, {}), Purpose.RESET, end)
    return employee


@pytest.fixture
def half_carried(waiting: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """It is in both, for the command died between them."""

    class Died(DynamoDBStore):
        def put(self, *given: object) -> None:
            super().put(*given)  # type: ignore[arg-type]  # whatever a store is given
            raise StoreUnavailableError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_moves, "import_string", lambda _: Died)
        with pytest.raises(StoreUnavailableError), transaction.atomic():
            carry_tokens()
    assert PasswordReset.objects.count() == 1
    return waiting


def test_it_is_good_in_its_new_place_and_gone_from_the_old(waiting: User) -> None:
    assert (carry_tokens(), carry_tokens()) == (1, 0)
    assert tokens.redeem(LINK, Purpose.RESET) == Token(waiting.pk, {})
    assert not PasswordReset.objects.exists()


def test_half_carried_it_is_good_once(half_carried: User) -> None:
    assert tokens.redeem(LINK, Purpose.RESET)
    assert carry_tokens() == 0
    assert tokens.redeem(LINK, Purpose.RESET) is None


@pytest.mark.parametrize(
    "then",
    [
        lambda user: tokens.void(user.pk, Purpose.RESET),
        lambda user: tokens.issue(user.pk, Purpose.RESET, 600),
    ],
    ids=["voided", "another one"],
)
@pytest.mark.parametrize("state", ["waiting", "half_carried"])
def test_what_was_voided_does_not_come_back(
    request: pytest.FixtureRequest, then: Callable[[User], object], state: str
) -> None:
    then(request.getfixturevalue(state))
    assert carry_tokens() == 0
    assert tokens.redeem(LINK, Purpose.RESET) is None


def test_other_purposes_and_people_keep_theirs(waiting: User, dynamodb: "DynamoDBClient") -> None:
    tokens.void(waiting.pk, Purpose.EMAIL)
    tokens.void(waiting.pk + 1, Purpose.RESET)
    assert carry_tokens() == 1
