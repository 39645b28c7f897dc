"""Django's engine for PostgreSQL, with a password that may have been rotated since the process began."""

from typing import TYPE_CHECKING, Any

import psycopg
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL

from timerecord.aws import configuration

if TYPE_CHECKING:
    from psycopg import Connection

# libpq hands on a refusal at the beginning of a connection as text alone, without its SQLSTATE (28P01).
REFUSED = "password authentication failed"


class DatabaseWrapper(PostgreSQL):
    """Reads the variables anew when the database refuses the password, and tries once more."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> "Connection[Any]":
        """Return a connection. What the database says to another attempt, it says to everybody."""
        try:
            found: Connection[Any] = super().get_new_connection(conn_params)
        except psycopg.OperationalError as error:
            if REFUSED not in str(error) or not configuration.reload():
                raise
            found = super().get_new_connection(self.get_connection_params())
        return found
