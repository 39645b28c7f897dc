"""What model admins are made of, tried on one that has what none of the project's has yet.

The connection is the owner's, whom no policy of PostgreSQL's binds: what is kept apart here, Python keeps
apart.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404
from django.test import RequestFactory

from accounts.admin_site import TenantSite
from accounts.models import Role, RoleCode, ThrottleCounter, User
from tenants import scope
from tenants.admin import RefusedError, ScopedModelAdmin, ScopedRelatedFilter, rows_in_scope
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import MakeUser, connects_as
from timerecord.core.admin import no_default_site

as_owner = connects_as("owner")


class Naive(admin.ModelAdmin):  # type: ignore[type-arg]
    fields = ("max_uses", "created_by")
    list_filter = ("created_by",)

    def get_queryset(self, request: Any) -> Any:
        return RoleCode.objects.in_scope()


class Scoped(ScopedModelAdmin[RoleCode]):
    fields = ("max_uses", "created_by")
    list_filter = ("created_by",)
    allows = frozenset({"add", "change"})

    def store(self, request: Any, row: RoleCode, form: Any, *, is_new: bool) -> None:
        raise RefusedError("not today", "max_uses")


@pytest.fixture
def request_(make_user: MakeUser, tenant: Tenant, other_tenant: Tenant) -> Iterator[Any]:
    """A request of the tenant's admin, in the site's scope; there is one more person in each tenant."""
    user = make_user(role=Role.TENANT_ADMIN, last_name="管理", first_name="者")
    make_user(last_name="此処", first_name="人")
    make_user(last_name="他所", first_name="人", tenant=other_tenant)
    request = RequestFactory().get("/")
    request.user = user
    with scope.enter(Scope(reach=Reach.TENANT, door=Door.ADMIN, tenant=tenant.pk, user=user.pk)):
        yield request


def offered(model_admin: Any, request: Any) -> tuple[list[str], list[str]]:
    """Return what the drop-down and the filter of the model admin offer."""
    request.user.has_perm = lambda *_: True
    field = model_admin.get_form(request).base_fields["created_by"]
    spec = model_admin.get_changelist_instance(request).filter_specs[0]
    return [str(user) for user in field.queryset], [name for _value, name in spec.lookup_choices]


def test_what_django_offers_by_itself_is_everybody(request_: Any) -> None:
    """A list that is cut down is not enough: so there is something to keep apart."""
    for names in offered(Naive(RoleCode, TenantSite("naive")), request_):
        assert "他所 人" in names


def test_a_drop_down_and_a_filter_offer_the_tenants_people(request_: Any) -> None:
    for names in offered(Scoped(RoleCode, TenantSite("scoped")), request_):
        assert sorted(names) == ["此処 人", "管理 者"]


def test_a_form_takes_nobody_of_another_tenant(request_: Any, tenant: Tenant) -> None:
    form_class = Scoped(RoleCode, TenantSite("scoped")).get_form(request_)
    here, there = (User._base_manager.get(last_name=name) for name in ("此処", "他所"))
    assert form_class({"created_by": here.pk}).is_valid()
    assert list(form_class({"created_by": there.pk}).errors) == ["created_by"]


def test_a_row_of_another_tenant_is_not_there(request_: Any, tenant: Tenant, other_tenant: Tenant) -> None:
    model_admin = Scoped(RoleCode, TenantSite("scoped"))
    here = RoleCode.objects.create(tenant=tenant, code="A" * 16)
    there = RoleCode.objects.create(tenant=other_tenant, code="B" * 16)
    assert model_admin.row_of(request_, str(here.pk)) == here
    for missing in (str(there.pk), "0", "x"):
        with pytest.raises(Http404):
            model_admin.row_of(request_, missing)


def test_a_filter_asks_for_a_row_and_for_nothing_of_it(request_: Any) -> None:
    """Else a filter by people would let somebody guess at their passwords' hashes."""
    model_admin = Scoped(RoleCode, TenantSite("scoped"))
    for lookup in ("created_by", "created_by__exact", "created_by__id__exact", "created_by__isnull"):
        assert model_admin.lookup_allowed(lookup, "1", request_)
    for lookup in (
        "created_by__password__startswith",
        "created_by__tenant__name",
        "created_by__id__gte",
        "code",
    ):
        assert not model_admin.lookup_allowed(lookup, "1", request_)


@pytest.mark.parametrize(
    "options",
    [
        {"raw_id_fields": ("created_by",)},
        {"list_editable": ("max_uses",), "list_display": ("code", "max_uses")},
        {"list_filter": ("created_by__status",)},
        {"list_filter": (("created_by", admin.RelatedFieldListFilter),)},
        {"list_filter": (("created_by", admin.RelatedOnlyFieldListFilter),)},
        {"inlines": (type("Inline", (admin.TabularInline,), {"model": User}),)},
    ],
    ids=str,
)
def test_what_goes_around_the_scope_is_refused_at_the_start(options: dict[str, Any]) -> None:
    class Careless(ScopedModelAdmin[RoleCode]):
        pass

    for name, value in options.items():
        setattr(Careless, name, value)
    found = Careless(RoleCode, TenantSite("careless")).check()
    assert "tenants.E001" in {error.id for error in found}


def test_what_is_scoped_is_not_refused() -> None:
    Scoped.list_filter = ("created_by", ("created_by", ScopedRelatedFilter), "is_disabled")  # type: ignore[assignment]
    try:
        assert Scoped(RoleCode, TenantSite("scoped")).check() == []
    finally:
        Scoped.list_filter = ("created_by",)


def test_a_model_that_knows_no_scope_has_no_model_admin_here() -> None:
    with pytest.raises(ImproperlyConfigured):
        rows_in_scope(ThrottleCounter)


def test_there_is_no_site_to_register_with_by_mistake() -> None:
    with pytest.raises(ImproperlyConfigured):
        no_default_site()
    with pytest.raises(ImproperlyConfigured):
        admin.site.register(RoleCode)
