"""The one client of DynamoDB that a process has, and what its failures mean to everybody else."""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from django.conf import settings

from timerecord.aws import services
from timerecord.core.sessions import StoreUnavailableError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from mypy_boto3_dynamodb import DynamoDBClient

# An answer takes some milliseconds. Three attempts with what they wait between them end well before a request
# does, after 30 s; seldom after 10 s.
CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 2.0
ATTEMPTS: Final = 3

_lock = threading.Lock()
_client: "DynamoDBClient | None" = None


def dynamodb() -> "DynamoDBClient":
    """Return the process's client, made at the first call: best while the process starts.

    Endpoint and credentials are found as botocore does: AWS_ENDPOINT_URL_DYNAMODB, the process's role.
    """
    global _client
    with _lock:  # a client serves all threads, but two must not be made at once
        if _client is None:
            _client = make_client()
        return _client


def make_client(
    *,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    attempts: int = ATTEMPTS,
) -> "DynamoDBClient":
    """Return a new client; each attempt ends after so many seconds."""
    client: DynamoDBClient = services.client(
        "dynamodb",
        region=settings.AWS_REGION,
        connect_seconds=connect_seconds,
        read_seconds=read_seconds,
        attempts=attempts,
        tcp_keepalive=True,
    )
    client.meta.events.register("after-call.dynamodb", _insist_on_sense)
    return client


def _insist_on_sense(http_response: "AWSResponse", **_: Any) -> None:
    """Take an answer that was cut short for none.

    botocore makes of it an empty one, by which there is no such session: somebody would be signed out.
    """
    try:
        json.loads(http_response.content)
    except ValueError as error:
        raise StoreUnavailableError("DynamoDB: an answer that is no JSON") from error


def use(client: "DynamoDBClient | None") -> None:
    """Have `dynamodb` return this one from now on; None: a new one."""
    global _client
    with _lock:
        _client = client


def table() -> str:
    """Return the name of the table that holds sessions and tokens."""
    return f"{settings.DYNAMODB_TABLE_PREFIX}-sessions"


@contextlib.contextmanager
def unless_refused() -> Iterator[None]:
    """Let the caller see that a condition did not hold; StoreUnavailableError for every other failure.

    Access that is denied, or a table that is not there, are among them: whoever uses a page can but wait.
    """
    try:
        yield
    except ParamValidationError:  # a fault of ours
        raise
    except ClientError as error:
        if is_refused(error):
            raise
        raise StoreUnavailableError(_said(error)) from error
    except BotoCoreError as error:
        raise StoreUnavailableError(f"DynamoDB: {error}") from error


def is_refused(error: ClientError) -> bool:
    """Whether the item was not as the request's condition asks."""
    return error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"


@contextlib.contextmanager
def answering() -> Iterator[list[bool]]:
    """Say in a list of one whether the condition of the request inside held."""
    held = [True]
    try:
        with unless_refused():
            yield held
    except ClientError:
        held[0] = False


def _said(error: ClientError) -> str:
    details = error.response.get("Error", {})
    return f"DynamoDB: {details.get('Code', 'error')}: {details.get('Message', '')}"
