"""The session engine that keeps sessions in DynamoDB, for SESSION_STORE=dynamodb.

An item a session: `pk` is SESSION#<id>, `sk` META, `expiresAt` the table's TTL attribute. DynamoDB removes
expired items when it comes to it, within days: whoever reads one looks at the time.
"""

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from timerecord.aws.client import answering, dynamodb, table, unless_refused
from timerecord.core import clock, sessions
from timerecord.core.sessions import Listed, Record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = dict[str, AttributeValueTypeDef]

SESSION: Final = "SESSION"
SORT_KEY: Final = "META"
# By tenant, so that no partition has more than a tenant's sessions; below it by kind and user. The expiry is
# no part of it: each refresh would move the entry, which is one more write to the index.
INDEX: Final = "byTenant"
INDEX_PARTITION: Final = "tenantKey"
INDEX_SORT: Final = "entityKey"
# Of what lists show; the signed data are not for lists.
PROJECTED: Final = ("userId", "tenantId", "createdAt", "seenAt", "expiresAt", "device", "address", "goodFor")
IS_LIVE: Final = "attribute_exists(pk) AND expiresAt > :now"


class DynamoDBDriver:
    """Sessions in DynamoDB. Each method is one request, but for lists and what they end."""

    def create(self, record: Record) -> bool:
        """Keep a new record; False if there is one of this id."""
        with answering() as held:
            dynamodb().put_item(
                TableName=table(), Item=_item(record), ConditionExpression="attribute_not_exists(pk)"
            )
        return held[0]

    def replace(self, record: Record, now: dt.datetime) -> bool:
        """Put a record into the place of the one that is there; False if that has ended."""
        with answering() as held:
            dynamodb().put_item(
                TableName=table(),
                Item=_item(record),
                ConditionExpression=IS_LIVE,
                ExpressionAttributeValues={":now": number(now)},
            )
        return held[0]

    def read(self, id_: str) -> Record | None:
        """Return a record as the last write left it. It may have expired."""
        with unless_refused():
            found = dynamodb().get_item(TableName=table(), Key=key(SESSION, id_), ConsistentRead=True)
        return _record(id_, found["Item"]) if "Item" in found else None

    def touch(self, id_: str, *, seen: dt.datetime, expires: dt.datetime) -> None:
        """Note that one which has not expired at `seen` is in use."""
        with answering():
            dynamodb().update_item(
                TableName=table(),
                Key=key(SESSION, id_),
                UpdateExpression="SET seenAt = :now, expiresAt = :end",
                ConditionExpression=f"{IS_LIVE} AND seenAt < :now",
                ExpressionAttributeValues={":now": number(seen), ":end": number(expires)},
            )

    def remove(self, id_: str) -> bool:
        """Forget a record, if there is one; whether there was one that had not ended."""
        with unless_refused():
            answer = dynamodb().delete_item(TableName=table(), Key=key(SESSION, id_), ReturnValues="ALL_OLD")
        if found := answer.get("Attributes"):
            return moment(found, "expiresAt") > clock.now()
        # Perhaps the first attempt removed it, and its answer was lost.
        return answer["ResponseMetadata"]["RetryAttempts"] > 0

    def clear_expired(self) -> None:
        """Do nothing: the table's TTL does it."""

    def of_user(self, tenant: int | None, user: int, now: dt.datetime) -> list[Listed]:
        """Return the sessions of a user that began in this tenant, the last seen first."""
        return _listed(_partition(tenant, user), f"{SESSION}#{user}#", now)

    def of_tenant(self, tenant: int, now: dt.datetime) -> list[Listed]:
        """Return the sessions of a tenant's people, the last seen first."""
        return _listed(_partition(tenant, None), f"{SESSION}#", now)

    def end(self, user: int, id_: str) -> bool:
        """End a session if it is this user's; False if there is no such one."""
        with answering() as held:
            dynamodb().delete_item(
                TableName=table(),
                Key=key(SESSION, id_),
                ConditionExpression="userId = :user",
                ExpressionAttributeValues={":user": {"N": str(user)}},
            )
        return held[0]


class SessionStore(sessions.SessionStore):
    """The engine."""

    driver = DynamoDBDriver()


def key(kind: str, name: str) -> "Item":
    """Return the primary key of an item."""
    return {"pk": {"S": f"{kind}#{name}"}, "sk": {"S": SORT_KEY}}


def number(moment: dt.datetime) -> "AttributeValueTypeDef":
    """Return an instant as it is stored: whole seconds since 1970, as TTL wants them."""
    return {"N": str(int(moment.timestamp()))}


def moment(item: "Item", name: str) -> dt.datetime:
    """Return an instant that is stored, UTC."""
    return dt.datetime.fromtimestamp(int(item[name]["N"]), dt.UTC)


def _partition(tenant: int | None, user: int | None) -> str:
    # Whoever has no tenant is alone there: there is no partition of all such people.
    return f"USER#{user}" if tenant is None else f"TENANT#{tenant}"


def _item(record: Record) -> "Item":
    item: Item = {
        **key(SESSION, record.id),
        "data": {"S": record.data},
        "createdAt": number(record.created),
        "seenAt": number(record.seen),
        "expiresAt": number(record.expires),
    }
    if record.user is not None:  # nobody lists the sessions of strangers: they are not in the index
        item |= {
            INDEX_PARTITION: {"S": _partition(record.tenant, record.user)},
            INDEX_SORT: {"S": f"{SESSION}#{record.user}#{record.id}"},
            "userId": {"N": str(record.user)},
            "device": {"S": record.device},
            "address": {"S": record.address},
            "goodFor": {"S": record.good_for},
        }
    if record.tenant is not None:
        item["tenantId"] = {"N": str(record.tenant)}
    return item


def _record(id_: str, item: "Item") -> Record:
    return Record(**_shown(id_, item), data=item["data"]["S"])


def _shown(id_: str, item: "Item") -> dict[str, Any]:
    return {
        "id": id_,
        "user": _integer(item, "userId"),
        "tenant": _integer(item, "tenantId"),
        "created": moment(item, "createdAt"),
        "seen": moment(item, "seenAt"),
        "expires": moment(item, "expiresAt"),
        "device": item.get("device", {}).get("S", ""),
        "address": item.get("address", {}).get("S", ""),
        "good_for": item.get("goodFor", {}).get("S", ""),
    }


def _integer(item: "Item", name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None


def _listed(partition: str, prefix: str, now: dt.datetime) -> list[Listed]:
    with unless_refused():
        pages = (
            dynamodb()
            .get_paginator("query")
            .paginate(
                TableName=table(),
                IndexName=INDEX,
                KeyConditionExpression="#partition = :partition AND begins_with(#sort, :prefix)",
                FilterExpression="expiresAt > :now",
                ExpressionAttributeNames={"#partition": INDEX_PARTITION, "#sort": INDEX_SORT},
                ExpressionAttributeValues={
                    ":partition": {"S": partition},
                    ":prefix": {"S": prefix},
                    ":now": number(now),
                },
            )
        )
        found = [
            Listed(**_shown(item["pk"]["S"].removeprefix(f"{SESSION}#"), item))
            for page in pages
            for item in page["Items"]
        ]
    return sorted(found, key=lambda listed: (listed.seen, listed.id), reverse=True)
