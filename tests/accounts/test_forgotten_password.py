"""A forgotten password: the mail, its link, and what becomes of sessions and locks."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts.account_actions import RESETS_FROM_ALL, RESETS_FROM_ONE
from accounts.models import AuditEvent, PasswordReset, Role, ThrottleCounter, User, UserStatus
from accounts.registration_views import RESET_LINK, RESETS_PER_NETWORK
from tenants.models import Tenant, TenantStatus
from tests.accounts.test_mail import DOWN
from tests.accounts.test_registration import errors
from tests.conftest import PASSWORD, MakeUser
from tests.html import Page, ja
from timerecord.core import clock

FORGOT, SENT, RESET, SIGN_IN = "/password/forgot", "/password/forgot/sent", "/password/reset", "/sign-in"
NEW = "川沿いの道を自転車で走る"
NO_GOOD = "This link does not work"

Ask = Callable[[str], Page]


@pytest.fixture
def ask(db: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Ask:
    """Ask for a link, as somebody in another browser."""

    def send(email: str) -> Page:
        stranger = Client()
        with django_capture_on_commit_callbacks(execute=True):
            response = stranger.post(FORGOT, {"email": email}, follow=True)
        assert response.redirect_chain == [(SENT, 303)]
        return Page(response)

    return send


@pytest.fixture
def link(ask: Ask, employee: User, mailoutbox: list[EmailMessage]) -> str:
    ask(employee.email)
    return link_in(mailoutbox.pop())


def link_in(message: EmailMessage) -> str:
    """Return the path of the link in a mail."""
    (found,) = re.findall(r"http://localhost:8000(/password/reset/\S+)", str(message.body))
    assert isinstance(found, str)
    return found


def choose(client: Client, link: str, password: str = NEW) -> Page:
    """Follow a link and choose a password."""
    assert client.get(link)["Location"] == RESET
    return Page(client.post(RESET, {"new_password": password}, follow=True))


def signs_in(email: str, password: str) -> bool:
    return Client().post(SIGN_IN, {"email": email, "password": password}).status_code == 302


class TestAsking:
    def test_the_answer_is_the_same_for_everybody(
        self,
        ask: Ask,
        make_user: MakeUser,
        other_tenant: Tenant,
        mailoutbox: list[EmailMessage],
    ) -> None:
        closed = make_user(tenant=other_tenant)
        Tenant.objects.filter(pk=other_tenant.pk).update(status=TenantStatus.SUSPENDED)
        known = make_user()
        addresses = [
            known.email,
            "nobody@example.com",
            make_user(status=UserStatus.SUSPENDED).email,
            make_user(email="7@placeholder.local").email,
            closed.email,
        ]
        pages = {ask(address).html for address in addresses}
        assert len({re.sub('value="[^"]{64}"', "", page) for page in pages}) == 1
        assert [message.to for message in mailoutbox] == [[known.email]]
        assert PasswordReset.objects.count() == 1

    def test_and_so_is_the_work_before_it(
        self, client: Client, employee: User, settings: Settings, mailoutbox: list[EmailMessage]
    ) -> None:
        """Nothing is looked up until the answer is out, also where the server closes it before."""
        settings.ERRANDS_AFTER_ANSWER = False
        client.post(FORGOT, {"email": "first@example.com"})  # what is done once in a while is done
        work = []
        for address in (employee.email, "nobody@example.com"):
            with CaptureQueriesContext(connection) as queries:
                assert client.post(FORGOT, {"email": address}).status_code == 303
            work.append([re.sub("'[^']*'|_x[0-9]+", "?", query["sql"]) for query in queries])
        assert work[0] == work[1]
        assert not PasswordReset.objects.exists()
        assert mailoutbox == []
        call_command("housekeeping")
        assert [message.to for message in mailoutbox] == [[employee.email]]

    def test_who_has_no_address_of_their_own_is_told_whom_to_ask(self, client: Client, ask: Ask) -> None:
        page = Page(client.get(FORGOT))
        told = "ご自身のメールアドレスを登録していない方は、管理者にパスワードの再設定を依頼してください。"
        assert told in page.text(".//main")
        told = "アカウントにご自身のメールアドレスが登録されていない場合"
        assert told in ask("7@placeholder.local").text(".//main")

    def test_the_mail_is_in_the_language_that_was_chosen_else_that_of_the_page(
        self, ask: Ask, employee: User, make_user: MakeUser, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(employee.email)
        ask(make_user(language="en").email)
        assert [message.subject for message in mailoutbox] == [
            "【タイムレコード】パスワード再設定のご案内",
            "Time clock: reset your password",
        ]

    def test_its_link_leads_to_the_settings_site_whatever_host_was_asked(
        self,
        employee: User,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            Client().post(FORGOT, {"email": employee.email}, HTTP_HOST="127.0.0.1")
        assert "http://localhost:8000/password/reset/" in str(mailoutbox[0].body)
        assert "127.0.0.1" not in str(mailoutbox[0].body)

    def test_an_address_in_full_width(self, ask: Ask, employee: User, mailoutbox: list[EmailMessage]) -> None:
        ask("Ｅｍｐｌｏｙｅｅ１＠ｅｘａｍｐｌｅ．ｃｏｍ")
        assert [message.to for message in mailoutbox] == [[employee.email]]

    def test_nobody_fills_a_mailbox(
        self, ask: Ask, client: Client, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        for _ in range(RESETS_FROM_ONE + 2):
            ask(employee.email)
        assert len(mailoutbox) == RESETS_FROM_ONE
        # Nor are the links that came made worthless so.
        assert choose(client, link_in(mailoutbox[-1])).heading == "ログイン"

    def test_nor_takes_the_mails_that_others_may_ask_for(
        self, ask: Ask, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        for _ in range(RESETS_FROM_ONE + 2):
            ask(employee.email)
        Client(REMOTE_ADDR="203.0.113.7").post(FORGOT, {"email": employee.email})
        assert len(mailoutbox) == RESETS_FROM_ONE + 1

    def test_many_networks_together_do_not_fill_it_either(
        self, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        for n in range(RESETS_FROM_ALL + 2):
            Client(REMOTE_ADDR=f"203.0.113.{n}").post(FORGOT, {"email": employee.email})
        assert len(mailoutbox) == RESETS_FROM_ALL

    def test_nor_does_one_who_has_many_networks_of_a_site(
        self, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        """A home has 256 or more networks of IPv6, and must not use up what all may ask for."""
        for n in range(RESETS_FROM_ONE + 3):
            Client(REMOTE_ADDR=f"2001:db8:0:{n:x}::1").post(FORGOT, {"email": employee.email})
        assert len(mailoutbox) == RESETS_FROM_ONE
        Client(REMOTE_ADDR="2001:db8:1::1").post(FORGOT, {"email": employee.email})
        assert len(mailoutbox) == RESETS_FROM_ONE + 1

    def test_it_is_on_record_who_asked(self, employee: User) -> None:
        browser = Client(REMOTE_ADDR="203.0.113.7", headers={"user-agent": "Browser/1.0"})
        for address in (employee.email, "nobody@example.com"):
            browser.post(FORGOT, {"email": address})
        (event,) = AuditEvent.objects.filter(kind="password.reset_requested")
        assert (event.subject_id, event.actor_id) == (employee.pk, None)
        assert (event.address, event.device) == ("203.0.113.7", "Browser/1.0")

    def test_a_network_that_asks_all_the_time_has_to_wait(self, client: Client, db: None, ask: Ask) -> None:
        ask("nobody@example.com")
        ThrottleCounter.objects.update(hits=RESETS_PER_NETWORK)
        page = Page(client.post(FORGOT, {"email": "nobody@example.com"}))
        assert page.notes == ["試行回数が多すぎます。約60分後に、もう一度お試しください。"]

    def test_without_a_mail_server_that_is_said_and_nothing_done_whoever_asks(
        self, client: Client, employee: User, settings: Settings
    ) -> None:
        settings.EMAIL_BACKEND = DOWN
        for address in (employee.email, "nobody@example.com"):
            page = Page(client.post(FORGOT, {"email": address}))
            assert page.notes == [
                ja("No mail can be sent at the moment. Nothing was changed. Please try again later.")
            ]
        assert not PasswordReset.objects.exists()


class TestTheLink:
    def test_it_leads_to_a_new_password(
        self,
        client: Client,
        employee: User,
        link: str,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            page = choose(client, link)
        assert page.heading == "ログイン"
        assert page.messages == [ja("Your password is changed. Please sign in with it.")]
        assert not signs_in(employee.email, PASSWORD)
        assert signs_in(employee.email, NEW)
        (told,) = mailoutbox
        assert (told.to, told.subject) == ([employee.email], "【タイムレコード】パスワード変更のお知らせ")

    def test_one_that_is_no_good_leads_on(self, client: Client, db: None) -> None:
        page = Page(client.get("/password/reset/cut-off"))
        assert "リンクの一部だけ" in page.text(".//main")
        assert [e.get("href") for e in page.all(".//main//a")] == [FORGOT, SIGN_IN]

    def test_it_is_good_once(self, client: Client, link: str) -> None:
        choose(client, link)
        again = choose(Client(), link, "noch ein anderes Passwort")
        assert again.heading == ja(NO_GOOD)

    def test_looking_at_it_uses_nothing_up(self, client: Client, link: str) -> None:
        for scanner in (Client(), Client()):
            scanner.get(link)
            scanner.head(link)
            assert Page(scanner.get(RESET)).heading == "新しいパスワードの設定"
        assert choose(client, link).heading == "ログイン"

    def test_after_ten_minutes_it_is_no_good(self, client: Client, link: str) -> None:
        PasswordReset.objects.update(expires_at=clock.now())
        assert choose(client, link).heading == ja(NO_GOOD)

    def test_asking_again_voids_it(
        self, client: Client, employee: User, link: str, ask: Ask, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(employee.email)
        assert choose(client, link).heading == ja(NO_GOOD)
        assert choose(client, link_in(mailoutbox[0])).heading == "ログイン"

    def test_it_is_no_good_to_who_was_suspended_meanwhile(
        self, client: Client, employee: User, link: str
    ) -> None:
        User.objects.update(status=UserStatus.SUSPENDED)
        assert choose(client, link).heading == ja(NO_GOOD)

    def test_the_token_leaves_the_address_and_goes_nowhere(self, client: Client, link: str) -> None:
        response = client.get(link)
        token = link.rpartition("/")[2]
        assert (response.status_code, response["Location"]) == (302, RESET)
        assert response["Referrer-Policy"] == "no-referrer"
        cookie = client.cookies[RESET_LINK.cookie]
        assert (cookie["httponly"], cookie["path"], cookie["samesite"]) == (True, RESET, "Lax")
        form = client.get(RESET)
        assert token not in form.content.decode()
        assert form["Referrer-Policy"] == "same-origin"
        for answer in (response, form):
            assert "no-store" in answer["Cache-Control"]

    def test_one_that_was_made_up_is_no_good(self, client: Client, db: None) -> None:
        assert choose(client, "/password/reset/" + "A" * 43).heading == ja(NO_GOOD)

    @pytest.mark.parametrize("guess", ["x", "日本", "A" * 5000])
    def test_what_is_no_link_of_ours_gets_no_further(self, client: Client, db: None, guess: str) -> None:
        response = client.get(f"/password/reset/{guess}")
        assert Page(response).heading == ja(NO_GOOD)
        assert response.cookies["password_reset"].value == ""

    def test_a_password_that_will_not_do_uses_nothing_up(
        self, client: Client, employee: User, link: str
    ) -> None:
        page = choose(client, link, "too short")
        assert errors(page) == {"new_password": ["パスワードは12文字以上にしてください。"]}
        similar = choose(client, link, employee.email)
        told = ja("A password like your name or e-mail address cannot be used.")
        assert errors(similar) == {"new_password": [told]}
        assert choose(client, link).heading == "ログイン"


class TestWhatItDoes:
    def test_every_session_ends(self, client: Client, employee: User, link: str) -> None:
        elsewhere = Client()
        elsewhere.force_login(employee)
        choose(client, link)
        assert elsewhere.get("/").status_code == 302

    def test_who_else_is_signed_in_there_is_signed_out(
        self, client: Client, employee: User, make_user: MakeUser, link: str
    ) -> None:
        colleague = make_user()
        client.force_login(colleague)
        elsewhere = Client()
        elsewhere.force_login(colleague)
        page = choose(client, link)
        assert page.heading == "ログイン"
        assert page.messages == [ja("Your password is changed. Please sign in with it.")]
        assert client.get("/").status_code == 302
        assert elsewhere.get("/").status_code == 200
        assert signs_in(employee.email, NEW)

    def test_nobody_is_signed_out_by_a_password_that_will_not_do(
        self, client: Client, make_user: MakeUser, link: str
    ) -> None:
        client.force_login(make_user())
        choose(client, link, "too short")
        assert client.get("/").status_code == 200

    def test_a_lock_is_lifted_and_a_first_password_chosen(
        self, client: Client, employee: User, link: str
    ) -> None:
        User.objects.update(
            locked_until=clock.now() + dt.timedelta(minutes=15), failed_attempts=5, must_change_password=True
        )
        choose(client, link)
        employee.refresh_from_db()
        assert (employee.locked_until, employee.failed_attempts) == (None, 0)
        assert employee.must_change_password is False
        assert signs_in(employee.email, NEW)

    def test_it_is_on_record_as_the_users_own_doing(self, client: Client, employee: User, link: str) -> None:
        choose(client, link)
        event = AuditEvent.objects.filter(kind="users.update", reason__contains="mailed link").first()
        assert event
        assert (event.subject_id, event.actor_id) == (employee.pk, employee.pk)
        assert event.after
        assert event.after["password_hash"] == "changed"

    def test_who_has_to_choose_a_first_one_gets_past_that_by_the_link(
        self, client: Client, make_user: MakeUser, ask: Ask, mailoutbox: list[EmailMessage]
    ) -> None:
        """The temporary password is lost, in a browser that is still signed in with it."""
        user = make_user(must_change_password=True)
        client.force_login(user)
        ask(user.email)
        assert choose(client, link_in(mailoutbox[0])).heading == "ログイン"
        assert signs_in(user.email, NEW)

    def test_a_platform_admin_without_tenant_can_too(
        self, client: Client, make_user: MakeUser, ask: Ask, mailoutbox: list[EmailMessage]
    ) -> None:
        admin = make_user(tenant=None, role=Role.PLATFORM_ADMIN)
        ask(admin.email)
        assert choose(client, link_in(mailoutbox[0])).heading == "ログイン"
