"""What axe finds in a page that is open."""

from typing import Final, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

from tests.browser.person import DESKTOP, PHONE

VIOLATIONS = """options => axe.run({resultTypes: ["violations"], ...options}).then(
    results => results.violations.map(
        violation => [violation.id, violation.help, ...violation.nodes.map(node => node.html)]))"""

COLOURS: Final = {"runOnly": ["color-contrast"]}  # nothing else changes in the dark
SCHEMES: Final[list[tuple[Literal["light", "dark"], dict[str, list[str]]]]] = [
    ("light", {}),
    ("dark", COLOURS),
]


def axe_finds_nothing(page: Page, *sizes: ViewportSize) -> None:
    """Assert it in these sizes, or on a phone and a desktop; in light, and in dark of the colours."""
    page.evaluate(Axe().axe_script)
    for size in sizes or (PHONE, DESKTOP):
        page.set_viewport_size(size)
        for scheme, rules in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate(VIOLATIONS, rules)
            assert found == [], f"{page.url} {size} {scheme}: {found}"  # pytest looks into tests alone
    page.emulate_media(color_scheme="light")
