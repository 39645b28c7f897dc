"""Two invented companies with three months of punches, to try the service with.

All of it follows from the day alone: whoever builds it on the same day gets the same rows. Only what lies
ahead of the present is left out, so that during a day the rows grow and never change.
"""

import datetime as dt
import random
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.hashers import make_password
from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef

from accounts.models import PasswordReset, Role, RoleCode, User
from attendance.calculations import DAY, day_start
from attendance.import_models import ImportedRow
from attendance.models import WorkSession
from tenants.models import Tenant

# Above any legacy file's ids, so that an import after the trial finds its own ids free.
FIRST_ID: Final = 1_000_000_000
# Whoever reads this can sign in: nothing here is meant for an installation that people use.
PASSWORD: Final = "timerecord-demo"  # noqa: S105 it is printed on the screen
# Fixed, for the hash too must be the same for a given day. Long enough to need no rehash at sign-in.
_SALT: Final = "timerecordDemoSaltNotSecret"
_USERNAME: Final = "demo-"
ZONE: Final = zoneinfo.ZoneInfo("Asia/Tokyo")
MONTHS: Final = 3

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = range(7)

Span = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True)
class Habit:
    """How somebody works. Times are local, in hours; chances are per day of work."""

    begins: float = 9
    lunch: float = 12
    ends: float = 18
    days_off: frozenset[int] = frozenset({SATURDAY, SUNDAY})
    works_on_holidays: bool = False
    late: float = 0.06
    sick: float = 0.015
    full_time: bool = True


@dataclass(frozen=True)
class Person:
    """Somebody invented. Without a habit there are no punches."""

    last_name: str
    first_name: str
    email: str
    role: Role = Role.EMPLOYEE
    habit: Habit | None = None


@dataclass(frozen=True)
class Company:
    """An invented tenant; the first of its people is its tenant admin."""

    uid: str
    name: str
    people: tuple[Person, ...]


# Whoever tries the service is to find something to clock in to: no punch today, whatever the hour, and
# what a page has to show besides plain days behind.
NEWCOMER: Final = "sato@aozora.example"

# In working hours somebody is always at work, through lunch too: in the first company on working days, in
# the second on every day but New Year's.
COMPANIES: Final = (
    Company(
        "ten_de3000000001",
        "あおぞら製作所（デモ）",
        (
            Person("小林", "直子", "kobayashi@aozora.example", Role.TENANT_ADMIN),
            Person("佐藤", "花子", NEWCOMER, habit=Habit(late=0.04)),
            Person("鈴木", "太郎", "suzuki@aozora.example", habit=Habit(late=0.1)),
            Person("高橋", "美咲", "takahashi@aozora.example", habit=Habit(lunch=13.5)),
            Person("田中", "健太", "tanaka@aozora.example", habit=Habit(10, 13, 19, late=0.3)),
            Person("渡辺", "由美", "watanabe@aozora.example", habit=Habit(8.5, 12, 17.25, late=0)),
            Person("伊藤", "翔", "ito@aozora.example", habit=Habit(9.5, 12.5, 18.5, late=0.15)),
            Person("山本", "さくら", "yamamoto@aozora.example", habit=Habit(8, 11.5, 17, sick=0.04)),
            Person(
                "中村",
                "大輔",
                "nakamura@aozora.example",
                habit=Habit(
                    10, 12, 15.5, frozenset({TUESDAY, THURSDAY, SATURDAY, SUNDAY}), late=0, full_time=False
                ),
            ),
        ),
    ),
    Company(
        "ten_de3000000002",
        "ほしぞら商店（デモ）",
        (
            Person("松本", "恵", "matsumoto@hoshizora.example", Role.TENANT_ADMIN),
            Person(
                "加藤",
                "陽子",
                "kato@hoshizora.example",
                habit=Habit(10, 12, 19, frozenset({MONDAY, TUESDAY}), works_on_holidays=True),
            ),
            Person(
                "吉田",
                "拓也",
                "yoshida@hoshizora.example",
                habit=Habit(10, 14.75, 19, frozenset({WEDNESDAY, THURSDAY}), works_on_holidays=True),
            ),
            Person("山田", "葵", "yamada@hoshizora.example", habit=Habit(9.5, 12.5, 18.5)),
            Person(
                "佐々木",
                "蓮",
                "sasaki@hoshizora.example",
                habit=Habit(10, 13.5, 19, works_on_holidays=True, late=0.1),
            ),
        ),
    ),
)
OPERATOR: Final = Person("見本", "管理", "admin@timerecord.example", Role.PLATFORM_ADMIN)
# One account of every kind, for a screen that has little room; the first is the one to start with.
SHOWN: Final = (
    NEWCOMER,
    "takahashi@aozora.example",
    "kobayashi@aozora.example",
    "kato@hoshizora.example",
    "matsumoto@hoshizora.example",
    OPERATOR.email,
)
USABLE_CODE: Final = "DEMNSTRATN234567"
EXPIRED_CODE: Final = "DEMNSTRATN765432"


