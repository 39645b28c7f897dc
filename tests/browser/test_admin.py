"""A tenant's admin looks after people and role codes, as people do it, on a phone and at a desk."""

import re

import pytest
from django.core.mail import EmailMessage
from playwright.sync_api import FilePayload, ViewportSize, expect

from accounts.models import Role, RoleCode, User, UserStatus
from tests.browser.pages import Visit
from tests.browser.person import DESKTOP, PHONE, Person
from tests.browser.test_accounts import NEW, fill
from tests.conftest import PASSWORD, MakeUser

pytestmark = pytest.mark.usefixtures("server_clock")

FIRST_PASSWORD = re.compile(r"[a-z2-9]{4}(-[a-z2-9]{4}){3}")

sizes = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desk"])
scripts = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="小林", first_name="直子", email="admin@example.com")


def cells(someone: Person) -> list[list[str]]:
    rows = someone.page.locator("#result_list tbody tr").all()
    return [[text.strip() for text in row.locator("th, td").all_text_contents()] for row in rows]


def signs_in(visit: Visit, email: str, password: str) -> Person:
    newcomer = visit().open("/sign-in")
    newcomer.fill_in_sign_in(email, password)
    return newcomer


@sizes
@scripts
def test_from_the_clock_to_a_new_colleague_who_clocks_in(
    visit: Visit, admin: User, size: ViewportSize, scripts: bool
) -> None:
    someone = visit(admin, viewport=size, java_script_enabled=scripts).open()
    someone.link("管理").click()
    someone.sees_heading("2026年11月")
    someone.page.get_by_role("navigation", name="管理").get_by_role("link", name="従業員").click()
    someone.sees_heading("従業員")
    someone.link("従業員を招待").click()
    fill(someone, 姓="森", 名="桜子", メールアドレス="admin@example.com")
    someone.page.get_by_label("初期パスワードを1回だけ画面に表示する").check()
    someone.tap("従業員を招待")
    someone.sees("このメールアドレスは使用できません。本人に別のアドレスをご確認ください。")
    expect(someone.page.get_by_label("メールアドレス")).to_be_focused()
    fill(someone, メールアドレス="sakurako@example.com")
    someone.tap("従業員を招待")
    someone.sees_heading("初期パスワード")
    password = someone.page.locator("#secret").inner_text().strip()
    assert FIRST_PASSWORD.fullmatch(password)
    someone.link("従業員の一覧へ").click()
    assert cells(someone) == [
        ["小林 直子", "admin@example.com", "テナント管理者", "有効"],
        ["森 桜子", "sakurako@example.com", "", "初期パスワード"],
    ]

    newcomer = signs_in(visit, "sakurako@example.com", password)
    fill(newcomer, 現在のパスワード=password, 新しいパスワード=NEW)
    newcomer.tap("パスワードを変更する")
    newcomer.tap("出勤")
    newcomer.sees_heading("勤務中")


@sizes
def test_who_is_suspended_is_out_at_once_and_comes_back(
    visit: Visit, admin: User, employee: User, size: ViewportSize
) -> None:
    elsewhere = visit(employee).open()
    someone = visit(admin, viewport=size).open("/admin/accounts/user/?q=佐藤")
    someone.link("佐藤 花子").click()
    someone.link("利用を停止する").click()
    someone.tap("利用を停止する")
    someone.sees("理由を入力してください。")
    expect(someone.page.get_by_label("理由")).to_be_focused()
    someone.page.get_by_label("理由").fill("退職のため")
    someone.tap("利用を停止する")
    someone.is_told("佐藤 花子 さんの利用を停止しました。")
    elsewhere.open().sees_heading("ログイン")

    someone.link("利用を再開する").click()
    someone.page.get_by_label("理由").fill("復職")
    someone.tap("利用を再開する")
    someone.is_told("佐藤 花子 さんの利用を再開しました。")
    someone.link("変更履歴").click()
    someone.sees("理由: 退職のため")
    signs_in(visit, employee.email, PASSWORD).sees_heading("勤務外")


