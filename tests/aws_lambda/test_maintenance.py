"""Commands by event, through the real runtime client."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from accounts.models import PasswordReset, Role, User
from tests.aws_lambda.conftest import MAINTENANCE, database_url, deployed, function
from tests.aws_lambda.runtime import Function, FunctionError
from tests.conftest import MakeSession
from timerecord.core import clock

pytestmark = pytest.mark.django_db(transaction=True)

ADMIN = {"PLATFORM_ADMIN_EMAIL": "first@example.com", "PLATFORM_ADMIN_PASSWORD": "a first passphrase, long"}


@pytest.fixture(scope="module")
def maintenance(
    static_root: Path, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Function]:
    log = tmp_path_factory.mktemp("maintenance") / "log"
    variables = {**deployed(static_root), **ADMIN, "DATABASE_URL": database_url()}
    with function(MAINTENANCE, log, variables) as found:
        yield found


def test_housekeeping_does_what_waits(maintenance: Function, employee: User) -> None:
    over = clock.now() - dt.timedelta(days=2)
    PasswordReset.objects.create(user=employee, token="0" * 64, expires_at=over)
    found = maintenance.invoke({"command": "housekeeping"})
    assert found["command"] == "housekeeping"
    assert found["said"] == ["0 errands done; 1 links and codes, 0 counters removed"]
    assert isinstance(found["milliseconds"], int)
    assert not PasswordReset.objects.exists()


def test_a_history_that_was_altered_is_an_error(
    maintenance: Function, make_session: MakeSession, employee: User
) -> None:
    session = make_session("2026-11-20 09:00", "2026-11-20 18:00")
    found = maintenance.invoke({"command": "verify_history"})
    assert found["said"][-1].startswith("Nothing to find in ")
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE work_sessions DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE work_sessions SET end_time = end_time + interval '1 hour' WHERE id = %s", [session.pk]
        )
        cursor.execute("ALTER TABLE work_sessions ENABLE TRIGGER USER")
    with pytest.raises(FunctionError, match=r"verify_history failed: 1 findings"):
        maintenance.invoke({"command": "verify_history"})


def test_the_first_admin_is_made_once(maintenance: Function) -> None:
    made, again = (maintenance.invoke({"command": "create_platform_admin"}) for _ in range(2))
    assert made["said"][0].startswith("Made the platform admin first@example.com")
    assert "nothing was changed" in again["said"][0]
    assert User.objects.get().role == Role.PLATFORM_ADMIN


def test_a_connection_that_ended_between_two_events_is_made_anew(maintenance: Function) -> None:
    maintenance.invoke({"command": "housekeeping"})
    name = connections["default"].settings_dict["NAME"]
    with psycopg.connect(settings.DATABASE_ADMIN_URL, dbname=name, autocommit=True) as admin:
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
            " AND usename = 'timerecord_app' AND pid <> %s",
            [name, backend()],
        ).fetchall()
    assert ended == [(True,)]
    assert maintenance.invoke({"command": "housekeeping"})["command"] == "housekeeping"


def backend() -> int:
    """Return the server's process for the connection of the test."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (found,) = cursor.fetchone()
    return int(found)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"command": "flush"},
        {"command": "shell", "options": {"command": "print()"}},
        {"command": ["housekeeping"]},
        {"command": "housekeeping", "options": {"tenant": "x"}},
        {"command": "housekeeping", "options": ["--help"]},
        {"command": "verify_history", "options": {"settings": "os"}},
    ],
)
def test_nothing_else_can_be_called(maintenance: Function, employee: User, event: dict[str, object]) -> None:
    with pytest.raises(FunctionError, match="MaintenanceError"):
        maintenance.invoke(event)
    assert User.objects.count() == 1


def test_an_option_is_handed_on(maintenance: Function) -> None:
    with pytest.raises(FunctionError, match="There is no tenant nowhere"):
        maintenance.invoke({"command": "verify_history", "options": {"tenant": "nowhere"}})


def test_one_that_is_out_of_time_says_so_and_the_next_one_works(
    maintenance: Function, employee: User
) -> None:
    """A lock that somebody holds makes it wait."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE errands IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(FunctionError, match="housekeeping was out of time"):
            maintenance.invoke({"command": "housekeeping"}, seconds=4)
        cursor.execute("ROLLBACK")
    assert maintenance.invoke({"command": "housekeeping"})["command"] == "housekeeping"


def test_out_of_time_at_the_edge_of_a_transaction_the_process_goes_on(
    static_root: Path, tmp_path: Path
) -> None:
    variables = {**deployed(static_root), "DATABASE_URL": database_url()}
    with function("tests.aws_lambda.interrupted.handler", tmp_path / "log", variables) as found:
        with pytest.raises(FunctionError, match="housekeeping was out of time"):
            found.invoke({"command": "housekeeping", "interrupted": True}, seconds=3.5)
        assert found.invoke({"command": "housekeeping"})["command"] == "housekeeping"
