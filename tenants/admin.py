"""What model admins are made of, so that none shows or takes rows beyond the scope.

Django asks the model's manager in many places: for the list, for each drop-down, for the choices of a filter,
for what a form that was sent may name. Every one of them goes through `rows_in_scope` here, and what would
get around it is refused when the process starts. docs/adr/0011-admin.md.
"""

import contextlib
import dataclasses
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.filters import RelatedFieldListFilter
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.core.paginator import Paginator
from django.db import models, transaction
from django.db.models.constants import LOOKUP_SEP
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from tenants import scope
from tenants.querysets import ScopedQuerySet
from timerecord.core.admin import Text
from timerecord.core.requests import Note

Row = TypeVar("Row", bound=models.Model)
Permission = Literal["add", "change"]

SEE_OTHER = 303
MAX_REASON_LENGTH = 500
# As in attendance/migrations/sql/history.sql.
INVISIBLE = re.compile(
    r"[\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0]*"
)

if TYPE_CHECKING:
    # To a type checker, Django's class takes the model as a parameter.
    ModelAdmin = admin.ModelAdmin
else:

    class ModelAdmin(admin.ModelAdmin, Generic[Row]):
        """Django's class, which takes no parameter at run time."""


def rows_in_scope(model: type[Row]) -> models.QuerySet[Row]:
    """Return the rows of a model that the scope reaches. ImproperlyConfigured for one that cannot tell."""
    rows = model._default_manager.all()
    if not isinstance(rows, ScopedQuerySet):
        raise ImproperlyConfigured(f"{model._meta.label} has no queryset that knows the scope.")
    return rows.in_scope()


class RefusedError(Exception):
    """A change that is not to be, with the sentence that says why; at a field of the form, if one is named.

    What `store` and `Deed.do` raise for a rule of theirs. Everything that they did before is rolled back.
    """

    def __init__(self, message: Text, field: str | None = None) -> None:
        super().__init__(str(message))
        self.message, self.field = message, field

    def add_to(self, form: forms.BaseForm) -> None:
        """Have the form say it."""
        form.add_error(self.field if self.field in form.fields else None, str(self.message))


REFUSAL: Note[RefusedError] = Note("refusal")


def focus_error(form: forms.BaseForm) -> None:
    """Give the focus to the first field of a form that was sent in which something is wrong."""
    wrong = [name for name in form.fields if form.is_bound and name in form.errors]
    if wrong:
        form.fields[wrong[0]].widget.attrs["autofocus"] = True


class ReasonField(forms.CharField):
    """Why something is changed, for the record. Required."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Reason"),
            help_text=_("It is kept in the history, for everybody to see whom the change concerns."),
            max_length=MAX_REASON_LENGTH,
            error_messages={"required": _("Please say why.")},
            widget=forms.Textarea(attrs={"rows": 2}),
            **kwargs,
        )

    def clean(self, value: Any) -> str:
        """Return the reason; ValidationError where nothing of it can be seen, as the history judges it."""
        reason = str(super().clean(value))
        if INVISIBLE.fullmatch(reason):
            raise forms.ValidationError(self.error_messages["required"], code="required")
        return reason


class ReasonForm(forms.Form):
    """Nothing but the reason."""

    reason = ReasonField()


class DateTimeLocalInput(forms.DateTimeInput):
    """The browser's own way to choose a day and a time, in the active zone."""

    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%dT%H:%M")


class DateInput(forms.DateInput):
    """The browser's own way to choose a day."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")


class ScopedRelatedFilter(RelatedFieldListFilter):
    """A filter by a foreign key that offers what the scope reaches, and nothing else."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Text]]:
        """Return the choices in the order of the list they come from."""
        ordering = self.field_admin_ordering(field, request, model_admin)
        rows = rows_in_scope(field.remote_field.model).order_by(*ordering)
        return [(str(row.pk), str(row)) for row in rows]


class ChoiceFilter(admin.SimpleListFilter):
    """A filter by a column, one of the model's or an annotation, that has few values."""

    title = _("state")
    parameter_name = "state"  # the column's name, too
    values: ClassVar[Sequence[tuple[str, Text]]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[Any, Text]]:
        """Return what can be chosen."""
        return self.values

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """Keep the rows with the value that was chosen; of an unknown one, none."""
        value = self.value()
        if value is None:
            return queryset
        known = value in dict(self.values)
        return queryset.filter(**{str(self.parameter_name): value}) if known else queryset.none()


def tag(label: Text, kind: Literal["", "warn", "off"] = "") -> SafeString:
    """Return a word of state as lists show it: as it should be, to be looked at, or out of use."""
    return format_html('<span class="tag {}">{}</span>', kind, label)


