"""What the month of a whole tenant costs, as a report and as files, beside one raw aggregate, in one run.

    script/bench month [--quick]

- The report: all that the tenant admin's page of a month shows, its chart included, without its HTML.
- The files: one employee's workbook, the tenant's, and its work sessions as CSV.
- The floor of the tenant's workbook: XlsxWriter alone, writing as many cells of the same kinds, which are
  in memory already, row by row to the disk.
- The floor of the archive of all months: COPY of the work sessions to a file, as they are. They have no
  history here: with theirs, an archive has twice as many rows or more.
- The floor of all else: one bare aggregate of each employee's minutes, through psycopg as the application's
  role in the tenant's scope. It splits no day, knows neither running sessions nor names, and asks for
  nobody's state.

For 50, 500 and 2,000 employees, each with 44 work sessions a month, and 10^5 work sessions in all; without
--quick with 10^7, too, years of the same. Rounds alternate; medians, and medians of the rounds' ratios.
"""

import argparse
import datetime as dt
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import psycopg
import xlsxwriter

from bench.barriers import HISTORY, TOTALS
from bench.clock import show

SIZES = (50, 500, 2000)
ARCHIVED = 500  # of a larger one an archive takes minutes
SESSIONS_A_MONTH = 44
NOW = dt.datetime(2026, 11, 24, 3, tzinfo=dt.UTC)
TRIGGERS = (*HISTORY, "work_sessions_no_overlap_insert", "work_sessions_no_overlap_update")


