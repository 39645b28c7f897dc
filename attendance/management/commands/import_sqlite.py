"""Move an old application's SQLite database into this one."""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandParser
from tqdm import tqdm

from attendance.legacy.plan import Options
from attendance.legacy.reader import source_files
from attendance.legacy.run import Exit, Mode, run
from tenants.database import RoleError, connected_as

T = TypeVar("T")


class Command(BaseCommand):
    """See docs/import-runbook.md."""

    help = (
        "Import a database.sqlite of the old application, with its -wal file, in one transaction, and "
        "verify it. The source is never changed. Exit status: 0 all is well; 1 conflicts, nothing was "
        "written; 2 wrong use or unreadable file, nothing was written; 3 the verification found "
        "differences."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.formatter_class = argparse.HelpFormatter
        parser.add_argument("path", metavar="PATH", type=Path, help="the database.sqlite file")
        modes = parser.add_mutually_exclusive_group()
        modes.add_argument("--dry-run", action="store_true", help="read and validate, write nothing")
        modes.add_argument("--verify", action="store_true", help="compare file and database, write nothing")
        parser.add_argument(
            "--tenant-for-orphans", metavar="UID", help="put employees without a tenant into this one"
        )
        parser.add_argument(
            "--on-conflict",
            choices=("stop", "quarantine"),
            default="stop",
            help="rows that break a rule: stop (default), or keep them beside and import the rest",
        )
        parser.add_argument(
            "--remap-ids",
            action="store_true",
            help="give new ids in tables where rows from elsewhere hold ids of the file",
        )
        parser.add_argument("--reset-tokens", action="store_true", help="leave all password resets behind")
        parser.add_argument("--reset-role-codes", action="store_true", help="leave all role codes behind")
        parser.add_argument("--report", metavar="FILE.json", type=Path, help="write the whole report here")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run it, say it, write the report. SystemExit with the status unless all is well."""
        path: Path = options["path"]
        report: Path | None = options["report"]
        if report is not None and (problem := _cannot_write(report, path)):
            self._end(Exit.UNREADABLE, f"STOPPED: --report {report}: {problem}. Nothing was written.")
        mode = Mode.VERIFY if options["verify"] else Mode.DRY_RUN if options["dry_run"] else Mode.IMPORT
        # So that these too remove the private copy, which holds people's data.
        before = {
            number: signal.signal(number, _terminate)
            for number in (signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not signal.SIG_IGN  # nohup
        }
        try:
            with connected_as("import"):
                result = run(
                    path,
                    mode,
                    Options(
                        tenant_for_orphans=options["tenant_for_orphans"],
                        quarantine=options["on_conflict"] == "quarantine",
                        remap_ids=options["remap_ids"],
                        reset_tokens=options["reset_tokens"],
                        reset_role_codes=options["reset_role_codes"],
                    ),
                    self._say,
                    _bar,
                )
        except RoleError as error:
            self._end(Exit.UNREADABLE, f"STOPPED: {error} Nothing was written.")
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if report is not None:
            try:
                _write(report, result.report)
            except OSError as error:
                self.stdout.write(f"WARNING: the report could not be written: {error}")
        self._end(result.exit_status, result.last_line)

    def _say(self, line: str) -> None:
        # At once, also into a pipe: what is said before a long wait is said in time.
        self.stdout.write(line)
        self.stdout.flush()

    def _end(self, exit_status: Exit, last_line: str) -> None:
        style = self.style.SUCCESS if exit_status is Exit.OK else self.style.ERROR
        self.stdout.write(style(last_line))
        if exit_status is not Exit.OK:
            sys.exit(int(exit_status))


def _bar(items: Iterable[T], total: int, what: str) -> Iterable[T]:
    # None: only where somebody looks.
    bar: Iterable[T] = tqdm(items, total=total, desc=what, disable=None, leave=False, file=sys.stderr)
    return bar


def _terminate(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _cannot_write(report: Path, path: Path) -> str | None:
    real = Path(os.path.realpath(report))
    if real in source_files(path):
        return "that is the source itself"
    if real.is_dir():
        return "that is a folder"
    if not os.access(real.parent, os.W_OK):
        return "its folder is not there or cannot be written to"
    return None


def _write(path: Path, report: dict[str, Any]) -> None:
    """Write a report whole or not at all, for its owner's eyes."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        json.dump(report, file, ensure_ascii=False, indent=1)
        file.write("\n")
    Path(file.name).replace(path)
