"""Platform admins at the same tenant at the same moment, and people who clock in meanwhile."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test import Client

from accounts import platform, support
from accounts.models import AuditEvent, SupportAccess, User
from accounts.platform import TenantError
from attendance import actions, archives
from attendance.actions import Outcome
from attendance.import_models import ImportSource, QuarantinedRow
from attendance.models import NO_SESSION, WorkSession
from tenants import scope
from tenants.models import Tenant, TenantStatus
from tenants.scope import Door, Reach, Scope
from tests.attendance.test_platform_pages import CREATE, asked, at, closing_code
from tests.concurrency.racing import all_at_once
from tests.conftest import MakeSession, MakeUser, own_scope, platform_scope
from timerecord.core import clock

pytestmark = pytest.mark.django_db(transaction=True)

Does = Callable[[threading.Barrier], int]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def posts(user: User, url: str, data: dict[str, str]) -> Does:
    client = signed_in(user)

    def send(barrier: threading.Barrier) -> int:
        barrier.wait()
        return client.post(url, data).status_code

    return send


def test_one_form_sent_many_times_at_once_makes_one_tenant(
    operator: User,
) -> None:
    data = asked(signed_in(operator))
    answers = Counter(all_at_once([posts(operator, CREATE, data) for _ in range(8)]))
    assert answers == {200: 1, 303: 7}
    assert Tenant.objects.count() == 1
    assert User.objects.exclude(pk=operator.pk).count() == 1


def test_forms_with_one_address_make_one_tenant(
    operator: User,
) -> None:
    forms = [asked(signed_in(operator), name=f"会社{n}") for n in range(8)]
    answers = Counter(all_at_once([posts(operator, CREATE, data) for data in forms]))
    assert answers == {200: 8}  # seven of them with the error at its field
    assert Tenant.objects.count() == User.objects.exclude(pk=operator.pk).count() == 1


def test_suspended_by_many_at_once_it_is_suspended_once(
    operator: User,
    tenant: Tenant,
) -> None:
    before = tenant.session_epoch
    all_at_once([posts(operator, at(tenant, "suspend"), {"reason": f"{n}"}) for n in range(8)])
    tenant.refresh_from_db()
    assert (tenant.status, tenant.session_epoch) == (TenantStatus.SUSPENDED, before + 1)
    assert AuditEvent.objects.filter(tenant_id=tenant.pk, kind="tenants.update").count() == 1


def test_many_accesses_asked_for_at_once_are_one(
    operator: User,
    tenant: Tenant,
) -> None:
    data = {"reason": "x", "minutes": "15"}
    all_at_once([posts(operator, at(tenant, "access"), data) for _ in range(8)])
    assert SupportAccess.objects.count() == 1


@pytest.mark.parametrize("round_", range(6))
def test_no_punch_is_lost_and_none_comes_after_the_closing(
    operator: User,
    tenant: Tenant,
    make_user: MakeUser,
    round_: int,
) -> None:
    """People whose requests had begun before the suspension clock in while the tenant is closed."""
    people = [make_user() for _ in range(6)]
    Tenant.objects.filter(pk=tenant.pk).update(status=TenantStatus.SUSPENDED)
    with scope.enter(platform_scope(operator)):
        support.begin(tenant, operator, reason="x", minutes=15)
    looking = Scope(reach=Reach.SUPPORT, door=Door.ADMIN, tenant=tenant.pk, user=operator.pk)
    with scope.enter(looking):
        export, facts = archives.archive(tenant, clock.now())
        code = closing_code(export.file)
        export.file.close()
        support.record("export.archive", **facts)

    def punches(user: User) -> Callable[[threading.Barrier], bool]:
        def punch(barrier: threading.Barrier) -> bool:
            barrier.wait()
            with scope.enter(own_scope(user)):
                return actions.clock_in(user, seen=NO_SESSION).outcome is Outcome.CLOCKED_IN

        return punch

    def closes(barrier: threading.Barrier) -> bool:
        barrier.wait()
        try:
            with scope.enter(platform_scope(operator)):
                platform.close(tenant, code)
        except TenantError:
            return False
        return True

    is_closed, *clocked_in = all_at_once([closes, *(punches(user) for user in people)])
    tenant.refresh_from_db()
    assert tenant.status == (TenantStatus.CLOSED if is_closed else TenantStatus.SUSPENDED)
    # Closed: the archive, which had none, has all there is. Not closed: whoever was told so, has clocked in.
    assert WorkSession.objects.count() == sum(clocked_in)
    assert not (is_closed and any(clocked_in))
    assert is_closed or any(clocked_in)


def elsewhere(operator: User, do: Callable[[], object]) -> None:
    """Do something in another request of the platform admin's, which is over at once."""

    def wanted(_barrier: threading.Barrier) -> None:
        with scope.enter(platform_scope(operator)):
            do()

    all_at_once([wanted])


@pytest.mark.parametrize("is_another_begun", [False, True])
def test_no_archive_through_an_access_that_ends_meanwhile(
    operator: User,
    tenant: Tenant,
    make_session: MakeSession,
    monkeypatch: pytest.MonkeyPatch,
    is_another_begun: bool,
) -> None:
    """From when it is over, rows are missing, and the next one does not bring them back."""
    make_session("2026-11-02 09:00", "2026-11-02 17:30")
    with scope.enter(platform_scope(operator)):
        access = support.begin(tenant, operator, reason="x", minutes=15)
    read = archives._sessions

    def end_before_reading(ids: list[int]) -> Iterator[Sequence[Any]]:
        elsewhere(operator, lambda: support.end(access))
        assert list(read(ids)) == []
        if is_another_begun:
            elsewhere(operator, lambda: support.begin(tenant, operator, reason="y", minutes=15))
        return iter([])

    monkeypatch.setattr(archives, "_sessions", end_before_reading)
    answer = signed_in(operator).get(f"/platform/support/{tenant.pk}/archive.zip")
    assert (answer.status_code, answer["Location"]) == (303, at(tenant, "access"))
    assert not AuditEvent.objects.filter(kind__in=["access.archive", "export.archive"]).exists()


def test_refused_rows_are_not_shown_without_a_trace(
    operator: User, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ImportSource.objects.create(digest="d" * 64, file_name="old.db", generation=3)
    QuarantinedRow.objects.create(
        source=source, tenant=tenant.pk, table_name="users", row={"email": "refused@example.com"},
        reason_code="taken", digest=b"x",
    )  # fmt: skip
    with scope.enter(platform_scope(operator)):
        access = support.begin(tenant, operator, reason="x", minutes=15)
    read = QuerySet.in_bulk

    def read_and_end(rows: QuerySet[Any], *ids: Any) -> dict[Any, Any]:
        found = read(rows, *ids)
        elsewhere(operator, lambda: support.end(access))
        return found

    page = signed_in(operator).get(at(tenant, "quarantine")).content.decode()
    assert "refused@example.com" in page
    monkeypatch.setattr(QuerySet, "in_bulk", read_and_end)
    page = signed_in(operator).get(at(tenant, "quarantine")).content.decode()
    assert "refused@example.com" not in page
    assert AuditEvent.objects.filter(kind="access.quarantine").count() == 1
