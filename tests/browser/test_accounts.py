"""Getting an account, and getting back into it, as people do it."""

import re

import pytest
from django.core.mail import EmailMessage
from playwright.sync_api import expect

from accounts.models import RoleCode, User
from attendance.models import WorkSession
from tenants.models import Tenant
from tests.browser.pages import Stage, Visit
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
    someone.sees("パスワードは12文字以上にしてください。")
    expect(someone.page.get_by_label("パスワード", exact=True)).to_be_focused()
    expect(someone.page.get_by_label("メールアドレス")).to_have_value("misaki@example.com")
    fill(someone, パスワード=NEW)
    someone.tap("新規登録")

    someone.sees_heading("勤務外")
    someone.is_told(
        "ようこそ。登録が完了し、ログインしました。misaki@example.com にメールをお送りします。"
        "届かない場合は、アカウント画面でメールアドレスをご確認ください。"
    )
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
    someone.sees_heading("パスワードの再設定")
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
    expect(field).to_have_attribute("type", "password")
    someone.button("パスワードを表示").nth(1).click()
    expect(field).to_have_attribute("type", "text")
    expect(someone.button("パスワードを隠す")).to_be_focused()
    someone.tap("パスワードを隠す")
    expect(field).to_have_attribute("type", "password")
    expect(someone.button("パスワードを隠す")).to_have_count(0)
    someone.tap("パスワードを変更する")
    someone.sees_heading("アカウント")


@scripts
def test_what_is_missing_is_said_in_the_words_of_the_page(visit: Visit, scripts: bool) -> None:
    """A browser's own bubbles speak the browser's language, and only of the first field."""
    someone = visit(java_script_enabled=scripts, locale="fr-FR").open("/register")
    fill(someone, メールアドレス="x")
    someone.tap("新規登録")
    for told in (
        "管理者から受け取ったロールコードを入力してください。",
        "姓を入力してください。",
        "メールアドレスの形式が正しくありません。ご確認ください。",
        "パスワードを入力してください。",
    ):
        someone.sees(told)
    expect(someone.page.get_by_label("ロールコード")).to_be_focused()
    expect(someone.page).to_have_title("エラー: 新規登録 · タイムレコード")

    someone.open("/sign-in")
    someone.tap("ログイン")
    someone.sees("メールアドレスを入力してください。")
    expect(someone.page.get_by_label("メールアドレス")).to_be_focused()


def test_a_double_tap_is_one_failure(visit: Visit, employee: User) -> None:
    someone = visit().open("/sign-in")
    someone.page.get_by_label("メールアドレス").fill(employee.email)
    someone.page.get_by_label("パスワード", exact=True).fill("wrong")
    with someone.page.expect_navigation():
        someone.page.get_by_role("button", name="ログイン", exact=True).dblclick(no_wait_after=True)
    someone.page.wait_for_load_state()
    expect(someone.page.get_by_role("alert")).to_contain_text("ログインできませんでした。")
    employee.refresh_from_db()
    assert employee.failed_attempts == 1


def test_what_is_wrong_with_no_field_has_the_focus_or_is_read_where_it_is(stage: Stage) -> None:
    someone = stage.show("password_forgot_too_often")
    expect(someone.focused).to_have_text("試行回数が多すぎます。約60分後に、もう一度お試しください。")
    someone = stage.show("sign_in_refused")
    expect(someone.page.get_by_label("パスワード", exact=True)).to_be_focused()
    expect(someone.focused).to_have_accessible_description(
        re.compile("^ログインできませんでした。.*パスワードを再設定してください。")
    )


def test_the_code_that_was_entered_wrongly_too_often(stage: Stage) -> None:
    someone = stage.show("account_email_code_gone")
    someone.sees_heading("メールアドレスの変更")
    expect(someone.page.get_by_role("status")).to_be_focused()
    expect(someone.page.get_by_label("新しいメールアドレス")).to_have_value("hanako@example.net")
    fill(someone, 現在のパスワード=PASSWORD)
    someone.tap("コードを送る")
    someone.sees_heading("確認コードの入力")


@scripts
def test_a_form_that_was_open_for_too_long_is_opened_again(visit: Visit, scripts: bool) -> None:
    someone = visit(java_script_enabled=scripts).open("/register?code=abcd-efgh-2345-6789")
    someone.context.clear_cookies()
    someone.tap("新規登録")
    someone.sees_heading("画面の有効期限が切れました")
    someone.link("もう一度開く").click()
    someone.sees_heading("新規登録")
    expect(someone.page.get_by_label("ロールコード")).to_have_value("abcd-efgh-2345-6789")
    someone.tap("新規登録")
    someone.sees("姓を入力してください。")


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
    someone.page.get_by_label("確認コード（6桁）").focus()
    someone.page.keyboard.type(code)
    someone.press("Enter")
    someone.sees_heading("アカウント")
    someone.sees("hanako@example.net")
    assert [message.to for message in mailoutbox] == [["hanako@example.net"], [employee.email]]
