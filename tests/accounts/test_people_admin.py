"""How a tenant's admin looks after its people."""

import dataclasses
import datetime as dt
import logging
import re
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from accounts import people, tokens
from accounts.account_forms import NO_MAIL
from accounts.models import AuditEvent, PasswordReset, Role, User, UserStatus
from accounts.people import Person, State
from accounts.people_admin import ADDRESSES_AN_HOUR, LINKS_AN_HOUR, PROBLEMS
from accounts.people_forms import TAKEN_BY_SOMEBODY
from accounts.tokens import Purpose
from tenants.models import Tenant
from tests.accounts.test_mail import DOWN
from tests.accounts.test_registration import english
from tests.conftest import PASSWORD, MakeSession, MakeUser
from tests.html import Page, fields_of, ja, text_of
from timerecord.core import clock

LIST, ADD = "/admin/accounts/user/", "/admin/accounts/user/add/"
INVITATION = re.compile(r"http://localhost:8000(/invitation/\S+)")
FIRST_PASSWORD = re.compile(r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3}\b")
NEW = "川沿いの道を自転車で走る"
GIVEN = {"last_name": "森", "first_name": "桜子", "email": "Sakurako@Example.com ", "role": "employee"}

Commits = DjangoCaptureOnCommitCallbacks


@pytest.fixture(autouse=True)
def _somebody_looks_after_it(tenant_admin: User) -> None:
    """In each of these tests."""


def page_of(user: User, name: str = "change") -> str:
    return f"{LIST}{user.pk}/{name}/"


def rows(response: Any) -> list[list[str]]:
    return [
        [text_of(cell) for cell in row] for row in Page(response).all(".//table[@id='result_list']/tbody/tr")
    ]


def errors(response: Any) -> dict[str, list[str]]:
    """Return what is said at each field of the form; of the form as a whole under ""."""
    page = Page(response)
    found = {
        str(box.get("id")).removeprefix("id_").removesuffix("_error"): [text_of(e) for e in box]
        for box in page.root.iter("div")
        if box.get("id", "").endswith("_error")
    }
    whole = [text_of(e) for e in page.root.iter("p") if e.get("class") == "note bad" and e.get("role")]
    return found | ({"": whole} if whole else {})


def deeds(client: Client, user: User) -> list[str]:
    page = Page(client.get(page_of(user)))
    return [text_of(link) for link in page.all(".//section[@aria-labelledby='deeds']//a")]


def can_sign_in(email: str, password: str) -> bool:
    client = Client()
    return client.post("/sign-in", {"email": email, "password": password}).status_code == 302


def is_signed_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def last_event(user: User) -> AuditEvent:
    event = AuditEvent.objects.filter(subject_id=user.pk, kind="users.update").order_by("-pk").first()
    assert event
    return event


class TestTheList:
    def test_it_shows_who_is_there_and_in_which_state(self, desk: Client, make_user: MakeUser) -> None:
        make_user(last_name="青木", email="a@example.com")
        make_user(last_name="井上", email="b@example.com", must_change_password=True)
        make_user(last_name="上田", email="c@example.com", locked_until=clock.now() + dt.timedelta(minutes=5))
        make_user(last_name="江口", email="d@placeholder.local", status=UserStatus.SUSPENDED)
        invited = make_user(last_name="大野", email="e@example.com")
        invited.set_unusable_password()
        invited.save()
        make_user(last_name="加藤", email="f@example.com", role=Role.PLATFORM_ADMIN)
        assert sorted(rows(desk.get(LIST))) == sorted(
            [
                ["青木 花子", "a@example.com", "", "有効"],
                ["井上 花子", "b@example.com", "", "初期パスワード"],
                ["上田 花子", "c@example.com", "", "ロック中"],
                ["大野 花子", "e@example.com", "", "招待中"],
                ["小林 直子", "admin@example.com", "テナント管理者", "有効"],
                ["江口 花子", "未登録", "", "停止中"],
            ]
        )
        assert rows(desk.get(LIST))[-1][0] == "江口 花子"  # whoever is suspended comes last

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("q=鈴木", ["鈴木 太郎"]),
            ("q=TARO@", ["鈴木 太郎"]),
            ("q=鈴木 太郎", ["鈴木 太郎"]),
            ("q=nobody", []),
            ("state=suspended", ["鈴木 太郎"]),
            ("state=locked", []),
            ("role=tenant_admin", ["小林 直子"]),
            ("role=employee&state=active", ["佐藤 花子"]),
        ],
    )
    def test_search_and_filters(
        self, desk: Client, make_user: MakeUser, query: str, found: list[str]
    ) -> None:
        make_user()
        make_user(last_name="鈴木", first_name="太郎", email="taro@example.com", status=UserStatus.SUSPENDED)
        response = desk.get(f"{LIST}?{query}")
        assert [row[0] for row in rows(response)] == found
        if not found:
            assert ja("Nothing fits what you search for.") in response.content.decode()

    def test_it_costs_the_same_with_three_people_and_with_three_hundred(
        self, desk: Client, make_user: MakeUser
    ) -> None:
        make_user()
        make_user()
        counts = []
        for more in (0, 297):
            User.objects.bulk_create(
                User(tenant=User.objects.first().tenant, email=f"{n}@example.com", username=str(n))  # type: ignore[union-attr]
                for n in range(more)
            )
            for page in (LIST, f"{LIST}export.csv"):
                with CaptureQueriesContext(
                    connection,
                ) as queries:
                    assert desk.get(page).status_code == 200
                counts.append(len(queries))
        assert counts[:2] == counts[2:]


