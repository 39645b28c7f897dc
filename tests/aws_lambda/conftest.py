"""A function that the real runtime client runs, on the database of the test."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from with_postgres import child_setup

from tests.aws_lambda.runtime import HOST, Function, running
from timerecord.aws import services

WEB = "timerecord.lambda_handler.handler"
MAINTENANCE = "timerecord.maintenance_handler.handler"
PLACE = {"LocationConstraint": "ap-northeast-1"}


@pytest.fixture(scope="session")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collect the static files once, hashed and compressed."""
    folder = tmp_path_factory.mktemp("static")
    environment = {**os.environ, "TESTS_STATIC_ROOT": str(folder), **deployed(folder)}
    words = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    environment["DATABASE_URL"] = "postgresql:///unused"
    subprocess.run(words, cwd=settings.BASE_DIR, env=environment, check=True)
    return folder


def deployed(static: Path) -> dict[str, str]:
    """Return the variables of an installation, its database aside."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.aws_lambda.settings",
        "TESTS_STATIC_ROOT": str(static),
        "LOCAL_TRIAL": "false",
        "SECRET_KEY": settings.SECRET_KEY,
        "ALLOWED_HOSTS": HOST,
        "APP_BASE_URL": f"https://{HOST}",
        "DEFAULT_FROM_EMAIL": "timerecord@example.com",
        "EMAIL_URL": "consolemail://",
    }


def database_url(**changes: Any) -> str:
    """Return the URL of the test's database, as the application's role."""
    known = {**connection.settings_dict, **changes}
    user, password = quote(known["USER"], safe=""), quote(known["PASSWORD"], safe="")
    query = {"host": known["HOST"], "port": known["PORT"], **known["OPTIONS"]}
    said = urlencode({name: value for name, value in query.items() if value})
    return f"postgresql://{user}:{password}@/{known['NAME']}?{said}"


@pytest.fixture(scope="session")
def s3_server(dynamodb_server: str) -> str:
    """The address of an emulator of S3: the same server has it."""
    return dynamodb_server


@contextlib.contextmanager
def s3_client(address: str) -> Iterator[Any]:
    """Somebody else's client of the emulator, who may do everything there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "local")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "local")
        services.forget()
        client = services.client("s3", region="ap-northeast-1", read_seconds=60)
        yield client
        client.close()
    services.forget()


def administrator() -> psycopg.Connection[Any]:
    """Connect to the test's database as a superuser, who sees what others do there."""
    name = connection.settings_dict["NAME"]
    return psycopg.connect(settings.DATABASE_ADMIN_URL, dbname=name, autocommit=True)


@contextlib.contextmanager
def function(handler: str, log: Path, variables: Mapping[str, str]) -> Iterator[Function]:
    """Run a handler as Lambda does: in a process of its own, whose environment is this and no more."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    lambdas = {
        "AWS_LAMBDA_FUNCTION_NAME": "web",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_REGION": "ap-northeast-1",
        "AWS_DEFAULT_REGION": "ap-northeast-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "_HANDLER": handler,
    }
    with running(
        [sys.executable, "-m", "awslambdaric", handler],
        {**inherited, **lambdas, **variables},
        log,
        cwd=settings.BASE_DIR,
        preexec_fn=child_setup(signal.SIGTERM),
    ) as found:
        yield found


@pytest.fixture(scope="module")
def web(
    static_root: Path, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Function]:
    """The function of the pages, without a bucket."""
    log = tmp_path_factory.mktemp("web") / "log"
    with function(WEB, log, {**deployed(static_root), "DATABASE_URL": database_url()}) as found:
        found.wait_until_ready()
        yield found
