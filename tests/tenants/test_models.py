import re

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from tenants.models import Tenant, TenantStatus, new_tenant_uid, validate_time_zone


def test_a_new_tenant(db: None) -> None:
    tenant = Tenant.objects.create(name="青空商店")
    tenant.refresh_from_db()
    assert (tenant.time_zone, tenant.status, tenant.contact_email) == ("Asia/Tokyo", "active", None)
    assert re.fullmatch(r"ten_[0-9a-f]{12}", tenant.tenant_uid)


def test_uids_differ() -> None:
    assert len({new_tenant_uid() for _ in range(100)}) == 100


def test_a_uid_is_given_once(db: None) -> None:
    Tenant.objects.create(tenant_uid="ten_0123456789ab")
    with pytest.raises(IntegrityError, match="tenants_tenant_uid_key"), transaction.atomic():
        Tenant.objects.create(tenant_uid="ten_0123456789ab")


def test_the_database_fills_in_what_sql_leaves_out(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenants (tenant_uid) VALUES ('x') "
            "RETURNING name, contact_email, time_zone, status, "
            "abs(extract(epoch FROM created_at - now())) < 60"
        )
        assert cursor.fetchone() == (None, None, "Asia/Tokyo", "active", True)


def test_its_name_or_else_its_uid_is_shown() -> None:
    assert str(Tenant(name="青空商店", tenant_uid="ten_1")) == "青空商店"
    assert str(Tenant(name=None, tenant_uid="ten_1")) == "ten_1"
    assert str(Tenant(name="", tenant_uid="ten_1")) == "ten_1"


def test_its_zone() -> None:
    assert Tenant().zone.key == "Asia/Tokyo"
    assert Tenant(time_zone="America/New_York").zone.key == "America/New_York"


@pytest.mark.parametrize(("status", "is_active"), [("active", True), ("suspended", False)])
def test_whether_its_people_may_sign_in(status: str, is_active: bool) -> None:
    assert Tenant(status=TenantStatus(status)).is_active is is_active


@pytest.mark.parametrize("name", ["Asia/Tokyo", "America/New_York", "UTC", "Pacific/Apia"])
def test_a_zone_that_there_is(name: str) -> None:
    Tenant(time_zone=name).clean_fields()


@pytest.mark.parametrize("name", ["", "asia/tokyo", "Asia/Edo", "JST", "../../etc/passwd", "UTC+9"])
def test_a_zone_that_there_is_not(name: str) -> None:
    with pytest.raises(ValidationError):
        validate_time_zone(name)
    with pytest.raises(ValidationError) as refused:
        Tenant(time_zone=name).clean_fields()
    assert list(refused.value.message_dict) == ["time_zone"]
