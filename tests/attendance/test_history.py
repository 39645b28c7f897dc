"""Each change to a work session leaves one row of history, and people can read it."""

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import IntegrityError, NotSupportedError, ProgrammingError, connection, transaction
from django.test import Client
from django.utils import timezone, translation

from accounts.models import Role, User
from attendance import history
from attendance.history import Change, State
from attendance.import_models import ImportSource, QuarantinedRow
from attendance.models import WorkSession, WorkSessionHistory
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import EVERYTHING, MakeSession, MakeUser, japan, own_scope
from tests.html import Page, ja

pytestmark = pytest.mark.django_db

NOW = japan("2026-11-20 12:00")
ZERO = bytes(32)
COLUMNS = (
    "user_id seq work_session_id operation at actor_id actor_name actor_role door address reason before after"
)

MakeAdmin = Callable[[], User]


def rows(user: User) -> list[WorkSessionHistory]:
    return list(WorkSessionHistory.objects.filter(user=user).order_by("seq"))


def admin_of(user: User, admin: User, reason: str | None = "打刻忘れ") -> Scope:
    return Scope(
        reach=Reach.TENANT,
        door=Door.ADMIN,
        tenant=user.tenant_id,
        user=admin.pk,
        address="203.0.113.7",
        reason=reason,
    )


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="山田", first_name="太郎")


def refused(error: pytest.ExceptionInfo[BaseException]) -> str | None:
    cause = error.value.__cause__
    assert isinstance(cause, psycopg.Error)
    return cause.diag.constraint_name


# --- what a change leaves -------------------------------------------------------------------------------


def test_a_punch_in_and_out_by_the_employee(employee: User) -> None:
    before = timezone.now()
    with scope.enter(own_scope(employee).replace(address="2001:db8::1")):
        session = WorkSession.objects.create(user=employee, start_time=japan("2026-11-20 09:00:01"))
        WorkSession.objects.filter(pk=session.pk).update(end_time=japan("2026-11-20 18:00"))
    came, went = rows(employee)
    created_at = session.created_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    running = {
        "start_time": "2026-11-20T00:00:01.000000Z",
        "end_time": None,
        "end_unknown": False,
        "created_at": created_at,
    }
    assert (came.seq, came.operation, came.before, came.after) == (1, "insert", None, running)
    ended = {**running, "end_time": "2026-11-20T09:00:00.000000Z"}
    assert (went.seq, went.operation, went.before, went.after) == (2, "update", running, ended)
    for row in (came, went):
        assert (row.work_session_id, row.actor_id, row.door) == (session.pk, employee.pk, "clock")
        assert (row.actor_name, row.actor_role) == ("佐藤 花子", "employee")
        assert (row.address, row.reason) == ("2001:db8::1", None)
    assert before <= came.at <= went.at


def test_a_correction_and_a_deletion_by_the_tenant_admin(
    employee: User, admin: User, make_session: MakeSession
) -> None:
    session = make_session("2026-11-19 09:00", "2026-11-19 17:30")
    with scope.enter(admin_of(employee, admin)):
        WorkSession.objects.filter(pk=session.pk).update(end_time=japan("2026-11-19 18:00"))
        with scope.because("二重登録"):
            session.delete()
    made, changed, gone = rows(employee)
    assert [row.operation for row in (made, changed, gone)] == ["insert", "update", "delete"]
    assert (changed.before, changed.after) == (made.after, gone.before)
    assert gone.after is None
    assert (changed.reason, gone.reason) == ("打刻忘れ", "二重登録")
    for row in (changed, gone):
        assert (row.actor_id, row.actor_name, row.actor_role) == (admin.pk, "山田 太郎", "tenant_admin")
        assert (row.door, row.address) == ("admin", "203.0.113.7")


def test_all_of_a_work_session_that_can_change_is_kept(make_session: MakeSession, employee: User) -> None:
    make_session("2026-11-19 09:00")
    columns = {field.column for field in WorkSession._meta.concrete_fields}
    (row,) = rows(employee)
    assert {*(row.after or ()), "id", "user_id"} == columns


