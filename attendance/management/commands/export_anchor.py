"""Export, or check, what a tenant's history was at a month's end."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from attendance import chains
from attendance.management import parts
from attendance.management.commands.verify_history import tenant_of
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
        if options["tenant"]:
            self._of_one(options)
        elif options["part"] and options["into"]:
            self._of_part(options)
        else:
            raise CommandError("Name a --tenant, or a --part and the folder to write --into.")

    def _of_one(self, options: dict[str, Any]) -> None:
        with scope.everything(READING):
            tenant = tenant_of(options["tenant"])
            month = options["month"] or last_month(tenant)
            try:
                until = chains.month_end(month, tenant)
            except ValueError as error:
                raise CommandError(str(error)) from error
            if until > clock.now():
                raise CommandError(f"{month} is not over before {until:%Y-%m-%d %H:%M} UTC.")
            if options["check"]:
                self._check(tenant, month, options["check"])
                return
            anchor = chains.anchor(tenant, month)
        if options["into"]:
            self._write(anchor, Path(options["into"]))
        else:
            self.stdout.write(anchor.text(), ending="")

    def _of_part(self, options: dict[str, Any]) -> None:
        with scope.everything(READING):
            tenants = {tenant.tenant_uid: tenant for tenant in Tenant.objects.in_scope()}
        reached = parts.Round(tenants, options)
        try:
            for tenant in reached:
                self._of_one({**options, "tenant": tenant.tenant_uid})
        except KeyboardInterrupt:
            self.stdout.write(reached.not_done())
            raise
        if reached.left:
            raise CommandError(f"There was too little time. {reached.not_done()}")

    def _write(self, anchor: chains.Anchor, folder: Path) -> None:
        """Write the anchor to a file whose name follows from what is in it."""
        path = folder / anchor.tenant_uid / f"{anchor.month}-{anchor.digest[:16]}.txt"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(anchor.text(), encoding="utf-8")
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
