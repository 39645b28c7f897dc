"""Make the database what migrations and the application need, or say what differs."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from psycopg import sql

from tenants import database, scope


class Command(BaseCommand):
    """See docs/adr/0008-tenant-isolation.md."""

    requires_system_checks = []
    help = (
        "Make the roles, the schema and the rights that migrations and the application need, in the database "
        "of DATABASE_URL, as the administrator of DATABASE_ADMIN_URL. Run it before the first migration, and "
        "after a new SECRET_KEY. Run again, it changes nothing. Passwords are those of DATABASE_URL, "
        "DATABASE_OWNER_URL and DATABASE_IMPORT_URL, where these have one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --check."""
        parser.add_argument(
            "--check", action="store_true", help="change nothing; exit with status 1 if anything differs"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Say each difference. CommandError if one is left, or the server refuses."""
        if not settings.DATABASE_ADMIN_URL:
            raise CommandError(
                "DATABASE_ADMIN_URL is not set. It should be postgresql://USER:PASSWORD@HOST:PORT/DATABASE "
                "of somebody who may make roles: a superuser, or the master user of RDS."
            )
        name = settings.DATABASES["default"]["NAME"]
        try:
            with psycopg.connect(settings.DATABASE_ADMIN_URL, dbname=name, autocommit=True) as on:
                if options["verbosity"]:
                    for note in database.beyond_reach(on):
                        self.stderr.write(f"note: {note}")
                if options["check"]:
                    self._check(on)
                else:
                    self._mend(on, quiet=options["verbosity"] == 0)
        except psycopg.Error as problem:
            said = str(problem).splitlines()[0]
            raise CommandError(f"The server of DATABASE_ADMIN_URL refused: {said}") from problem

    def _check(self, on: psycopg.Connection[Any]) -> None:
        count = 0
        for differences in _parts(on, set_passwords=False):
            found = list(differences)
            for difference in found:
                self.stdout.write(f"differs: {difference.text}")
            count += len(found)
            if found:  # what follows rests on it
                break
        if count:
            raise CommandError("The database is not as it should be: run bootstrap_database without --check.")
        self.stdout.write("The database is as it should be.")

    def _mend(self, on: psycopg.Connection[Any], *, quiet: bool) -> None:
        count = 0
        for differences in _parts(on, set_passwords=True):
            for difference in database.mend(on, differences):
                count += 1
                if not quiet:
                    self.stdout.write(f"mended: {difference.text}")
        if not quiet:
            self.stdout.write(f"{count} differences mended." if count else "Nothing differed.")


def _parts(on: psycopg.Connection[Any], *, set_passwords: bool) -> Iterator[Iterator[database.Difference]]:
    """Yield the three parts, each to be mended before the next: roles, schema, what is inside."""
    yield database.cluster(on)
    if set_passwords:
        _set_passwords(on)
        _become_able_to_act_as_owner(on)
    yield database.schema(on)
    on.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(database.OWNER)))
    yield database.inside(on, scope.keys(), forget_others=True)


def _set_passwords(on: psycopg.Connection[Any]) -> None:
    # Compared they cannot be, so they are set each time.
    for entry in settings.DATABASES.values():
        if entry["USER"] in database.ROLES and entry["PASSWORD"]:
            # Never in clear text, which the server may log.
            hashed = on.pgconn.encrypt_password(
                entry["PASSWORD"].encode(), entry["USER"].encode(), b"scram-sha-256"
            )
            on.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(entry["USER"]), sql.Literal(hashed.decode())
                )
            )


def _become_able_to_act_as_owner(on: psycopg.Connection[Any]) -> None:
    """The master user of RDS is no superuser: it has to be a member of the owner to give it things."""
    found = on.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if found != (True,):
        on.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(database.OWNER)))
