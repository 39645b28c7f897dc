from django.urls import include, path

from accounts.account_views import set_language
from accounts.admin_site import tenant_site
from accounts.platform_site import platform_site
from timerecord.core import health

urlpatterns = [
    path("", include("attendance.urls")),
    path("", include("accounts.urls")),
    path("admin/", tenant_site.urls),
    path("platform/", platform_site.urls),
    path("language", set_language, name="set_language"),
    path(health.ALIVE.removeprefix("/"), health.alive, name="alive"),
    path("readyz", health.ready, name="ready"),
]

handler400 = "timerecord.core.errors.bad_request"
handler403 = "timerecord.core.errors.permission_denied"
handler404 = "timerecord.core.errors.page_not_found"
handler500 = "timerecord.core.errors.server_error"
