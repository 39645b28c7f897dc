"""The function that migrates, on a database of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from django.conf import settings as project
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from pytest_django import DjangoDbBlocker
from tls_postgres import authority, tls_before

from tenants.database import APP, OWNER
from tests.postgresql import OwnServer, own_server
from timerecord import migration_handler
from timerecord.migration_handler import LOCK, MigrationError, handler

SECONDS = 120  # nothing here takes that long
REGION = "ap-northeast-1"
# For more than the hundredth of a second that a report counts in.
WAITING = (
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND clock_timestamp() - waitstart > interval '20 milliseconds'"
)
FIRST_DEPLOY = """
import json
from timerecord.migration_handler import handler
orders = [{"bootstrap": True}, {"plan": True}, {}, {"bootstrap": True}, None, {"plan": True}]
print(json.dumps([handler(order, None) for order in orders]))
"""


class Minutes:
    """What Lambda says of the time that is left."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return self.seconds * 1000


@pytest.fixture
def server() -> Iterator[OwnServer]:
    """A database in which nothing is but roles and schema."""
    with own_server(content="roles") as own:
        yield own


@pytest.fixture
def deployed(server: OwnServer, django_db_blocker: DjangoDbBlocker) -> Iterator[OwnServer]:
    """The function, led there."""
    with django_db_blocker.unblock(), server.in_place_of_the_tests("default", "owner"):
        yield server


