"""A tenant's people, in the tenant admin's site."""

import base64
import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ALL_VAR, PAGE_VAR
from django.core import signing
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts import audit, mail, people, people_import, sessions, throttling, words
from accounts.account_actions import AddressTakenError
from accounts.account_forms import NO_MAIL, too_many
from accounts.admin_site import acting, tenant_of, tenant_site
from accounts.models import AuditEvent, Role, User
from accounts.people import FirstPassword, Person, PersonError, Problem, State
from accounts.people_forms import (
    BY_MAIL,
    BY_PASSWORD,
    TAKEN_BY_SOMEBODY,
    ImportForm,
    ImportWayForm,
    InviteForm,
    PasswordWayForm,
    PersonForm,
)
from accounts.people_import import FileError, Row
from tenants.admin import (
    REFUSAL,
    SEE_OTHER,
    ChoiceFilter,
    Deed,
    HistoryEntry,
    ReasonForm,
    RefusedError,
    ScopedModelAdmin,
    focus_error,
    tag,
)
from tenants.changes import ChangedMeanwhileError, say_present
from tenants.models import Tenant
from timerecord.core import clock
from timerecord.core.admin import Text
from timerecord.core.downloads import download
from timerecord.core.requests import Note
from timerecord.core.spreadsheets import csv_bytes

FIRST_PASSWORD: Final[Note[FirstPassword]] = Note("first_password")
PROBLEMS: Final = {
    Problem.ONESELF: _("Nobody changes their own role or status: another admin can."),
    Problem.LAST_ADMIN: _(
        "Nobody could look after this company any more. Please make somebody else an admin first."
    ),
    Problem.NO_ADMIN_ANY_MORE: _("Your own account was suspended, or is no admin's any more."),
    Problem.NO_ADDRESS: _("This person has no e-mail address yet. Please enter one first."),
    Problem.CHANGED_MEANWHILE: _("Somebody else has changed this in the meantime. Please look again."),
}
TAGS: Final[dict[State, Literal["", "warn", "off"]]] = {
    State.SUSPENDED: "off",
    State.LOCKED: "warn",
    State.INVITED: "warn",
    State.FIRST_PASSWORD: "warn",
    State.ACTIVE: "",
}
FIELDS: Final = ("last_name", "first_name", "email", "role")
# A password costs 60 ms of a whole CPU, and a request has 30 s.
MAX_PASSWORDS: Final = 100
IMPORT_SALT: Final = "accounts.admin.import"
IMPORT_SECONDS: Final = 60 * 60
LINKS_AN_HOUR: Final = 5
HOUR, DAY = 60 * 60, 24 * 60 * 60
# A large tenant brings its people along in two files or three; more would be mails to strangers.
INVITATIONS_A_DAY: Final = 3000
# What a form or a file says of an address that is another tenant's tells who has an account here: so nobody
# asks without end (docs/adr/0011-admin.md).
ADDRESSES_AN_HOUR: Final = 100
FILES_AN_HOUR: Final = 10
FILES_A_DAY: Final = 20


class MovedOnError(RefusedError):
    """What somebody else has changed since the page was shown, said at each field that it concerns."""

    def __init__(self, error: ChangedMeanwhileError) -> None:
        super().__init__(PROBLEMS[Problem.CHANGED_MEANWHILE])
        self.present = error.present

    def add_to(self, form: forms.BaseForm) -> None:
        """Have the form say how things stand, and take that for what its page showed from now on."""
        say_present(form, self.present)


@contextlib.contextmanager
def refused(field: str | None = None) -> Iterator[None]:
    """Turn what an action refuses into what its form says."""
    try:
        yield
    except ChangedMeanwhileError as error:
        raise MovedOnError(error) from error
    except PersonError as error:
        raise RefusedError(PROBLEMS[error.problem], field) from error
    except AddressTakenError as error:
        raise RefusedError(TAKEN_BY_SOMEBODY, "email") from error
    except mail.MailError as error:
        raise RefusedError(NO_MAIL) from error


