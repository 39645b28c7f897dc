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
        parser.add_argument(
            "--manifest",
            metavar="FILE",
            help="where the manifest goes, not over another file; into a folder it goes as RUN.json, if "
            "anything was removed",
        )
        parts.add_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do as asked. CommandError for what stayed, for a manifest that does not fit, and for nonsense."""
        if options["check"]:
            self._check(options["check"])
        elif options["manifest_of"]:
            self._write(options["manifest_of"], Path(options["manifest"]) if options["manifest"] else None)
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
        path = Path(options["manifest"]) if options["manifest"] else None
        if path and path.exists() and not path.is_dir():
            raise CommandError(f"{path} is there already.")
        with scope.everything(READING):
            owners, run = self._owners(options["tenant"]), retention.new_run()
        self._say(f"Run {run}")
        # Also if the process is ended before it can say anything.
        logger.info("Run %s of purge_expired.", run)
        reached = parts.Round({owner.uid: owner for owner in owners}, options)
        try:
            stayed, is_any = self._purge_each(reached, run)
        except KeyboardInterrupt:
            self._say(f"{reached.not_done()} Its manifest: manage.py purge_expired --manifest-of {run}")
            raise
        if path and (is_any or not path.is_dir()):
            self._write(run, path)
        else:
            self._say(f"Its manifest: manage.py purge_expired --manifest-of {run}")
        if stayed or reached.left:
            kept = f"{stayed} kept what should have gone." if stayed else "There was too little time."
            raise CommandError(f"{kept} {reached.not_done()}".rstrip())

    def _purge_each(self, reached: parts.Round[Owner], run: str) -> tuple[int, bool]:
        """Return how many kept what should have gone, and whether anything went."""
        stayed, is_any = 0, False
        for owner in reached:
            try:
                amount = retention.purge(owner, run, f"older than the retention: purge_expired {run}")
            except DatabaseError as error:
                # One tenant's trouble, such as a zone that there is not, keeps no other's records.
                stayed += 1
                is_any = True  # some of it may have gone before
                self._say(f"{owner.uid}: {str(error).splitlines()[0]}")
                continue
            stayed += len(amount.left)
            is_any = is_any or bool(
                amount.work_sessions or amount.rows_of_history or amount.audit_events or amount.refused_rows
            )
            self._say(f"{owner.uid}: removed {_told(amount)}; {amount.rows_of_history:,} rows of history")
            for employee, why in amount.left.items():
                self._say(f"{owner.uid}: employee {employee or '?'} stayed: {why}")
        return stayed, is_any

    def _write(self, run: str, path: Path | None) -> None:
        try:
            with scope.everything(READING):
                told = retention.manifest(run)
        except ValueError as error:
            raise CommandError(str(error)) from error
        text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
        if path is None:
            self.stdout.write(text, ending="")
            return
        if path.is_dir():
            path /= f"{run}.json"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
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
