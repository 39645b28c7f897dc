"""Export, or check, what a tenant's history was at a month's end."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from attendance import chains
from attendance.management import parts
from attendance.management.commands.verify_history import tenant_of
from attendance.management.files import write_new
from tenants import scope
from tenants.models import Tenant
from timerecord.core import clock

READING = "an anchor of the history is made or checked"


class Command(BaseCommand):
    """See docs/history.md."""

    help = (
        "Write the anchor of a month that is over: a digest to print and keep elsewhere, and the list that "
        "it is over. With --check, compare the history as it is now with one from before; exit status 1 if "
        "it differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--tenant", metavar="UID", help="of this tenant; without it, of all in --part")
        parser.add_argument(
            "--month", metavar="YYYY-MM", help="the last one that is over, in the tenant's zone, if left out"
        )
        does = parser.add_mutually_exclusive_group()
        does.add_argument("--check", metavar="FILE|DIGEST", help="an exported anchor, or only its digest")
        does.add_argument(
            "--into",
            metavar="FOLDER",
            help="write it to the file UID/MONTH-DIGEST.txt in there: the same anchor has the same name",
        )
        parts.add_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write the anchor. CommandError if it differs, cannot be made yet, or there is too little time."""
        parts.check(options)
        into = Path(options["into"]) if options["into"] else None
        if options["tenant"]:
            with scope.everything(READING):
                self._of_one(tenant_of(options["tenant"]), options["month"], into, options["check"])
        elif options["part"] and into:
            with scope.everything(READING):
                tenants = {tenant.tenant_uid: tenant for tenant in Tenant.objects.in_scope()}
            reached = parts.Round(tenants, options)

            def write(tenant: Tenant) -> None:
                with scope.everything(READING):
                    self._of_one(tenant, options["month"], into, None)

            reached.each(write, self.stdout.write)
            if problem := reached.problem():
                raise CommandError(problem)
        else:
            raise CommandError("Name a --tenant, or a --part and the folder to write --into.")

    def _of_one(self, tenant: Tenant, month: str | None, into: Path | None, known: str | None) -> None:
        month = month or last_month(tenant)
        try:
            until = chains.month_end(month, tenant)
        except (ValueError, OverflowError) as error:
            raise CommandError(str(error)) from error
        if until > clock.now():
            raise CommandError(f"{month} is not over before {until:%Y-%m-%d %H:%M} UTC.")
        if known:
            self._check(tenant, month, known)
            return
        anchor = chains.anchor(tenant, month)
        if not into:
            self.stdout.write(anchor.text(), ending="")
            return
        try:
            write_new(into / anchor.tenant_uid / f"{anchor.month}-{anchor.digest}.txt", anchor.text())
        except FileExistsError:
            pass  # the same: its name says what is in it
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{anchor.tenant_uid} {anchor.month}: digest {anchor.digest}")

    def _check(self, tenant: Tenant, month: str, known: str) -> None:
        name = f"{tenant.tenant_uid} {month}"
        if re.fullmatch(r"[0-9a-fA-F]{64}", known):
            if chains.anchor(tenant, month).digest != known.lower():
                raise CommandError(f"{name}: the digest differs. The anchor's file tells whose history does.")
            self.stdout.write(f"{name}: the digest fits.")
            return
        try:
            anchor = chains.Anchor.parse(Path(known).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"{known}: {error}") from error
        if (anchor.tenant_uid, anchor.month) != (tenant.tenant_uid, month):
            raise CommandError(f"{known} is the anchor of {anchor.tenant_uid} {anchor.month}.")
        findings, notices = chains.check(anchor, tenant)
        for finding in findings:
            self.stdout.write(str(finding))
        for notice in notices:
            self.stdout.write(f"Notice: {notice}")
        if findings:
            raise CommandError(f"{name}: {len(findings):,} findings against the anchor {anchor.digest}.")
        self.stdout.write(f"{name}: the history fits the anchor {anchor.digest}.")


def last_month(tenant: Tenant) -> str:
    """Return the last month that is over in the tenant's zone, YYYY-MM."""
    first = clock.now().astimezone(tenant.zone).date().replace(day=1)
    return f"{first - dt.timedelta(days=1):%Y-%m}"