@dataclasses.dataclass(frozen=True)
class HistoryEntry:
    """One change, in words: `what` has a line for each thing that changed."""

    at: dt.datetime
    who: str
    what: Sequence[str]
    reason: str = ""


class Deed(Generic[Row]):
    """Something that is done to one row, on a page that says what it means and asks for what it needs."""

    name: ClassVar[str]  # in the address
    label: Text  # on the button that leads to the page, and on the one that does it
    is_dangerous: ClassVar[bool] = False
    leads_to: ClassVar[Literal["change", "changelist"]] = "change"  # the page afterwards
    form_class: ClassVar[type[forms.Form]] = forms.Form
    template: ClassVar[str] = "admin/deed.html"

    def is_offered(self, request: HttpRequest, row: Row) -> bool:
        """Whether it can be done to this row at present."""
        return True

    def form(self, request: HttpRequest, row: Row, data: Any) -> forms.Form:
        """Return the form that the page asks with; with a `reason` in it, that is the change's reason."""
        return self.form_class(data)

    def question(self, row: Row) -> Text:
        """Say what it means for this row."""
        raise NotImplementedError

    def do(self, request: HttpRequest, row: Row, form: Any) -> HttpResponse | None:
        """Do it, by a function of an actions module; return None, or a response of its own.

        RefusedError shows the page again.
        """
        raise NotImplementedError

    def done(self, row: Row) -> Text:
        """Say what was done."""
        raise NotImplementedError


class ScopedChecks(ModelAdminChecks):
    """Refuses options that ask a model's manager, and so find rows beyond the scope."""

    def check(self, admin_obj: Any, **kwargs: Any) -> list[checks.CheckMessage]:
        """Return Django's findings and ours."""
        wrong = [
            *(name for name in ("raw_id_fields", "inlines", "list_editable") if getattr(admin_obj, name)),
            *(
                f"list_filter: {entry}"
                for entry in admin_obj.list_filter
                if not self._is_scoped_filter(entry)
            ),
        ]
        message = "This goes around the scope: %s. See tenants/admin.py."
        found = [
            checks.Error(message % option, obj=admin_obj.__class__, id="tenants.E001") for option in wrong
        ]
        return [*super().check(admin_obj, **kwargs), *found]

    @staticmethod
    def _is_scoped_filter(entry: Any) -> bool:
        if isinstance(entry, tuple):
            return issubclass(entry[1], ScopedRelatedFilter)
        return not isinstance(entry, str) or LOOKUP_SEP not in entry


