"""How a tenant's admin makes role codes, hands them out, and disables them."""

import datetime as dt
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts import codes
from accounts.models import RoleCode, User
from tenants.models import Tenant
from tests.accounts.test_people_admin import errors, rows
from tests.conftest import japan
from tests.html import Page, ja, text_of
from timerecord.core import clock

LIST, ADD = "/admin/accounts/rolecode/", "/admin/accounts/rolecode/add/"
CODE = "ABCDEFGH23456789"


@pytest.fixture
def code(tenant: Tenant) -> RoleCode:
    return RoleCode.objects.create(tenant=tenant, code=CODE)


def page_of(code: RoleCode, name: str = "change/") -> str:
    return f"{LIST}{code.pk}/{name}"


def test_making_one(desk: Client, tenant: Tenant, tenant_admin: User, settings: Settings) -> None:
    settings.APP_BASE_URL = "https://clock.example"
    with time_machine.travel(japan("2026-11-20 12:00"), tick=False):
        page = Page(desk.post(ADD, {"last_day": "2026-11-30", "max_uses": "3"}, follow=True))
    made = RoleCode.objects.get()
    assert (made.tenant, made.created_by, made.max_uses) == (tenant, tenant_admin, 3)
    assert made.expires_at == japan("2026-12-01 00:00")
    assert re.fullmatch("[A-HJ-NP-Z2-9]{16}", made.code)
    assert page.heading == codes.grouped(made.code)
    assert page.text(".//dd[@id='link']") == f"https://clock.example/register?code={made.code}"
    assert "2026年11月30日" in page.html
    registers = Client().get(f"/register?code={made.code}")
    assert made.code in registers.content.decode()


def test_codes_differ_and_use_all_of_their_alphabet(tenant: Tenant, tenant_admin: User) -> None:
    made = [codes.create(tenant, tenant_admin, expires_at=None, max_uses=None).code for _ in range(100)]
    assert len(set(made)) == 100
    assert set("".join(made)) == set(codes.ALPHABET)


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"last_day": "2026-11-19"}, "last_day"),
        ({"last_day": "2030-01-01"}, "last_day"),
        ({"last_day": "tomorrow"}, "last_day"),
        ({"max_uses": "0"}, "max_uses"),
        ({"max_uses": "-1"}, "max_uses"),
        ({"max_uses": "10001"}, "max_uses"),
    ],
)
def test_what_makes_no_sense_is_said_at_its_field(desk: Client, given: dict[str, str], at: str) -> None:
    with time_machine.travel(japan("2026-11-20 23:59"), tick=False):
        assert list(errors(desk.post(ADD, given))) == [at, ""]
    assert not RoleCode.objects.exists()


def test_the_last_day_is_the_tenants(desk: Client, tenant: Tenant) -> None:
    """In New York it is still the day before, and that day ends five hours later than in London."""
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="America/New_York")
    with time_machine.travel(japan("2026-11-20 12:00"), tick=False):
        desk.post(ADD, {"last_day": "2026-11-19"})
    assert RoleCode.objects.get().expires_at == dt.datetime(2026, 11, 20, 5, tzinfo=dt.UTC)


def test_the_list_tells_the_state_of_each(desk: Client, tenant: Tenant) -> None:
    given: dict[str, dict[str, Any]] = {
        "A": {},
        "B": {"expires_at": clock.now() - dt.timedelta(seconds=1)},
        "C": {"max_uses": 2, "usage_count": 2},
        "D": {"is_disabled": True, "max_uses": 2, "usage_count": 2},
        "E": {"max_uses": 2, "usage_count": 1, "expires_at": clock.now() + dt.timedelta(days=1)},
    }
    for letter, fields in given.items():
        RoleCode.objects.create(tenant=tenant, code=letter * 16, **fields)
    assert {row[0][0]: row[1:3] for row in rows(desk.get(LIST))} == {
        "A": ["有効", "0名"],
        "B": ["期限切れ", "0名"],
        "C": ["上限到達", "2名中2名"],
        "D": ["無効", "2名中2名"],
        "E": ["有効", "2名中1名"],
    }
    assert [row[0][0] for row in rows(desk.get(f"{LIST}?state=active"))] == ["E", "A"]


def test_an_empty_list_says_what_to_do(desk: Client) -> None:
    assert "ロールコードはまだありません" in desk.get(LIST).content.decode()


def test_the_list_costs_the_same_with_three_and_with_three_hundred(
    desk: Client, tenant: Tenant, tenant_admin: User
) -> None:
    counts = []
    for many in (3, 297):
        for _ in range(many):
            codes.create(tenant, tenant_admin, expires_at=None, max_uses=None)
        with CaptureQueriesContext(connection) as queries:
            assert len(rows(desk.get(f"{LIST}?all="))) == RoleCode.objects.count()
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_disabled_one_lets_nobody_register_and_is_not_handed_out(desk: Client, code: RoleCode) -> None:
    page = Page(desk.post(page_of(code, "disable/"), follow=True))
    assert page.messages == [ja("The code %(code)s is disabled.", code="ABCD-EFGH-2345-6789")]
    assert page.notes[-1] == ja("Nobody can register with this code any more.")
    assert page.root.find(".//dd[@id='link']") is None
    code.refresh_from_db()
    assert code.is_disabled
    again = Page(desk.post(page_of(code, "disable/"), follow=True))
    assert again.messages == [ja("There is nothing to be done about this any more.")]


def test_it_cannot_be_changed_otherwise(desk: Client, code: RoleCode) -> None:
    assert desk.post(page_of(code), {"max_uses": 5}).status_code == 403


def test_its_history(desk: Client, code: RoleCode) -> None:
    desk.post(page_of(code, "disable/"))
    page = Page(desk.get(page_of(code, "history/")))
    lines = [text_of(line) for line in page.all(".//ol[@class='history']/li/ul/li")]
    assert lines == [ja("Disabled."), ja("The code was made.")]


def test_the_picture(desk: Client, code: RoleCode, settings: Settings) -> None:
    settings.APP_BASE_URL = "https://clock.example"
    svg, png = desk.get(page_of(code, "qr.svg")), desk.get(page_of(code, "qr.png?save"))
    assert (svg["Content-Type"], png["Content-Type"]) == ("image/svg+xml", "image/png")
    assert svg["Content-Disposition"].startswith("inline")
    assert png["Content-Disposition"] == 'attachment; filename="ABCD-EFGH-2345-6789.png"'
    assert png.content.startswith(b"\x89PNG")
    assert ET.fromstring(svg.content.decode()).tag.endswith("svg")


def test_the_sheet_to_print(desk: Client, code: RoleCode) -> None:
    page = Page(desk.get(page_of(code, "print/")))
    sheet = text_of(page.root.find(".//section[@aria-labelledby='sheet']"))
    for told in ("青空商店", "ABCD-EFGH-2345-6789", f"/register?code={CODE}"):
        assert told in sheet
