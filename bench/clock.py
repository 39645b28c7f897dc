"""What the employee's page and a punch cost, each beside its floor, in one run.

    script/bench [--quick]

- The page beside a bare Django page: session, user and one query, same server, middleware and database.
- A pair of punches (in, out) as the views call them, beside their bare transactions in pgbench on the same
  table; and the pair over HTTP beside those, and beside two bare pages.
- 64 clients at once, for 64 people and for one: no punch may be doubled.

Rounds alternate; medians of the rounds' ratios are printed. The load comes from this process. The pages
come from as many gunicorn workers of one thread as there are clients: Lambda too gives each request a
process of its own. The crowd of 64 meets one worker of 64 threads.
"""

import argparse
import contextlib
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings

HISTORY_DAYS = 3 * 365
CROWD = 64
CSRF = "b" * 32

PUNCH_PAIR = """\
BEGIN;
SELECT id FROM users WHERE id = {user} FOR NO KEY UPDATE;
(SELECT * FROM work_sessions WHERE user_id = {user} AND end_time IS NULL AND NOT end_unknown)
UNION ALL (SELECT * FROM work_sessions WHERE user_id = {user} ORDER BY start_time DESC, id DESC LIMIT 1);
INSERT INTO work_sessions (user_id, start_time, end_time, end_unknown, created_at)
VALUES ({user}, clock_timestamp(), NULL, false, clock_timestamp()) RETURNING id \\gset
COMMIT;
BEGIN;
SELECT id FROM users WHERE id = {user} FOR NO KEY UPDATE;
(SELECT * FROM work_sessions WHERE user_id = {user} AND end_time IS NULL AND NOT end_unknown)
UNION ALL (SELECT * FROM work_sessions WHERE user_id = {user} ORDER BY start_time DESC, id DESC LIMIT 1);
UPDATE work_sessions SET end_time = clock_timestamp()
WHERE id = :id AND end_time IS NULL AND NOT end_unknown;
COMMIT;
"""


