"""`manage.py session_store`, as an operator uses it, against the emulator."""

import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts import sessions, tokens
from accounts.models import User
from accounts.tokens import Purpose
from tests.aws.faults import Fault, FaultyStore
from tests.conftest import MakeUser
from tests.dynamodb import Wire, chosen, forget_everything, make_table
from timerecord.aws import client as aws
from timerecord.aws import table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NAME = "tests-sessions"
GOOD = f"OK: {NAME} is as it should be."


def command(*words: str) -> tuple[int, str]:
    """Return the exit status and all that was said."""
    said = io.StringIO()
    try:
        call_command("session_store", *words, stdout=said, stderr=said, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), said.getvalue()
    return 0, said.getvalue()


@pytest.fixture
def nothing(dynamodb: "DynamoDBClient") -> "DynamoDBClient":
    dynamodb.delete_table(TableName=NAME)
    return dynamodb


class TestTable:
    def test_it_is_made_as_it_should_be(self, nothing: "DynamoDBClient") -> None:
        assert command("status") == (1, f"Differs: the table {NAME} is missing.\n")
        status, said = command("create")
        assert status == 0
        assert said.startswith(f"Made the table {NAME}.\n")
        assert said.endswith(f"{GOOD}\n")
        found = nothing.describe_table(TableName=NAME)["Table"]
        assert [(key["AttributeName"], key["KeyType"]) for key in found["KeySchema"]] == [
            ("pk", "HASH"),
            ("sk", "RANGE"),
        ]
        assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert found["SSEDescription"]["Status"] == "ENABLED"
        assert found["DeletionProtectionEnabled"] is False
        (index,) = found["GlobalSecondaryIndexes"]
        assert index["IndexName"] == "byTenant"
        assert "data" not in index["Projection"]["NonKeyAttributes"]
        ttl = nothing.describe_time_to_live(TableName=NAME)["TimeToLiveDescription"]
        assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expiresAt")
        backups = nothing.describe_continuous_backups(TableName=NAME)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"

    def test_a_second_time_nothing_is_done(
        self, nothing: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command("create")
        assert command("status") == (0, f"{GOOD}\n")
        client = aws.make_client()
        wire = Wire(client)
        monkeypatch.setattr(
            "timerecord.aws.management.commands.session_store.make_client", lambda **_: client
        )
        assert command("create") == (0, f"{GOOD}\n")
        assert {name for name in wire.sent if not name.startswith("Describe")} == set()

    def test_protected_from_deletion(self, nothing: "DynamoDBClient") -> None:
        command("create", "--deletion-protection")
        assert nothing.describe_table(TableName=NAME)["Table"]["DeletionProtectionEnabled"]
        assert command("status", "--deletion-protection") == (0, f"{GOOD}\n")

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (
                lambda client: client.update_time_to_live(
                    TableName=NAME,
                    TimeToLiveSpecification={"Enabled": False, "AttributeName": "expiresAt"},
                ),
                "expired items are not removed (TTL is off)",
            ),
            (
                lambda client: client.update_continuous_backups(
                    TableName=NAME,
                    PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
                ),
                "point-in-time recovery is off",
            ),
            (
                lambda client: client.update_table(
                    TableName=NAME, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "byTenant"}}]
                ),
                "the index byTenant is missing",
            ),
            (
                lambda client: client.update_table(
                    TableName=NAME,
                    BillingMode="PROVISIONED",
                    ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
                ),
                "the table is not billed per request",
            ),
        ],
    )
    def test_what_differs_is_said_and_mended(
        self, nothing: "DynamoDBClient", spoil: Callable[["DynamoDBClient"], None], said: str
    ) -> None:
        command("create")
        spoil(nothing)
        assert command("status") == (1, f"Differs: {said}.\n")
        assert command("create") == (0, f"Mended: {said}.\n{GOOD}\n")
        assert command("status") == (0, f"{GOOD}\n")

    def test_a_table_that_somebody_made_by_hand(self, nothing: "DynamoDBClient") -> None:
        by_hand = table.definition(NAME)
        del by_hand["SSESpecification"]
        nothing.create_table(**by_hand)
        differs = [
            "the table is not encrypted with a key of the account",
            "expired items are not removed (TTL is off)",
            "point-in-time recovery is off",
        ]
        assert command("status") == (1, "".join(f"Differs: {text}.\n" for text in differs))
        mended = "".join(f"Mended: {text}.\n" for text in differs)
        assert command("create") == (0, f"{mended}{GOOD}\n")
        # moto passes over what UpdateTable says of encryption: that it was said is all that can be seen here.
        assert command("status") == (1, f"Differs: {differs[0]}.\n")

    def test_protection_that_is_asked_for_later(self, nothing: "DynamoDBClient") -> None:
        command("create")
        said = "deletion protection is off, should be on"
        assert command("status") == (0, f"{GOOD}\n")
        assert command("status", "--deletion-protection") == (1, f"Differs: {said}.\n")
        assert command("create", "--deletion-protection") == (0, f"Mended: {said}.\n{GOOD}\n")

    def test_other_keys_are_beyond_mending(self, nothing: "DynamoDBClient") -> None:
        nothing.create_table(
            TableName=NAME,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        status, said = command("create")
        assert status == 1
        assert "Left as it is: the keys are {'id': 'HASH'}, should be {'pk': 'HASH', 'sk': 'RANGE'}." in said
        assert GOOD not in said

    def test_an_entry_of_the_index_is_what_lists_read(self, nothing: "DynamoDBClient") -> None:
        projected = json.dumps(table.definition(NAME)["GlobalSecondaryIndexes"])
        for name in ("userId", "tenantId", "createdAt", "seenAt", "expiresAt", "device", "address"):
            assert name in projected

    def test_what_aws_refuses_is_told_in_a_line(self, dynamodb_server: str) -> None:
        forget_everything(dynamodb_server)
        faulty = FaultyStore(dynamodb_server)
        with faulty.running() as address, chosen(address):
            with faulty.failing(Fault.DENIED), pytest.raises(CommandError) as refusal:
                command("status")
            assert str(refusal.value).startswith("AWS refused: AccessDeniedException")
            with faulty.failing(Fault.DROPPED), pytest.raises(CommandError, match="cannot be reached"):
                command("create")

    def test_with_the_database_there_is_none(self, db: None) -> None:
        assert command("create") == (
            0,
            "SESSION_STORE is database: migrate makes its table, there is no other.\n",
        )


class TestPurge:
    def test_somebody_is_signed_out_everywhere(self, session_store: str, make_user: MakeUser) -> None:
        user, other = make_user(), make_user()
        phones = [Client(), Client(), Client()]
        for phone, who in zip(phones, (user, user, other), strict=True):
            phone.force_login(who)
        link = tokens.issue(user.pk, Purpose.RESET, 600)
        theirs = tokens.issue(other.pk, Purpose.RESET, 600)
        status, said = command("purge-user", user.email.upper())
        assert (status, said) == (
            0,
            f"OK: {user.email.upper()} is signed out everywhere; what was mailed is good for nothing.\n",
        )
        assert [phone.get("/").status_code for phone in phones] == [302, 302, 200]
        assert sessions.of_user(user) == []
        assert len(sessions.of_user(other)) == 1
        assert tokens.redeem(link, Purpose.RESET) is None
        assert tokens.redeem(theirs, Purpose.RESET)

    def test_sessions_end_whatever_becomes_of_tokens(self, dynamodb_server: str, employee: User) -> None:
        forget_everything(dynamodb_server)
        faulty = FaultyStore(dynamodb_server)
        with faulty.running() as address, chosen(address) as client:
            make_table(client)
            phone = Client()
            phone.force_login(employee)
            with (
                faulty.failing(Fault.DENIED, "DeleteItem"),
                pytest.raises(CommandError, match="AccessDenied"),
            ):
                command("purge-user", employee.email)
            assert phone.get("/").status_code == 302

    def test_nobody(self, db: None, settings: Settings) -> None:
        with pytest.raises(CommandError, match=r"Nobody has the address nobody@example\.com\."):
            command("purge-user", "nobody@example.com")
        assert not User.objects.exists()
