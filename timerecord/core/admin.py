"""What every admin site here has in common: the ordinary sign-in, pages of its own, no log of Django's."""

import dataclasses
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from django.contrib import admin
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import URLPattern, URLResolver, include, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    Text = StrOrPromise
else:
    Text = str  # or translated when it is shown

View = Callable[..., Any]


def no_default_site() -> NoReturn:
    """Stand where Django's own site would be made: ImproperlyConfigured."""
    raise ImproperlyConfigured(
        "Register with a site of the project, such as accounts.admin_site.tenant_site."
    )


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of a site that is no list of rows. Without a label the navigation leaves it out."""

    path: str
    view: View
    name: str
    label: Text = ""
    order: int = 50


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the navigation leads to, and whether the page that is open belongs to it."""

    label: Text
    url: str
    is_here: bool


class Site(admin.AdminSite):
    """An admin site for people who signed in on the ordinary page; it has no such page of its own.

    A subclass says who may (`has_permission`), and whose rows its views reach (`entered`).
    """

    final_catch_all_view = False
    enable_nav_sidebar = False
    site_title = site_header = _("Administration")
    index_title = _("Overview")
    empty_value_display = "–"
    # Which addresses below the front page's belong to it, in the navigation.
    front_page_has: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # Nothing is deleted unless a model admin says how.
        self.disable_action("delete_selected")
        self._pages: dict[str, Page] = {}

    # --- what a subclass says -------------------------------------------------------------------------

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the signed-in person may use the site."""
        raise NotImplementedError

    def entered(self) -> AbstractContextManager[object]:
        """Return the scope in which the site's views run."""
        raise NotImplementedError

    # --- pages ----------------------------------------------------------------------------------------

    def page(self, path: str, *, name: str, label: Text = "", order: int = 50) -> Callable[[View], View]:
        """Add a view to the site, below its address; with a label, to its navigation as well, by order.

        The view runs like all of the site's: for those who may, in the site's scope. With the path "" and
        the name "index" it takes the place of the front page. To be called while admin.py is imported.
        """

        def add(view: View) -> View:
            self._pages[name] = Page(path, view, name, label, order)
            return view

        return add

    def render(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        """Return a page of the site. `title` in the context is its heading."""
        return TemplateResponse(request, template, {**self.each_context(request), **context})

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Wrap a view of the site: 403 unless one may, then the site's scope, also while it is rendered."""

        @never_cache
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not self.has_permission(request):
                raise PermissionDenied
            if IS_POPUP_VAR in request.GET or IS_POPUP_VAR in request.POST:
                raise Http404  # Django's pages in little windows, which nothing here opens
            request.current_app = self.name
            with self.entered():
                response: HttpResponse = view(request, *args, **kwargs)
                # Otherwise it would be rendered later, and lists are read while that is done.
                if isinstance(response, SimpleTemplateResponse):
                    response.render()
            return response

        return guarded

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Return the site's addresses: the front page, the pages, the lists of rows.

        None of Django's to sign in or out or to change a password, nor `r/`, which tells addresses of rows.
        """
        pages = {"index": Page("", self.index, "index"), **self._pages}
        return [
            *(path(page.path, self.admin_view(page.view), name=page.name) for page in pages.values()),
            path("autocomplete/", self.admin_view(self.autocomplete_view), name="autocomplete"),
            path("jsi18n/", self.admin_view(self.i18n_javascript), name="jsi18n"),
            *(
                path(f"{model._meta.app_label}/{model._meta.model_name}/", include(model_admin.urls))
                for model, model_admin in self._registry.items()
            ),
        ]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show what there is."""
        context = {"title": self.index_title, **(extra_context or {})}
        return self.render(request, self.index_template or "admin/index.html", context)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what every page of the site is shown with."""
        return {
            "site": self,
            "site_title": self.site_title,
            "site_header": self.site_header,
            "navigation": self.navigation(request),
            "has_permission": True,
            "is_popup": False,
        }

    def navigation(self, request: HttpRequest) -> list[Entry]:
        """Return what the navigation leads to, in order."""
        index = reverse("admin:index", current_app=self.name)
        pages = {"index": Page("", self.index, "index", self.index_title, 0), **self._pages}
        found: list[tuple[int, Text, str]] = [
            (page.order, page.label, reverse(f"admin:{page.name}", current_app=self.name))
            for page in pages.values()
            if page.label
        ]
        for model, model_admin in self._registry.items():
            if model_admin.has_module_permission(request):
                name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
                label = getattr(model_admin, "title", None) or capfirst(model._meta.verbose_name_plural) or ""
                order: int = getattr(model_admin, "order", 50)
                found.append((order, label, reverse(name, current_app=self.name)))
        of_index = tuple(f"{index}{beginning}" for beginning in self.front_page_has)

        def is_here(url: str) -> bool:
            if url == index:
                return request.path == index or request.path.startswith(of_index)
            return request.path.startswith(url)

        return [
            Entry(label, url, is_here(url))
            for _order, label, url in sorted(found, key=lambda entry: entry[0])
        ]

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Search for what a field of a form may name. 403 unless a model admin offers that for the field."""
        asked = f"{request.GET.get('app_label', '')}.{request.GET.get('model_name', '')}"
        for model, model_admin in self._registry.items():
            fields = model_admin.get_autocomplete_fields(request)
            if model._meta.label_lower == asked and request.GET.get("field_name") in fields:
                response: HttpResponse = super().autocomplete_view(request)
                return response
        raise PermissionDenied

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return nothing: people know no apps. `navigation` has what there is."""
        return []

    def get_log_entries(self, request: HttpRequest) -> Any:
        """Return nothing: there is no such log."""
        return []
