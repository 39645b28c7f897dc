"""A platform admin reads no record of a tenant without an access that lasts, past either barrier."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test import Client

from accounts import support
from accounts.models import Role, SupportAccess, User, UserStatus
from attendance.import_models import QuarantinedRow
from attendance.models import WorkSession, WorkSessionHistory
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.tenancy.protection import TABLES
from tests.tenancy.test_every_url import readable
from tests.tenancy.world import NOW, World, take_the_first_barrier_away

RECORDS = ("work_sessions", "work_session_history")
PAGES = ("", "employees/{user}/months/2026-11/", "archive.zip")


@pytest.fixture
def client(world: World) -> Client:
    client = Client()
    client.force_login(world.platform_admin.user)
    return client


def looking(world: World, tenant: Tenant) -> Scope:
    return Scope(reach=Reach.SUPPORT, door=Door.ADMIN, tenant=tenant.pk, user=world.platform_admin.user.pk)


def seen(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # a name of this file
        return int(cursor.fetchone()[0])


def lasting(world: World, tenant: Tenant) -> SupportAccess:
    with scope.enter(world.platform_admin.platform):
        return support.begin(tenant, world.platform_admin.user, reason="asked to", minutes=60)


def shown(client: Client, tenant: Tenant, user: User) -> list[tuple[int, str]]:
    found = []
    for page in PAGES:
        answer: Any = client.get(f"/platform/support/{tenant.pk}/{page.format(user=user.pk)}")
        content = answer.getvalue() if answer.streaming else answer.content
        found.append((answer.status_code, readable(content)))
    return found


@pytest.mark.parametrize("barriers", ["both", "the second alone"])
def test_pages_show_nothing_without_an_access_and_everything_with_one(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, barriers: str
) -> None:
    if barriers != "both":
        take_the_first_barrier_away(monkeypatch)
    other = world.other_employee
    marks = other.marks - world.minutes
    for status, text in shown(client, world.there, other.user):
        assert status == 303
        assert {mark for mark in marks if mark in text} == set()
    lasting(world, world.there)
    found = shown(client, world.there, other.user)
    assert [status for status, _text in found] == [200, 200, 200]
    assert all(str(other.user.last_name) in found[n][1] for n in (0, 2))
    assert {mark for mark in marks if ":" in mark} & set(found[1][1].split())


class TestSecondBarrier:
    """`in_scope()` does nothing here."""

    @pytest.fixture(autouse=True)
    def without_the_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        take_the_first_barrier_away(monkeypatch)

    def test_there_is_something_to_leak(self, world: World) -> None:
        assert all(seen(table) for table in TABLES)

    def test_the_platform_sees_tenants_and_no_record(self, world: World) -> None:
        with scope.enter(world.platform_admin.platform):
            whose_own = {"password_resets", "sessions", "work_sessions", "work_session_history"}
            assert {table for table in TABLES if seen(table)} - whose_own == {
                "tenants",
                "users",
                "audit_events",
                "support_accesses",
                "import_sources",
                "imported_rows",
            }
            assert not WorkSession.objects.exists()
            assert not WorkSessionHistory.objects.exists()
            assert set(User.objects.values_list("role", flat=True)) == {"tenant_admin", "platform_admin"}

    @pytest.mark.parametrize("whose", ["here", "there"])
    def test_records_are_seen_while_an_access_lasts(self, world: World, whose: str) -> None:
        tenant: Tenant = getattr(world, whose)
        with scope.enter(looking(world, tenant)):
            expected = 4 + 2 if whose == "here" else 0
            assert WorkSession.objects.count() == expected
            assert (WorkSessionHistory.objects.count() > 0) is bool(expected)
            assert QuarantinedRow.objects.count() == (1 if expected else 0)
            assert set(WorkSession.objects.values_list("user__tenant", flat=True)) <= {tenant.pk}

    def test_nothing_is_changed_through_an_access(self, world: World) -> None:
        with scope.enter(looking(world, world.here)):
            there = WorkSession.objects.exclude(user=world.platform_admin.user)
            assert there.exists()
            assert there.update(end_unknown=False) == 0
            assert there._raw_delete("default") == 0
            assert User.objects.exclude(pk=world.platform_admin.user.pk).update(first_name="x") == 0
            with pytest.raises(DatabaseError), transaction.atomic():
                WorkSession.objects.create(user=world.colleague.user, start_time=NOW)

    def test_it_is_over_by_itself_and_for_who_is_none_any_more(self, world: World) -> None:
        here = looking(world, world.here)
        with scope.enter(here):
            assert WorkSession.objects.exists()
        with transaction.atomic():
            User.objects.filter(pk=world.platform_admin.user.pk).update(status=UserStatus.SUSPENDED)
            with scope.enter(here):
                assert not WorkSession.objects.exists()
            with scope.enter(world.platform_admin.platform):
                assert not Tenant.objects.exists()
            transaction.set_rollback(True)
        with scope.enter(world.platform_admin.platform):
            # As an hour later: what has not been ended by anybody is over.
            assert SupportAccess.objects.filter(tenant=world.here).update(ends_at=F("started_at")) == 1
        with scope.enter(here):
            assert not WorkSession.objects.exists()

    def test_nobody_lengthens_one_or_makes_one_for_others_or_removes_one(self, world: World) -> None:
        me = world.platform_admin
        given = {"tenant": world.there, "user_name": "x", "reason": "x"}
        for who in (me.platform, world.own_admin.admin, me.own, world.other_admin.admin):
            with scope.enter(who):
                for user, minutes in ((me.user, 61), (world.own_admin.user, 30)):
                    with pytest.raises(DatabaseError), transaction.atomic():
                        SupportAccess.objects.create(user=user, minutes=minutes, **given)
                assert SupportAccess.objects.filter(user=me.user)._raw_delete("default") == 0
        with scope.enter(me.platform):
            rows = SupportAccess.objects.filter(tenant=world.here)
            for change in (
                {"ends_at": F("ends_at") + (F("ends_at") - F("started_at"))},
                {"reason": "another"},
                {"tenant": world.there},
                {"user": world.own_admin.user},
                {"minutes": 1},
            ):
                with pytest.raises(DatabaseError), transaction.atomic():
                    rows.update(**change)
            ended = SupportAccess.objects.filter(tenant=world.there)
            with pytest.raises(DatabaseError), transaction.atomic():
                ended.update(ended_at=None)

    @pytest.mark.parametrize(
        "call",
        [
            "tenant_figures(ARRAY[{there}], 10)",
            "tenant_details({there})",
            "tenant_changes({there})",
            "hold_records({there})",
            "quarantine_summary()",
            "quarantine_of({there}, 0, 10)",
            "record_tenant_event('sign_in', '{{}}')",
        ],
    )
    @pytest.mark.parametrize("who", ["own_admin", "themselves", "platform_admin"])
    def test_numbers_of_others_are_the_platforms_alone(self, world: World, call: str, who: str) -> None:
        person = world.people[who]
        for named in (person.own, person.admin if person.user.tenant_id else person.own):
            with (
                scope.enter(named),
                pytest.raises(DatabaseError, match=r"the platform's to read|not for this scope"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(f"SELECT * FROM {call.format(there=world.there.pk)}")

    @pytest.mark.parametrize("who", ["own_admin", "themselves"])
    def test_nobody_else_learns_which_tenants_have_people(self, world: World, who: str) -> None:
        empty = Tenant.objects.create(name="nobody yet")

        def told(named: Scope) -> list[bool]:
            with scope.enter(named), connection.cursor() as cursor:
                cursor.execute("SELECT has_users(%s), has_users(%s)", [world.there.pk, empty.pk])
                return list(cursor.fetchone())

        assert told(world.platform_admin.platform) == [True, False]
        for named in (world.people[who].own, world.people[who].admin):
            assert told(named) == [True, True]

    def test_a_scope_that_only_says_it_is_the_platforms_is_none(self, world: World) -> None:
        for name in ("own_admin", "themselves", "without_tenant"):
            with scope.enter(world.people[name].platform):
                assert set(Tenant.objects.all()) == set()
                assert set(User.objects.values_list("pk", flat=True)) <= {world.people[name].user.pk}
            with scope.enter(looking(world, world.here).replace(user=world.people[name].user.pk)):
                assert not WorkSession.objects.exclude(user=world.people[name].user).exists()


def test_the_platform_makes_nobody_an_admin_of_a_tenant_that_works(world: World) -> None:
    def admin_of(tenant: Tenant, name: str) -> User:
        return User(tenant=tenant, email=f"{name}@example.com", username=name, role=Role.TENANT_ADMIN)

    with scope.enter(world.platform_admin.platform):
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            admin_of(world.there, "intruder").save()
        admin_of(Tenant.objects.create(name="a new one"), "first").save()
