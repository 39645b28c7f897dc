"""One run of the command: read, decide, write and verify in one transaction, and say how it went."""

import contextlib
import dataclasses
import enum
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import Error, connection, transaction

from accounts.token_moves import carry_tokens
from attendance.legacy import importer, report
from attendance.legacy.plan import OptionError, Options, Plan, make_plan
from attendance.legacy.reader import Source, open_source
from attendance.legacy.rows import USERS, WORK_SESSIONS, digest
from attendance.legacy.staging import Progress, Staged, quiet, staged
from attendance.legacy.target import Lineage, Target, find_lineage, sample_of
from attendance.legacy.verification import Verification, verify
from attendance.legacy.wal import SourceError
from timerecord.core import clock
from timerecord.core.sessions import StoreUnavailableError


class Mode(enum.StrEnum):
    """What the operator wants."""

    IMPORT = "import"
    DRY_RUN = "dry-run"
    VERIFY = "verify"


class Exit(enum.IntEnum):
    """The exit status. Any other than OK means that somebody has to look."""

    OK = 0
    CONFLICT = 1
    UNREADABLE = 2
    DIFFERENT = 3


@dataclasses.dataclass
class Run:
    """How it went. `report` is all of it, for a file."""

    exit_status: Exit
    last_line: str
    report: dict[str, Any]


@dataclasses.dataclass
class _Found:
    """What is known so far; less when something stops the run."""

    source: Source | None = None
    staged: Staged | None = None
    plan: Plan | None = None
    verification: Verification | None = None


class _RollBackError(Exception):
    """Undo what was written: it is not what the file says."""


Say = Callable[[str], None]


def run(path: Path, mode: Mode, options: Options, say: Say, progress: Progress[Any] = quiet) -> Run:
    """Import a file, or only say what an import would do, or only compare. Never raises for a bad file."""
    found = _Found()
    with contextlib.ExitStack() as stack:
        try:
            found.source = stack.enter_context(open_source(path))
            for line in report.found_lines(found.source):
                say(line)
            found.staged = stack.enter_context(staged(found.source, progress))
            exit_status, last_line = _MODES[mode](found, options, say, progress)
        except SourceError as error:
            exit_status, last_line = Exit.UNREADABLE, f"UNREADABLE: {error}. Nothing was written."
        except OptionError as error:
            exit_status, last_line = Exit.UNREADABLE, f"STOPPED: {error}. Nothing was written."
        except sqlite3.Error as error:
            last_line = f"STOPPED: nothing was written. The private copy: {error}. Has TMPDIR room for it?"
            exit_status = Exit.UNREADABLE
        except Error as error:
            exit_status = Exit.CONFLICT
            last_line = f"STOPPED: nothing was written. The database refused: {_in_one_line(error)}."
        return Run(
            exit_status,
            last_line,
            report.as_json(
                mode=mode,
                now=clock.now(),
                exit_status=exit_status,
                last_line=last_line,
                source=found.source,
                staged=found.staged,
                plan=found.plan,
                verification=found.verification,
            ),
        )


def _dry_run(found: _Found, options: Options, say: Say, _progress: Progress[Any]) -> tuple[Exit, str]:
    with _reading_only():
        plan = _planned(found, options, say)
    if stop := _why_stopped(plan):
        return Exit.CONFLICT, f"DRY RUN, nothing was written. An import would be stopped: {stop}"
    refused = f", {plan.refused:,} would go into quarantine" if plan.refused else ""
    return Exit.OK, (
        f"OK (dry run, nothing was written): {plan.ready:,} rows would be imported, {plan.already:,} are"
        f" already there{refused}{_waiting(plan)}."
    )


def _import(found: _Found, options: Options, say: Say, progress: Progress[Any]) -> tuple[Exit, str]:
    assert found.staged is not None  # noqa: S101 # for the type checker
    done = False
    try:
        with connection.wrap_database_errors, transaction.atomic():
            importer.take_turn(say)
            plan = _planned(found, options, say)
            if stop := _why_stopped(plan):
                return Exit.CONFLICT, f"STOPPED: nothing was written. {stop}"
            source = importer.write(plan, progress)
            target = plan.target
            if source is not None:
                target = Target(importer.lineage_of(source, plan.target.lineage))
            found.verification = verify(found.staged, target, clock.now(), progress)
            for line in report.verification_lines(found.verification):
                say(line)
            if source is not None and not found.verification.is_right:
                raise _RollBackError
            done = True
    except _RollBackError:
        return Exit.DIFFERENT, (
            "STOPPED: nothing was written, because what was written differed from the file. This is a fault"
            " of the command: keep the report."
        )
    except (Error, importer.ChangedMeanwhileError) as error:
        said = _in_one_line(error)
        if done:
            return (
                Exit.CONFLICT,
                f"UNCERTAIN: the database failed at the last step ({said}): run with --verify.",
            )
        return Exit.CONFLICT, f"STOPPED: nothing was written. The database refused: {said}. Run it again."
    if source is None and plan.target.lineage is None:
        return Exit.OK, "OK: nothing to do, 0 rows are to be moved: the tables are there, but empty."
    exit_status, last_line = _imported(plan, found.verification, wrote=source is not None)
    return (exit_status, last_line) if exit_status else _with_tokens(last_line, say)


