"""What tests of every folder need: a tenant, its people, and pages as they see them."""

import contextlib
import datetime as dt
import functools
import gc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest
from django.contrib.auth import base_user
from django.contrib.auth.hashers import make_password
from django.db import connection, connections
from django.test import Client, TransactionTestCase
from pytest_django import DjangoDbBlocker

from accounts.models import Role, User
from attendance.models import WorkSession
from tenants import scope
from tenants.database import connected_as
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.dynamodb import chosen, forget_everything, make_table, running
from timerecord.core import afterwards

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PASSWORD = "a long enough passphrase"
_hash_once = functools.cache(make_password)

MakeUser = Callable[..., User]
MakeSession = Callable[..., WorkSession]


# Tests arrange and look at rows in this scope; pages set their own, commands too. Nobody has this id.
EVERYTHING = Scope(reach=Reach.ALL, door=Door.COMMAND, user=-1, reason="a test arranges")


BOTH = ["default", "owner"]


@pytest.hookimpl(trylast=True)  # when those that were not asked for are gone
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the owner make the database, and empty it after tests that commit: the application may neither."""
    for n, item in enumerate(items):
        marker = item.get_closest_marker("django_db")
        commits = marker is not None and marker.kwargs.get("transaction")
        if commits or {"live_server", "transactional_db"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.django_db(transaction=True, databases=BOTH), append=False)
        elif n == 0:  # what one test asks for is there for all
            item.add_marker(pytest.mark.django_db(databases=BOTH), append=False)


def connects_as(alias: str, scope: Literal["module", "package"] = "module") -> Any:
    """Return a fixture: the tests of the module do what another role than the application's is there for."""

    @pytest.fixture(scope=scope, autouse=True)
    def as_another_role() -> Iterator[None]:
        with connected_as(alias):
            yield

    return as_another_role


def pytest_collection_finish() -> None:
    """Look through what thousands of tests keep less often: a tenth of their time went into that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


# What migrations leave there, the same for all tests.
LASTING_TABLES = {"django_content_type", "auth_permission", "django_migrations"}


@functools.cache
def _emptying() -> str:
    """Return the statement that empties every table that tests write to."""
    owner = connections["owner"]
    there = set(owner.introspection.django_table_names(only_existing=True, include_views=False))
    names = (owner.ops.quote_name(name) for name in sorted(there - LASTING_TABLES))
    return f"TRUNCATE {', '.join(names)}"


def _empty(_case: TransactionTestCase) -> None:
    """Empty the database after a test that committed.

    Django's own way also makes content types, permissions and rights anew, which takes three times as long.
    """
    with connections["owner"].cursor() as cursor:
        cursor.execute(_emptying())


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Leave no connection open: a database in use cannot be dropped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", _empty)
        yield
    with django_db_blocker.unblock():
        connections.close_all()


@pytest.fixture(scope="session")
def dynamodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator of DynamoDB, one for all tests of a worker."""
    with (
        (tmp_path_factory.mktemp("dynamodb") / "log").open("wb") as log,
        running(log) as address,
    ):
        yield address


@pytest.fixture
def dynamodb(dynamodb_server: str) -> Iterator["DynamoDBClient"]:
    """Keep sessions and tokens in an empty table of DynamoDB."""
    forget_everything(dynamodb_server)
    with chosen(dynamodb_server) as client:
        make_table(client)
        yield client


@pytest.fixture(params=["database", "dynamodb"])
def session_store(request: pytest.FixtureRequest) -> str:
    """Keep sessions and tokens in each of the stores in turn; return its name."""
    if request.param == "dynamodb":
        request.getfixturevalue("dynamodb")
    return str(request.param)