@dataclass(frozen=True)
class Rows:
    """What is written, unsaved, in the order in which it is written."""

    tenants: list[Tenant]
    users: list[User]
    role_codes: list[RoleCode]
    work_sessions: list[WorkSession]


class RefusedError(Exception):
    """The demo data cannot be added here; the text says why and what to do."""


# --- when they work -----------------------------------------------------------------------------------

_FIXED_HOLIDAYS: Final = frozenset(
    {(2, 11), (2, 23), (4, 29), (5, 3), (5, 4), (5, 5), (8, 11), (11, 3), (11, 23)}
)
# (month, which Monday): those that the law moves to a Monday.
_MONDAY_HOLIDAYS: Final = frozenset({(1, 2), (7, 3), (9, 3), (10, 2)})


def _is_new_year(day: dt.date) -> bool:
    return (day.month, day.day) >= (12, 30) or (day.month, day.day) <= (1, 3)


def is_holiday(day: dt.date) -> bool:
    """Whether Japan rests: near enough for demo data, without equinoxes and days in lieu."""
    return (
        _is_new_year(day)
        or (day.month, day.day) in _FIXED_HOLIDAYS
        or (day.weekday() == MONDAY and (day.month, (day.day + 6) // 7) in _MONDAY_HOLIDAYS)
    )


def first_day(today: dt.date) -> dt.date:
    """Return the first of the month three months back: so three months are full."""
    months = today.year * 12 + today.month - 1 - MONTHS
    return dt.date(months // 12, months % 12 + 1, 1)


def _at(day: dt.date, minutes: float) -> dt.datetime:
    """Return the instant of a local time, to the second."""
    return day_start(day, ZONE) + dt.timedelta(seconds=round(minutes * 60))


def _ordinary_day(person: Person, day: dt.date, *, today: dt.date) -> list[Span]:
    """Return the two sessions of a day, before lunch and after, or none."""
    habit = person.habit
    if habit is None or day.weekday() in habit.days_off:
        return []
    if _is_new_year(day) or (is_holiday(day) and not habit.works_on_holidays):
        return []
    # Seeded with text, which gives the same numbers on every machine; and by day, so that what was before
    # does not depend on how far back it reaches.
    chance = random.Random(f"timerecord {person.email} {day}")  # noqa: S311 nothing here is secret
    sick, late = chance.random() < habit.sick, chance.random() < habit.late
    begins = habit.begins * 60 + chance.uniform(-14, 3)
    lunch = habit.lunch * 60 + chance.uniform(0, 12)
    back = lunch + chance.uniform(42, 60)
    ends = habit.ends * 60 + chance.triangular(-4, 75, 8)
    if late:
        ends = chance.uniform(21.2 * 60, min(23.8, habit.begins + 14.5) * 60)
    if sick and day != today:  # today somebody is to be there
        return []
    return [(_at(day, begins), _at(day, lunch)), (_at(day, back), _at(day, ends))]


def _punches(person: Person, today: dt.date) -> Iterator[tuple[dt.datetime, dt.datetime | None]]:
    """Yield one person's sessions to the end of today; None is a forgotten clock-out."""
    days = [first_day(today) + DAY * number for number in range((today - first_day(today)).days + 1)]
    worked = {day: spans for day in days if (spans := _ordinary_day(person, day, today=today))}
    if person.email != NEWCOMER:
        for spans in worked.values():
            yield from spans
        return
    worked.pop(today, None)
    forgotten, overnight = sorted(worked)[-3], sorted(worked)[-9]
    worked.pop(overnight + DAY, None)
    for day, spans in worked.items():
        if day == overnight:
            yield _at(day, 22 * 60 - 2.3), _at(day + DAY, 7 * 60 + 4.6)
        elif day == forgotten:
            (morning, (start, _end)) = spans
            yield morning
            yield start, None
        else:
            yield from spans


# --- the rows -----------------------------------------------------------------------------------------


def build(today: dt.date, now: dt.datetime) -> Rows:
    """Return the rows for a day as they are at an instant: nothing in them is later.

    `today` is a day in Japan. A session that `now` falls into is running.
    """
    joined = _at(first_day(today), -3 * 24 * 60 + 9.5 * 60)
    password_hash = make_password(PASSWORD, salt=_SALT)
    rows = Rows([], [], [], [])
    who: list[tuple[User, Person]] = []

    def add(person: Person, tenant: Tenant | None) -> None:
        user = User(
            pk=FIRST_ID + len(rows.users),
            tenant=tenant,
            username=f"{_USERNAME}{person.email.split('@')[0]}",
            email=person.email,
            password=password_hash,
            role=person.role,
            last_name=person.last_name,
            first_name=person.first_name,
            created_at=joined,
        )
        rows.users.append(user)
        who.append((user, person))

    add(OPERATOR, None)
    for number, company in enumerate(COMPANIES):
        tenant = Tenant(
            pk=FIRST_ID + number,
            tenant_uid=company.uid,
            name=company.name,
            contact_email=company.people[0].email,
            time_zone=ZONE.key,
            created_at=joined,
        )
        rows.tenants.append(tenant)
        for person in company.people:
            add(person, tenant)

    employees = len(COMPANIES[0].people) - 1
    codes = [(EXPIRED_CODE, joined + 7 * DAY), (USABLE_CODE, None)]
    for number, (code, expires_at) in enumerate(codes):
        rows.role_codes.append(
            RoleCode(
                pk=FIRST_ID + number,
                tenant=rows.tenants[0],
                code=code,
                expires_at=expires_at,
                max_uses=None if expires_at else 100,
                usage_count=employees if expires_at else 0,
                created_by=rows.users[1],
                created_at=joined,
            )
        )

    punches = sorted(
        ((start, user.pk, end, user) for user, person in who for start, end in _punches(person, today)),
        key=lambda punch: punch[:2],
    )
    for start, _pk, end, user in punches:
        if start > now:
            break
        rows.work_sessions.append(
            WorkSession(
                pk=FIRST_ID + len(rows.work_sessions),
                user=user,
                start_time=start,
                end_time=end if end and end <= now else None,
                end_unknown=end is None,
                created_at=start,
            )
        )
    return rows


def emails() -> list[str]:
    """Return the addresses of everybody invented, in the order of their ids."""
    return [OPERATOR.email, *(person.email for company in COMPANIES for person in company.people)]


def shown_first(users: list[User]) -> list[User]:
    """Return those of the accounts that are worth showing where there is little room, the best first.

    By id: in a trial an address may be changed.
    """
    ids = [FIRST_ID + emails().index(email) for email in SHOWN]
    return sorted((user for user in users if user.pk in ids), key=lambda user: ids.index(user.pk))


def accounts() -> list[User]:
    """Return the demo accounts that are in the database, in the order of their ids, with their tenants.

    Empty if the demo data were never added. Found by id and user name, which nobody changes in a trial.
    """
    return list(
        User.objects.with_tenant()
        .filter(pk__gte=FIRST_ID, pk__lt=FIRST_ID + len(emails()), username__startswith=_USERNAME)
        .order_by("pk")
    )


def _refuse_beside_other_data() -> None:
    """Raise RefusedError if there is a tenant or a user that no import brought.

    Everything else belongs to a tenant or a user.
    """
    for model in (Tenant, User):
        rows: models.QuerySet[models.Model] = model._default_manager.all()
        imported = ImportedRow.objects.filter(table_name=model._meta.db_table, row_id=OuterRef("pk"))
        others = rows.filter(~Exists(imported)).count()
        if others:
            raise RefusedError(
                f"No import brought {others} of the {model._meta.db_table} that are here; demo data go only "
                "into a database that is empty or has nothing but imported rows"
            )


def add(today: dt.date, now: dt.datetime) -> Rows | None:
    """Write the rows of `build` in one transaction and return them; None if they were added before.

    RefusedError where other data is. IntegrityError if what an import brought has an id, an e-mail address
    or a code of theirs.
    """
    if accounts():
        return None
    with transaction.atomic(), connection.cursor() as cursor:
        # Nobody adds a tenant or a user between the look and the writing.
        cursor.execute("LOCK TABLE tenants, users IN SHARE ROW EXCLUSIVE MODE")
        if accounts():  # added by another process, for which the lock waited
            return None
        _refuse_beside_other_data()
        rows = build(today, now)
        Tenant.objects.bulk_create(rows.tenants)
        User.objects.bulk_create(rows.users)
        RoleCode.objects.bulk_create(rows.role_codes)
        WorkSession.objects.bulk_create(rows.work_sessions)
        for model, taken in (
            (Tenant, len(rows.tenants)),
            (User, len(rows.users)),
            (RoleCode, len(rows.role_codes)),
            (WorkSession, len(rows.work_sessions)),
            # Empty, but what a trial adds to it must not take a legacy file's ids either.
            (PasswordReset, 0),
        ):
            cursor.execute(  # never lower than it was
                "SELECT setval(sequence, greatest(pg_sequence_last_value(sequence), %s)) "
                "FROM CAST(pg_get_serial_sequence(%s, 'id') AS regclass) AS sequence",
                [FIRST_ID + taken - 1, model._meta.db_table],
            )
        return rows