class TestInviting:
    def test_by_mail(
        self,
        desk: Client,
        tenant: Tenant,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: Commits,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            response = desk.post(ADD, {**GIVEN, "way": "mail"}, follow=True)
        user = User.objects.get(email="sakurako@example.com")
        assert (user.tenant, user.role, user.display_name) == (tenant, Role.EMPLOYEE, "森 桜子")
        assert Page(response).messages == [
            ja("%(name)s is invited: the mail is on its way to %(email)s.", name="森 桜子", email=user.email)
        ]
        (message,) = mailoutbox
        assert message.to == [user.email]
        assert "青空商店" in message.subject
        assert "7日以内" in str(message.body)
        newcomer = Client()
        assert newcomer.get(link_in(message))["Location"] == "/invitation"
        page = Page(newcomer.post("/invitation", {"new_password": NEW}, follow=True))
        assert page.messages == [ja("Welcome. Your password is set, and you are signed in.")]
        assert is_signed_in(newcomer)
        assert can_sign_in(user.email, NEW)
        assert len(mailoutbox) == 1  # of the password that they chose themselves they need not be told

    def test_with_a_first_password_that_is_shown_once(
        self, desk: Client, mailoutbox: list[EmailMessage], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with CaptureQueriesContext(connection) as queries:
            response = desk.post(ADD, {**GIVEN, "way": "password"})
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        (password,) = set(FIRST_PASSWORD.findall(response.content.decode()))
        told = [caplog.text, str(AuditEvent.objects.values_list("after", flat=True)), str(dict(desk.session))]
        assert [text for text in (*told, *(q["sql"] for q in queries)) if password in text] == []
        assert mailoutbox == []

        newcomer = Client()
        newcomer.post("/sign-in", {"email": "sakurako@example.com", "password": password})
        assert newcomer.get("/")["Location"] == "/password/change?next=/"
        assert password not in desk.get(LIST).content.decode()

    def test_passwords_differ_and_have_no_letters_that_look_alike(self) -> None:
        made = {people.first_password() for _ in range(200)}
        assert len(made) == 200
        assert all(FIRST_PASSWORD.fullmatch(password) for password in made)
        assert not set("".join(made)) & set("il1o0")

    @pytest.mark.parametrize(
        ("given", "at", "said"),
        [
            ({"email": "admin@example.com"}, "email", TAKEN_BY_SOMEBODY),
            ({"email": "elsewhere@example.com"}, "email", TAKEN_BY_SOMEBODY),
            ({"email": "x@placeholder.local"}, "email", "This is no e-mail address. Please check it."),
            ({"last_name": ""}, "last_name", "Please enter your family name."),
        ],
    )
    def test_what_is_wrong_is_said_at_its_field(
        self,
        desk: Client,
        make_user: MakeUser,
        other_tenant: Tenant,
        given: dict[str, str],
        at: str,
        said: Any,
    ) -> None:
        make_user(email="elsewhere@example.com", tenant=other_tenant)
        response = desk.post(ADD, {**GIVEN, "way": "mail", **given})
        assert errors(response)[at] == [ja(english(said))]
        assert not User.objects.filter(last_name="森").exists()

    @pytest.mark.parametrize("role", ["platform_admin", "owner", ""])
    def test_nobody_is_given_a_role_that_is_not_the_tenants_to_give(self, desk: Client, role: str) -> None:
        assert "role" in errors(desk.post(ADD, {**GIVEN, "way": "mail", "role": role}))
        assert User.objects.count() == 1

    def test_while_no_mail_can_be_sent_nothing_is_half_done(self, desk: Client, settings: Settings) -> None:
        settings.EMAIL_BACKEND = DOWN
        response = desk.post(ADD, {**GIVEN, "way": "mail"})
        assert ja(english(NO_MAIL)) in response.content.decode()
        assert User.objects.count() == 1
        assert not PasswordReset.objects.exists()

    def test_an_address_that_is_taken_at_the_same_moment(
        self, desk: Client, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the look at the form and the row, another one comes."""
        make_user(email="sakurako@example.com")
        monkeypatch.setattr(User, "validate_constraints", lambda *_, **__: None)
        response = desk.post(ADD, {**GIVEN, "way": "password"})
        assert errors(response)["email"] == [ja(english(TAKEN_BY_SOMEBODY))]
        assert not FIRST_PASSWORD.search(response.content.decode())

    def test_the_invitation_again_voids_the_one_before(
        self, desk: Client, mailoutbox: list[EmailMessage], django_capture_on_commit_callbacks: Commits
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            desk.post(ADD, {**GIVEN, "way": "mail"})
            user = User.objects.get(last_name="森")
            assert deeds(desk, user) == ["招待をもう一度送る", "パスワードを再設定する", "利用を停止する"]
            desk.post(page_of(user, "invite"))
        first, second = map(link_in, mailoutbox)
        stranger = Client()
        stranger.get(first)
        assert Page(stranger.get("/invitation")).heading == ja("This link does not work any more")
        stranger.get(second)
        assert Page(stranger.get("/invitation")).heading == ja("Choose your password")

    def test_nobody_is_flooded_with_mails(self, desk: Client, employee: User) -> None:
        for _ in range(LINKS_AN_HOUR):
            assert desk.post(page_of(employee, "password"), {"way": "mail"}).status_code == 303
        response = desk.post(page_of(employee, "password"), {"way": "mail"})
        assert errors(response)[""] == ["試行回数が多すぎます。約60分後に、もう一度お試しください。"]


def link_in(message: EmailMessage) -> str:
    (found,) = INVITATION.findall(str(message.body))
    return str(found)


class TestTheInvitation:
    @pytest.fixture
    def link(self, employee: User) -> str:
        return f"/invitation/{tokens.issue(employee.pk, Purpose.INVITE, 3600)}"

    def test_it_works_once(self, employee: User, link: str) -> None:
        first, second = Client(), Client()
        for client in (first, second):
            client.get(link)
            assert client.get("/invitation").status_code == 200
        assert first.post("/invitation", {"new_password": NEW}).status_code == 303
        late = Page(second.post("/invitation", {"new_password": f"{NEW}!"}))
        assert late.heading == ja("This link does not work any more")
        assert can_sign_in(employee.email, NEW)

    def test_it_opens_no_other_page(self, link: str) -> None:
        """A link of one purpose is none of another."""
        client = Client()
        client.get(link.replace("/invitation/", "/password/reset/"))
        assert Page(client.get("/password/reset")).heading == ja("This link does not work")

    def test_one_who_is_suspended_gets_nowhere(self, employee: User, link: str) -> None:
        User.objects.filter(pk=employee.pk).update(status=UserStatus.SUSPENDED)
        client = Client()
        client.get(link)
        assert Page(client.post("/invitation", {"new_password": NEW})).heading == ja(
            "This link does not work any more"
        )

    def test_a_weak_password_is_refused_at_its_field(self, link: str) -> None:
        client = Client()
        client.get(link)
        assert "field-error" in client.post("/invitation", {"new_password": "short"}).content.decode()

    def test_whoever_was_signed_in_there_no_longer_is(self, desk: Client, employee: User, link: str) -> None:
        """On a shared computer."""
        desk.get(link)
        desk.post("/invitation", {"new_password": NEW})
        assert desk.session["_auth_user_id"] == str(employee.pk)

    def test_another_password_voids_it(self, employee: User, employee_client: Client, link: str) -> None:
        employee_client.post("/password/change", {"current_password": PASSWORD, "new_password": NEW})
        client = Client()
        client.get(link)
        assert Page(client.get("/invitation")).heading == ja("This link does not work any more")

    @pytest.mark.parametrize("token", ["x", "../..", "A" * 44])
    def test_what_is_no_link(self, db: None, token: str) -> None:
        assert Client().get(f"/invitation/{token}").status_code in (200, 404)


class TestChanging:
    def test_name_address_and_role(
        self,
        desk: Client,
        employee: User,
        tenant_admin: User,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: Commits,
    ) -> None:
        old = employee.email
        token = tokens.issue(employee.pk, Purpose.RESET, 600)
        given = {"last_name": "田中", "first_name": "花", "email": "hana@example.com", "role": "tenant_admin"}
        with django_capture_on_commit_callbacks(execute=True):
            response = desk.post(page_of(employee), given, follow=True)
        assert Page(response).messages == [ja("“%(row)s” is changed.", row="田中 花")]
        employee.refresh_from_db()
        assert (employee.display_name, employee.email, employee.role) == (
            "田中 花",
            *list(given.values())[2:],
        )
        assert tokens.find(token, Purpose.RESET) is None
        assert [message.to for message in mailoutbox] == [[old]]
        event = last_event(employee)
        assert (event.actor_id, event.door) == (tenant_admin.pk, "admin")
        assert (event.after or {})["role"] == "tenant_admin"

    def test_what_is_left_as_it_is_tells_nobody(
        self, desk: Client, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        given = {"last_name": "佐藤", "first_name": "花子", "email": employee.email, "role": "employee"}
        desk.post(page_of(employee), given)
        assert mailoutbox == []
        assert not AuditEvent.objects.filter(subject_id=employee.pk, kind="users.update").exists()

    def test_what_somebody_else_changed_meanwhile_stays(
        self, desk: Client, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        form = desk.get(page_of(employee))
        User.objects.filter(pk=employee.pk).update(role=Role.TENANT_ADMIN, email="elsewhere@example.com")
        assert desk.post(page_of(employee), {**fields_of(Page(form)), "first_name": "花"}).status_code == 303
        employee.refresh_from_db()
        assert (employee.first_name, employee.role, employee.email) == (
            "花",
            Role.TENANT_ADMIN,
            "elsewhere@example.com",
        )
        assert mailoutbox == []

    def test_two_who_change_the_same_thing(self, desk: Client, employee: User) -> None:
        form = desk.get(page_of(employee))
        User.objects.filter(pk=employee.pk).update(last_name="森", role=Role.TENANT_ADMIN)
        said = {**fields_of(Page(form)), "last_name": "田中", "role": Role.TENANT_ADMIN}
        refused = desk.post(page_of(employee), said)
        text = (
            "Somebody else has changed this in the meantime: it is “%(value)s” now. If yours is right "
            "all the same, please save it once more."
        )
        assert errors(refused)["last_name"] == [ja(text, value="森")]
        assert "role" not in errors(refused)  # both want the same
        employee.refresh_from_db()
        assert employee.last_name == "森"
        # Sent once more, it counts: by then the page has shown it.
        assert desk.post(page_of(employee), fields_of(Page(refused))).status_code == 303
        employee.refresh_from_db()
        assert (employee.last_name, employee.role) == ("田中", Role.TENANT_ADMIN)

    def test_nobody_changes_their_own_role(
        self, desk: Client, tenant_admin: User, make_user: MakeUser
    ) -> None:
        make_user(role=Role.TENANT_ADMIN)
        given = {"last_name": "小林", "first_name": "直", "email": tenant_admin.email, "role": "employee"}
        assert desk.post(page_of(tenant_admin), given).status_code == 303
        tenant_admin.refresh_from_db()
        assert (tenant_admin.first_name, tenant_admin.role) == ("直", Role.TENANT_ADMIN)

    def test_one_of_another_tenant_is_not_there(
        self, desk: Client, make_user: MakeUser, other_tenant: Tenant
    ) -> None:
        stranger = make_user(tenant=other_tenant)
        for page in ("change", "history", "suspend", "password"):
            assert desk.get(page_of(stranger, page)).status_code == 404
            assert desk.post(page_of(stranger, page), {"reason": "x"}).status_code == 404

    def test_nor_an_operator_of_the_service(self, desk: Client, make_user: MakeUser) -> None:
        operator = make_user(role=Role.PLATFORM_ADMIN)
        assert desk.get(page_of(operator)).status_code == 404


class TestSuspending:
    def test_it_ends_sessions_asks_why_and_can_be_taken_back(
        self, desk: Client, employee: User, employee_client: Client
    ) -> None:
        token = tokens.issue(employee.pk, Purpose.INVITE, 600)
        assert is_signed_in(employee_client)
        refused = desk.post(page_of(employee, "suspend"), {"reason": " "})
        assert errors(refused) == {"reason": [ja("Please say why.")]}
        assert is_signed_in(employee_client)

        desk.post(page_of(employee, "suspend"), {"reason": "退職のため"})
        employee.refresh_from_db()
        assert employee.status == UserStatus.SUSPENDED
        assert not is_signed_in(employee_client)
        assert not can_sign_in(employee.email, PASSWORD)
        assert tokens.find(token, Purpose.INVITE) is None
        assert last_event(employee).reason == "退職のため"
        assert deeds(desk, employee) == ["利用を再開する"]

        desk.post(page_of(employee, "restore"), {"reason": "復職"})
        assert can_sign_in(employee.email, PASSWORD)
        assert last_event(employee).reason == "復職"

    def test_a_session_from_before_does_not_come_back_with_the_account(
        self, desk: Client, employee: User, employee_client: Client
    ) -> None:
        """Nobody asked for a page in between."""
        desk.post(page_of(employee, "suspend"), {"reason": "x"})
        desk.post(page_of(employee, "restore"), {"reason": "x"})
        assert not is_signed_in(employee_client)

    def test_nobody_suspends_themselves(self, desk: Client, tenant_admin: User) -> None:
        assert deeds(desk, tenant_admin) == []
        response = desk.post(page_of(tenant_admin, "suspend"), {"reason": "x"}, follow=True)
        assert Page(response).messages == [ja("There is nothing to be done about this any more.")]
        assert can_sign_in(tenant_admin.email, PASSWORD)

    def test_an_admin_suspends_another(self, desk: Client, make_user: MakeUser) -> None:
        other = make_user(role=Role.TENANT_ADMIN)
        assert desk.post(page_of(other, "suspend"), {"reason": "x"}).status_code == 303
        other.refresh_from_db()
        assert other.status == UserStatus.SUSPENDED

    def test_done_twice_it_says_that_nothing_is_left_to_do(self, desk: Client, employee: User) -> None:
        for expected in (
            ja("%(name)s is suspended.", name="佐藤 花子"),
            ja("There is nothing to be done about this any more."),
        ):
            response = desk.post(page_of(employee, "suspend"), {"reason": "x"}, follow=True)
            assert Page(response).messages == [expected]

    def test_nobody_is_deleted(self, desk: Client, employee: User) -> None:
        assert desk.post(page_of(employee, "delete"), {"post": "yes"}).status_code == 404
        response = desk.post(LIST, {"action": "delete_selected", "_selected_action": employee.pk, "index": 0})
        assert response.status_code == 200
        assert User.objects.filter(pk=employee.pk).exists()


class TestPasswordsAndSessions:
    def test_a_lock_is_lifted(self, desk: Client, make_user: MakeUser) -> None:
        user = make_user(locked_until=clock.now() + dt.timedelta(minutes=5), failed_attempts=5)
        assert "ロックを解除する" in deeds(desk, user)
        assert not can_sign_in(user.email, PASSWORD)
        desk.post(page_of(user, "unlock"))
        assert can_sign_in(user.email, PASSWORD)

    def test_signed_out_everywhere(self, desk: Client, employee: User, employee_client: Client) -> None:
        desk.post(page_of(employee, "sign-out"))
        assert not is_signed_in(employee_client)
        assert can_sign_in(employee.email, PASSWORD)
        assert is_signed_in(desk)

    def test_by_a_link_that_leaves_the_password_until_another_is_chosen(
        self,
        desk: Client,
        employee: User,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: Commits,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            desk.post(page_of(employee, "password"), {"way": "mail"})
        (message,) = mailoutbox
        assert "1日以内" in str(message.body)
        assert can_sign_in(employee.email, PASSWORD)
        somebody = Client()
        somebody.get(link_in(message))
        with django_capture_on_commit_callbacks(execute=True):
            somebody.post("/invitation", {"new_password": NEW})
        assert can_sign_in(employee.email, NEW)
        assert mailoutbox[1].subject == "【タイムレコード】パスワード変更のお知らせ"

    def test_by_a_first_password(
        self,
        desk: Client,
        employee: User,
        employee_client: Client,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: Commits,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            response = desk.post(page_of(employee, "password"), {"way": "password"})
        assert "no-store" in response["Cache-Control"]
        (password,) = set(FIRST_PASSWORD.findall(response.content.decode()))
        assert not is_signed_in(employee_client)
        assert not can_sign_in(employee.email, PASSWORD)
        assert can_sign_in(employee.email, password)
        (message,) = mailoutbox
        assert password not in str(message.message())
        event = last_event(employee)
        assert password not in str(event.after)
        assert (event.after or {})["must_change_password"] is True

    def test_an_address_that_was_made_up_gets_no_mail(
        self, desk: Client, make_user: MakeUser, mailoutbox: list[EmailMessage]
    ) -> None:
        user = make_user(email="7@placeholder.local")
        response = desk.post(page_of(user, "password"), {"way": "mail"})
        assert list(errors(response)) == ["way"]
        assert FIRST_PASSWORD.search(
            desk.post(page_of(user, "password"), {"way": "password"}).content.decode()
        )
        assert mailoutbox == []

    def test_while_no_mail_can_be_sent(self, desk: Client, employee: User, settings: Settings) -> None:
        settings.EMAIL_BACKEND = DOWN
        response = desk.post(page_of(employee, "password"), {"way": "mail"})
        assert errors(response) == {"": [ja(english(NO_MAIL))]}
        assert not PasswordReset.objects.exists()


class TestHistory:
    def test_each_change_in_words(
        self, desk: Client, employee: User, django_capture_on_commit_callbacks: Commits
    ) -> None:
        given = {"last_name": "佐藤", "first_name": "花", "email": employee.email, "role": "employee"}
        desk.post(page_of(employee), given)
        desk.post(page_of(employee, "suspend"), {"reason": "退職のため"})
        desk.post(page_of(employee, "restore"), {"reason": "復職"})
        desk.post(page_of(employee, "password"), {"way": "password"})
        Client().post("/sign-in", {"email": employee.email, "password": "wrong"})
        page = Page(desk.get(page_of(employee, "history")))
        entries = page.all(".//ol[@class='history']/li")
        assert [[text_of(line) for line in entry.findall("ul/li")] for entry in entries] == [
            [ja("Signing in failed: a wrong password, or not possible at that time.")],
            [
                ja("The password was changed."),
                ja("It has to be changed at the next sign-in."),
                ja("All sessions were ended."),
            ],
            ["状態: 停止中 → 有効", ja("All sessions were ended.")],
            ["状態: 有効 → 停止中", ja("All sessions were ended.")],
            ["名: 花子 → 花"],
            [ja("The account was made."), f"メールアドレス: {employee.email}", "権限: 従業員"],
        ]
        assert "理由: 退職のため" in text_of(entries[3])
        assert "小林 直子" in text_of(entries[3])

    def test_it_is_cut_into_pages(self, desk: Client, employee: User) -> None:
        for n in range(60):
            User.objects.filter(pk=employee.pk).update(first_name=f"花子{n}")
        first = Page(desk.get(page_of(employee, "history")))
        second = Page(desk.get(f"{page_of(employee, 'history')}?p=2"))
        assert [len(page.all(".//ol[@class='history']/li")) for page in (first, second)] == [50, 11]


class TestExport:
    def test_it_has_what_the_list_has_and_no_formula(
        self, desk: Client, make_user: MakeUser, other_tenant: Tenant
    ) -> None:
        make_user(last_name="=1+1", first_name="@SUM(A1)", email="f@example.com")
        make_user(last_name="森", first_name="桜子", email="9@placeholder.local", status=UserStatus.SUSPENDED)
        make_user(tenant=other_tenant, last_name="他社")
        response = desk.get(f"{LIST}export.csv")
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        assert "filename*=utf-8''%E5%BE%93%E6%A5%AD%E5%93%A1.csv" in response["Content-Disposition"]
        assert response.content.startswith(b"\xef\xbb\xbf")
        lines = response.content.decode("utf-8-sig").split("\r\n")
        assert sorted(lines[1:-1]) == sorted(
            [
                '"\'=1+1","\'@SUM(A1)","f@example.com","従業員","有効"',
                '"小林","直子","admin@example.com","テナント管理者","有効"',
                '"森","桜子","","従業員","停止中"',
            ]
        )
        assert lines[0] == '"姓","名","メールアドレス","権限","状態"'

    def test_a_page_that_there_is_not_is_no_matter(self, desk: Client, employee: User) -> None:
        for query in ("?p=99", "?p=x", "?all="):
            response = desk.get(f"{LIST}export.csv{query}")
            assert response.status_code == 200
            assert employee.email in response.content.decode()

    def test_it_is_searched_and_filtered_like_the_list(self, desk: Client, employee: User) -> None:
        text = desk.get(f"{LIST}export.csv?role=employee").content.decode("utf-8-sig")
        assert text.split("\r\n")[1:] == [f'"佐藤","花子","{employee.email}","従業員","有効"', ""]


def test_nobody_asks_for_addresses_without_end(desk: Client, make_user: MakeUser, employee: User) -> None:
    taken = make_user(tenant=None).email
    for _ in range(ADDRESSES_AN_HOUR):
        desk.post(ADD, {**GIVEN, "email": taken, "way": "mail"})
    free = desk.post(ADD, {**GIVEN, "way": "password"})
    assert free.status_code == 200
    assert not User.objects.filter(email="sakurako@example.com").exists()
    given = {"last_name": "佐藤", "first_name": "花子", "email": "new@example.com", "role": "employee"}
    desk.post(page_of(employee), given)
    employee.refresh_from_db()
    assert employee.email != "new@example.com"


def test_an_operator_of_the_service_is_nobody_to_look_after(
    desk: Client, employee: User, make_user: MakeUser, make_session: MakeSession
) -> None:
    """Not in one list and out of another: whoever is not among the employees is in no choice and no month."""
    operator = make_user(role=Role.PLATFORM_ADMIN, last_name="運営", first_name="者")
    make_session("2026-11-18 09:00", "2026-11-18 18:00", user=operator)
    make_session("2026-11-18 09:00", "2026-11-18 18:00", user=employee)
    for path in (
        LIST,
        "/admin/?month=2026-11",
        "/admin/attendance/worksession/?date=2026-11",
        "/admin/attendance/worksession/add/",
    ):
        html = desk.get(path).content.decode()
        assert "佐藤 花子" in html
        assert "運営 者" not in html
    assert desk.get(f"/admin/employees/{operator.pk}/months/2026-11/").status_code == 404
    links = [a.get("href") for a in Page(desk.get("/admin/audit/")).root.iter("a")]
    assert page_of(employee) in links
    assert page_of(operator) not in links


class TestTheLastAdmin:
    """The rules below the pages, which keep to them for whoever calls."""

    def test_a_tenant_keeps_one(self, tenant_admin: User) -> None:
        for refused in (people.suspend, demote):
            with pytest.raises(people.PersonError) as error:
                refused(tenant_admin)
            assert error.value.problem is people.Problem.LAST_ADMIN

    def test_every_problem_has_its_sentence(self) -> None:
        assert set(PROBLEMS) == set(people.Problem)

    def test_the_states_in_the_list_are_those_of_the_filter(self, desk: Client) -> None:
        for state in State:
            assert desk.get(f"{LIST}?state={state}").status_code == 200


def demote(user: User) -> None:
    seen = Person(str(user.last_name), str(user.first_name), user.email, user.role)
    people.change(user, dataclasses.replace(seen, role=Role.EMPLOYEE), seen=seen)
