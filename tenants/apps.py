from typing import Any

from django.apps import AppConfig
from django.core.management.base import CommandError
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        """Have schema, rights and the scope's functions in place before each migration, and rights after."""
        pre_migrate.connect(_prepare, sender=self)
        post_migrate.connect(_finish, sender=self)


def _prepare(using: str, **_: Any) -> None:
    from tenants import database, scope

    connection = connections[using]
    connection.ensure_connection()
    on = connection.connection
    if on.execute("SELECT current_user").fetchone() != (database.OWNER,):
        raise CommandError(
            f"Migrations run as the role {database.OWNER}: run bootstrap_database once, and set "
            "DATABASE_OWNER_URL."
        )
    database.mend(on, database.schema(on))
    database.mend(on, database.inside(on, scope.keys()))


def _finish(using: str, **_: Any) -> None:
    from tenants import database, scope

    database.mend(connections[using].connection, database.inside(connections[using].connection, scope.keys()))
