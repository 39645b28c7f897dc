"""The engine itself, where Django looks for it."""

from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL

from timerecord.aws.postgresql import credentials

# A server that went without a word is noticed well before a request ends, after 30 s. All of it is between
# libpq and the kernel: no server and no proxy is told any of it.
PATIENCE: Final = {
    "connect_timeout": 5,  # s, for each address
    "tcp_user_timeout": 10_000,  # ms
    "keepalives_idle": 30,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 3,
}


class DatabaseWrapper(PostgreSQL):
    """PostgreSQL whose user is known to AWS.

    OPTIONS besides libpq's: `region`; and `secret`, the name of a secret with user and password. Without
    `secret` the password is a token for USER.
    """

    def get_connection_params(self) -> dict[str, Any]:
        """Return what psycopg is given. Django asks once for each physical connection."""
        params = super().get_connection_params()
        if "pool" in self.settings_dict["OPTIONS"]:
            raise ImproperlyConfigured("A pool would open every connection with the first one's token.")
        region, secret = params.pop("region"), params.pop("secret", None)
        if secret:
            params["user"], params["password"] = credentials.of_secret(secret, region)
        else:
            params["password"] = credentials.token(
                params["host"], int(params.get("port", 5432)), params["user"], region
            )
        return {**PATIENCE, **params}
