"""What was done in a tenant, in the tenant admin's site."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts import trail
from accounts.admin_site import tenant_of, tenant_site
from accounts.trail import Kind, Place


@tenant_site.page("audit/", name="audit", label=_("Audit trail"), order=90)
@require_safe
def audit_page(request: HttpRequest) -> HttpResponse:
    """Show who did what, the newest first. What the address says and nobody knows is passed over."""
    # PostgreSQL has no text with a null character in it.
    search, chosen = request.GET.get("q", "").replace("\0", "").strip(), request.GET.get("kind", "")
    kind = Kind(chosen) if chosen in Kind else None
    before = Place.read(request.GET.get("before", ""))
    page = trail.trail_page(tenant_of(request), search=search, kind=kind, before=before)
    narrowed = {name: value for name, value in (("q", search), ("kind", kind or "")) if value}
    context: dict[str, Any] = {
        "title": _("Audit trail"),
        "page": page,
        "search": search,
        "kind": kind,
        "kinds": Kind,
        "is_narrowed": bool(narrowed),
        "newest": f"?{urlencode(narrowed)}" if before else "",
        "older": f"?{urlencode({**narrowed, 'before': str(page.older)})}" if page.older else "",
    }
    return tenant_site.render(request, "admin/accounts/audit.html", context)
