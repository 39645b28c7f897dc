"""Many people at the same code, link or number at the same moment, on a real PostgreSQL."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection, connections, transaction
from django.test import Client

from accounts import account_actions, errands, tokens
from accounts.account_actions import CodeProblem
from accounts.account_forms import CODE_PROBLEMS, TAKEN
from accounts.errands import Kind
from accounts.models import Errand, PasswordReset, RoleCode, User
from accounts.registration_views import RESET_LINK
from accounts.tokens import MAX_TRIES, Purpose
from tenants import scope
from tenants.models import Tenant
from tests.accounts.test_registration import CODE, REGISTER, english, errors, given
from tests.concurrency.racing import SECONDS, all_at_once
from tests.conftest import PASSWORD, MakeUser, own_scope
from tests.html import Page, ja

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 50
TEN_MINUTES = 600
NEW_ADDRESS = {"email": "new@example.com"}
WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def registers(email: str) -> Callable[[threading.Barrier], str]:
    """Return what a browser of its own does: open the page, wait for the others, register."""

    def send(barrier: threading.Barrier) -> str:
        client = Client()
        client.get(REGISTER)
        barrier.wait()
        response = client.post(REGISTER, given(email=email))
        if response.status_code == 303:
            return "registered"
        (told,) = errors(Page(response)).values()
        return "".join(told)

    return send


@pytest.mark.parametrize("left", [1, 3])
def test_fifty_registrations_use_a_code_no_more_often_than_it_may_be(tenant: Tenant, left: int) -> None:
    RoleCode.objects.create(tenant=tenant, code=CODE, max_uses=7, usage_count=7 - left)
    answers = Counter(all_at_once([registers(f"{n}@example.com") for n in range(AT_ONCE)]))
    used_up = ja(english(CODE_PROBLEMS[CodeProblem.USED_UP]))
    assert answers == {"registered": left, used_up: AT_ONCE - left}
    assert User.objects.count() == left
    assert RoleCode.objects.get().usage_count == 7


def test_one_address_at_once_leaves_one_account_and_counts_one_use(tenant: Tenant) -> None:
    RoleCode.objects.create(tenant=tenant, code=CODE)
    answers = Counter(all_at_once([registers("same@example.com") for _ in range(20)]))
    assert answers == {"registered": 1, ja(english(TAKEN)): 19}
    assert RoleCode.objects.get().usage_count == 1


def test_a_link_sets_one_password(employee: User, mailoutbox: list[EmailMessage]) -> None:
    token = tokens.issue(employee.pk, Purpose.RESET, 600)

    def reset(n: int) -> Callable[[threading.Barrier], str]:
        def send(barrier: threading.Barrier) -> str:
            client = Client()
            client.get(f"/password/reset/{token}")
            assert client.cookies[RESET_LINK.cookie].value == token
            barrier.wait()
            return Page(client.post("/password/reset", {"new_password": password(n)}, follow=True)).heading

        return send

    headings = Counter(all_at_once([reset(n) for n in range(12)]))
    assert headings == {"ログイン": 1, ja("This link does not work"): 11}
    employee.refresh_from_db()
    assert sum(employee.check_password(password(n)) for n in range(12)) == 1
    assert len(mailoutbox) == 1


def asked_by(user: User) -> dict[str, Any]:
    """What is left to be done when somebody asks for a link."""
    return {"email": user.email, "language": "ja", "visitor": {}}


def test_each_errand_is_done_once_however_many_do_what_waits(
    employee: User, mailoutbox: list[EmailMessage]
) -> None:
    for _ in range(8):
        errands.leave(Kind.LOCKED, user=employee.pk)

    def do(barrier: threading.Barrier) -> int:
        barrier.wait()
        return errands.do_waiting()

    assert sum(all_at_once([do] * 8)) == 8
    assert len(mailoutbox) == 8
    assert not Errand.objects.exists()


def password(n: int) -> str:
    return f"a passphrase, number {n}"


def test_asking_at_once_leaves_one_link(employee: User, mailoutbox: list[EmailMessage]) -> None:
    def ask(barrier: threading.Barrier) -> None:
        barrier.wait()
        message = account_actions.reset_mail(asked_by(employee))
        assert message
        message.send()

    all_at_once([ask] * 12)
    (kept,) = PasswordReset.objects.all()
    assert len(mailoutbox) == 12
    links = [str(message.body).partition("/password/reset/")[2].split()[0] for message in mailoutbox]
    assert [tokens.digest(token) for token in links].count(kept.token) == 1
    assert [bool(tokens.find(token, Purpose.RESET)) for token in links].count(True) == 1


def test_a_code_has_five_tries_however_many_try(employee: User) -> None:
    code = tokens.issue_code(employee.pk, Purpose.EMAIL, 600, {"email": "new@example.com"})
    wrong = f"{(int(code) + 1) % 10**6:06}"

    def confirm(barrier: threading.Barrier) -> bool:
        barrier.wait()
        with scope.enter(own_scope(employee)):
            return account_actions.confirm_email_change(employee, wrong)

    assert Counter(all_at_once([confirm] * 20)) == {False: 20}
    assert PasswordReset.objects.get().tries == MAX_TRIES
    with scope.enter(own_scope(employee)):
        assert not account_actions.confirm_email_change(employee, code)


def test_the_right_code_changes_the_address_once(employee: User, mailoutbox: list[EmailMessage]) -> None:
    code = tokens.issue_code(employee.pk, Purpose.EMAIL, 600, {"email": "new@example.com"})

    def confirm(barrier: threading.Barrier) -> bool:
        barrier.wait()
        with scope.enter(own_scope(employee)):
            return account_actions.confirm_email_change(employee, code)

    assert Counter(all_at_once([confirm] * 10)) == {True: 1, False: 9}
    assert len(mailoutbox) == 1


def test_two_who_want_one_address_get_it_once(employee: User, make_user: MakeUser) -> None:
    people = [employee, *(make_user() for _ in range(5))]
    wanted = {"email": "wanted@example.com"}
    codes = {user.pk: tokens.issue_code(user.pk, Purpose.EMAIL, 600, wanted) for user in people}

    def confirm(user: User) -> Callable[[threading.Barrier], bool]:
        def send(barrier: threading.Barrier) -> bool:
            barrier.wait()
            with scope.enter(own_scope(user)):
                return account_actions.confirm_email_change(user, codes[user.pk])

        return send

    assert Counter(all_at_once([confirm(user) for user in people])) == {True: 1, False: 5}
    assert User.objects.filter(email="wanted@example.com").count() == 1


def test_a_password_that_is_changed_several_times_at_once_is_changed_once(employee: User) -> None:
    def change(n: int) -> Callable[[threading.Barrier], int]:
        def send(barrier: threading.Barrier) -> int:
            client = Client()
            client.force_login(employee)
            barrier.wait()
            data = {"current_password": PASSWORD, "new_password": password(n)}
            return client.post("/password/change", data).status_code

        return send

    statuses = all_at_once([change(n) for n in range(4)])
    assert statuses.count(303) == 1
    employee.refresh_from_db()
    assert [employee.check_password(password(n)) for n in range(4)] == [status == 303 for status in statuses]


class TestTwoForOneUser:
    """Whoever comes first, neither waits for the other for ever, and the second finds what the first left."""

    def in_turn(self, user: User, *does: Callable[[], object]) -> list[object]:
        """Do each in a thread; all wait for the user's row, in this order, before any may have it."""

        def work(do: Callable[[], object]) -> object:
            try:
                return do()
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(does)) as pool:
            running = []
            with transaction.atomic(), connection.cursor() as cursor:
                User.objects.select_for_update().get(pk=user.pk)
                for number, do in enumerate(does, start=1):
                    running.append(pool.submit(work, do))
                    waiting = 0
                    while waiting < number and not running[-1].done():
                        cursor.execute("SELECT pg_stat_clear_snapshot()")
                        cursor.execute(WAITING)
                        (waiting,) = cursor.fetchone() or (0,)
                    assert waiting == number
            return [done.result(SECONDS) for done in running]

    @staticmethod
    def reset(token: str) -> Callable[[], bool]:
        return lambda: account_actions.reset_password(token, password(1)) is not None

    @staticmethod
    def ask_for_reset(user: User) -> Callable[[], None]:
        asked = asked_by(user)

        def do() -> None:
            account_actions.reset_mail(asked)

        return do

    @staticmethod
    def change(user: User) -> Callable[[], bool]:
        def do() -> bool:
            with scope.enter(own_scope(user)):
                return account_actions.change_password(user, password(2))

        return do

    @staticmethod
    def confirm(user: User, code: str) -> Callable[[], bool]:
        def do() -> bool:
            with scope.enter(own_scope(user)):
                return account_actions.confirm_email_change(user, code)

        return do

    @staticmethod
    def ask_for_code(user: User) -> Callable[[], None]:
        def do() -> None:
            with scope.enter(own_scope(user)):
                account_actions.request_email_change(user, "newer@example.com")

        return do

    def test_a_reset_then_another_link(self, employee: User) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        done = self.in_turn(employee, self.reset(token), self.ask_for_reset(employee))
        assert done == [True, None]
        employee.refresh_from_db()
        assert employee.check_password(password(1))
        assert PasswordReset.objects.get().token != tokens.digest(token)

    def test_another_link_then_a_reset(self, employee: User) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        done = self.in_turn(employee, self.ask_for_reset(employee), self.reset(token))
        assert done == [None, False]
        employee.refresh_from_db()
        assert employee.check_password(PASSWORD)
        kept = PasswordReset.objects.get()
        assert kept.token != tokens.digest(token)
        assert kept.used_at is None

    def test_a_reset_then_a_change(self, employee: User) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        assert self.in_turn(employee, self.reset(token), self.change(employee)) == [True, False]
        employee.refresh_from_db()
        assert employee.check_password(password(1))
        assert not PasswordReset.objects.exists()

    def test_a_change_then_a_reset(self, employee: User) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, TEN_MINUTES)
        assert self.in_turn(employee, self.change(employee), self.reset(token)) == [True, False]
        employee.refresh_from_db()
        assert employee.check_password(password(2))
        assert not PasswordReset.objects.exists()

    def test_a_code_then_another(self, employee: User) -> None:
        code = tokens.issue_code(employee.pk, Purpose.EMAIL, TEN_MINUTES, NEW_ADDRESS)
        done = self.in_turn(employee, self.confirm(employee, code), self.ask_for_code(employee))
        assert done == [True, None]
        assert User.objects.get().email == NEW_ADDRESS["email"]
        assert PasswordReset.objects.get().data == {"email": "newer@example.com"}

    def test_another_code_then_the_first(self, employee: User) -> None:
        email = employee.email
        code = tokens.issue_code(employee.pk, Purpose.EMAIL, TEN_MINUTES, NEW_ADDRESS)
        done = self.in_turn(employee, self.ask_for_code(employee), self.confirm(employee, code))
        assert done == [None, False]
        assert User.objects.get().email == email
        kept = PasswordReset.objects.get()
        assert (kept.data, kept.tries, kept.used_at) == ({"email": "newer@example.com"}, 1, None)

    def test_a_code_then_a_change_of_the_password(self, employee: User) -> None:
        code = tokens.issue_code(employee.pk, Purpose.EMAIL, TEN_MINUTES, NEW_ADDRESS)
        assert self.in_turn(employee, self.confirm(employee, code), self.change(employee)) == [True, True]
        assert User.objects.get().email == NEW_ADDRESS["email"]

    def test_a_changed_password_voids_the_code(self, employee: User) -> None:
        email = employee.email
        code = tokens.issue_code(employee.pk, Purpose.EMAIL, TEN_MINUTES, NEW_ADDRESS)
        assert self.in_turn(employee, self.change(employee), self.confirm(employee, code)) == [True, False]
        assert User.objects.get().email == email
        assert not PasswordReset.objects.exists()

    @pytest.mark.parametrize("confirms_first", [True, False])
    def test_no_link_to_the_old_address_outlives_it(self, employee: User, confirms_first: bool) -> None:
        code = tokens.issue_code(employee.pk, Purpose.EMAIL, TEN_MINUTES, NEW_ADDRESS)
        both = [self.confirm(employee, code), self.ask_for_reset(employee)]
        done = self.in_turn(employee, *(both if confirms_first else reversed(both)))
        assert sorted(done, key=str) == [None, True]
        assert User.objects.get().email == NEW_ADDRESS["email"]
        assert not PasswordReset.objects.filter(purpose=Purpose.RESET).exists()
