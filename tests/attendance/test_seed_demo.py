import datetime as dt
import io
import re
import zoneinfo
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from accounts.models import PasswordReset, Role, RoleCode, User
from attendance import demo
from attendance.calculations import sum_by_day
from attendance.import_models import ImportedRow, ImportSource
from attendance.models import WorkSession
from tenants.models import Tenant
from tests.conftest import connects_as

as_import = connects_as("import")

TOKYO = zoneinfo.ZoneInfo("Asia/Tokyo")
BILLION = 1_000_000_000
TABLES = (Tenant, User, RoleCode, WorkSession)
# Ordinary days and the edges of months, years and leap years; a Sunday and a holiday among them.
TODAYS = [
    dt.date(2026, 3, 11),
    dt.date(2026, 3, 31),
    dt.date(2026, 5, 5),
    dt.date(2026, 8, 16),
    dt.date(2027, 1, 1),
    dt.date(2027, 1, 5),
    dt.date(2027, 5, 31),
    dt.date(2028, 2, 29),
    dt.date(2028, 3, 1),
    dt.date(2029, 12, 31),
]
every_today = pytest.mark.parametrize("today", TODAYS, ids=str)
WEDNESDAY, SUNDAY = dt.date(2026, 3, 11), dt.date(2026, 3, 15)
HOLIDAY = dt.date(2026, 7, 20)


def at(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=TOKYO).astimezone(dt.UTC)


def by_employee(sessions: list[WorkSession]) -> dict[int, list[WorkSession]]:
    found = defaultdict(list)
    for session in sessions:
        found[session.user_id].append(session)
    return dict(found)


def running(rows: demo.Rows) -> set[str]:
    return {session.user.email for session in rows.work_sessions if session.is_running}


def seed(*words: str) -> str:
    said = io.StringIO()
    call_command("seed_demo", *words, stdout=said)
    return said.getvalue()


def everything() -> list[dict[str, Any]]:
    return [dict(row) for table in TABLES for row in table._default_manager.order_by("pk").values()]


# --- what is built, without a database --------------------------------------------------------------


@every_today
def test_nothing_is_later_than_now_and_no_two_overlap(today: dt.date) -> None:
    now = at(today, 15, 7)
    rows = demo.build(today, now)
    assert all(session.start_time <= now for session in rows.work_sessions)
    assert all(session.created_at == session.start_time for session in rows.work_sessions)
    for sessions in by_employee(rows.work_sessions).values():
        assert all(session.start_time < session.end_time <= now for session in sessions if session.end_time)
        taking_time = [session for session in sessions if not session.end_unknown]
        assert all(
            earlier.end_time and earlier.end_time <= later.start_time
            for earlier, later in pairwise(taking_time)
        )


@every_today
def test_it_reaches_back_three_full_months(today: dt.date) -> None:
    rows = demo.build(today, at(today, 23, 59))
    first, last = rows.work_sessions[0].start_time, rows.work_sessions[-1].start_time
    months = (today.year - first.astimezone(TOKYO).year) * 12 + today.month - first.astimezone(TOKYO).month
    assert months == 3
    assert last.astimezone(TOKYO).date() >= today - dt.timedelta(days=5)
    assert max(tenant.created_at for tenant in rows.tenants) < first
    assert max(user.created_at for user in rows.users) < first
    assert max(code.created_at for code in rows.role_codes) < first


@every_today
def test_one_clock_out_is_forgotten_and_one_session_passes_midnight(today: dt.date) -> None:
    sessions = demo.build(today, at(today, 23, 59)).work_sessions
    assert [session.end_time for session in sessions if session.end_unknown] == [None]
    (overnight,) = (
        (session.start_time.astimezone(TOKYO), session.end_time.astimezone(TOKYO))
        for session in sessions
        if session.end_time
        and session.end_time.astimezone(TOKYO).date() > session.start_time.astimezone(TOKYO).date()
    )
    assert (overnight[0].hour, overnight[1].hour) == (21, 7)
    assert overnight[0].date() >= today - dt.timedelta(days=30)


