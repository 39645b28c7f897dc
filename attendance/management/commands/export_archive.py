"""Write the archive of a tenant that is too large for a request."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import support
from attendance import archives
from attendance.management.commands.verify_history import tenant_of
from tenants import scope
from tenants.scope import Door, Reach, Scope
from timerecord.core import clock


class Command(BaseCommand):
    """See docs/platform.md."""

    help = (
        "Write a tenant's people, work sessions and history into one file, as its admins can from their "
        "settings: for a tenant with more of them than a request has time for. Its audit trail tells of it, "
        "with the reason."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--tenant", metavar="UID", required=True)
        parser.add_argument("--output", metavar="FILE", required=True, help="a file that is not there yet")
        parser.add_argument(
            "--reason", required=True, help="for whom it is, and why: the tenant's admins see it"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write it. CommandError without a reason or such a tenant, or if the file cannot be written."""
        reason, output = options["reason"].strip(), Path(options["output"])
        if not reason:
            raise CommandError("Say why.")
        with scope.everything(reason):
            tenant = tenant_of(options["tenant"])
        asked = Scope(reach=Reach.TENANT, door=Door.COMMAND, tenant=tenant.pk, reason=reason)
        try:
            with _new(output) as file, scope.enter(asked):
                export, facts = archives.archive(tenant, clock.now())
                with export.file:
                    shutil.copyfileobj(export.file, file)
                # All of it is on the disk before the audit trail says so.
                file.flush()
                os.fsync(file.fileno())
                support.record("export.archive", file=output.name, **facts)
        except OSError as error:
            raise CommandError(f"The archive cannot be written: {error}") from error
        self.stdout.write(f"{output}: {export.size:,} bytes.")


@contextlib.contextmanager
def _new(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that was not there; it goes again unless all is well.

    Nobody else's to read: it will hold names, addresses, and the code with which the tenant can be closed.
    """
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise
