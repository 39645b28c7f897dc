"""Nothing that the application says to PostgreSQL pins a connection of RDS Proxy to it.

What pins is in https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html. PostgreSQL's
own log of statements is read, after a walk through every page.
"""

import re
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlparse
import time_machine
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoDbBlocker

from accounts.models import RoleCode, User
from attendance.models import WorkSession
from tenants import scope
from tenants.database import APP, SCHEMA
from tests.conftest import EVERYTHING, PASSWORD
from tests.postgresql import OwnServer, answer, own_server
from tests.tenancy.protection import URLS, Guard, Protection
from tests.tenancy.world import NOW, World, make_world

NEW_PASSWORD = "another long passphrase"
LITERAL = re.compile(r"\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'", re.IGNORECASE)
PINNING: dict[str, re.Pattern[str]] = {
    what: re.compile(pattern, re.IGNORECASE)
    for what, pattern in {
        "a setting of the session": r"^(SET(?!\s+(LOCAL|TRANSACTION|CONSTRAINTS)\b)|RESET|DISCARD)\b",
        "set_config for the session": r"\bset_config\s*\((?!.*,\s*true\s*\))",
        "a cursor": r"^(DECLARE|FETCH|MOVE|CLOSE)\b",
        "a prepared statement": r"^(PREPARE(?!\s+TRANSACTION)|EXECUTE|DEALLOCATE)\b",
        "a notification": r"^(UN)?LISTEN\b",
        "a lock of the session": r"\bpg_(try_)?advisory_(lock|unlock)",
        "a sequence by hand": r"\b(nextval|setval|currval|lastval)\s*\(",
        "a temporary object": r"\b(CREATE(\s+OR\s+REPLACE)?(\s+(LOCAL|GLOBAL))?|INTO)\s+TEMP|\bpg_temp\b",
    }.items()
}
# A statement that was prepared by the protocol has a name here.
NAMED = re.compile(r"^\s*LOG:\s+execute (?!<unnamed>)")
STATEMENT = re.compile(r"^\s*LOG:\s+(?:statement|execute [^:]*):\s*", re.DOTALL)


def pins(entries: list[str]) -> list[str]:
    """Return what of the application's entries of the log would pin, each with its statement."""
    found = []
    for entry in entries:
        role, _, text = entry.partition("|")
        if role != APP or not STATEMENT.match(text):
            continue
        if NAMED.match(text):
            found.append(f"a prepared statement: {text}")
        for statement in sqlparse.split(LITERAL.sub("''", STATEMENT.sub("", text))):
            plain = sqlparse.format(statement, strip_comments=True).strip()
            found += [f"{what}: {statement}" for what, pattern in PINNING.items() if pattern.search(plain)]
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with own_server(content="tables", log_statement="all") as own:
        yield own


@pytest.fixture
def listening(server: OwnServer, django_db_blocker: DjangoDbBlocker) -> Iterator[Callable[[], list[str]]]:
    """Lead the application to that server; what it says to it from now on."""
    with django_db_blocker.unblock(), server.in_place_of_the_tests("default"):
        already = len(server.said())
        yield lambda: server.said()[already:]


PINNING_SQL = {
    "SET work_mem = '8MB'": "a setting of the session",
    "SET SESSION statement_timeout = 1000": "a setting of the session",
    "SET TIME ZONE 'Asia/Tokyo'": "a setting of the session",
    "SET LOCAL work_mem = '8MB'; SET work_mem = '9MB'": "a setting of the session",
    "/* ; */ SET ROLE NONE": "a setting of the session",
    "RESET work_mem": "a setting of the session",
    "DISCARD PLANS": "a setting of the session",
    "SELECT set_config('timerecord.scope', 'x', false)": "set_config for the session",
    "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT": "a cursor",
    "PREPARE p AS SELECT 1": "a prepared statement",
    "LISTEN punches": "a notification",
    "SELECT pg_advisory_lock(1)": "a lock of the session",
    "SELECT pg_try_advisory_lock_shared(2)": "a lock of the session",
    "SELECT nextval('users_id_seq')": "a sequence by hand",
    "SELECT 1 WHERE false AND setval('users_id_seq', 1) > 0": "a sequence by hand",
}
HARMLESS_SQL = [
    "SET LOCAL work_mem = '8MB'; SET LOCAL timerecord.scope = '; SET x = 1; DECLARE'",
    "SELECT set_config('timerecord.scope', 'x', true)",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT E'\\' ; LISTEN x'",
]


