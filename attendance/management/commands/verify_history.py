"""Verify the history of work sessions."""

import functools
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
        parts.check(options)
        problem = ""
        if options["part"]:
            verified, problem = self._verify_part(options)
        else:
            with scope.everything(READING):
                tenant = tenant_of(options["tenant"]) if options["tenant"] else None
                verified = chains.verify(tenant, report=lambda finding: self._say(str(finding)))
        looked_at = (
            f"{verified.rows:,} rows of {verified.employees:,} employees, {verified.sessions:,} work sessions"
        )
        if verified.findings:
            raise CommandError(f"{len(verified.findings):,} findings in {looked_at}. {problem}".rstrip())
        self.stdout.write(f"Nothing to find in {looked_at}.")
        if problem:
            raise CommandError(problem)

    def _verify_part(self, options: dict[str, Any]) -> tuple[chains.Verified, str]:
        """Verify tenant by tenant; return what was seen, and what kept it from seeing all."""
        with scope.everything(READING):
            tenants: dict[str, Tenant | None] = {t.tenant_uid: t for t in Tenant.objects.in_scope()}
        reached = parts.Round({**tenants, NO_TENANT: None}, options)
        seen = [chains.Verified(0, 0, 0, [])]

        def verify(tenant: Tenant | None) -> None:
            if tenant is None:
                seen.append(without_tenant.verify(report=lambda finding: self._say(str(finding))))
                return
            with scope.everything(READING):
                seen.append(chains.verify(tenant, report=lambda finding: self._say(str(finding))))

        reached.each(verify, self._say)
        return functools.reduce(without_tenant.together, seen), reached.problem()

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def tenant_of(uid: str) -> Tenant:
    """Return a tenant by its uid. CommandError if there is none."""
    tenant = Tenant.objects.filter(tenant_uid=uid).first()
    if tenant is None:
        raise CommandError(f"There is no tenant {uid}.")
    return tenant