@every_today
def test_hours_are_plausible(today: dt.date) -> None:
    rows = demo.build(today, at(today, 23, 59))
    sessions = by_employee(rows.work_sessions)
    habits = {p.email: p.habit for company in demo.COMPANIES for p in company.people if p.habit}
    assert {user.email for user in rows.users if user.pk in sessions} == set(habits)
    for user in rows.users:
        if user.pk not in sessions:
            continue
        by_month: defaultdict[str, int] = defaultdict(int)
        spans = [(s.start_time, s.end_time) for s in sessions[user.pk] if s.end_time]
        for day, minutes in sum_by_day(spans, TOKYO).items():
            assert 0 < minutes < 15 * 60
            by_month[f"{day:%Y-%m}"] += minutes
        least, most = (100, 230) if habits[user.email].full_time else (30, 100)
        full_months = list(by_month.values())[:3]
        assert [least * 60 < minutes < most * 60 for minutes in full_months] == [True] * 3


def test_punches_look_like_a_clocks() -> None:
    sessions = demo.build(WEDNESDAY, at(WEDNESDAY, 12)).work_sessions
    assert len({session.start_time.second for session in sessions}) == 60
    assert {session.start_time.microsecond for session in sessions} == {0}
    ends = [session.end_time.astimezone(TOKYO) for session in sessions if session.end_time]
    assert sum(end.hour >= 21 for end in ends) >= 10
    days = [session.start_time.astimezone(TOKYO) for session in sessions]
    weekend = sum(day.weekday() >= 5 for day in days)
    assert 0 < weekend < len(days) / 10
    assert not [day for day in days if (day.month, day.day) == (1, 1)]


@pytest.mark.parametrize("hour", [10, 12, 13, 14, 15, 17])
@pytest.mark.parametrize("today", [WEDNESDAY, SUNDAY, HOLIDAY], ids=str)
def test_in_working_hours_somebody_is_at_work_and_somebody_is_free_to_try(today: dt.date, hour: int) -> None:
    at_work = running(demo.build(today, at(today, hour, 20)))
    assert at_work
    assert demo.NEWCOMER not in at_work


@pytest.mark.parametrize("hour", [0, 5])
def test_at_night_nobody_is_at_work(hour: int) -> None:
    assert running(demo.build(WEDNESDAY, at(WEDNESDAY, hour))) == set()


@every_today
def test_the_account_to_start_with_has_not_punched_today(today: dt.date) -> None:
    rows = demo.build(today, at(today, 23, 59))
    latest = max(s.start_time for s in rows.work_sessions if s.user.email == demo.NEWCOMER)
    assert at(today - dt.timedelta(days=10), 0) < latest < at(today, 0)


def test_during_a_day_rows_are_added_and_ended_but_never_change() -> None:
    morning = demo.build(WEDNESDAY, at(WEDNESDAY, 11)).work_sessions
    evening = demo.build(WEDNESDAY, at(WEDNESDAY, 20)).work_sessions
    assert len(evening) > len(morning)
    for early, late in zip(morning, evening, strict=False):
        assert (early.pk, early.user_id, early.start_time) == (late.pk, late.user_id, late.start_time)
        assert early.is_running or early.end_time == late.end_time
    assert any(session.is_running for session in morning)


def test_nobody_could_be_taken_for_real() -> None:
    rows = demo.build(WEDNESDAY, at(WEDNESDAY, 12))
    assert all(user.email.endswith(".example") for user in rows.users)  # reserved by RFC 2606
    assert all(user.username.startswith("demo-") for user in rows.users)
    assert all("デモ" in str(tenant) for tenant in rows.tenants)
    roles = [user.role for user in rows.users]
    assert [roles.count(role) for role in (Role.PLATFORM_ADMIN, Role.TENANT_ADMIN)] == [1, 2]
    assert len(demo.PASSWORD) >= 12


