"""A platform admin runs the service: from a new customer to the end of a contract, on phone and desk."""

import pytest
from playwright.sync_api import ViewportSize, expect

from accounts.models import Role, User
from tenants.models import Tenant, TenantStatus
from tests.attendance.test_platform_pages import closing_code
from tests.browser.pages import Visit
from tests.browser.person import DESKTOP, PHONE
from tests.browser.test_accounts import NEW, fill
from tests.browser.test_admin import FIRST_PASSWORD, signs_in
from tests.conftest import MakeSession, MakeUser

pytestmark = pytest.mark.usefixtures("server_clock")

sizes = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desk"])


@pytest.mark.parametrize(
    ("size", "scripts"),
    [(PHONE, True), (DESKTOP, False)],
    ids=["phone with scripts", "desk without scripts"],
)
def test_a_new_customer_from_the_form_to_the_first_sign_in(
    visit: Visit, operator: User, size: ViewportSize, scripts: bool
) -> None:
    someone = visit(operator, viewport=size, java_script_enabled=scripts).open()
    someone.link("運営").click()
    someone.sees_heading("テナント")
    someone.link("テナントを作成").click()
    fill(someone, 姓="森", 名="桜子", ログインに使うメールアドレス=operator.email)
    someone.page.get_by_label("会社名・組織名").fill("新しい会社")
    someone.tap("テナントを作成")
    someone.sees("このメールアドレスは使用できません。本人に別のアドレスをご確認ください。")
    expect(someone.page.get_by_label("ログインに使うメールアドレス")).to_be_focused()
    expect(someone.page.get_by_label("会社名・組織名")).to_have_value("新しい会社")
    fill(someone, ログインに使うメールアドレス="sakurako@example.com")
    someone.tap("テナントを作成")
    someone.sees_heading("初期パスワード")
    password = someone.page.locator("#secret").inner_text().strip()
    assert FIRST_PASSWORD.fullmatch(password)
    someone.link("テナントのページへ").click()
    someone.sees_heading("新しい会社 有効")

    newcomer = signs_in(visit, "sakurako@example.com", password)
    fill(newcomer, 現在のパスワード=password, 新しいパスワード=NEW)
    newcomer.tap("パスワードを変更する")
    newcomer.link("管理").click()
    newcomer.sees_heading("2026年11月")


@sizes
def test_a_question_of_a_customer_is_looked_into_in_its_sight(
    visit: Visit, operator: User, make_user: MakeUser, make_session: MakeSession, size: ViewportSize
) -> None:
    make_session("2026-11-19 09:00", "2026-11-19 17:00")
    admin = make_user(role=Role.TENANT_ADMIN, last_name="小林", first_name="直子")
    someone = visit(operator, viewport=size).open("/platform/?q=青空")
    someone.link("青空商店").click()
    someone.link("勤務記録を閲覧する").click()
    someone.tap("勤務記録を閲覧する")
    someone.sees("理由を入力してください。")
    expect(someone.page.get_by_label("理由")).to_be_focused()
    someone.page.get_by_label("理由").fill("合計が合わないとのお問い合わせ")
    someone.page.get_by_label("60分").check()
    someone.tap("勤務記録を閲覧する")
    someone.sees_heading("青空商店 2026年11月")
    someone.link("佐藤 花子").click()
    someone.sees_heading("佐藤 花子 2026年11月")
    expect(someone.page.get_by_role("row", name="09:00 – 17:00")).to_be_visible()

    desk = visit(admin, viewport=size).open("/admin/")
    expect(desk.page.locator(".looked-at")).to_contain_text("運営 太郎")
    expect(desk.page.locator(".looked-at")).to_contain_text("合計が合わないとのお問い合わせ")
    desk.tap("閲覧を今すぐ終了する")
    desk.is_told("運営者による勤務記録の閲覧を終了しました。")
    someone.page.reload()
    someone.is_told(
        "「青空商店」の勤務記録は現在閲覧できません。続けるには、理由を入力し、閲覧時間を選択してください。"
    )
    someone.sees_heading("勤務記録を閲覧する")


@sizes
def test_the_end_of_a_contract(
    visit: Visit,
    operator: User,
    employee: User,
    tenant: Tenant,
    make_session: MakeSession,
    size: ViewportSize,
) -> None:
    make_session("2026-11-19 09:00", "2026-11-19 17:00")
    elsewhere = visit(employee).open()
    someone = visit(operator, viewport=size).open(f"/platform/tenants/tenant/{tenant.pk}/change/")
    someone.link("利用を停止する").click()
    someone.page.get_by_label("理由").fill("解約のお申し出")
    someone.tap("利用を停止する")
    elsewhere.open().sees_heading("ログイン")
    someone.link("閉鎖する").click()
    someone.link("勤務記録を閲覧する").click()
    someone.page.get_by_label("理由").fill("解約前の書き出し")
    someone.tap("勤務記録を閲覧する")
    with someone.page.expect_download() as download:
        someone.link("アーカイブをダウンロード").click()
    assert download.value.suggested_filename.endswith(".zip")
    someone.open(f"/platform/tenants/tenant/{tenant.pk}/close/")
    someone.page.get_by_label("理由").fill("解約")
    someone.page.get_by_label("会社名（上の表記のとおりに入力）").fill("青空商店")
    with download.value.path().open("rb") as archive:
        someone.page.get_by_label("最新のアーカイブの閉鎖コード").fill(closing_code(archive))
    someone.tap("閉鎖する")
    someone.is_told("「青空商店」を閉鎖しました。")
    someone.sees_heading("青空商店 閉鎖")
    tenant.refresh_from_db()
    assert tenant.status == TenantStatus.CLOSED


def test_the_keyboard_is_enough(visit: Visit, operator: User, tenant: Tenant) -> None:
    someone = visit(operator, viewport=DESKTOP).open("/platform/")
    someone.page.get_by_role("link", name="青空商店").focus()
    someone.press("Enter")
    someone.sees_heading("青空商店 有効")
    for _ in range(30):
        someone.press("Tab")
        if someone.focused.inner_text() == "利用を停止する":
            break
    someone.press("Enter")
    someone.sees_heading("利用を停止する")
    someone.page.get_by_label("理由").focus()
    someone.page.keyboard.type("未払い")
    someone.press("Tab", "Enter")
    someone.is_told("「青空商店」の利用を停止しました。")
    expect(someone.page.get_by_role("status")).to_be_focused()
