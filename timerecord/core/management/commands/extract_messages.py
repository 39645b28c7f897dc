"""The command that brings the catalogues up to what the source says."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.template import engines

from timerecord.core import catalogues


class Command(BaseCommand):
    """Extract every text and merge it into locale/<language>/LC_MESSAGES/django.po."""

    help = (
        "Extract the texts of the project's own Python and templates into the .po files in locale/: keeps "
        "translations, removes what the source no longer has. Needs Babel, neither gettext nor a database."
    )
    # No check, for it must work where neither the database nor the static files are there.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --check."""
        parser.add_argument(
            "--check",
            action="store_true",
            help="Write nothing; fail, naming each text, if one is missing, obsolete, untranslated or fuzzy, "
            "or if a translation's placeholders differ.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Raise CommandError with one line for each problem."""
        try:
            self._run(check=options["check"])
        except catalogues.CatalogueError as error:
            raise CommandError(str(error)) from error

    def _run(self, *, check: bool) -> None:
        root, locale_dir = Path(settings.BASE_DIR), Path(settings.LOCALE_PATHS[0])
        # The project's own packages are those that lie in it.
        packages = sorted({root / config.name.partition(".")[0] for config in apps.get_app_configs()})
        templates = [Path(folder) for engine in engines.all() for folder in engine.dirs]
        found = catalogues.extract(root, filter(Path.is_dir, packages), templates)
        problems: list[str] = []
        for language, _name in settings.LANGUAGES:
            if language == catalogues.SOURCE_LANGUAGE:
                continue
            po = catalogues.catalogue_path(locale_dir, language)
            before = catalogues.report(found, po, language)
            if check:
                problems += [f"{language}: {line}" for line in before.lines()]
                continue
            merged = catalogues.merge(found, po, language)
            if not po.exists() or po.read_bytes() != merged:
                catalogues.write(po, merged)
            after = catalogues.report(found, po, language)
            self.stdout.write(
                f"{language}: {len(found)} messages, {len(before.missing)} added, "
                f"{len(before.obsolete)} removed, {len(after.untranslated)} untranslated, "
                f"{len(after.fuzzy)} fuzzy, {len(after.mismatched)} with other placeholders"
            )
        if problems:
            raise CommandError("\n".join([*problems, "Run manage.py extract_messages, then translate."]))
        if check:
            self.stdout.write(f"{len(found)} messages, all of them translated")