class ScopedModelAdmin(ModelAdmin[Row]):
    """Shows and changes rows that the scope reaches, and takes no others from whoever asks.

    Rows may be seen; `allows` names what else. A subclass says how to store one (`store`), what else can be
    done to one (`deeds`, to delete it among them), and what its history is (`events`, `history_entries`).
    """

    allows: ClassVar[frozenset[Permission]] = frozenset()
    deeds: ClassVar[Sequence[Deed[Any]]] = ()
    order: ClassVar[int] = 50  # in the navigation
    # What people call the rows; None: what the model is called.
    row_name: Text | None = None
    rows_name: Text | None = None
    add_title: Text | None = None  # of the page that makes one, and on the button that leads there
    # What an empty list says: what to do next.
    empty_text: Text = _("Nothing here yet.")
    checks_class = ScopedChecks
    actions_on_top = True
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    view_on_site = False
    save_as = False
    list_per_page = 100
    list_max_show_all = 500
    formfield_overrides = {
        models.DateTimeField: {"form_class": forms.DateTimeField, "widget": DateTimeLocalInput},
        models.DateField: {"widget": DateInput},
    }

    # --- whose rows -----------------------------------------------------------------------------------

    def rows(self, request: HttpRequest) -> models.QuerySet[Row]:
        """Return what the list has and each page shows one of."""
        return rows_in_scope(self.model)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Row]:
        """Return the rows in the order of the list."""
        return self.rows(request).order_by(*self.get_ordering(request))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Row:
        """Return a row; Http404 where there is none in scope, which tells nothing of other tenants."""
        row = super().get_object(request, object_id, from_field)
        if row is None:
            raise Http404
        return row

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> Any:
        """Return what a foreign key may name, in a form that is shown and in one that was sent."""
        ordered = super().get_field_queryset(db, db_field, request)
        rows = rows_in_scope(db_field.remote_field.model)
        return rows if ordered is None else rows.order_by(*ordered.query.order_by)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the field without Django's buttons beside it, which open other rows in windows."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Return the filters; those by a foreign key offer what the scope reaches."""
        return [
            (entry, ScopedRelatedFilter) if isinstance(entry, str) and self._is_relation(entry) else entry
            for entry in super().get_list_filter(request)
        ]

    def _is_relation(self, name: str) -> bool:
        try:
            return bool(self.opts.get_field(name).is_relation)
        except FieldDoesNotExist:
            return False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Whether an address may filter by this: what the list offers. Nobody guesses at hashes.

        Of a foreign key that is the row it names, and nothing of that row.
        """
        for entry in (*(self.get_list_filter(request) if request else ()), self.date_hierarchy):
            name = entry[0] if isinstance(entry, tuple) else entry
            if not isinstance(name, str):
                if name is not None and lookup == name.parameter_name:
                    return True
            elif self._is_relation(name):
                key = self.opts.get_field(name).target_field.name  # type: ignore[union-attr]
                if lookup in (name, f"{name}__exact", f"{name}__isnull", f"{name}__{key}__exact"):
                    return True
            elif lookup.partition(LOOKUP_SEP)[0] == name:
                return True
        return False

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """Whether a row may be asked for by this column: by its id alone."""
        return self.opts.pk is not None and to_field == self.opts.pk.attname

    # --- who may --------------------------------------------------------------------------------------

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the navigation has it. Who may use the site at all, the site has seen to."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        """Whoever may use the site sees what is in scope."""
        return self.admin_site.has_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        """Whether rows can be made here."""
        return "add" in self.allows and self.admin_site.has_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        """Whether rows can be changed here."""
        return "change" in self.allows and self.admin_site.has_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        """Nobody by Django's page, which asks for no reason: a deed does it."""
        return False

    # --- changes --------------------------------------------------------------------------------------

    def store(self, request: HttpRequest, row: Row, form: Any, *, is_new: bool) -> None:
        """Store what a form says, by a function of an actions module; RefusedError shows it again.

        A `reason` in the form is the reason of all that is done here.
        """
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Row, form: Any, change: bool) -> None:
        """Store the row."""
        with _reason_of(form):
            self.store(request, obj, form, is_new=not change)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the form, or store what it says; a refusal is said at its field, and nothing was stored."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except RefusedError as refusal:  # Django has rolled back what was done for the form
            REFUSAL.leave(request, refusal)
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self,
        request: HttpRequest,
        obj: Row | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the form's class, which says what was refused."""
        form_class: Any = super().get_form(request, obj, change, **kwargs)

        class Form(form_class):  # type: ignore[misc]
            def full_clean(self) -> None:
                super().full_clean()
                refusal = REFUSAL.on(request)
                if refusal and self.is_bound:
                    refusal.add_to(self)
                focus_error(self)

        Form.__name__ = form_class.__name__
        return Form

    def response_add(
        self, request: HttpRequest, obj: Row, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Go to the page of a new row, and say that it is stored."""
        self.message_user(request, _("“%(row)s” is added.") % {"row": self.name_of(obj)}, messages.SUCCESS)
        return HttpResponseRedirect(self.url("change", obj), status=SEE_OTHER)

    def response_change(self, request: HttpRequest, obj: Row) -> HttpResponse:
        """Stay on the page of a row, and say that it is stored."""
        self.message_user(request, _("“%(row)s” is changed.") % {"row": self.name_of(obj)}, messages.SUCCESS)
        return HttpResponseRedirect(self.url("change", obj), status=SEE_OTHER)

    def log_addition(self, request: HttpRequest, obj: Row, message: Any) -> Any:
        """Keep no log: triggers write the audit trail and the history."""

    def log_change(self, request: HttpRequest, obj: Row, message: Any) -> Any:
        """Keep no log."""

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep no log."""

    # --- pages ----------------------------------------------------------------------------------------

    @property
    def media(self) -> forms.Media:
        """Scripts that every page needs: none of Django's, which come with jQuery."""
        return forms.Media(js=["admin/js/actions.js"] if self.actions else [])

    @property
    def title(self) -> str:
        """What the rows are called, in the navigation and above their list."""
        return capfirst(str(self.rows_name or self.opts.verbose_name_plural)) or ""

    def name_of(self, row: Row) -> str:
        """Return what a row is called, above its pages and in messages."""
        return str(row)

    def url_name(self, page: str) -> str:
        """Return the name by which one of the pages is reversed, with the site's name in front."""
        return f"{self.admin_site.name}:{self._name(page)}"

    def url(self, page: str, row: Row | None = None) -> str:
        """Return the address of one of the pages: "changelist", "add"; of a row: "change", a deed's name."""
        args = [] if row is None else [quote(row.pk)]
        return reverse(self.url_name(page), args=args)

    def _name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def pages(self) -> list[URLPattern]:
        """Return further pages, each by `list_page` or `row_page`."""
        return []

    def list_page(self, name: str, view: Any, route: str = "") -> Any:
        """Return a page below the list: `NAME/`, or the route that is given. The view takes the request."""
        return path(route or f"{name}/", self.admin_site.admin_view(view), name=self._name(name))

    def row_page(self, name: str, view: Any, route: str = "", **kwargs: Any) -> Any:
        """Return a page of a row: `ID/NAME/`, or the route that is given after the id.

        The view takes the request, `object_id` and what is given.
        """
        guarded = self.admin_site.admin_view(view)
        return path(f"<path:object_id>/{route or f'{name}/'}", guarded, kwargs, name=self._name(name))

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses. Those of what is not allowed do not exist."""
        pages = [path("", self.admin_site.admin_view(self.changelist_view), name=self._name("changelist"))]
        if "add" in self.allows:
            pages.append(self.list_page("add", self.add_view))
        pages += self.pages()
        pages.append(self.row_page("history", self.history_view))
        pages += [self.row_page(deed.name, self.deed_view, deed=deed) for deed in self.deeds]
        pages.append(self.row_page("change", self.change_view))
        return pages

    def row_of(self, request: HttpRequest, object_id: str) -> Row:
        """Return the row that an address names; Http404 where there is none in scope."""
        return self.get_object(request, unquote(object_id))

    def render(
        self, request: HttpRequest, template: str, context: dict[str, Any], row: Row | None = None
    ) -> HttpResponse:
        """Return a page about the list, or about a row of it."""
        name = self.name_of(row) if row else None
        about = {"opts": self.opts, "original": row, "row": name, "model_admin": self}
        site: Any = self.admin_site
        response: HttpResponse = site.render(request, template, {**about, **context})
        return response

    def deed_view(self, request: HttpRequest, object_id: str, deed: Deed[Row]) -> HttpResponse:
        """Ask whether to do something to a row, or do it."""
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        row = self.row_of(request, object_id)
        back = self.url("change", row)
        if not deed.is_offered(request, row):
            self.message_user(
                request, _("There is nothing to be done about this any more."), messages.WARNING
            )
            return HttpResponseRedirect(back, status=SEE_OTHER)
        form = deed.form(request, row, request.POST if request.method == "POST" else None)
        form.label_suffix = ""
        if request.method == "POST" and form.is_valid():
            try:
                with transaction.atomic(), _reason_of(form):
                    response = deed.do(request, row, form)
            except RefusedError as refusal:
                refusal.add_to(form)
            else:
                if response is not None:
                    return response
                self.message_user(request, deed.done(row), messages.SUCCESS)
                after = self.url(deed.leads_to, row if deed.leads_to == "change" else None)
                return HttpResponseRedirect(after, status=SEE_OTHER)
        focus_error(form)
        context = {
            "title": deed.label,
            "deed": deed,
            "form": form,
            "question": deed.question(row),
            "back": back,
        }
        return self.render(request, deed.template, context, row)

    def offered_deeds(self, request: HttpRequest, row: Row) -> list[dict[str, Any]]:
        """Return what can be done to a row, for its page."""
        return [
            {"deed": deed, "url": self.url(deed.name, row)}
            for deed in self.deeds
            if deed.is_offered(request, row)
        ]

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Row | None = None,
    ) -> HttpResponse:
        """Show the form, with what else can be done to the row."""
        name = self.name_of(obj) if obj else None
        add_title = self.add_title or _("Add %(name)s") % {"name": self.row_name or self.opts.verbose_name}
        deeds = self.offered_deeds(request, obj) if obj else []
        context |= {"model_admin": self, "deeds": deeds, "row": name, "title": name or add_title}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list. Its heading is what it lists."""
        context = {"title": self.title, "model_admin": self}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    # --- history --------------------------------------------------------------------------------------

    def events(self, request: HttpRequest, row: Row) -> models.QuerySet[Any] | Sequence[Any]:
        """Return what the history of a row is made of, the newest first."""
        return []

    def history_entries(
        self, request: HttpRequest, row: Row, events: Iterable[Any]
    ) -> Iterable[HistoryEntry]:
        """Write some of these events in words."""
        raise NotImplementedError

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show what was changed of a row, by whom, when and why."""
        row = self.row_of(request, object_id)
        page = Paginator(self.events(request, row), 50).get_page(request.GET.get(PAGE_VAR, 1))
        entries = list(self.history_entries(request, row, page.object_list)) if page.object_list else []
        context = {"title": _("History"), "page": page, "page_var": PAGE_VAR, "entries": entries}
        return self.render(request, "admin/object_history.html", {**context, **(extra_context or {})}, row)


@contextlib.contextmanager
def _reason_of(form: forms.BaseForm) -> Iterator[None]:
    """Do everything inside for the reason that a form gives, if it asks for one."""
    reason = form.cleaned_data.get("reason", "")
    if "reason" in form.fields and reason:
        with scope.because(reason):
            yield
    else:
        yield
