"""What Lambda calls for the work beside the pages: one command of manage.py for each event.

    {"command": "housekeeping"}     {"command": "verify_history", "options": {"tenant": "..."}}

Only what is listed here can be called, with these options only.
"""

import contextlib
import io
import logging
import os
import time
from collections.abc import Iterator
from typing import Any, Final

import django
from django.core.management import CommandError, call_command
from django.db import close_old_connections

from timerecord.aws import configuration, start
from timerecord.aws.answers import drop_connections, seconds_left
from timerecord.core.time_limit import OutOfTimeError, time_limit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timerecord.settings")
django.setup()
start.keep_values_out_of_the_log()

# What may be called, and the options that may come with it.
COMMANDS: Final[dict[str, frozenset[str]]] = {
    "housekeeping": frozenset(),
    "verify_history": frozenset({"tenant"}),
    "purge_expired": frozenset({"confirm", "tenant"}),
    "create_platform_admin": frozenset(),
}
# Read by the command that makes the first account, from the environment, where a secret is not.
FIRST_ADMIN: Final = ("PLATFORM_ADMIN_EMAIL", "PLATFORM_ADMIN_PASSWORD")
LAST_LINES: Final = 50

logger = logging.getLogger(__name__)


class MaintenanceError(Exception):
    """A command that was not carried out, or found something: what Lambda counts as an error."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run a command; return its name, the last lines that it said, and its milliseconds.

    MaintenanceError if it may not be called, fails, or is out of time; what it was about is in the message.
    """
    command, options = event.get("command"), event.get("options", {})
    if not isinstance(command, str) or command not in COMMANDS:
        raise MaintenanceError(f"no such command here; there are {', '.join(sorted(COMMANDS))}")
    if not isinstance(options, dict) or not COMMANDS[command].issuperset(options):
        raise MaintenanceError(f"{command} takes no options but these: {sorted(COMMANDS[command])}")
    # As the beginning of a request does: a connection that is gone by now is noticed, and made anew.
    close_old_connections()
    said, started = io.StringIO(), time.perf_counter()
    try:
        with time_limit(seconds_left(context)), _environment_of(command):
            call_command(command, **options, stdout=said, stderr=said, no_color=True)
    except OutOfTimeError:
        drop_connections()
        raise MaintenanceError(f"{command} was out of time\n{_last(said)}") from None
    except SystemExit as end:
        raise MaintenanceError(f"{command} ended with {end.code}\n{_last(said)}") from end
    except CommandError as error:
        raise MaintenanceError(f"{command} failed: {error}\n{_last(said)}") from None
    except Exception as error:
        # What went wrong may quote a row: the log leaves that out, the runtime's own report would not.
        logger.exception("%s failed.", command)
        raise MaintenanceError(f"{command} failed: {type(error).__name__}, see the log") from None
    return {
        "command": command,
        "said": _last(said).splitlines(),
        "milliseconds": round((time.perf_counter() - started) * 1000),
    }


@contextlib.contextmanager
def _environment_of(command: str) -> Iterator[None]:
    """Let the command that makes the first account find it where it looks, and nobody else."""
    given: dict[str, str] = {}
    if command == "create_platform_admin":
        kept = configuration.fetched(os.environ)
        given = {name: kept[name] for name in FIRST_ADMIN if kept.get(name) and not os.environ.get(name)}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]


def _last(said: io.StringIO) -> str:
    return "\n".join(said.getvalue().splitlines()[-LAST_LINES:])
