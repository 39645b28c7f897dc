"""Registering with a role code, as a browser without scripts does it."""

import datetime as dt
from typing import Any, cast

import pytest
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Model
from django.test import Client
from django.utils import translation
from pytest_django import Settings as SettingsOfTest

from accounts import account_actions, errands, registration_views
from accounts.account_actions import AddressTakenError, CodeProblem
from accounts.account_forms import CODE_PROBLEMS, TAKEN, normalise_code
from accounts.models import AuditEvent, Errand, Role, RoleCode, Session, ThrottleCounter, User, UserStatus
from accounts.registration_views import GUESSES
from tenants.models import Tenant, TenantStatus
from tests.accounts.test_mail import DOWN
from tests.conftest import PASSWORD, MakeUser
from tests.html import Page, ja, text_of
from timerecord.core import clock

REGISTER = "/register"
CODE = "ABCDEFGH23456789"


@pytest.fixture
def code(tenant: Tenant) -> RoleCode:
    return RoleCode.objects.create(tenant=tenant, code=CODE, max_uses=3)


def given(**data: str) -> dict[str, str]:
    return {
        "code": CODE,
        "last_name": "高橋",
        "first_name": "美咲",
        "email": "takahashi@example.com",
        "password": "川沿いの道を自転車で走る",
        **data,
    }


def register(**data: str) -> User:
    """Register without a page."""
    return account_actions.register(**cast("dict[str, Any]", given(**data)))


def refused(client: Client, **data: str) -> dict[str, list[str]]:
    """Return the errors by field of a form that comes back; nobody may have been registered."""
    response = client.post(REGISTER, given(**data))
    assert response.status_code == 200
    assert not User.objects.filter(last_name="高橋").exists()
    assert not Session.objects.exists()
    return errors(Page(response))


def errors(page: Page) -> dict[str, list[str]]:
    """Return what is said at each field; fails where a field is not tied to it."""
    found = {}
    for field in page.all(".//div[@class='field']"):
        control = field.find("input")
        assert control is not None
        for told in field:
            if not told.get("id", "").endswith("_error"):
                continue
            # What is wrong comes before the help, which can be long.
            assert control.get("aria-describedby", "").split()[0] == told.get("id")
            assert control.get("aria-invalid") == "true"
            found[control.get("name", "")] = [text_of(line) for line in told]
    return found


