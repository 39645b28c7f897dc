"""The tenant admin's month in a browser: for every eye, on every screen, with the keyboard alone."""

import pytest
from playwright.sync_api import ViewportSize, expect

from accounts.models import Role, User
from attendance.models import WorkSession
from tests.browser.axe import axe_finds_nothing
from tests.browser.pages import LONG_NAME, Visit
from tests.browser.person import DESKTOP, Person
from tests.browser.test_accessibility import reach
from tests.conftest import MakeUser, japan

PHONE: ViewportSize = {"width": 390, "height": 844}
SIZES = [PHONE, DESKTOP]
WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > window.innerWidth"
# Where a link or a button is that people would have to hit, and whether it can be seen at all.
HIDDEN_FROM_THE_EYE = """() => [...document.querySelectorAll("main a, main button, main input")]
    .filter(e => e.type !== "hidden" && e.checkVisibility() && !e.closest("details:not([open])"))
    .filter(e => getComputedStyle(e.closest("thead") ?? e).clipPath !== "none"
        || Math.min(e.getBoundingClientRect().width, e.getBoundingClientRect().height) < 8)
    .map(e => e.textContent.trim())"""


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="大西", first_name="総務", email="boss@example.com")


@pytest.fixture
def sixty(admin: User) -> list[User]:
    """Sixty employees, some with names of 140 letters, in every state; all with a month behind them."""
    made = User.objects.bulk_create(
        User(
            tenant=admin.tenant,
            username="x",
            password="!",
            email=f"{'x' * (50 if n % 7 == 0 else 5)}{n}@example.com",
            last_name=LONG_NAME if n % 20 == 0 else "勅使河原五百旗頭" if n % 20 == 1 else f"佐藤{n}",
            first_name="龍之介左衛門三郎" if n % 20 == 1 else "花子",
            status="suspended" if n == 59 else "active",
        )
        for n in range(60)
    )
    sessions = [
        WorkSession(
            user=user,
            start_time=japan(f"2026-11-{day:02} 09:{n:02}"),
            end_time=japan(f"2026-11-{day:02} 18:{n:02}"),
        )
        for n, user in enumerate(made)
        for day in range(2, 14)
    ]
    sessions += [WorkSession(user=user, start_time=japan("2026-11-20 08:31")) for user in made[:25]]
    sessions += [WorkSession(user=user, start_time=japan("2026-11-18 08:55")) for user in made[25:30]]
    sessions += [
        WorkSession(user=user, start_time=japan("2026-11-18 08:55"), end_unknown=True) for user in made[30:35]
    ]
    WorkSession.objects.bulk_create(sessions)
    return made


def pages(sixty: list[User]) -> list[str]:
    of_one = f"/admin/employees/{sixty[0].pk}/months"
    return [
        "/admin/",
        "/admin/?month=2026-10",
        "/admin/?q=nobody",
        f"{of_one}/2026-11/",
        f"/admin/employees/{sixty[30].pk}/months/2026-11/",
        f"{of_one}/2026-10/",
        "/admin/settings/",
        "/admin/audit/",
    ]


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_it_fits_and_axe_finds_nothing(visit: Visit, admin: User, sixty: list[User], locale: str) -> None:
    someone = visit(admin, locale=locale)
    for address in pages(sixty):
        page = someone.open(address).page
        for summary in page.locator("main summary").all():
            summary.click()
        for size in SIZES:
            page.set_viewport_size(size)
            assert not page.evaluate(WIDER_THAN_THE_SCREEN), (address, size)
            assert page.evaluate(HIDDEN_FROM_THE_EYE) == [], (address, size)
        if locale == "ja":
            axe_finds_nothing(page, *SIZES)


def test_the_narrowest_phone(visit: Visit, admin: User, sixty: list[User]) -> None:
    someone = visit(admin, viewport={"width": 320, "height": 640})
    for address in pages(sixty):
        assert not someone.open(address).page.evaluate(WIDER_THAN_THE_SCREEN), address


