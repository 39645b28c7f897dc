"""The inside of script/server: migrations, demo data, then the pages, in one process.

    serve.py HOST PORT

The database is DATABASE_URL's. What the screen ends with is the address and the demo accounts.
"""

import errno
import io
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timerecord.settings")

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.core.management.commands.runserver import Command as RunServer
from django.db import OperationalError, connection, connections

EVERYWHERE = ("0.0.0.0", "::")


class Pages(RunServer):
    """Django's server, which calls on_bind once it listens."""

    banner = ""

    def on_bind(self, server_port: int) -> None:  # noqa: ARG002 the port is the one that was asked for
        """Print the address and the accounts."""
        print(self.banner, flush=True)


def fail(text: str) -> NoReturn:
    """Stop with one line on standard error and exit status 1."""
    sys.exit(f"script/server: {text}")


def check_address(host: str, port: int) -> None:
    """Exit with a message if the server could not listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                fail(f"port {port} is in use; take another: script/server {port + 1}")
            fail(f"cannot listen on {host}, port {port}: {problem.strerror}")


def add_demo_data() -> str:
    """Add the demo data if they are missing; return what seed_demo says, which names the accounts.

    Where other data is, seed_demo refuses: that is said, and the server starts all the same.
    """
    said = io.StringIO()
    try:
        call_command("seed_demo", stdout=said, stderr=said)
    except CommandError as refusal:
        return f"No demo data: {refusal}"
    return said.getvalue().strip()


def forget_other_roles() -> None:
    """Serve as an installation does: without a way to any role but the application's."""
    for alias in ("owner", "import"):
        if alias in connections:
            connections[alias].close()
            del connections[alias], connections.settings[alias]
    settings.DATABASE_ADMIN_URL = ""
    for name in ("DATABASE_ADMIN_URL", "DATABASE_OWNER_URL", "DATABASE_IMPORT_URL", "ROLE_PASSWORD"):
        os.environ.pop(name, None)


def main() -> None:
    """Do as the module says, until Ctrl-C or SIGTERM."""
    host, port_text = sys.argv[1:]
    if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
        fail(f"{port_text!r} is no port; usage: script/server [PORT]")
    check_address(host, int(port_text))
    if host in EVERYWHERE:  # asked for: any name of this machine will do, a phone's way to it included
        os.environ.setdefault("ALLOWED_HOSTS", "*")
    shown = "127.0.0.1" if host in EVERYWHERE else host
    address = f"http://[{shown}]:{port_text}" if ":" in shown else f"http://{shown}:{port_text}"
    os.environ.setdefault("APP_BASE_URL", address)  # links in mails
    try:
        django.setup()
        connection.ensure_connection()
    except ImproperlyConfigured as problem:
        sys.exit(f"timerecord cannot start.\n{problem}")
    except OperationalError as problem:
        fail(f"cannot reach the database of DATABASE_URL: {str(problem).splitlines()[0]}")
    print("Bringing the database up to date", flush=True)
    call_command("migrate", interactive=False, verbosity=0)
    if settings.SESSION_STORE == "dynamodb":
        print("Looking after the table of sessions in DynamoDB", flush=True)
        try:
            call_command("session_store", "create", stdout=io.StringIO())
        except CommandError as problem:
            fail(f"SESSION_STORE=dynamodb: {problem}")
    demo = add_demo_data()
    forget_other_roles()
    pages = Pages()
    pages.banner = f"\n{demo}\n\ntimerecord is ready: {address}/   (Ctrl-C stops it)"
    listen = f"[{host}]" if ":" in host else host
    # No reloader: it is a second process, which would outlive a kill -9 of the first.
    call_command(pages, f"{listen}:{port_text}", use_reloader=False)


if __name__ == "__main__":
    # SIGTERM ends it like Ctrl-C, at any point.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