class TestSuccess:
    def test_who_registers_is_signed_in_and_sees_the_clock(
        self, client: Client, code: RoleCode, tenant: Tenant
    ) -> None:
        response = client.post(REGISTER, given(), follow=True)
        assert response.redirect_chain == [("/", 303)]
        page = Page(response)
        assert page.heading == "勤務外"
        (told,) = page.messages
        assert told.startswith("ようこそ。登録が完了し、ログインしました。takahashi@example.com に")
        user = User.objects.get(email="takahashi@example.com")
        assert (user.tenant, user.role, user.status) == (tenant, Role.EMPLOYEE, UserStatus.ACTIVE)
        assert (user.display_name, user.username) == ("高橋 美咲", "高橋 美咲")
        assert not user.must_change_password
        assert RoleCode.objects.get().usage_count == 1

    @pytest.mark.parametrize(
        "typed",
        [
            "abcd-efgh-2345-6789",
            " ABCD EFGH 2345 6789 ",
            "ＡＢＣＤ－ＥＦＧＨ－２３４５－６７８９",
            "ａｂｃｄ　ｅｆｇｈ　２３４５　６７８９",
            "ABCDーEFGHー2345ー6789",
            "ABCD‐EFGH–2345—6789",
            "ABCD\u200bEFGH\u00ad2345−6789\n",
        ],
    )
    def test_the_code_however_it_is_typed(self, client: Client, code: RoleCode, typed: str) -> None:
        assert normalise_code(typed) == CODE
        assert client.post(REGISTER, given(code=typed)).status_code == 303

    def test_a_link_fills_the_code_in(self, client: Client, db: None) -> None:
        page = Page(client.get(REGISTER, {"code": "abcd-efgh-2345-6789"}))
        (field,) = [e for e in page.root.iter("input") if e.get("name") == "code"]
        assert field.get("value") == "abcd-efgh-2345-6789"
        assert not Session.objects.exists()

    @pytest.mark.parametrize(
        "password", [" with space around ", "🐎🔋🐎🔋🐎🔋🐎🔋🐎🔋🐎🔋", "x9" * 512, "ｶﾞｷﾞｸﾞｹﾞｺﾞｶﾞｷﾞｸﾞ"]
    )
    def test_the_password_exactly_as_it_is_typed(self, client: Client, code: RoleCode, password: str) -> None:
        assert client.post(REGISTER, given(password=password)).status_code == 303
        user = User.objects.get(email="takahashi@example.com")
        assert user.check_password(password)
        assert not user.check_password(password.strip() + "!")

    def test_the_address_is_stored_as_it_is_looked_up(self, client: Client, code: RoleCode) -> None:
        client.post(REGISTER, given(email=" Takahashi@EXAMPLE.com "))
        assert User.objects.filter(email="takahashi@example.com").exists()

    def test_an_address_in_full_width_is_stored_in_half_width(self, client: Client, code: RoleCode) -> None:
        client.post(REGISTER, given(email="Ｔａｋａｈａｓｈｉ＠ｅｘａｍｐｌｅ．ｃｏｍ"))
        assert User.objects.filter(email="takahashi@example.com").exists()

    def test_it_is_on_record(self, client: Client, code: RoleCode) -> None:
        client.post(REGISTER, given(), REMOTE_ADDR="192.0.2.7")
        made, signed_in = AuditEvent.objects.order_by("id").filter(
            subject_id=User.objects.get(email="takahashi@example.com").pk,
            kind__regex="^(users|sign)",  # a tenant or a code can have the same id
        )
        assert (made.kind, signed_in.kind) == ("users.insert", "sign_in")
        assert (made.address, made.tenant_id) == ("192.0.2.7", code.tenant_id)
        assert made.reason == "somebody registers with a role code"
        assert "川沿い" not in str(made.after)

    def test_a_language_that_was_chosen_goes_along(self, client: Client, code: RoleCode) -> None:
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
        client.post(REGISTER, given())
        assert User.objects.get(email="takahashi@example.com").language == "en"

    def test_one_that_was_not_does_not(self, client: Client, code: RoleCode) -> None:
        client.post(REGISTER, given())
        assert User.objects.get(email="takahashi@example.com").language is None

    def test_who_is_signed_in_is_led_to_the_clock_and_told_why(
        self, employee_client: Client, code: RoleCode
    ) -> None:
        response = employee_client.get(REGISTER, {"code": CODE}, follow=True)
        assert response.redirect_chain == [("/", 302)]
        assert Page(response).messages == ["すでにログインしています。"]
        assert employee_client.post(REGISTER, given())["Location"] == "/"
        assert RoleCode.objects.get().usage_count == 0


