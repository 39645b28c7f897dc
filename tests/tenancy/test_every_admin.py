"""Every model admin of every site says in protection.ADMINS what it shows, and keeps to it.

Its pages, each asked for by everybody, are among the URLs of test_every_url.py. Here a tenant's admin tries
what else an admin offers to reach rows of another tenant. test_first_barrier.py does so without row-level
security.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.sites import AdminSite, all_sites
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.forms import ModelChoiceField
from django.urls import reverse

from accounts.models import User
from attendance.models import WorkSession
from tenants import scope
from tenants.admin import ScopedModelAdmin
from tests.tenancy.office import Office
from tests.tenancy.protection import ADMINS, Admin


@dataclasses.dataclass(frozen=True)
class Site:
    """As much of an AdminSite as is looked at here."""

    name: str
    _registry: dict[type[models.Model], Any]


def complaints(sites: Iterable[AdminSite | Site]) -> list[str]:
    """Return a line for each model admin without an entry, and for each entry without a model admin."""
    there = {f"{site.name}:{model._meta.label}" for site in sites for model in site._registry}
    return [
        *(f"{name}: say in tests/tenancy/protection.py whose rows" for name in sorted(there - set(ADMINS))),
        *(f"{name}: there is no such model admin any more" for name in sorted(set(ADMINS) - there)),
    ]


def test_every_model_admin_says_whose_rows_it_shows() -> None:
    assert complaints(all_sites) == []


def test_one_that_is_added_or_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(ADMINS):
        monkeypatch.delitem(ADMINS, name)
    entry = Admin(rows=lambda _world, _tenant: [])
    monkeypatch.setitem(ADMINS, "office:accounts.User", entry)
    monkeypatch.setitem(ADMINS, "office:tenants.Tenant", entry)
    sites = [Site("office", {User: object(), WorkSession: object()}), Site("second", {User: object()})]
    assert complaints(sites) == [
        "office:attendance.WorkSession: say in tests/tenancy/protection.py whose rows",
        "second:accounts.User: say in tests/tenancy/protection.py whose rows",
        "office:tenants.Tenant: there is no such model admin any more",
    ]


def test_every_model_admin_is_built_on_the_scope() -> None:
    for site in all_sites:
        for model_admin in site._registry.values():
            assert isinstance(model_admin, ScopedModelAdmin), model_admin


def test_django_keeps_no_log_of_its_own(db: None) -> None:
    """Names of rows, in a table without a tenant. Nor is there a model that something could write to."""
    assert "django_admin_log" not in connection.introspection.table_names()
    assert [model for model in apps.get_models() if model._meta.app_label == "admin"] == []


def test_the_list_has_the_rows_of_the_tenant_and_no_others(office: Office) -> None:
    assert office.mine
    assert office.theirs
    assert office.listed() == office.mine


def test_a_search_finds_nothing_of_others(office: Office) -> None:
    if not office.model_admin.search_fields:
        assert office.listed(q="q") == office.mine
        return
    assert office.listed(q="q")  # which is in every mark
    for mark in office.foreign_marks:
        assert office.listed(q=mark) == set()


def test_a_filter_offers_and_finds_nothing_of_others(office: Office) -> None:
    model = office.model_admin.model
    for entry in office.model_admin.get_list_filter(office.request()):
        if isinstance(entry, tuple):
            related = model._meta.get_field(entry[0]).related_model
            for person in office.world.people.values():
                value = person.user.pk if related is User else 1
                assert office.listed(**{f"{entry[0]}__id__exact": value}) <= office.mine
        elif isinstance(entry, str):
            assert office.listed(**{f"{entry}__isnull": 0}) <= office.mine
        else:
            for value in (*dict(entry.values), "of-nothing"):
                assert office.listed(**{entry.parameter_name: value}) <= office.mine


def test_no_address_asks_for_more_than_the_list_offers(office: Office) -> None:
    """Else somebody could guess a password's hash, or another tenant's name, letter by letter."""
    offered = {entry[0] if isinstance(entry, tuple) else entry for entry in office.model_admin.list_filter}
    offered |= {getattr(entry, "parameter_name", "") for entry in offered}
    for field in office.model_admin.model._meta.get_fields():
        if field.name in offered or field.name == office.model_admin.date_hierarchy:
            continue
        for lookup in ("", "__startswith", "__id__gte", "__isnull"):
            assert office.get(**{f"{field.name}{lookup}": "1"}).status_code == 400, (field.name, lookup)


@pytest.mark.parametrize(
    "parameters", [{"_to_field": "password"}, {"_to_field": "tenant_id"}, {"_popup": "1"}]
)
def test_neither_another_column_nor_a_window_of_its_own(office: Office, parameters: dict[str, str]) -> None:
    row = min(office.mine)
    page = f"{office.model_admin.url('changelist')}{row}/change/"
    assert office.get(**parameters).status_code in (400, 404)
    assert office.client.get(page, parameters).status_code in (400, 404)
    assert office.client.post(page, parameters).status_code in (400, 404)


def test_an_action_on_rows_of_others_does_nothing(office: Office) -> None:
    with scope.enter(office.world.people[office.visitor].admin):
        actions = office.model_admin.get_actions(office.request())
    before = snapshot(office)
    for action in actions:
        for across in ("0", "1"):
            data = {
                "action": action,
                "index": "0",
                "select_across": across,
                ACTION_CHECKBOX_NAME: sorted(office.theirs),
            }
            response = office.client.post(office.model_admin.url("changelist"), data)
            assert response.status_code in (200, 302, 303)
    assert snapshot(office) == before


def snapshot(office: Office) -> list[dict[str, Any]]:
    rows = office.model_admin.model._base_manager.filter(pk__in=office.theirs).order_by("pk")
    return list(rows.values())


def test_a_form_offers_and_takes_no_row_of_others(office: Office) -> None:
    """What its foreign keys offer is what a form that was sent may name."""
    visitor = office.world.people[office.visitor]
    with scope.enter(visitor.admin):
        form = office.model_admin.get_form(office.request())
        for field in form.base_fields.values():
            if isinstance(field, ModelChoiceField):
                assert field.queryset is not None
                related = field.queryset.model
                assert related is User, "say here which rows of another model are this tenant's"
                here = set(User.objects.filter(tenant=visitor.user.tenant).values_list("pk", flat=True))
                assert set(field.queryset.values_list("pk", flat=True)) <= here


def test_autocomplete_finds_no_row_of_others(office: Office) -> None:
    """Asked for each foreign key of each model, whether a form has it or not."""
    url = reverse(f"{office.model_admin.admin_site.name}:autocomplete")
    for model in apps.get_models():
        for field in model._meta.get_fields():
            label = {"app_label": model._meta.app_label, "model_name": str(model._meta.model_name)}
            response = office.client.get(url, {**label, "field_name": field.name, "term": ""})
            assert response.status_code in (200, 403, 404)
            text = response.content.decode()
            assert {mark for mark in office.foreign_marks if mark in text} == set()


def test_no_address_tells_where_a_row_is_shown(office: Office) -> None:
    for model in (User, office.model_admin.model):
        kind = ContentType.objects.get_for_model(model)
        for pk in office.mine | office.theirs:
            assert office.client.get(f"/admin/r/{kind.pk}/{pk}/").status_code == 404


@pytest.mark.parametrize("path", ["login/", "logout/", "password_change/", "accounts/", "auth/group/"])
def test_what_django_would_have_is_not_there(office: Office, path: str) -> None:
    assert office.client.get(f"/admin/{path}").status_code == 404
