"""The function that migrates: `timerecord.migration_handler.handler`, of the same image as the pages.

Its event says what is wanted; every key may be left out:

    {"plan": true}          only say what would run
    {"bootstrap": true}     make roles, schema, rights and passwords, as the administrator; migrate nothing
    {"wait_seconds": 60}    how long to wait for somebody else who is migrating, 0 to 600
    {"lock_seconds": 5}     how long a statement may wait for a lock, while all others wait behind it, 1 to 60

What it answers is JSON. Whatever goes wrong is raised, so that a deployment stops: docs/migrations.md.
"""

import contextlib
import datetime as dt
import io
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import django
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import ConnectionHandler

from timerecord.env import Environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timerecord.settings")
django.setup()

logger = logging.getLogger("timerecord.migrations")

OWNER: Final = "owner"
# Whoever migrates this database holds it: any 64-bit number that nothing else here takes.
LOCK: Final = 0x74696D6572656364
# What is left of the function's time for an answer, when a statement is given up.
RESERVE_SECONDS: Final = 10
HOLDER: Final = (
    "SELECT backend_start FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = %s"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# The server notices within half a minute that the function is gone, and lets the lock go.
KEEPALIVES: Final = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}

# What Django tells psycopg, which libpq knows nothing of.
DRIVERS: Final = frozenset({"context", "cursor_factory", "prepare_threshold"})


class MigrationError(RuntimeError):
    """The schema is not, or not wholly, what this version needs."""


class Context(Protocol):
    """As much of Lambda's context as is used here."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that the function may still run."""


@dataclass(frozen=True)
class Order:
    """What an event asks for."""

    plan: bool = False
    bootstrap: bool = False
    wait_seconds: int = 60
    lock_seconds: int = 5

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """Read an event; ValueError for what it may not say."""
        if unknown := sorted(set(event) - set(cls.__dataclass_fields__)):
            raise ValueError(f"The event may not say {', '.join(unknown)}.")
        for name, bounds in {"wait_seconds": (0, 600), "lock_seconds": (1, 60)}.items():
            seconds = event.get(name, bounds[0])
            if type(seconds) is not int or not bounds[0] <= seconds <= bounds[1]:
                raise ValueError(f"{name} should be a whole number from {bounds[0]} to {bounds[1]}.")
        for name in ("plan", "bootstrap"):
            if type(event.get(name, False)) is not bool:
                raise ValueError(f"{name} should be true or false.")
        return cls(**event)


def handler(event: Mapping[str, Any] | None, context: Context | None) -> dict[str, Any]:
    """Do what the event asks for and report it.

    Of a migration: `applied`, the names of what ran, in order; `pending`, what was planned before; `seconds`
    of all of it, `waited_seconds` of them for somebody else. MigrationError otherwise.
    """
    order = Order.of(event or {})
    if OWNER not in connections:
        raise MigrationError("DATABASE_OWNER_URL is not set: nothing says how the owner is reached.")
    if order.bootstrap:
        return _bootstrap()
    owner = connections[OWNER]
    try:
        if order.plan:
            return {"pending": _plan(owner)}
        return _migrate(owner, order, context)
    except psycopg.Error as problem:
        raise MigrationError(f"The database cannot be reached: {_said(problem)}") from None
    finally:
        owner.close()


def _migrate(owner: BaseDatabaseWrapper, order: Order, context: Context | None) -> dict[str, Any]:
    started = time.monotonic()
    with _alone(owner, order.wait_seconds) as waited:
        pending = _plan(owner)
        before = _applied(owner)
        _limit(owner, order.lock_seconds, context)
        try:
            call_command("migrate", database=OWNER, interactive=False, verbosity=0)
        except Exception as problem:
            # Its text may quote rows: what PostgreSQL says first does not.
            owner.close()
            done = _applied(owner) - before
            left = [step["migration"] for step in pending if step["migration"] not in done]
            raise MigrationError(
                f"{left[0] if left else 'what follows the migrations'} failed: {_said(problem)} "
                f"Applied before it: {', '.join(sorted(done)) or 'nothing'}."
            ) from None
        done = _applied(owner) - before
        report = {
            "applied": [step["migration"] for step in pending if step["migration"] in done],
            "pending": pending,
            "seconds": round(time.monotonic() - started, 2),
            "waited_seconds": round(waited, 2),
        }
    logger.info("Migrated", extra={"applied": report["applied"], "seconds": report["seconds"]})
    return report


