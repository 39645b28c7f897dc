import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import ProtectedError

from accounts.models import PasswordReset, Role, RoleCode, User, UserStatus
from accounts.querysets import normalise_email
from tenants.models import Tenant, TenantStatus
from tests.conftest import MakeSession, MakeUser, japan

NOW = japan("2026-11-20 12:00")


class TestNames:
    @pytest.mark.parametrize(
        ("last_name", "first_name", "shown"),
        [
            ("佐藤", "花子", "佐藤 花子"),
            ("佐藤 ", "　花子", "佐藤 花子"),
            ("佐藤", None, "佐藤"),
            (None, "花子", "花子"),
            ("", "  ", "hanako"),
            (None, None, "hanako"),
        ],
    )
    def test_family_name_first_else_the_user_name(
        self, last_name: str | None, first_name: str | None, shown: str
    ) -> None:
        user = User(username="hanako", last_name=last_name, first_name=first_name)
        assert user.display_name == str(user) == shown


class TestUse:
    @pytest.mark.parametrize("user", UserStatus)
    @pytest.mark.parametrize("tenant", [*TenantStatus, None])
    def test_a_user_is_active_if_the_tenant_is_too(
        self, user: UserStatus, tenant: TenantStatus | None
    ) -> None:
        who = User(status=user, tenant=Tenant(status=tenant) if tenant else None)
        assert who.is_active is (user == "active" and tenant in ("active", None))

    def test_only_a_tenants_people_can_punch(self, employee: User, make_user: MakeUser) -> None:
        assert employee.can_punch
        assert not make_user(tenant=None).can_punch

    def test_the_zone_is_the_tenants_or_japans(self) -> None:
        assert User(tenant=Tenant(time_zone="America/New_York")).zone.key == "America/New_York"
        assert User(tenant=Tenant()).zone.key == "Asia/Tokyo"
        assert User(tenant=None).zone.key == "Asia/Tokyo"

    def test_a_lock_ends_at_its_moment(self) -> None:
        user = User(locked_until=NOW)
        assert user.is_locked(NOW - dt.timedelta(microseconds=1))
        assert not user.is_locked(NOW)
        assert not User().is_locked(NOW)


class TestManager:
    @pytest.mark.parametrize(
        ("typed", "stored"),
        [
            ("Hanako@Example.COM", "hanako@example.com"),
            (" \ufeffHANAKO@example.com\u3000", "hanako@example.com"),
            ("hana\ufeffko@example.com", "hanako@example.com"),
            ("ＨＡＮＡＫＯ@example.com", "ｈａｎａｋｏ@example.com"),
            ("", ""),
        ],
    )
    def test_the_stored_form_of_an_address(self, typed: str, stored: str) -> None:
        assert normalise_email(typed) == stored
        assert normalise_email(stored) == stored

    def test_a_new_user(self, tenant: Tenant) -> None:
        made = User.objects.create_user(email=" New@Example.com", password="secret words", tenant=tenant)
        user = User.objects.get()
        assert user == made
        assert (user.email, user.username, user.tenant) == ("new@example.com", "new@example.com", tenant)
        assert (user.role, user.status, user.must_change_password) == ("employee", "active", False)
        assert (user.failed_attempts, user.locked_until) == (0, None)
        assert user.check_password("secret words")

    def test_a_user_name_can_be_shared(self, make_user: MakeUser) -> None:
        make_user(username="hanako")
        make_user(username="hanako")
        assert User.objects.filter(username="hanako").count() == 2

    def test_the_natural_key_is_the_address(self, employee: User) -> None:
        assert User.objects.get_by_natural_key(f" {employee.email.upper()}") == employee
        assert employee.natural_key() == (employee.email,)
        with pytest.raises(User.DoesNotExist):
            User.objects.get_by_natural_key(None)


class TestDeletion:
    def test_who_has_work_sessions_stays(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-20 09:00", "2026-11-20 10:00")
        with pytest.raises(ProtectedError):
            employee.delete()
        with pytest.raises(ProtectedError):
            User.objects.all().delete()
        assert User.objects.get() == employee

    def test_who_has_none_goes_with_the_reset_links(self, employee: User, tenant: Tenant) -> None:
        PasswordReset.objects.create(user=employee, token="0" * 64, expires_at=NOW)
        code = RoleCode.objects.create(tenant=tenant, code="ABCDEFGH23456789", created_by=employee)
        employee.delete()
        assert not PasswordReset.objects.exists()
        code.refresh_from_db()
        assert code.created_by is None

    def test_a_tenants_people_outlive_it_its_codes_do_not(
        self, employee: User, tenant: Tenant, make_session: MakeSession
    ) -> None:
        running = make_session("2026-11-20 09:00")
        RoleCode.objects.create(tenant=tenant, code="ABCDEFGH23456789")
        tenant.delete()
        employee.refresh_from_db()
        assert employee.tenant is None
        assert not RoleCode.objects.exists()
        running.refresh_from_db()
        assert running.is_running


class TestForms:
    """What a form says before the database would."""

    def test_an_address_in_use(self, employee: User) -> None:
        twice = User(email=employee.email, username="x", password="x")
        with pytest.raises(ValidationError) as refused:
            twice.full_clean()
        assert list(refused.value.message_dict) == ["email"]

    def test_a_bad_role_code(self, tenant: Tenant) -> None:
        with pytest.raises(ValidationError):
            RoleCode(tenant=tenant, code="ABCDEFGHIJKLMNOP").full_clean()
        RoleCode(tenant=tenant, code="ABCDEFGH23456789").full_clean()

    def test_an_unknown_role(self, employee: User) -> None:
        employee.role = "superuser"
        with pytest.raises(ValidationError):
            employee.full_clean()
        assert [role.value for role in Role] == ["platform_admin", "tenant_admin", "employee"]


def test_the_database_fills_in_what_sql_leaves_out(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO users (username, email, password_hash) VALUES ('x', 'x@example.com', '!') "
            "RETURNING role, status, must_change_password, failed_attempts, "
            "abs(extract(epoch FROM created_at - now())) < 60"
        )
        assert cursor.fetchone() == ("employee", "active", False, 0, True)


def test_a_reset_link_is_shown_without_its_token() -> None:
    assert str(PasswordReset(user_id=7, token="f" * 64, created_at=NOW)) == "7 2026-11-20 12:00"
