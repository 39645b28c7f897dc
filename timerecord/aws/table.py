"""The table of sessions and tokens as it should be, and what differs from that."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from timerecord.aws.sessions import INDEX, INDEX_PARTITION, INDEX_SORT, PROJECTED

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

TTL: Final = "expiresAt"
KEYS: Final = {"pk": "HASH", "sk": "RANGE"}
INDEX_KEYS: Final = {INDEX_PARTITION: "HASH", INDEX_SORT: "RANGE"}


class TableError(Exception):
    """Something about the table that cannot be mended, or not now."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is not as it should be, and what mends it; None: nothing does but a new table."""

    text: str
    mend: Callable[[], object] | None


def definition(name: str, *, protected: bool = False) -> dict[str, Any]:
    """Return the arguments of CreateTable: pay per request, encrypted with a key of the account."""
    return {
        "TableName": name,
        "AttributeDefinitions": _attributes(),
        "KeySchema": _schema(KEYS),
        "GlobalSecondaryIndexes": [_index()],
        "BillingMode": "PAY_PER_REQUEST",
        "SSESpecification": {"Enabled": True, "SSEType": "KMS"},
        "DeletionProtectionEnabled": protected,
    }


def create(client: "DynamoDBClient", name: str, *, protected: bool = False) -> bool:
    """Make the table and wait until it can be used; False if it is there."""
    if _describe(client, name):
        return False
    try:
        client.create_table(**definition(name, protected=protected))
    except client.exceptions.ResourceInUseException:  # somebody else did, just now
        return False
    wait(client, name)
    return True


def wait(client: "DynamoDBClient", name: str) -> None:
    """Wait until the table takes the next change; WaiterError after two minutes."""
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def differences(client: "DynamoDBClient", name: str, *, protected: bool = False) -> Iterator[Difference]:
    """Yield what is not as it should be; deletion protection only if it is asked for."""
    found = _describe(client, name)
    if found is None:
        yield Difference(f"the table {name} is missing", lambda: create(client, name, protected=protected))
        return
    if found.get("TableStatus") != "ACTIVE":
        yield Difference(f"the table is {found.get('TableStatus')}, should be ACTIVE: wait", None)
        return
    yield from _shape(client, name, found)
    if protected and not found.get("DeletionProtectionEnabled"):
        yield Difference(
            "deletion protection is off, should be on",
            lambda: client.update_table(TableName=name, DeletionProtectionEnabled=True),
        )
    yield from _care(client, name)


def _shape(client: "DynamoDBClient", name: str, found: "TableDescriptionTypeDef") -> Iterator[Difference]:
    if _keys_of(found) != KEYS:
        yield Difference(f"the keys are {_keys_of(found)}, should be {KEYS}", None)
    index = next((i for i in found.get("GlobalSecondaryIndexes", []) if i.get("IndexName") == INDEX), None)
    if index is None:
        yield Difference(f"the index {INDEX} is missing", lambda: _add_index(client, name))
    else:
        projection = index.get("Projection", {})
        if _keys_of(index) != INDEX_KEYS or set(projection.get("NonKeyAttributes", [])) != set(PROJECTED):
            yield Difference(f"the index {INDEX} has other keys or attributes: remove it, then create", None)
        if index.get("IndexStatus", "ACTIVE") != "ACTIVE":
            yield Difference(f"the index {INDEX} is {index.get('IndexStatus')}, should be ACTIVE: wait", None)
    # Without a summary it was never anything but provisioned.
    if found.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED") != "PAY_PER_REQUEST":
        yield Difference(
            "the table is not billed per request",
            lambda: client.update_table(TableName=name, BillingMode="PAY_PER_REQUEST"),
        )
    if found.get("SSEDescription", {}).get("Status") not in ("ENABLED", "ENABLING", "UPDATING"):
        yield Difference(
            "the table is not encrypted with a key of the account",
            lambda: client.update_table(TableName=name, SSESpecification={"Enabled": True, "SSEType": "KMS"}),
        )


def _care(client: "DynamoDBClient", name: str) -> Iterator[Difference]:
    """What DynamoDB does by itself: it removes what has expired, and could go back in time."""
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        yield Difference(
            "expired items are not removed (TTL is off)",
            lambda: client.update_time_to_live(
                TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL}
            ),
        )
    elif ttl.get("AttributeName") != TTL:
        yield Difference(f"TTL goes by {ttl.get('AttributeName')}, should go by {TTL}: switch it off", None)
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    if recovery != "ENABLED":
        yield Difference(
            "point-in-time recovery is off",
            lambda: client.update_continuous_backups(
                TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            ),
        )


def _describe(client: "DynamoDBClient", name: str) -> "TableDescriptionTypeDef | None":
    try:
        return client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None


def _add_index(client: "DynamoDBClient", name: str) -> None:
    """Have the index made; with many items that takes minutes, in which the table goes on."""
    client.update_table(
        TableName=name,
        AttributeDefinitions=_attributes(),
        GlobalSecondaryIndexUpdates=[{"Create": _index()}],
    )


def _index() -> Any:
    return {
        "IndexName": INDEX,
        "KeySchema": _schema(INDEX_KEYS),
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(PROJECTED)},
    }


def _attributes() -> Any:
    return [{"AttributeName": name, "AttributeType": "S"} for name in (*KEYS, *INDEX_KEYS)]


def _schema(keys: dict[str, str]) -> Any:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()]


def _keys_of(described: Any) -> dict[str, str]:
    return {entry["AttributeName"]: entry["KeyType"] for entry in described.get("KeySchema", [])}


def refusal(error: ClientError) -> str:
    """Return in one line what AWS said."""
    details = error.response.get("Error", {})
    return f"{details.get('Code', 'error')}: {details.get('Message', '')}".strip().splitlines()[0]