def test_one_look_answers_what_a_manager_asks(visit: Visit, admin: User, sixty: list[User]) -> None:
    someone = visit(admin, locale="en", viewport=DESKTOP).open("/admin/")
    for who in ("25 people", "10 people"):  # are at work; forgot to clock out
        expect(someone.link(who)).to_be_in_viewport(ratio=1)
    expect(someone.region("Everybody's month").get_by_role("img")).to_be_in_viewport(ratio=1)
    expect(someone.region("Everybody's month").get_by_role("definition").first).to_be_in_viewport(ratio=1)


def test_the_keyboard_is_enough(visit: Visit, admin: User, sixty: list[User]) -> None:
    """From the front page to those who forgot, to the month of one of them, and to the one before."""
    someone = visit(admin, locale="en", viewport=DESKTOP).open("/admin/")
    someone.page.get_by_role("searchbox").focus()
    someone.page.keyboard.type("佐藤25")
    someone.press("Enter")
    someone.page.wait_for_url("**/admin/?q=*")
    expect(someone.page.get_by_role("row")).to_have_count(3)  # the head, one, the sum
    someone.button("Search").focus()
    reach(someone, "佐藤25 花子")
    someone.press("Enter")
    someone.sees_heading("佐藤25 花子 November 2026")
    expect(someone.page.get_by_text("has no clock-out")).to_be_visible()
    someone.page.get_by_role("link", name="November 2026: everybody").focus()
    reach(someone, "‹ October 2026")
    someone.press("Enter")
    someone.sees_heading("佐藤25 花子 October 2026")


def test_the_menu_of_files_opens_with_the_keyboard(visit: Visit, admin: User, sixty: list[User]) -> None:
    someone = visit(admin, locale="en", viewport=DESKTOP).open("/admin/")
    someone.page.locator("summary", has_text="Download").focus()
    someone.press("Enter")
    file = someone.link("CSV, work sessions: Shift_JIS (older programs)")
    expect(file).to_be_in_viewport(ratio=1)
    with someone.page.expect_download() as download:
        reach(someone, "Excel: totals and work sessions")
        someone.press("Enter")
    assert download.value.suggested_filename == "青空商店_202611.xlsx"


def test_a_phone_can_order_the_list(visit: Visit, admin: User, sixty: list[User]) -> None:
    someone = visit(admin, locale="en", viewport=PHONE).open("/admin/")
    head = someone.page.get_by_role("columnheader", name="Hours").get_by_role("link")
    head.scroll_into_view_if_needed()
    with someone.page.expect_navigation():
        head.click()
    assert "sort=hours" in someone.page.url
    expect(someone.page.get_by_role("columnheader", name="Hours")).to_have_attribute(
        "aria-sort", "descending"
    )


@pytest.mark.parametrize("viewport", SIZES)
def test_the_table_is_one_to_a_screen_reader(
    visit: Visit, admin: User, sixty: list[User], viewport: ViewportSize
) -> None:
    """On a phone, too, where its rows look like cards."""
    someone = visit(admin, locale="en", viewport=viewport).open(
        f"/admin/employees/{sixty[30].pk}/months/2026-11/"
    )
    assert roles(someone, "columnheader")[:3] == ["Date", "In", "Out"]
    assert "Wed 18 Nov" in roles(someone, "rowheader")


def roles(someone: Person, role: str) -> list[str]:
    tree = someone.context.new_cdp_session(someone.page).send("Accessibility.getFullAXTree")
    return [
        node["name"]["value"]
        for node in tree["nodes"]
        if node["role"]["value"] == role and node.get("name", {}).get("value")
    ]


def test_it_prints_on_one_sheet(visit: Visit, admin: User, sixty: list[User]) -> None:
    """A month with two work sessions a day, in the colours of paper, with the lines to sign on."""
    WorkSession.objects.bulk_create(
        WorkSession(
            user=sixty[2],
            start_time=japan(f"2026-10-{day:02} {begins}"),
            end_time=japan(f"2026-10-{day:02} {ends}"),
        )
        for day in range(1, 23)
        for begins, ends in (("09:00", "12:00"), ("13:00", "18:00"))
    )
    page = visit(admin).open(f"/admin/employees/{sixty[2].pk}/months/2026-10/").page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator(".signatures")).to_be_visible()
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") == 1
    page.emulate_media(media="null")
