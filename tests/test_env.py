import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from timerecord.env import Environment

SECONDS = 60  # nothing here takes that long
GOOD = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "ALLOWED_HOSTS": "time.example.com,time.example.jp",
    "DATABASE_URL": "postgresql://app:pa%2Fss@db.example.com:5433/timerecord",
    "SESSION_TTL_SECONDS": "600",
    "SESSION_IDLE_SECONDS": "300",
    "APP_BASE_URL": "https://time.example.com",
    "DEFAULT_FROM_EMAIL": "timerecord@example.com",
    "EMAIL_URL": "smtp+tls://app:pa%2Fss@mail.example.com:2525",
}
SHAPES = {
    "SECRET_KEY": "a random text of at least 50 characters, kept secret",
    "ALLOWED_HOSTS": "the host names that the service answers to, separated by commas",
    "DATABASE_URL": "postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
    "SESSION_TTL_SECONDS": "the seconds that somebody stays signed in, a whole number from 300 to 2678400",
    "SESSION_IDLE_SECONDS": "the seconds that somebody stays signed in who does nothing, "
    "a whole number from 300 to 2678400",
    "SESSION_STORE": "database or dynamodb",
    "APP_BASE_URL": "the address at which people reach the service, https://HOST without a path",
    "DEFAULT_FROM_EMAIL": "the sender of the mails, NAME <ADDRESS>",
    "EMAIL_URL": (
        "ses://REGION, smtp+tls://USER:PASSWORD@HOST:PORT (also smtp://, smtp+ssl://), consolemail:// or "
        "filemail:///FOLDER"
    ),
    "EXPORT_BUCKET": "the name of a bucket in S3",
    "EVIDENCE_BUCKET": "the name of a bucket in S3",
    "DEBUG": "true or false",
    "LOCAL_TRIAL": "true or false",
}
MALFORMED = {
    "SECRET_KEY": "hush-hush-too-short",
    "ALLOWED_HOSTS": " , ,",
    "DATABASE_URL": "mysql://app:hush-hush@db.example.com/timerecord",
    "SESSION_TTL_SECONDS": "hush-hush hours",
    "SESSION_IDLE_SECONDS": "hush-hush minutes",
    "SESSION_STORE": "hush-hush",
    "APP_BASE_URL": "http://hush-hush.example.com/path",
    "DEFAULT_FROM_EMAIL": "hush-hush",
    "EMAIL_URL": "hush-hush://mail.example.com",
    "EXPORT_BUCKET": "hush.hush",
    "EVIDENCE_BUCKET": "hush.hush",
    "DEBUG": "hush-hush",
    "LOCAL_TRIAL": "hush-hush",
}
REQUIRED = ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "APP_BASE_URL", "DEFAULT_FROM_EMAIL", "EMAIL_URL"]


