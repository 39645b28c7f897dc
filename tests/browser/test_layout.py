"""Every page in every state: on narrow screens, with large text, where its button is, and what axe finds."""

import pytest
from playwright.sync_api import Browser, FloatRect, Page, expect

from accounts.models import User
from tests.browser.axe import axe_finds_nothing
from tests.browser.pages import PAGES, Stage, Visit
from tests.conftest import MakeSession

# Of phones upright and on their side, and of a desktop.
SIZES = [(320, 568), (360, 740), (390, 844), (740, 360), (1280, 900)]
# What has room there in one language and not in the other.
NARROW = SIZES[:3]

every_page = pytest.mark.parametrize("name", PAGES)
both_languages = pytest.mark.parametrize("locale", ["ja", "en"])

# What is wider than the screen, and what does not fit into a box of a fixed size.
MISFITS = """() => [
    ...[document.documentElement].filter(page => page.scrollWidth > window.innerWidth),
    ...[...document.querySelectorAll(".state, .punch, dd")].filter(
        box => box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight)
].map(misfit => `${misfit.tagName} ${misfit.className} ${misfit.scrollWidth}x${misfit.scrollHeight}`)"""


def unfold(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()


@pytest.fixture(scope="package")
def first_seen() -> dict[tuple[int, int], FloatRect]:
    """Where the large button was on the first page that had it, by the size of the screen."""
    return {}


@every_page
@both_languages
def test_it_fits_the_button_is_where_it_always_is_and_axe_finds_nothing(
    stage: Stage, first_seen: dict[tuple[int, int], FloatRect], name: str, locale: str
) -> None:
    """Axe in one language: its rules ask for texts, not for what they say."""
    person = stage.show(name, locale=locale)
    has_button = person.large_button.count() == 1
    assert has_button is name.startswith(("home_", "question_"))
    unfold(person.page)
    for size in SIZES if has_button or locale == "ja" else NARROW:
        person.page.set_viewport_size({"width": size[0], "height": size[1]})
        person.page.evaluate("scrollTo(0, 0)")
        assert person.page.evaluate(MISFITS) == [], size
        if has_button:
            place = person.place_of(person.large_button)
            assert place == first_seen.setdefault(size, place), size
    if locale == "ja":
        axe_finds_nothing(person.page)


@pytest.mark.parametrize(
    "name",
    [
        "sign_in_refused",
        "sign_in_with_a_punch_waiting",
        "home_without_tenant",
        "home_with_extremes",
        "question_too_early",
        "question_after_sign_in",
        "admin_people",
        "admin_code",
        "admin_import_refused",
        "not_found",
    ],
)
@both_languages
def test_text_of_twice_the_size_fits(
    stage: Stage, chromium_with_large_text: Browser, name: str, locale: str
) -> None:
    page = stage.show(name, locale=locale, browser=chromium_with_large_text).page
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "32px"
    unfold(page)
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(MISFITS) == [], width


@pytest.mark.parametrize("name", ["home_off_the_clock", "home_at_work", "home_just_clocked_in"])
def test_everything_that_matters_is_on_the_first_screen_of_a_phone(stage: Stage, name: str) -> None:
    person = stage.show(name)
    for seen in (person.large_button, person.total("今日"), person.total("今月")):
        expect(seen).to_be_in_viewport(ratio=1)


def test_records_remain_a_table_to_a_screen_reader_on_a_narrow_phone(
    visit: Visit, employee: User, make_session: MakeSession
) -> None:
    make_session("2026-11-19 22:04", "2026-11-20 06:31")
    someone = visit(employee, viewport={"width": 320, "height": 640}).open()
    tree = someone.context.new_cdp_session(someone.page).send("Accessibility.getFullAXTree")
    named = [(node["role"]["value"], node["name"]["value"]) for node in tree["nodes"] if node.get("name")]

    assert [name for role, name in named if role == "columnheader"][:4] == [
        "日付",
        "出勤",
        "退勤",
        "勤務時間",
    ]
    assert ("rowheader", "11月19日(木) 修正あり") in named  # entered by the test, not by the clock
    cells = [name for role, name in named if role in {"cell", "gridcell"}]
    assert cells[:3] == ["22:04", "翌 06:31", "8時間27分"]
