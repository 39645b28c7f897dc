"""One user's work sessions never overlap: whoever writes them, at whatever level, in whatever race.

Everything here speaks SQL to PostgreSQL, past every line of Python that could be careful.
"""

import datetime as dt
import importlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import overload

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg import errors, sql

from accounts.models import User
from attendance.models import WorkSession
from tenants.database import SCHEMA
from tests.conftest import MakeUser, connects_as

pytestmark = pytest.mark.django_db(transaction=True)
as_owner = connects_as("owner")

Connection = psycopg.Connection[tuple[object, ...]]
Connect = Callable[[], Connection]
Row = tuple[int, int, int | None, bool]  # user, start, end, end_unknown; times in hours

SECONDS = 60  # nothing here takes that long
READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE = LEVELS = "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"
PAIRS = list(itertools.product(LEVELS, LEVELS))
INSERT = "INSERT INTO work_sessions (user_id, start_time, end_time, end_unknown) VALUES (%s, %s, %s, %s)"
MIGRATION = Path(__file__).parents[2] / "attendance" / "migrations" / "sql"
WITHOUT = (MIGRATION / "refuse_overlap_reverse.sql").read_text(encoding="utf-8")
WITH = (MIGRATION / "refuse_overlap.sql").read_text(encoding="utf-8")
FIND = (MIGRATION / "find_overlap.sql").read_text(encoding="utf-8")
OVERLAPS = """
    SELECT count(*) FROM work_sessions AS a JOIN work_sessions AS b ON a.user_id = b.user_id AND a.id < b.id
    WHERE NOT a.end_unknown AND NOT b.end_unknown
        AND tstzrange(a.start_time, coalesce(a.end_time, 'infinity'))
            && tstzrange(b.start_time, coalesce(b.end_time, 'infinity'))
"""


@overload
def at(hour: int) -> dt.datetime: ...
@overload
def at(hour: None) -> None: ...
def at(hour: int | None) -> dt.datetime | None:
    """Return the instant so many hours after a midnight."""
    return None if hour is None else dt.datetime(2020, 11, 2, tzinfo=dt.UTC) + dt.timedelta(hours=hour)


def write(on: Connection, user: User | int, start: int, end: int | None, *, end_unknown: bool = False) -> int:
    """Insert a work session by hours and return its id."""
    given_id = user if isinstance(user, int) else user.pk
    row = on.execute(INSERT + " RETURNING id", [given_id, at(start), at(end), end_unknown]).fetchone()
    assert row
    assert isinstance(row[0], int)
    return row[0]


def copy_in(on: Connection, rows: Iterable[Sequence[object]]) -> None:
    """Load rows in one COPY; columns as in INSERT."""
    with on.cursor().copy(
        "COPY work_sessions (user_id, start_time, end_time, end_unknown) FROM STDIN"
    ) as copy:
        for row in rows:
            copy.write_row(row)


def overlaps(on: Connection) -> object:
    row = on.execute(OVERLAPS).fetchone()
    assert row
    return row[0]


def as_superuser() -> Connection:
    return psycopg.connect(
        settings.DATABASE_ADMIN_URL,
        dbname=connection.settings_dict["NAME"],
        options=f"-c search_path={SCHEMA} -c lock_timeout={SECONDS}s",
        autocommit=True,
    )


@pytest.fixture
def connect(without_history: None) -> Iterator[Connect]:
    """Open connections of our own, which commit each statement until they are told otherwise.

    A superuser's: no right and no policy is to help the trigger.
    """
    made: list[Connection] = []

    def open_one() -> Connection:
        made.append(as_superuser())
        return made[-1]

    yield open_one
    for each in made:
        each.close()


@pytest.fixture(autouse=True)
def without_history(transactional_db: None) -> Iterator[None]:
    """The history refuses some of what is tried here, before it comes to the overlap."""
    on = as_superuser()
    names = [
        sql.Identifier(str(name))
        for (name,) in on.execute(
            "SELECT tgname FROM pg_trigger"
            " WHERE tgrelid = 'work_sessions'::regclass AND tgname LIKE '%history%'"
        )
    ]
    for name in names:
        on.execute(sql.SQL("ALTER TABLE work_sessions DISABLE TRIGGER {}").format(name))
    yield
    for name in names:
        on.execute(sql.SQL("ALTER TABLE work_sessions ENABLE ALWAYS TRIGGER {}").format(name))
    on.close()


@pytest.fixture
def db_connection(connect: Connect) -> Connection:
    return connect()