def test_rows_that_a_statement_leaves_as_they_were_leave_none(
    employee: User, make_session: MakeSession
) -> None:
    make_session("2026-11-18 09:00", end_unknown=True)
    changed = make_session("2026-11-19 09:00")
    WorkSession.objects.update(end_unknown=True)
    WorkSession.objects.update(end_unknown=True)
    assert [row.operation for row in rows(employee)] == ["insert", "insert", "update"]
    assert rows(employee)[-1].work_session_id == changed.pk


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(
            lambda user: WorkSession.objects.bulk_create(
                [WorkSession(user=user, start_time=day, end_time=day)
                 for day in (NOW, NOW + dt.timedelta(days=1), NOW + dt.timedelta(days=2))]
            ),
            id="bulk_create",
        ),
        pytest.param(
            lambda user: connection.cursor().execute(
                "INSERT INTO work_sessions (user_id, start_time, end_time)"
                " SELECT %s, t, t"
                " FROM generate_series('2026-11-01'::timestamptz, '2026-11-03', '1 day') AS t",
                [user.pk],
            ),
            id="SQL",
        ),
        pytest.param(
            lambda user: connection.cursor().execute(
                "MERGE INTO work_sessions AS s USING generate_series(1, 3) AS n ON false"
                " WHEN NOT MATCHED THEN INSERT (user_id, start_time, end_time)"
                " VALUES (%s, '2026-11-01'::timestamptz + n * '1 day'::interval,"
                " '2026-11-01'::timestamptz + n * '1 day'::interval)",
                [user.pk],
            ),
            id="MERGE",
        ),
    ],
)  # fmt: skip
def test_every_way_to_write(employee: User, write: Callable[[User], object]) -> None:
    write(employee)
    ids = list(WorkSession.objects.order_by("pk").values_list("pk", flat=True))
    assert [(row.seq, row.work_session_id) for row in rows(employee)] == list(enumerate(ids, start=1))
    assert len(ids) == 3


def test_a_digest_can_be_computed_without_this_database(employee: User, make_session: MakeSession) -> None:
    """SHA-256 over the digest before and a JSON array, written as PostgreSQL writes jsonb."""
    with scope.because('数え直し "x"'):
        make_session("2026-11-18 09:00", "2026-11-18 17:00")
        make_session("2026-11-19 09:00").delete()
    before = ZERO
    for row in rows(employee):
        given: list[Any] = [getattr(row, name) for name in COLUMNS.split()]
        given[4] = row.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for state in (n for n in (11, 12) if given[n]):
            # The keys of jsonb are ordered by their length, then by their bytes.
            given[state] = {key: given[state][key] for key in sorted(given[state], key=lambda k: (len(k), k))}
        text = json.dumps(given, ensure_ascii=False)
        assert bytes(row.previous) == before
        before = hashlib.sha256(before + text.encode()).digest()
        assert bytes(row.digest) == before
    assert len(rows(employee)) == 3


def test_each_employee_has_a_chain(make_user: MakeUser, make_session: MakeSession) -> None:
    one, two = make_user(), make_user()
    for user in (one, two, one):
        day = 1 + WorkSession.objects.count()
        make_session(f"2026-11-{day:02} 09:00", f"2026-11-{day:02} 10:00", user=user)
    assert ([row.seq for row in rows(one)], [row.seq for row in rows(two)]) == ([1, 2], [1])


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, "", " \n", "　", "\u00a0", "\u200b\u2060", " \ufeff\t"])
@pytest.mark.parametrize("door", [Door.ADMIN, Door.COMMAND])
def test_a_correction_needs_a_reason(
    employee: User, admin: User, make_session: MakeSession, door: Door, reason: str | None
) -> None:
    session = make_session("2026-11-19 09:00")
    without = admin_of(employee, admin, reason).replace(door=door)
    for write in (
        lambda: WorkSession.objects.filter(pk=session.pk).update(end_unknown=True),
        lambda: WorkSession.objects.filter(pk=session.pk).delete(),
        lambda: WorkSession.objects.create(user=employee, start_time=NOW, end_time=NOW),
    ):
        with pytest.raises(IntegrityError) as error, scope.enter(without):
            write()
        assert refused(error) == "work_sessions_reason_required"
    assert len(rows(employee)) == 1


