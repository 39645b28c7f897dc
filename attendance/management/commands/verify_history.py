"""Verify the history of work sessions."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from attendance import chains, without_tenant
from attendance.management import parts
from tenants import scope
from tenants.models import Tenant

READING = "the history is verified"
# In a list of tenants: what belongs to none of them.
NO_TENANT = "(none)"


class Command(BaseCommand):
    """See docs/history.md."""

    help = (
        "Walk the chain of each employee's history, and compare the work sessions with it. One line a "
        "finding; exit status 1 if there is any. Writes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--tenant", metavar="UID", help="only the employees of this tenant")
        parts.add_arguments(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Say what was found. CommandError if there is anything, no such tenant, or too little time."""
        not_done = ""
        if options["part"] and not options["tenant"]:
            verified, not_done = self._verify_part(options)
        else:
            with scope.everything(READING):
                tenant = tenant_of(options["tenant"]) if options["tenant"] else None
                verified = chains.verify(tenant, report=self._say)
        looked_at = (
            f"{verified.rows:,} rows of {verified.employees:,} employees, {verified.sessions:,} work sessions"
        )
        if verified.findings:
            raise CommandError(f"{len(verified.findings):,} findings in {looked_at}. {not_done}".rstrip())
        self.stdout.write(f"Nothing to find in {looked_at}.")
        if not_done:
            raise CommandError(f"There was too little time. {not_done}")

    def _verify_part(self, options: dict[str, Any]) -> tuple[chains.Verified, str]:
        """Verify tenant by tenant; return what was seen, and who was not."""
        with scope.everything(READING):
            tenants: dict[str, Tenant | None] = {t.tenant_uid: t for t in Tenant.objects.in_scope()}
        reached = parts.Round({**tenants, NO_TENANT: None}, options)
        verified = chains.Verified(0, 0, 0, [])
        try:
            for tenant in reached:
                if tenant is None:
                    found = without_tenant.verify(report=self._say)
                else:
                    with scope.everything(READING):
                        found = chains.verify(tenant, report=self._say)
                verified = without_tenant.together(verified, found)
        except KeyboardInterrupt:
            self.stdout.write(reached.not_done())
            raise
        return verified, reached.not_done()

    def _say(self, finding: chains.Finding) -> None:
        self.stdout.write(str(finding))
        self.stdout.flush()


def tenant_of(uid: str) -> Tenant:
    """Return a tenant by its uid. CommandError if there is none."""
    tenant = Tenant.objects.filter(tenant_uid=uid).first()
    if tenant is None:
        raise CommandError(f"There is no tenant {uid}.")
    return tenant