@pytest.fixture
def unguarded(connect: Connect) -> Iterator[Connection]:
    """A connection that finds copies of the tables, with one user (1), all constraints, and no trigger."""
    on = connect()
    on.execute("CREATE SCHEMA unguarded")
    on.execute("CREATE TABLE unguarded.users (id bigint PRIMARY KEY)")
    on.execute("CREATE TABLE unguarded.work_sessions (LIKE work_sessions INCLUDING ALL)")
    on.execute("ALTER TABLE unguarded.work_sessions ADD FOREIGN KEY (user_id) REFERENCES unguarded.users")
    on.execute("INSERT INTO unguarded.users VALUES (1)")
    on.execute("SET search_path = unguarded")
    yield on
    on.execute("DROP SCHEMA unguarded CASCADE")


# --- two transactions -----------------------------------------------------------------------------------


def until_blocked(waiting: Connection, by: Connection, watching: Connection, work: "Future[None]") -> None:
    """Return once one connection waits for a lock of the other; fail if it gets through instead."""
    give_up = timezone.now() + dt.timedelta(seconds=SECONDS)
    while timezone.now() < give_up:
        row = watching.execute(
            "SELECT %s = ANY (pg_blocking_pids(%s))", [by.info.backend_pid, waiting.info.backend_pid]
        ).fetchone()
        if row == (True,):
            return
        assert not work.done(), work.exception() or "it did not wait"
    pytest.fail("it never waited")


Write = Callable[[Connection], object]


def race(connect: Connect, first: Write, second: Write) -> BaseException | None:
    """Have `second` write while `first`, which wrote, has not committed; return what `second` got.

    `second` must be seen to wait for `first`, so the two did meet.
    """
    one, two, watching = connect(), connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        one.execute("BEGIN")
        first(one)
        two.execute("BEGIN")

        def go() -> None:
            second(two)
            two.execute("COMMIT")

        going = pool.submit(go)
        try:
            until_blocked(two, one, watching, going)
        finally:
            one.execute("COMMIT")
        return going.exception(SECONDS)


def change(session: int, **hours: int | None) -> Write:
    def do(on: Connection) -> object:
        times = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(at(hour)))
            for name, hour in hours.items()
        )
        return on.execute(sql.SQL("UPDATE work_sessions SET {} WHERE id = {}").format(times, session))

    return do


def insert(user: User, start: int, end: int | None) -> Write:
    return lambda on: write(on, user, start, end)


def test_insert_against_insert(connect: Connect, employee: User) -> None:
    got = race(connect, insert(employee, 9, 12), insert(employee, 11, 13))
    assert isinstance(got, errors.ExclusionViolation)
    assert got.diag.constraint_name == "work_sessions_no_overlap"
    assert WorkSession.objects.count() == 1


def test_insert_beside_insert(connect: Connect, employee: User) -> None:
    assert race(connect, insert(employee, 9, 12), insert(employee, 12, 13)) is None
    assert WorkSession.objects.count() == 2


def test_running_against_a_later_one(connect: Connect, employee: User) -> None:
    got = race(connect, insert(employee, 9, None), insert(employee, 11, 13))
    assert isinstance(got, errors.ExclusionViolation)


def test_two_running_ones(connect: Connect, employee: User) -> None:
    got = race(connect, insert(employee, 9, None), insert(employee, 11, None))
    assert isinstance(got, errors.UniqueViolation)


def test_insert_against_an_end_that_moves(
    connect: Connect, db_connection: Connection, employee: User
) -> None:
    session = write(db_connection, employee, 9, 12)
    got = race(connect, change(session, end_time=15), insert(employee, 13, 14))
    assert isinstance(got, errors.ExclusionViolation)


def test_an_end_that_moves_against_insert(
    connect: Connect, db_connection: Connection, employee: User
) -> None:
    session = write(db_connection, employee, 9, 12)
    got = race(connect, insert(employee, 13, 14), change(session, end_time=15))
    assert isinstance(got, errors.ExclusionViolation)


def test_update_against_update(connect: Connect, db_connection: Connection, employee: User) -> None:
    early, late = write(db_connection, employee, 9, 12), write(db_connection, employee, 14, 18)
    got = race(connect, change(early, end_time=14), change(late, start_time=13))
    assert isinstance(got, errors.ExclusionViolation)
    assert overlaps(db_connection) == 0


def test_a_session_that_moves_to_another_user(
    connect: Connect, db_connection: Connection, make_user: MakeUser
) -> None:
    giver, taker = make_user(), make_user()
    session = write(db_connection, giver, 9, 12)

    def move(on: Connection) -> object:
        return on.execute("UPDATE work_sessions SET user_id = %s WHERE id = %s", [taker.pk, session])

    assert isinstance(race(connect, insert(taker, 11, 13), move), errors.ExclusionViolation)


