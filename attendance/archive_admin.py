"""For a tenant's admins: the archive as one file, and the end of looks into their records from outside."""

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts import support
from accounts.admin_site import tenant_of, tenant_site
from accounts.models import SupportAccess
from attendance import archives
from tenants.admin import SEE_OTHER
from timerecord.core import clock


@tenant_site.page("archive.zip", name="archive")
@require_safe
def tenant_archive(request: HttpRequest) -> FileResponse:
    """Return the tenant's people, work sessions and history; for what is not in it see `archives`."""
    export, facts = archives.archive(tenant_of(request), clock.now())
    support.record("export.archive", file=export.name, **facts)
    return export.response()


@tenant_site.page("support/<int:access_id>/end/", name="support_end")
@require_POST
def end_access(request: HttpRequest, access_id: int) -> HttpResponse:
    """End a platform admin's access to the tenant's records."""
    access = get_object_or_404(SupportAccess.objects.in_scope(), pk=access_id)
    if support.end(access):
        messages.success(request, _("The operator's access to your records is ended."))
    else:
        messages.info(request, _("The access was over already."))
    return HttpResponseRedirect(reverse("admin:index"), status=SEE_OTHER)