def start(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start a process of the project with these variables and no others of its own."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=settings.BASE_DIR,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class TestStart:
    def test_without_any_variable_it_names_each_that_is_required(self) -> None:
        started = start({})
        assert (started.returncode, started.stdout) == (1, "")
        assert started.stderr.splitlines() == [
            "timerecord cannot start.",
            *[f"{name} is not set. It should be {SHAPES[name]}." for name in REQUIRED],
        ]

    def test_with_all_malformed_it_names_each_without_its_value(self) -> None:
        started = start(MALFORMED)
        assert (started.returncode, started.stdout) == (1, "")
        first, *problems = started.stderr.splitlines()
        assert first == "timerecord cannot start."
        assert sorted(problems) == sorted(
            f"{name} is malformed. It should be {shape}." for name, shape in SHAPES.items()
        )
        assert "hush" not in started.stderr

    def test_with_one_missing_it_names_that_one(self) -> None:
        started = start({name: value for name, value in GOOD.items() if name != "DATABASE_URL"})
        assert started.returncode == 1
        assert started.stderr == (
            "timerecord cannot start.\n"
            "DATABASE_URL is not set. It should be postgresql://USER:PASSWORD@HOST:PORT/DATABASE.\n"
        )

    def test_sessions_in_dynamodb_need_more(self) -> None:
        dynamodb = {**GOOD, "SESSION_STORE": "dynamodb"}
        prefix = "what the table's name begins with: 1 to 200 letters, digits, hyphens, dots and underscores."
        assert start(dynamodb).stderr.splitlines()[1:] == [
            f"DYNAMODB_TABLE_PREFIX is not set. It should be {prefix}",
            "AWS_REGION is not set. It should be a region, such as ap-northeast-1.",
        ]
        malformed = {
            "DYNAMODB_TABLE_PREFIX": "hush hush",
            "AWS_REGION": "hush-hush",
            "AWS_ENDPOINT_URL_DYNAMODB": "hush-hush:4566",
        }
        assert start({**dynamodb, **malformed}).stderr.splitlines()[1:] == [
            f"DYNAMODB_TABLE_PREFIX is malformed. It should be {prefix}",
            "AWS_REGION is malformed. It should be a region, such as ap-northeast-1.",
            "AWS_ENDPOINT_URL_DYNAMODB is malformed. It should be the address of an emulator, http://HOST:PORT.",
        ]
        good = {"DYNAMODB_TABLE_PREFIX": "time-record.2", "AWS_REGION": "ap-northeast-1"}
        assert start({**dynamodb, **good}).returncode == 0

    def test_with_what_is_required_it_starts(self) -> None:
        started = start({name: GOOD[name] for name in REQUIRED})
        assert (started.returncode, started.stderr) == (0, "")


def problems(read: Callable[[Environment], Any], variables: dict[str, str]) -> list[str]:
    env = Environment(variables)
    read(env)
    try:
        env.complain_if_wrong()
    except ImproperlyConfigured as complaint:
        return str(complaint).splitlines()
    return []


class TestText:
    def read(self, env: Environment) -> str:
        return env.text("WORD", "three letters", at_least=3)

    def test_it_is_taken_as_it_is(self) -> None:
        assert self.read(Environment({"WORD": " a b "})) == " a b "

    @pytest.mark.parametrize(("value", "problem"), [("", "not set"), ("ab", "malformed")])
    def test_missing_or_short(self, value: str, problem: str) -> None:
        assert problems(self.read, {"WORD": value}) == [f"WORD is {problem}. It should be three letters."]

    def test_a_default_stands_in_for_nothing_but_not_for_nonsense(self) -> None:
        def read(env: Environment) -> str:
            return env.text("WORD", "three letters", default="abc", at_least=3)

        assert read(Environment({})) == read(Environment({"WORD": ""})) == "abc"
        assert problems(read, {"WORD": "x"}) == ["WORD is malformed. It should be three letters."]


class TestFlag:
    @pytest.mark.parametrize("value", ["true", "TRUE", "1", "yes", "on", "On"])
    def test_true(self, value: str) -> None:
        assert Environment({"SWITCH": value}).flag("SWITCH", default=False) is True

    @pytest.mark.parametrize("value", ["false", "False", "0", "no", "off"])
    def test_false(self, value: str) -> None:
        assert Environment({"SWITCH": value}).flag("SWITCH", default=True) is False

    @pytest.mark.parametrize("default", [True, False])
    def test_not_set(self, default: bool) -> None:
        assert Environment({}).flag("SWITCH", default=default) is default

    @pytest.mark.parametrize("value", ["2", "wahr", "true ", "はい"])
    def test_anything_else_is_neither_and_counts_as_false(self, value: str) -> None:
        def read(env: Environment) -> bool:
            return env.flag("SWITCH", default=True)

        assert problems(read, {"SWITCH": value}) == ["SWITCH is malformed. It should be true or false."]
        assert read(Environment({"SWITCH": value})) is False


class TestWholeNumber:
    def read(self, env: Environment) -> int:
        return env.whole_number("N", "a count", default=7, at_least=5, at_most=9)

    @pytest.mark.parametrize(("value", "number"), [("5", 5), ("9", 9), ("", 7), (" 6 ", 6)])
    def test_within_its_bounds(self, value: str, number: int) -> None:
        assert self.read(Environment({"N": value})) == number
        assert problems(self.read, {"N": value}) == []

    @pytest.mark.parametrize("value", ["4", "10", "-7", "7.0", "7 8", "seven", "9" * 5000])
    def test_out_of_them(self, value: str) -> None:
        assert problems(self.read, {"N": value}) == [
            "N is malformed. It should be a count, a whole number from 5 to 9."
        ]


class TestWords:
    def read(self, env: Environment) -> list[str]:
        return env.words("LIST", "names")

    @pytest.mark.parametrize(
        ("value", "words"), [("a", ["a"]), ("a,b", ["a", "b"]), (" a , b ,", ["a", "b"]), ("a b", ["a b"])]
    )
    def test_what_commas_separate(self, value: str, words: list[str]) -> None:
        assert self.read(Environment({"LIST": value})) == words

    @pytest.mark.parametrize(("value", "problem"), [("", "not set"), (",", "malformed"), ("  ", "malformed")])
    def test_none(self, value: str, problem: str) -> None:
        assert problems(self.read, {"LIST": value}) == [f"LIST is {problem}. It should be names."]


class TestDatabase:
    def read(self, env: Environment) -> dict[str, Any]:
        return env.database("DATABASE_URL")

    @pytest.mark.parametrize(
        ("url", "entry"),
        [
            (
                "postgresql://app:pa%2Fss%40@db.example.com:5433/time",
                {"USER": "app", "PASSWORD": "pa/ss@", "HOST": "db.example.com", "PORT": 5433, "NAME": "time"},
            ),
            ("postgresql://app:pa[s#s@db/time", {"PASSWORD": "pa[s#s", "HOST": "db", "NAME": "time"}),
            ("postgres://app@db.example.com/time", {"USER": "app", "HOST": "db.example.com", "NAME": "time"}),
            (
                "postgresql://app:x@db/time?sslmode=verify-full",
                {"NAME": "time", "OPTIONS": {"sslmode": "verify-full"}},
            ),
        ],
    )
    def test_a_url(self, url: str, entry: dict[str, Any]) -> None:
        found = self.read(Environment({"DATABASE_URL": url}))
        assert {key: found[key] for key in entry} == entry
        assert found["ENGINE"] == "django.db.backends.postgresql"

    @pytest.mark.parametrize(
        "url",
        [
            "db.example.com",
            "mysql://app:hush@db/time",
            "sqlite:///time.db",
            "postgresql://",
            "postgresql://app:hush@db.example.com",
            "postgresql://app:hush@db.example.com:port/time",
            "postgresql://app:hush@db.example.com:99999/time",
        ],
    )
    def test_no_url_of_a_postgresql_database(self, url: str) -> None:
        assert problems(self.read, {"DATABASE_URL": url}) == [
            "DATABASE_URL is malformed. It should be postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        ]


class TestMail:
    def read(self, env: Environment) -> dict[str, Any]:
        return env.mail("EMAIL_URL")

    @pytest.mark.parametrize(
        ("url", "backend", "entry"),
        [
            (
                "smtp+tls://app:pa%2Fss@mail.example.com:2525",
                "smtp",
                {
                    "EMAIL_HOST": "mail.example.com",
                    "EMAIL_PORT": 2525,
                    "EMAIL_HOST_USER": "app",
                    "EMAIL_HOST_PASSWORD": "pa/ss",
                    "EMAIL_USE_TLS": True,
                },
            ),
            ("smtp+ssl://mail.example.com", "smtp", {"EMAIL_PORT": 465, "EMAIL_USE_SSL": True}),
            ("smtp://mail.example.com", "smtp", {"EMAIL_PORT": 25}),
            ("consolemail://", "console", {}),
            ("filemail:///var/mail/out", "filebased", {"EMAIL_FILE_PATH": "/var/mail/out"}),
        ],
    )
    def test_a_url(self, url: str, backend: str, entry: dict[str, Any]) -> None:
        found = self.read(Environment({"EMAIL_URL": url}))
        assert {key: found[key] for key in entry} == entry
        assert found["EMAIL_BACKEND"] == f"django.core.mail.backends.{backend}.EmailBackend"

    @pytest.mark.parametrize(
        "url",
        [
            "mail.example.com",
            "smtp+tls://",
            "https://mail.example.com",
            "hush",
            "ses://",
            "ses://mail.example.com",
            "ses://ap-northeast-1/path",
            "ses://ap-northeast-1?configuration=x",
            "ses://ap-northeast-1?x",
        ],
    )
    def test_no_url_of_a_mail_server(self, url: str) -> None:
        (problem,) = problems(self.read, {"EMAIL_URL": url})
        assert problem.startswith("EMAIL_URL is malformed. It should be ses://REGION, smtp+tls://")


class TestSite:
    def read(self, env: Environment) -> str:
        return env.site("SITE")

    @pytest.mark.parametrize(
        ("value", "site"),
        [
            ("https://time.example.com", "https://time.example.com"),
            ("https://time.example.com/", "https://time.example.com"),
            ("https://time.example.com:8443", "https://time.example.com:8443"),
        ],
    )
    def test_its_address(self, value: str, site: str) -> None:
        assert self.read(Environment({"SITE": value})) == site

    @pytest.mark.parametrize(
        "value",
        [
            "time.example.com",
            "http://time.example.com",
            "https://",
            "https://time.example.com/path",
            "https://time.example.com?x",
            "https://me@time.example.com",
        ],
    )
    def test_anything_else(self, value: str) -> None:
        assert len(problems(self.read, {"SITE": value})) == 1

    def test_a_trial_does_without_tls(self) -> None:
        def read(env: Environment) -> str:
            return env.site("SITE", plain=True)

        assert read(Environment({"SITE": "http://127.0.0.1:8000"})) == "http://127.0.0.1:8000"


def test_all_that_is_wrong_is_told_at_once_in_the_order_in_which_it_was_read() -> None:
    def read(env: Environment) -> None:
        env.words("B", "names")
        env.text("A", "a text")
        env.flag("C", default=True)

    assert problems(read, {"C": "perhaps"}) == [
        "B is not set. It should be names.",
        "A is not set. It should be a text.",
        "C is malformed. It should be true or false.",
    ]
