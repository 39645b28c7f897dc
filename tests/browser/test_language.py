"""The browser's language decides until somebody chooses."""

import pytest
from playwright.sync_api import expect

from accounts.models import User
from tests.browser.pages import Visit
from tests.browser.person import Person


def speaks(someone: Person, language: str) -> None:
    expect(someone.page.locator("html")).to_have_attribute("lang", language)
    someone.sees_heading({"ja": "ログイン", "en": "Sign in"}[language])


@pytest.mark.parametrize(
    ("wanted", "spoken"),
    [("ja-JP", "ja"), ("en-US", "en"), ("en", "en"), ("fr-FR", "ja"), ("zh-CN", "ja")],
)
def test_accept_language_decides(visit: Visit, wanted: str, spoken: str) -> None:
    speaks(visit(locale=wanted).open("/"), spoken)


@pytest.mark.parametrize(
    ("wanted", "chosen", "name"), [("ja-JP", "en", "English"), ("en-US", "ja", "日本語")]
)
def test_a_choice_wins_and_stays(visit: Visit, employee: User, wanted: str, chosen: str, name: str) -> None:
    someone = visit(locale=wanted).open("/")
    someone.tap(name)
    speaks(someone, chosen)
    expect(someone.button(name)).to_have_attribute("aria-current", "true")
    someone.page.reload()
    speaks(someone, chosen)

    someone.give_session(employee)
    someone.open("/")
    someone.sees_heading({"ja": "勤務外", "en": "Off the clock"}[chosen])


def test_choosing_leads_back_to_the_same_page(visit: Visit, employee: User) -> None:
    someone = visit(employee).open("/clock-in")
    someone.sees_heading("出勤しますか？")

    someone.tap("English")

    someone.sees_heading("Clock in?")
    someone.is_at("/clock-in")


def test_choosing_while_a_punch_waits_does_not_forget_it(visit: Visit, employee: User) -> None:
    someone = visit().open("/clock-in")
    someone.tap("English")
    someone.sees(
        "Your punch is not recorded yet, because you were signed out. "
        "Sign in, and you will be asked once more."
    )


def test_errors_speak_the_chosen_language(visit: Visit) -> None:
    someone = visit().open("/")
    someone.tap("English")
    speaks(someone, "en")

    someone.open("/no-such-page")

    someone.sees_heading("There is no such page")
