"""What the owner of the database did behind the application's back is found.

Which check finds what is said in docs/adr/0009-history.md: the chain, the comparison, or only an anchor.
"""

import datetime as dt
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, ProgrammingError

from accounts.models import User
from attendance import chains, history
from attendance.models import WorkSession, WorkSessionHistory
from tenants import scope
from tenants.models import Tenant
from tests.attendance.tampering import (
    INCOMING,
    REWRITE,
    On,
    connect,
    found,
    no_triggers,
    past_the_foreign_keys,
)
from tests.conftest import MakeSession, MakeUser, japan
from timerecord.core import clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_month_ends")]


@pytest.fixture
def sessions(employee: User, make_session: MakeSession) -> list[WorkSession]:
    """Three work sessions, the second of which was corrected: four rows."""
    made = [make_session(f"2026-11-{day} 09:00", f"2026-11-{day} 17:00") for day in (16, 17, 18)]
    WorkSession.objects.filter(pk=made[1].pk).update(end_time=japan("2026-11-17 17:30"))
    return made


# --- nothing wrong ----------------------------------------------------------------------------------------


def test_nothing_to_find(sessions: list[WorkSession], comes_in: None, make_session: MakeSession) -> None:
    make_session("2026-11-19 09:00").delete()
    WorkSession.objects.filter(pk=1007).update(end_time=japan("2020-01-02 18:00"))
    WorkSession.objects.filter(pk=1014).delete()
    output = StringIO()
    call_command("verify_history", stdout=output)
    assert output.getvalue() == "Nothing to find in 9 rows of 1 employees, 7 work sessions.\n"


def test_no_history_at_all(tenant: Tenant) -> None:
    assert found() == []


def test_the_owner_without_a_scope_is_named_as_such(sessions: list[WorkSession], owner: On) -> None:
    owner.execute(
        "UPDATE work_sessions SET end_unknown = true, end_time = NULL WHERE id = %s", [sessions[0].pk]
    )
    row = WorkSessionHistory.objects.latest("seq")
    assert (row.door, row.actor_id, row.actor_name) == ("migration", None, None)
    assert row.reason == "by the owner of the database, without a scope"
    assert found() == []


def test_a_loader_that_skips_ordinary_triggers_is_recorded(sessions: list[WorkSession]) -> None:
    past_the_foreign_keys("DELETE FROM work_sessions WHERE id = %s", [sessions[0].pk])
    row = WorkSessionHistory.objects.latest("seq")
    assert (row.operation, row.door, row.work_session_id) == ("delete", "migration", sessions[0].pk)
    assert found() == []


# --- the chain --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        "reason = 'another'",
        "actor_name = 'another'",
        "actor_id = NULL",
        "at = at - interval '1 microsecond'",
        'after = after || \'{"end_time": "2026-11-17T09:00:00.000000Z"}\'',
        "before = NULL",
        "address = '203.0.113.9'",
    ],
)
def test_an_edited_row(sessions: list[WorkSession], owner: On, employee: User, edit: str) -> None:
    owner.execute(f"UPDATE work_session_history SET {edit} WHERE seq = 4")
    line = f"employee {employee.pk}, work session {sessions[1].pk}, row 4: the row is not as it was written"
    assert found()[0] == line


def test_an_edited_row_with_a_new_digest(sessions: list[WorkSession], owner: On, employee: User) -> None:
    owner.execute("UPDATE work_session_history SET reason = 'another' WHERE seq = 2")
    owner.execute(
        "UPDATE work_session_history AS h SET digest = work_session_history_digest(h) WHERE seq = 2"
    )
    assert found() == [
        f"employee {employee.pk}, work session {sessions[2].pk}, row 3:"
        " the row does not follow the one before it"
    ]


@pytest.mark.parametrize(("seq", "before"), [(1, 0), (2, 1), (3, 2)])
def test_a_row_removed_from_the_middle(
    sessions: list[WorkSession], owner: On, employee: User, seq: int, before: int
) -> None:
    owner.execute("DELETE FROM work_session_history WHERE seq = %s", [seq])
    assert f"row {seq + 1}: the rows between {before} and this one are gone" in found()[0]