def test_a_code_is_copied_printed_and_disabled(visit: Visit, admin: User) -> None:
    someone = visit(admin, viewport=DESKTOP, permissions=["clipboard-read", "clipboard-write"])
    someone.open("/admin/accounts/rolecode/")
    someone.link("ロールコードを作成").click()
    someone.page.get_by_label("登録できる人数").fill("3")
    someone.tap("ロールコードを作成")
    code = RoleCode.objects.get()
    in_groups = "-".join(re.findall("....", code.code))
    someone.sees_heading(in_groups)
    someone.tap("リンクをコピー")
    someone.button("コピーしました").wait_for()
    copied = someone.page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith(f"/register?code={code.code}")
    for picture in someone.page.locator("img.qr").all():
        assert picture.evaluate("image => image.complete && image.naturalWidth") >= 200
    with someone.page.expect_download() as download:
        someone.link("QRコード（PNG）").click()
    assert download.value.suggested_filename == f"{in_groups}.png"

    someone.link("印刷用の案内").click()
    someone.page.emulate_media(media="print")
    expect(someone.page.get_by_role("heading", name="青空商店")).to_be_visible()
    expect(someone.link("従業員")).to_be_hidden()
    expect(someone.button("印刷する")).to_be_hidden()
    someone.page.emulate_media(media="screen")

    someone.page.get_by_label("現在の場所").get_by_role("link", name=in_groups).click()
    someone.link("無効にする").click()
    someone.tap("無効にする")
    someone.is_told(f"コード {in_groups} を無効にしました。")
    stranger = visit().open(f"/register?code={code.code}")
    fill(stranger, 姓="森", 名="桜子", メールアドレス="m@example.com", パスワード=NEW)
    stranger.tap("新規登録")
    stranger.sees("このロールコードは無効になっています。管理者に新しいコードを依頼してください。")


@sizes
def test_people_come_from_a_file_once_it_is_right(
    visit: Visit, admin: User, mailoutbox: list[EmailMessage], size: ViewportSize
) -> None:
    someone = visit(admin, viewport=size).open("/admin/accounts/user/")
    someone.link("CSV取り込み").click()

    def choose(text: str) -> None:
        file: FilePayload = {"name": "従業員.csv", "mimeType": "text/csv", "buffer": text.encode("cp932")}
        someone.page.get_by_label("CSVファイル").set_input_files(file)
        someone.tap("ファイルを確認する")

    choose("姓,名,メールアドレス\n森,桜子,sakurako@example.com\n森,桜子,sakurako@example.com\n")
    someone.sees("2行目とメールアドレスが重複しています。")
    someone.link("修正したファイルを選ぶ").click()
    choose("姓,名,メールアドレス\n森,桜子,sakurako@example.com\n林,大地,daichi@example.com\n")
    someone.sees("2名を登録できます。")
    someone.tap("登録して招待する")
    someone.is_told("2名を招待しました。メールを送信しています。")
    assert [row[3] for row in cells(someone)].count("招待中") == 2
    assert sorted(message.to[0] for message in mailoutbox) == ["daichi@example.com", "sakurako@example.com"]


def test_the_keyboard_is_enough(visit: Visit, admin: User, employee: User) -> None:
    someone = visit(admin, viewport=DESKTOP).open(f"/admin/accounts/user/{employee.pk}/suspend/")
    someone.press("Tab")
    expect(someone.link("本文へ移動")).to_be_in_viewport(ratio=1)
    someone.press("Enter", "Tab", "Tab", "Tab")
    expect(someone.page.get_by_label("理由")).to_be_focused()
    someone.page.keyboard.type("試験のため")
    someone.press("Tab", "Enter")
    someone.is_told("佐藤 花子 さんの利用を停止しました。")
    employee.refresh_from_db()
    assert employee.status == UserStatus.SUSPENDED