class TestWelcomeMail:
    def test_it_says_how_to_sign_in_once_that_can_be_done(
        self, client: Client, code: RoleCode, mailoutbox: list[EmailMessage]
    ) -> None:
        client.post(REGISTER, given())
        (message,) = mailoutbox
        assert message.to == ["takahashi@example.com"]
        assert message.subject == "【タイムレコード】ご登録ありがとうございます"
        assert str(message.body).startswith("高橋 美咲 様\n")
        assert "takahashi@example.com" in str(message.body)
        assert "http://localhost:8000/sign-in\n" in str(message.body)
        assert given()["password"] not in str(message.body)
        assert CODE not in str(message.body)

    def test_in_the_language_of_the_page(
        self, client: Client, code: RoleCode, mailoutbox: list[EmailMessage]
    ) -> None:
        client.post(REGISTER, given(), headers={"accept-language": "en"})
        assert [message.subject for message in mailoutbox] == ["Time clock: welcome"]

    def test_none_to_who_is_refused(
        self, client: Client, code: RoleCode, employee: User, mailoutbox: list[EmailMessage]
    ) -> None:
        refused(client, code="Z" * 16)
        refused(client, password="too short")
        refused(client, email=employee.email)
        assert mailoutbox == []
        assert not Errand.objects.exists()

    def test_none_where_the_end_of_the_transaction_fails(
        self, db: None, code: RoleCode, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The address is taken in the moment before the row is written."""
        monkeypatch.setattr(User, "save", _taken_just_before)
        with pytest.raises(AddressTakenError):
            register()
        assert errands.do_waiting() == 0
        assert mailoutbox == []

    def test_it_leaves_after_the_commit(
        self, db: None, code: RoleCode, mailoutbox: list[EmailMessage]
    ) -> None:
        register()
        assert User.objects.filter(email="takahashi@example.com").exists()
        assert mailoutbox == []
        assert errands.do_waiting() == 1
        assert len(mailoutbox) == 1

    def test_none_to_an_address_that_was_made_up(
        self, db: None, code: RoleCode, mailoutbox: list[EmailMessage]
    ) -> None:
        register(email="7@placeholder.local")
        assert errands.do_waiting() == 1
        assert mailoutbox == []

    def test_a_mail_server_that_is_down_keeps_nobody_out(
        self, client: Client, code: RoleCode, settings: SettingsOfTest
    ) -> None:
        settings.EMAIL_BACKEND = DOWN
        assert client.post(REGISTER, given()).status_code == 303
        assert Errand.objects.get().tries == 1  # and again in a minute


def _taken_just_before(user: User, **how: Any) -> None:
    User.objects.bulk_create([User(email=user.email, username="faster")])
    Model.save(user, **how)


class TestCodesThatAreRefused:
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"is_disabled": True}, CodeProblem.DISABLED),
            ({"usage_count": 3}, CodeProblem.USED_UP),
            ({"max_uses": 0}, CodeProblem.USED_UP),
            ({"expires_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, CodeProblem.EXPIRED),
            ({"code": "Z" * 16}, CodeProblem.UNKNOWN),
        ],
    )
    def test_each_says_why_at_the_field_and_counts_nothing(
        self, client: Client, code: RoleCode, change: dict[str, Any], problem: CodeProblem
    ) -> None:
        RoleCode.objects.update(**change)
        before = RoleCode.objects.get().usage_count
        assert refused(client) == {"code": [ja(english(CODE_PROBLEMS[problem]))]}
        assert RoleCode.objects.get().usage_count == before

    def test_of_a_tenant_that_is_suspended(self, client: Client, code: RoleCode, tenant: Tenant) -> None:
        tenant.status = TenantStatus.SUSPENDED
        tenant.save()
        assert refused(client) == {"code": [ja(english(CODE_PROBLEMS[CodeProblem.TENANT_SUSPENDED]))]}

    def test_one_that_is_still_good_for_a_second(self, client: Client, code: RoleCode) -> None:
        RoleCode.objects.update(expires_at=clock.now() + dt.timedelta(seconds=60), max_uses=None)
        assert client.post(REGISTER, given()).status_code == 303

    def test_every_message_is_another(self) -> None:
        assert len({str(text) for text in CODE_PROBLEMS.values()}) == len(CodeProblem)

    @pytest.mark.parametrize(
        ("typed", "told"),
        [
            ("ABCDEFGH2345678", "ロールコードは16文字です。入力されたのは15文字です。"),
            ("ABCDEFGI23456789", "ロールコードに使われるのは、IとOを除くA〜Zと、2〜9の数字だけです。"),
            ("ABCDEFGH0123456!", "ロールコードに使われるのは、IとOを除くA〜Zと、2〜9の数字だけです。"),
            ("", "管理者から受け取ったロールコードを入力してください。"),
        ],
    )
    def test_what_can_be_no_code(self, client: Client, code: RoleCode, typed: str, told: str) -> None:
        assert refused(client, code=typed) == {"code": [told]}

    def test_who_guesses_has_to_wait_and_so_has_who_guesses_right(
        self, client: Client, code: RoleCode
    ) -> None:
        unknown = ja(english(CODE_PROBLEMS[CodeProblem.UNKNOWN]))
        assert refused(client, code="Z" * 16) == {"code": [unknown]}
        ThrottleCounter.objects.update(hits=GUESSES)
        assert refused(client) == {"code": ["試行回数が多すぎます。約10分後に、もう一度お試しください。"]}
        elsewhere = client.post(REGISTER, given(), REMOTE_ADDR="192.0.2.9")
        assert elsewhere.status_code == 303

    def test_a_network_from_which_all_too_many_register_has_to_wait(
        self, client: Client, code: RoleCode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registration_views, "REGISTRATIONS_PER_NETWORK", 2)
        answers = []
        for n in range(3):
            # Who is refused has not registered.
            assert Client().post(REGISTER, given(code="A" * 16)).status_code == 200
            answers.append(Client().post(REGISTER, given(email=f"{n}@example.com")))
        assert [answer.status_code for answer in answers] == [303, 303, 200]
        assert Page(answers[2]).notes == ["試行回数が多すぎます。約60分後に、もう一度お試しください。"]

    def test_who_has_a_good_code_is_not_counted(self, client: Client, code: RoleCode) -> None:
        RoleCode.objects.update(usage_count=3)
        refused(client)
        RoleCode.objects.update(usage_count=0)
        client.post(REGISTER, given())
        assert sorted(ThrottleCounter.objects.values_list("hits", flat=True)) == [0, 1]  # one registered


class TestAddresses:
    def test_one_that_is_taken_here_or_elsewhere_gets_the_same_answer(
        self, client: Client, code: RoleCode, make_user: MakeUser, other_tenant: Tenant
    ) -> None:
        taken = [
            make_user(),
            make_user(tenant=other_tenant),
            make_user(tenant=None, role=Role.PLATFORM_ADMIN),
            make_user(status=UserStatus.SUSPENDED),
        ]
        answers = {str(refused(client, email=user.email.upper())) for user in taken}
        assert answers == {str({"email": [ja(english(TAKEN))]})}
        assert RoleCode.objects.get().usage_count == 0

    def test_without_a_good_code_nobody_learns_that_it_is_taken(
        self, client: Client, code: RoleCode, employee: User
    ) -> None:
        RoleCode.objects.update(is_disabled=True)
        told = ja(english(CODE_PROBLEMS[CodeProblem.DISABLED]))
        assert refused(client, email=employee.email) == {"code": [told]}

    @pytest.mark.parametrize("typed", ["x", "x@", "@example.com", "7@placeholder.local", "あ@example.com"])
    def test_what_can_be_none(self, client: Client, code: RoleCode, typed: str) -> None:
        told = {"email": [ja("This does not look like an e-mail address. Please check it.")]}
        assert refused(client, email=typed) == told


class TestPasswords:
    @pytest.mark.parametrize(
        ("password", "told"),
        [
            ("elevenchars", "パスワードは12文字以上にしてください。"),
            ("takahashi@example", "氏名やメールアドレスに似たパスワードは使えません。"),
            (
                "qwertyuiop123",
                "推測されやすいパスワードです。別のパスワードにしてください。",
            ),
            ("739182645091827", "数字だけのパスワードは使えません。"),
            ("x9" * 512 + "y", "このパスワードは長すぎます。1,024文字以内にしてください。"),
            ("", "パスワードを入力してください。"),
        ],
    )
    def test_what_is_wrong_is_said_at_the_field(
        self, client: Client, code: RoleCode, password: str, told: str
    ) -> None:
        assert refused(client, password=password) == {"password": [told]}

    def test_one_like_the_name(self, client: Client, code: RoleCode) -> None:
        response = client.post(REGISTER, given(last_name="Wolfeschlegel", password="wolfeschlegel1"))
        told = "氏名やメールアドレスに似たパスワードは使えません。"
        assert errors(Page(response)) == {"password": [told]}

    def test_the_rest_of_the_form_is_kept_and_the_password_never(
        self, client: Client, code: RoleCode
    ) -> None:
        page = Page(client.post(REGISTER, given(password="very short")))
        (form,) = page.all(".//form[@class='stack']")
        fields = {e.get("name"): e for e in form.iter("input")}
        kept = {name: fields[name].get("value") for name in given()}
        assert kept == {**given(), "password": None}
        assert "very short" not in page.html
        assert [name for name, e in fields.items() if e.get("autofocus") is not None] == ["password"]

    def test_what_is_missing_is_asked_for_in_english_too(self, client: Client, db: None) -> None:
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
        page = Page(client.post(REGISTER, {}))
        assert errors(page) == {
            "code": ["Please enter the code that your administrator gave you."],
            "last_name": ["Please enter your family name."],
            "first_name": ["Please enter your given name."],
            "email": ["Please enter your e-mail address."],
            "password": ["Please enter a password."],
        }
        autofocus = [e.get("name") for e in page.root.iter("input") if e.get("autofocus") is not None]
        assert autofocus == ["code"]


def test_browsers_and_password_managers_know_the_fields(client: Client, db: None) -> None:
    page = Page(client.get(REGISTER))
    fields = {e.get("name"): e.get("autocomplete") for e in page.root.iter("input") if e.get("autocomplete")}
    assert fields == {
        "code": "off",
        "last_name": "family-name",
        "first_name": "given-name",
        "email": "username",
        "password": "new-password",
    }
    assert PASSWORD not in page.html


def english(text: Any) -> str:
    """Return the English of a lazy text."""
    with translation.override("en"):
        return str(text)
