"""The project's pages, and the bare one that the employee's page is compared with."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from attendance.models import WorkSession
from timerecord.urls import handler400, handler403, handler404, handler500, urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


def bare(request: HttpRequest) -> HttpResponse:
    """Show the user and one row: session, user, one query, through the same middleware."""
    last = WorkSession.objects.filter(user=request.user.pk).order_by("-start_time").first()
    return render(request, "bare_page.html", {"last": last})


urlpatterns = [*urlpatterns, path("bare", bare)]