def test_nobody_writes_without_being_named(employee: User) -> None:
    with pytest.raises(IntegrityError) as error, scope.enter(EVERYTHING.replace(user=None)):
        WorkSession.objects.create(user=employee, start_time=NOW)
    assert refused(error) == "work_sessions_actor_required"


def test_the_clock_is_for_ones_own_work_sessions(employee: User, make_user: MakeUser) -> None:
    clock = EVERYTHING.replace(door=Door.CLOCK, user=make_user().pk)
    with pytest.raises(IntegrityError) as error, scope.enter(clock):
        WorkSession.objects.create(user=employee, start_time=NOW)
    assert refused(error) == "work_sessions_clock_required"


@pytest.mark.parametrize(
    "changes",
    [
        {"start_time": japan("2026-11-20 06:00"), "end_time": japan("2026-11-20 18:00")},
        {"created_at": japan("2026-11-20 08:00"), "end_time": japan("2026-11-20 18:00")},
        {"end_unknown": True},
    ],
)
def test_through_the_clock_a_work_session_ends_and_nothing_else(
    employee: User, make_session: MakeSession, changes: dict[str, Any]
) -> None:
    make_session("2026-11-20 09:00")
    with pytest.raises(IntegrityError) as error, scope.enter(own_scope(employee)):
        WorkSession.objects.update(**changes)
    assert refused(error) == "work_sessions_clock_required"


@pytest.mark.parametrize("reason", ["打刻忘れ", "x", "。", "　電車の遅れ ", "가", "\U0001f62d"])
def test_what_counts_as_a_reason(employee: User, admin: User, make_session: MakeSession, reason: str) -> None:
    make_session("2026-11-19 09:00")
    with scope.enter(admin_of(employee, admin, reason)):
        WorkSession.objects.update(end_unknown=True)
    assert rows(employee)[-1].reason == reason


@pytest.mark.parametrize("column", ["user_id", "id"])
def test_a_work_session_never_changes_hands_nor_its_id(
    make_session: MakeSession, make_user: MakeUser, column: str
) -> None:
    session, other = make_session("2026-11-19 09:00"), make_user()
    with (
        pytest.raises(IntegrityError) as error,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"UPDATE work_sessions SET {column} = %s WHERE id = %s",
            [other.pk + 10**6 * (column == "id"), session.pk],
        )
    assert refused(error) == "work_sessions_identity_required"


def test_the_door_of_the_import_is_not_for_the_application(employee: User) -> None:
    text = scope.text_of(EVERYTHING).replace('"door":"command"', '"door":"import"')
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(scope.SAY, [text, scope.seal(text)])
        with pytest.raises(ProgrammingError, match="is open to the role timerecord_import only"):
            WorkSession.objects.create(user=employee, start_time=NOW)
        transaction.set_rollback(True)


