from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts.models import User


class TenantTimeZoneMiddleware:
    """Shows every time on a signed-in person's page in the zone of their tenant.

    Views that are open to anybody do not load the user for it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Leave no zone behind for the next request of the thread."""
        try:
            return self.get_response(request)
        finally:
            timezone.deactivate()

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], *_: Any, **__: Any
    ) -> None:
        """Activate the zone before a view that asks for a signed-in person."""
        if getattr(view, "login_required", True) and isinstance(request.user, User):
            timezone.activate(request.user.zone)