def test_whoever_waited_for_a_roll_back_is_let_in(connect: Connect, employee: User) -> None:
    def fleeting(on: Connection) -> object:
        write(on, employee, 9, 12)
        return on.execute("ROLLBACK; BEGIN; SELECT FROM users FOR NO KEY UPDATE")

    assert race(connect, fleeting, insert(employee, 9, 12)) is None


def test_a_user_who_is_being_changed_is_waited_for(connect: Connect, employee: User) -> None:
    def count_failure(on: Connection) -> object:
        return on.execute("UPDATE users SET failed_attempts = failed_attempts + 1")

    assert race(connect, count_failure, insert(employee, 9, 12)) is None
    employee.refresh_from_db()
    assert employee.failed_attempts == 1


def test_the_lock_of_a_foreign_key_is_not_waited_for(connect: Connect, employee: User) -> None:
    """Two transactions that hold it, and then both take time, would wait for each other."""
    one, two, watching = connect(), connect(), connect()
    for each in (one, two):
        each.execute("BEGIN")
        each.execute("SET LOCAL lock_timeout = '20s'")
        write(each, employee, 9, None, end_unknown=True)  # takes no time, so the foreign key's lock only
    write(one, employee, 9, 12)
    with ThreadPoolExecutor(1) as pool:

        def go() -> None:
            write(two, employee, 12, 13)
            two.execute("COMMIT")

        going = pool.submit(go)
        until_blocked(two, one, watching, going)
        one.execute("COMMIT")
        assert going.exception(SECONDS) is None
    assert WorkSession.objects.count() == 4


def test_two_users_in_opposite_order(connect: Connect, make_user: MakeUser) -> None:
    """One of the two transactions is told of the deadlock; what both wanted never stands."""
    anna, beni = make_user(), make_user()
    one, two, watching = connect(), connect(), connect()
    for each, user in ((one, anna), (two, beni)):
        each.execute("BEGIN")
        each.execute("SET LOCAL deadlock_timeout = '50ms'")
        write(each, user, 9, 12)
    with ThreadPoolExecutor(1) as pool:

        def go() -> None:
            write(two, anna, 10, 11)
            two.execute("COMMIT")

        going = pool.submit(go)
        until_blocked(two, one, watching, going)
        mine: BaseException | None = None
        try:
            write(one, beni, 10, 11)
        except psycopg.Error as error:
            mine = error
        one.execute("COMMIT")  # that of a failed transaction rolls it back
        theirs = going.exception(SECONDS)
    assert {type(mine), type(theirs)} == {errors.DeadlockDetected, type(None)}
    assert overlaps(watching) == 0
    assert WorkSession.objects.count() == 2


def test_one_statement_locks_its_users_in_the_order_of_id(connect: Connect, make_user: MakeUser) -> None:
    """So two statements cannot deadlock, whatever the order of their rows."""
    anna, beni = sorted(make_user().pk for _ in range(2))
    one, two = connect(), connect()
    one.execute("BEGIN")
    one.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE", [anna])
    with ThreadPoolExecutor(1) as pool:

        def go() -> None:
            times = [at(9), at(12), False]
            two.execute(INSERT + ", (%s, %s, %s, %s)", [beni, *times, anna, *times])

        going = pool.submit(go)
        until_blocked(two, one, connect(), going)
        # It waits for the first user and does not hold the second meanwhile.
        one.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE NOWAIT", [beni])
        one.execute("COMMIT")
        assert going.exception(SECONDS) is None


# --- isolation levels -------------------------------------------------------------------------------------


def meet(one: Connection, two: Connection, levels: tuple[str, str], user: int) -> list[str | None]:
    """Have two transactions, each with its snapshot from before, take the same time; return SQLSTATEs."""
    got: list[str | None] = []
    for each, level in zip((one, two), levels, strict=True):
        each.execute(sql.SQL("BEGIN ISOLATION LEVEL {}").format(sql.SQL(level)))
        each.execute("SELECT count(*) FROM work_sessions")
    for each in (one, two):
        try:
            write(each, user, 9, 12)
            each.execute("COMMIT")
            got.append(None)
        except psycopg.Error as error:
            each.execute("ROLLBACK")
            got.append(error.sqlstate)
    return got


