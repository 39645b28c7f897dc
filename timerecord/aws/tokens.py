"""One-time tokens in DynamoDB, for SESSION_STORE=dynamodb: an accounts.tokens.Store.

Two items a token. CURRENT#<user>#<purpose> is the one that counts: the digest of the user's token, what it
stands for, how often it was tried. <PURPOSE>#<digest> only leads there from a token alone; it says nothing
about whether the token is good. So a new token voids the one before by being written, and one request
decides each race. Both are gone some time after `expiresAt`.

What is done here is done at once, whatever becomes of the caller's transaction: what was used up stays so.
"""

import datetime as dt
import json
from typing import TYPE_CHECKING, Final

from accounts.tokens import MAX_TRIES, Pending, Purpose, Token
from timerecord.aws.client import answering, dynamodb, table, unless_refused
from timerecord.aws.sessions import IS_LIVE, key, moment, number

if TYPE_CHECKING:
    from timerecord.aws.sessions import Item

CURRENT: Final = "CURRENT"


class DynamoDBStore:
    """Tokens in the table of the sessions."""

    def put(self, digest: str, token: Token, purpose: Purpose, expires_at: dt.datetime) -> None:
        """Keep a token in the place of the user's earlier one; of two at once the later request's stays."""
        end, user = number(expires_at), str(token.user_id)
        leads: Item = {**key(purpose.upper(), digest), "userId": {"N": user}, "expiresAt": end}
        counts: Item = {
            **_current(token.user_id, purpose),
            "digest": {"S": digest},
            "data": {"S": json.dumps(token.data)},
            "tries": {"N": "0"},
            "expiresAt": end,
        }
        with unless_refused():
            dynamodb().put_item(TableName=table(), Item=leads)
            dynamodb().put_item(TableName=table(), Item=counts)

    def find(self, digest: str, purpose: Purpose, now: dt.datetime) -> Token | None:
        """Return a token that is unused and not expired."""
        user = self._user_of(digest, purpose)
        item = self._read(user, purpose, now) if user is not None else None
        return _token(user, item) if user is not None and item and item["digest"]["S"] == digest else None

    def take(self, digest: str, purpose: Purpose, now: dt.datetime) -> Token | None:
        """Use a token up: whose deletion finds it gets it."""
        user = self._user_of(digest, purpose)
        if user is None:
            return None
        found: Item = {}
        with answering():
            answer = dynamodb().delete_item(
                TableName=table(),
                Key=_current(user, purpose),
                ConditionExpression=f"{IS_LIVE} AND digest = :digest",
                ExpressionAttributeValues={":now": number(now), ":digest": {"S": digest}},
                ReturnValues="ALL_OLD",
            )
            found = answer["Attributes"]
        return _token(user, found) if found else None

    def pending(self, user_id: int, purpose: Purpose, now: dt.datetime) -> Pending | None:
        """Return the user's token that is unused, not expired and may be tried."""
        item = self._read(user_id, purpose, now)
        left = MAX_TRIES - int(item["tries"]["N"]) if item else 0
        return Pending(_token(user_id, item), left) if item and left > 0 else None

    def try_once(self, user_id: int, purpose: Purpose, now: dt.datetime) -> bool:
        """Count one try, however many come at once; False if there is no token, or no try left."""
        with answering() as held:
            dynamodb().update_item(
                TableName=table(),
                Key=_current(user_id, purpose),
                UpdateExpression="ADD tries :one",
                ConditionExpression=f"{IS_LIVE} AND tries < :most",
                ExpressionAttributeValues={
                    ":now": number(now),
                    ":one": {"N": "1"},
                    ":most": {"N": str(MAX_TRIES)},
                },
            )
        return held[0]

    def void(self, user_id: int, purpose: Purpose) -> None:
        """Forget the user's token."""
        with unless_refused():
            dynamodb().delete_item(TableName=table(), Key=_current(user_id, purpose))

    def _user_of(self, digest: str, purpose: Purpose) -> int | None:
        with unless_refused():
            found = dynamodb().get_item(
                TableName=table(), Key=key(purpose.upper(), digest), ConsistentRead=True
            )
        return int(found["Item"]["userId"]["N"]) if "Item" in found else None

    def _read(self, user: int, purpose: Purpose, now: dt.datetime) -> "Item | None":
        with unless_refused():
            found = dynamodb().get_item(TableName=table(), Key=_current(user, purpose), ConsistentRead=True)
        item = found.get("Item")
        return item if item and moment(item, "expiresAt") > now else None


def _current(user: int, purpose: Purpose) -> "Item":
    return key(CURRENT, f"{user}#{purpose.upper()}")


def _token(user: int, item: "Item") -> Token:
    return Token(user, json.loads(item["data"]["S"]))
