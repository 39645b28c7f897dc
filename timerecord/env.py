"""Reads the settings' variables from the environment, and says all that is wrong with them at once."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

Value = TypeVar("Value")

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
REGION_SHAPE = "a region, such as ap-northeast-1"
DATABASES_ON_AWS = {
    "postgresql+iam": "postgresql+iam://USER@HOST:PORT/DATABASE, without a password",
    "postgresql+secret": "postgresql+secret://HOST:PORT/DATABASE?secret=NAME, without user and password",
}
SMTP_PORTS = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}


def variables(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment, and behind it what Secrets Manager and Parameter Store hold.

    What they hold is read if APP_SECRET_ID or APP_PARAMETER_PATH names it; a variable of the environment
    that is not empty wins. ImproperlyConfigured if what is named cannot be read.
    """
    if not (environment.get("APP_SECRET_ID") or environment.get("APP_PARAMETER_PATH")):
        return environment
    # Only here: nobody else pays for AWS's library.
    from timerecord.aws import configuration

    return {
        **configuration.fetched(environment),
        **{name: value for name, value in environment.items() if value},
    }


class Environment:
    """The variables of one process, each read by the shape that it should have.

    A missing or malformed variable does not raise where it is read: `complain_if_wrong`, called when
    all are read, raises ImproperlyConfigured and names every one of them with the shape it should
    have. Until then a harmless stand-in takes its place. Values are never part of a message, for some
    are secret.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._problems: list[str] = []

    def text(
        self, name: str, shape: str, *, default: str | None = None, at_least: int = 1, containing: str = ""
    ) -> str:
        """Return the text of a variable, which must have at least so many characters, these among them."""

        def parse(raw: str) -> str:
            if len(raw) < at_least or containing not in raw:
                raise ValueError
            return raw

        return self._read(name, shape, parse, default, "")

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a switch: true or false (also 1/0, yes/no, on/off)."""

        def parse(raw: str) -> bool:
            if raw.lower() not in TRUE + FALSE:
                raise ValueError
            return raw.lower() in TRUE

        return self._read(name, "true or false", parse, default, False)

    def whole_number(self, name: str, shape: str, *, default: int, at_least: int, at_most: int) -> int:
        """Return an integer within bounds."""

        def parse(raw: str) -> int:
            number = int(raw)
            if not at_least <= number <= at_most:
                raise ValueError
            return number

        bounds = f"{shape}, a whole number from {at_least} to {at_most}"
        return self._read(name, bounds, parse, default, at_least)

    def choice(self, name: str, choices: tuple[str, ...], *, default: str) -> str:
        """Return one of a few words."""

        def parse(raw: str) -> str:
            if raw not in choices:
                raise ValueError
            return raw

        return self._read(name, " or ".join(choices), parse, default, default)

    def matching(self, name: str, pattern: str, shape: str, *, default: str | None = None) -> str:
        """Return a text that matches a regular expression as a whole."""

        def parse(raw: str) -> str:
            if not re.fullmatch(pattern, raw):
                raise ValueError
            return raw

        return self._read(name, shape, parse, default, "")

    def bucket(self, name: str) -> str:
        """Return the name of a bucket in S3; "" if it is not set."""
        return self.matching(
            name, r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", "the name of a bucket in S3", default=""
        )

    def words(self, name: str, shape: str, *, default: list[str] | None = None) -> list[str]:
        """Return what commas separate, without the space around; at least one word."""

        def parse(raw: str) -> list[str]:
            found = [word.strip() for word in raw.split(",") if word.strip()]
            if not found:
                raise ValueError
            return found

        return self._read(name, shape, parse, default, [])

    def database(self, name: str, *, required: bool = True) -> dict[str, Any]:
        """Return the entry of Django's DATABASES that a URL stands for; {} if it is not set.

        postgresql:// has a password in it; postgresql+iam:// takes a token of AWS for each connection, and
        postgresql+secret:// what a secret says, in `?region=`, else in AWS_REGION. Where
        DATABASE_ROOT_CERTIFICATES names a file, which both of them need, the server has to prove its name.
        """
        scheme = self._variables.get(name, "").partition("://")[0]
        shape = DATABASES_ON_AWS.get(scheme, "postgresql://USER:PASSWORD@HOST:PORT/DATABASE")

        def parse(raw: str) -> dict[str, Any]:
            if scheme in DATABASES_ON_AWS:
                return _database_on_aws(scheme, raw)
            if not raw.startswith(("postgresql://", "postgres://")):
                raise ValueError
            return _database(raw)

        entry: dict[str, Any] = self._read(name, shape, parse, None if required else {}, {})
        if not entry:
            return entry
        options = dict(entry.get("OPTIONS", {}))
        if scheme in DATABASES_ON_AWS and "region" not in options:
            options["region"] = self.matching("AWS_REGION", REGION.pattern, REGION_SHAPE)
        roots = self.file(
            "DATABASE_ROOT_CERTIFICATES",
            "a file of the root certificates by which the database server proves its name",
            default=None if scheme in DATABASES_ON_AWS else "",
        )
        if roots:
            options |= {"sslmode": "verify-full", "sslrootcert": roots}
        return {**entry, "OPTIONS": options} if options else entry

    def file(self, name: str, shape: str, *, default: str | None = None) -> str:
        """Return the path of a file that is there."""

        def parse(raw: str) -> str:
            if not Path(raw).is_file():
                raise ValueError
            return raw

        return self._read(name, shape, parse, default, "")

    def mail(self, name: str, *, default: str | None = None) -> dict[str, Any]:
        """Return the settings for mail that a URL stands for: Django's, and Anymail's for SES."""
        shape = (
            "ses://REGION, smtp+tls://USER:PASSWORD@HOST:PORT (also smtp://, smtp+ssl://), consolemail:// or "
            "filemail:///FOLDER"
        )

        def parse(raw: str) -> dict[str, Any]:
            scheme = raw.partition("://")[0]
            if scheme == "ses":
                return _simple_email_service(raw)
            entry = dict(environ.Env.email_url_config(raw))
            if scheme == "filemail":
                return {
                    "EMAIL_BACKEND": entry["EMAIL_BACKEND"],
                    "EMAIL_FILE_PATH": f"/{entry['EMAIL_FILE_PATH']}",
                }
            if scheme == "consolemail":
                return {"EMAIL_BACKEND": entry["EMAIL_BACKEND"]}
            if scheme not in SMTP_PORTS or not entry["EMAIL_HOST"]:
                raise ValueError
            del entry["EMAIL_FILE_PATH"]
            return {**entry, "EMAIL_PORT": int(entry["EMAIL_PORT"] or SMTP_PORTS[scheme])}

        return self._read(name, shape, parse, None if default is None else parse(default), {})

    def site(self, name: str, *, default: str | None = None, plain: bool = False) -> str:
        """Return the address of a site, https://HOST, without a slash at its end; http:// only if `plain`."""

        def parse(raw: str) -> str:
            parts = urlsplit(raw)
            if parts.scheme not in (("https", "http") if plain else ("https",)) or not parts.hostname:
                raise ValueError
            if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
                raise ValueError
            return f"{parts.scheme}://{parts.netloc}"

        shape = "the address at which people reach the service, https://HOST without a path"
        return self._read(name, shape, parse, default, "")

    def complain_if_wrong(self) -> None:
        """Raise ImproperlyConfigured with a line for each variable that is missing or malformed."""
        if self._problems:
            raise ImproperlyConfigured("\n".join(self._problems))

    def _read(
        self, name: str, shape: str, parse: Callable[[str], Value], default: Value | None, stand_in: Value
    ) -> Value:
        raw = self._variables.get(name, "")
        if raw == "":
            if default is not None:
                return default
            self._complain(f"{name} is not set. It should be {shape}.")
            return stand_in
        try:
            return parse(raw)
        except (ValueError, TypeError, environ.ImproperlyConfigured):
            self._complain(f"{name} is malformed. It should be {shape}.")
            return stand_in

    def _complain(self, problem: str) -> None:
        if problem not in self._problems:  # several may need one variable
            self._problems.append(problem)


