"""Forms with which a tenant's admins add and correct work sessions, in times of the active zone."""

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import BaseTemporalField
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import mail
from accounts.models import User
from attendance import calculations, corrections, history, words
from attendance.corrections import CorrectionError, Problem, Times
from attendance.models import WorkSession
from tenants.admin import DateTimeLocalInput, ReasonField, RefusedError
from timerecord.core.admin import Text

if TYPE_CHECKING:
    # To a type checker, Django's classes take the model as a parameter.
    SessionForm = forms.ModelForm[WorkSession]
    UserField = forms.ModelChoiceField[User]
else:
    SessionForm, UserField = forms.ModelForm, forms.ModelChoiceField

PROBLEMS: Final[dict[Problem, Text]] = {
    Problem.ORDER: gettext_lazy("The end is before the start."),
    Problem.FUTURE: gettext_lazy("This time is still to come."),
    Problem.LONG_AGO: gettext_lazy("This is more than five years ago. Is the year right?"),
    Problem.IMPOSSIBLE: gettext_lazy("There is no such date."),
    Problem.NOTHING: gettext_lazy("Nothing is different from what is recorded."),
    Problem.GONE: gettext_lazy("This work session was deleted in the meantime."),
}
SKIPPED: Final = gettext_lazy(
    "There was no such time: the clocks were put forward past it on that day. Please enter another time."
)
WHY: Final = gettext_lazy("Reason for the correction")
# The fields that are there only if something has to be asked.
WHICH, LASTS = "which_{}", "lasts"


def zone() -> zoneinfo.ZoneInfo:
    """Return the active zone: the tenant's, on a page of its admins."""
    return zoneinfo.ZoneInfo(timezone.get_current_timezone_name())


def wall_clock(instant: dt.datetime) -> dt.datetime:
    """Return what the clocks show at an instant, to the minute; its `fold` says which time, if twice."""
    return timezone.localtime(instant).replace(tzinfo=None, second=0, microsecond=0)


def explain(error: CorrectionError) -> str:
    """Say why a correction was not made, in the active language and zone."""
    other = history.span(error.other) if error.other else ""
    match error.problem:
        case Problem.OVERLAP if other:
            return _("This overlaps another work session: {span}.").format(span=other)
        case Problem.OVERLAP:
            return _("This overlaps another work session.")
        case Problem.RUNNING:
            return _("Another work session is running already: {span}. Please end that one first.").format(
                span=other
            )
        case Problem.LONG:
            return _(
                "That would be {hours} at a stretch. If that is right, please tick this and save again."
            ).format(hours=words.hours_and_minutes(error.minutes))
        case Problem.MOVED_ON:
            return _(
                "This was changed in the meantime, perhaps by the employee's own clock-out. It is now "
                "recorded {span}."
            ).format(span=other)
        case problem:
            return str(PROBLEMS[problem])


class CorrectionRefusedError(RefusedError):
    """What the rules of corrections refuse, as a form says it."""

    def __init__(self, error: CorrectionError) -> None:
        said = explain(error)
        if error.problem is Problem.MOVED_ON:
            said = f"{said} {_('If yours is right all the same, please save it once more.')}"
        super().__init__(said, LASTS if error.problem is Problem.LONG else error.field)
        self.error = error

    def add_to(self, form: forms.BaseForm) -> None:
        """Have the form say it, with what the next attempt needs."""
        if self.error.problem is Problem.LONG and isinstance(form, CorrectionForm):
            form.ask_whether_it_lasted(self.error.minutes)
        if self.error.problem is Problem.MOVED_ON and self.error.other and isinstance(form, SeenForm):
            form.show_seen(Times.of(self.error.other))
        super().add_to(form)


