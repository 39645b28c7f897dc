"""Variables that an installation keeps in Secrets Manager and Parameter Store. docs/configuration.md.

One secret, a JSON object, and one path of parameters; both are read at the start, by names that the
environment gives. Nothing here says a value: messages name what was wanted, and where.
"""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError
from django.core.exceptions import ImproperlyConfigured

from timerecord.aws import services

SECRET, PATH = "APP_SECRET_ID", "APP_PARAMETER_PATH"
# Both together must leave time for the rest of a start, which Lambda gives 10 s.
CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 1.5
# What a page of parameters may have; AWS allows no more.
A_PAGE: Final = 10

# The database in a secret, as Amazon RDS writes it and functions that rotate it change it.
USER, PASSWORD, HOST, PORT, NAME = "username", "password", "host", "port", "dbname"
# Of an entry of DATABASES: what a connection is made with.
OF_A_CONNECTION: Final = ("USER", "PASSWORD", "HOST", "PORT", "NAME", "OPTIONS")


def fetched(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the secret and the parameters hold; {} without names for them.

    Two calls, and one more for every page of parameters after the first. The secret's win over parameters.
    ImproperlyConfigured if anything cannot be had, or is not what it should be.
    """
    found: dict[str, str] = {}
    if path := environment.get(PATH):
        found |= dict(_parameters(path))
    if name := environment.get(SECRET):
        found |= _secret(name)
    return found


def reload() -> bool:
    """Read the variables anew and have Django use what has changed; return whether anything has.

    For a process whose secrets may be older than it knows: restored from a snapshot, or refused by the
    database after a rotation. ImproperlyConfigured, as at the start; the old values then stay.
    """
    from django.conf import settings
    from django.db import connections

    module = sys.modules["timerecord.settings"]
    before = dict(vars(module))
    after = vars(importlib.reload(module))
    changed = {name for name in after if name.isupper() and before.get(name) != after[name]}
    for name in changed - {"DATABASES"}:
        setattr(settings, name, after[name])
    for alias, entry in after["DATABASES"].items():
        known = connections.settings.get(alias)
        if known is not None and "DATABASES" in changed:
            known.update({key: entry[key] for key in OF_A_CONNECTION if key in entry})
    return bool(changed)


def _parameters(path: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters right below a path by their last name, decrypted."""
    wanted = f"{PATH}: the parameters below {path} (ssm:GetParametersByPath)"
    pages = _client("ssm", wanted).get_paginator("get_parameters_by_path")
    try:
        for page in pages.paginate(Path=path, WithDecryption=True, PaginationConfig={"PageSize": A_PAGE}):
            for parameter in page["Parameters"]:
                yield parameter["Name"].rpartition("/")[2], parameter["Value"]
    except (BotoCoreError, ClientError) as error:
        raise _unread(wanted, error) from None


def _secret(name: str) -> dict[str, str]:
    wanted = f"{SECRET}: the secret {name} (secretsmanager:GetSecretValue)"
    client = _client("secretsmanager", wanted)
    try:
        text = client.get_secret_value(SecretId=name).get("SecretString", "")
    except (BotoCoreError, ClientError) as error:
        raise _unread(wanted, error) from None
    return _variables(_object(text, wanted))


def _object(text: str, wanted: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:  # whose message quotes the text
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str | int) for value in found.values()):
        raise ImproperlyConfigured(f"{wanted} is not a JSON object of texts and numbers.")
    return {key: str(value) for key, value in found.items()}


def _variables(found: dict[str, str]) -> dict[str, str]:
    """Return what a secret says, by our names: the design's for the secret key, a URL for the database."""
    found = dict(found)
    if "SESSION_SECRET" in found:
        found.setdefault("SECRET_KEY", found.pop("SESSION_SECRET"))
    if HOST in found:
        user, password = quote(found.get(USER, ""), safe=""), quote(found.get(PASSWORD, ""), safe="")
        address = f"{found[HOST]}:{found.get(PORT, 5432)}/{found.get(NAME, '')}"
        found.setdefault("DATABASE_URL", f"postgresql://{user}:{password}@{address}")
    return found


def _client(service: str, wanted: str) -> Any:
    try:
        return services.client(service, connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS)
    except BotoCoreError as error:  # no region, for one
        raise _unread(wanted, error) from None


def _unread(wanted: str, error: BotoCoreError | ClientError) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{wanted} could not be read: {error}")
