"""Django's migrate, as the role that owns the database."""

from django.core.management.base import CommandParser
from django.core.management.commands.migrate import Command as Migrate
from django.db import connections


class Command(Migrate):
    """The application's own role may not make tables: unless told otherwise, this uses the owner's."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Change the default of --database."""
        super().add_arguments(parser)
        if "owner" in connections:
            parser.set_defaults(database="owner")