@pytest.mark.parametrize("levels", PAIRS, ids=" and ".join)
def test_no_pair_of_levels_lets_an_overlap_in(
    connect: Connect, make_user: MakeUser, levels: tuple[str, str]
) -> None:
    user = make_user().pk
    one, two = connect(), connect()
    got = meet(one, two, levels, user)
    expected: list[str | None] = [None if level == READ_COMMITTED else "0A000" for level in levels]
    if levels == (READ_COMMITTED, READ_COMMITTED):
        expected = [None, "23P01"]
    assert got == expected
    assert overlaps(one) == 0


@pytest.mark.parametrize("levels", PAIRS, ids=" and ".join)
def test_without_the_trigger_the_same_race_is_lost(
    connect: Connect, unguarded: Connection, levels: tuple[str, str]
) -> None:
    """Were it not so, the test before this one would prove nothing."""
    other = connect()
    other.execute("SET search_path = unguarded")
    got = meet(unguarded, other, levels, 1)
    if levels == (SERIALIZABLE, SERIALIZABLE):
        assert got == [None, "40001"]
    else:
        assert got == [None, None]
        assert overlaps(unguarded) == 1


@pytest.mark.parametrize(
    "levels", [(READ_COMMITTED, REPEATABLE_READ), (READ_COMMITTED, SERIALIZABLE)], ids=" and ".join
)
def test_the_lock_alone_would_not_do(
    connect: Connect, unguarded: Connection, levels: tuple[str, str]
) -> None:
    """The refusal of these levels is no caution too many."""
    level_check = "NOT IN ('read committed', 'read uncommitted')"
    assert level_check in WITH
    unguarded.execute(WITH.replace(level_check, "IS NULL"))
    other = connect()
    other.execute("SET search_path = unguarded")
    assert meet(unguarded, other, levels, 1) == [None, None]
    assert overlaps(unguarded) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE work_sessions SET created_at = created_at",
        "INSERT INTO work_sessions (user_id, start_time, end_unknown) SELECT id, now(), true FROM users",
    ],
)
@pytest.mark.parametrize("level", [REPEATABLE_READ, SERIALIZABLE])
def test_the_rule_for_levels_does_not_depend_on_the_rows(
    db_connection: Connection, employee: User, level: str, statement: str
) -> None:
    db_connection.execute(sql.SQL("BEGIN ISOLATION LEVEL {}").format(sql.SQL(level)))
    with pytest.raises(errors.FeatureNotSupported, match=level) as caught:
        db_connection.execute(statement)
    assert caught.value.diag.message_hint == "Use READ COMMITTED."


@pytest.mark.parametrize("mixed", [False, True], ids=["read committed", "all levels mixed"])
def test_a_crowd(connect: Connect, make_user: MakeUser, mixed: bool) -> None:
    """Eight at once, again and again, on one morning of two users: one of the eight gets both."""
    crowd, rounds = 8, 25
    users = [make_user().pk, make_user().pk]
    levels = [LEVELS[n % 3] if mixed else READ_COMMITTED for n in range(crowd)]
    barrier = threading.Barrier(crowd, timeout=SECONDS)

    def work(number: int, on: Connection) -> list[str | None]:
        got: list[str | None] = []
        on.execute("SET deadlock_timeout = '20ms'")
        try:
            for day in range(rounds):
                barrier.wait()
                on.execute(sql.SQL("BEGIN ISOLATION LEVEL {}").format(sql.SQL(levels[number])))
                try:
                    for user in users if number % 2 else reversed(users):
                        write(on, user, 24 * day + number % 3, 24 * day + number % 3 + 4)
                    on.execute("COMMIT")
                    got.append(None)
                except psycopg.Error as error:
                    on.execute("ROLLBACK")
                    got.append(error.sqlstate)
        except BaseException:
            barrier.abort()
            raise
        return got

    with ThreadPoolExecutor(crowd) as pool:
        results = [done.result(SECONDS) for done in [pool.submit(work, n, connect()) for n in range(crowd)]]
    watching = connect()
    assert overlaps(watching) == 0
    for day in range(rounds):
        told = [got[day] for got in results]
        assert told.count(None) == 1
        assert set(told) <= {None, "23P01", "40P01"} | ({"0A000"} if mixed else set())
    assert WorkSession.objects.count() == 2 * rounds
    if mixed:
        assert all(
            set(got) == {"0A000"}
            for got, level in zip(results, levels, strict=True)
            if level != READ_COMMITTED
        )


# --- what counts as an overlap, by every statement --------------------------------------------------------