class TestWhatWouldBeFound:
    @pytest.mark.parametrize("statement", PINNING_SQL)
    def test_each_thing_that_pins(self, listening: Callable[[], list[str]], statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        assert [found.partition(":")[0] for found in pins(listening())] == [PINNING_SQL[statement]]

    def test_a_temporary_table_which_the_role_may_not_even_make(
        self, listening: Callable[[], list[str]]
    ) -> None:
        with connection.cursor() as cursor, pytest.raises(Exception, match="permission denied"):
            cursor.execute("CREATE TEMPORARY TABLE pinned ()")
        assert [found.partition(":")[0] for found in pins(listening())] == ["a temporary object"]

    def test_what_the_driver_prepares(self, listening: Callable[[], list[str]]) -> None:
        connection.ensure_connection()
        connection.connection.prepare_threshold = 0  # psycopg's own default is 5, Django's is never
        psycopg.Cursor(connection.connection).execute("SELECT %s::text", ["x"])
        assert pins(listening())[0].startswith("a prepared statement:")

    def test_an_iterator_with_cursors_of_the_server(
        self, listening: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", False)
        with scope.everything("a test asks for rows one by one"):
            list(User.objects.in_scope().iterator())
        assert {found.partition(":")[0] for found in pins(listening())} == {"a cursor"}

    @pytest.mark.parametrize("statement", HARMLESS_SQL)
    def test_but_not_what_ends_with_the_transaction(
        self, listening: Callable[[], list[str]], statement: str
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        assert any(entry.startswith(f"{APP}|") for entry in listening())
        assert pins(listening()) == []


def visit_everything(world: World, visitor: str) -> dict[str, int]:
    """Ask for every URL, by GET and then by POST; return the statuses of the former."""
    client = Client(raise_request_exception=False)
    client.force_login(world.people[visitor].user)
    said = {}

    def url_of(name: str, protection: Protection) -> str:
        with scope.everything("a test builds an address"):
            return reverse(name, kwargs=protection.kwargs(world))

    for name, protection in URLS.items():
        said[name] = answer(client, "get", url_of(name, protection), {})
    for name, protection in URLS.items():
        if name != "accounts:sign_out":
            with scope.everything("a test fills in a form"):
                data = protection.data(world)
            assert answer(client, "post", url_of(name, protection), data) < 500, name
            if "end" in name or "sign_out" in name:
                client.force_login(world.people[visitor].user)
    return said


class Newcomer:
    """Somebody who does from the beginning what people do, as far as a form leads somewhere."""

    def __init__(self, code: str) -> None:
        self.client = Client()
        self.code = code

    def post(self, name: str, **data: object) -> None:
        status = answer(self.client, "post", reverse(name), data)
        assert status in (302, 303), (name, status)

    def follow_mail(self, path: str) -> None:
        """Open the newest link of that kind."""
        call_command("housekeeping", verbosity=0)
        links = re.findall(rf"https?://[^/\s]+(/{path}/\S+)", "".join(str(m.body) for m in mail.outbox))
        assert answer(self.client, "get", links[-1], {}) == 302

    def lives_here(self, email: str) -> None:
        person = {"last_name": "森", "first_name": "桜子", "email": email, "password": PASSWORD}
        self.post("accounts:register", code=self.code, **person)
        self.post("accounts:sign_out")
        self.post("accounts:sign_in", email=email, password=PASSWORD)
        self.post("attendance:clock_in", seen=0)
        with scope.everything("a test looks"):
            running = WorkSession.objects.in_scope().get(user__email=email)
        self.post("attendance:clock_out", seen=running.pk, confirmed="1")
        self.post("accounts:sign_out")
        self.post("accounts:password_forgot", email=email)
        self.follow_mail("password/reset")
        self.post("accounts:password_reset", new_password=NEW_PASSWORD)


def test_a_walk_through_the_whole_application(listening: Callable[[], list[str]]) -> None:
    with time_machine.travel(NOW, tick=False):
        with scope.enter(EVERYTHING):
            world = make_world()
            code = RoleCode.objects.in_scope().filter(tenant=world.here)[0].code
        email = "sakurako@example.com"
        Newcomer(code).lives_here(email)
        said = visit_everything(world, "own_admin")
        wanted = {
            name: protection.unless.get(("get", "own_admin"), protection.get)
            for name, protection in URLS.items()
            if protection.guard is Guard.ADMIN
        }
        assert {name: said[name] for name in wanted} == wanted
        visit_everything(world, "themselves")
        call_command("housekeeping", verbosity=0)
        call_command("verify_history", verbosity=0)
    with scope.everything("a test looks"):
        session = WorkSession.objects.in_scope().get(user__email=email)
        assert session.end_time is not None
        assert User.objects.in_scope().get(email=email).check_password(NEW_PASSWORD)
    entries = listening()
    assert pins(entries) == []
    spoken = "".join(entries)
    # The log is of this walk.
    for table in ("users", "work_sessions", "sessions", "password_resets", "errands", "audit_events"):
        assert f'"{table}"' in spoken or f" {table} " in spoken, table
    assert spoken.count("SET LOCAL timerecord.scope") > len(URLS)


def test_no_function_or_trigger_does_what_no_log_shows(
    server: OwnServer, listening: Callable[[], list[str]]
) -> None:
    """What a function does inside is not among the statements."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = %s::regnamespace", [SCHEMA])
        functions = cursor.fetchall()
    assert len(functions) > 10
    inside = re.compile(
        r"set_config\s*\((?!.*,\s*true\s*\))|pg_(try_)?advisory_(lock|unlock)|\b(nextval|setval)\s*\(|\bLISTEN\b|\bTEMP"
    )
    assert [name for name, source in functions if inside.search(source)] == []
