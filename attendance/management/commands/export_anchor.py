"""Export, or check, what a tenant's history was at a month's end."""

import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from attendance import chains
from attendance.management.commands.verify_history import tenant_of
from tenants import scope
from tenants.models import Tenant
from timerecord.core import clock


class Command(BaseCommand):
    """See docs/history.md."""

    help = (
        "Write the anchor of a month that is over: a digest to print and keep elsewhere, and the list that "
        "it is over. With --check, compare the history as it is now with one from before; exit status 1 if "
        "it differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--tenant", metavar="UID", required=True)
        parser.add_argument("--month", metavar="YYYY-MM", required=True)
        parser.add_argument("--check", metavar="FILE|DIGEST", help="an exported anchor, or only its digest")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write the anchor to standard output. CommandError if it differs, or cannot be made yet."""
        with scope.everything("an anchor of the history is made or checked"):
            tenant, month = tenant_of(options["tenant"]), options["month"]
            try:
                until = chains.month_end(month, tenant)
            except ValueError as error:
                raise CommandError(str(error)) from error
            if until > clock.now():
                raise CommandError(f"{month} is not over before {until:%Y-%m-%d %H:%M} UTC.")
            if options["check"]:
                self._check(tenant, month, options["check"])
            else:
                self.stdout.write(chains.anchor(tenant, month).text(), ending="")

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
