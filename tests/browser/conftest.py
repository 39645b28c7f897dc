"""A real Chromium in front of the real server, both in reach of the tests.

The server runs in threads of this process, so that a test can move its clock and look into its
database. The browser keeps its own time.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core.servers.basehttp import WSGIRequestHandler
from playwright.sync_api import Browser, BrowserContext, Playwright, ViewportSize, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.browser.pages import Stage, Visit
from tests.browser.person import PHONE, Person
from tests.conftest import MakeSession, MakeUser, japan

CHROMIUM = Path("/usr/bin/chromium")
# None: the one that Playwright brought.
EXECUTABLE = None if "PLAYWRIGHT_BROWSERS_PATH" in os.environ or not CHROMIUM.exists() else CHROMIUM
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RESULTS = settings.BASE_DIR / "test-results"
MILLISECONDS = 30_000  # a busy machine takes its time
FAILED = pytest.StashKey[bool]()
# A Friday in the middle of nothing: no month, day or minute ends nearby.
MORNING = japan("2026-11-20 09:02:10")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failure for the fixture that takes the pictures."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright, for as long as these tests last: its event loop sits in the thread of the tests."""
    if reason := os.environ.get("TIMERECORD_NO_BROWSER"):
        pytest.skip(reason)
    if EXECUTABLE is None and "PLAYWRIGHT_BROWSERS_PATH" not in os.environ:
        pytest.fail(f"{CHROMIUM} is missing; to run without it, give the reason in TIMERECORD_NO_BROWSER")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as running:
        # That loop never runs Django's code, so the database may be used beside it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        expect.set_options(timeout=MILLISECONDS)
        # Else a page waits 40 ms until its headers are acknowledged.
        patch.setattr(WSGIRequestHandler, "disable_nagle_algorithm", True)
        yield running


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    with playwright.chromium.launch(executable_path=EXECUTABLE, args=FLAGS) as browser:
        yield browser


@pytest.fixture(scope="package")
def chromium_with_large_text(playwright: Playwright) -> Iterator[Browser]:
    """As somebody has it who reads everything at twice the size."""
    flags = [*FLAGS, "--blink-settings=defaultFontSize=32,defaultFixedFontSize=26"]
    with playwright.chromium.launch(executable_path=EXECUTABLE, args=flags) as browser:
        yield browser


@pytest.fixture
def server_clock() -> Iterator[time_machine.Traveller]:
    """The clock of the server and of the test, which stands still until it is moved."""
    with time_machine.travel(MORNING, tick=False) as clock:
        yield clock


@pytest.fixture(autouse=True)
def chosen_store(request: pytest.FixtureRequest) -> None:
    """Keep sessions where the variable SESSION_STORE says: all of these pass with either."""
    if settings.SESSION_STORE == "dynamodb":
        request.getfixturevalue("dynamodb")


@pytest.fixture(scope="package")
def idle() -> dict[str, list[BrowserContext]]:
    """Clean contexts to be used again, by their options: a new one costs more than most tests."""
    return {}


@pytest.fixture
def visit(
    request: pytest.FixtureRequest,
    chromium: Browser,
    idle: dict[str, list[BrowserContext]],
    live_server: LiveServer,
    server_clock: time_machine.Traveller,
) -> Iterator[Visit]:
    """Open a browser of its own, in which `user`, if given, is signed in.

    Whatever the browser complains about fails the test: scripts that stop, files that are missing,
    what the content security policy refuses.
    """
    people: list[tuple[Person, str]] = []

    def open_browser(
        user: User | None = None,
        *,
        browser: Browser = chromium,
        locale: str = "ja-JP",
        viewport: ViewportSize = PHONE,
        **options: Any,
    ) -> Person:
        kind = f"{id(browser)} {locale} {sorted(options.items())}"
        if clean := idle.get(kind):
            context = clean.pop()
        else:
            context = browser.new_context(base_url=live_server.url, locale=locale, **options)
            context.set_default_timeout(MILLISECONDS)
        person = Person(context, live_server.url, viewport)
        people.append((person, kind))
        if user:
            person.give_session(user)
        return person

    yield open_browser

    failed = request.node.stash.get(FAILED, False)
    for number, (person, kind) in enumerate(people):
        if failed:
            person.keep_evidence(RESULTS / f"{request.node.name}-{number}".replace("/", "_"))
        person.leave()
        if failed or not person.leaves_no_trace:
            person.context.close()
        else:
            idle.setdefault(kind, []).append(person.context)
    assert [complaint for person, _ in people for complaint in person.complaints] == []


@pytest.fixture
def stage(
    visit: Visit, make_user: MakeUser, make_session: MakeSession, server_clock: time_machine.Traveller
) -> Stage:
    return Stage(visit, make_user, make_session, server_clock)