class Browser:
    """One person's browser: a kept connection and a session."""

    def __init__(self, port: int, session: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        cookies = f"{settings.SESSION_COOKIE_NAME}={session}; csrftoken={CSRF}"
        self.headers = {"Cookie": cookies, "Accept-Language": "ja"}

    def get(self, path: str) -> None:
        """Fetch a page; anything but 200 is an error of the bench."""
        self._ask("GET", path, None, 200)

    def punch(self, path: str, seen: int) -> None:
        """Send the form; every answer is a redirect to the page that tells the outcome."""
        form = urlencode({"csrfmiddlewaretoken": CSRF, "seen": seen, "confirmed": "yes"})
        self._ask("POST", path, form, 303)

    def _ask(self, method: str, path: str, body: str | None, status: int) -> None:
        headers = self.headers | ({"Content-Type": "application/x-www-form-urlencoded"} if body else {})
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != status:
            raise RuntimeError(f"{method} {path} answered {answer.status}")


@contextlib.contextmanager
def served(workers: int = 1, threads: int = 1) -> Iterator[int]:
    """Serve the pages from gunicorn; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Else headers and body in two packets cost 40 ms of waiting for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = ["-m", "gunicorn", "timerecord.wsgi", "--bind", f"fd://{listening.fileno()}", "-k", "gthread"]
        words += ["--workers", str(workers), "--threads", str(threads)]
        words += ["--keep-alive", "75", "--log-level", "error"]
        server = subprocess.Popen([sys.executable, *words], pass_fds=[listening.fileno()])
        try:
            yield listening.getsockname()[1]
        finally:
            server.terminate()
            server.wait()


def rate(do: Callable[[Browser], None], browsers: list[Browser], seconds: float) -> float:
    """Return how many times a second all browsers together did it."""
    end = time.perf_counter() + seconds

    def work(browser: Browser) -> int:
        done = 0
        while time.perf_counter() < end:
            do(browser)
            done += 1
        return done

    started = time.perf_counter()
    with ThreadPoolExecutor(len(browsers)) as pool:
        total = sum(pool.map(work, browsers))
    return total / (time.perf_counter() - started)


def milliseconds(do: Callable[[], float], seconds: float) -> float:
    """Repeat what returns the seconds that it took; return the median in milliseconds."""
    end, took = time.perf_counter() + seconds, []
    while time.perf_counter() < end:
        took.append(do())
    return statistics.median(took) * 1000


def main() -> int:
    """Measure and print; return 1 if a punch was doubled."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="short rounds")
    quick = parser.parse_args().quick
    rounds, seconds = (3, 1.0) if quick else (9, 3.0)

    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
    with tempfile.TemporaryDirectory() as static:
        os.environ["BENCH_STATIC_ROOT"] = static
        import django

        django.setup()
        from django.core.management import call_command

        call_command("collectstatic", interactive=False, verbosity=0)
        call_command("migrate", interactive=False, verbosity=0)
        return measure(rounds, seconds)


def measure(rounds: int, seconds: float) -> int:
    """Fill the database, run every comparison, print the table."""
    import datetime as dt

    from django.db import connections
    from django.test import Client

    from accounts.models import User
    from attendance import actions
    from attendance.models import NO_SESSION, WorkSession
    from tenants import scope
    from tenants.models import Tenant
    from tenants.scope import Door, Reach, Scope

    everything = Scope(reach=Reach.ALL, door=Door.COMMAND, user=0, reason="a benchmark arranges")

    with scope.enter(everything):
        tenant = Tenant.objects.create(name="bench")
        people = [
            User.objects.create_user(email=f"bench{n}@example.com", password=None, tenant=tenant)
            for n in range(CROWD + 2)
        ]
        for person in people[:2]:
            first = dt.datetime.now(dt.UTC).replace(hour=0, minute=0) - dt.timedelta(days=HISTORY_DAYS)
            WorkSession.objects.bulk_create(
                WorkSession(user=person, start_time=start, end_time=start + dt.timedelta(hours=4))
                for day in range(HISTORY_DAYS - 1)
                for start in (first + dt.timedelta(days=day), first + dt.timedelta(days=day, hours=5))
            )
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")

    def session_of(person: User) -> str:
        client = Client()
        with scope.enter(everything):
            client.force_login(person)
        return client.cookies[settings.SESSION_COOKIE_NAME].value

    def last_of(person: User) -> int:
        with scope.enter(everything):
            last = WorkSession.objects.of(person).last_of_one()
        return last.pk if last else NO_SESSION

    own = Scope(reach=Reach.OWN, door=Door.CLOCK, tenant=people[0].tenant_id, user=people[0].pk)

    print(f"{'':34} {'measured':>12} {'floor':>12} {'ratio':>7}  aim")
    mine = session_of(people[0])
    for clients in (1, 4):
        with served(workers=clients) as port:
            browsers = [Browser(port, mine) for _ in range(clients)]
            pairs = []
            for n in range(rounds + 1):
                bare = rate(lambda browser: browser.get("/bare"), browsers, seconds)
                page = rate(lambda browser: browser.get("/"), browsers, seconds)
                if n:  # the first round warms up
                    pairs.append((page, bare))
            show(f"page, requests/s, {clients} client(s)", pairs, "0.6 or more")

    def by_action() -> float:
        seen = last_of(people[0])
        started = time.perf_counter()
        with scope.enter(own):
            punch = actions.clock_in(people[0], seen=seen, confirmed=True)
        with scope.enter(own):
            actions.clock_out(people[0], seen=punch.session.pk if punch.session else seen, confirmed=True)
        return time.perf_counter() - started

    with served() as port:
        browser = Browser(port, mine)

        def by_http() -> float:
            spent = 0.0
            for path in ("/clock-in", "/clock-out"):
                seen = last_of(people[0])
                started = time.perf_counter()
                browser.punch(path, seen)
                spent += time.perf_counter() - started
            return spent

        def bare_pages() -> float:
            started = time.perf_counter()
            browser.get("/bare")
            browser.get("/bare")
            return time.perf_counter() - started

        script = Path(os.environ["BENCH_STATIC_ROOT"]) / "punch.sql"
        script.write_text(PUNCH_PAIR.format(user=people[1].pk))
        by_actions, over_http, beside_pages = [], [], []
        for n in range(rounds + 1):
            floor = pgbench_milliseconds(script, seconds)
            action, whole, page = (milliseconds(do, seconds) for do in (by_action, by_http, bare_pages))
            if n:
                by_actions.append((action, floor))
                over_http.append((whole, floor))
                beside_pages.append((whole, page))
        show("in and out, ms, 1 client", by_actions, "3 or less")
        show("the same over HTTP", over_http, "")
        show("... beside two bare pages", beside_pages, "")

    with served(threads=CROWD) as port:
        doubled = 0
        crowd = [Browser(port, session_of(person)) for person in people[2:]]
        for name, browsers, owners in (
            (f"{CROWD} people at once", crowd, people[2:]),
            ("one person, 64 times at once", [Browser(port, mine) for _ in crowd], [people[0]] * CROWD),
        ):
            doubled += crowd_at_once(name, browsers, owners, last_of)
    return 1 if doubled else 0


def crowd_at_once(name: str, browsers: list[Browser], owners: list, last_of: Callable) -> int:  # type: ignore[type-arg]
    """Let everybody clock in at one moment, several times; return how many sessions were too many."""
    from attendance.models import WorkSession
    from tenants import scope

    waves, everybody = 5, {owner.pk: owner for owner in owners}

    def count() -> int:
        with scope.everything("a benchmark counts"):
            return WorkSession.objects.in_scope().filter(user__in=everybody).count()

    before = count()
    spent = 0.0
    for _ in range(waves):
        for path in ("/clock-in", "/clock-out"):
            seen = {key: last_of(owner) for key, owner in everybody.items()}
            barrier = threading.Barrier(len(browsers) + 1)

            def punch(
                n: int, path: str = path, seen: dict[int, int] = seen, at: threading.Barrier = barrier
            ) -> None:
                at.wait()
                browsers[n].punch(path, seen[owners[n].pk])

            with ThreadPoolExecutor(len(browsers)) as pool:
                sent = [pool.submit(punch, n) for n in range(len(browsers))]
                barrier.wait()
                started = time.perf_counter()
                for done in sent:
                    done.result()
                spent += time.perf_counter() - started
    too_many = count() - before - waves * len(everybody)
    print(
        f"{name:34} {2 * waves * len(browsers) / spent:9.0f} punches/s, {too_many} doubled or lost (aim: 0)"
    )
    return abs(too_many)


def pgbench_milliseconds(script: Path, seconds: float) -> float:
    """Return the average milliseconds of the bare transactions of one pair, one client."""
    done = subprocess.run(
        ["pgbench", "-n", "-c", "1", "-T", str(max(1, round(seconds))), "-M", "simple", "-f", str(script)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PGUSER": "timerecord_owner"},
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("latency average"))
    return float(line.split("=")[1].split()[0])


def show(what: str, pairs: list[tuple[float, float]], aim: str) -> None:
    """Print the medians of both and of their ratios by round."""
    measured, floor = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"{what:34} {measured:12.2f} {floor:12.2f} {ratio:7.2f}  {aim}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
