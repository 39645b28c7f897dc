"""What an installation gets from its variables, read in a process of its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project

from tests.test_env import GOOD, REQUIRED, SECONDS

DATABASE = {"DATABASE_URL": GOOD["DATABASE_URL"]}
READ = (
    "import json, django; django.setup(); from django.conf import settings; "
    "names = [name for name in dir(settings) if name.isupper()]; "
    "print(json.dumps({name: getattr(settings, name) for name in names}, default=str))"
)


def run(variables: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        cwd=project.BASE_DIR,
        env={**inherited, "DJANGO_SETTINGS_MODULE": "timerecord.settings", **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def read(variables: dict[str, str]) -> dict[str, Any]:
    found = run(variables, "-c", READ)
    assert (found.returncode, found.stderr) == (0, "")
    settings: dict[str, Any] = json.loads(found.stdout)
    return settings


@pytest.fixture(scope="module")
def production() -> dict[str, Any]:
    return read(GOOD)


@pytest.fixture(scope="module")
def trial() -> dict[str, Any]:
    return read({"LOCAL_TRIAL": "true", **DATABASE})


class TestProduction:
    def test_djangos_own_check_finds_nothing_to_deplore(self) -> None:
        checked = run(
            {name: GOOD[name] for name in REQUIRED}, "manage.py", "check", "--deploy", "--fail-level=INFO"
        )
        assert (checked.returncode, checked.stderr) == (0, "")
        assert checked.stdout == "System check identified no issues (0 silenced).\n"

    def test_its_variables_arrive(self, production: dict[str, Any]) -> None:
        database = production["DATABASES"]["default"]
        assert production["SECRET_KEY"] == GOOD["SECRET_KEY"]
        assert production["ALLOWED_HOSTS"] == ["time.example.com", "time.example.jp"]
        assert production["SESSION_COOKIE_AGE"] == 600
        assert (database["HOST"], database["PORT"], database["NAME"]) == (
            "db.example.com",
            5433,
            "timerecord",
        )
        assert (database["USER"], database["PASSWORD"]) == ("app", "pa/ss")

    def test_nothing_travels_in_clear(self, production: dict[str, Any]) -> None:
        names = [
            "SECURE_SSL_REDIRECT",
            "SESSION_COOKIE_SECURE",
            "CSRF_COOKIE_SECURE",
            "LANGUAGE_COOKIE_SECURE",
        ]
        assert {name: production[name] for name in names} == dict.fromkeys(names, True)
        assert production["SESSION_COOKIE_NAME"] == "__Host-timerecord_session"
        assert production["SECURE_HSTS_SECONDS"] == 365 * 24 * 3600
        assert (production["DEBUG"], production["LOCAL_TRIAL"]) == (False, False)

    def test_a_connection_is_kept_as_a_proxy_likes_it(self, production: dict[str, Any]) -> None:
        database = production["DATABASES"]["default"]
        assert database["ENGINE"] == "django.db.backends.postgresql"
        assert database["CONN_MAX_AGE"] is None
        assert database["CONN_HEALTH_CHECKS"] is True
        assert database["DISABLE_SERVER_SIDE_CURSORS"] is True
        assert database.get("ATOMIC_REQUESTS", False) is False
        assert (production["USE_TZ"], production["TIME_ZONE"]) == (True, "UTC")

    def test_debug_is_for_trials_alone(self) -> None:
        assert read({**GOOD, "DEBUG": "true"})["DEBUG"] is False

    def test_twelve_hours_unless_it_is_said(self, trial: dict[str, Any]) -> None:
        assert trial["SESSION_COOKIE_AGE"] == 12 * 3600


class TestStores:
    def test_the_database_unless_it_is_said(self, trial: dict[str, Any]) -> None:
        assert (trial["SESSION_STORE"], trial["SESSION_ENGINE"], trial["TOKEN_STORE"]) == (
            "database",
            "accounts.session_store",
            "accounts.tokens.DatabaseStore",
        )
        assert trial["SESSION_IDLE_SECONDS"] == trial["SESSION_COOKIE_AGE"]

    def test_sessions_and_tokens_go_together(self) -> None:
        given = {"SESSION_STORE": "dynamodb", "DYNAMODB_TABLE_PREFIX": "time", "AWS_REGION": "eu-west-1"}
        settings = read({**GOOD, **given})
        assert (settings["SESSION_ENGINE"], settings["TOKEN_STORE"]) == (
            "timerecord.aws.sessions",
            "timerecord.aws.tokens.DynamoDBStore",
        )
        assert (settings["DYNAMODB_TABLE_PREFIX"], settings["AWS_REGION"]) == ("time", "eu-west-1")

    def test_with_the_database_nothing_of_aws_is_loaded(self) -> None:
        loaded = run(
            GOOD,
            "-c",
            "import sys, django; django.setup(); import timerecord.wsgi, timerecord.urls; "
            "from accounts.session_store import SessionStore; "
            "print([name for name in ('boto3', 'botocore') if name in sys.modules])",
        )
        assert (loaded.returncode, loaded.stdout) == (0, "[]\n"), loaded.stderr


class TestLambda:
    NAMED = {"AWS_LAMBDA_FUNCTION_NAME": "web"}

    def test_mails_wait_for_housekeeping_unless_it_is_said(self) -> None:
        """The answer is handed over only after what is done after it."""
        assert read(GOOD)["ERRANDS_AFTER_ANSWER"] is True
        assert read({**GOOD, **self.NAMED})["ERRANDS_AFTER_ANSWER"] is False
        assert read({**GOOD, **self.NAMED, "ERRANDS_AFTER_ANSWER": "true"})["ERRANDS_AFTER_ANSWER"] is True

    def test_it_has_a_bucket_if_one_is_named(self) -> None:
        assert read({**GOOD, "EXPORT_BUCKET": "time-exports"})["EXPORT_BUCKET"] == "time-exports"
        assert read(GOOD)["EXPORT_BUCKET"] == ""
        assert read({**GOOD, "EVIDENCE_BUCKET": "time-evidence"})["EVIDENCE_BUCKET"] == "time-evidence"
        assert read(GOOD)["EVIDENCE_BUCKET"] == ""


class TestTrial:
    def test_it_has_what_it_needs_on_one_machine(self, trial: dict[str, Any]) -> None:
        assert len(trial["SECRET_KEY"]) >= 50
        assert trial["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
        assert trial["DEBUG"] is False

    def test_it_answers_without_https(self, trial: dict[str, Any]) -> None:
        names = [
            "SECURE_SSL_REDIRECT",
            "SESSION_COOKIE_SECURE",
            "CSRF_COOKIE_SECURE",
            "LANGUAGE_COOKIE_SECURE",
        ]
        assert {name: trial[name] for name in names} == dict.fromkeys(names, False)
        assert trial["SESSION_COOKIE_NAME"] == "timerecord_session"
        assert trial["SECURE_HSTS_SECONDS"] == 0

    def test_variables_win(self) -> None:
        settings = read({**GOOD, "LOCAL_TRIAL": "true", "DEBUG": "true"})
        assert settings["SECRET_KEY"] == GOOD["SECRET_KEY"]
        assert settings["ALLOWED_HOSTS"] == GOOD["ALLOWED_HOSTS"].split(",")
        assert settings["DEBUG"] is True

    def test_it_does_without_a_database_no_more_than_production(self) -> None:
        started = run({"LOCAL_TRIAL": "true"}, "manage.py", "check")
        assert started.returncode == 1
        assert "DATABASE_URL is not set." in started.stderr
        assert "SECRET_KEY" not in started.stderr


class TestLog:
    GET = (
        "import django; django.setup(); from django.conf import settings; from django.test import Client; "
        "client = Client(raise_request_exception=False); "
        "client.cookies[settings.SESSION_COOKIE_NAME] = 'x' * 32; "
        "print(client.get('/', headers={'host': 'localhost'}).status_code)"
    )

    def test_a_page_that_fails_leaves_its_reason_on_standard_error(self, tmp_path: Path) -> None:
        database = f"postgresql://app@/timerecord?host={tmp_path}"
        answered = run({"LOCAL_TRIAL": "true", "DATABASE_URL": database}, "-c", self.GET)
        assert (answered.returncode, answered.stdout) == (0, "503\n")
        assert "Traceback" in answered.stderr
        assert "OperationalError" in answered.stderr


class TestWhatIsFixed:
    def test_passwords(self) -> None:
        assert project.PASSWORD_HASHERS == [
            "accounts.hashers.SmallLambdaArgon2PasswordHasher",
            "accounts.hashers.NodeBcryptPasswordHasher",
        ]
        assert (project.AUTH_USER_MODEL, project.AUTHENTICATION_BACKENDS) == (
            "accounts.User",
            ["accounts.backends.EmailBackend"],
        )

    def test_languages(self) -> None:
        assert (project.LANGUAGE_CODE, [code for code, _ in project.LANGUAGES]) == ("ja", ["ja", "en"])

    def test_a_page_is_for_those_who_signed_in(self) -> None:
        assert "django.contrib.auth.middleware.LoginRequiredMiddleware" in project.MIDDLEWARE

    def test_the_variables_are_documented(self) -> None:
        """Each that the settings read, and each that anything else takes from the environment."""
        base = project.BASE_DIR
        documented = (base / "docs" / "configuration.md").read_text(encoding="utf-8")
        names = set(REQUIRED)
        for path in sources("timerecord", "tenants", "accounts", "attendance"):
            names |= set(re.findall(READS, path.read_text(encoding="utf-8")))
        assert {"APP_SECRET_ID", "DATABASE_OWNER_URL", "EXPORT_BUCKET", "LOCAL_TRIAL"} < names
        assert {name for name in names if f"`{name}`" not in documented} == set()

    def test_what_is_documented_is_read(self) -> None:
        rows = re.findall(
            r"^\| `([A-Z_]+)`(?:, `([A-Z_]+)`)? \|",
            (project.BASE_DIR / "docs" / "configuration.md").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        names = {name for row in rows for name in row if name}
        texts = [
            path.read_text(encoding="utf-8")
            for path in [
                *sources("timerecord", "tenants", "accounts", "attendance", "script", "tests"),
                project.BASE_DIR / "Dockerfile",
                project.BASE_DIR / "script" / "server",
                project.BASE_DIR / "script" / "bootstrap",
                project.BASE_DIR / "script" / "test",
            ]
        ]
        assert len(names) > 30
        assert {name for name in names if not any(name in text for text in texts)} == set()


# How a variable is read: by the settings, or from the environment itself.
READS = re.compile(r"""(?:env\.[a-z_]+\(\s*|(?:os\.environ|environment)(?:\.get\(|\[)\s*)"([A-Z][A-Z_]+)\"""")


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in (project.BASE_DIR / folder).rglob("*.py"):
            if path != Path(__file__):
                yield path
