"""Variables in Secrets Manager and Parameter Store: moto's server, over HTTP."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tls_postgres
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from accounts.models import User
from tests.aws_lambda.conftest import MAINTENANCE, WEB, database_url, deployed, function
from tests.aws_lambda.runtime import Browser, FunctionEndedError
from timerecord.aws import configuration, services
from timerecord.env import variables

SECRET, PATH = "timerecord/web", "/timerecord"
HUSH = "hush-hush-"
KEY = HUSH + "x" * 60
LOCAL = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": "ap-northeast-1",
}
NAMES = {"APP_SECRET_ID": SECRET, "APP_PARAMETER_PATH": PATH}

Keep = Callable[..., None]


@pytest.fixture
def aws(dynamodb_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables by which a process finds the emulator."""
    # Both words of a service's name have underscores between them.
    found = {
        **LOCAL,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": dynamodb_server,
        "AWS_ENDPOINT_URL_SSM": dynamodb_server,
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    services.forget()
    yield found
    services.forget()


@pytest.fixture
def keep(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Keep]:
    """Put a secret, or parameters, in place of what was there."""
    # An emulator on a busy machine takes its time, the first one to ask it most of all.
    monkeypatch.setattr(configuration, "READ_SECONDS", 60)
    secrets, parameters = (services.client(name, read_seconds=60) for name in ("secretsmanager", "ssm"))
    named: set[str] = set()

    def put(secret: Any = None, **given: str) -> None:
        text = secret if isinstance(secret, str) else json.dumps(secret)
        if secret is not None:
            try:
                secrets.create_secret(Name=SECRET, SecretString=text)
            except secrets.exceptions.ResourceExistsException:
                secrets.put_secret_value(SecretId=SECRET, SecretString=text)
        for name, value in given.items():
            named.add(f"{PATH}/{name}")
            parameters.put_parameter(Name=f"{PATH}/{name}", Value=value, Type="SecureString", Overwrite=True)

    yield put
    for name in named:
        parameters.delete_parameter(Name=name)
    with contextlib.suppress(secrets.exceptions.ResourceNotFoundException):
        secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
    secrets.close()
    parameters.close()


@pytest.fixture
def calls(aws: dict[str, str]) -> list[str]:
    """What is asked of AWS from now on, by everybody who uses the process's session."""
    made: list[str] = []

    def note(**of: Any) -> None:
        made.append(of["request"].headers["X-Amz-Target"].decode())

    services.session().register("before-send", note)
    return made


class TestRead:
    def test_both_in_two_calls(self, keep: Keep, calls: list[str]) -> None:
        keep({"SECRET_KEY": KEY}, APP_BASE_URL="https://time.example.com", SESSION_TTL_SECONDS="600")
        calls.clear()
        found = variables(NAMES)
        assert found == {
            **NAMES,
            "SECRET_KEY": KEY,
            "APP_BASE_URL": "https://time.example.com",
            "SESSION_TTL_SECONDS": "600",
        }
        assert calls == ["AmazonSSM.GetParametersByPath", "secretsmanager.GetSecretValue"]

    def test_more_than_ten_parameters_are_one_call_more(self, keep: Keep, calls: list[str]) -> None:
        keep(**{f"NUMBER_{n}": str(n) for n in range(15)})
        calls.clear()
        found = variables({"APP_PARAMETER_PATH": PATH})
        assert {found[f"NUMBER_{n}"] for n in range(15)} == {str(n) for n in range(15)}
        assert calls == ["AmazonSSM.GetParametersByPath"] * 2

    def test_without_names_nothing_is_asked(self, keep: Keep, calls: list[str]) -> None:
        keep({"SECRET_KEY": KEY})
        calls.clear()
        environment = {"SECRET_KEY": "its own", "APP_SECRET_ID": ""}
        assert variables(environment) is environment
        assert calls == []

    def test_the_environment_wins_over_the_secret_and_that_over_parameters(self, keep: Keep) -> None:
        keep({"A": "secret", "B": "secret", "E": "secret"}, A="parameter", B="parameter", C="parameter")
        found = variables({**NAMES, "A": "environment", "E": ""})
        assert [found[name] for name in "ABCE"] == ["environment", "secret", "parameter", "secret"]

    def test_what_lies_deeper_belongs_to_somebody_else(self, keep: Keep, aws: dict[str, str]) -> None:
        keep(A="ours")
        keep(**{"other/B": "theirs"})
        assert "B" not in variables({"APP_PARAMETER_PATH": PATH})

    def test_the_database_as_rds_writes_it(self, keep: Keep) -> None:
        keep(
            {
                "engine": "postgres",
                "username": "app",
                "password": "pa/ss@:#?",
                "host": "db.example.com",
                "port": 5433,
                "dbname": "timerecord",
            }
        )
        found = configuration.fetched({"APP_SECRET_ID": SECRET})
        assert found["DATABASE_URL"] == (
            "postgresql://app:pa%2Fss%40%3A%23%3F@db.example.com:5433/timerecord"
        )

    def test_a_url_of_the_database_wins_over_its_parts(self, keep: Keep) -> None:
        keep({"DATABASE_URL": "postgresql://app@a/b", "host": "c", "username": "d"})
        assert configuration.fetched({"APP_SECRET_ID": SECRET})["DATABASE_URL"] == "postgresql://app@a/b"

    @pytest.mark.parametrize(
        ("secret", "key"),
        [
            ({"SESSION_SECRET": KEY}, KEY),
            ({"SESSION_SECRET": "other", "SECRET_KEY": KEY}, KEY),
        ],
    )
    def test_the_designs_name_for_the_secret_key(self, keep: Keep, secret: Any, key: str) -> None:
        keep(secret)
        assert configuration.fetched({"APP_SECRET_ID": SECRET})["SECRET_KEY"] == key


class TestOutOfReach:
    def test_it_is_said_what_was_wanted(self, aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ImproperlyConfigured) as complaint:
            variables({"APP_SECRET_ID": "nowhere"})
        assert str(complaint.value).startswith(
            "APP_SECRET_ID: the secret nowhere (secretsmanager:GetSecretValue) could not be read: "
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1")
        with pytest.raises(ImproperlyConfigured) as complaint:
            variables({"APP_PARAMETER_PATH": PATH})
        wanted = "the parameters below /timerecord (ssm:GetParametersByPath)"
        assert str(complaint.value).startswith(f"APP_PARAMETER_PATH: {wanted} could not be read: ")

    @pytest.mark.parametrize("secret", [f"{HUSH}no json", f'["{HUSH}"]', f'{{"A": ["{HUSH}"]}}', f'"{HUSH}"'])
    def test_a_secret_that_is_no_object_is_not_quoted(self, keep: Keep, secret: str) -> None:
        keep(secret)
        with pytest.raises(ImproperlyConfigured, match="is not a JSON object of texts") as complaint:
            variables(NAMES)
        assert HUSH not in str(complaint.value)
        assert complaint.value.__cause__ is None

    def test_a_service_that_says_nothing_is_given_up_before_the_start_is(
        self, aws: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", f"http://127.0.0.1:{silent.getsockname()[1]}")
            started = time.monotonic()
            with pytest.raises(ImproperlyConfigured, match="APP_PARAMETER_PATH"):
                variables(NAMES)
            assert time.monotonic() - started < 30  # botocore's own patience is a minute a try
            tries = connections_to(silent)
        assert tries == services.ATTEMPTS
        # Of the ten seconds that a start has; botocore waits for at most one before the second try.
        assert tries * configuration.READ_SECONDS + (tries - 1) < 8


def connections_to(listening: socket.socket) -> int:
    """Return how many connected since it listens, none of which was accepted before."""
    listening.setblocking(False)
    accepted = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
            accepted += 1
    return accepted


class TestOnLambda:
    def test_a_start_that_fails_says_why_and_no_secret(
        self, keep: Keep, aws: dict[str, str], static_root: Path, tmp_path: Path
    ) -> None:
        keep({"SECRET_KEY": HUSH, "DATABASE_URL": f"mysql://{HUSH}"}, EMAIL_URL=f"{HUSH}://")
        given = {**deployed(static_root), **aws, **NAMES, "SECRET_KEY": "", "EMAIL_URL": ""}
        log = tmp_path / "log"
        with function(WEB, log, given) as broken:
            with pytest.raises(FunctionEndedError):
                broken.wait_until_ready()
            assert broken.init_error
            reported = broken.init_error.decode() + log.read_text()
        for name in ("SECRET_KEY", "DATABASE_URL", "EMAIL_URL"):
            assert f"{name} is malformed." in reported
        assert HUSH not in reported

    @pytest.mark.django_db(transaction=True)
    def test_no_page_and_no_line_shows_a_secret(
        self, keep: Keep, aws: dict[str, str], static_root: Path, tmp_path: Path
    ) -> None:
        keep(
            {"SECRET_KEY": KEY, "DATABASE_URL": database_url(USER="timerecord_app", PASSWORD=HUSH)},
            DEFAULT_FROM_EMAIL="timerecord@example.com",
        )
        given = {**deployed(static_root), **aws, **NAMES, "SECRET_KEY": "", "DEBUG": "true"}
        with function(WEB, tmp_path / "log", given) as web:
            browser = Browser(web)
            # The database believes no scope under this key: an error with all of its frames.
            pages = [
                browser.get("/sign-in"),
                browser.post("/sign-in", {"email": "a@b.example", "password": "x"}),
            ]
            pages += [browser.get("/failing/x"), browser.get("/readyz")]
            assert [page.status for page in pages] == [200, 500, 500, 200]
            lines = web.lines()
        assert any("ZeroDivisionError" in line for line in lines)
        assert [line for line in lines if HUSH in line] == []
        assert [page for page in pages if HUSH in page.text] == []


ROTATING, FIRST, SECOND = "rotating", f"{HUSH}first", f"{HUSH}second"


@pytest.fixture(scope="module")
def tls() -> Iterator[tls_postgres.Running]:
    with tls_postgres.running() as server:
        with psycopg.connect(server.admin, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE {ROTATING} LOGIN PASSWORD '{FIRST}'")
            # All that /readyz asks of it.
            admin.execute(
                "CREATE FUNCTION read_session(text) RETURNS TABLE (data text, created_at timestamptz,"
                " seen_at timestamptz, expires_at timestamptz) LANGUAGE sql"
                " AS 'SELECT NULL, now(), now(), now() WHERE false'"
            )
        yield server


def database(server: tls_postgres.Running, password: str) -> dict[str, object]:
    return {
        "SECRET_KEY": KEY,
        "username": ROTATING,
        "password": password,
        "host": tls_postgres.HOST,
        "port": server.port,
        "dbname": "postgres",
    }


def rotate(server: tls_postgres.Running, password: str) -> None:
    """Give the role another password, and end its connections as a failover does."""
    with psycopg.connect(server.admin, autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {ROTATING} PASSWORD '{password}'")
        admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s", [ROTATING]
        )


class TestRotation:
    @pytest.fixture
    def given(self, aws: dict[str, str], static_root: Path, tls: tls_postgres.Running) -> dict[str, str]:
        rotate(tls, FIRST)
        authority = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(tls.authority)}
        return {**deployed(static_root), **aws, **NAMES, **authority, "SECRET_KEY": ""}

    def test_a_process_that_runs_finds_the_new_password(
        self, keep: Keep, given: dict[str, str], tls: tls_postgres.Running, tmp_path: Path
    ) -> None:
        keep(database(tls, FIRST))
        with function(WEB, tmp_path / "log", given) as web:
            browser = Browser(web)
            assert browser.get("/readyz").text == "ready\n"
            rotate(tls, SECOND)
            assert browser.get("/readyz").text == "not ready: database, sessions\n"
            keep(database(tls, SECOND))
            assert browser.get("/readyz").text == "ready\n"
            assert [line for line in web.lines() if HUSH in line] == []

    def test_one_that_was_restored_from_a_snapshot_has_it_from_the_beginning(
        self, keep: Keep, given: dict[str, str], tls: tls_postgres.Running, tmp_path: Path
    ) -> None:
        keep(database(tls, FIRST))
        given["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
        with function(WEB, tmp_path / "log", given) as web:
            assert web.restored.wait(60)
            rotate(tls, SECOND)
            keep(database(tls, SECOND))
            web.restore.set()
            assert Browser(web).get("/readyz").text == "ready\n"
            assert [line for line in web.lines() if "password authentication failed" in line] == []

    def test_a_certificate_of_somebody_else_is_refused(
        self, keep: Keep, given: dict[str, str], tls: tls_postgres.Running, tmp_path: Path
    ) -> None:
        keep(database(tls, FIRST))
        given["PGSSLROOTCERT"] = str(settings.BASE_DIR / "timerecord" / "aws" / "certificates.pem")
        with function(WEB, tmp_path / "log", given) as web:
            assert Browser(web).get("/readyz").status == 503
            assert any("certificate verify failed" in line for line in web.lines())


def test_the_first_admin_is_in_the_secret(
    keep: Keep, aws: dict[str, str], static_root: Path, tmp_path: Path, transactional_db: None
) -> None:
    keep({"PLATFORM_ADMIN_EMAIL": "first@example.com", "PLATFORM_ADMIN_PASSWORD": f"{HUSH}passphrase"})
    given = {**deployed(static_root), **aws, **NAMES, "DATABASE_URL": database_url()}
    with function(MAINTENANCE, tmp_path / "log", given) as maintenance:
        found = maintenance.invoke({"command": "create_platform_admin"})
        assert found["said"][0].startswith("Made the platform admin first@example.com")
        assert [line for line in maintenance.lines() if HUSH in line] == []
    assert User.objects.get().check_password(f"{HUSH}passphrase")
