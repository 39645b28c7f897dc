"""Sessions and one-time tokens that many want to change at the same moment, on each store.

On DynamoDB this needs Amazon's own emulator, see tests/dynamodb.py: the fast one is not atomic.
"""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.test import Client
from django.utils.module_loading import import_string

from accounts import tokens
from accounts.models import User
from accounts.tokens import MAX_TRIES, Purpose
from tenants import scope
from tests.concurrency.racing import at_once
from tests.conftest import PASSWORD
from tests.dynamodb import chosen, dynamodb_local, make_table
from timerecord.aws import client as aws
from timerecord.core import sessions
from timerecord.core.sessions import TENANT_KEY

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("atomic_store")]

TIMES = 20


@pytest.fixture(scope="module")
def dynamodb_local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log: Path = tmp_path_factory.mktemp("dynamodb-local") / "log"
    with log.open("wb") as output, dynamodb_local(output) as address:
        yield address


@pytest.fixture(params=["database", "dynamodb"])
def atomic_store(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep sessions and tokens in a store that is as atomic as the one of an installation."""
    if request.param == "database":
        yield
        return
    with chosen(request.getfixturevalue("dynamodb_local_server")):
        # A virtual machine that has just started takes its time; and nothing is to be tried twice here.
        aws.use(aws.make_client(read_seconds=60, attempts=1))
        make_table(aws.dynamodb())
        try:
            yield
        finally:
            aws.dynamodb().delete_table(TableName=aws.table())


def in_scope(do: Callable[[], Any]) -> Callable[[int], Any]:
    return in_own_scope(lambda _n: do())


def new() -> sessions.SessionStore:
    engine = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    store: sessions.SessionStore = engine()
    return store


def in_own_scope(do: Callable[[int], Any]) -> Callable[[int], Any]:
    def work(n: int) -> Any:
        with scope.everything("a test races"):
            return do(n)

    return work


class TestSessions:
    def test_one_of_many_makes_a_session_of_the_same_id(self) -> None:
        session = new()
        session.save()
        found = sessions.driver().read(session.id)
        assert found
        sessions.driver().remove(session.id)
        made = at_once(lambda n: sessions.driver().create(dataclasses.replace(found, data=f"{n}")), TIMES)
        assert Counter(made) == {True: 1, False: TIMES - 1}
        kept = sessions.driver().read(session.id)
        assert kept
        assert kept.data == f"{made.index(True)}"

    def test_many_that_save_bring_back_none_that_one_ends(self) -> None:
        session = new()
        session["n"] = 0
        session.save()
        key = session.session_key

        def work(n: int) -> str:
            mine = type(session)(key)
            mine.load()
            if n == 0:
                mine.delete(key)
                return "ended"
            try:
                mine["n"] = n
                mine.save()
            except UpdateError:
                return "refused"
            return "saved"

        outcomes = Counter(at_once(work, TIMES))
        assert outcomes["ended"] == 1
        assert not session.exists(key or "")

    def test_many_that_go_on_under_new_keys_bring_back_none_that_one_ends(self, employee: User) -> None:
        for _ in range(5):  # whoever comes first: either all ends, or one goes on
            session = new()
            session.update({SESSION_KEY: str(employee.pk), TENANT_KEY: employee.tenant_id})
            session.save()
            key, id_ = session.session_key, session.id

            def work(n: int, key: str | None = key, id_: str = id_) -> str:
                if n == 0:
                    return "ended" if sessions.driver().end(employee.pk, id_) else "too late"
                mine = type(new())(key)
                try:
                    mine.cycle_key()
                except UpdateError:
                    return "refused"
                return "went on" if SESSION_KEY in mine else "found none"

            outcomes = Counter(at_once(in_own_scope(work), TIMES))
            driver, now = sessions.driver(), dt.datetime.now(dt.UTC)
            live = driver.of_user(employee.tenant_id, employee.pk, now)
            assert outcomes["ended"] + outcomes["went on"] == 1
            assert len(live) == outcomes["went on"]
            for listed in live:
                driver.remove(listed.id)

    def test_many_sign_ins_of_one_person(self, employee: User) -> None:
        def work(_n: int) -> tuple[int, str]:
            client = Client()
            answer = client.post("/sign-in", {"email": employee.email, "password": PASSWORD})
            return answer.status_code, client.cookies[settings.SESSION_COOKIE_NAME].value

        found = at_once(work, 4)  # one fewer than lock the account
        assert {status for status, _key in found} == {302}
        driver, now = sessions.driver(), dt.datetime.now(dt.UTC)
        listed = driver.of_user(employee.tenant_id, employee.pk, now)
        assert {entry.id for entry in listed} == {sessions.id_of(key) for _status, key in found}
        assert len(listed) == 4


class TestTokens:
    def test_a_link_is_good_for_one(self, employee: User) -> None:
        token = tokens.issue(employee.pk, Purpose.RESET, 600)
        got = at_once(in_scope(lambda: tokens.redeem(token, Purpose.RESET)), TIMES)
        assert len([one for one in got if one]) == 1

    def test_a_code_is_good_for_one_and_so_many_tries(self, employee: User) -> None:
        code = tokens.issue_code(employee.pk, Purpose.EMAIL, 600)
        got = at_once(in_scope(lambda: tokens.redeem_code(employee.pk, code, Purpose.EMAIL)), TIMES)
        assert len([one for one in got if one]) == 1

    def test_tries_are_counted(self, employee: User) -> None:
        code = tokens.issue_code(employee.pk, Purpose.EMAIL, 600)
        store = import_string(settings.TOKEN_STORE)()
        now = dt.datetime.now(dt.UTC)
        tried = at_once(in_scope(lambda: store.try_once(employee.pk, Purpose.EMAIL, now)), TIMES)
        assert Counter(tried) == {True: MAX_TRIES, False: TIMES - MAX_TRIES}
        assert tokens.redeem_code(employee.pk, code, Purpose.EMAIL) is None

    def test_of_many_that_are_made_one_is_good(self, employee: User) -> None:
        made = at_once(in_scope(lambda: tokens.issue(employee.pk, Purpose.RESET, 600)), TIMES)
        good = [token for token in made if tokens.redeem(token, Purpose.RESET)]
        assert len(good) == 1