def main() -> int:
    """Fill a database, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, little history")
    quick = parser.parse_args().quick
    os.environ["DJANGO_SETTINGS_MODULE"] = "timerecord.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    medians: dict[str, list[float]] = {}
    for sessions in (10**5,) if quick else (10**5, 10**7):
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
            there = fill(owner, sessions)
        print(f"\n{there:,} work sessions\n{'':34} {'ms':>12} {'floor':>12} {'ratio':>7}  aim")
        for size in SIZES:
            took = measure(size, rounds=5 if quick else 15, files=1 if quick else 3)
            medians.setdefault(f"report, {size:,} employees", []).append(took)
    if not quick:
        print("\nwith more history, beside less")
        for what, (less, more) in medians.items():
            print(f"{what:34} {more:12.2f} {less:12.2f} {more / less:7.2f}  1")
    return 0


def fill(owner: psycopg.Connection, sessions: int) -> int:
    """Make a tenant of each size, and so many work sessions in the order of time; return how many there are.

    Two a day on the first 22 days of each month, about from 9 to 13 and from 14 to 18 o'clock in Japan, and
    running ones of nine in ten. What keeps the rows from overlapping and records them is off meanwhile.
    """
    for name in TRIGGERS:
        owner.execute(f"ALTER TABLE work_sessions DISABLE TRIGGER {name}")
    owner.execute("TRUNCATE work_sessions, users, tenants CASCADE")
    for size in SIZES:
        owner.execute(
            "WITH made AS (INSERT INTO tenants (tenant_uid) VALUES (%s) RETURNING id, tenant_uid)"
            " INSERT INTO users (tenant_id, username, email, password_hash, last_name, first_name)"
            " SELECT id, 'b', tenant_uid || '-' || n || '@example.com', '!', '佐藤', '花子' || n"
            " FROM made, generate_series(1, %s) n",
            [f"bench{size}", size],
        )
    months = max(1, round(sessions / (sum(SIZES) * SESSIONS_A_MONTH)))
    for back in reversed(range(months)):
        owner.execute(
            "INSERT INTO work_sessions (user_id, start_time, end_time)"
            " SELECT u.id, s, s + interval '4 hours' + make_interval(secs => u.id %% 1000)"
            " FROM generate_series(0, 21) d, unnest(ARRAY[interval '0', interval '5 hours']) half, users u,"
            " LATERAL (SELECT timestamptz '2026-11-01 00:00Z' - make_interval(months => %s)"
            "  + make_interval(days => d, secs => u.id %% 3600) + half) AS a (s) ORDER BY s",
            [back],
        )
    owner.execute(
        "INSERT INTO work_sessions (user_id, start_time)"
        " SELECT id, %s - interval '3 hours' FROM users WHERE id %% 10 > 0",
        [NOW],
    )
    for name in TRIGGERS:
        owner.execute(f"ALTER TABLE work_sessions ENABLE ALWAYS TRIGGER {name}")
    owner.execute("VACUUM ANALYZE")
    (there,) = owner.execute("SELECT count(*) FROM work_sessions").fetchone() or (0,)
    return int(there)


def measure(size: int, rounds: int, files: int) -> float:
    """Print what the tenant of a size costs; return the median milliseconds of its report."""
    from accounts.models import User
    from attendance import archives, charts, exports, tenant_reports
    from attendance.months import Month
    from tenants import scope
    from tenants.models import Tenant
    from tenants.scope import Door, Reach, Scope

    with scope.everything("a benchmark looks for its tenant"):
        tenant = Tenant.objects.get(tenant_uid=f"bench{size}")
    asked = Scope(reach=Reach.TENANT, door=Door.ADMIN, tenant=tenant.pk, user=0)
    month = Month(2026, 11)
    bounds = month.bounds(tenant.zone)
    raw = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, cursor_factory=psycopg.ClientCursor)

    def aggregate() -> None:
        with raw.transaction():
            text = scope.text_of(asked)
            raw.execute(scope.SAY, [text, scope.seal(text)])
            query = TOTALS.format(filter=f"u.tenant_id = {tenant.pk} AND")
            found = raw.execute(query, [bounds[0], bounds[-1]]).fetchall()
        if len(found) != size:
            raise RuntimeError(f"{len(found)} employees in the totals")

    def report() -> None:
        with scope.enter(asked):
            page = tenant_reports.tenant_month(tenant, month, NOW)
            charts.day_chart(page.days)
        if page.totals.who_worked != size:
            raise RuntimeError(f"{page.totals.who_worked} employees in the report")

    def export(make: Callable[[], exports.Export]) -> Callable[[], None]:
        def run() -> None:
            with scope.enter(asked):
                made = make()
            made.file.close()
            sizes.append(made.size)

        return run

    def one_workbook() -> exports.Export:
        user = User.objects.in_scope().with_tenant().order_by("pk")[:1].get()
        return exports.employee_month_xlsx(user, month, NOW)

    def csv() -> exports.Export:
        table, encoding = exports.Table.SESSIONS, exports.Encoding.UTF_8
        return exports.tenant_month_csv(tenant, month, NOW, table, encoding)

    sizes: list[int] = []
    pairs = compared(report, aggregate, rounds)
    show(f"report, {size:,} employees", pairs, "5 or less" if size == max(SIZES) else "")
    for what, make, floor in (
        ("workbook of one of them", one_workbook, aggregate),
        ("CSV of all", csv, aggregate),
        (
            "workbook of all",
            lambda: exports.tenant_month_xlsx(tenant, month, NOW),
            lambda: plain_workbook(size * SESSIONS_A_MONTH),
        ),
    ):
        before = peak()
        took = compared(export(make), floor, files)
        show(f"  {what}", took, f"{sizes[-1] / 1e6:.2f} MB, memory {before} to {peak()} MB at the most")
    if size == ARCHIVED:
        rows = (
            f"SELECT s.* FROM work_sessions s JOIN users u ON u.id = s.user_id AND u.tenant_id = {tenant.pk}"
        )

        def copy() -> None:
            with raw.transaction(), tempfile.TemporaryFile() as file:
                text = scope.text_of(asked)
                raw.execute(scope.SAY, [text, scope.seal(text)])
                with raw.cursor().copy(f"COPY ({rows}) TO STDOUT (FORMAT csv)") as parts:
                    for part in parts:
                        file.write(part)

        took = compared(export(lambda: archives.archive(tenant, NOW)[0]), copy, 1, warm_up=False)
        show("  archive of all", took, f"{sizes[-1] / 1e6:.2f} MB, memory {peak()} MB at the most")
    raw.close()
    return statistics.median(one for one, _ in pairs)


def plain_workbook(rows: int) -> None:
    """Write the cells of so many work sessions with XlsxWriter, from tuples that are there already."""
    texts, number = ("佐藤 花子", "bench2000-1@example.com", "月"), 46327
    with tempfile.TemporaryFile() as file:
        book = xlsxwriter.Workbook(file, {"constant_memory": True})
        sheet = book.add_worksheet()
        text, date, time_, count = (
            book.add_format({"num_format": kind}) for kind in ("@", "yyyy/mm/dd", "[hh]:mm", "#,##0")
        )
        for row in range(rows):
            sheet.write_string(row, 0, texts[0], text)
            sheet.write_string(row, 1, texts[1], text)
            sheet.write_number(row, 2, number, date)
            sheet.write_string(row, 3, texts[2], text)
            sheet.write_number(row, 4, 0.375, time_)
            sheet.write_number(row, 5, 0.541666666666667, time_)
            sheet.write_number(row, 6, 240, count)
            sheet.write_number(row, 7, 0.166666666666667, time_)
        book.close()


def compared(
    do: Callable[[], None], floor: Callable[[], None], rounds: int, *, warm_up: bool = True
) -> list[tuple[float, float]]:
    """Return the milliseconds of both, round by round, after one round that warms up."""
    return [(milliseconds(do), milliseconds(floor)) for _ in range(rounds + warm_up)][warm_up:]


def milliseconds(do: Callable[[], None]) -> float:
    """Return what it took once."""
    started = time.perf_counter()
    do()
    return (time.perf_counter() - started) * 1000


def peak() -> int:
    """Return the most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(main())