def test_only_the_first_broken_link_of_each_chain_is_named(
    sessions: list[WorkSession], owner: On, make_user: MakeUser, make_session: MakeSession
) -> None:
    make_session("2026-11-17 09:00", user=make_user())
    owner.execute("UPDATE work_session_history SET reason = 'another'")
    assert [line.split(": ")[1] for line in found()] == ["the row is not as it was written"] * 2


def test_a_row_that_cannot_be_read(
    sessions: list[WorkSession], comes_in: None, owner: On, employee: User
) -> None:
    owner.execute("""UPDATE work_session_history SET after = '{"ids": "x"}' WHERE operation = 'import'""")
    owner.execute(REWRITE.format(user=employee.pk))
    assert [line.split(": ")[1] for line in found_with_tenant()] == ["a row cannot be read"]


def test_a_row_that_would_take_for_ever_to_read(
    sessions: list[WorkSession],
    comes_in: None,
    owner: On,
    employee: User,
    make_user: MakeUser,
    make_session: MakeSession,
) -> None:
    """Whose chain is broken is not compared: others are, and what was found is said at once."""
    other = make_session("2026-11-17 09:00", user=make_user())
    endless = """'{"ids": "{[1,9000000000000000000)}"}'"""
    owner.execute(f"UPDATE work_session_history SET after = after || {endless} WHERE operation = 'import'")
    with no_triggers(owner):
        owner.execute("DELETE FROM work_sessions WHERE id = %s", [other.pk])
    assert found() == [
        f"employee {employee.pk}, row 5: the row is not as it was written",
        f"employee {other.user_id}, work session {other.pk}, row 1: it is missing",
    ]


def test_what_was_found_is_said_before_the_comparison(
    sessions: list[WorkSession], owner: On, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.execute("UPDATE work_session_history SET reason = 'another' WHERE seq = 4")
    monkeypatch.setattr(chains, "STATES", "nonsense")
    output = StringIO()
    with pytest.raises(ProgrammingError, match="nonsense"):
        call_command("verify_history", stdout=output)
    assert "row 4: the row is not as it was written" in output.getvalue()


def test_what_an_employee_left_who_was_deleted_past_the_foreign_keys(
    sessions: list[WorkSession], employee: User, tenant: Tenant
) -> None:
    past_the_foreign_keys("DELETE FROM users WHERE id = %s", [employee.pk])
    assert found_with_tenant() == [
        f"employee {employee.pk}: there is no such employee, but 3 work sessions and 4 rows of history"
    ]
    assert found(tenant=tenant.tenant_uid) == []


def found_with_tenant() -> list[str]:
    with scope.everything("a test"):
        return [str(finding) for finding in chains.verify().findings]


# --- the comparison ---------------------------------------------------------------------------------------


def test_a_cut_tail(sessions: list[WorkSession], owner: On, employee: User) -> None:
    owner.execute("DELETE FROM work_session_history WHERE seq = 4")
    assert found() == [
        f"employee {employee.pk}, work session {sessions[1].pk}, row 2: it is not as the history says"
    ]


def test_a_tail_cut_back_to_the_beginning(sessions: list[WorkSession], owner: On, employee: User) -> None:
    owner.execute("DELETE FROM work_session_history")
    assert found() == [
        f"employee {employee.pk}, work session {session.pk}: the history does not know it"
        for session in sessions
    ]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE work_sessions SET end_time = end_time + interval '1 microsecond'",
            "it is not as the history says",
        ),
        ("UPDATE work_sessions SET created_at = now()", "it is not as the history says"),
        ("UPDATE work_sessions SET end_time = NULL, end_unknown = true", "it is not as the history says"),
        ("DELETE FROM work_sessions", "it is missing"),
    ],
)
def test_a_work_session_changed_past_the_triggers(
    sessions: list[WorkSession], owner: On, employee: User, statement: str, problem: str
) -> None:
    with no_triggers(owner):
        owner.execute(f"{statement} WHERE id = %s", [sessions[1].pk])
    assert found() == [f"employee {employee.pk}, work session {sessions[1].pk}, row 4: {problem}"]