def _database(raw: str) -> dict[str, Any]:
    """Return the entry of DATABASES for a postgresql:// URL."""
    entry = dict(environ.Env.db_url_config(raw))
    if not entry["NAME"]:
        raise ValueError
    int(entry["PORT"] or 0)
    return entry


def _database_on_aws(scheme: str, raw: str) -> dict[str, Any]:
    """Return the same for a URL that leaves the password, or user and password, to AWS."""
    entry = _database(raw.replace(scheme, "postgresql", 1))
    options = entry.get("OPTIONS", {})
    has_secret = "secret" in options
    if not entry["HOST"] or entry["PASSWORD"] or bool(entry["USER"]) is has_secret:
        raise ValueError
    if has_secret is not scheme.endswith("+secret"):
        raise ValueError
    if "region" in options and not REGION.fullmatch(options["region"]):
        raise ValueError
    return {**entry, "ENGINE": "timerecord.aws.postgresql"}


def _simple_email_service(raw: str) -> dict[str, Any]:
    """Return the settings for Amazon SES; `?configuration_set=NAME` names where it tells of bounces."""
    parts = urlsplit(raw)
    options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    if not REGION.fullmatch(parts.netloc) or parts.path.strip("/") or set(options) - {"configuration_set"}:
        raise ValueError
    client = {
        "region_name": parts.netloc,
        "config": {"connect_timeout": 3, "read_timeout": 10, "retries": {"max_attempts": 2}},
    }
    return {
        "EMAIL_BACKEND": "anymail.backends.amazon_ses.EmailBackend",
        "ANYMAIL": {
            "AMAZON_SES_CLIENT_PARAMS": client,
            "AMAZON_SES_CONFIGURATION_SET_NAME": options.get("configuration_set"),
        },
    }