@pytest.fixture(autouse=True)
def _everything_is_in_scope(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the test itself see all rows: on its own connection and in its own context, nowhere else."""
    uses_database = {"db", "transactional_db", "live_server"} & set(request.fixturenames)
    if "without_scope" in request.fixturenames or not (
        uses_database or request.node.get_closest_marker("django_db")
    ):
        yield
        return
    request.getfixturevalue("_django_db_helper")
    with seeing(EVERYTHING):
        yield


@pytest.fixture(autouse=True)
def _what_follows_answers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it done in the thread that closes the answer: another one sees nothing of a test's transaction."""
    if "in_a_thread_of_its_own" not in request.fixturenames:
        monkeypatch.setattr(afterwards, "_begin", afterwards._do)


@pytest.fixture
def in_a_thread_of_its_own() -> None:
    """Ask for this to have what follows an answer done as a server does it."""


@pytest.fixture
def without_scope() -> None:
    """Ask for this to begin without any scope, as every process does."""


def platform_scope(user: User) -> Scope:
    """What the pages of a platform admin are shown in."""
    return Scope(reach=Reach.PLATFORM, door=Door.ADMIN, user=user.pk)


def own_scope(user: User) -> Scope:
    """What the pages of this user are shown in."""
    return Scope(reach=Reach.OWN, door=Door.CLOCK, tenant=user.tenant_id, user=user.pk)


@contextlib.contextmanager
def seeing(wanted: Scope) -> Iterator[None]:
    """Set a scope for the session of this connection: also where each statement is a transaction.

    Afterwards the one around it, if any, is as it was.
    """
    before = scope._current.get(None)
    _say(wanted)
    token = scope._current.set(wanted)
    try:
        yield
    finally:
        scope._current.reset(token)
        if connection.connection and not connection.needs_rollback:
            _say(before)


def _say(wanted: Scope | None) -> None:
    with connection.cursor() as cursor:
        if wanted is None:
            cursor.execute("RESET timerecord.scope; RESET timerecord.seal")
        else:
            text = scope.text_of(wanted)
            cursor.execute("SET timerecord.scope = %s; SET timerecord.seal = %s", [text, scope.seal(text)])


@pytest.fixture
def tenant(db: None) -> Tenant:
    return Tenant.objects.create(name="青空商店")


@pytest.fixture
def other_tenant(db: None) -> Tenant:
    return Tenant.objects.create(name="港工業")


@pytest.fixture
def make_user(tenant: Tenant) -> MakeUser:
    """Make a user of the tenant (an employee, unless told otherwise), whose password is PASSWORD."""
    made = 0

    def make(**fields: object) -> User:
        nonlocal made
        made += 1
        given: dict[str, object] = {
            "email": f"employee{made}@example.com",
            "tenant": tenant,
            "role": Role.EMPLOYEE,
            "last_name": "佐藤",
            "first_name": "花子",
            **fields,
        }
        return _create_user(**given)

    return make


def _create_user(**fields: Any) -> User:
    """Store a user whose password is PASSWORD: hashed once for all, as each time costs as much as a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_user, "make_password", _hash_once)
        return User.objects.create_user(password=PASSWORD, **fields)


@pytest.fixture
def employee(make_user: MakeUser) -> User:
    return make_user()


@pytest.fixture
def employee_client(client: Client, employee: User) -> Client:
    """A browser, without scripts, in which the employee is signed in."""
    client.force_login(employee)
    return client


@pytest.fixture
def operator(db: None) -> User:
    """A platform admin."""
    return _create_user(
        email="operator@example.com",
        role=Role.PLATFORM_ADMIN,
        last_name="運営",
        first_name="太郎",
    )


@pytest.fixture
def platform(operator: User) -> Client:
    """A browser, without scripts, in which the platform admin is signed in."""
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def make_session(employee: User) -> MakeSession:
    """Make a work session of the employee from times such as "2026-11-20 09:00" in Japan; no end: running.

    Not by the clock: pages mark it as corrected.
    """

    def make(
        start: str, end: str | None = None, *, user: User | None = None, **fields: object
    ) -> WorkSession:
        return WorkSession.objects.create(
            user=user or employee, start_time=japan(start), end_time=japan(end) if end else None, **fields
        )

    return make


def japan(text: str) -> dt.datetime:
    """Return the instant of a wall-clock time in Japan: "2026-11-20 09:00", or with seconds."""
    return dt.datetime.fromisoformat(f"{text}+09:00")