def test_django_calls_it_an_integrity_error(employee: User) -> None:
    first = WorkSession.objects.create(user=employee, start_time=at(9), end_time=at(12))
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        WorkSession.objects.create(user=employee, start_time=at(11), end_time=at(13))
    cause = caught.value.__cause__
    assert isinstance(cause, errors.ExclusionViolation)
    assert (cause.diag.table_name, cause.diag.constraint_name) == (
        "work_sessions",
        "work_sessions_no_overlap",
    )
    assert cause.diag.message_detail
    assert str(first.pk) in cause.diag.message_detail
    assert f"user {employee.pk} " in cause.diag.message_detail


@pytest.mark.parametrize(
    "rows",
    [
        [(9, 12), (11, 13)], [(11, 13), (9, 12)], [(9, 12), (9, 12)], [(9, 18), (10, 11)],
        [(10, 11), (9, 18)], [(9, None), (10, 11)], [(10, 11), (9, None)],
        [(0, 1), (2, 8), (3, 4), (5, 6), (7, 9)],
    ],
)  # fmt: skip
def test_rows_of_one_statement_are_compared_with_each_other(
    db_connection: Connection, employee: User, rows: list[tuple[int, int | None]]
) -> None:
    values = [[employee.pk, at(start), at(end), False] for start, end in rows]
    statement = INSERT + ", (%s, %s, %s, %s)" * (len(rows) - 1)
    with pytest.raises(errors.ExclusionViolation):
        db_connection.execute(statement, list(itertools.chain(*values)))
    with pytest.raises(errors.ExclusionViolation):
        copy_in(db_connection, values)
    assert WorkSession.objects.count() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO work_sessions (id, user_id, start_time, end_time)"
        " VALUES (%(old)s, %(user)s, %(from)s, %(to)s)"
        " ON CONFLICT (id) DO UPDATE SET start_time = excluded.start_time, end_time = excluded.end_time",
        "INSERT INTO work_sessions (id, user_id, start_time, end_time)"
        " VALUES (%(new)s, %(user)s, %(from)s, %(to)s)"
        " ON CONFLICT (id) DO NOTHING",
        "MERGE INTO work_sessions AS w USING (VALUES (%(old)s::bigint)) AS v (id) ON w.id = v.id"
        " WHEN MATCHED THEN UPDATE SET start_time = %(from)s, end_time = %(to)s",
        "MERGE INTO work_sessions AS w USING (VALUES (%(new)s::bigint)) AS v (id) ON w.id = v.id"
        " WHEN NOT MATCHED THEN INSERT (user_id, start_time, end_time) VALUES (%(user)s, %(from)s, %(to)s)",
        "WITH gone AS (INSERT INTO work_sessions (user_id, start_time, end_time)"
        " VALUES (%(user)s, %(from)s, %(to)s) RETURNING id) UPDATE work_sessions SET created_at = now()",
        "WITH moved AS (UPDATE work_sessions SET start_time = %(from)s, end_time = %(to)s WHERE id = %(old)s"
        " RETURNING id) DELETE FROM work_sessions WHERE id < 0",
        "UPDATE work_sessions SET user_id = %(user)s, start_time = %(from)s, end_time = %(to)s"
        " WHERE id = %(other)s",
        "UPDATE work_sessions SET id = %(new)s, start_time = %(from)s, end_time = %(to)s WHERE id = %(old)s",
        "UPDATE work_sessions SET end_time = end_time + interval '100 years' WHERE user_id = %(user)s",
    ],
)
def test_every_statement_that_writes_is_looked_at(
    db_connection: Connection, make_user: MakeUser, statement: str
) -> None:
    user, other = make_user(), make_user()
    write(db_connection, user, 9, 12)
    known = {"old": write(db_connection, user, 14, 18), "other": write(db_connection, other, 9, 12)}
    known |= {"user": user.pk, "new": known["other"] + 1000}
    before = list(WorkSession.objects.order_by("pk").values())
    with pytest.raises(errors.ExclusionViolation):
        db_connection.execute(statement, {**known, "from": at(11), "to": at(13)})
    assert list(WorkSession.objects.order_by("pk").values()) == before
    if "100 years" not in statement:
        db_connection.execute(statement, {**known, "from": at(20), "to": at(21)})


def test_what_takes_no_time_hides_nothing(db_connection: Connection, employee: User) -> None:
    """Between a long session and one within it there may be rows that take none, as many as you like."""
    write(db_connection, employee, 0, 20)
    for hour in range(1, 5):
        write(db_connection, employee, hour, hour)
        write(db_connection, employee, hour, None, end_unknown=True)
    for start, end in ((6, 7), (6, 30), (6, None), (-1, 1), (-1, None)):
        with pytest.raises(errors.ExclusionViolation):
            write(db_connection, employee, start, end)
    write(db_connection, employee, -1, 0)
    write(db_connection, employee, 20, None)
    write(db_connection, employee, 25, 25)
    with pytest.raises(errors.ExclusionViolation):
        write(db_connection, employee, 30, 31)


