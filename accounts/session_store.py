"""The session engine that keeps sessions in the table `sessions`, for SESSION_STORE=database."""

import datetime as dt

from django.db import connection

from accounts.models import Session
from accounts.querysets import SessionQuerySet
from timerecord.core import clock, sessions
from timerecord.core.sessions import Listed, Record


class DatabaseDriver:
    """Sessions in PostgreSQL.

    What a cookie names is reached by functions, without a scope: nobody is known yet. Lists, and what they
    end, are within the caller's scope. A statement each; in a transaction, with it.
    """

    def create(self, record: Record) -> bool:
        """Keep a new record; False if there is one of this id."""
        return bool(
            _call(
                "SELECT create_session(%s, %s, %s, %s, %s, %s, %s)",
                record.id,
                record.data,
                record.user,
                record.tenant,
                record.created,
                record.seen,
                record.expires,
            )
        )

    def replace(self, record: Record, now: dt.datetime) -> bool:
        """Put a record into the place of the one that is there; False if that has ended."""
        return bool(
            _call(
                "SELECT replace_session(%s, %s, %s, %s, %s, %s, %s)",
                record.id,
                record.data,
                record.user,
                record.tenant,
                record.seen,
                record.expires,
                now,
            )
        )

    def read(self, id_: str) -> Record | None:
        """Return what opens a record. What lists show of it is not asked for."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT data, created_at, seen_at, expires_at FROM read_session(%s)", [id_])
            row = cursor.fetchone()
        return _record(id_, *row) if row else None

    def touch(self, id_: str, *, seen: dt.datetime, expires: dt.datetime) -> None:
        """Note that one which has not expired at `seen` is in use."""
        _call("SELECT touch_session(%s, %s, %s)", id_, seen, expires)

    def remove(self, id_: str) -> bool:
        """Forget a record, if there is one; whether there was one that had not ended.

        It is ended before it is removed: of those who do so at once, one finds it live.
        """
        now = clock.now()
        return bool(
            _call(
                "SELECT replace_session(%s, '', NULL, NULL, %s, %s, %s), remove_session(%s)",
                id_,
                now,
                now,
                now,
                id_,
            )
        )

    def clear_expired(self) -> None:
        """Forget what has expired. Each new session does so for a few, too."""
        _call("SELECT clear_sessions(%s)", clock.now())

    def of_user(self, tenant: int | None, user: int, now: dt.datetime) -> list[Listed]:
        """Return the sessions of a user in scope that began in this tenant, the last seen first."""
        return _listed(Session.objects.in_scope().filter(tenant=tenant, user=user, expires_at__gt=now))

    def of_tenant(self, tenant: int, now: dt.datetime) -> list[Listed]:
        """Return the sessions in scope of a tenant's people, the last seen first."""
        rows = Session.objects.in_scope().filter(tenant=tenant, user__isnull=False, expires_at__gt=now)
        return _listed(rows)

    def end(self, user: int, id_: str) -> bool:
        """End a session in scope if it is this user's; False if there is no such one."""
        return bool(Session.objects.in_scope().filter(user=user, pk=id_).delete()[0])


class SessionStore(sessions.SessionStore):
    """The engine."""

    driver = DatabaseDriver()


def _call(query: str, *values: str | int | dt.datetime | None) -> object:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        result, *_ = cursor.fetchone()
    return result


def _record(
    id_: str,
    data: str,
    created: dt.datetime,
    seen: dt.datetime,
    expires: dt.datetime,
    user: int | None = None,
    tenant: int | None = None,
) -> Record:
    return Record(
        id=id_,
        user=user,
        tenant=tenant,
        created=created,
        seen=seen,
        expires=expires,
        device="",  # the data have these
        address="",
        data=data,
    )


def _listed(rows: SessionQuerySet) -> list[Listed]:
    """Return rows as they are shown. What SQL alone has made is no session, and is left out."""
    columns = ("id", "data", "created_at", "seen_at", "expires_at", "user_id", "tenant_id")
    shown = (sessions.as_signed(_record(*row)) for row in rows.values_list(*columns))
    return sorted(
        (listed for listed in shown if listed), key=lambda listed: (listed.seen, listed.id), reverse=True
    )
