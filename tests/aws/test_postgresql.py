"""The engine for RDS, on a real PostgreSQL with TLS.

What IAM itself thinks of a token cannot be tried without AWS. Here the token is what botocore's own client of
RDS would make, and PostgreSQL has it as the role's password, which shows that it is what arrives there.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg
import pytest
import time_machine
from django.conf import settings as project
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.db.utils import ConnectionHandler
from psycopg import sql
from pytest_django import DjangoDbBlocker
from tls_postgres import Authority, authority, tls_before

from tests.postgresql import OwnServer, own_server, port_kept
from tests.test_env import GOOD
from tests.test_settings import read
from timerecord.aws import services
from timerecord.aws.postgresql import credentials
from timerecord.env import Environment

HOST, USER, REGION = "localhost", "timerecord_app", "ap-northeast-1"
MORNING = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)
# A password in clear text, inside TLS, is what RDS asks for.
HBA = "local all postgres trust\nlocal all all password\n"


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The servers here are the tests' own, of which pytest-django knows nothing."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of+the/role==")
    services.forget()
    yield
    services.forget()


@pytest.fixture(scope="module")
def ca() -> Authority:
    return authority("tests")


@pytest.fixture(scope="module")
def server(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Proxied"]:
    def prepare(own: OwnServer) -> None:
        own.give("pg_hba.conf", HBA)

    with own_server(prepare) as own:
        with psycopg.connect(own.url, autocommit=True) as on:
            on.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(USER)))
        socket = str(own.server.sockets / ".s.PGSQL.5432")
        with tls_before(socket, *ca.signs(HOST), tmp_path_factory.mktemp("tls")) as port:
            yield Proxied(own.url, port)


@dataclasses.dataclass(frozen=True)
class Proxied:
    """PostgreSQL behind TLS: its superuser's address without, the port with it."""

    url: str
    port: int


@pytest.fixture
def roots(ca: Authority, tmp_path: Path) -> Path:
    path = tmp_path / "roots.pem"
    path.write_text(authority("another").pem + ca.pem)
    return path


def entry(variables: dict[str, str]) -> dict[str, Any]:
    """Return the entry of DATABASES, as settings.py makes it."""
    env = Environment({"AWS_REGION": REGION, **variables})
    found = env.database("DATABASE_URL")
    env.complain_if_wrong()
    kept = {name: project.DATABASES["default"][name] for name in ("CONN_MAX_AGE", "CONN_HEALTH_CHECKS")}
    return {**found, **kept}


def connect(server: Proxied, roots: Path, host: str = HOST, scheme: str = "postgresql+iam") -> Any:
    at = f"{USER}@{host}" if scheme.endswith("iam") else host
    secret = "?secret=database" if scheme.endswith("secret") else ""
    url = f"{scheme}://{at}:{server.port}/postgres{secret}"
    variables = {"DATABASE_URL": url, "DATABASE_ROOT_CERTIFICATES": str(roots)}
    return ConnectionHandler({"default": entry(variables)})["default"]


def believe(server: Proxied, token: str) -> None:
    """Have PostgreSQL take this for the role's password."""
    with psycopg.connect(server.url, autocommit=True) as on:
        on.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(USER), sql.Literal(token)))


def botocores(host: str, port: int, user: str = USER) -> str:
    """What the client of RDS makes, which the engine does without."""
    client = boto3.session.Session().client("rds", region_name=REGION)
    return str(client.generate_db_auth_token(host, port, user))


def ask(on: Any, question: str) -> Any:
    with on.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


class TestToken:
    @pytest.mark.parametrize("user", [USER, "some one+else@home"])
    def test_it_is_the_one_that_the_client_of_rds_makes(self, user: str) -> None:
        with time_machine.travel(MORNING, tick=False):
            made = credentials.token("db.proxy-x.ap-northeast-1.rds.amazonaws.com", 5432, user, REGION)
            assert made == botocores("db.proxy-x.ap-northeast-1.rds.amazonaws.com", 5432, user)

    def test_it_says_for_whom_and_how_long(self) -> None:
        with time_machine.travel(MORNING, tick=False):
            parts = urlsplit(f"https://{credentials.token('db.example.com', 6432, USER, REGION)}")
        said = {name: value for name, (value,) in parse_qs(parts.query).items()}
        assert (parts.netloc, said["DBUser"], said["Action"]) == ("db.example.com:6432", USER, "connect")
        assert (said["X-Amz-Date"], said["X-Amz-Expires"]) == ("20261120T090000Z", "900")
        assert said["X-Amz-Credential"] == f"AKIAEXAMPLE/20261120/{REGION}/rds-db/aws4_request"
        assert said["X-Amz-Security-Token"] == "of+the/role=="

    def test_without_credentials_it_says_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(OperationalError, match="No AWS credentials"):
            credentials.token(HOST, 5432, USER, REGION)


