"""For those who use a screen reader, or no mouse. What axe finds in each page: test_layout.py."""

import datetime as dt
import re

import pytest
import time_machine
from playwright.sync_api import expect

from accounts.models import User
from attendance.models import WorkSession
from tests.browser.pages import Stage, Visit
from tests.browser.person import Person
from tests.conftest import PASSWORD

DAY = re.compile(r"\d+月\d+日")  # a link to the history of that day's work session
ACCOUNT = "アカウント、ログイン中: 佐藤 花子"
OUTLINE = "element => getComputedStyle(element).outlineStyle + getComputedStyle(element).outlineWidth"


def reach(someone: Person, name: str) -> None:
    """Go on with the Tab key to what has this name; it must be seen where the focus is."""
    for _ in range(10):
        someone.press("Tab")
        assert someone.focused.evaluate(OUTLINE) == "solid3px"
        expect(someone.focused).to_be_in_viewport()
        if " ".join(someone.focused.inner_text().split()) == name:
            return
    pytest.fail(f"{name} cannot be reached")


def order_of_focus(someone: Person) -> list[str]:
    """What the Tab key leads to, from the top of the page to its end."""
    names: list[str] = []
    while True:
        someone.press("Tab")
        if someone.focused.count() == 0:
            return names
        names.append(
            " ".join(someone.focused.inner_text().split()) or someone.focused.get_attribute("name") or "?"
        )
        assert len(names) < 30, names


def test_the_keyboard_is_enough_for_a_working_day(
    visit: Visit, employee: User, server_clock: time_machine.Traveller
) -> None:
    someone = visit().open("/")
    someone.press("Tab", "Tab", "Tab")
    expect(someone.page.get_by_label("メールアドレス")).to_be_focused()
    someone.page.keyboard.type(employee.email)
    someone.press("Tab")
    someone.page.keyboard.type(PASSWORD)
    someone.press("Enter")
    someone.sees_heading("勤務外")

    reach(someone, "出勤")
    someone.press("Enter")
    someone.is_told("09:02 に出勤しました。")
    expect(someone.page.get_by_role("status")).to_be_focused()  # which a screen reader then reads

    someone.press("Shift+Tab")
    expect(someone.button("退勤")).to_be_focused()
    someone.press("Space")
    someone.sees_heading("退勤しますか？")
    reach(someone, "いいえ、勤務を続ける")
    someone.press("Enter")
    someone.sees_heading("勤務中")
    server_clock.shift(dt.timedelta(hours=8))
    reach(someone, "退勤")
    someone.press("Space")
    someone.is_told("17:02 に退勤しました。お疲れさまでした。")
    expect(someone.page.get_by_role("status")).to_be_focused()

    someone.press("Tab")
    assert someone.focused.inner_text() == "11月20日(金)"
    reach(someone, "表で見る")
    someone.press("Enter")
    expect(someone.page.get_by_role("rowheader", name="10月22日(木)")).to_be_visible()
    assert WorkSession.objects.get().end_time is not None


@pytest.mark.parametrize(
    ("name", "order"),
    [
        (
            "sign_in",
            [
                "本文へ移動",
                "タイムレコード",
                "email",
                "password",
                "パスワードを表示",
                "ログイン",
                "パスワードをお忘れですか？",
                "ロールコードで登録する",
                "日本語",
                "English",
            ],
        ),
        (
            "account_email",
            [
                "本文へ移動",
                "タイムレコード",
                ACCOUNT,
                "ログアウト",
                "email",
                "current_password",
                "パスワードを表示",
                "コードを送る",
                "アカウントに戻る",
                "日本語",
                "English",
            ],
        ),
        (
            "home_off_the_clock",
            ["本文へ移動", "タイムレコード", ACCOUNT, "ログアウト", "出勤", "表で見る", "日本語", "English"],
        ),
        (
            "question_after_sign_in",
            [
                "本文へ移動",
                "タイムレコード",
                ACCOUNT,
                "ログアウト",
                "いいえ、勤務を続ける",
                "はい、退勤する",
                "日本語",
                "English",
            ],
        ),
        ("not_found", ["本文へ移動", "打刻画面へ"]),
    ],
)
def test_the_focus_goes_where_the_eye_does(stage: Stage, name: str, order: list[str]) -> None:
    found = order_of_focus(stage.show(name))
    assert [stop for stop in found if not DAY.match(stop)] == order
    if days := [n for n, stop in enumerate(found) if DAY.match(stop)]:  # their histories, one after the other
        assert days == list(range(found.index("出勤") + 1, found.index("表で見る")))


def test_the_skip_link_leads_past_the_bar(visit: Visit, employee: User) -> None:
    someone = visit(employee).open()
    expect(someone.link("本文へ移動")).not_to_be_in_viewport()
    someone.press("Tab")
    expect(someone.link("本文へ移動")).to_be_in_viewport(ratio=1)

    someone.press("Enter", "Tab")

    expect(someone.button("出勤")).to_be_focused()


def test_a_message_that_takes_the_focus_does_not_move_the_button(visit: Visit, employee: User) -> None:
    someone = visit(employee, viewport={"width": 740, "height": 360}).open()  # a phone on its side
    before = someone.place_of(someone.button("出勤"))
    someone.tap("出勤")
    expect(someone.page.get_by_role("status")).to_be_focused()

    assert someone.place_of(someone.button("退勤")) == before
