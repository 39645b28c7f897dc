"""What is done to tenants, users and role codes, and who signs in, leaves a trace without secrets."""

from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import Client

from accounts import audit
from accounts.models import AuditEvent, Role, RoleCode, User, UserStatus
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import PASSWORD, MakeUser, own_scope

pytestmark = pytest.mark.django_db

SIGN_IN = {"email": "employee1@example.com", "password": PASSWORD}


def events(kind: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(kind=kind).order_by("pk"))


def everything() -> str:
    """Return all that the trail says, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(to_jsonb(e)::text, '') FROM audit_events AS e")
        return str(cursor.fetchone()[0])


def test_a_new_user(employee: User, tenant: Tenant) -> None:
    (event,) = events("users.insert")
    assert (event.tenant_id, event.subject_id, event.before) == (tenant.pk, employee.pk, None)
    assert event.after is not None
    assert event.after["email"] == employee.email
    assert "password_hash" not in event.after
    assert (event.door, event.reason) == ("command", "a test arranges")


def test_only_what_changed_and_of_a_secret_only_that(
    employee: User, make_user: MakeUser, tenant: Tenant
) -> None:
    boss = make_user(role=Role.TENANT_ADMIN, last_name="山田", first_name="太郎")
    admin = Scope(
        reach=Reach.TENANT,
        door=Door.ADMIN,
        tenant=tenant.pk,
        user=boss.pk,
        address="203.0.113.7",
        reason="left the company",
    )
    with scope.enter(admin):
        User.objects.filter(pk=employee.pk).update(status=UserStatus.SUSPENDED, password="a new hash")
    (event,) = events("users.update")
    assert event.before == {"status": "active", "session_epoch": 0}
    assert event.after == {"status": "suspended", "session_epoch": 1, "password_hash": "changed"}
    assert (event.actor_id, event.actor_name, event.actor_role) == (boss.pk, "山田 太郎", "tenant_admin")
    assert (event.door, event.address, event.reason) == ("admin", "203.0.113.7", "left the company")
    assert "a new hash" not in everything()


def test_what_is_no_event(employee: User) -> None:
    User.objects.filter(pk=employee.pk).update(failed_attempts=3)
    User.objects.filter(pk=employee.pk).update(last_name=employee.last_name)
    assert events("users.update") == []


def test_a_tenants_settings(tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Seoul")
    (event,) = events("tenants.update")
    assert (event.tenant_id, event.subject_id) == (tenant.pk, tenant.pk)
    assert (event.before, event.after) == ({"time_zone": "Asia/Tokyo"}, {"time_zone": "Asia/Seoul"})


def test_role_codes_never_show_the_code(tenant: Tenant) -> None:
    code = RoleCode.objects.create(tenant=tenant, code="ABCDEFGHJKMNPQRS")
    RoleCode.objects.filter(pk=code.pk).update(usage_count=1)
    RoleCode.objects.filter(pk=code.pk).update(is_disabled=True, code="TUVWXYZ223456789")
    RoleCode.objects.filter(pk=code.pk).delete()
    kinds = AuditEvent.objects.filter(kind__startswith="role_codes").order_by("pk")
    made, changed, gone = kinds
    assert [event.kind for event in kinds] == ["role_codes.insert", "role_codes.update", "role_codes.delete"]
    assert changed.after == {"is_disabled": True, "code": "changed"}
    assert {event.subject_id for event in (made, changed, gone)} == {code.pk}
    assert "ABCDEFGHJKMNPQRS" not in everything()
    assert "TUVWXYZ223456789" not in everything()


def test_a_deletion_that_follows_from_another(other_tenant: Tenant) -> None:
    RoleCode.objects.create(tenant=other_tenant, code="ABCDEFGHJKMNPQRS")
    other_tenant.delete()
    (event,) = events("role_codes.delete")
    assert event.tenant_id is not None
    assert len(events("tenants.delete")) == 1


def test_many_at_once_are_an_event_each(make_user: MakeUser) -> None:
    people = [make_user() for _ in range(3)]
    User.objects.update(must_change_password=True)
    assert [event.subject_id for event in events("users.update")] == [user.pk for user in people]


def test_signing_in_and_out(client: Client, employee: User, tenant: Tenant) -> None:
    agent = {"user-agent": "Browser/1.0"}
    client.post("/sign-in", SIGN_IN, REMOTE_ADDR="2001:db8::1", headers=agent)
    client.post("/sign-out", REMOTE_ADDR="2001:db8::1", headers=agent)
    for kind in ("sign_in", "sign_out"):
        (event,) = events(kind)
        assert (event.subject_id, event.actor_id, event.tenant_id) == (employee.pk, employee.pk, tenant.pk)
        assert (event.address, event.device, event.door) == ("2001:db8::1", "Browser/1.0", "clock")
    assert PASSWORD not in everything()


@pytest.mark.parametrize(
    ("wrong", "is_known"),
    [
        ({"password": "a wrong passphrase"}, True),
        ({"email": " EMPLOYEE1@example.com "}, None),
        ({"email": "nobody@example.com"}, False),
        ({"email": "a wrong passphrase"}, False),
    ],
)
def test_failing_to_sign_in(
    client: Client, employee: User, wrong: dict[str, str], is_known: bool | None
) -> None:
    client.post("/sign-in", {**SIGN_IN, **wrong})
    found = [event.subject_id for event in events("sign_in.failed")]
    assert found == ([] if is_known is None else [employee.pk if is_known else None])
    assert "a wrong passphrase" not in everything()


@pytest.mark.parametrize("kind", ["users.update", "sign_in.", "sign", "SIGN_IN", "passwords", ""])
def test_nobody_pretends_what_triggers_record(employee: User, kind: str) -> None:
    with pytest.raises(ProgrammingError, match="is not for this scope to record"), transaction.atomic():
        audit.record(kind, employee.pk)


def test_nobody_records_anything_about_somebody_out_of_reach(employee: User, make_user: MakeUser) -> None:
    colleague = make_user()
    with (
        pytest.raises(ProgrammingError, match="is not for this scope to record"),
        scope.enter(own_scope(employee)),
    ):
        audit.record("sign_in", colleague.pk)


@pytest.mark.parametrize("statement", [
    "UPDATE audit_events SET reason = 'x'",
    "DELETE FROM audit_events",
    "TRUNCATE audit_events",
    "INSERT INTO audit_events (at, kind, door) VALUES (now(), 'x', 'clock')",
    "SELECT who_changes()",
])  # fmt: skip
def test_the_application_only_reads_it(employee: User, statement: str) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_who_reads_it(employee: User, make_user: MakeUser, other_tenant: Tenant) -> None:
    stranger = make_user(tenant=other_tenant)
    colleague = make_user()

    def seen(wanted: Scope) -> set[Any]:
        with scope.enter(wanted):
            return set(AuditEvent.objects.filter(kind="users.insert").values_list("subject_id", flat=True))

    admin = Scope(reach=Reach.TENANT, door=Door.ADMIN, tenant=employee.tenant_id, user=-2)
    assert seen(own_scope(employee)) == {employee.pk}
    assert seen(admin) == {employee.pk, colleague.pk}
    assert seen(own_scope(stranger)) == {stranger.pk}


def test_what_somebody_did_in_a_tenant_they_have_left_is_not_theirs_to_read(
    make_user: MakeUser, employee: User, other_tenant: Tenant
) -> None:
    boss = make_user(role=Role.TENANT_ADMIN)
    admin = Scope(reach=Reach.TENANT, door=Door.ADMIN, tenant=boss.tenant_id, user=boss.pk, reason="x")
    with scope.enter(admin):
        User.objects.filter(pk=employee.pk).update(status=UserStatus.SUSPENDED)
    (event,) = AuditEvent.objects.filter(actor_id=boss.pk)

    def seen() -> list[list[AuditEvent]]:
        with scope.enter(own_scope(boss)):
            return [
                [row for row in found if row.pk == event.pk]
                for found in (AuditEvent.objects.all(), AuditEvent.objects.in_scope())
            ]

    assert seen() == [[event], [event]]
    boss.tenant = other_tenant
    boss.save()
    assert seen() == [[], []]


def test_in_scope_alone_hides_it(employee: User, other_tenant: Tenant) -> None:
    """The first barrier, without the second."""
    moved = own_scope(employee).replace(tenant=other_tenant.pk)
    with scope.enter(moved):
        conditions = str(AuditEvent.objects.in_scope().query)
    assert f'"actor_id" = {employee.pk}' in conditions
    assert f'"tenant_id" = {other_tenant.pk}' in conditions


def test_a_role_code_is_made_by_somebody_of_the_tenant(
    make_user: MakeUser, tenant: Tenant, other_tenant: Tenant
) -> None:
    boss, stranger = make_user(role=Role.TENANT_ADMIN), make_user(tenant=other_tenant)
    platform = make_user(tenant=None, role=Role.PLATFORM_ADMIN)
    RoleCode.objects.create(tenant=tenant, code="PPPPPPPPPPPPPPPP", created_by=platform)
    admin = Scope(reach=Reach.TENANT, door=Door.ADMIN, tenant=tenant.pk, user=boss.pk, reason="x")
    with scope.enter(admin):
        RoleCode.objects.create(tenant=tenant, code="ABCDEFGHJKMNPQRS", created_by=boss)
        RoleCode.objects.create(tenant=tenant, code="TUVWXYZ223456789")
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            RoleCode.objects.create(tenant=tenant, code="ABCDEFGH23456789", created_by=stranger)
        # What the platform made is still the tenant's to close, and who goes is forgotten.
        RoleCode.objects.filter(code__startswith="PPPP").update(is_disabled=True)
        with scope.everything("a test"):
            boss.delete()
    assert list(RoleCode.objects.order_by("code").values_list("code", "created_by", "is_disabled")) == [
        ("ABCDEFGHJKMNPQRS", None, False),
        ("PPPPPPPPPPPPPPPP", platform.pk, True),
        ("TUVWXYZ223456789", None, False),
    ]


def test_a_refused_change_leaves_none(employee: User, make_user: MakeUser) -> None:
    other = make_user()
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=other.pk).update(email=employee.email)
    assert events("users.update") == []
