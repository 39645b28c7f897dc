import datetime as dt

import pytest
from django.conf import settings
from django.contrib.auth.hashers import identify_hasher
from django.test import Client

from accounts.models import Session, User, UserStatus
from tenants.models import Tenant, TenantStatus
from tests.accounts.test_hashers import SHORT, WRITTEN_BY_BCRYPTJS, node, old_hash
from tests.conftest import PASSWORD, MakeUser
from tests.html import Page, ja, text_of
from timerecord.core import clock

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
REFUSED = "You could not be signed in. Please check your e-mail address and password."
WHAT_MAY_HELP = (
    "After five wrong passwords, sign-in is locked for 15 minutes; you can also reset the password. If that "
    "does not help, ask your administrator; administrators ask the operator of the service."
)


def sign_in(client: Client, email: str, password: str, **data: str) -> str | Page:
    """Return where the form leads, or the page that it comes back on."""
    response = client.post(SIGN_IN, {"email": email, "password": password, **data})
    if response.status_code == 302:
        return response["Location"]
    assert response.status_code == 200
    return Page(response)


def errors(page: str | Page) -> list[str]:
    """Return what is wrong; not what may help, which follows it."""
    assert isinstance(page, Page)
    whole = page.all(".//div[@id='form_error']/p")[:1]
    return [text_of(e) for e in (*whole, *page.all(".//p[@class='field-error']"))]


def is_signed_in(client: Client) -> bool:
    return client.get("/").status_code == 200


class TestSignIn:
    def test_leads_to_the_clock(self, client: Client, employee: User) -> None:
        assert sign_in(client, employee.email, PASSWORD) == "/"
        assert is_signed_in(client)
        assert Session.objects.count() == 1

    @pytest.mark.parametrize(
        "typed", [" Employee1@EXAMPLE.com ", "\ufeffemployee1@example.com", "　employee1@example.com\ufeff"]
    )
    def test_the_address_however_it_is_typed(self, client: Client, employee: User, typed: str) -> None:
        assert sign_in(client, typed, PASSWORD) == "/"

    def test_an_address_in_full_width(self, client: Client, employee: User) -> None:
        assert sign_in(client, "Ｅｍｐｌｏｙｅｅ１＠ｅｘａｍｐｌｅ．ｃｏｍ", PASSWORD) == "/"

    @pytest.mark.parametrize("made_up", ["ﾀﾛｳ_1@placeholder.local", "ｔａｒｏ_1@placeholder.local"])
    def test_one_that_the_import_made_up_of_such_characters(
        self, client: Client, make_user: MakeUser, made_up: str
    ) -> None:
        make_user(email=made_up)
        assert sign_in(client, made_up, PASSWORD) == "/"

    def test_the_password_exactly_as_it_is_typed(self, client: Client, employee: User) -> None:
        employee.set_password("  with space around  ")
        employee.save()
        assert errors(sign_in(client, employee.email, "with space around")) == [ja(REFUSED)]
        assert sign_in(client, employee.email, "  with space around  ") == "/"

    def test_a_new_session_key_for_who_signs_in(self, client: Client, employee: User) -> None:
        client.cookies[settings.SESSION_COOKIE_NAME] = "chosenbyanattacker"
        sign_in(client, employee.email, PASSWORD)
        assert client.cookies[settings.SESSION_COOKIE_NAME].value != "chosenbyanattacker"
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")

    def test_who_is_signed_in_is_led_on(self, employee_client: Client) -> None:
        for query, target in (("", "/"), ("?next=/clock-in", "/clock-in"), (f"?next={SIGN_IN}", "/")):
            response = employee_client.get(SIGN_IN + query)
            assert (response.status_code, response["Location"]) == (302, target)

    @pytest.mark.parametrize("following", ["/", "/clock-in", "/clock-out", "/?page=2"])
    def test_it_leads_back_to_the_page_that_was_wanted(
        self, client: Client, employee: User, following: str
    ) -> None:
        assert sign_in(client, employee.email, PASSWORD, next=following) == following

    @pytest.mark.parametrize(
        "following",
        [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "http:///evil.example",
            "\x01https://evil.example",
            SIGN_IN,
        ],
    )
    def test_it_leads_to_no_other_site_nor_in_circles(
        self, client: Client, employee: User, following: str
    ) -> None:
        assert sign_in(client, employee.email, PASSWORD, next=following) == "/"
        assert client.get(SIGN_IN, {"next": following})["Location"] == "/"


