"""A PostgreSQL server of a test's own: one to be stopped, to be listened to, or with a certificate."""

import atexit
import contextlib
import functools
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from as_roles import ROLES, url_of
from django.conf import settings as project
from django.db import close_old_connections, connections
from django.test import Client
from with_postgres import Server, run_folder

from timerecord.env import Environment

SECONDS = 120  # nothing here takes that long
# As initdb leaves it; with roles and schema; with the tables as well.
Content = Literal["nothing", "roles", "tables"]
ENTRY = re.compile(r"^<<(?=\w*\|)", re.MULTILINE)


class OwnServer:
    """A server that runs, with temporary data; `restart` keeps them."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @property
    def url(self) -> str:
        """The address of its superuser."""
        return self.server.environment()["DATABASE_URL"]

    def give(self, name: str, content: str) -> str:
        """Put a file into its data folder, as PostgreSQL wants a private key; return the name."""
        path = self.server.data / name
        path.write_text(content)
        path.chmod(0o600)
        if self.server.account:
            os.chown(path, self.server.account["user"], self.server.account["group"])
        return name

    @property
    def role_urls(self) -> dict[str, str]:
        """The variables by which the three roles find it, once `install` has made them."""
        return {name: url_of(role, self.url) for name, role in ROLES.items()}

    def install(self, content: Content) -> None:
        """Make roles and schema, then tables, as an installation does."""
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        command = migrate if content == "tables" else ["true"]
        done = subprocess.run(
            [
                *(sys.executable, "script/as_roles.py", "--tests", "--", *command),
            ],
            cwd=project.BASE_DIR,
            env={
                **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                "LOCAL_TRIAL": "true",
                "SECRET_KEY": project.SECRET_KEY,
                "DATABASE_URL": self.url,
            },
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def in_place_of_the_tests(self, *aliases: str) -> Iterator[None]:
        """Have the connections of this thread lead there, as an installation's do."""
        before = {alias: connections[alias] for alias in aliases}
        for alias in aliases:
            variable = "DATABASE_URL" if alias == "default" else f"DATABASE_{alias.upper()}_URL"
            found = Environment(self.role_urls).database(variable)
            connections[alias] = connections.create_connection(alias)
            names = ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
            there = {**connections[alias].settings_dict, **{name: found.get(name, {}) for name in names}}
            connections[alias].settings_dict = there
        try:
            yield
        finally:
            for alias in aliases:
                connections[alias].close()
                connections[alias] = before[alias]

    def restart(self) -> None:
        """Stop it, whoever is connected, and start it again: all connections are dead after that."""
        self.server.stop()
        self.server.start()

    def said(self) -> list[str]:
        """Return the entries of its log since it was started, several lines each, as `role|text`."""
        text = self.server.log.read_text(encoding="utf-8", errors="replace")
        return [entry.strip() for entry in ENTRY.split(text)]


@contextlib.contextmanager
def port_kept() -> Iterator[int]:
    """Yield a port of 127.0.0.1 for a server that cannot choose one: nobody else gets it meanwhile.

    Linux lets a server listen where another socket is bound and does not listen, if both say SO_REUSEADDR,
    but chooses no such port for anybody. PostgreSQL and Java say so.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


@contextlib.contextmanager
def own_server(
    prepare: Callable[[OwnServer], None] | None = None, *, content: Content = "nothing", **settings: object
) -> Iterator[OwnServer]:
    """Run a server with these settings; `prepare` is called before it starts, when its data are there."""
    with run_folder() as (run, lock):
        given = {"log_line_prefix": "<<%u|", **settings}
        own = OwnServer(Server(None, run, [lock], fast=True, settings=given))
        # With owners and modes, as only root's copy of another account's files has them.
        subprocess.run(["cp", "-a", _made_once(content), own.server.data], check=True)
        if prepare:
            prepare(own)
        own.server.start()
        try:
            yield own
        finally:
            own.server.stop()


@functools.cache
def _made_once(content: Content) -> Path:
    """Return the data folder of a stopped server, to be copied as long as this process lasts."""
    kept = contextlib.ExitStack()
    atexit.register(kept.close)  # what is killed leaves it to the next `run_folder`
    run, lock = kept.enter_context(run_folder())
    server = Server(None, run, [lock], fast=True)
    server.initialise()
    if content != "nothing":
        server.start()
        try:
            OwnServer(server).install(content)
        finally:
            server.stop()
    return server.data


def answer(client: Client, method: str, url: str, data: dict[str, object] | None = None) -> int:
    """Return the status of a request that begins and ends as one of a server does."""
    close_old_connections()
    response = getattr(client, method)(url, data)
    if response.streaming:
        b"".join(response)
    close_old_connections()
    return int(response.status_code)