def test_a_work_session_given_to_somebody_else(
    sessions: list[WorkSession], owner: On, employee: User, make_user: MakeUser
) -> None:
    taker = make_user()
    with no_triggers(owner):
        owner.execute("UPDATE work_sessions SET user_id = %s WHERE id = %s", [taker.pk, sessions[0].pk])
    assert found() == [
        f"employee {employee.pk}, work session {sessions[0].pk}, row 1: it was given to employee {taker.pk}",
        f"employee {taker.pk}, work session {sessions[0].pk}: the history does not know it",
    ]


def test_a_work_session_made_past_the_triggers(
    sessions: list[WorkSession], owner: On, employee: User
) -> None:
    with no_triggers(owner):
        row = owner.execute(
            "INSERT INTO work_sessions (user_id, start_time) VALUES (%s, now()) RETURNING id", [employee.pk]
        ).fetchone()
    assert row
    assert found() == [f"employee {employee.pk}, work session {row[0]}: the history does not know it"]


def test_a_deleted_one_that_is_there_again(sessions: list[WorkSession], owner: On, employee: User) -> None:
    key = sessions[0].pk
    sessions[0].delete()
    with no_triggers(owner):
        owner.execute(
            "INSERT INTO work_sessions (id, user_id, start_time) VALUES (%s, %s, now())", [key, employee.pk]
        )
    assert found() == [
        f"employee {employee.pk}, work session {key}, row 5: it is there, but recorded as deleted"
    ]


def test_a_change_past_the_triggers_that_an_honest_one_covers(
    sessions: list[WorkSession], owner: On, employee: User
) -> None:
    key = sessions[0].pk
    with no_triggers(owner):
        owner.execute("UPDATE work_sessions SET end_time = end_time + interval '1 hour' WHERE id = %s", [key])
    WorkSession.objects.filter(pk=key).update(end_time=japan("2026-11-16 17:00"))
    assert found() == [
        f"employee {employee.pk}, work session {key}, row 5: it was changed past the history before this row"
    ]


# --- what came by the import --------------------------------------------------------------------------------


def test_the_import_leaves_one_row_an_employee(employee: User, make_user: MakeUser) -> None:
    other = make_user()
    with connect("import") as on:
        on.execute(
            "INSERT INTO work_sessions (user_id, start_time, end_time)"
            " SELECT u, t, t FROM generate_series('2020-01-01'::timestamptz, '2020-01-05', '1 day') AS t,"
            " unnest(%s::bigint[]) AS u",
            [[employee.pk, other.pk]],
        )
    rows = WorkSessionHistory.objects.order_by("user_id")
    assert [(row.user_id, row.seq, row.operation, row.door) for row in rows] == [
        (user.pk, 1, "import", "import") for user in (employee, other)
    ]
    assert [row.after["sessions"] for row in rows if row.after] == [5, 5]
    assert found() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE work_sessions SET end_time = end_time + interval '1 microsecond'",
        "UPDATE work_sessions SET created_at = created_at - interval '1 second'",
        "UPDATE work_sessions SET end_time = NULL, end_unknown = true",
    ],
)
def test_an_imported_one_that_was_changed(employee: User, comes_in: None, owner: On, statement: str) -> None:
    with no_triggers(owner):
        owner.execute(f"{statement} WHERE id = 1021")
    line = "of the 5 work sessions that came, one or more are not as they came"
    assert found() == [f"employee {employee.pk}, row 1: {line}"]
    # An honest correction afterwards does not cover it.
    WorkSession.objects.filter(pk=1021).update(end_time=japan("2020-01-04 19:00"), end_unknown=False)
    assert found() == [f"employee {employee.pk}, row 1: {line}"]


def test_an_imported_one_that_is_missing(employee: User, comes_in: None, owner: On) -> None:
    with no_triggers(owner):
        owner.execute("DELETE FROM work_sessions WHERE id = 1021")
    assert found() == [f"employee {employee.pk}, work session 1021, row 1: it is missing"]


