"""The command that adds the demo data."""

import datetime as dt
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from accounts.models import Role, User
from attendance import demo
from attendance.calculations import DAY, day_start, work_date
from tenants.database import RoleError, connected_as
from timerecord.core import clock


class Command(BaseCommand):
    """Add two invented companies and their punches, once, and print their accounts."""

    help = (
        "Add the demo data: two invented companies with three months of punches up to now, the same for a "
        "given day. Refuses where other data is, unless an import brought it. Run again, it changes nothing "
        "and prints the accounts. Their password is public: nothing for an installation that people use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --today and --accounts."""
        parser.add_argument(
            "--today",
            type=dt.date.fromisoformat,
            metavar="YYYY-MM-DD",
            help="As at the end of this day in Japan, or as at now if it is today.",
        )
        parser.add_argument(
            "--accounts", action="store_true", help="Add nothing; print all the demo accounts that there are."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Raise CommandError with one line saying why nothing was added and what to do."""
        if not settings.LOCAL_TRIAL:
            raise CommandError("The demo accounts' password is public: set LOCAL_TRIAL=true, or do without.")
        # It writes a past that nobody clocked, as an import does, and by the same door.
        try:
            with connected_as("import"):
                self._run(options)
        except RoleError as error:
            raise CommandError(str(error)) from error

    def _run(self, options: dict[str, Any]) -> None:
        if options["accounts"]:
            accounts = demo.accounts()
            if not accounts:
                raise CommandError("There are no demo data here; seed_demo without --accounts adds them.")
            self._print_accounts(accounts)
            return
        self._add(options["today"])
        self._print_accounts(demo.shown_first(demo.accounts()))

    def _add(self, today: dt.date | None) -> None:
        now = clock.now()
        present = work_date(now, demo.ZONE)
        if today is None:
            today = present
        if today > present:
            raise CommandError(f"{today} is in the future, where nobody punches; name {present} or earlier.")
        try:
            rows = demo.add(today, min(now, day_start(today + DAY, demo.ZONE)))
        except demo.RefusedError as refusal:
            raise CommandError(f"{refusal}.") from refusal
        except IntegrityError as clash:
            reason = str(clash).splitlines()[0]
            raise CommandError(
                f"What an import brought stands where the demo data would ({reason}); use an empty database."
            ) from clash
        if rows is None:
            self.stdout.write("The demo data are there already; nothing was changed.")
        else:
            self.stdout.write(
                f"Added demo data as of {today}: {len(rows.tenants)} tenants, {len(rows.users)} users, "
                f"{len(rows.work_sessions)} work sessions."
            )

    def _print_accounts(self, users: list[User]) -> None:
        # Names last: a Japanese character is two columns wide, or one, as the screen likes.
        role_width = max(len(role) for role in Role.values)
        mail_width = max(len(user.email) for user in users)
        start = demo.shown_first(users)[:1]
        self.stdout.write("Demo accounts:")
        for user in users:
            words = [user.role.ljust(role_width), user.email.ljust(mail_width), user.display_name]
            if user.tenant:
                words.append(str(user.tenant))
            if user in start:
                words.append("<- start here")
            self.stdout.write("  " + "  ".join(words))
        self.stdout.write(f"Password of all: {demo.PASSWORD}")