@pytest.fixture
def owner(deployed: OwnServer) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else who works on the database as its owner."""
    with psycopg.connect(deployed.role_urls["DATABASE_OWNER_URL"], autocommit=True) as on:
        yield on


def names(plan: list[dict[str, Any]]) -> list[str]:
    return [step["migration"] for step in plan]


def not_atomic() -> list[str]:
    """Return the migrations that are no transaction, as their files say."""
    executor = MigrationExecutor(connections["owner"])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    return [f"{step.app_label}.{step.name}" for step, _ in plan if not step.atomic]


def migrations_in(on: psycopg.Connection[Any]) -> set[str]:
    found = on.execute("SELECT to_regclass('timerecord.django_migrations')").fetchone()
    if found == (None,):
        return set()
    return {f"{app}.{name}" for app, name in on.execute("SELECT app, name FROM django_migrations")}


def holds_the_lock(on: psycopg.Connection[Any]) -> bool:
    return on.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone() == (True,)


def test_it_says_what_would_run_then_runs_it_then_has_nothing_to_do(
    owner: psycopg.Connection[Any],
) -> None:
    planned = names(handler({"plan": True}, None)["pending"])
    assert planned.index("accounts.0001_initial") < planned.index("attendance.0007_history")
    assert migrations_in(owner) == set()

    report = json.loads(json.dumps(handler({}, Minutes(600))))
    assert report["applied"] == planned
    assert migrations_in(owner) == set(planned)
    assert report["seconds"] > report["waited_seconds"] >= 0
    assert [step["migration"] for step in report["pending"] if not step["atomic"]] == not_atomic()
    assert "Create model WorkSession" in [o for step in report["pending"] for o in step["operations"]]

    again = handler(None, None)
    assert (again["applied"], again["pending"]) == ([], [])
    assert holds_the_lock(owner)  # nobody else does any more


class TestTwoAtOnce:
    def test_the_second_says_since_when_there_is_a_first(self, owner: psycopg.Connection[Any]) -> None:
        assert holds_the_lock(owner)
        said = owner.execute(
            "SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"
            " FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ).fetchone()
        assert said
        with pytest.raises(MigrationError, match=rf"since {said[0]}\+00:00\. Waited 0 s"):
            handler({"wait_seconds": 0}, None)
        with pytest.raises(MigrationError, match=r"Waited 1 s; nothing was changed"):
            handler({"wait_seconds": 1}, None)
        assert migrations_in(owner) == set()
        assert names(handler({"plan": True}, None)["pending"])  # asking waits for nobody

    def test_the_second_waits_for_the_first_and_finds_nothing_left(
        self, deployed: OwnServer, owner: psycopg.Connection[Any]
    ) -> None:
        assert holds_the_lock(owner)
        call_command("migrate", database="owner", verbosity=0)
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(in_a_thread_of_its_own, deployed)
            with psycopg.connect(deployed.url, autocommit=True) as admin:
                while not admin.execute(WAITING).fetchone():
                    assert not second.done(), second.result()
            owner.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
            report = second.result(SECONDS)
        assert report["applied"] == []
        assert report["waited_seconds"] > 0

    def test_a_first_that_died_is_not_waited_for(self, owner: psycopg.Connection[Any]) -> None:
        assert holds_the_lock(owner)
        owner.close()
        assert handler({"wait_seconds": SECONDS}, None)["applied"]


def in_a_thread_of_its_own(server: OwnServer) -> dict[str, Any]:
    with server.in_place_of_the_tests("default", "owner"):
        return handler({"wait_seconds": SECONDS}, None)


class TestFailure:
    def test_it_names_what_failed_and_what_was_done_before(self, owner: psycopg.Connection[Any]) -> None:
        owner.execute("CREATE TABLE timerecord.work_sessions (id int)")
        with pytest.raises(MigrationError) as failed:
            handler({}, None)
        said = str(failed.value)
        assert said.startswith(
            'attendance.0001_initial failed: DuplicateTable: relation "work_sessions" already exists. Applied'
        )
        done = migrations_in(owner)
        assert done
        assert sorted(done) == said.partition("before it: ")[2].rstrip(".").split(", ")
        assert holds_the_lock(owner)
        owner.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        # What was in its way is gone: it goes on from there.
        owner.execute("DROP TABLE timerecord.work_sessions")
        assert "attendance.0001_initial" in handler({}, None)["applied"]

    def test_no_row_is_quoted(self, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        def collide(*_: object, **__: object) -> None:
            with connections["owner"].cursor() as cursor:
                cursor.execute("CREATE TABLE taken (email text UNIQUE)")
                cursor.execute("INSERT INTO taken VALUES ('hush@example.com'), ('hush@example.com')")

        monkeypatch.setattr(migration_handler, "call_command", collide)
        with pytest.raises(MigrationError, match="UniqueViolation: duplicate key") as failed:
            handler({}, None)
        assert "hush" not in str(failed.value)
        assert failed.value.__cause__ is None

    def test_who_is_in_the_way_is_not_waited_for_while_all_others_wait(
        self, owner: psycopg.Connection[Any]
    ) -> None:
        call_command("migrate", "accounts", "0006", database="owner", verbosity=0)
        with owner.transaction():
            owner.execute("LOCK TABLE timerecord.users IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(
                MigrationError, match=r"LockNotAvailable: canceling statement due to lock timeout"
            ):
                handler({"lock_seconds": 1}, None)
        assert handler({}, None)["applied"]

    def test_no_statement_outlives_the_function(
        self, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def take_long(*_: object, **__: object) -> None:
            with connections["owner"].cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", [SECONDS])

        monkeypatch.setattr(migration_handler, "call_command", take_long)
        with pytest.raises(MigrationError, match=r"QueryCanceled: .* statement timeout"):
            handler({}, Minutes(migration_handler.RESERVE_SECONDS + 1))

    def test_a_database_out_of_reach(self, deployed: OwnServer) -> None:
        deployed.server.stop()
        with pytest.raises(MigrationError, match="The database cannot be reached"):
            handler({}, None)

    def test_only_the_owner_migrates(self, deployed: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connections["owner"].settings_dict, "USER", APP)
        with pytest.raises(MigrationError, match=f"Migrations run as the role {OWNER}"):
            handler({}, None)

    @pytest.mark.parametrize(
        ("event", "said"),
        [
            ({"target": "zero"}, "may not say target"),
            ({"plan": "yes"}, "plan should be true or false"),
            ({"wait_seconds": 601}, "wait_seconds should be a whole number from 0 to 600"),
            ({"lock_seconds": 0}, "lock_seconds should be"),
            ({"lock_seconds": True}, "lock_seconds should be"),
        ],
    )
    def test_an_event_that_asks_for_something_else(self, event: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            handler(event, None)


def test_a_first_deploy_with_tls_and_secrets_alone(
    dynamodb_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As template.yaml has it: passwords are in Secrets Manager (here an emulator), and nowhere else."""
    credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": REGION}
    passwords = {"master": "one", OWNER: "two", APP: "three"}
    for name, value in credentials.items():
        monkeypatch.setenv(name, value)
    secrets = boto3.session.Session().client(
        "secretsmanager", region_name=REGION, endpoint_url=dynamodb_server
    )
    for name, password in passwords.items():
        said = json.dumps({"username": name, "password": password})
        secrets.create_secret(Name=f"of-{name}", SecretString=said)
    ca = authority("tests")
    (tmp_path / "roots.pem").write_text(ca.pem)

    def prepare(own: OwnServer) -> None:
        own.give("pg_hba.conf", "local all postgres trust\nlocal all all scram-sha-256\n")

    with own_server(prepare) as own:
        with psycopg.connect(own.url, autocommit=True) as admin:
            admin.execute("CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD 'one'")
            admin.execute("CREATE DATABASE service OWNER master")
        socket = str(own.server.sockets / ".s.PGSQL.5432")
        with tls_before(socket, *ca.signs("localhost"), tmp_path) as port:
            done = subprocess.run(
                [sys.executable, "-c", FIRST_DEPLOY],
                cwd=project.BASE_DIR,
                env={
                    **credentials,
                    "PATH": os.environ["PATH"],
                    "LOCAL_TRIAL": "true",
                    "AWS_ENDPOINT_URL_SECRETS_MANAGER": dynamodb_server,
                    "DATABASE_ROOT_CERTIFICATES": str(tmp_path / "roots.pem"),
                    **{
                        variable: f"postgresql+secret://localhost:{port}/service?secret=of-{role}"
                        for variable, role in {
                            "DATABASE_URL": APP,
                            "DATABASE_OWNER_URL": OWNER,
                            "DATABASE_ADMIN_URL": "master",
                        }.items()
                    },
                },
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        assert done.returncode == 0, done.stderr
        made, planned, migrated, again, nothing, left = json.loads(done.stdout)
        assert made == again == {"bootstrapped": True}
        assert migrated["applied"] == names(planned["pending"]) != []
        assert nothing["applied"] == left["pending"] == []
        with psycopg.connect(own.url, dbname="service", user=APP, password=passwords[APP]) as on:
            assert on.execute("SELECT current_user").fetchone() == (APP,)
    for name in passwords:
        secrets.delete_secret(SecretId=f"of-{name}", ForceDeleteWithoutRecovery=True)
    secrets.close()
