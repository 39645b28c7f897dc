"""Run a command with the database roles of the local trial, made or mended before.

    as_roles.py [--tests] -- COMMAND...

DATABASE_URL names the database, and an administrator of it. The command finds the administrator in
DATABASE_ADMIN_URL, the application's role in DATABASE_URL, the owner in DATABASE_OWNER_URL and the
import's role in DATABASE_IMPORT_URL; ROLE_PASSWORD is the password of all three. Where DATABASE_OWNER_URL
is set already, the roles are somebody else's business: nothing is made.

--tests lets the owner make databases, which pytest does.
"""

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

ROLES = {
    "DATABASE_URL": "timerecord_app",
    "DATABASE_OWNER_URL": "timerecord_owner",
    "DATABASE_IMPORT_URL": "timerecord_import",
}


def url_of(role: str, admin: str) -> str:
    """Return the administrator's URL with another role and the roles' password in it."""
    parts = urlsplit(admin)
    password = os.environ.get("ROLE_PASSWORD", "")
    server = parts.netloc.rpartition("@")[2]
    user = f"{role}:{quote(password, safe='')}" if password else role
    return urlunsplit(parts._replace(netloc=f"{user}@{server}"))


def make_roles(*, tests: bool) -> None:
    """Make or mend the roles; exit with one line if that fails."""
    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import CommandError, call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timerecord.settings")
    try:
        django.setup()
        call_command("bootstrap_database", verbosity=0)
    except ImproperlyConfigured as problem:
        sys.exit(f"timerecord cannot start.\n{problem}")
    except CommandError as problem:
        sys.exit(f"cannot prepare the database of DATABASE_URL: {problem}")
    if tests:
        import psycopg

        with psycopg.connect(os.environ["DATABASE_ADMIN_URL"], autocommit=True) as on:
            on.execute("ALTER ROLE timerecord_owner CREATEDB")


def main() -> None:
    """Do as the module says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--tests", action="store_true", help="let the owner make databases")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if not os.environ.get("DATABASE_OWNER_URL"):
        admin = os.environ["DATABASE_ADMIN_URL"] = os.environ["DATABASE_URL"]
        os.environ |= {name: url_of(role, admin) for name, role in ROLES.items()}
        make_roles(tests=options.tests)
    os.execvp(options.command[0], options.command)  # the command that was asked for


if __name__ == "__main__":
    main()
