"""The command that makes the first account of an installation."""

import getpass
import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import IntegrityError
from django.utils import translation
from django.views.decorators.debug import sensitive_variables

from accounts.models import Role, User
from accounts.querysets import normalise_email
from tenants import scope

EMAIL, PASSWORD = "PLATFORM_ADMIN_EMAIL", "PLATFORM_ADMIN_PASSWORD"


class Command(BaseCommand):
    """Make a platform admin, who has to choose a password of their own at the first sign-in."""

    help = (
        f"Make a platform admin. The e-mail address comes from --email, {EMAIL} or a prompt; the password "
        f"from {PASSWORD} or a prompt, never from an argument, which others on the machine can read. It has "
        "to be changed at the first sign-in. Where there is a platform admin already, of any address, it "
        "changes nothing: a deployment may run it each time. --another makes one more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --email, --last-name and --first-name."""
        parser.add_argument("--email", help="The address to sign in with.")
        parser.add_argument("--last-name", help="The family name.")
        parser.add_argument("--first-name", help="The given name.")
        parser.add_argument(
            "--another", action="store_true", help="Make one although there is a platform admin already."
        )

    @sensitive_variables("password")
    def handle(self, *_args: Any, **options: Any) -> None:
        """Raise CommandError with what is wrong, and what to do, if nobody was made."""
        email = self._email(options["email"])
        with scope.everything("whether there is a platform admin"):
            if self._is_there(email) or (not options["another"] and self._is_one()):
                return
        new = User(
            email=email,
            username=email,
            role=Role.PLATFORM_ADMIN,
            must_change_password=True,
            last_name=options["last_name"] or None,
            first_name=options["first_name"] or None,
        )
        password = self._password()
        with translation.override("en"):  # what commands speak
            try:
                validate_password(password, new)
            except ValidationError as refusal:
                raise CommandError(f"Not a good password: {' '.join(refusal.messages)}") from None
        new.set_password(password)
        try:
            with scope.everything("a platform admin is made"):
                new.save()
        except IntegrityError:  # somebody was faster
            with scope.everything("whether there is a platform admin of that address"):
                if self._is_there(email):
                    return
            raise
        self.stdout.write(
            f"Made the platform admin {email}, who has to choose another password at the first sign-in."
        )

    def _is_there(self, email: str) -> bool:
        """Whether it is a platform admin's address, which is said. CommandError if it is somebody else's."""
        user = User.objects.in_scope().filter(email=email).first()
        if user is None:
            return False
        if user.role != Role.PLATFORM_ADMIN:
            raise CommandError(
                f"{email} is the address of user {user.pk}, whose role is {user.role}; nobody was changed. "
                "Name another address, or have that account's address changed first."
            )
        state = "" if user.is_active else ", suspended"
        self.stdout.write(f"{email} is a platform admin already (id {user.pk}{state}); nothing was changed.")
        return True

    def _is_one(self) -> bool:
        """Whether there is any platform admin, which is said.

        The first one may have another address by now: made anew with the password that was the first one's,
        the account would be whoever's who once knew that.
        """
        others = User.objects.in_scope().filter(role=Role.PLATFORM_ADMIN).count()
        if others:
            self.stdout.write(
                f"There are platform admins already ({others}); nothing was changed. "
                "--another makes one more."
            )
        return others > 0

    def _email(self, given: str | None) -> str:
        email = given or os.environ.get(EMAIL, "")
        if not email:
            self._need_a_person(f"No e-mail address: name it with --email or {EMAIL}.")
            email = input("E-mail address of the platform admin: ")
        email = normalise_email(email)
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError(f"{email!r} is not an e-mail address.") from None
        return email

    @sensitive_variables("password")
    def _password(self) -> str:
        password = os.environ.get(PASSWORD, "")
        if password:
            return password
        self._need_a_person(f"No password: put it into {PASSWORD}, or run this in a terminal, which asks.")
        password = getpass.getpass("Password: ")
        if getpass.getpass("Password, once more: ") != password:
            raise CommandError("The two passwords are not the same; nobody was made. Please run this again.")
        return password

    def _need_a_person(self, otherwise: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError(otherwise)