def test_the_import_may_change_what_it_wrote_and_says_so(employee: User, comes_in: None) -> None:
    with connect("import") as on:
        on.execute("DELETE FROM work_sessions WHERE id = 1021")
        on.execute("UPDATE work_sessions SET end_unknown = true, end_time = NULL WHERE id = 1028")
        # It comes once more, with the id that it had.
        on.execute(
            "INSERT INTO work_sessions (id, user_id, start_time) VALUES (1021, %s, '2021-01-01')",
            [employee.pk],
        )
    rows = WorkSessionHistory.objects.order_by("seq")
    assert [(row.operation, row.door) for row in rows] == [
        (operation, "import") for operation in ("import", "delete", "update", "import")
    ]
    assert found() == []


# --- the beginning ------------------------------------------------------------------------------------------


def migrate(app: str, to: str) -> None:
    call_command("migrate", app, to, database="owner", verbosity=0)


@pytest.fixture
def migrates_back() -> Iterator[None]:
    """Whatever becomes of the test, the next one finds all of the schema."""
    yield
    call_command("migrate", database="owner", verbosity=0)


def test_what_was_there_before_the_history_is_its_beginning(
    employee: User, make_user: MakeUser, owner: On, migrates_back: None
) -> None:
    other, idle = make_user(), make_user()
    migrate("attendance", "0006")
    for user, first in ((employee, 1000), (other, 2000)):
        owner.execute(INCOMING.replace("1000", str(first)), [user.pk])
    migrate("attendance", "0008")
    beginnings = list(WorkSessionHistory.objects.order_by("user_id"))
    assert [(row.user_id, row.seq, row.operation, row.door) for row in beginnings] == [
        (user.pk, 1, "import", "migration") for user in (employee, other)
    ]
    assert found() == []
    WorkSession.objects.filter(pk=1021).update(end_time=japan("2020-01-04 19:00"))
    assert found() == []
    with no_triggers(owner):
        owner.execute("UPDATE work_sessions SET created_at = now() WHERE id = 2021")
    assert found() == [
        f"employee {other.pk}, row 1: of the 5 work sessions that came, one or more are not as they came"
    ]
    assert not WorkSessionHistory.objects.filter(user=idle).exists()


def test_a_beginning_alone_can_be_taken_back(employee: User, owner: On, migrates_back: None) -> None:
    migrate("attendance", "0006")
    owner.execute(INCOMING, [employee.pk])
    migrate("attendance", "0008")
    migrate("attendance", "0006")
    migrate("attendance", "0008")
    assert WorkSessionHistory.objects.count() == 1
    assert found() == []


def test_who_writes_before_the_beginning_is_recorded(
    employee: User, make_user: MakeUser, make_session: MakeSession, owner: On, migrates_back: None
) -> None:
    """First states go into it, of the deleted too; what came since does not."""
    other = make_user()
    migrate("attendance", "0006")
    owner.execute(INCOMING, [employee.pk])
    owner.execute(INCOMING.replace("1000", "2000"), [other.pk])
    digest = (
        "SELECT encode(sha256(string_agg("
        "work_session_bytes(id, start_time, end_time, end_unknown, created_at), '' ORDER BY id)), 'hex')"
        " FROM work_sessions WHERE user_id = %s"
    )
    migrate("attendance", "0007")
    as_it_was = owner.execute(digest, [employee.pk]).fetchone()
    WorkSession.objects.filter(pk=1007).update(end_time=japan("2020-01-02 18:00"))
    WorkSession.objects.filter(pk=1007).update(end_time=japan("2020-01-02 18:30"))
    WorkSession.objects.filter(pk=1014).delete()
    make_session("2026-11-19 09:00", "2026-11-19 17:00")
    with connect("import") as on:
        for _ in range(2):
            on.execute(
                "INSERT INTO work_sessions (id, user_id, start_time, end_time)"
                " VALUES (1014, %s, '2021-01-01', '2021-01-02')",
                [employee.pk],
            )
            on.execute("DELETE FROM work_sessions WHERE id = 1014")
        on.execute(
            "INSERT INTO work_sessions (id, user_id, start_time, end_time)"
            " VALUES (3000, %s, '2022-01-01', '2022-01-02')",
            [employee.pk],
        )
    WorkSession.objects.filter(pk=3000).update(end_time=japan("2022-01-01 18:00"))
    for _ in range(2):  # broken off, it is run again
        migrate("attendance", "0008")
        migrate("attendance", "0007")
    migrate("attendance", "0008")
    beginnings = list(WorkSessionHistory.objects.filter(operation="import", door="migration").order_by("pk"))
    assert [row.user_id for row in beginnings] == [employee.pk, other.pk]
    came = beginnings[0].after
    assert came
    assert (came["sessions"], (came["digest"],)) == (5, as_it_was)
    assert found() == []
    lines = history.of_session(1014)
    assert lines
    assert [line.operation for line in lines.changes][:2] == ["import", "delete"]
    WorkSession.objects.filter(pk=1021).update(end_time=japan("2020-01-04 19:00"))
    assert found() == []
    with no_triggers(owner):
        owner.execute("UPDATE work_sessions SET created_at = now() WHERE id = 1028")
    assert found() == [
        f"employee {employee.pk}, row {beginnings[0].seq}:"
        " of the 5 work sessions that came, one or more are not as they came"
    ]