def test_holidays() -> None:
    year = [dt.date(2026, 1, 1) + dt.timedelta(days=n) for n in range(365)]
    assert " ".join(f"{day:%m-%d}" for day in year if demo.is_holiday(day)) == (
        "01-01 01-02 01-03 01-12 02-11 02-23 04-29 05-03 05-04 05-05 07-20 08-11 09-21 10-12 11-03 11-23 "
        "12-30 12-31"
    )


# --- the command --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_databases_get_the_same_rows_on_one_day() -> None:
    found = []
    for hour in (19, 23):  # on a day when nobody works
        with time_machine.travel(at(dt.date(2027, 1, 1), hour), tick=False):
            seed()
        found.append(everything())
        call_command("flush", database="owner", interactive=False, verbosity=0)
    assert len(found[0]) > 1000
    assert found[0] == found[1]


@pytest.mark.django_db
@pytest.mark.parametrize("hour", [0, 15])
@every_today
def test_the_database_takes_it(today: dt.date, hour: int) -> None:
    with time_machine.travel(at(today, hour, 30), tick=False):
        said = seed()
        built = demo.build(today, at(today, hour, 30))
    assert f"as of {today}: 2 tenants, 15 users, {len(built.work_sessions)} work sessions" in said
    assert WorkSession.objects.count() == len(built.work_sessions)
    starts = list(WorkSession.objects.order_by("pk").values_list("start_time", flat=True))
    assert starts == sorted(starts)


@pytest.mark.django_db
def test_ids_leave_room_below_for_a_legacy_file() -> None:
    with connection.cursor() as cursor:
        for table in (*TABLES, PasswordReset):  # as in a new database, whatever ran in this one
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), 1, false)", [table._meta.db_table]
            )
    seed()
    for table in TABLES:
        ids = list(table._default_manager.order_by("pk").values_list("pk", flat=True))
        assert ids == list(range(BILLION, BILLION + len(ids)))
        assert ids
    tenant = Tenant.objects.create(name="new")
    user = User.objects.create_user(email="new@new.example", password=None, tenant=tenant)
    code = RoleCode.objects.create(tenant=tenant, code="ABCDEFGHABCDEFGH")
    now = dt.datetime.now(dt.UTC)
    session = WorkSession.objects.create(user=user, start_time=now)
    reset = PasswordReset.objects.create(user=user, token="0" * 64, expires_at=now)
    assert [row.pk - BILLION for row in (tenant, user, code, reset)] == [2, 15, 2, 0]
    assert session.pk == BILLION + WorkSession.objects.count() - 1


@pytest.mark.django_db
def test_a_sequence_is_never_set_lower() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('tenants', 'id'), %s)", [3 * BILLION])
    seed()
    assert Tenant.objects.create(name="new").pk > 3 * BILLION


@pytest.mark.django_db
def test_the_printed_accounts_get_in() -> None:
    said = seed()
    printed = re.findall(r"\S+@\S+", said)
    (password,) = re.findall(r"^Password of all: (.+)$", said, re.MULTILINE)
    users = [authenticate(email=email, password=password) for email in printed]
    assert {user.role for user in users if isinstance(user, User)} == set(Role.values)
    assert None not in users
    assert re.findall(r"(\S+@\S+) .*<- start here", said) == [demo.NEWCOMER]
    assert said.splitlines()[-1].startswith("Password")


@pytest.mark.django_db
def test_signing_in_does_not_rehash() -> None:
    seed()
    user = User.objects.get(email=demo.NEWCOMER)
    before = user.password
    assert user.check_password(demo.PASSWORD)
    user.refresh_from_db()
    assert user.password == before


@pytest.mark.django_db
def test_one_role_code_is_good() -> None:
    seed()
    now = dt.datetime.now(dt.UTC)
    assert RoleCode.objects.count() == 2
    good = RoleCode.objects.exclude(is_disabled=True).exclude(expires_at__lt=now)
    assert [code.code for code in good] == [demo.USABLE_CODE]