class TestRefusals:
    """Each way to fail says the same, so that nobody learns who is known."""

    def refuse(self, client: Client, email: str, password: str) -> str:
        page = sign_in(client, email, password)
        assert errors(page) == [ja(REFUSED)]
        assert isinstance(page, Page)
        assert not is_signed_in(client)
        assert not Session.objects.exists()
        return page.html.replace(page.csrf_token, "").replace(email, "")

    def test_all_look_alike(self, client: Client, make_user: MakeUser, other_tenant: Tenant) -> None:
        suspended = make_user(status=UserStatus.SUSPENDED)
        locked = make_user(locked_until=clock.now() + dt.timedelta(minutes=15))
        closed = make_user(tenant=other_tenant)
        Tenant.objects.filter(pk=other_tenant.pk).update(status=TenantStatus.SUSPENDED)
        old = make_user()
        User.objects.filter(pk=old.pk).update(password=node(SHORT))
        pages = {
            self.refuse(client, "nobody@example.com", PASSWORD),
            self.refuse(client, make_user().email, "wrong"),
            self.refuse(client, suspended.email, PASSWORD),
            self.refuse(client, locked.email, PASSWORD),
            self.refuse(client, closed.email, PASSWORD),
            self.refuse(client, old.email, "wrong horse"),
        }
        assert len(pages) == 1

    def test_in_english(self, client: Client, employee: User) -> None:
        client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
        assert errors(sign_in(client, employee.email, "wrong")) == [REFUSED]

    def test_each_names_what_may_help_and_is_read_with_the_field_that_has_the_focus(
        self, client: Client, db: None
    ) -> None:
        page = sign_in(client, "nobody@example.com", "wrong")
        assert isinstance(page, Page)
        (told,) = page.all(".//div[@id='form_error']")
        assert [text_of(line) for line in told] == [ja(REFUSED), ja(WHAT_MAY_HELP)]
        (focused,) = [e for e in page.root.iter() if e.get("autofocus") is not None]
        assert (focused.get("name"), focused.get("aria-describedby")) == ("password", "form_error")
        assert page.text(".//title").startswith("エラー: ログイン")

    def test_the_form_keeps_the_address_and_never_the_password(self, client: Client, employee: User) -> None:
        page = sign_in(client, 'a"b@example.com', "very secret", next="/clock-in")
        assert isinstance(page, Page)
        (form,) = page.all(".//form[@class='stack']")
        fields = {e.get("name"): e.get("value") for e in form.iter("input")}
        assert (fields["email"], fields["password"], fields["next"]) == ('a"b@example.com', None, "/clock-in")
        assert "very secret" not in page.html

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("", PASSWORD),
            ("employee1@example.com", ""),
            ("employee1@example.com", PASSWORD + "\0"),
            ("employee1@example.com\0", PASSWORD),
            ("employee1@example.com", "x" * 4097),
            ("x" * 255, PASSWORD),
        ],
        ids=[
            "no address",
            "no password",
            "NUL in the password",
            "NUL in the address",
            "too long",
            "too long too",
        ],
    )
    def test_what_cannot_be_meant_is_said_at_its_field(
        self, client: Client, employee: User, email: str, password: str
    ) -> None:
        page = sign_in(client, email, password)
        assert isinstance(page, Page)
        (error,) = errors(page)
        assert error != ja(REFUSED)
        assert page.language == "ja"
        assert not error.isascii()  # it speaks the page's language
        assert not is_signed_in(client)

    def test_what_is_missing_is_asked_for(self, client: Client, db: None) -> None:
        missing = [ja("Please enter your e-mail address."), ja("Please enter your password.")]
        assert errors(sign_in(client, "", "")) == missing

    def test_the_longest_password_allowed_is_just_wrong(self, client: Client, employee: User) -> None:
        assert errors(sign_in(client, employee.email, "x" * 4096)) == [ja(REFUSED)]


