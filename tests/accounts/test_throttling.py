"""How often somebody may try something."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test import Client, RequestFactory
from pytest_django import Settings

from accounts import throttling
from accounts.models import ThrottleCounter, User
from accounts.throttling import CLEARED_AT_ONCE, client_key, site_key
from tenants import scope
from tests.conftest import PASSWORD, japan

pytestmark = pytest.mark.django_db

NOW = japan("2026-11-20 12:00")
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def hit(key: str = "one", what: str = "test", limit: int = 3) -> bool:
    return throttling.hit(what, key, limit=limit, seconds=60)


class TestHit:
    def test_so_many_and_no_more(self, now: time_machine.Traveller) -> None:
        assert [hit() for _ in range(5)] == [True, True, True, False, False]

    def test_the_while_begins_with_the_first_try(self, now: time_machine.Traveller) -> None:
        hit()
        now.shift(MINUTE / 2)
        assert [hit() for _ in range(3)] == [True, True, False]
        now.move_to(NOW + MINUTE - dt.timedelta(microseconds=1))
        assert not hit()
        now.move_to(NOW + MINUTE)
        assert [hit() for _ in range(4)] == [True, True, True, False]

    def test_each_what_and_each_key_on_its_own(self, now: time_machine.Traveller) -> None:
        assert [hit(limit=1), hit(limit=1)] == [True, False]
        assert hit("two", limit=1)
        assert hit(what="other", limit=1)

    def test_taken_back(self, now: time_machine.Traveller) -> None:
        assert hit(limit=1)
        throttling.take_back("test", "one")
        throttling.take_back("test", "one")
        assert [hit(limit=1), hit(limit=1)] == [True, False]
        throttling.take_back("test", "unheard of")

    def test_how_long_to_wait(self, now: time_machine.Traveller) -> None:
        hit()
        assert throttling.seconds_left("test", "one") == 60
        now.shift(dt.timedelta(seconds=59, milliseconds=1))
        assert throttling.seconds_left("test", "one") == 1
        now.shift(MINUTE)
        assert throttling.seconds_left("test", "one") == 1
        assert throttling.seconds_left("test", "unheard of") == 1

    def test_keys_are_not_stored(self, now: time_machine.Traveller) -> None:
        hit("203.0.113.7", what="sign_in")
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(t)::text FROM throttle_counters t")
            (row,) = cursor.fetchone()
        assert "203.0" not in row
        assert "sign_in" not in row
        assert len(ThrottleCounter.objects.get().key) == 64

    def test_what_is_over_is_cleared_away_a_few_at_a_time(self, now: time_machine.Traveller) -> None:
        over = [
            ThrottleCounter(key=f"{n:064}", hits=1, expires_at=NOW - n * MINUTE)
            for n in range(1, CLEARED_AT_ONCE + 11)
        ]
        ThrottleCounter.objects.bulk_create(over)
        with scope.none():
            hit("new")
            assert ThrottleCounter.objects.filter(expires_at__lt=NOW).count() == 10
            hit("new")  # one that is there already clears nothing
            assert ThrottleCounter.objects.filter(expires_at__lt=NOW).count() == 10
        hit("newest")  # in a transaction of somebody's
        assert ThrottleCounter.objects.filter(expires_at__lt=NOW).count() == 10
        with scope.none():
            hit("newer")
            assert ThrottleCounter.objects.filter(expires_at__lt=NOW).count() == 0


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", None),
        ("somewhere", None),
    ],
)
def test_whom_a_request_is_counted_to(given: str, key: str | None) -> None:
    forged = {"x-forwarded-for": "198.51.100.1", "forwarded": "for=198.51.100.1"}
    assert client_key(RequestFactory().get("/", REMOTE_ADDR=given, headers=forged)) == key


@pytest.mark.parametrize(
    ("client", "site"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::/64", "2001:db8:1::/48"),
        ("2001:db8:2::/64", "2001:db8:2::/48"),
        (None, None),
    ],
)
def test_to_which_site_it_is_counted(client: str | None, site: str | None) -> None:
    assert site_key(client) == site


@pytest.mark.parametrize("given", ["", "unix:"])
def test_where_nobody_says_who_asks_one_cannot_keep_out_all_others(
    client: Client, employee: User, settings: Settings, caplog: pytest.LogCaptureFixture, given: str
) -> None:
    settings.SIGN_IN_FAILURES_PER_ADDRESS = 1
    for n in range(3):
        wrong = {"email": f"{n}@example.com", "password": "x"}
        assert client.post("/sign-in", wrong, REMOTE_ADDR=given).status_code == 200
    right = {"email": employee.email, "password": PASSWORD}
    assert client.post("/sign-in", right, REMOTE_ADDR=given).status_code == 302
    assert "no address: tries cannot be limited by network" in caplog.text


SECONDS = 600  # less than the while in which they are counted together

# Says when it is ready, and waits for the other one: else the first could be done before the second begins.
SIGN_IN_IN_A_PROCESS = """
import sys
import django
django.setup()
from django.conf import settings
from django.test import Client
settings.ALLOWED_HOSTS.append("testserver")
Client().get("/sign-in")
print("ready", flush=True)
sys.stdin.readline()
print(*[
    Client().post("/sign-in", {"email": f"{sys.argv[1]}{n}@example.com", "password": "x"}).status_code
    for n in range(60)
])
"""


@pytest.mark.django_db(transaction=True)
def test_two_processes_count_together() -> None:
    """Whole instances of the application, which share nothing but the database."""
    there = connection.settings_dict
    host = there["HOST"]
    url = (
        f"postgresql://{there['USER']}:{there['PASSWORD']}@/{there['NAME']}?host={host}"
        if host.startswith("/")
        else f"postgresql://{there['USER']}:{there['PASSWORD']}@{host}:{there['PORT']}/{there['NAME']}"
    )
    if host.startswith("/") and there["PORT"]:
        url += f"&port={there['PORT']}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")},
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "timerecord.settings",
    }
    instances = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SIGN_IN_IN_A_PROCESS, name],
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    try:
        for instance in instances:
            assert instance.stdout
            assert instance.stdout.readline() == "ready\n"
        for instance in instances:
            assert instance.stdin
            instance.stdin.write("go\n")
            instance.stdin.flush()
        answers = [instance.communicate(timeout=SECONDS)[0].split() for instance in instances]
    finally:
        for instance in instances:
            instance.kill()
            instance.wait()
    both = sorted(answers[0] + answers[1])
    assert both == ["200"] * 100 + ["429"] * 20
    assert all("200" in answer for answer in answers)