@pytest.mark.django_db
def test_a_second_run_changes_nothing_whatever_was_done_meanwhile() -> None:
    with time_machine.travel(at(WEDNESDAY, 12), tick=False):
        first = seed()
        tried = User.objects.get(email=demo.NEWCOMER)
        WorkSession.objects.create(user=tried, start_time=at(WEDNESDAY, 12))
        tried.email = "another@address.example"
        tried.save()
        Tenant.objects.create(name="made in the trial")
    before = everything()
    with time_machine.travel(at(SUNDAY, 12), tick=False):
        second = seed()
    assert everything() == before
    assert "already" in second
    assert "another@address.example" in second
    assert second.splitlines()[-1] == first.splitlines()[-1]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_add_it_once() -> None:
    def one() -> str:
        try:
            return seed()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        said = [future.result() for future in [pool.submit(one), pool.submit(one)]]
    assert sorted(text.split()[0] for text in said) == ["Added", "The"]
    assert Tenant.objects.count() == 2


@pytest.mark.django_db
def test_all_accounts_are_printed_on_request() -> None:
    with pytest.raises(CommandError, match="no demo data"):
        seed("--accounts")
    seed()
    before = everything()
    assert re.findall(r"\S+@\S+", seed("--accounts")) == demo.emails()
    assert everything() == before


@pytest.mark.django_db
def test_a_day_that_is_over_is_taken_to_its_end() -> None:
    with time_machine.travel(at(SUNDAY, 12), tick=False):
        seed("--today", "2026-03-11")
    assert not WorkSession.objects.running().exists()
    last = WorkSession.objects.latest("start_time")
    assert at(WEDNESDAY, 12) < last.start_time < at(WEDNESDAY, 23)


@pytest.mark.django_db
def test_a_day_in_the_future_is_refused() -> None:
    with (
        time_machine.travel(at(SUNDAY, 12), tick=False),
        pytest.raises(CommandError, match="2026-03-16 is in the future"),
    ):
        seed("--today", "2026-03-16")
    assert everything() == []


def imported(row: Tenant | User) -> None:
    """Note that an import brought the row."""
    source, _new = ImportSource.objects.get_or_create(
        digest="0" * 64, defaults={"file_name": "database.sqlite", "generation": 2}
    )
    ImportedRow.objects.create(
        source=source, table_name=row._meta.db_table, legacy_id=row.pk, row_id=row.pk, digest=b""
    )


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["tenants", "users"])
def test_it_refuses_beside_other_data(table: str) -> None:
    imported(Tenant.objects.create(name="imported"))
    imported(User.objects.create_user(email="imported@old.example", password=None))
    if table == "tenants":
        Tenant.objects.create(name="real")
    else:
        User.objects.create_user(email="real@real.example", password=None)
    before = everything()
    with pytest.raises(CommandError, match=f"No import brought 1 of the {table} .*empty") as refusal:
        seed()
    assert "\n" not in str(refusal.value)
    assert everything() == before


@pytest.mark.django_db
def test_it_goes_beside_what_an_import_brought() -> None:
    tenant = Tenant.objects.create(pk=7, name="imported")
    user = User.objects.create_user(pk=12, email="imported@old.example", password=None, tenant=tenant)
    WorkSession.objects.create(pk=99, user=user, start_time=at(WEDNESDAY, 9))
    imported(tenant)
    imported(user)
    before = everything()
    said = seed()
    assert "Added" in said
    assert [row for row in everything() if row["id"] < BILLION] == before
    assert [user.pk for user in demo.accounts()] == list(range(BILLION, BILLION + 15))


@pytest.mark.django_db
def test_imported_ids_in_the_way_refuse_it_whole() -> None:
    imported(User.objects.create_user(pk=BILLION, email="imported@old.example", password=None))
    before = everything()
    with pytest.raises(
        CommandError, match=r"import brought stands where .*users.*empty database\.$"
    ) as refusal:
        seed()
    assert "\n" not in str(refusal.value)
    assert everything() == before


def test_it_refuses_where_people_use_the_service(db: None) -> None:
    with override_settings(LOCAL_TRIAL=False), pytest.raises(CommandError, match="LOCAL_TRIAL=true"):
        call_command("seed_demo")
    assert not User.objects.exists()