class TestOldPasswords:
    @pytest.fixture
    def old(self, make_user: MakeUser) -> User:
        user = make_user()
        user.password = node(SHORT)
        user.save()
        return user

    def stored(self, user: User) -> str:
        return User.objects.get(pk=user.pk).password

    def test_the_first_sign_in_replaces_the_hash_and_only_that(self, client: Client, old: User) -> None:
        assert errors(sign_in(client, old.email, "wrong horse")) == [ja(REFUSED)]
        assert self.stored(old) == node(SHORT)
        assert sign_in(client, old.email, "correct horse") == "/"
        replaced = self.stored(old)
        assert replaced.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
        assert is_signed_in(client)
        client.post(SIGN_OUT)
        assert sign_in(client, old.email, "correct horse") == "/"
        assert self.stored(old) == replaced

    @pytest.mark.parametrize("password", [p for p in WRITTEN_BY_BCRYPTJS if len(p.encode()) > 72])
    def test_one_longer_than_72_bytes_gets_in_and_counts_whole_from_then_on(
        self, client: Client, old: User, password: str
    ) -> None:
        User.objects.filter(pk=old.pk).update(password=node(WRITTEN_BY_BCRYPTJS[password]))
        assert sign_in(client, old.email, password) == "/"
        assert identify_hasher(self.stored(old)).algorithm == "argon2"
        client.post(SIGN_OUT)
        assert errors(sign_in(client, old.email, password + "!")) == [ja(REFUSED)]
        assert errors(sign_in(client, old.email, password[:-1])) == [ja(REFUSED)]
        assert sign_in(client, old.email, password) == "/"

    def test_one_that_the_old_application_trimmed(self, client: Client, old: User) -> None:
        User.objects.filter(pk=old.pk).update(password=old_hash("correct horse"))
        assert sign_in(client, old.email, " correct horse　") == "/"
        client.post(SIGN_OUT)
        assert sign_in(client, old.email, " correct horse　") == "/"

    @pytest.mark.parametrize(
        "password", [" correct horse", "correct horse ", "　馬\u00a0", f" {'0123456789' * 8} "]
    )
    def test_one_with_space_at_its_ends_keeps_it(self, client: Client, old: User, password: str) -> None:
        User.objects.filter(pk=old.pk).update(password=old_hash(password))
        assert errors(sign_in(client, old.email, password.strip())) == [ja(REFUSED)]
        assert sign_in(client, old.email, password) == "/"
        assert identify_hasher(self.stored(old)).algorithm == "argon2"
        client.post(SIGN_OUT)
        assert errors(sign_in(client, old.email, password.strip())) == [ja(REFUSED)]
        assert sign_in(client, old.email, password) == "/"

    def test_who_may_not_sign_in_keeps_the_account_shut(self, client: Client, old: User) -> None:
        User.objects.filter(pk=old.pk).update(status=UserStatus.SUSPENDED)
        assert errors(sign_in(client, old.email, "correct horse")) == [ja(REFUSED)]
        assert not is_signed_in(client)


class TestSignOut:
    def test_ends_the_session(self, employee_client: Client) -> None:
        response = employee_client.post(SIGN_OUT)
        assert (response.status_code, response["Location"]) == (302, SIGN_IN)
        assert not is_signed_in(employee_client)
        assert not Session.objects.exists()

    def test_by_get_it_does_not(self, employee_client: Client) -> None:
        assert employee_client.get(SIGN_OUT).status_code == 405
        assert is_signed_in(employee_client)

    def test_after_the_session_ran_out_it_leads_to_the_sign_in_and_on_to_the_clock(
        self, client: Client, employee: User
    ) -> None:
        response = client.post(SIGN_OUT)
        assert (response.status_code, response["Location"]) == (302, SIGN_IN)
        assert client.post(SIGN_OUT, {"next": "https://evil.example"})["Location"] == SIGN_IN
