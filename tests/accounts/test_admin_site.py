"""Who gets to the tenant admin's site, and what it says to everybody else."""

import pytest
from django.test import Client

from accounts.models import Role, User
from tenants.models import Tenant, TenantStatus
from tests.conftest import MakeUser
from tests.html import Page, ja, text_of


def test_somebody_unknown_signs_in_on_the_ordinary_page_and_comes_back(tenant_admin: User) -> None:
    client = Client()
    wanted = "/admin/accounts/user/?q=x"
    response = client.get(wanted)
    assert response["Location"] == "/sign-in?next=/admin/accounts/user/%3Fq%3Dx"
    signed_in = client.post(
        response["Location"],
        {"email": tenant_admin.email, "password": "a long enough passphrase", "next": wanted},
    )
    assert signed_in["Location"] == wanted
    assert client.get(wanted).status_code == 200


@pytest.mark.parametrize(
    "fields", [{}, {"role": Role.PLATFORM_ADMIN}, {"role": Role.PLATFORM_ADMIN, "tenant": None}]
)
@pytest.mark.parametrize("path", ["/admin/", "/admin/accounts/user/", "/admin/accounts/user/1/change/"])
def test_everybody_else_is_told_so_and_led_home(
    make_user: MakeUser, fields: dict[str, object], path: str
) -> None:
    client = Client()
    client.force_login(make_user(**fields))
    response = client.get(path)
    assert response.status_code == 403
    page = Page(response)
    assert page.heading == ja("This page is not for you")
    assert [link.get("href") for link in page.all(".//main//a")] == ["/"]


def test_an_admin_without_tenant_has_none_to_look_after(make_user: MakeUser) -> None:
    client = Client()
    client.force_login(make_user(role=Role.TENANT_ADMIN, tenant=None))
    assert client.get("/admin/").status_code == 403
    assert "/admin/" not in client.get("/").content.decode()


def test_a_first_password_is_changed_before_anything_else(make_user: MakeUser) -> None:
    client = Client()
    client.force_login(make_user(role=Role.TENANT_ADMIN, must_change_password=True))
    assert client.get("/admin/")["Location"] == "/password/change?next=/admin/"
    assert client.post("/admin/accounts/rolecode/add/")["Location"] == "/password/change"


def test_when_the_tenant_is_suspended_so_is_its_site(desk: Client, tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(status=TenantStatus.SUSPENDED)
    assert desk.get("/admin/")["Location"] == "/sign-in?next=/admin/"


def test_the_way_there_and_back(desk: Client, employee_client: Client) -> None:
    assert "/admin/" in desk.get("/").content.decode()
    assert "/admin/" not in employee_client.get("/").content.decode()
    page = Page(desk.get("/admin/"))
    addresses = [link.get("href") for link in page.all(".//a")]
    assert {"/", "/account", "/admin/accounts/user/", "/admin/accounts/rolecode/"} <= set(addresses)
    assert page.text(".//p[@class='tenant']") == "青空商店"


def test_the_navigation_tells_where_one_is(desk: Client, employee: User) -> None:
    for path, name in {
        "/admin/": "今月",
        "/admin/accounts/user/": "従業員",
        f"/admin/accounts/user/{employee.pk}/history/": "従業員",
        "/admin/accounts/rolecode/add/": "ロールコード",
    }.items():
        page = Page(desk.get(path))
        here = [text_of(a) for a in page.all(".//nav//a[@aria-current='page']")]
        assert here == [name]


def test_without_a_slash_it_is_found_too(desk: Client) -> None:
    assert desk.get("/admin")["Location"] == "/admin/"


def test_nothing_of_it_is_kept_in_a_cache(desk: Client) -> None:
    for path in ("/admin/", "/admin/accounts/user/", "/admin/jsi18n/"):
        assert "no-store" in desk.get(path)["Cache-Control"]
