"""Two tenants full of rows that could leak, each with marks by which a leak is recognised."""

import dataclasses
import datetime as dt
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.db import connection
from psycopg import sql

from accounts.models import Errand, PasswordReset, Role, RoleCode, SupportAccess, User, UserStatus
from accounts.session_store import SessionStore
from attendance.import_models import ImportedRow, ImportSource, QuarantinedRow
from attendance.models import WorkSession
from tenants import scope
from tenants.models import Tenant
from tenants.querysets import ScopedQuerySet
from tenants.scope import Door, Reach, Scope
from tests.conftest import EVERYTHING, japan
from timerecord.core.sessions import ADDRESS_KEY, DEVICE_KEY, TENANT_KEY

NOW = japan("2026-11-20 12:00")
DAY = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Person:
    """Somebody, their own scope, and what gives them away."""

    user: User
    marks: frozenset[str]
    past: WorkSession
    running: WorkSession | None = None

    @property
    def own(self) -> Scope:
        return Scope(reach=Reach.OWN, door=Door.CLOCK, tenant=self.user.tenant_id, user=self.user.pk)

    @property
    def platform(self) -> Scope:
        return Scope(reach=Reach.PLATFORM, door=Door.ADMIN, user=self.user.pk)

    @property
    def admin(self) -> Scope:
        return Scope(
            reach=Reach.TENANT, door=Door.ADMIN, tenant=self.user.tenant_id, user=self.user.pk, reason="why"
        )


@dataclasses.dataclass(frozen=True)
class World:
    """Everybody who visits, everybody else, and the marks of the two tenants."""

    here: Tenant
    there: Tenant
    people: dict[str, Person]
    tenant_marks: dict[int, frozenset[str]]
    codes: dict[int, RoleCode]
    # When the history says that all this was made, by PostgreSQL's clock: such a time gives nobody away, nor
    # do its minute and second, which look like a mark's hour and minute twenty times an hour.
    minutes: set[str] = dataclasses.field(default_factory=set)
    # Digests of its tables, by what asks for them, as long as nothing has changed.
    before: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    def __getattr__(self, name: str) -> Person:
        try:
            return self.people[name]
        except KeyError:
            raise AttributeError(name) from None

    def marks(self) -> Iterator[str]:
        for person in self.people.values():
            yield from person.marks
        for marks in self.tenant_marks.values():
            yield from marks