def _plan(owner: BaseDatabaseWrapper) -> list[dict[str, Any]]:
    """Return what would run, in order, and what of it is no transaction."""
    executor = MigrationExecutor(owner)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [
        {
            "migration": f"{migration.app_label}.{migration.name}",
            "atomic": migration.atomic,
            "operations": [operation.describe() for operation in migration.operations],
        }
        for migration, _backwards in plan
    ]


def _applied(owner: BaseDatabaseWrapper) -> set[str]:
    return {f"{app}.{name}" for app, name in MigrationExecutor(owner).loader.applied_migrations}


@contextlib.contextmanager
def _alone(owner: BaseDatabaseWrapper, wait_seconds: int) -> Iterator[float]:
    """Hold the lock on a connection of its own; yield for how many seconds it was waited for.

    A lock of the session: it outlasts the migrations' transactions, and the connection's end is its own.
    """
    started = time.monotonic()
    with psycopg.connect(**_parameters(owner)) as on:
        on.autocommit = True
        for name, value in KEEPALIVES.items():
            on.execute(f"SET {name} = {value}")
        if on.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone() != (True,):
            _wait_for_lock(on, wait_seconds)
        try:
            yield time.monotonic() - started
        finally:
            # Said here: the server notices only some time after our answer that a connection was closed.
            with contextlib.suppress(psycopg.Error):
                on.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _wait_for_lock(on: psycopg.Connection[Any], seconds: int) -> None:
    since = on.execute(HOLDER, [LOCK]).fetchone()
    if seconds:
        on.execute(f"SET lock_timeout = '{seconds}s'")
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            on.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            return
    started = since[0].astimezone(dt.UTC).isoformat(timespec="seconds") if since else "a moment ago"
    raise MigrationError(
        f"Somebody else is migrating this database, since {started}. Waited {seconds} s; nothing was changed."
    )


def _limit(owner: BaseDatabaseWrapper, lock_seconds: int, context: Context | None) -> None:
    """Have statements end before they keep everybody waiting, and before the function's time is up."""
    with owner.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{lock_seconds}s'")
        if context is not None:
            left = context.get_remaining_time_in_millis() // 1000 - RESERVE_SECONDS
            cursor.execute(f"SET statement_timeout = '{max(left, 1)}s'")


def _parameters(of: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return how a wrapper connects, in libpq's words alone."""
    parameters: dict[str, Any] = of.get_connection_params()
    return {name: value for name, value in parameters.items() if name not in DRIVERS}


def _said(problem: BaseException) -> str:
    """Return in a line what went wrong, without the values of rows."""
    cause = problem if isinstance(problem, psycopg.Error) else problem.__cause__
    if isinstance(cause, psycopg.Error) and cause.diag.message_primary:
        return f"{type(cause).__name__}: {cause.diag.message_primary}."
    if isinstance(cause, psycopg.Error):  # of the connection: no row is in it
        problem = cause
    return f"{type(problem).__name__}: {next(iter(str(problem).splitlines()), '')}"


def _bootstrap() -> dict[str, Any]:
    """Run bootstrap_database with what the secrets say now; a password that was changed there is set, too."""
    env = Environment({**os.environ, "DATABASE_ADMIN_URL": settings.DATABASE_ADMIN_URL})
    admin = ConnectionHandler({"default": env.database("DATABASE_ADMIN_URL")})["default"]
    env.complain_if_wrong()
    with contextlib.ExitStack() as undone:
        for entry in settings.DATABASES.values():
            if "secret" in entry["OPTIONS"]:
                undone.callback(entry.update, {name: entry[name] for name in ("USER", "PASSWORD")})
                found = ConnectionHandler({"default": dict(entry)})["default"].get_connection_params()
                entry.update(USER=found["user"], PASSWORD=found["password"])
        undone.callback(setattr, settings, "DATABASE_ADMIN_URL", settings.DATABASE_ADMIN_URL)
        settings.DATABASE_ADMIN_URL = psycopg.conninfo.make_conninfo(**_parameters(admin))
        call_command("bootstrap_database", verbosity=0)
        call_command("bootstrap_database", check=True, verbosity=0, stdout=io.StringIO())
    return {"bootstrapped": True}
