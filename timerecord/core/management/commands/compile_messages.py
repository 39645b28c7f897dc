"""The command that makes the catalogues that Django reads."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from timerecord.core import catalogues


class Command(BaseCommand):
    """Write the .mo beside each .po in locale/ that changed."""

    help = (
        "Compile the .po files in locale/ that changed since the last time. Needs Babel only if one did, "
        "neither gettext nor a database."
    )
    # No check, for it must work where neither the database nor the static files are there.
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Raise CommandError with one line for each problem."""
        try:
            for po in catalogues.outdated([Path(folder) for folder in settings.LOCALE_PATHS]):
                catalogues.compile_catalogue(po)
                self.stdout.write(f"Compiled {po.with_suffix('.mo')}")
        except catalogues.CatalogueError as error:
            raise CommandError(str(error)) from error