def _with_tokens(last_line: str, say: Say) -> tuple[Exit, str]:
    """Carry tokens that are good into their store, if that is not the database. The rows are there by now."""
    try:
        carried = carry_tokens()
    except (StoreUnavailableError, Error) as error:
        return Exit.DIFFERENT, (
            "UNCERTAIN: the rows are there and verified, but links to choose a new password could not be"
            f" carried into their store ({_in_one_line(error)}): run it again."
        )
    if carried:
        say(f"Carried {carried:,} links to choose a new password into their store.")
    return Exit.OK, last_line


def _imported(plan: Plan, verification: Verification, *, wrote: bool) -> tuple[Exit, str]:
    if not verification.is_right:
        return Exit.DIFFERENT, "DIFFERENT: nothing was to be written, but the rows differ from the file."
    if not wrote:
        return Exit.OK, (
            f"OK: nothing to do, {plan.already:,} rows are already there{_waiting(plan)}. Verified."
        )
    # The rows are there, whatever comes of this.
    with contextlib.suppress(Error):
        importer.analyze()
    refused = f", {plan.refused:,} put into QUARANTINE" if plan.refused else ""
    already = f", {plan.already:,} were there already" if plan.already else ""
    return Exit.OK, (
        f"OK: {plan.ready:,} rows imported{already}{refused}{_waiting(plan)}. Verified: counts, checksums and"
        " minutes agree."
    )


def _verify(found: _Found, _options: Options, say: Say, progress: Progress[Any]) -> tuple[Exit, str]:
    assert found.staged is not None  # noqa: S101 # for the type checker
    with _reading_only():
        lineage, said = _lineage(found.staged)
        if said:
            say(f"NOTE: {said}")
        found.verification = verify(found.staged, Target(lineage), clock.now(), progress)
    if lineage is None:
        return Exit.DIFFERENT, "DIFFERENT: nothing of this file was ever imported here."
    for line in report.verification_lines(found.verification):
        say(line)
    if not found.verification.is_right:
        return Exit.DIFFERENT, "DIFFERENT: see above. --report FILE.json has every difference."
    explained = len(found.verification.differences)
    return Exit.OK, (
        "OK: counts, checksums and minutes agree"
        + (f"; {explained:,} values changed by use since, each explained" if explained else "")
        + "."
    )


_MODES = {Mode.IMPORT: _import, Mode.DRY_RUN: _dry_run, Mode.VERIFY: _verify}


def _planned(found: _Found, options: Options, say: Say) -> Plan:
    assert found.staged is not None  # noqa: S101 # for the type checker
    lineage, said = _lineage(found.staged)
    found.plan = make_plan(found.staged, Target(lineage), options, clock.now())
    if said:
        found.plan.notices.insert(0, said)
    for line in report.plan_lines(found.plan):
        say(line)
    return found.plan


def _lineage(staged: Staged) -> tuple[Lineage | None, str | None]:
    users = staged.users()
    return find_lineage(
        staged.source.digest,
        {
            USERS: [(key, digest(users[key])) for key in sample_of(sorted(users))],
            WORK_SESSIONS: [(row.id, digest(row)) for row in staged.sample_of_sessions()],
        },
    )


def _why_stopped(plan: Plan) -> str | None:
    if plan.blockers:
        return f"{plan.blockers[0]}."
    if plan.refused and not plan.options.quarantine:
        return (
            f"{plan.refused:,} rows are in conflict. Mend them in the old application, or run again"
            " with --on-conflict=quarantine to import the rest and keep these beside."
        )
    return None


def _waiting(plan: Plan) -> str:
    return f", {plan.in_quarantine:,} in quarantine since an earlier import" if plan.in_quarantine else ""


def _in_one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextlib.contextmanager
def _reading_only() -> Iterator[None]:
    """Begin a transaction that sees one state of the database and in which PostgreSQL refuses to write."""
    outermost = not connection.in_atomic_block
    with connection.wrap_database_errors, transaction.atomic():
        with connection.cursor() as cursor:
            level = "ISOLATION LEVEL REPEATABLE READ, READ ONLY" if outermost else "READ ONLY"
            cursor.execute(f"SET TRANSACTION {level}")
        yield
