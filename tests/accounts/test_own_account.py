"""What people do to their own account."""

import re
from collections.abc import Callable

import pytest
from django.conf import settings as project
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.models import AuditEvent, PasswordReset, Role, ThrottleCounter, User, UserStatus
from tenants.models import Tenant
from tests.accounts.test_mail import DOWN
from tests.accounts.test_registration import errors
from tests.conftest import PASSWORD, MakeUser
from tests.html import Page, ja, text_of
from timerecord.core import clock

ACCOUNT, NAME, CHANGE = "/account", "/account/name", "/password/change"
EMAIL, CONFIRM, EVERYWHERE = "/account/email", "/account/email/confirm", "/account/sign-out-everywhere"
NEW = "川沿いの道を自転車で走る"
OLD_ADDRESS, NEW_ADDRESS = "employee1@example.com", "hanako@example.net"

GONE = (
    "This code no longer works: it was used, has expired, or was entered wrongly too often. Your current "
    "address is shown below; to change it, send a new code."
)

Send = Callable[..., Page]


@pytest.fixture
def send(employee_client: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Send:
    """Send a form as the employee, follow the answer and have the mails sent."""

    def post(path: str, **data: str) -> Page:
        with django_capture_on_commit_callbacks(execute=True):
            response = employee_client.post(path, data, follow=True)
        assert response.status_code == 200
        return Page(response)

    return post


@pytest.fixture
def elsewhere(employee: User) -> Client:
    """Another browser in which the employee is signed in."""
    other = Client()
    other.force_login(employee)
    assert is_signed_in(other)
    return other


def is_signed_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def signs_in(email: str, password: str) -> bool:
    return Client().post("/sign-in", {"email": email, "password": password}).status_code == 302


def asked_for(page: Page) -> str:
    """Return the address that a form has filled in."""
    (field,) = [e for e in page.root.iter("input") if e.get("name") == "email"]
    return field.get("value", "")


class TestPage:
    def test_it_shows_what_can_be_changed_and_is_led_to_from_every_page(
        self, employee_client: Client, employee: User, tenant: Tenant
    ) -> None:
        home = Page(employee_client.get("/"))
        (link,) = home.all(".//header/a[@class='who']")
        assert link.get("href") == ACCOUNT
        page = Page(employee_client.get(ACCOUNT))
        text = page.text(".//main")
        for shown in (employee.display_name, employee.email, str(tenant)):
            assert shown in text
        links = {e.get("href") for e in page.all(".//ul[@class='settings']//a")}
        assert links == {NAME, EMAIL, CHANGE, "/account/sessions"}

    def test_the_language_is_among_it_and_nowhere_else(self, employee_client: Client) -> None:
        page = Page(employee_client.get(ACCOUNT))
        (form,) = [e for e in page.root.iter("form") if e.get("action") == "/language"]
        assert form in list(page.root.find(".//ul[@class='settings']").iter())  # type: ignore[union-attr]
        assert [text_of(button) for button in form.iter("button")] == ["日本語", "English"]

    def test_an_address_that_was_made_up_is_none(self, client: Client, make_user: MakeUser) -> None:
        client.force_login(make_user(email="7@placeholder.local"))
        page = Page(client.get(ACCOUNT))
        assert "placeholder" not in page.html
        assert "未登録" in page.text(".//main")

    def test_strangers_are_led_to_sign_in(self, client: Client, db: None) -> None:
        for path in (ACCOUNT, NAME, CHANGE, EMAIL, CONFIRM):
            assert client.get(path)["Location"] == f"/sign-in?next={path}"
        assert client.post(EVERYWHERE).status_code == 302


class TestName:
    def test_it_is_changed(self, send: Send, employee: User) -> None:
        page = send(NAME, last_name=" 高橋 ", first_name="花子")
        assert page.messages == [ja("Your name is changed.")]
        employee.refresh_from_db()
        assert (employee.last_name, employee.first_name) == ("高橋", "花子")
        event = AuditEvent.objects.filter(kind="users.update").latest("id")
        assert (event.actor_id, event.before, event.after) == (
            employee.pk,
            {"last_name": "佐藤"},
            {"last_name": "高橋"},
        )

    @pytest.mark.parametrize("name", ["", "　", "x" * 101, "a\0b"])
    def test_what_is_none(self, send: Send, employee: User, name: str) -> None:
        page = send(NAME, last_name=name, first_name="花子")
        assert list(errors(page)) == ["last_name"]
        employee.refresh_from_db()
        assert employee.last_name == "佐藤"

    def test_nothing_else_of_the_account_is(self, send: Send, employee: User) -> None:
        send(
            NAME, last_name="高橋", first_name="花子", role="platform_admin", email="x@example.com", tenant=""
        )
        employee.refresh_from_db()
        assert (employee.role, employee.email) == ("employee", OLD_ADDRESS)
        assert employee.tenant_id


class TestPassword:
    def test_others_end_and_this_session_stays(
        self, send: Send, employee_client: Client, elsewhere: Client, mailoutbox: list[EmailMessage]
    ) -> None:
        page = send(CHANGE, current_password=PASSWORD, new_password=NEW)
        assert page.heading == ja("Your account")
        assert is_signed_in(employee_client)
        assert not is_signed_in(elsewhere)
        assert signs_in(OLD_ADDRESS, NEW)
        assert [message.subject for message in mailoutbox] == ["【タイムレコード】パスワード変更のお知らせ"]

    def test_it_is_called_what_it_is(self, employee_client: Client) -> None:
        assert Page(employee_client.get(CHANGE)).heading == "パスワードの変更"
        User.objects.update(must_change_password=True)
        assert Page(employee_client.get(CHANGE)).heading == "新しいパスワードの設定"

    def test_the_current_one_is_asked_for(self, send: Send, employee: User) -> None:
        page = send(CHANGE, current_password="wrong", new_password=NEW)
        assert errors(page) == {"current_password": [ja("This is not your current password.")]}
        assert signs_in(OLD_ADDRESS, PASSWORD)

    def test_who_guesses_it_has_to_wait(self, send: Send, employee: User) -> None:
        for _ in range(10):
            send(CHANGE, current_password="wrong", new_password=NEW)
        page = send(CHANGE, current_password=PASSWORD, new_password=NEW)
        too_many = "試行回数が多すぎます。約15分後に、もう一度お試しください。"
        assert errors(page) == {"current_password": [too_many]}

    def test_who_guesses_elsewhere_does_not_keep_its_owner_from_changing_it(
        self, send: Send, elsewhere: Client
    ) -> None:
        for _ in range(12):
            elsewhere.post(CHANGE, {"current_password": "wrong", "new_password": NEW})
        page = send(CHANGE, current_password=PASSWORD, new_password=NEW)
        assert errors(page) == {}
        assert not is_signed_in(elsewhere)

    def test_it_is_on_record_with_what_browser(self, employee_client: Client, employee: User) -> None:
        employee_client.post(
            CHANGE,
            {"current_password": PASSWORD, "new_password": NEW},
            REMOTE_ADDR="203.0.113.7",
            headers={"user-agent": "Browser/1.0"},
        )
        event = AuditEvent.objects.filter(kind="users.update", after__password_hash="changed").get()
        assert (event.actor_id, event.address, event.device) == (employee.pk, "203.0.113.7", "Browser/1.0")

    @pytest.mark.parametrize(
        ("new", "told"),
        [
            ("too short", "パスワードは12文字以上にしてください。"),
            (PASSWORD, "今と同じパスワードです。別のパスワードにしてください。"),
            ("", "新しいパスワードを入力してください。"),
        ],
    )
    def test_what_is_wrong_with_the_new_one(self, send: Send, new: str, told: str) -> None:
        page = send(CHANGE, current_password=PASSWORD, new_password=new)
        assert errors(page) == {"new_password": [told]}
        assert PASSWORD not in page.html

    def test_a_link_that_is_on_its_way_is_void(self, send: Send, employee: User) -> None:
        PasswordReset.objects.create(user=employee, token="x" * 64, expires_at=clock.now())
        send(CHANGE, current_password=PASSWORD, new_password=NEW)
        assert not PasswordReset.objects.exists()

    def test_the_first_one_says_why_and_leads_on(self, send: Send, employee: User) -> None:
        User.objects.update(must_change_password=True)
        page = send(CHANGE, current_password=PASSWORD, new_password=NEW, next="/clock-in")
        assert page.heading == "出勤しますか？"
        employee.refresh_from_db()
        assert employee.must_change_password is False

    def test_it_tells_of_a_punch_that_waits(self, employee_client: Client) -> None:
        User.objects.update(must_change_password=True)
        page = Page(employee_client.get(CHANGE, {"next": "/clock-in"}))
        assert page.notes == [
            ja("Your punch is not recorded yet. Choose a password first, and you will be asked once more.")
        ]
        assert "ほかの人が設定したものです" in page.text(".//main")
        hidden = [e.get("value") for e in page.root.iter("input") if e.get("name") == "next"]
        assert "/clock-in" in hidden

    @pytest.mark.parametrize("following", ["https://evil.example/", "//evil.example", CHANGE])
    def test_it_leads_to_no_other_site_nor_in_circles(self, send: Send, following: str) -> None:
        page = send(CHANGE, current_password=PASSWORD, new_password=NEW, next=following)
        assert page.heading == ja("Your account")


class TestEmail:
    def ask(self, send: Send, email: str = NEW_ADDRESS, password: str = PASSWORD) -> Page:
        return send(EMAIL, email=email, current_password=password)

    def code(self, mailoutbox: list[EmailMessage]) -> str:
        (code,) = re.findall(r"^\d{6}$", str(mailoutbox[-1].body), re.MULTILINE)
        assert isinstance(code, str)
        return code

    def wrong(self, code: str) -> str:
        return f"{(int(code) + 1) % 10**6:06}"

    def test_it_is_changed_by_a_code_and_the_old_address_told(
        self, send: Send, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        page = self.ask(send)
        assert page.heading == "確認コードの入力"
        assert NEW_ADDRESS in page.text(".//main")
        assert [message.to for message in mailoutbox] == [[NEW_ADDRESS]]
        assert signs_in(OLD_ADDRESS, PASSWORD)
        code = self.code(mailoutbox)
        page = send(CONFIRM, code=f"{code[:3]}-{code[3:]}")
        assert page.messages == [ja("Your e-mail address is changed. Sign in with it from now on.")]
        assert NEW_ADDRESS in page.text(".//main")
        told = ([OLD_ADDRESS], "【タイムレコード】メールアドレス変更のお知らせ")
        assert (mailoutbox[1].to, mailoutbox[1].subject) == told
        assert signs_in(NEW_ADDRESS, PASSWORD)
        assert not signs_in(OLD_ADDRESS, PASSWORD)

    def test_who_still_has_an_old_hash_stays_signed_in(self, client: Client, employee: User) -> None:
        """As after a change of the hasher's parameters: the password is verified, and hashed anew."""
        User.objects.update(password=Argon2PasswordHasher().encode(PASSWORD, "a salt of old"))
        employee.refresh_from_db()
        client.force_login(employee)
        response = client.post(EMAIL, {"email": NEW_ADDRESS, "current_password": PASSWORD})
        assert (response.status_code, response["Location"]) == (303, CONFIRM)
        before, employee.password = employee.password, ""
        employee.refresh_from_db()
        assert employee.password != before
        assert is_signed_in(client)

    def test_it_is_on_record_that_it_was_asked_for(self, send: Send, employee: User) -> None:
        send(EMAIL, email=NEW_ADDRESS, current_password=PASSWORD)
        (event,) = AuditEvent.objects.filter(kind="email.change_requested")
        assert event.subject_id == event.actor_id == employee.pk
        assert NEW_ADDRESS not in str(event.after)

    def test_a_platform_admin_without_tenant_signs_in_with_the_new_one(
        self,
        client: Client,
        make_user: MakeUser,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        admin = make_user(tenant=None, role=Role.PLATFORM_ADMIN)
        client.force_login(admin)
        with django_capture_on_commit_callbacks(execute=True):
            client.post(EMAIL, {"email": NEW_ADDRESS, "current_password": PASSWORD})
        (code,) = re.findall(r"^\d{6}$", str(mailoutbox[0].body), re.MULTILINE)
        assert client.post(CONFIRM, {"code": code})["Location"] == ACCOUNT
        assert client.get(ACCOUNT).status_code == 200
        assert signs_in(NEW_ADDRESS, PASSWORD)

    def test_the_password_is_asked_for(self, send: Send, mailoutbox: list[EmailMessage]) -> None:
        page = self.ask(send, password="wrong")
        assert errors(page) == {"current_password": [ja("This is not your current password.")]}
        assert mailoutbox == []

    def test_five_tries_and_no_more(self, send: Send, employee: User, mailoutbox: list[EmailMessage]) -> None:
        self.ask(send)
        code = self.code(mailoutbox)
        for left in (4, 3, 2, 1):
            told = f"コードが正しくありません。あと{left}回入力できます。"
            assert errors(send(CONFIRM, code=self.wrong(code))) == {"code": [told]}
        page = send(CONFIRM, code=self.wrong(code))
        assert page.messages == [ja(GONE)]
        assert asked_for(page) == NEW_ADDRESS  # which need not be typed again
        (form,) = page.all(".//form[@class='stack']")
        assert form.get("action") == EMAIL
        assert send(CONFIRM, code=code).messages == [ja(GONE)]
        employee.refresh_from_db()
        assert employee.email == OLD_ADDRESS

    def test_the_right_code_sent_twice_says_nothing_false(
        self, send: Send, employee_client: Client, mailoutbox: list[EmailMessage]
    ) -> None:
        """As a double tap does it: the first answer is never seen."""
        self.ask(send)
        code = self.code(mailoutbox)
        assert employee_client.post(CONFIRM, {"code": code}).status_code == 303
        page = send(CONFIRM, code=code)
        assert page.messages == [
            ja("Your e-mail address is changed. Sign in with it from now on."),
            ja(GONE),
        ]
        assert NEW_ADDRESS in page.text(".//main")
        assert OLD_ADDRESS not in page.text(".//main")

    def test_who_goes_back_to_ask_again_finds_the_address_that_waits(
        self, send: Send, employee_client: Client
    ) -> None:
        assert asked_for(Page(employee_client.get(EMAIL))) == ""
        self.ask(send)
        page = Page(employee_client.get(EMAIL))
        assert asked_for(page) == NEW_ADDRESS
        assert OLD_ADDRESS in page.text(".//main")  # which still is the address

    def test_one_that_was_made_up_is_not_shown(self, client: Client, make_user: MakeUser) -> None:
        client.force_login(make_user(email="7@placeholder.local"))
        page = Page(client.get(EMAIL))
        assert "placeholder" not in page.html
        assert "未登録" in page.text(".//main")

    def test_an_address_in_full_width(self, send: Send, mailoutbox: list[EmailMessage]) -> None:
        self.ask(send, "Ｈａｎａｋｏ＠ｅｘａｍｐｌｅ．ｎｅｔ")
        assert mailoutbox[0].to == [NEW_ADDRESS]

    def test_what_is_no_code_is_no_try(self, send: Send, mailoutbox: list[EmailMessage]) -> None:
        self.ask(send)
        for typed in ("12345", "abcdef", "1234567"):
            page = send(CONFIRM, code=typed)
            assert errors(page) == {"code": [ja("The code has six digits. Please check it.")]}
        assert PasswordReset.objects.get().tries == 0

    def test_after_ten_minutes_it_is_no_good(self, send: Send, mailoutbox: list[EmailMessage]) -> None:
        self.ask(send)
        PasswordReset.objects.update(expires_at=clock.now())
        assert send(CONFIRM, code=self.code(mailoutbox)).heading == "メールアドレスの変更"

    def test_asking_again_voids_it(self, send: Send, employee: User, mailoutbox: list[EmailMessage]) -> None:
        self.ask(send)
        self.ask(send, "another@example.net")
        first = re.findall(r"^\d{6}$", str(mailoutbox[0].body), re.MULTILINE)[0]
        send(CONFIRM, code=first)
        employee.refresh_from_db()
        assert employee.email == OLD_ADDRESS
        send(CONFIRM, code=self.code(mailoutbox))
        employee.refresh_from_db()
        assert employee.email == "another@example.net"

    def test_an_address_that_is_taken_looks_like_any_other_and_its_owner_is_told(
        self, send: Send, make_user: MakeUser, other_tenant: Tenant, mailoutbox: list[EmailMessage]
    ) -> None:
        pages = []
        for address in (
            "free@example.net",
            make_user(tenant=other_tenant).email,
            make_user(status=UserStatus.SUSPENDED).email,
        ):
            html = self.ask(send, address.upper()).html.replace(address, "")
            pages.append(re.sub('value="[^"]{64}"', "", html))
        assert len(set(pages)) == 1
        assert [message.subject for message in mailoutbox] == [
            "【タイムレコード】確認コード",
            "【タイムレコード】このアドレスは登録済みです",
            "【タイムレコード】このアドレスは登録済みです",
        ]
        assert not re.search(r"\d{6}", str(mailoutbox[1].body))

    def test_one_that_is_taken_in_the_meantime_is_refused(
        self, send: Send, employee: User, make_user: MakeUser, mailoutbox: list[EmailMessage]
    ) -> None:
        self.ask(send)
        make_user(email=NEW_ADDRESS)
        page = send(CONFIRM, code=self.code(mailoutbox))
        assert page.messages == [ja(GONE)]
        employee.refresh_from_db()
        assert employee.email == OLD_ADDRESS

    def test_a_link_to_a_new_password_that_went_to_the_old_address_is_void(
        self, send: Send, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        PasswordReset.objects.create(user=employee, token="x" * 64, expires_at=clock.now())
        self.ask(send)
        send(CONFIRM, code=self.code(mailoutbox))
        assert not PasswordReset.objects.filter(purpose="reset").exists()

    def test_the_made_up_address_is_not_written_to(
        self,
        client: Client,
        make_user: MakeUser,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        client.force_login(make_user(email="7@placeholder.local"))
        with django_capture_on_commit_callbacks(execute=True):
            client.post(EMAIL, {"email": NEW_ADDRESS, "current_password": PASSWORD})
        with django_capture_on_commit_callbacks(execute=True):
            client.post(CONFIRM, {"code": self.code(mailoutbox)})
        assert [message.to for message in mailoutbox] == [[NEW_ADDRESS]]
        assert signs_in(NEW_ADDRESS, PASSWORD)

    def test_without_a_mail_server_nothing_is_half_done(
        self, send: Send, settings: Settings, employee: User
    ) -> None:
        settings.EMAIL_BACKEND = DOWN
        page = self.ask(send)
        assert page.notes == [
            ja("No mail can be sent at the moment. Nothing was changed. Please try again later.")
        ]
        assert not PasswordReset.objects.exists()

    def test_nobody_is_flooded(self, send: Send, mailoutbox: list[EmailMessage]) -> None:
        for _ in range(6):
            page = self.ask(send)
        assert page.notes == ["試行回数が多すぎます。約60分後に、もう一度お試しください。"]
        (told,) = page.all(".//div[@id='form_error']")
        assert (told.get("tabindex"), told.get("autofocus")) == ("-1", "")
        assert len(mailoutbox) == 5
        assert ThrottleCounter.objects.filter(hits=5).count() == 1

    @pytest.mark.parametrize(
        ("typed", "told"),
        [
            (OLD_ADDRESS.upper(), "今と同じメールアドレスです。"),
            ("x", "メールアドレスの形式が正しくありません。ご確認ください。"),
            ("", "メールアドレスを入力してください。"),
        ],
    )
    def test_what_cannot_be_meant(self, send: Send, typed: str, told: str) -> None:
        assert errors(self.ask(send, typed)) == {"email": [told]}


class TestLanguage:
    def test_it_is_honoured_at_sign_in_on_another_device(
        self, employee_client: Client, employee: User
    ) -> None:
        employee_client.post("/language", {"language": "en", "next": ACCOUNT})
        assert Page(employee_client.get(ACCOUNT)).heading == "Your account"
        employee.refresh_from_db()
        assert employee.language == "en"
        other = Client(headers={"accept-language": "ja"})
        assert Page(other.get("/sign-in")).language == "ja"
        other.post("/sign-in", {"email": employee.email, "password": PASSWORD})
        cookie = other.cookies[project.LANGUAGE_COOKIE_NAME]
        assert (cookie.value, cookie["httponly"], cookie["samesite"]) == ("en", True, "Lax")
        assert Page(other.get(ACCOUNT)).language == "en"

    def test_who_chose_none_keeps_the_browsers(self, employee: User) -> None:
        other = Client(headers={"accept-language": "en"})
        other.post("/sign-in", {"email": employee.email, "password": PASSWORD})
        assert project.LANGUAGE_COOKIE_NAME not in other.cookies
        assert Page(other.get(ACCOUNT)).language == "en"

    @pytest.mark.parametrize("language", ["xx", "", "en\0"])
    def test_one_that_there_is_not_is_not_kept(
        self, employee_client: Client, employee: User, language: str
    ) -> None:
        employee_client.post("/language", {"language": language})
        employee.refresh_from_db()
        assert employee.language is None

    def test_strangers_choose_for_their_browser(self, client: Client, employee: User) -> None:
        client.post("/language", {"language": "en"})
        employee.refresh_from_db()
        assert employee.language is None
        assert Page(client.get("/sign-in")).language == "en"


class TestSignOutEverywhere:
    def test_it_ends_every_session_this_one_too(
        self, employee_client: Client, elsewhere: Client, make_user: MakeUser
    ) -> None:
        colleague = Client()
        colleague.force_login(make_user())
        response = employee_client.post(EVERYWHERE, follow=True)
        assert Page(response).messages == [ja("You are signed out everywhere.")]
        assert not is_signed_in(employee_client)
        assert not is_signed_in(elsewhere)
        assert is_signed_in(colleague)

    def test_by_get_it_does_not(self, employee_client: Client, elsewhere: Client) -> None:
        assert employee_client.get(EVERYWHERE).status_code == 405
        assert is_signed_in(elsewhere)