def test_what_took_no_time_is_looked_at_when_it_does(db_connection: Connection, employee: User) -> None:
    write(db_connection, employee, 9, 12)
    forgotten = write(db_connection, employee, 10, None, end_unknown=True)
    empty = write(db_connection, employee, 11, 11)
    for claim in (
        f"UPDATE work_sessions SET end_unknown = false WHERE id = {forgotten}",
        f"UPDATE work_sessions SET end_unknown = false, end_time = now() WHERE id = {forgotten}",
        f"UPDATE work_sessions SET end_time = now() WHERE id = {empty}",
    ):
        with pytest.raises(errors.ExclusionViolation):
            db_connection.execute(claim)


def test_one_statement_may_swap_two_sessions(db_connection: Connection, employee: User) -> None:
    early, late = write(db_connection, employee, 9, 12), write(db_connection, employee, 14, 18)
    db_connection.execute(
        "UPDATE work_sessions AS w SET start_time = o.start_time, end_time = o.end_time"
        " FROM work_sessions AS o WHERE w.id + o.id = %s AND w.id <> o.id",
        [early + late],
    )
    assert list(WorkSession.objects.order_by("pk").values_list("start_time", flat=True)) == [at(14), at(9)]


def test_none_ends_before_it_starts(db_connection: Connection, employee: User) -> None:
    with pytest.raises(errors.CheckViolation):
        write(db_connection, employee, 9, 8)


HOURS = 10
people = st.sampled_from([0, 1])
hours = st.integers(0, HOURS)
times: st.SearchStrategy[tuple[int, int | None, bool]] = st.one_of(
    st.builds(lambda start, length: (start, start + length, False), hours, st.integers(0, 3)),
    st.builds(lambda start, length: (start, start + length, False), hours, st.integers(-1, HOURS)),
    st.tuples(hours, st.none(), st.booleans()),
)
new_rows = st.lists(st.tuples(people, times), min_size=1, max_size=4)
which = st.integers(0, 5)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), new_rows),
        st.tuples(st.just("update"), st.lists(st.tuples(which, people, times), min_size=1, max_size=3)),
        st.tuples(st.just("delete"), which),
    ),
    min_size=2,
    max_size=8,
)


def allowed(rows: Sequence[Row]) -> bool:
    """Whether a table may hold these rows, said another way than the database says it: hour by hour."""
    taken: set[tuple[int, int]] = set()
    running: set[int] = set()
    for user, start, end, end_unknown in rows:
        if end is not None and (end < start or end_unknown):
            return False
        if end_unknown:
            continue
        if end is None:
            if user in running:
                return False
            running.add(user)
        takes = {(user, hour) for hour in range(start, 3 * HOURS if end is None else end)}
        if takes & taken:
            return False
        taken |= takes
    return True


def hands_over(before: dict[int, Row], after: dict[int, Row]) -> bool:
    """Whether a user runs in one session before and in another one after, both of them there before."""
    runs = [
        {
            (user, pk)
            for pk, (user, _, end, unknown) in rows.items()
            if end is None and not unknown and pk in before
        }
        for rows in (before, after)
    ]
    return any(user == other and pk != another for user, pk in runs[0] for other, another in runs[1])


