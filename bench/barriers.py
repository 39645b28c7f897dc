"""What the two barriers between tenants, and the history, cost, beside the same statements without them.

    script/bench barriers [--quick]

- A punch (clock in, clock out: two transactions) through psycopg: as the owner, whom no policy binds, without
  history; as the application's role in a sealed scope; the same with history.
- A month's totals of a tenant of 2,000 employees, one aggregate: as the owner, and as the application's role
  in the tenant's scope, with and without the first barrier's own filter.

Rounds alternate; medians of the rounds' ratios are printed.
"""

import argparse
import datetime as dt
import os
import statistics
import sys
import time
from collections.abc import Callable

import psycopg

EMPLOYEES = 2000
TENANTS = 3
MONTHS = 6
MONTH = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)

LOCK = "SELECT id FROM users WHERE id = %s FOR NO KEY UPDATE"
LAST = (
    "(SELECT * FROM work_sessions WHERE user_id = %s AND end_time IS NULL AND NOT end_unknown) UNION ALL"
    " (SELECT * FROM work_sessions WHERE user_id = %s ORDER BY start_time DESC, id DESC LIMIT 1)"
)
BEGIN_SESSION = (
    "INSERT INTO work_sessions (user_id, start_time, end_time, end_unknown, created_at)"
    " VALUES (%s, clock_timestamp(), NULL, false, clock_timestamp()) RETURNING id"
)
END_SESSION = "UPDATE work_sessions SET end_time = clock_timestamp() WHERE id = %s AND end_time IS NULL"
TOTALS = (
    "SELECT w.user_id, sum(extract(epoch FROM"
    " date_trunc('minute', w.end_time) - date_trunc('minute', w.start_time)))"
    " FROM work_sessions w JOIN users u ON u.id = w.user_id"
    " WHERE {filter} w.start_time >= %s AND w.start_time < %s GROUP BY 1"
)
HISTORY = ("work_sessions_history_insert", "work_sessions_history_update", "work_sessions_history_delete")


def main() -> int:
    """Fill a database, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    rounds, seconds = (3, 0.5) if parser.parse_args().quick else (9, 2.0)
    os.environ["DJANGO_SETTINGS_MODULE"] = "timerecord.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    with (
        psycopg.connect(
            os.environ["DATABASE_OWNER_URL"], autocommit=True, cursor_factory=psycopg.ClientCursor
        ) as owner,
        psycopg.connect(os.environ["DATABASE_URL"], cursor_factory=psycopg.ClientCursor) as app,
    ):
        fill(owner)
        measure(owner, app, rounds, seconds)
    return 0


def fill(owner: psycopg.Connection) -> None:
    """Make tenants with employees and half a year of two work sessions on each of 22 days a month."""
    history(owner, on=False)
    owner.execute(
        "INSERT INTO tenants (tenant_uid) SELECT 'bench' || n FROM generate_series(1, %s) n", [TENANTS]
    )
    owner.execute(
        "INSERT INTO users (tenant_id, username, email, password_hash, first_name)"
        " SELECT t.id, 'b', t.tenant_uid || '-' || n || '@example.com', '!', ''"
        " FROM tenants t, generate_series(1, %s) n",
        [EMPLOYEES],
    )
    owner.execute(
        "INSERT INTO work_sessions (user_id, start_time, end_time)"
        " SELECT u.id, s, s + interval '4 hours' FROM generate_series(0, %s - 1) m, generate_series(0, 21) d,"
        " unnest(ARRAY[interval '0', interval '5 hours']) half, users u,"
        " LATERAL (SELECT timestamptz '2026-01-01Z' + make_interval(months => m, days => d) + half) AS a (s)",
        [MONTHS],
    )
    owner.execute("VACUUM ANALYZE")


def history(owner: psycopg.Connection, *, on: bool) -> None:
    """Let the history be written, or not."""
    word = "ENABLE ALWAYS" if on else "DISABLE"
    for name in HISTORY:
        owner.execute(f"ALTER TABLE work_sessions {word} TRIGGER {name}")


def measure(owner: psycopg.Connection, app: psycopg.Connection, rounds: int, seconds: float) -> None:
    """Run both comparisons and print a table."""
    from tenants import scope
    from tenants.scope import Door, Reach, Scope

    (tenant,) = owner.execute("SELECT min(id) FROM tenants").fetchone() or (0,)
    (user,) = owner.execute("SELECT min(id) FROM users WHERE tenant_id = %s", [tenant]).fetchone() or (0,)

    def say(on: psycopg.Connection, reach: Reach) -> None:
        text = scope.text_of(Scope(reach=reach, door=Door.CLOCK, tenant=tenant, user=user))
        on.execute(scope.SAY, [text, scope.seal(text)])

    def punch(on: psycopg.Connection, *, scoped: bool) -> None:
        session = None
        for is_in in (True, False):
            with on.transaction():
                if scoped:
                    say(on, Reach.OWN)
                on.execute(LOCK, [user])
                on.execute(LAST, [user, user]).fetchall()
                if is_in:
                    session = on.execute(BEGIN_SESSION, [user]).fetchone()
                else:
                    on.execute(END_SESSION, session)

    def totals(on: psycopg.Connection, *, scoped: bool, filtered: bool = True) -> None:
        with on.transaction():
            if scoped:
                say(on, Reach.TENANT)
            query = TOTALS.format(filter=f"u.tenant_id = {tenant} AND" if filtered else "")
            found = on.execute(query, [MONTH, MONTH + dt.timedelta(days=30)]).fetchall()
        if len(found) != EMPLOYEES:
            raise RuntimeError(f"{len(found)} employees in the totals")

    def with_history(do: Callable[[], None], *, on: bool) -> Callable[[], None]:
        def run() -> None:
            do()

        run.history = on  # type: ignore[attr-defined]
        return run

    app.commit()
    app.autocommit = True
    kinds: dict[str, dict[str, Callable[[], None]]] = {
        "in and out, ms": {
            "neither barrier nor history": with_history(lambda: punch(owner, scoped=False), on=False),
            "both barriers": with_history(lambda: punch(app, scoped=True), on=False),
            "both barriers and history": with_history(lambda: punch(app, scoped=True), on=True),
        },
        f"a month's totals of {EMPLOYEES:,}, ms": {
            "neither barrier": with_history(lambda: totals(owner, scoped=False), on=True),
            "both barriers": with_history(lambda: totals(app, scoped=True), on=True),
            "the second one alone": with_history(lambda: totals(app, scoped=True, filtered=False), on=True),
        },
    }
    for what, ways in kinds.items():
        took: dict[str, list[float]] = {name: [] for name in ways}
        for n in range(rounds + 1):
            for name, do in ways.items():
                history(owner, on=do.history)  # type: ignore[attr-defined]
                found = milliseconds(do, seconds)
                if n:  # the first round warms up
                    took[name].append(found)
        print(f"\n{what}")
        floor = next(iter(took.values()))
        for name, figures in took.items():
            ratio = statistics.median(one / least for one, least in zip(figures, floor, strict=True))
            print(f"  {name:34} {statistics.median(figures):10.2f} {ratio:8.2f}")


def milliseconds(do: Callable[[], None], seconds: float) -> float:
    """Return the median of one call's milliseconds."""
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(took) < 3:
        started = time.perf_counter()
        do()
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1000


if __name__ == "__main__":
    sys.exit(main())
