"""What watches over the service asks these; it has no session, and nobody signs in for it."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tests.conftest import MakeUser
from tests.dynamodb import Wire
from timerecord.aws import client as dynamodb_client


@pytest.mark.parametrize("is_signed_in", [False, True])
@pytest.mark.parametrize("method", ["get", "head", "post"])
def test_alive_touches_nothing(
    client: Client, session_store: str, make_user: MakeUser, method: str, is_signed_in: bool
) -> None:
    user = make_user(must_change_password=True)
    if is_signed_in:
        client.force_login(user)
        assert client.get("/").status_code == 302  # who has to change it is led there from everywhere
    wire = Wire(dynamodb_client.dynamodb()) if session_store == "dynamodb" else None
    with CaptureQueriesContext(connection) as queries:
        response = getattr(client, method)("/healthz")
    assert (response.status_code, len(queries)) == (405 if method == "post" else 200, 0)
    assert wire is None or wire.take() == []
    assert not response.cookies
    assert "no-store" in response["Cache-Control"]


def test_ready_asks_the_database_and_the_store(client: Client, session_store: str, db: None) -> None:
    wire = Wire(dynamodb_client.dynamodb()) if session_store == "dynamodb" else None
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/readyz")
    assert (response.status_code, response.content) == (200, b"ready\n")
    assert len(queries) == (1 if wire else 2)
    assert wire is None or wire.take() == ["GetItem"]


def test_a_store_that_is_out_of_reach_is_named(
    client: Client, dynamodb: object, db: None, settings: Settings
) -> None:
    settings.DYNAMODB_TABLE_PREFIX = "nowhere"
    response = client.get("/readyz")
    assert (response.status_code, response.content) == (503, b"not ready: sessions\n")


def test_a_database_that_is_out_of_reach_is_named(
    client: Client, dynamodb: object, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "PORT", "1")
        response = client.get("/readyz")
    assert (response.status_code, response.content) == (503, b"not ready: database\n")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_they_are_asked_and_not_told(client: Client, db: None, path: str) -> None:
    assert client.post(path).status_code == 405
