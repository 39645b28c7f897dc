"""An emulator of DynamoDB over HTTP, and what the tests notice of the requests that go there."""

import contextlib
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
import with_dynamodb
from django.conf import settings as project
from with_postgres import child_setup

from tests.postgresql import port_kept
from timerecord.aws import client, table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

running = with_dynamodb.running
PREFIX = "tests"
LOCAL_JAR = "DYNAMODB_LOCAL_JAR"
DYNAMODB = {
    "SESSION_STORE": "dynamodb",
    "SESSION_ENGINE": "timerecord.aws.sessions",
    "TOKEN_STORE": "timerecord.aws.tokens.DynamoDBStore",
    "AWS_REGION": with_dynamodb.ENVIRONMENT["AWS_REGION"],
    "DYNAMODB_TABLE_PREFIX": PREFIX,
}


@contextlib.contextmanager
def chosen(address: str) -> Iterator["DynamoDBClient"]:
    """Keep sessions and tokens there; nothing else differs from an installation."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**with_dynamodb.ENVIRONMENT, "AWS_ENDPOINT_URL_DYNAMODB": address}.items():
            patch.setenv(name, value)
        for name, value in DYNAMODB.items():
            patch.setattr(project, name, value)
        client.use(client.make_client(read_seconds=60))  # an emulator on a busy machine takes its time
        try:
            yield client.dynamodb()
        finally:
            client.dynamodb().close()
            client.use(None)


def forget_everything(address: str) -> None:
    """Empty moto's server."""
    request = urllib.request.Request(f"{address}/moto-api/reset", method="POST")
    urllib.request.urlopen(request).close()


class Wire:
    """The requests that a client sends, as they leave."""

    def __init__(self, of: "DynamoDBClient") -> None:
        self.sent: list[str] = []
        self.bodies: list[bytes] = []
        of.meta.events.register("before-send.dynamodb", self._note)

    def _note(self, request: Any, **_: Any) -> None:
        self.sent.append(request.headers["X-Amz-Target"].decode().partition(".")[2])
        self.bodies.append(request.body)

    def take(self) -> list[str]:
        """Return the names of the requests since the last time."""
        sent, self.sent = self.sent, []
        return sent


@contextlib.contextmanager
def dynamodb_local(log: IO[bytes]) -> Iterator[str]:
    """Run Amazon's own emulator, which is atomic, and yield its address.

    Its licence does not allow to hand it on: the jar is found by the variable DYNAMODB_LOCAL_JAR.
    """
    given = os.environ.get(LOCAL_JAR)
    if not given:
        pytest.skip(
            f"the races on DynamoDB were not run: {LOCAL_JAR} does not name DynamoDBLocal.jar, and the fast"
            " emulator is not atomic between threads"
        )
    jar = Path(given)
    with port_kept() as port:
        server = subprocess.Popen(
            ["java", "-jar", str(jar), "-inMemory", "-port", str(port)],
            cwd=jar.parent,
            env=os.environ | {"LD_LIBRARY_PATH": str(jar.parent / "DynamoDBLocal_lib")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=child_setup(signal.SIGTERM),
        )
        address = f"http://127.0.0.1:{port}"
        try:
            with_dynamodb.wait_until_it_answers(server, address)
            yield address
        finally:
            server.terminate()
            server.wait()


def make_table(on: "DynamoDBClient") -> None:
    """Make the table, without what an emulator may not know."""
    on.create_table(**table.definition(client.table()))