@hypothesis_settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=operations)
def test_the_database_accepts_what_is_disjoint_and_nothing_else(
    connect: Connect, make_user: MakeUser, script: list[tuple[str, object]]
) -> None:
    users = list(User.objects.order_by("pk").values_list("pk", flat=True)[:2])
    while len(users) < 2:
        users.append(make_user().pk)
    on = connect()
    on.execute("DELETE FROM work_sessions")
    held: dict[int, Row] = {}
    for verb, what in script:
        ids = sorted(held)
        wanted = dict(held)
        if verb == "insert":
            assert isinstance(what, list)
            fresh: list[Row] = [(person, *times) for person, times in what]
            row = on.execute("SELECT max(id) FROM work_sessions").fetchone()
            first = (row[0] if row and isinstance(row[0], int) else 0) + 1
            wanted |= {first + n: new for n, new in enumerate(fresh)}
            values = [
                [first + n, users[u], at(s), at(e), unknown] for n, (u, s, e, unknown) in enumerate(fresh)
            ]
            statement = "INSERT INTO work_sessions (id, user_id, start_time, end_time, end_unknown) VALUES "
            statement += ", ".join(["(%s, %s, %s, %s, %s)"] * len(values))
        elif verb == "update" and ids:
            assert isinstance(what, list)
            changes = {ids[n % len(ids)]: (person, *times) for n, person, times in what}
            wanted |= changes
            values = [[pk, users[u], at(s), at(e), unknown] for pk, (u, s, e, unknown) in changes.items()]
            statement = (
                "UPDATE work_sessions AS w"
                " SET user_id = v.u, start_time = v.s, end_time = v.e, end_unknown = v.x"
                " FROM (VALUES "
                + ", ".join(
                    ["(%s::bigint, %s::bigint, %s::timestamptz, %s::timestamptz, %s::boolean)"] * len(values)
                )
                + ") AS v (id, u, s, e, x) WHERE w.id = v.id"
            )
        elif verb == "delete" and ids:
            assert isinstance(what, int)
            values = [[ids[what % len(ids)]]]
            del wanted[ids[what % len(ids)]]
            statement = "DELETE FROM work_sessions WHERE id = %s"
        else:
            continue
        refused_by: str | None = None
        try:
            on.execute(statement, list(itertools.chain(*values)))
            held, wanted = wanted, held
        except psycopg.IntegrityError as error:
            refused_by = error.diag.constraint_name
        if refused_by == "work_sessions_one_running" and hands_over(held, wanted):
            continue  # PostgreSQL checks a unique index row by row, so the order of the rows decides
        accepted = refused_by is None
        assert accepted == allowed(list((held if accepted else wanted).values())), (held, wanted, refused_by)
    on.close()


# --- how it does it ---------------------------------------------------------------------------------------


def reads(on: Connection) -> tuple[int, int]:
    """Return how many rows this connection's transaction read from work_sessions, by scans and by indexes."""
    row = on.execute(
        "SELECT pg_stat_get_xact_tuples_returned(r), pg_stat_get_xact_tuples_fetched(r)"
        " FROM CAST('work_sessions'::regclass AS oid) AS r"
    ).fetchone()
    assert row
    scanned, fetched = row
    assert isinstance(scanned, int)
    assert isinstance(fetched, int)
    return scanned, fetched


@pytest.mark.parametrize("planned_for", ["an empty table", "a large statement"])
def test_a_punch_reads_the_neighbours_and_not_the_history(
    db_connection: Connection, employee: User, planned_for: str
) -> None:
    """A plan is kept as long as the connection, whatever it was made for."""
    on = db_connection
    if planned_for == "an empty table":
        on.execute("ANALYZE work_sessions")
        write(on, employee, -1000, -999)
    history = "INSERT INTO work_sessions (user_id, start_time, end_time) SELECT %s, s, s + interval '1 hour'"
    on.execute(
        history + " FROM generate_series(timestamptz '2000-01-01Z', '2006-01-01Z', interval '2 hours') AS s",
        [employee.pk],
    )
    assert WorkSession.objects.count() > 20_000
    on.execute("BEGIN")
    before = reads(on)
    session = write(on, employee, 0, None)
    change(session, end_time=5)(on)
    after = reads(on)
    on.execute("COMMIT")
    assert (after[0] - before[0], after[1] - before[1]) <= (0, 10)


def test_copy_calls_it_once(db_connection: Connection, make_user: MakeUser) -> None:
    users = [make_user().pk for _ in range(3)]
    db_connection.execute("BEGIN")
    db_connection.execute("SET LOCAL track_functions = 'all'")
    days = itertools.product(users, range(50))
    copy_in(db_connection, ([user, at(24 * day), at(24 * day + 8), False] for user, day in days))
    calls = db_connection.execute(
        "SELECT pg_stat_get_xact_function_calls('refuse_overlapping_work_sessions'::regproc)"
    ).fetchone()
    assert calls == (1,)


def test_it_holds_for_those_who_see_nothing(db_connection: Connection, employee: User) -> None:
    """Neither rights nor policies nor a temporary table of the writer change what the function looks at."""
    on = db_connection
    write(on, employee, 9, 12)
    on.execute("BEGIN")
    on.execute("CREATE ROLE test_writer")
    on.execute("GRANT USAGE ON SCHEMA timerecord TO test_writer")
    on.execute("GRANT INSERT ON work_sessions TO test_writer")
    on.execute(
        sql.SQL("GRANT TEMPORARY ON DATABASE {} TO test_writer").format(sql.Identifier(on.info.dbname))
    )
    for table in ("users", "work_sessions"):
        on.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(sql.Identifier(table)))
    on.execute("CREATE POLICY write_only ON work_sessions FOR INSERT WITH CHECK (true)")
    on.execute("SET LOCAL ROLE test_writer")
    on.execute("CREATE TEMPORARY TABLE users (id bigint) ON COMMIT DROP")
    on.execute("CREATE TEMPORARY TABLE new_rows (user_id bigint) ON COMMIT DROP")
    on.execute(INSERT, [employee.pk, at(12), at(13), False])
    with pytest.raises(errors.ExclusionViolation):
        on.execute(INSERT, [employee.pk, at(11), at(12), False])
    on.execute("ROLLBACK")