class SeenForm(forms.Form):
    """Carries what the page showed, so that nothing that came since is overwritten unseen."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def show_seen(self, times: Times) -> None:
        """Have the next attempt begin from what its page shows now."""
        data: Any = self.data
        self.data = {**data.dict(), self.add_prefix("seen"): times.text}


class ZoneForm(forms.Form):
    """Carries in which zone the page showed its times, and in which those that are entered are meant."""

    zone = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["zone"].initial = zone().key

    def clean(self) -> dict[str, Any]:
        """Refuse the form if the zone is another by now: what was read and typed would be other times."""
        super().clean()
        shown, present = self.cleaned_data.get("zone"), zone().key
        if shown and shown != present:
            raise ValidationError(
                _(
                    "The time zone was changed from {before} to {after} while this page was open, so nothing "
                    "was stored. Please open the page again and enter the times as clocks show them in "
                    "{after}."
                ).format(before=shown, after=present)
            )
        return self.cleaned_data


class DeleteForm(SeenForm):
    """Why a work session is deleted."""

    reason = ReasonField()

    def __init__(self, data: Any, session: WorkSession) -> None:
        super().__init__(data, initial={"seen": Times.of(session).text})


class EndForm(ZoneForm, SeenForm):
    """When somebody went who forgot to clock out: the time of day is enough."""

    end = forms.TimeField(
        label=gettext_lazy("Clock-out"),
        widget=forms.TimeInput(attrs={"type": "time", "autofocus": True}, format="%H:%M"),
        help_text=gettext_lazy(
            "The first such time after the clock-in: a time before it is one of the next day."
        ),
    )
    reason = ReasonField()

    def __init__(self, data: Any, session: WorkSession) -> None:
        super().__init__(data, initial={"seen": Times.of(session).text})
        self.session = session
        self.fields["reason"].label = WHY

    def clean_end(self) -> dt.datetime:
        """Return the instant. ValidationError where the clocks were changed and it is not one."""
        time: dt.time = self.cleaned_data["end"]
        found = corrections.first_after(self.session.start_time, time, zone())
        if not found:
            raise ValidationError(str(SKIPPED))
        if len(found) > 1:
            raise ValidationError(
                _(
                    "The clocks showed this time twice on that day. Please correct the work session on "
                    "its own page, which asks for more."
                )
            )
        return found[0]


class WallClockField(BaseTemporalField):
    """A day and a time as clocks show them, without a zone: which instant that is, the form finds out."""

    widget = DateTimeLocalInput
    default_error_messages = {
        "required": gettext_lazy("Please enter the day and the time."),
        "invalid": gettext_lazy("Enter a valid date/time."),
    }
    input_formats = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M")

    def to_python(self, value: Any) -> dt.datetime | None:
        """Return a naive time, or None for an empty field."""
        if value in self.empty_values:
            return None
        if isinstance(value, dt.datetime):
            return value
        return super().to_python(str(value))  # by strptime

    def strptime(self, value: str, format: str) -> dt.datetime:  # noqa: A002 Django's name
        """Read it. ValueError."""
        return dt.datetime.strptime(value, format)  # noqa: DTZ007 it has no zone yet


class EmployeeField(UserField):
    """Somebody of the tenant. Two may have one name, so the address stands beside it."""

    default_error_messages = {"required": gettext_lazy("Please choose the employee.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"empty_label": gettext_lazy("Please choose"), **kwargs})

    def label_from_instance(self, obj: Any) -> str:
        """Return name and address."""
        user: User = obj
        return user.display_name if mail.is_placeholder(user.email) else f"{user.display_name} ({user.email})"


class CorrectionForm(ZoneForm, SeenForm, SessionForm):
    """A work session, new or corrected: when it began and ended, and why it is entered here.

    The rules are those of attendance.corrections; this knows what times are meant.
    """

    start = WallClockField(label=gettext_lazy("Clock-in"))
    end = WallClockField(
        label=gettext_lazy("Clock-out"),
        required=False,
        help_text=gettext_lazy("Leave this empty for somebody who is still at work."),
    )
    end_unknown = forms.BooleanField(
        label=gettext_lazy("Nobody knows when they left"),
        required=False,
        help_text=gettext_lazy("The work session then counts no time until its end is entered."),
    )
    reason = ReasonField()

    class Meta:
        model = WorkSession
        fields = ("user",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["reason"].label = WHY
        if self.instance.pk:
            shown = Times.of(self.instance)
            given: dict[str, Any] = {
                "seen": shown.text,
                "start": wall_clock(shown.start),
                "end": wall_clock(shown.end) if shown.end else None,
                "end_unknown": shown.end_unknown,
            }
            self.initial = {**given, **self.initial}
        for name in ("start", "end"):
            self._ask_which(name)
        if self.is_bound and (accepted := self._accepted()):
            self._add_lasts(accepted)
        self._put_in_order()

    @property
    def times(self) -> Times:
        """What the form says, once it is valid."""
        said = self.cleaned_data
        return Times(said["start"], said["end"], said["end_unknown"])

    @property
    def accepted(self) -> int:
        """The minutes of a long work session that were confirmed."""
        return self._accepted() if self.cleaned_data.get(LASTS) else 0

    def ask_whether_it_lasted(self, minutes: int) -> None:
        """Have somebody confirm a long work session, who has confirmed nothing yet, or a shorter one."""
        data: Any = self.data
        self.data = {name: said for name, said in data.dict().items() if name != self.add_prefix(LASTS)}
        self._add_lasts(minutes)
        self._put_in_order()

    def clean(self) -> dict[str, Any]:
        """Turn what clocks show into instants, and say what is meant by an end that is unknown."""
        super().clean()
        said = self.cleaned_data
        for name in ("start", "end"):
            if local := said.get(name):
                said[name] = self._instant(name, local)
        if said.get("end") and said.get("end_unknown"):
            if self.instance.pk and self.instance.end_unknown:
                said["end_unknown"] = False  # it was found out
            elif self.instance.pk and "end" not in self.changed_data:
                said["end"] = None  # it was wrong
            else:
                self.add_error(
                    "end_unknown", _("Please enter an end, or say that nobody knows it: not both.")
                )
        return said

    def validate_constraints(self) -> None:
        """Leave these to attendance.corrections, which says more."""

    def _instant(self, name: str, local: dt.datetime) -> dt.datetime | None:
        try:
            found = calculations.instants_of(local, zone())
        except OverflowError:
            self.add_error(name, str(PROBLEMS[Problem.IMPOSSIBLE]))
            return None
        if not found:
            self.add_error(name, str(SKIPPED))
            return None
        which = self.cleaned_data.get(WHICH.format(name))
        return found[int(which or 0)] if len(found) > 1 else found[0]

    def _ask_which(self, name: str) -> None:
        """Ask which of two instants is meant, where the clocks show a time twice."""
        field, bound = self.fields[name], self[name]
        try:
            local = field.clean(bound.data if self.is_bound else self.initial.get(name))
            found = calculations.instants_of(local, zone()) if local else []
        except (ValidationError, OverflowError):
            return
        if len(found) < 2:
            return
        times = [timezone.localtime(instant) for instant in found]
        before = self.initial.get(name)
        self.fields[WHICH.format(name)] = forms.ChoiceField(
            label=_("Which {time} is meant?").format(time=f"{times[0]:%H:%M}"),
            choices=[
                (
                    0,
                    _("the first one, before the clocks were put back ({zone})").format(
                        zone=f"{times[0]:%Z}"
                    ),
                ),
                (1, _("the second one, after that ({zone})").format(zone=f"{times[1]:%Z}")),
            ],
            initial=before.fold if isinstance(before, dt.datetime) else None,
            widget=forms.RadioSelect,
            error_messages={"required": _("The clocks showed this time twice on that day. Please choose.")},
        )

    def _put_in_order(self) -> None:
        """Have what is asked stand below what it is asked about."""
        asked = WHICH.format("start"), WHICH.format("end")
        self.order_fields(["seen", "user", "start", asked[0], "end", asked[1], LASTS, "end_unknown"])

    def _accepted(self) -> int:
        said = str(self.data.get(self.add_prefix(LASTS), ""))
        return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0

    def _add_lasts(self, minutes: int) -> None:
        self.fields[LASTS] = forms.BooleanField(
            label=_("Yes, it lasted {hours}").format(hours=words.hours_and_minutes(minutes)),
            required=False,
            widget=forms.CheckboxInput(attrs={"value": str(minutes)}),
        )
