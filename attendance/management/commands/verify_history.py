"""Verify the history of work sessions."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from attendance import chains
from tenants import scope
from tenants.models import Tenant


class Command(BaseCommand):
    """See docs/history.md."""

    help = (
        "Walk the chain of each employee's history, and compare the work sessions with it. One line a "
        "finding; exit status 1 if there is any. Writes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --tenant."""
        parser.add_argument("--tenant", metavar="UID", help="only the employees of this tenant")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Say what was found. CommandError if there is anything, or no such tenant."""
        with scope.everything("the history is verified"):
            tenant = tenant_of(options["tenant"]) if options["tenant"] else None
            verified = chains.verify(tenant, report=self._say)
        looked_at = (
            f"{verified.rows:,} rows of {verified.employees:,} employees, {verified.sessions:,} work sessions"
        )
        if verified.findings:
            raise CommandError(f"{len(verified.findings):,} findings in {looked_at}.")
        self.stdout.write(f"Nothing to find in {looked_at}.")

    def _say(self, finding: chains.Finding) -> None:
        self.stdout.write(str(finding))
        self.stdout.flush()


def tenant_of(uid: str) -> Tenant:
    """Return a tenant by its uid. CommandError if there is none."""
    tenant = Tenant.objects.filter(tenant_uid=uid).first()
    if tenant is None:
        raise CommandError(f"There is no tenant {uid}.")
    return tenant
