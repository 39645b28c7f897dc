"""What a person at a browser does and notices."""

import contextlib
import copy
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.test import Client
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Error,
    FloatRect,
    Locator,
    ViewportSize,
    WebError,
    expect,
)

from accounts.models import User
from tests.conftest import PASSWORD

PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}


class Person:
    """One browser with its own cookies, and the page that is open in it."""

    def __init__(self, context: BrowserContext, site: str, viewport: ViewportSize) -> None:
        self.context = context
        self.site = site
        self.complaints: list[str] = []
        self.leaves_no_trace = True
        context.on("console", self._listen)
        context.on("weberror", self._hear)
        self.page = context.pages[0] if context.pages else context.new_page()
        self.page.set_viewport_size(viewport)
        self.page.emulate_media(color_scheme="light")

    def leave(self) -> None:
        """Make the context clean for the next person."""
        self.context.remove_listener("console", self._listen)
        self.context.remove_listener("weberror", self._hear)
        self.context.clear_cookies()
        first, *others = self.context.pages
        for page in others:
            page.close()
        first.unroute_all()
        first.goto("about:blank")

    def _hear(self, error: WebError) -> None:
        self.complaints.append(str(error.error))

    def _listen(self, message: ConsoleMessage) -> None:
        url = message.location["url"]
        # Chromium reports a page that is refused or out of reach, too: those are the tests' own doing.
        expected = "net::ERR_INTERNET_DISCONNECTED" in message.text or (
            message.text.startswith("Failed to load resource") and "/static/" not in url
        )
        if message.type in {"error", "warning"} and not expected:
            self.complaints.append(f"{message.text} {url}")

    # --- what they do ---------------------------------------------------------------------------------

    def give_session(self, user: User) -> None:
        """Sign in without the form, as if it had been done a while ago."""
        client = Client()
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        self.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": self.site}])

    def open(self, path: str = "/") -> "Person":
        self.page.goto(path)
        return self

    def in_new_tab(self) -> "Person":
        """The same person at one more page of the same browser."""
        other = copy.copy(self)
        other.page = self.context.new_page()
        return other

    def fill_in_sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Fill in the Japanese form and send it."""
        self.page.get_by_label("メールアドレス").fill(email)
        self.page.get_by_label("パスワード").fill(password)
        self.page.get_by_role("button", name="ログイン", exact=True).click()

    def stop_the_clock(self) -> None:
        """Have the browser's time go on by `let_pass` only, from the next page on."""
        self.leaves_no_trace = False
        self.page.clock.install()

    def let_pass(self, *, minutes: int, seconds: int) -> None:
        self.page.clock.run_for((minutes * 60 + seconds) * 1000)

    def tap(self, name: str) -> None:
        self.button(name).click()

    def punch(self) -> None:
        """Tap what is in the place of the large button, in any language, and see what comes."""
        with self.page.expect_navigation():
            self.large_button.click()

    def tap_at(self, place: FloatRect) -> None:
        """Tap a place of the screen, whatever is there by now, without waiting for anything."""
        self.page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    # --- what they notice -----------------------------------------------------------------------------

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def large_button(self) -> Locator:
        """The button to clock in or out, or the harmless answer in its place."""
        return self.page.locator(".punch")

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def region(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name, exact=True)

    def rows(self, region: str) -> list[list[str]]:
        """The cells of the table in a region, without its head; it need not be unfolded."""
        rows = self.region(region).locator("tbody tr")
        return [[text.strip() for text in row.locator("th, td").all_text_contents()] for row in rows.all()]

    def total(self, name: str) -> Locator:
        """The figure under 今日 or 今月."""
        term = self.page.get_by_role("term").filter(has_text=name)
        return self.page.locator("dl > div").filter(has=term).get_by_role("definition")

    def sees_heading(self, text: str) -> None:
        """Notice the heading of a page that has come in full."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(text)
        self.page.wait_for_load_state()

    def sees(self, text: str) -> None:
        expect(self.page.get_by_role("main").get_by_text(text, exact=True)).to_be_visible()

    def is_told(self, text: str) -> None:
        """Notice the message that a punch left."""
        expect(self.page.get_by_role("status")).to_have_text(text)

    def is_at(self, path: str) -> None:
        assert urlsplit(self.page.url).path == path

    @property
    def focused(self) -> Locator:
        return self.page.locator(":focus")

    def place_of(self, locator: Locator) -> FloatRect:
        """Where something is on the screen, in CSS pixels."""
        box = locator.bounding_box()
        assert box is not None
        return box

    def keep_evidence(self, stem: Path) -> None:
        """Keep a picture and the text of what is open, for whoever looks into the failure."""
        stem.parent.mkdir(exist_ok=True)
        for number, page in enumerate(self.context.pages):
            with contextlib.suppress(Error):  # a page that hangs has no picture
                page.screenshot(path=f"{stem}-{number}.png", full_page=True, timeout=3_000)
                Path(f"{stem}-{number}.html").write_text(f"<!-- {page.url} -->\n{page.content()}")
