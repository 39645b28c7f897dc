"""Remove what is older than its tenant's retention."""

import json
import logging
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from attendance import retention
from attendance.management import parts
from attendance.management.commands.verify_history import tenant_of
from attendance.management.files import write_new
from attendance.retention import Amount, Owner
from tenants import scope

READING = "what is older than the retention is looked at"

logger = logging.getLogger("attendance.purges")


class Command(BaseCommand):
    """See docs/retention.md."""

    help = (
        "Say what is older than its tenant's retention: work sessions with their history, the audit trail, "
        "rows that an import refused. With --confirm, remove it. Can be broken off and run again, and twice "
        "at once. Exit status 1 if something stayed that should have gone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--tenant", metavar="UID", help="only the records of this tenant")
        does = parser.add_mutually_exclusive_group()
        does.add_argument(
            "--dry-run", action="store_true", help="remove nothing, which is what happens anyway"
        )
        does.add_argument("--confirm", action="store_true", help="remove it")
        does.add_argument("--manifest-of", metavar="RUN", help="write the manifest of a run from before")
        does.add_argument("--check", metavar="FILE", help="compare a manifest with the database")
        goes = parser.add_mutually_exclusive_group()
        goes.add_argument("--manifest", metavar="FILE", help="where the manifest goes, not over another file")
        goes.add_argument(
            "--into", metavar="FOLDER", help="or where it goes as RUN.json, if anything was removed"
        )
        parts.add_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do as asked. CommandError for what stayed, for a manifest that does not fit, and for nonsense."""
        parts.check(options)
        if options["part"] and not options["confirm"]:
            raise CommandError("--part goes with --confirm.")
        if options["check"]:
            self._check(options["check"])
        elif options["manifest_of"]:
            self._write(options["manifest_of"], options)
        elif options["confirm"]:
            self._purge(options)
        else:
            self._look(options["tenant"])

    def _owners(self, uid: str | None) -> list[Owner]:
        return [Owner.of(tenant_of(uid))] if uid else retention.owners()

    def _look(self, uid: str | None) -> None:
        with scope.everything(READING):
            for owner in self._owners(uid):
                try:
                    rule = retention.rule_of(owner)
                except DatabaseError as error:
                    raise CommandError(f"{owner.uid}: {error}") from error
                amount = retention.expired(owner, rule)
                self.stdout.write(
                    f"{owner.uid}: kept for {rule.months} months; "
                    f"before {rule.edge:%Y-%m-%d %H:%M} UTC: {_told(amount)}"
                )
        self.stdout.write("Nothing was removed. With --confirm it is.")

    def _purge(self, options: dict[str, Any]) -> None:
        if options["manifest"] and Path(options["manifest"]).exists():
            raise CommandError(f"{options['manifest']} is there already.")
        with scope.everything(READING):
            owners, run = self._owners(options["tenant"]), retention.new_run()
        self._say(f"Run {run}")
        # Also if the process is ended before it can say anything.
        logger.info("Run %s of purge_expired.", run)
        reached = parts.Round({owner.uid: owner for owner in owners}, options)
        amounts: list[Amount] = []

        def purge(owner: Owner) -> None:
            amount = retention.purge(owner, run, f"older than the retention: purge_expired {run}")
            amounts.append(amount)
            self._say(f"{owner.uid}: removed {_told(amount)}; {amount.rows_of_history:,} rows of history")
            for employee, why in amount.left.items():
                self._say(f"{owner.uid}: employee {employee or '?'} stayed: {why}")

        reached.each(purge, self._say)
        # With whom it failed, some of it may have gone before.
        is_any = reached.failed or any(map(Amount.is_any, amounts))
        if options["manifest"] or (options["into"] and is_any):
            self._write(run, options)
        else:
            self._say(f"Its manifest: manage.py purge_expired --manifest-of {run}")
        stayed = sum(len(amount.left) for amount in amounts)
        kept = f"{stayed} kept what should have gone." if stayed else ""
        if problem := " ".join(filter(None, [kept, reached.problem()])):
            raise CommandError(problem)

    def _write(self, run: str, options: dict[str, Any]) -> None:
        try:
            with scope.everything(READING):
                told = retention.manifest(run)
        except ValueError as error:
            raise CommandError(str(error)) from error
        text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
        path = Path(options["manifest"]) if options["manifest"] else None
        if options["into"]:
            if not told["tenants"]:
                return
            path = Path(options["into"], f"{run}.json")
        if path is None:
            self.stdout.write(text, ending="")
            return
        try:
            write_new(path, text)
        except OSError as error:
            raise CommandError(str(error)) from error
        self._say(f"Manifest {path}, digest {told['digest']}")

    def _check(self, path: str) -> None:
        try:
            known = json.loads(Path(path).read_text(encoding="utf-8"))
            run, digest = str(known["run"]), str(known["digest"])
            if retention.digest_of(known) != digest:
                raise CommandError(f"{path}: the digest is not that of the manifest.")
            with scope.everything(READING):
                now = retention.manifest(run)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{path} is no manifest: {error}") from error
        if now["digest"] != digest:
            raise CommandError(f"{path}: the database tells something else of the run {run}.")
        self._say(f"{path}: the database tells the same of the run {run}.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _told(amount: Amount) -> str:
    months = f" ({min(amount.months)} to {max(amount.months)})" if amount.months else ""
    return (
        f"{amount.work_sessions:,} work sessions of {amount.employees:,} employees{months}, "
        f"{amount.audit_events:,} events, {amount.refused_rows:,} refused rows of imports"
    )