class TestConnection:
    def test_each_physical_connection_has_a_token_of_its_own(self, server: Proxied, roots: Path) -> None:
        on = connect(server, roots)
        with time_machine.travel(MORNING, tick=False) as clock:
            believe(server, botocores(HOST, server.port))
            first = ask(on, "SELECT pg_backend_pid()")
            clock.shift(20 * 60)
            # Two requests later it is the same connection, and nobody asked for the token again.
            on.close_if_unusable_or_obsolete()
            assert ask(on, "SELECT pg_backend_pid()") == first
            # It dies between two invocations: the next one opens another, with a token that is still good.
            with psycopg.connect(server.url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
            on.close_if_unusable_or_obsolete()
            with pytest.raises(OperationalError, match="password authentication failed"):
                ask(on, "SELECT 1")
            believe(server, botocores(HOST, server.port))
            on.close_if_unusable_or_obsolete()
            assert ask(on, "SELECT pg_backend_pid()") != first
            on.close()

    def test_it_is_encrypted_and_asks_the_server_for_nothing_at_its_start(
        self, server: Proxied, roots: Path
    ) -> None:
        on = connect(server, roots)
        with time_machine.travel(MORNING, tick=False):
            believe(server, botocores(HOST, server.port))
            assert ask(on, "SELECT current_user") == USER
            assert on.connection.pgconn.ssl_in_use
            parameters = on.connection.info.get_parameters()
            assert "options" not in parameters  # a proxy refuses it
            assert (parameters["sslmode"], parameters["connect_timeout"]) == ("verify-full", "5")
            assert on.connection.prepare_threshold is None
            on.close()

    def test_a_server_of_another_name_is_refused(self, server: Proxied, roots: Path) -> None:
        with pytest.raises(OperationalError, match=r"does not match host name .*127\.0\.0\.1"):
            connect(server, roots, host="127.0.0.1").ensure_connection()

    def test_a_server_that_somebody_else_vouches_for_is_refused(
        self, server: Proxied, tmp_path: Path
    ) -> None:
        stranger = tmp_path / "stranger.pem"
        stranger.write_text(authority("stranger").pem)
        with pytest.raises(OperationalError, match="certificate verify failed"):
            connect(server, stranger).ensure_connection()

    def test_a_server_without_tls_is_refused(self, roots: Path) -> None:
        with (
            port_kept() as port,
            own_server(listen_addresses="127.0.0.1", port=port) as plain,
            pytest.raises(OperationalError, match="does not support SSL"),
        ):
            connect(Proxied(plain.url, port), roots).ensure_connection()

    def test_a_pool_would_keep_the_first_token(self, server: Proxied, roots: Path) -> None:
        on = connect(server, roots)
        on.settings_dict["OPTIONS"]["pool"] = True
        with pytest.raises(ImproperlyConfigured, match="token"):
            on.get_connection_params()


class TestSecret:
    @pytest.fixture
    def secrets(self, dynamodb_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A client of an emulated Secrets Manager."""
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", dynamodb_server)
        client = boto3.session.Session().client("secretsmanager", region_name=REGION)
        yield client
        client.delete_secret(SecretId="database", ForceDeleteWithoutRecovery=True)
        client.close()

    def test_who_and_with_what_is_read_for_each_connection(
        self, server: Proxied, roots: Path, secrets: Any
    ) -> None:
        on = connect(server, roots, scheme="postgresql+secret")
        believe(server, "one")
        secrets.create_secret(Name="database", SecretString=f'{{"username": "{USER}", "password": "one"}}')
        assert ask(on, "SELECT current_user") == USER
        on.close()
        believe(server, "two")  # rotated
        secrets.put_secret_value(
            SecretId="database", SecretString=f'{{"username": "{USER}", "password": "two"}}'
        )
        assert ask(on, "SELECT current_user") == USER
        on.close()

    @pytest.mark.parametrize("text", ["hush-hush", '{"password": "hush-hush"}', '["hush-hush"]'])
    def test_one_that_says_something_else_is_named_but_not_repeated(
        self, server: Proxied, roots: Path, secrets: Any, text: str
    ) -> None:
        secrets.create_secret(Name="database", SecretString=text)
        with pytest.raises(OperationalError) as refused:
            connect(server, roots, scheme="postgresql+secret").ensure_connection()
        assert "database" in str(refused.value)
        assert "hush" not in repr((refused.value, refused.value.__cause__))

    def test_one_that_is_not_there_is_named(self, server: Proxied, roots: Path, secrets: Any) -> None:
        secrets.create_secret(Name="database", SecretString="{}")
        secrets.delete_secret(SecretId="database", ForceDeleteWithoutRecovery=True)
        with pytest.raises(OperationalError, match="The secret database cannot be read"):
            connect(server, roots, scheme="postgresql+secret").ensure_connection()


class TestVariables:
    def wrong(self, **variables: str) -> str:
        env = Environment(variables)
        env.database("DATABASE_URL")
        with pytest.raises(ImproperlyConfigured) as complaint:
            env.complain_if_wrong()
        return str(complaint.value)

    def test_all_that_is_missing_is_named(self) -> None:
        assert self.wrong(DATABASE_URL="postgresql+iam://app@db.example.com/time").splitlines() == [
            "AWS_REGION is not set. It should be a region, such as ap-northeast-1.",
            "DATABASE_ROOT_CERTIFICATES is not set. It should be a file of the root certificates by which "
            "the database server proves its name.",
        ]

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql+iam://app:hush@db.example.com/time",
            "postgresql+iam://db.example.com/time",
            "postgresql+iam://app@/time",
            "postgresql+iam://app@db.example.com",
            "postgresql+iam://app@db.example.com/time?region=hush",
            "postgresql+iam://db.example.com/time?secret=name",
            "postgresql+secret://db.example.com/time",
            "postgresql+secret://app@db.example.com/time?secret=name",
            "postgresql+secret://app:hush@db.example.com/time?secret=name",
        ],
    )
    def test_a_url_that_does_not_say_enough_or_too_much(self, url: str, roots: Path) -> None:
        said = self.wrong(DATABASE_URL=url, DATABASE_ROOT_CERTIFICATES=str(roots), AWS_REGION=REGION)
        assert said.startswith(f"DATABASE_URL is malformed. It should be {url.partition('://')[0]}://")
        assert "hush" not in said

    def test_a_region_of_its_own(self, roots: Path) -> None:
        found = entry(
            {
                "DATABASE_URL": "postgresql+iam://app@db.example.com/time?region=eu-west-1",
                "DATABASE_ROOT_CERTIFICATES": str(roots),
            }
        )
        assert found["OPTIONS"]["region"] == "eu-west-1"

    def test_the_settings_keep_a_connection_as_the_proxy_likes_it(self, roots: Path) -> None:
        variables = {
            "DATABASE_URL": "postgresql+iam://timerecord_app@proxy.example.com:5432/timerecord",
            "DATABASE_ROOT_CERTIFICATES": str(roots),
            "AWS_REGION": REGION,
        }
        database = read({**GOOD, **variables})["DATABASES"]["default"]
        assert (database["ENGINE"], database["PASSWORD"]) == ("timerecord.aws.postgresql", "")
        assert database["CONN_MAX_AGE"] is None
        assert database["CONN_HEALTH_CHECKS"] is True
        assert database["DISABLE_SERVER_SIDE_CURSORS"] is True
        assert database["OPTIONS"] == {
            "region": REGION,
            "sslmode": "verify-full",
            "sslrootcert": str(roots),
        }

    def test_with_root_certificates_a_password_too_is_for_the_right_server_alone(self, roots: Path) -> None:
        found = entry(
            {
                "DATABASE_URL": "postgresql://app:x@db.example.com/time?sslmode=prefer",
                "DATABASE_ROOT_CERTIFICATES": str(roots),
            }
        )
        assert found["ENGINE"] == "django.db.backends.postgresql"
        assert found["OPTIONS"] == {"sslmode": "verify-full", "sslrootcert": str(roots)}

    def test_certificates_that_are_not_there(self, tmp_path: Path) -> None:
        said = self.wrong(
            DATABASE_URL="postgresql://app:x@db/time", DATABASE_ROOT_CERTIFICATES=str(tmp_path / "none")
        )
        assert said.startswith("DATABASE_ROOT_CERTIFICATES is malformed.")
