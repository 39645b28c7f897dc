import zoneinfo

import pytest
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from accounts.middleware import TenantTimeZoneMiddleware
from accounts.models import User
from tenants.models import Tenant

NEW_YORK = "America/New_York"


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(timezone.get_current_timezone_name())


def answer(user: object, of: object = view) -> str:
    """Pass a request through the middleware as Django's handler does."""

    def get_response(request: HttpRequest) -> HttpResponse:
        middleware.process_view(request, of)  # type: ignore[arg-type]
        return view(request)

    middleware = TenantTimeZoneMiddleware(get_response)
    request = RequestFactory().get("/")
    request.user = user  # type: ignore[assignment]
    return middleware(request).content.decode()


@pytest.mark.parametrize("name", ["Asia/Tokyo", NEW_YORK, "UTC"])
def test_a_page_is_in_the_zone_of_the_tenant(name: str) -> None:
    assert answer(User(tenant=Tenant(time_zone=name))) == name
    assert answer(SimpleLazyObject(lambda: User(tenant=Tenant(time_zone=name)))) == name
    assert timezone.get_current_timezone_name() == "UTC"


def test_without_a_tenant_in_japans() -> None:
    assert answer(User()) == "Asia/Tokyo"


def test_a_stranger_has_none() -> None:
    assert answer(AnonymousUser()) == "UTC"


def test_a_page_open_to_anybody_does_not_load_the_user() -> None:
    def load() -> User:
        raise AssertionError("loaded")

    assert answer(SimpleLazyObject(load), login_not_required(view)) == "UTC"


def test_a_zone_that_was_left_behind_ends_with_the_request() -> None:
    timezone.activate(zoneinfo.ZoneInfo(NEW_YORK))
    answer(AnonymousUser())
    assert timezone.get_current_timezone_name() == "UTC"


def test_an_error_leaves_none_behind_either() -> None:
    def fail(request: HttpRequest) -> HttpResponse:
        timezone.activate(zoneinfo.ZoneInfo(NEW_YORK))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        TenantTimeZoneMiddleware(fail)(RequestFactory().get("/"))
    assert timezone.get_current_timezone_name() == "UTC"