def test_a_policy_that_binds_the_function_is_an_error(db_connection: Connection, employee: User) -> None:
    on = db_connection
    on.execute("BEGIN")
    on.execute("CREATE ROLE test_owner")
    on.execute("DO $$ BEGIN EXECUTE 'GRANT ALL ON SCHEMA ' || current_schema() || ' TO test_owner'; END $$")
    for table in ("users", "work_sessions"):
        name = sql.Identifier(table)
        on.execute(sql.SQL("ALTER TABLE {} OWNER TO test_owner").format(name))
    on.execute("ALTER FUNCTION refuse_overlapping_work_sessions() OWNER TO test_owner")
    write(on, employee, 9, 12)
    on.execute("ALTER TABLE work_sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        write(on, employee, 11, 12)
    on.execute("ROLLBACK")


def test_a_data_loader_does_not_skip_it(db_connection: Connection, employee: User) -> None:
    db_connection.execute("SET session_replication_role = replica")
    write(db_connection, employee, 9, 12)
    with pytest.raises(errors.ExclusionViolation):
        write(db_connection, employee, 11, 13)
    with pytest.raises(errors.ForeignKeyViolation):
        write(db_connection, employee.pk + 1000, 9, 12)


def test_the_foreign_key_is_looked_at_before_the_trigger(db_connection: Connection) -> None:
    """The trigger locks users; a key that could wait for the end of the transaction would leave it none."""
    found = db_connection.execute(
        "SELECT condeferrable FROM pg_constraint WHERE conname = 'work_sessions_user_id_fkey'"
    ).fetchall()
    assert found == [(False,)]


# --- the migration ----------------------------------------------------------------------------------------


def test_the_migration_finds_what_was_there_before(unguarded: Connection) -> None:
    write(unguarded, 1, 9, 12)
    write(unguarded, 1, 12, None)
    write(unguarded, 1, 10, 10)
    write(unguarded, 1, 10, None, end_unknown=True)
    unguarded.execute(FIND)
    write(unguarded, 1, 11, 12)
    with pytest.raises(errors.ExclusionViolation, match="overlap"):
        unguarded.execute(FIND)


def test_the_migration_gives_up_soon_where_it_would_hold_everybody_up(
    connect: Connect, employee: User, unguarded: Connection
) -> None:
    """And it can be run again, in any schema, on tables in use."""
    writing = connect()
    writing.execute("SET search_path = unguarded; BEGIN")
    write(writing, 1, 9, 12)
    with pytest.raises(errors.LockNotAvailable):
        unguarded.execute("SET LOCAL lock_timeout = '50ms';" + WITH)
    writing.execute("COMMIT")
    for _ in range(2):
        unguarded.execute("SET LOCAL lock_timeout = '50ms';" + WITH)
    writing.execute("RESET search_path")
    with pytest.raises(errors.ExclusionViolation):
        writing.execute(
            "INSERT INTO unguarded.work_sessions (user_id, start_time, end_time) VALUES (1, %s, %s)",
            [at(10), at(11)],
        )
    unguarded.execute(WITHOUT)
    write(unguarded, 1, 10, 11)


def test_the_migration_can_be_undone(db_connection: Connection, employee: User) -> None:
    operations = importlib.import_module(
        "attendance.migrations.0002_work_session_guarantees"
    ).Migration.operations
    write(db_connection, employee, 9, 12)
    with connection.schema_editor() as editor:
        for operation in reversed(operations):
            operation.database_backwards("attendance", editor, None, None)
    try:
        clash = write(db_connection, employee, 11, 13)
    finally:
        with connection.schema_editor() as editor:
            operations[0].database_forwards("attendance", editor, None, None)
    with pytest.raises(IntegrityError, match="overlap"), connection.schema_editor() as editor:
        operations[1].database_forwards("attendance", editor, None, None)
    with pytest.raises(errors.ExclusionViolation):
        change(clash, end_time=14)(db_connection)
    change(clash, start_time=12)(db_connection)