def make_world() -> World:
    """Make both tenants, within a scope of everything."""
    here, there = (
        Tenant.objects.create(name=f"Company-{mark}", contact_email=f"{mark}@company.example")
        for mark in ("qhere", "qthere")
    )
    codes = {
        t.pk: RoleCode.objects.create(tenant=t, code=letter * 16) for t, letter in ((here, "H"), (there, "J"))
    }
    marks = {t.pk: frozenset({str(t.name), str(t.contact_email), codes[t.pk].code}) for t in (here, there)}
    world = World(here, there, {}, marks, codes)
    unusable = make_password(None)

    def person(name: str, tenant: Tenant | None, role: str = Role.EMPLOYEE, *, at_work: bool = False) -> None:
        n = len(world.people)
        tag = name.replace("_", "-")
        user = User.objects.create(
            tenant=tenant,
            role=role,
            username=f"user-{tag}-q",
            email=f"mail-{tag}-q@example.com",
            last_name=f"Last-{tag}-q",
            first_name=f"First-{tag}-q",
            password=unusable,
        )
        hour, minute = 1 + n % 8, 11 + 3 * n
        start = f"{hour:02}:{minute:02}"
        past = WorkSession.objects.create(
            user=user,
            start_time=japan(f"2026-11-19 {start}"),
            end_time=japan(f"2026-11-19 {hour + 1:02}:{minute + 1:02}"),
        )
        running = (
            WorkSession.objects.create(user=user, start_time=japan(f"2026-11-20 {start}"))
            if at_work
            else None
        )
        PasswordReset.objects.create(user=user, token=f"{n:064x}", expires_at=NOW + DAY)
        begin_session(user, f"device-{tag}-q")
        world.people[name] = Person(
            user,
            frozenset(
                {
                    user.username,
                    user.email,
                    str(user.last_name),
                    str(user.first_name),
                    start,
                    f"{hour + 1:02}:{minute + 2:02}",
                    f"because-{tag}-q",
                    f"device-{tag}-q",
                }
            ),
            past,
            running,
        )

    person("themselves", here)
    person("colleague", here)
    person("own_admin", here, Role.TENANT_ADMIN)
    person("suspended", here)
    person("at_work", here, at_work=True)
    person("other_employee", there)
    person("other_admin", there, Role.TENANT_ADMIN)
    person("other_at_work", there, at_work=True)
    person("platform_admin", None, Role.PLATFORM_ADMIN)
    person("without_tenant", None)
    admins = {here.pk: world.own_admin.admin, there.pk: world.other_admin.admin}
    for name, someone in world.people.items():
        admin = admins.get(someone.user.tenant_id or 0)
        with scope.enter((admin or EVERYTHING).replace(reason=f"because-{name.replace('_', '-')}-q")):
            assert someone.past.end_time
            someone.past.end_time += dt.timedelta(minutes=1)
            someone.past.save()
    waits = {"email": world.other_employee.user.email}
    Errand.objects.create(kind="reset", details=waits, due_at=dt.datetime(9999, 1, 1, tzinfo=dt.UTC))
    source = ImportSource.objects.create(digest="d" * 64, file_name="old.db", generation=3)
    for tenant in (here, there):
        code = f"of-{tenant.pk}"
        QuarantinedRow.objects.create(
            source=source, tenant=tenant.pk, table_name="tenants", row={}, reason_code=code, digest=b"x"
        )
        ImportedRow.objects.create(
            source=source, table_name="tenants", legacy_id=tenant.pk, row_id=tenant.pk, digest=b"x"
        )
    operator = world.platform_admin
    with scope.enter(operator.platform):
        for tenant in (here, there):
            access = SupportAccess.objects.create(
                tenant=tenant,
                user=operator.user,
                reason=f"look-{tenant.pk}",
                minutes=60,
            )
    with scope.enter(operator.platform):
        SupportAccess.objects.filter(pk=access.pk).update(ended_at=NOW)  # there; here it lasts
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_char(at AT TIME ZONE 'Asia/Tokyo', shown)"
            " FROM unnest(ARRAY['HH24:MI', 'MI:SS']) AS shown, ("
            "SELECT at FROM work_session_history UNION ALL SELECT at FROM audit_events"
            " UNION ALL SELECT unnest(ARRAY[started_at, ends_at, ended_at]) FROM support_accesses) AS made"
        )
        world.minutes.update(row[0] for row in cursor.fetchall() if row[0])
    world.suspended.user.status = UserStatus.SUSPENDED
    world.suspended.user.save(update_fields=["status"])
    return world


def begin_session(user: User, device: str) -> str:
    """Sign a user in with such a device, in the table `sessions`; return the key that its browser has."""
    session = SessionStore()
    session.update(
        {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
            HASH_SESSION_KEY: user.get_session_auth_hash(),
            TENANT_KEY: user.tenant_id,
            DEVICE_KEY: device,
            ADDRESS_KEY: "192.0.2.1",
        }
    )
    session.create()
    return str(session.session_key)


def tell(wanted: Scope) -> sql.Composed:
    """Return the statements that tell PostgreSQL a scope for the rest of the transaction."""
    text = scope.text_of(wanted)
    return say(text, scope.seal(text))


def say(text: str, seal: str) -> sql.Composed:
    """Return the statements that tell PostgreSQL any scope and any seal."""
    return sql.SQL("SET LOCAL timerecord.scope = {}; SET LOCAL timerecord.seal = {}").format(text, seal)


def told(wanted: Scope | None) -> None:
    """Tell PostgreSQL a scope, or none, for the rest of the transaction; Python is told nothing."""
    text = scope.text_of(wanted) if wanted else ""
    with connection.cursor() as cursor:
        cursor.execute(scope.SAY, [text, scope.seal(text) if wanted else ""])


def take_the_first_barrier_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have querysets find whatever there is, as if nobody had ever written `in_scope()`."""
    monkeypatch.setattr(ScopedQuerySet, "in_scope", lambda queryset: queryset.all())
