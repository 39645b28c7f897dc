"""What Lambda calls for the work beside the pages: one command of manage.py for each event.

    {"command": "housekeeping"}     {"command": "verify_history", "options": {"tenant": "..."}}

Only what is listed here can be called, with these options only. An event of a schedule that comes often
enough to have each time a part of the tenants names its time, which says which part it is:

    {"command": "verify_history", "turn": {"at": "2026-11-20T16:15:00Z", "minutes": 15, "of": 20}}
"""

import contextlib
import datetime as dt
import hashlib
import io
import json
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import django
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import close_old_connections

from timerecord.aws import configuration, evidence, large_answers, start
from timerecord.aws.answers import drop_connections, seconds_left
from timerecord.core.sessions import StoreUnavailableError
from timerecord.core.time_limit import OutOfTimeError, time_limit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timerecord.settings")
django.setup()
start.keep_values_out_of_the_log()


def _text(pattern: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value))


def _whole_number(least: int, most: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and least <= value <= most


# A whole file, in an event: the command is given the path of one that has it.
LONGEST_DOCUMENT: Final = 5_000_000
DIGEST: Final = r"[0-9a-fA-F]{64}"
SURROGATE: Final = "[\ud800-\udfff]"
RUN: Final = re.compile(r"^Run (\S+)$", re.MULTILINE)
TENANT: Final = _text(r"[0-9A-Za-z_-]{1,64}")


def _is_document(value: object) -> bool:
    # Half of a pair of surrogates, which JSON may have, is no text.
    return isinstance(value, str) and 0 < len(value) <= LONGEST_DOCUMENT and not re.search(SURROGATE, value)


# What may be called, and the options that may come with it, each with what its value may be.
COMMANDS: Final[dict[str, dict[str, Callable[[object], bool]]]] = {
    "housekeeping": {},
    "verify_history": {"tenant": TENANT},
    "export_anchor": {"tenant": TENANT, "month": _text(r"\d{4}-\d{2}"), "check": _is_document},
    "set_retention": {
        "tenant": TENANT,
        "months": _whole_number(1, 1200),
        "reason": _text(r"(?s).{1,1000}"),
    },
    "export_archive": {"tenant": TENANT, "reason": _text(r"(?s).{1,1000}")},
    "purge_expired": {
        "tenant": TENANT,
        "confirm": lambda value: type(value) is bool,
        "manifest_of": _text(r"[0-9A-Za-z-]{1,64}"),
        "check": _is_document,
    },
    "create_platform_admin": {},
}
# Those that go through all tenants, and may do so a part at a time.
BY_TURNS: Final = frozenset({"verify_history", "export_anchor", "purge_expired"})
# Of the time that is left, in which another tenant is begun; the rest is for the one that was begun last.
BEGINNING: Final = 2 / 3
# Read by the command that makes the first account, from the environment, where a secret is not.
FIRST_ADMIN: Final = ("PLATFORM_ADMIN_EMAIL", "PLATFORM_ADMIN_PASSWORD")
# Of what a command said: its beginning has a run's name, its end what came of it.
FIRST_LINES: Final = 10
LAST_LINES: Final = 40
LINES_AT_ONCE: Final = 200  # in an entry of the log, which may have 256 KB
# Of the seconds that are left, those in which documents are kept; a quarter, if there are few.
FOR_KEEPING: Final = 60.0
NOBODY_HAS_IT: Final = "run it again, for the audit trail tells of an archive that nobody has"
# Of documents, in an answer: less than Lambda's limit, for quotes and line ends are two characters in JSON.
MOST_CHARACTERS: Final = 2_000_000

logger = logging.getLogger(__name__)


class MaintenanceError(Exception):
    """A command that was not carried out, or found something: what Lambda counts as an error."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run a command; return its name, the first and last lines that it said, and its milliseconds.

    `documents` are what it made to be kept, anchors or a manifest: their names, digests (SHA-256) and texts,
    as far as these fit. Where EVIDENCE_BUCKET is set, they are in it, also if the command failed. `url` is
    the address of an archive in EXPORT_BUCKET: whoever has it gets the file, for an hour. No log has it.
    MaintenanceError if it may not be called, fails, or is out of time; what it was about is in the message.
    The log has all that was said.
    """
    command, options = _asked(event)
    # As the beginning of a request does: a connection that is gone by now is noticed, and made anew.
    close_old_connections()
    said, started, url = io.StringIO(), time.perf_counter(), ""
    with tempfile.TemporaryDirectory() as folder:
        made, given = Path(folder, "made"), Path(folder, "given")
        words = _words(command, options, event, made, given, context)
        seconds = seconds_left(context)
        problem = _run(command, words, said, seconds - min(FOR_KEEPING, seconds / 4))
        run = RUN.search(said.getvalue()) if command == "purge_expired" else None
        if run and problem and not any(made.rglob("*.json")):
            # Broken off before it wrote what it had removed by then.
            words = [f"--manifest-of={run[1]}", f"--into={made / 'manifests'}"]
            problem = _both(problem, _run(command, words, said, seconds_left(context) / 2))
        documents = {
            path.relative_to(made).as_posix(): path.read_bytes()
            for path in sorted(made.rglob("*"))
            if path.is_file()
        }
        if command == "export_archive" and not problem:
            url, problem = _hand_over(given, context)
    digests = {name: hashlib.sha256(body).hexdigest() for name, body in documents.items()}
    for name, digest in digests.items():
        said.write(f"{name}: SHA-256 {digest}\n")
    if settings.EVIDENCE_BUCKET:
        problem = _both(problem, _keep(documents, said, context))
    milliseconds = round((time.perf_counter() - started) * 1000)
    lines = said.getvalue().splitlines()
    for at in range(0, len(lines), LINES_AT_ONCE):
        logger.info("%s said: %s", command, "\n".join(lines[at : at + LINES_AT_ONCE]))
    if problem:
        raise MaintenanceError("\n".join([problem, *_shown(lines)]))
    logger.info("%s ended after %s ms.", command, milliseconds)
    return {
        "command": command,
        **({"url": url} if url else {}),
        "said": _shown(lines),
        "milliseconds": milliseconds,
        "documents": [
            {"name": name, "sha256": digests[name], "text": text}
            for name, text in _that_fit(documents).items()
        ],
    }


def _asked(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the command and its options. MaintenanceError for what may not be asked."""
    command, options = event.get("command"), event.get("options", {})
    if not isinstance(command, str) or command not in COMMANDS:
        raise MaintenanceError(f"no such command here; there are {', '.join(sorted(COMMANDS))}")
    if not isinstance(options, dict) or not COMMANDS[command].keys() >= options.keys():
        raise MaintenanceError(f"{command} takes no options but these: {sorted(COMMANDS[command])}")
    for name, value in options.items():
        if not COMMANDS[command][name](value):
            raise MaintenanceError(f"{command}: {name} may not have such a value")
    if command == "export_archive" and not settings.EXPORT_BUCKET:
        raise MaintenanceError("EXPORT_BUCKET is not set: there is nowhere to put an archive")
    if "turn" in event and command not in BY_TURNS:
        raise MaintenanceError(f"{command} is not done by turns")
    return command, options


def part_of(turn: Any) -> str:
    """Return which part it is, "3/20", at a time of a schedule; so many times after each other have them all.

    MaintenanceError for what is no turn.
    """
    try:
        at, minutes, of = dt.datetime.fromisoformat(turn["at"]), turn["minutes"], turn["of"]
        if at.tzinfo is None or not (_whole_number(1, 1440)(minutes) and _whole_number(1, 1440)(of)):
            raise ValueError
    except (TypeError, KeyError, ValueError):
        raise MaintenanceError("a turn has a time (at), its minutes, and of how many it is one") from None
    return f"{int(at.timestamp()) // 60 // minutes % of + 1}/{of}"


def _words(
    command: str, options: dict[str, Any], event: dict[str, Any], made: Path, given: Path, context: Any
) -> list[str]:
    """Return the words of a command line, whose documents go into `made`, in folders as in the bucket."""
    for prefix in evidence.PREFIXES:
        (made / prefix).mkdir(parents=True)
    given.mkdir()
    words = []
    for name, value in options.items():
        word = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(word)
        elif name == "check" and not re.fullmatch(DIGEST, value):
            document = given / "document"
            document.write_text(value, encoding="utf-8")
            words.append(f"{word}={document}")
        elif value is not False:
            words.append(f"{word}={value}")
    if "turn" in event:
        words.append(f"--part={part_of(event['turn'])}")
        if math.isfinite(seconds := seconds_left(context)):
            words.append(f"--seconds={max(seconds * BEGINNING, 1):.0f}")
    if command == "export_archive":
        words.append(f"--output={given / options.get('tenant', 'archive')}.zip")
    if command == "export_anchor" and "check" not in options:
        words.append(f"--into={made / 'anchors'}")
    if command == "purge_expired" and (options.get("confirm") or "manifest_of" in options):
        words.append(f"--into={made / 'manifests'}")
    return words


def _run(command: str, words: list[str], said: io.StringIO, seconds: float) -> str:
    """Run it for so long at most; return what went wrong, nothing if all went well."""
    try:
        with time_limit(seconds), _environment_of(command):
            call_command(command, *words, stdout=said, stderr=said, no_color=True)
    except OutOfTimeError:
        drop_connections()
        return f"{command} was out of time"
    except SystemExit as end:
        return f"{command} ended with {end.code}"
    except CommandError as error:
        return f"{command} failed: {error}"
    except Exception as error:
        # What went wrong may quote a row: the log leaves that out, the runtime's own report would not.
        logger.exception("%s failed.", command)
        return f"{command} failed: {type(error).__name__}, see the log"
    return ""


def _both(one: str, other: str) -> str:
    return "; ".join(filter(None, [one, other]))


def _keep(documents: dict[str, bytes], said: io.StringIO, context: Any) -> str:
    """Put them into the bucket and say which were there; return what went wrong, nothing if all went well."""
    try:
        with time_limit(seconds_left(context)):
            there = evidence.keep(documents)
    except OutOfTimeError:
        return "there was no time left to keep all documents"
    except evidence.NotKeptError as error:
        return str(error)
    said.writelines(f"{name}: the bucket has one already, which stays as it is\n" for name in there)
    return ""


def _hand_over(folder: Path, context: Any) -> tuple[str, str]:
    """Put the archive into EXPORT_BUCKET; return its address, and what went wrong."""
    (archive,) = folder.iterdir()
    try:
        with time_limit(seconds_left(context)):
            return large_answers.url_of_file(archive, "application/zip"), ""
    except OutOfTimeError:
        return "", f"there was no time left to hand the archive over; {NOBODY_HAS_IT}"
    except StoreUnavailableError as error:
        return "", f"{error}; {NOBODY_HAS_IT}"


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


def _that_fit(documents: dict[str, bytes]) -> dict[str, str | None]:
    """Return the texts of documents, as many as fit an answer, and None for each of the others."""
    found: dict[str, str | None] = {}
    room = MOST_CHARACTERS
    for name, body in documents.items():
        text = body.decode()
        length = len(json.dumps(text))
        found[name] = text if length <= room else None
        room -= length if length <= room else 0
    return found


def _shown(lines: list[str]) -> list[str]:
    if len(lines) <= FIRST_LINES + LAST_LINES:
        return lines
    left_out = len(lines) - FIRST_LINES - LAST_LINES
    return [*lines[:FIRST_LINES], f"({left_out:,} lines are in the log alone)", *lines[-LAST_LINES:]]
