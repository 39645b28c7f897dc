import datetime as dt

import pytest
import time_machine

from accounts import tokens
from accounts.models import PasswordReset, User
from accounts.tokens import MAX_TRIES, Purpose, Token
from tests.conftest import MakeUser
from timerecord.aws import client

pytestmark = pytest.mark.usefixtures("session_store")

TEN_MINUTES = 600


def kept(session_store: str) -> str:
    """Return all that somebody finds who reads the store."""
    if session_store == "database":
        return str([vars(row) for row in PasswordReset.objects.all()])
    return str(client.dynamodb().scan(TableName=client.table())["Items"])


class TestLinks:
    def test_it_is_good_once(self, employee: User) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES, {"n": 1})
        expected = Token(employee.pk, {"n": 1})
        assert tokens.find(token, Purpose.RESET) == expected
        assert tokens.redeem(token, Purpose.RESET) == expected
        assert tokens.redeem(token, Purpose.RESET) is None
        assert tokens.find(token, Purpose.RESET) is None

    def test_it_is_long_and_only_its_digest_is_kept(self, employee: User, session_store: str) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        assert len(token) == 43
        assert tokens.digest(token) in kept(session_store)
        assert token not in kept(session_store)

    def test_it_ends(self, employee: User, time_machine: time_machine.TimeMachineFixture) -> None:
        time_machine.move_to("2026-11-20T00:00Z", tick=False)
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        time_machine.shift(dt.timedelta(seconds=599))
        assert tokens.find(token, Purpose.RESET)
        time_machine.shift(dt.timedelta(seconds=1))
        assert tokens.find(token, Purpose.RESET) is None
        assert tokens.redeem(token, Purpose.RESET) is None

    def test_a_new_one_voids_the_one_before_and_nobody_elses(
        self, employee: User, make_user: MakeUser
    ) -> None:
        colleagues = tokens.issue(make_user().pk, Purpose.RESET, TEN_MINUTES)
        code = tokens.issue_code(employee.pk, Purpose.EMAIL, TEN_MINUTES)
        first = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        second = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        assert tokens.redeem(first, Purpose.RESET) is None
        assert tokens.redeem(second, Purpose.RESET)
        assert tokens.redeem(colleagues, Purpose.RESET)
        assert tokens.redeem_code(employee.pk, code, Purpose.EMAIL)

    @pytest.mark.parametrize("token", ["", "x", "\x00", "é" * 43])
    def test_anything_else_is_none(self, employee: User, token: str) -> None:
        tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        assert tokens.redeem(token, Purpose.RESET) is None

    def test_it_serves_one_purpose(self, employee: User) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        assert tokens.redeem(token, Purpose.EMAIL) is None
        assert tokens.redeem(token, Purpose.RESET)

    def test_it_can_be_made_worthless(self, employee: User) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        tokens.void(employee.pk, Purpose.RESET)
        assert tokens.redeem(token, Purpose.RESET) is None


class TestCodes:
    @pytest.fixture
    def code(self, employee: User) -> str:
        return tokens.issue_code(employee.pk, Purpose.EMAIL, TEN_MINUTES, {"email": "new@example.com"})

    def wrong(self, code: str) -> str:
        return f"{(int(code) + 1) % 10**6:06}"

    def test_it_has_six_digits_and_is_good_once(self, employee: User, code: str) -> None:
        assert len(code) == 6
        assert code.isdigit()
        expected = Token(employee.pk, {"email": "new@example.com"})
        assert tokens.redeem_code(employee.pk, code, Purpose.EMAIL) == expected
        assert tokens.redeem_code(employee.pk, code, Purpose.EMAIL) is None
        assert tokens.pending(employee.pk, Purpose.EMAIL) is None

    def test_the_fifth_try_counts_and_the_sixth_does_not(self, employee: User, code: str) -> None:
        for left in range(MAX_TRIES - 1, 0, -1):
            assert tokens.redeem_code(employee.pk, self.wrong(code), Purpose.EMAIL) is None
            pending = tokens.pending(employee.pk, Purpose.EMAIL)
            assert pending
            assert pending.tries_left == left
        assert tokens.redeem_code(employee.pk, code, Purpose.EMAIL)

    def test_after_five_the_right_one_is_no_good(self, employee: User, code: str) -> None:
        for _ in range(MAX_TRIES):
            tokens.redeem_code(employee.pk, self.wrong(code), Purpose.EMAIL)
        assert tokens.redeem_code(employee.pk, code, Purpose.EMAIL) is None

    def test_it_is_nobody_elses(self, employee: User, code: str, make_user: MakeUser) -> None:
        other = make_user()
        tokens.issue_code(other.pk, Purpose.EMAIL, TEN_MINUTES)
        assert tokens.redeem_code(other.pk, code, Purpose.EMAIL) is None

    def test_trying_all_codes_on_the_digest_is_not_enough(
        self, employee: User, code: str, session_store: str
    ) -> None:
        assert "new@example.com" in kept(session_store)
        for guess in (tokens.digest(code), tokens.digest(f"email\n{employee.pk}\n{code}")):
            assert guess not in kept(session_store)