def test_history_that_tells_of_anything_is_not_taken_back(
    sessions: list[WorkSession], migrates_back: None
) -> None:
    with pytest.raises(OperationalError, match="work_session_history holds evidence"):
        migrate("attendance", "0006")
    assert WorkSessionHistory.objects.count() == 4
    assert found() == []


# --- a tenant -----------------------------------------------------------------------------------------------


def test_a_tenants_own(sessions: list[WorkSession], owner: On, tenant: Tenant, other_tenant: Tenant) -> None:
    owner.execute("UPDATE work_session_history SET reason = 'x' WHERE seq = 1")
    assert len(found(tenant=tenant.tenant_uid)) == 1
    assert found(tenant=other_tenant.tenant_uid) == []
    with pytest.raises(CommandError, match="There is no tenant ten_x"):
        call_command("verify_history", tenant="ten_x")


# --- the anchor ---------------------------------------------------------------------------------------------


@pytest.fixture
def anchor(sessions: list[WorkSession], tenant: Tenant, tmp_path: Path) -> Path:
    """The anchor of the month in which the tests' rows are written, exported when it is over."""
    path = tmp_path / "anchor.txt"
    path.write_text(export(tenant), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The month is over. PostgreSQL's clock, which the history goes by, is the true one."""
    monkeypatch.setattr(clock, "now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=40))


def this_month() -> str:
    return f"{dt.datetime.now(dt.timezone(dt.timedelta(hours=9))):%Y-%m}"


def export(tenant: Tenant, **options: str) -> str:
    output = StringIO()
    call_command("export_anchor", tenant=tenant.tenant_uid, month=this_month(), stdout=output, **options)
    return output.getvalue()


def differs(tenant: Tenant, known: str | Path) -> str:
    """Return what the check says on its way to fail."""
    output = StringIO()
    with pytest.raises(CommandError) as error:
        call_command(
            "export_anchor",
            tenant=tenant.tenant_uid,
            month=this_month(),
            check=str(known),
            stdout=output,
        )
    return output.getvalue() + str(error.value)


def test_what_did_not_change_fits(anchor: Path, tenant: Tenant) -> None:
    digest = anchor.read_text(encoding="utf-8").splitlines()[1].removeprefix("digest ")
    name = f"{tenant.tenant_uid} {this_month()}"
    assert export(tenant, check=str(anchor)) == f"{name}: the history fits the anchor {digest}.\n"
    assert export(tenant, check=digest.upper()) == f"{name}: the digest fits.\n"
    assert export(tenant) == anchor.read_text(encoding="utf-8")


def test_chain_and_row_rewritten_together_are_found_by_the_anchor_alone(
    anchor: Path, sessions: list[WorkSession], owner: On, employee: User, tenant: Tenant
) -> None:
    digest = anchor.read_text(encoding="utf-8").splitlines()[1].removeprefix("digest ")
    with no_triggers(owner):
        owner.execute(
            "UPDATE work_sessions SET end_time = '2026-11-16T05:00Z' WHERE id = %s", [sessions[0].pk]
        )
    owner.execute(
        """UPDATE work_session_history SET after = after || '{"end_time": "2026-11-16T05:00:00.000000Z"}'
        WHERE seq = 1"""
    )
    owner.execute(REWRITE.format(user=employee.pk))
    assert found() == []
    assert (
        f"employee {employee.pk}, row 4: the row that ended the chain, or one before it, was rewritten"
        in (differs(tenant, anchor))
    )
    assert "the digest differs" in differs(tenant, digest)


def test_a_made_and_deleted_one_cut_off_is_found_by_the_anchor_alone(
    sessions: list[WorkSession],
    make_session: MakeSession,
    owner: On,
    tenant: Tenant,
    employee: User,
    tmp_path: Path,
) -> None:
    make_session("2026-11-20 09:00").delete()
    path = tmp_path / "anchor.txt"
    path.write_text(export(tenant), encoding="utf-8")
    owner.execute("DELETE FROM work_session_history WHERE seq > 4")
    assert found() == []
    assert f"employee {employee.pk}, row 6: the row that ended the chain is gone" in differs(tenant, path)


def test_rows_with_a_time_of_before_are_found(
    anchor: Path, make_session: MakeSession, employee: User, tenant: Tenant
) -> None:
    """They are of this month still, though the anchor was made as if it were over."""
    make_session("2026-11-20 09:00")
    said = differs(tenant, anchor)
    assert f"employee {employee.pk}, row 4: rows of that month were added after the anchor" in said
    assert "1 findings against the anchor" in said


def test_who_came_into_the_tenant_later_is_noticed_and_no_finding(
    anchor: Path, make_session: MakeSession, make_user: MakeUser, tenant: Tenant, other_tenant: Tenant
) -> None:
    comer = make_user(tenant=other_tenant)
    make_session("2026-11-20 09:00", user=comer)
    User.objects.filter(pk=comer.pk).update(tenant=tenant)
    notice, last = export(tenant, check=str(anchor)).splitlines()
    assert notice.startswith(f"Notice: tenant {tenant.tenant_uid}, employee {comer.pk}: not in the anchor")
    assert "the history fits the anchor" in last


def test_rows_of_later_months_do_not_matter(anchor: Path, tenant: Tenant, owner: On, employee: User) -> None:
    """A row that was written after the month does not belong to the anchor."""
    owner.execute("UPDATE work_session_history SET at = at + interval '40 days' WHERE seq = 4")
    with scope.everything("a test"):
        (head,) = chains.anchor(tenant, this_month()).heads
    assert (head.user_id, head.seq) == (employee.pk, 3)


@pytest.mark.parametrize("edit", [("digest ", "digest 0"), (" 4 ", " 3 "), ("anchor ", "Anchor ")])
def test_an_edited_anchor_is_no_anchor(anchor: Path, tenant: Tenant, edit: tuple[str, str]) -> None:
    anchor.write_text(anchor.read_text(encoding="utf-8").replace(*edit), encoding="utf-8")
    assert "anchor" in differs(tenant, anchor)


def test_an_anchor_of_something_else(
    anchor: Path, tenant: Tenant, other_tenant: Tenant, tmp_path: Path
) -> None:
    assert f"is the anchor of {tenant.tenant_uid}" in differs(other_tenant, anchor)
    assert "No such file" in differs(tenant, tmp_path / "nothing.txt")


def test_a_month_that_is_not_over_has_no_anchor_yet(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: dt.datetime(2026, 11, 30, 14, 59, tzinfo=dt.UTC))
    with pytest.raises(CommandError, match="2026-11 is not over before 2026-11-30 15:00 UTC"):
        call_command("export_anchor", tenant=tenant.tenant_uid, month="2026-11")


@pytest.mark.parametrize("month", ["2026-13", "26-11", "2026-11-01", "x"])
def test_a_month_that_is_none(tenant: Tenant, month: str) -> None:
    with pytest.raises(CommandError, match="month"):
        call_command("export_anchor", tenant=tenant.tenant_uid, month=month)
