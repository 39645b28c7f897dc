"""Say for how long a tenant's records are kept."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import translation

from attendance.management.commands.verify_history import tenant_of
from tenants import scope
from tenants.actions import change_retention


class Command(BaseCommand):
    """See docs/retention.md."""

    help = "Say for how many months after a month's end a tenant's records are kept. The audit trail tells."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--tenant", metavar="UID", required=True)
        parser.add_argument("--months", metavar="N", type=int, required=True)
        parser.add_argument(
            "--reason", metavar="TEXT", required=True, help="who asked for it, for the record"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Store it. CommandError for less than the law allows, and without a reason."""
        if not options["reason"].strip():
            raise CommandError("Say why.")
        with translation.override("en"), scope.everything(options["reason"]):  # what commands speak
            tenant = tenant_of(options["tenant"])
            before = tenant.retention_months
            try:
                is_new = change_retention(tenant, options["months"])
            except ValidationError as error:
                raise CommandError(error.messages[0]) from error
        self.stdout.write(
            f"{tenant.tenant_uid}: {before} months before, {tenant.retention_months} months now."
            if is_new
            else f"{tenant.tenant_uid}: {before} months already."
        )
