"""Getting an account, and getting back into it, as people do it."""

import re

import pytest
from django.core.mail import EmailMessage
from playwright.sync_api import expect

from accounts.models import RoleCode, User
from attendance.models import WorkSession
from tenants.models import Tenant
from tests.browser.pages import Visit
from tests.browser.person import Person
from tests.conftest import PASSWORD, japan

CODE = "ABCDEFGH23456789"
NEW = "川沿いの道を自転車で走る"

pytestmark = pytest.mark.usefixtures("server_clock")

scripts = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])


def fill(someone: Person, **fields: str) -> None:
    """Fill in fields by what their labels say."""
    for label, text in fields.items():
        someone.page.get_by_label(label, exact=True).fill(text)


def path_in(message: EmailMessage) -> str:
    (path,) = re.findall(r"http://[^/]+(/\S+)", str(message.body))
    assert isinstance(path, str)
    return path


@scripts
def test_from_a_link_with_a_code_to_the_first_clock_in(visit: Visit, tenant: Tenant, scripts: bool) -> None:
    RoleCode.objects.create(tenant=tenant, code=CODE, max_uses=1)
    someone = visit(java_script_enabled=scripts).open("/register?code=abcd-efgh-2345-6789")
    someone.sees_heading("新規登録")
    expect(someone.page.get_by_label("ロールコード")).to_have_value("abcd-efgh-2345-6789")
    fill(someone, 姓="高橋", 名="美咲", メールアドレス="misaki@example.com", パスワード="too short")
    someone.tap("新規登録")
    someone.sees("このパスワードは短すぎます。最低 12 文字以上必要です。")
    expect(someone.page.get_by_label("パスワード", exact=True)).to_be_focused()
    expect(someone.page.get_by_label("メールアドレス")).to_have_value("misaki@example.com")
    fill(someone, パスワード=NEW)
    someone.tap("新規登録")

    someone.sees_heading("勤務外")
    someone.is_told("ようこそ。登録が完了し、ログインしました。")
    someone.tap("出勤")
    someone.sees_heading("勤務中")
    session = WorkSession.objects.get()
    assert (session.user.display_name, session.start_time) == ("高橋 美咲", japan("2026-11-20 09:02:10"))

    late = visit().open("/register")
    fill(late, ロールコード=CODE, 姓="鈴木", 名="太郎", メールアドレス="taro@example.com", パスワード=NEW)
    late.tap("新規登録")
    late.sees("このロールコードは、登録できる人数に達しました。管理者に新しいコードを依頼してください。")
    expect(late.page.get_by_label("ロールコード")).to_be_focused()


@scripts
def test_from_a_forgotten_password_to_the_clock(
    visit: Visit, employee: User, mailoutbox: list[EmailMessage], scripts: bool
) -> None:
    elsewhere = visit(employee).open()
    someone = visit(java_script_enabled=scripts).open("/sign-in")
    someone.link("パスワードをお忘れですか？").click()
    someone.sees_heading("パスワードをお忘れの方")
    fill(someone, メールアドレス=employee.email)
    someone.tap("リンクを送る")
    someone.sees_heading("メールをご確認ください")
    (message,) = mailoutbox
    someone.open(path_in(message))
    someone.sees_heading("新しいパスワードの設定")
    assert someone.page.url.endswith("/password/reset")
    fill(someone, 新しいパスワード=NEW)
    someone.tap("パスワードを変更する")

    someone.sees_heading("ログイン")
    someone.is_told("パスワードを変更しました。新しいパスワードでログインしてください。")
    someone.fill_in_sign_in(employee.email, NEW)
    someone.sees_heading("勤務外")
    elsewhere.open().sees_heading("ログイン")


def test_a_password_can_be_looked_at(visit: Visit, employee: User) -> None:
    someone = visit(employee).open("/password/change")
    fill(someone, 現在のパスワード=PASSWORD, 新しいパスワード=NEW)
    field = someone.page.get_by_label("新しいパスワード", exact=True)
    show = someone.page.get_by_role("button", name="パスワードを表示").nth(1)
    expect(field).to_have_attribute("type", "password")
    show.click()
    expect(field).to_have_attribute("type", "text")
    expect(show).to_have_attribute("aria-pressed", "true")
    show.click()
    expect(field).to_have_attribute("type", "password")
    someone.tap("パスワードを変更する")
    someone.sees_heading("アカウント")


def test_without_scripts_nothing_offers_to_show_it(visit: Visit, employee: User) -> None:
    someone = visit(employee, java_script_enabled=False).open("/password/change")
    expect(someone.page.get_by_role("button", name="パスワードを表示")).to_have_count(0)


def test_a_first_password_and_the_punch_that_waited(visit: Visit, employee: User) -> None:
    User.objects.update(must_change_password=True)
    someone = visit(employee).open("/clock-in")
    someone.sees_heading("新しいパスワードの設定")
    someone.sees(
        "打刻はまだ記録されていません。先にパスワードを変更すると、打刻するかどうかをもう一度確認します。"
    )
    fill(someone, 現在のパスワード=PASSWORD, 新しいパスワード=NEW)
    someone.tap("パスワードを変更する")
    someone.sees_heading("出勤しますか？")
    someone.tap("はい、出勤する")
    someone.sees_heading("勤務中")


def test_a_new_address_by_its_code_with_the_keyboard_alone(
    visit: Visit, employee: User, mailoutbox: list[EmailMessage]
) -> None:
    someone = visit(employee).open("/account/email")
    someone.page.get_by_label("新しいメールアドレス").focus()
    someone.page.keyboard.type("hanako@example.net")
    someone.press("Tab")
    someone.page.keyboard.type(PASSWORD)
    someone.press("Enter")
    someone.sees_heading("確認コードの入力")
    (code,) = re.findall(r"^\d{6}$", str(mailoutbox[0].body), re.MULTILINE)
    someone.page.get_by_label("メールに記載されたコード").focus()
    someone.page.keyboard.type(code)
    someone.press("Enter")
    someone.sees_heading("アカウント")
    someone.sees("hanako@example.net")
    assert [message.to for message in mailoutbox] == [["hanako@example.net"], [employee.email]]
