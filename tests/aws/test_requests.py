"""What sessions cost: the requests that go to DynamoDB, counted where they leave."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import time_machine
from django.conf import settings as project
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts import sessions
from accounts.models import User
from tests.conftest import PASSWORD, japan
from tests.dynamodb import Wire
from timerecord.aws import client as aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = japan("2026-11-20 09:00")
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.5 Mobile/15E148 Safari/604.1"
)
READ, WRITE, TOUCH, DELETE = ["GetItem"], ["PutItem"], ["UpdateItem"], ["DeleteItem"]


@pytest.fixture(autouse=True)
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def wire(dynamodb: "DynamoDBClient") -> Wire:
    return Wire(dynamodb)


def sign_in(client: Client, user: User) -> None:
    response = client.post(
        "/sign-in", {"email": user.email, "password": PASSWORD}, headers={"user-agent": PHONE}
    )
    assert response.status_code == 302


@pytest.fixture
def signed_in(wire: Wire, client: Client, employee: User) -> Client:
    sign_in(client, employee)
    wire.take()
    return client


class TestStrangers:
    @pytest.mark.parametrize("path", ["/", "/sign-in", "/register", "/password/forgot", "/nowhere"])
    def test_without_a_cookie_nothing(self, wire: Wire, client: Client, db: None, path: str) -> None:
        client.get(path)
        assert wire.take() == []

    def test_with_an_unknown_cookie_one_read_and_no_item(self, wire: Wire, client: Client, db: None) -> None:
        client.cookies[project.SESSION_COOKIE_NAME] = "x" * 32
        client.get("/sign-in")
        assert wire.take() == READ
        assert client.cookies[project.SESSION_COOKIE_NAME].value == ""

    def test_a_wrong_password_nothing(self, wire: Wire, client: Client, employee: User) -> None:
        client.post("/sign-in", {"email": employee.email, "password": "wrong"})
        assert wire.take() == []


class TestSignedIn:
    def test_signing_in_is_one_write(self, wire: Wire, client: Client, employee: User) -> None:
        sign_in(client, employee)
        assert wire.take() == WRITE

    def test_and_a_deletion_where_there_was_a_session(
        self, wire: Wire, client: Client, employee: User
    ) -> None:
        session = client.session  # of a stranger, as some page might begin one
        session["cat"] = 1
        session.save()
        wire.take()
        sign_in(client, employee)
        assert wire.take() == [*READ, *WRITE, *DELETE]

    @pytest.mark.parametrize("path", ["/", "/clock-in", "/account", "/account/name", "/password/change"])
    def test_a_page_is_one_read(self, wire: Wire, signed_in: Client, path: str) -> None:
        assert signed_in.get(path).status_code == 200
        assert wire.take() == READ

    def test_so_is_a_punch(self, wire: Wire, signed_in: Client) -> None:
        assert signed_in.post("/clock-in", {"seen": "0"}).status_code == 303
        assert wire.take() == READ

    def test_once_in_a_tenth_of_the_lifetime_a_write_more(
        self, wire: Wire, signed_in: Client, now: time_machine.Traveller
    ) -> None:
        tenth = dt.timedelta(seconds=project.SESSION_IDLE_SECONDS / 10)
        now.shift(tenth - dt.timedelta(seconds=1))
        signed_in.get("/")
        assert wire.take() == READ
        now.shift(dt.timedelta(seconds=1))
        signed_in.get("/")
        assert wire.take() == READ + TOUCH
        signed_in.get("/")
        assert wire.take() == READ

    def test_signing_out(self, wire: Wire, signed_in: Client) -> None:
        signed_in.post("/sign-out")
        assert wire.take() == READ + DELETE

    def test_a_new_password(
        self,
        wire: Wire,
        signed_in: Client,
        employee: User,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        sign_in(Client(), employee)
        wire.take()
        given = {"current_password": PASSWORD, "new_password": "another long passphrase"}
        with django_capture_on_commit_callbacks() as after_the_commit:
            assert signed_in.post("/password/change", given).status_code == 303
        assert wire.take() == READ + DELETE * 3 + WRITE + DELETE  # three kinds of tokens, and its former key
        for callback in after_the_commit:
            callback()
        assert wire.take() == ["Query", *DELETE]  # the other device
        assert signed_in.get("/").status_code == 200

    def test_every_read_is_consistent(self, wire: Wire, signed_in: Client) -> None:
        signed_in.get("/")
        assert json.loads(wire.bodies[-1])["ConsistentRead"] is True

    def test_a_list_is_one_query_and_never_a_scan(
        self, wire: Wire, signed_in: Client, employee: User
    ) -> None:
        assert [listed.device for listed in sessions.of_user(employee)] == [PHONE]
        assert len(sessions.of_tenant(employee.tenant_id or 0)) == 1
        assert wire.take() == ["Query"] * 2

    def test_ending_one_is_one_deletion(self, wire: Wire, signed_in: Client, employee: User) -> None:
        (listed,) = sessions.of_user(employee)
        wire.take()
        assert sessions.end(employee, listed.id)
        assert wire.take() == DELETE
        assert signed_in.get("/").status_code == 302


class TestADay:
    """What docs/sessions.md reckons with: change it there, too."""

    def test_of_one_employee(
        self, wire: Wire, client: Client, employee: User, now: time_machine.Traveller
    ) -> None:
        client.get("/", follow=True)
        sign_in(client, employee)
        client.post("/clock-in", {"seen": "0"})
        client.get("/")
        for moment in ("2026-11-20 12:00", "2026-11-20 13:00"):
            now.move_to(japan(moment))
            client.get("/")
        now.move_to(japan("2026-11-20 18:00"))
        client.post("/clock-out", {"seen": "0"})
        client.get("/")
        assert Counter(wire.take()) == {"PutItem": 1, "GetItem": 6, "UpdateItem": 2}

    def test_the_size_of_an_item(self, dynamodb: "DynamoDBClient", signed_in: Client) -> None:
        """One unit to write, up to 1 KB, and one to read, up to 4 KB."""
        (item,) = dynamodb.scan(TableName=aws.table())["Items"]
        size = sum(
            len(name) + sum(len(str(value)) for value in typed.values()) for name, typed in item.items()
        )
        assert 700 < size < 1024