@pytest.mark.parametrize("statement", [
    "UPDATE work_session_history SET reason = 'x'",
    "DELETE FROM work_session_history",
    "TRUNCATE work_session_history",
    "INSERT INTO work_session_history (user_id, seq, operation, at, door, previous, digest)"
    " VALUES (1, 1, 'insert', now(), 'clock', '', '')",
    "SELECT nextval('work_session_history_id_seq')",
    "ALTER TABLE work_sessions DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
])  # fmt: skip
def test_the_application_only_reads_it(make_session: MakeSession, statement: str) -> None:
    make_session("2026-11-19 09:00")
    with (
        pytest.raises(
            (ProgrammingError, psycopg.errors.InsufficientPrivilege), match=r"permission denied|must be owner"
        ),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_what_an_import_refused_is_the_tenants_to_read_only(employee: User, admin: User) -> None:
    source = ImportSource.objects.create(digest="0" * 64, file_name="x", generation=1)
    row = QuarantinedRow.objects.create(
        source=source, tenant=employee.tenant_id, table_name="users", row={}, reason_code="x", digest=b""
    )
    with scope.enter(admin_of(employee, admin)):
        assert [found.pk for found in QuarantinedRow.objects.all()] == [row.pk]
        assert QuarantinedRow.objects.update(reason="x") == 0
        assert QuarantinedRow.objects.all()._raw_delete("default") == 0
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            QuarantinedRow.objects.create(
                source=source, tenant=employee.tenant_id, table_name="x", row={}, reason_code="x", digest=b"1"
            )
    assert QuarantinedRow.objects.update(reason="x") == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_deletion_at_a_higher_level_is_refused(make_session: MakeSession, level: str) -> None:
    session = make_session("2026-11-19 09:00")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        with pytest.raises(NotSupportedError, match=f"cannot be written at the isolation level {level}"):
            session.delete()
        transaction.set_rollback(True)


# --- who may read it --------------------------------------------------------------------------------------


def test_a_session_in_words(
    client: Client,
    employee: User,
    admin: User,
    make_session: MakeSession,
    time_machine: time_machine.TimeMachineFixture,
) -> None:
    session = make_session("2026-11-19 09:00", "2026-11-19 17:30")
    with scope.enter(admin_of(employee, admin)):
        WorkSession.objects.filter(pk=session.pk).update(end_time=japan("2026-11-19 18:00"))
    changed = rows(employee)[-1]
    when = timezone.localtime(changed.at, employee.zone)
    time_machine.move_to(changed.at)
    for reader in (employee, admin):
        client.force_login(reader)
        page = Page(client.get(f"/work-sessions/{session.pk}/history"))
        assert page.heading == ja("History of a work session")
        lines = ["".join(item.itertext()) for item in page.all(".//ol/li")]
        assert len(lines) == 2
        day = f"{when.month}月{when.day}日({'月火水木金土日'[when.weekday()]})"
        assert lines[1] == (
            f"{day} {when:%H:%M}、テナント管理者(山田 太郎)が"
            "終了時刻を 17:30 から 18:00 に変更。理由: 打刻忘れ"
        )


def test_the_list_of_work_sessions_leads_there(employee_client: Client, make_session: MakeSession) -> None:
    session = make_session("2026-11-19 09:00", "2026-11-19 17:30")
    page = Page(employee_client.get("/"))
    (link,) = page.all(".//section[@aria-labelledby='sessions']//tbody//a")
    assert link.get("href") == f"/work-sessions/{session.pk}/history"


def test_whose_it_is_not_gets_404(
    client: Client, make_user: MakeUser, make_session: MakeSession, other_tenant: Tenant
) -> None:
    session = make_session("2026-11-19 09:00")
    url = f"/work-sessions/{session.pk}/history"
    for visitor in (
        make_user(),
        make_user(tenant=other_tenant),
        make_user(tenant=other_tenant, role=Role.TENANT_ADMIN),
        make_user(tenant=None, role=Role.PLATFORM_ADMIN),
    ):
        client.force_login(visitor)
        assert client.get(url).status_code == 404
    client.logout()
    assert client.get(url).status_code == 302


@pytest.mark.parametrize("nonsense", ["0", str(10**30)])
def test_what_never_was_is_404(employee_client: Client, nonsense: str) -> None:
    assert employee_client.get(f"/work-sessions/{nonsense}/history").status_code == 404


def test_it_only_reads(employee_client: Client, make_session: MakeSession) -> None:
    session = make_session("2026-11-19 09:00")
    assert employee_client.post(f"/work-sessions/{session.pk}/history").status_code == 405


def test_a_deleted_session_can_be_read_about(employee_client: Client, make_session: MakeSession) -> None:
    session = make_session("2026-11-19 09:00")
    url = f"/work-sessions/{session.pk}/history"
    session.delete()
    assert len(Page(employee_client.get(url)).all(".//ol/li")) == 2


# --- words ------------------------------------------------------------------------------------------------

STATE = State(japan("2026-11-19 09:00"), japan("2026-11-19 17:30"), False, japan("2026-11-19 17:31"))
CHANGE = Change(
    at=japan("2026-11-20 18:02"),
    operation="update",
    door="admin",
    is_own=False,
    actor_name="山田 太郎",
    actor_role="tenant_admin",
    reason="打刻忘れ",
    before=STATE,
    after=STATE,
)
RUNNING = dataclasses.replace(STATE, end=None)
UNKNOWN = dataclasses.replace(RUNNING, end_unknown=True)
LATER = dataclasses.replace(STATE, end=japan("2026-11-20 06:00"))
SECONDS = dataclasses.replace(STATE, end=japan("2026-11-19 17:30:20"))
MICROSECONDS = dataclasses.replace(STATE, end=STATE.end + dt.timedelta(microseconds=5) if STATE.end else None)
EARLIER = dataclasses.replace(STATE, start=japan("2026-11-19 08:45"))


@pytest.mark.parametrize(
    ("operation", "door", "before", "after", "what"),
    [
        ("insert", "clock", None, RUNNING, "09:00 に出勤を打刻"),
        ("update", "clock", RUNNING, STATE, "17:30 に退勤を打刻"),
        ("insert", "admin", None, STATE, "11月19日(木) 09:00 から 17:30 までの勤務記録を追加"),
        ("insert", "admin", None, UNKNOWN, "11月19日(木) 09:00 から終了時刻不明の勤務記録を追加"),
        ("delete", "admin", RUNNING, None, "11月19日(木) 09:00 から勤務中の勤務記録を削除"),
        ("update", "admin", STATE, LATER, "終了時刻を 17:30 から 翌 06:00 に変更"),
        ("update", "admin", STATE, SECONDS, "終了時刻を 17:30:00 から 17:30:20 に変更"),
        ("update", "admin", STATE, MICROSECONDS, "終了時刻を 17:30:00.000000 から 17:30:00.000005 に変更"),
        ("update", "admin", RUNNING, STATE, "終了時刻を 17:30 に設定"),
        ("update", "admin", STATE, RUNNING, "終了時刻 17:30 を取り消し"),
        ("update", "admin", RUNNING, UNKNOWN, "終了時刻を不明に設定"),
        ("update", "admin", UNKNOWN, RUNNING, "勤務中に戻し"),
        ("update", "admin", UNKNOWN, EARLIER, "開始時刻を 09:00 から 08:45 に変更、終了時刻を 17:30 に設定"),
        (
            "update",
            "admin",
            STATE,
            dataclasses.replace(STATE, created_at=NOW),
            "記録された日時を変更",
        ),
        ("import", "import", None, None, "以前の記録から引き継ぎ"),
    ],
)
def test_what_was_done(
    operation: str, door: str, before: State | None, after: State | None, what: str
) -> None:
    change = dataclasses.replace(CHANGE, operation=operation, door=door, before=before, after=after)
    with translation.override("ja"), timezone.override("Asia/Tokyo"), time_machine.travel(NOW):
        assert change.what == what


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({}, "テナント管理者(山田 太郎)"),
        ({"is_own": True, "actor_name": "佐藤 花子"}, "本人(佐藤 花子)"),
        ({"actor_name": "", "actor_role": ""}, "不明な利用者"),
        ({"door": "import", "actor_name": "", "actor_role": ""}, "サービスの運営者"),
        ({"door": "migration", "actor_name": "", "actor_role": ""}, "サービスの運営者"),
    ],
)
def test_who_did_it(fields: dict[str, Any], who: str) -> None:
    with translation.override("ja"):
        assert dataclasses.replace(CHANGE, **fields).who == who


def test_a_line_without_a_reason(employee: User) -> None:
    change = dataclasses.replace(CHANGE, after=LATER, reason="")
    with translation.override("ja"), timezone.override("Asia/Tokyo"), time_machine.travel(NOW):
        assert change.sentence == (
            "11月20日(金) 18:02、テナント管理者(山田 太郎)が終了時刻を 17:30 から 翌 06:00 に変更。"
        )
    with translation.override("en"), timezone.override("Asia/Tokyo"), time_machine.travel(NOW):
        assert change.sentence == (
            "Fri 20 Nov 18:02, tenant admin (山田 太郎) changed the end from 17:30 to 06:00 next day."
        )


def test_the_page_costs_the_same_whatever_the_history(
    employee: User, make_session: MakeSession, django_assert_num_queries: Any
) -> None:
    session = make_session("2026-11-19 09:00", "2026-11-19 17:00")
    for minute in range(20):
        WorkSession.objects.filter(pk=session.pk).update(end_time=japan(f"2026-11-19 18:{minute:02}"))
    with django_assert_num_queries(3):
        page = history.of_session(session.pk)
    assert page is not None
    assert len(page.changes) == 21
