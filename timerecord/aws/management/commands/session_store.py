"""Look after the table that keeps sessions and one-time tokens."""

import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import sessions as account_sessions
from accounts import tokens
from accounts.models import User
from accounts.querysets import normalise_email
from accounts.tokens import Purpose
from tenants import scope
from timerecord.aws import table
from timerecord.aws.client import make_client
from timerecord.aws.client import table as table_name
from timerecord.core.sessions import StoreUnavailableError

# For the control of tables, which takes longer than an item does.
SECONDS = 20.0


class Command(BaseCommand):
    """See docs/sessions.md."""

    help = (
        "create: make the DynamoDB table of SESSION_STORE=dynamodb, or mend it; nothing is done twice. "
        "status: say what differs from what it should be. purge-user: sign somebody out everywhere and "
        "forget their sessions and tokens, in whichever store. Exit status: 0 all is well; 1 something "
        "differs or failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the three actions."""
        actions = parser.add_subparsers(dest="action", required=True)
        for name, what in (("create", "make the table, or mend it"), ("status", "say what differs")):
            action = actions.add_parser(name, help=what)
            action.add_argument(
                "--deletion-protection",
                action="store_true",
                help="nobody deletes the table before this is switched off again",
            )
        purge = actions.add_parser("purge-user", help="sign somebody out everywhere")
        purge.add_argument("email", help="the e-mail address that the user signs in with")

    def handle(self, *_args: Any, action: str, **options: Any) -> None:
        """Do it; SystemExit(1) if something differs."""
        try:
            if action == "purge-user":
                self._purge(options["email"])
            elif settings.SESSION_STORE != "dynamodb":
                self.stdout.write(
                    f"SESSION_STORE is {settings.SESSION_STORE}: migrate makes its table, there is no other."
                )
            elif action == "create":
                self._create(protected=options["deletion_protection"])
            else:
                self._status(protected=options["deletion_protection"])
        except StoreUnavailableError as error:
            raise CommandError(str(error)) from error
        except ClientError as error:
            raise CommandError(f"AWS refused: {table.refusal(error)}") from error
        except BotoCoreError as error:
            raise CommandError(f"AWS cannot be reached: {error}") from error

    def _create(self, *, protected: bool) -> None:
        client, name = make_client(connect_seconds=5, read_seconds=SECONDS), table_name()
        if table.create(client, name, protected=protected):
            self.stdout.write(f"Made the table {name}.")
        left = []
        for difference in list(table.differences(client, name, protected=protected)):
            if difference.mend is None:
                left.append(difference.text)
            else:
                difference.mend()
                table.wait(client, name)
                self.stdout.write(f"Mended: {difference.text}.")
        for text in left:
            self.stderr.write(f"Left as it is: {text}.")
        if left:
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"OK: {name} is as it should be."))

    def _status(self, *, protected: bool) -> None:
        client, name = make_client(connect_seconds=5, read_seconds=SECONDS), table_name()
        found = list(table.differences(client, name, protected=protected))
        for difference in found:
            self.stderr.write(f"Differs: {difference.text}.")
        if found:
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"OK: {name} is as it should be."))

    def _purge(self, email: str) -> None:
        with scope.everything("an operator signs somebody out everywhere"):
            user = User.objects.in_scope().filter(email=normalise_email(email)).first()
            if user is None:
                raise CommandError(f"Nobody has the address {email}.")
            account_sessions.end_all(user)
        # Committed: whatever becomes of the tokens, nobody is signed in any more.
        with scope.everything("an operator voids what was mailed to somebody"):
            for purpose in Purpose:
                tokens.void(user.pk, purpose)
        self.stdout.write(
            self.style.SUCCESS(f"OK: {email} is signed out everywhere; what was mailed is good for nothing.")
        )