def limit_links(user: User) -> None:
    """RefusedError if so many links were mailed to somebody within the hour that it is a nuisance."""
    who = ("invitation", str(user.pk))
    if not throttling.hit(*who, limit=LINKS_AN_HOUR, seconds=3600):
        raise RefusedError(too_many(*who))


def limit_invitations(tenant: Tenant, count: int) -> None:
    """RefusedError if a tenant has so many people invited by mail within a day that it cannot be meant."""
    who = ("invitations", str(tenant.pk))
    if not throttling.hit(*who, limit=INVITATIONS_A_DAY, seconds=DAY, times=count):
        text = _(
            "%(limit)s invitations can be mailed in a day, and these would be more. Nothing was stored. "
            "Please try again in about %(hours)s hours, or hand out first passwords."
        )
        hours = -(-throttling.seconds_left(*who) // HOUR)
        raise RefusedError(text % {"limit": f"{INVITATIONS_A_DAY:,}", "hours": hours}, "way")


def limit_files(tenant: Tenant, admin: User) -> None:
    """RefusedError if so many files of addresses were looked at that somebody may be asking for strangers."""
    for what, key, limit, seconds in (
        ("people.files", f"{admin.pk}", FILES_AN_HOUR, HOUR),
        ("people.files.tenant", f"{tenant.pk}", FILES_A_DAY, DAY),
    ):
        if not throttling.hit(what, key, limit=limit, seconds=seconds):
            raise RefusedError(too_many(what, key), "file")


class PersonDeed(Deed[User]):
    """Something that is done to somebody else, in some states of theirs."""

    states: frozenset[State] = frozenset(State)

    def is_offered(self, request: HttpRequest, row: User) -> bool:
        """Whether somebody else's account is in such a state."""
        return row.pk != request.user.pk and state_of(row) in self.states


class Suspend(PersonDeed):
    name = "suspend"
    label = _("Suspend")
    is_dangerous = True
    form_class = ReasonForm
    states = frozenset(State) - {State.SUSPENDED}

    def question(self, row: User) -> Text:
        return _(
            "%(name)s will be signed out at once and cannot sign in or clock in any more. What was recorded "
            "stays, and can be read and exported as before. You can restore the account at any time."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: User, form: Any) -> None:
        with refused():
            people.suspend(row)

    def done(self, row: User) -> Text:
        return _("%(name)s is suspended.") % {"name": row}


class Restore(PersonDeed):
    name = "restore"
    label = _("Restore")
    form_class = ReasonForm
    states = frozenset({State.SUSPENDED})

    def question(self, row: User) -> Text:
        return _("%(name)s can sign in again, with the password from before.") % {"name": row}

    def do(self, request: HttpRequest, row: User, form: Any) -> None:
        with refused():
            people.restore(row)

    def done(self, row: User) -> Text:
        return _("%(name)s can sign in again.") % {"name": row}


class Unlock(PersonDeed):
    name = "unlock"
    label = _("Unlock")
    states = frozenset({State.LOCKED})

    def question(self, row: User) -> Text:
        return _(
            "Too many wrong passwords were entered for %(name)s. The lock ends by itself after a quarter of "
            "an hour; you can lift it now, if they ask you to."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: User, form: Any) -> None:
        people.unlock(row)

    def done(self, row: User) -> Text:
        return _("%(name)s is unlocked.") % {"name": row}


class Invite(PersonDeed):
    name = "invite"
    label = _("Send the invitation again")
    states = frozenset({State.INVITED})

    def is_offered(self, request: HttpRequest, row: User) -> bool:
        return super().is_offered(request, row) and not mail.is_placeholder(row.email)

    def question(self, row: User) -> Text:
        return _(
            "%(name)s gets a new link to %(email)s, which works once within seven days. The one from before "
            "does not work any more."
        ) % {"name": row, "email": row.email}

    def do(self, request: HttpRequest, row: User, form: Any) -> None:
        limit_links(row)
        limit_invitations(tenant_of(request), 1)
        with refused():
            mail.require_server()
            people.send_invitation(row)

    def done(self, row: User) -> Text:
        return _("The invitation is on its way to %(email)s.") % {"email": row.email}


class ResetPassword(PersonDeed):
    name = "password"
    label = _("Reset the password")
    states = frozenset(State) - {State.SUSPENDED}

    def form(self, request: HttpRequest, row: User, data: Any) -> forms.Form:
        return PasswordWayForm(data, has_address=not mail.is_placeholder(row.email))

    def question(self, row: User) -> Text:
        return _(
            "With a link, %(name)s keeps the present password until another one is chosen; it works once "
            "within a day. A first password replaces it at once, and ends all sessions."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: User, form: Any) -> HttpResponse | None:
        with refused():
            if form.cleaned_data["way"] == BY_MAIL:
                limit_links(row)
                people.send_password_link(row)
                return None
            return show_first_passwords(request, [people.give_first_password(row)], user=row)

    def done(self, row: User) -> Text:
        return _("A link to choose a new password is on its way to %(email)s.") % {"email": row.email}


class EndSessions(PersonDeed):
    name = "sign-out"
    label = _("Sign out everywhere")
    states = frozenset(State) - {State.SUSPENDED, State.INVITED}

    def question(self, row: User) -> Text:
        return _(
            "%(name)s will be signed out on every phone and computer, and can sign in again. For a phone "
            "that was lost, reset the password as well."
        ) % {"name": row}

    def do(self, request: HttpRequest, row: User, form: Any) -> None:
        sessions.end_all(row)
        audit.record("sessions.ended_all", row.pk)

    def done(self, row: User) -> Text:
        return _("%(name)s is signed out everywhere.") % {"name": row}


def tag_of(user: User) -> SafeString:
    """Return the state as the list shows it."""
    state = state_of(user)
    return tag(state.label, TAGS[state])


def state_of(user: User) -> State:
    """Return the state that came along from the database."""
    return State(vars(user)["state"])


def show_first_passwords(
    request: HttpRequest, made: Sequence[FirstPassword], user: User | None = None
) -> HttpResponse:
    """Return the page that shows passwords. Nobody keeps it: the site's `never_cache` says no-store."""
    headings = (_("Name"), _("E-mail address"), _("First password"), _("Sign in at"))
    table = [[str(heading) for heading in headings]]
    sign_in = mail.link(reverse("accounts:sign_in"))
    table += [[str(one.user), one.user.email, one.password, sign_in] for one in made]
    context = {
        "title": _("First password") if user else _("First passwords"),
        "made": made,
        "sign_in": sign_in,
        "csv": base64.b64encode(csv_bytes(table)).decode(),
        "opts": User._meta,
        "model_admin": tenant_site.get_model_admin(User),
        "original": user,
    }
    return tenant_site.render(request, "admin/accounts/user/first_passwords.html", context)


class StateFilter(ChoiceFilter):
    values = State.choices


class RoleFilter(ChoiceFilter):
    title = _("role")
    parameter_name = "role"
    values = [(role.value, role.label) for role in (Role.EMPLOYEE, Role.TENANT_ADMIN)]


@admin.register(User, site=tenant_site)
class UserAdmin(ScopedModelAdmin[User]):
    """The people of the tenant. Nobody is deleted: whoever has records cannot be; they are suspended."""

    allows = frozenset({"add", "change"})
    order = 30
    row_name, rows_name, add_title = _("employee"), _("employees"), _("Invite somebody")
    deeds = (Invite(), Unlock(), ResetPassword(), EndSessions(), Restore(), Suspend())
    form = PersonForm
    fields = FIELDS
    list_display = ("name", "address", "role_name", "state_tag")
    list_filter = (StateFilter, RoleFilter)
    search_fields = ("last_name", "first_name", "username", "email")
    search_help_text = _("Name or e-mail address")
    ordering = ("status", "last_name", "first_name", "username", "pk")

    def rows(self, request: HttpRequest) -> models.QuerySet[User]:
        """Return the tenant's people with their states; without operators, whom it does not look after."""
        rows = User.objects.in_scope().looked_after()
        return rows.annotate(state=people.state_at(clock.now()))

    @admin.display(description=_("name"), ordering="last_name")
    def name(self, row: User) -> str:
        return row.display_name

    @admin.display(description=_("e-mail address"), ordering="email")
    def address(self, row: User) -> str:
        return str(_("none yet")) if mail.is_placeholder(row.email) else row.email

    @admin.display(description=_("role"), ordering="role", empty_value="")
    def role_name(self, row: User) -> str:
        return str(Role(row.role).label) if row.role == Role.TENANT_ADMIN else ""

    @admin.display(description=_("state"))
    def state_tag(self, row: User) -> SafeString:
        return tag_of(row)

    def get_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return FIELDS if obj else (*FIELDS, "way")

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = InviteForm
        return super().get_form(request, obj, change, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or store the form; what it says of addresses, it does not say without end."""
        # Counted here, before what is refused is rolled back.
        who = ("people.addresses", str(request.user.pk))
        if request.method == "POST" and not throttling.hit(*who, limit=ADDRESSES_AN_HOUR, seconds=HOUR):
            REFUSAL.leave(request, RefusedError(too_many(*who)))
        return super().changeform_view(request, *args, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        row = context.get("original")
        if row:
            month = f"{timezone.localtime(clock.now()):%Y-%m}"
            context |= {
                "state": tag_of(row),
                "is_oneself": row.pk == request.user.pk,
                "month_url": reverse("admin:employee_month", args=[row.pk, month]),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def store(self, request: HttpRequest, row: User, form: Any, *, is_new: bool) -> None:
        said = {name: form.cleaned_data[name] for name in FIELDS}
        with refused("role"):
            if not is_new:
                people.change(row, Person(**said), seen=form.seen)
            elif form.cleaned_data["way"] == BY_MAIL:
                limit_invitations(tenant_of(request), 1)
                row.pk = people.invite_by_mail(tenant_of(request), Person(**said)).pk
            else:
                first = people.invite_with_password(tenant_of(request), Person(**said))
                row.pk = first.user.pk
                FIRST_PASSWORD.leave(request, first)

    def response_add(
        self, request: HttpRequest, obj: User, post_url_continue: str | None = None
    ) -> HttpResponse:
        first = FIRST_PASSWORD.on(request)
        if first:
            return show_first_passwords(request, [first], user=first.user)
        text = _("%(name)s is invited: the mail is on its way to %(email)s.")
        self.message_user(request, text % {"name": obj, "email": obj.email}, messages.SUCCESS)
        return HttpResponseRedirect(self.url("change", obj), status=SEE_OTHER)

    def events(self, request: HttpRequest, row: User) -> models.QuerySet[AuditEvent]:
        about = models.Q(kind__startswith="users.") | models.Q(kind__startswith="sign_")
        return AuditEvent.objects.in_scope().filter(about, subject_id=row.pk).order_by("-at", "-pk")

    def history_entries(
        self, request: HttpRequest, row: User, events: Iterable[AuditEvent]
    ) -> Iterable[HistoryEntry]:
        return words.entries(events)

    def pages(self) -> list[Any]:
        return [
            self.list_page("import", require_http_methods(["GET", "HEAD", "POST"])(self.import_view)),
            self.list_page("export", require_safe(self.export_view), "export.csv"),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return what the list shows, as it is searched and filtered, in columns that the import reads."""
        # What the list is cut into pages by does not matter here, nor whether there is such a page.
        asked = request.GET.copy()
        for name in (PAGE_VAR, ALL_VAR):
            asked.pop(name, None)
        request.GET = asked  # type: ignore[assignment] # Django declares what it makes, which nobody changes
        try:
            rows = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters as error:
            raise Http404 from error
        headings = (_("Family name"), _("Given name"), _("E-mail address"), _("Role"), _("State"))
        table: list[Sequence[object]] = [[str(heading) for heading in headings]]
        table += [
            [
                row.last_name or "",
                row.first_name or row.username if not row.last_name else row.first_name or "",
                "" if mail.is_placeholder(row.email) else row.email,
                Role(row.role).label,
                state_of(row).label,
            ]
            for row in rows
        ]
        return download(csv_bytes(table), "text/csv; charset=utf-8", f"{self.title}.csv")

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Take a file, show what is in it, and store that once it is confirmed. Nothing is kept meanwhile."""
        if request.method == "POST" and "rows" in request.POST:
            return self._store_import(request)
        form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
        form.label_suffix = ""
        if form.is_bound and form.is_valid():
            try:
                limit_files(tenant_of(request), acting(request))
                return self._preview(request, people_import.read(form.cleaned_data["file"].read()))
            except FileError as error:
                form.add_error("file", str(error))
            except RefusedError as refusal:
                refusal.add_to(form)
        focus_error(form)
        return self._import_page(request, {"form": form})

    def _preview(self, request: HttpRequest, rows: list[Row], form: forms.Form | None = None) -> HttpResponse:
        wrong = [row for row in rows if row.problems]
        if form is None and not wrong:
            said = [dataclasses.astuple(row.newcomer) for row in rows]
            text = signing.dumps([request.user.pk, said], salt=IMPORT_SALT, compress=True)
            form = ImportWayForm(initial={"rows": text})
        if form is not None:
            form.label_suffix = ""
        context = {"rows": wrong or rows, "wrong": wrong, "count": len(rows), "form": None if wrong else form}
        return self._import_page(request, context, "import_preview.html")

    def _store_import(self, request: HttpRequest) -> HttpResponse:
        form = ImportWayForm(request.POST)
        try:
            who, said = signing.loads(request.POST["rows"], salt=IMPORT_SALT, max_age=IMPORT_SECONDS)
        except signing.BadSignature:
            who, said = None, []
        if who != request.user.pk:
            self.message_user(
                request, _("This page was open for too long. Please choose the file again."), messages.WARNING
            )
            return HttpResponseRedirect(self.url("import"), status=SEE_OTHER)
        rows = [Row(number, *cells) for number, cells in enumerate(said, start=2)]
        people_import.look_for_others(rows)  # somebody may have come meanwhile
        if any(row.problems for row in rows) or not form.is_valid():
            return self._preview(request, rows, form)
        with_passwords = form.cleaned_data["way"] == BY_PASSWORD
        try:
            if with_passwords and len(rows) > MAX_PASSWORDS:
                raise RefusedError(
                    _(
                        "First passwords are possible for %(limit)s people at once. Please divide the file, "
                        "or send links."
                    )
                    % {"limit": MAX_PASSWORDS},
                    "way",
                )
            with refused():
                if not with_passwords:
                    limit_invitations(tenant_of(request), len(rows))
                    mail.require_server()
                made = people.invite_all(
                    tenant_of(request), [row.newcomer for row in rows], with_passwords=with_passwords
                )
        except RefusedError as refusal:
            refusal.add_to(form)
            return self._preview(request, rows, form)
        if with_passwords:
            return show_first_passwords(request, [one for one in made if isinstance(one, FirstPassword)])
        invited = [one for one in made if isinstance(one, User)]
        people.mail_invitations(request, invited)
        text = ngettext(
            "%(count)s person is invited; the mail is being sent.",
            "%(count)s people are invited; the mails are being sent.",
            len(invited),
        )
        self.message_user(request, text % {"count": len(invited)}, messages.SUCCESS)
        return HttpResponseRedirect(self.url("changelist"), status=SEE_OTHER)

    def _import_page(
        self, request: HttpRequest, context: dict[str, Any], template: str = "import.html"
    ) -> HttpResponse:
        context = {"title": _("Import from a CSV file"), "max_passwords": MAX_PASSWORDS, **context}
        return self.render(request, f"admin/accounts/user/{template}", context)
