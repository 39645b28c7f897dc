"""The audit trail in words, in the active language."""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import devices
from accounts.models import AuditEvent, Role, RoleCode, SupportAccess, User, UserStatus
from tenants.admin import HistoryEntry
from tenants.models import Tenant, TenantStatus

# What is told as “before → after”, by column.
SHOWN: Final = {
    "last_name": gettext_lazy("Family name"),
    "first_name": gettext_lazy("Given name"),
    "email": gettext_lazy("E-mail address"),
    "role": gettext_lazy("Role"),
    "status": gettext_lazy("Status"),
    "language": gettext_lazy("Language"),
    "expires_at": gettext_lazy("Works until"),
    "max_uses": gettext_lazy("For how many people"),
    "name": gettext_lazy("Name of the company"),
    "contact_email": gettext_lazy("Contact e-mail address"),
    "time_zone": gettext_lazy("Time zone"),
    "ends_at": gettext_lazy("Until"),
    "reason": gettext_lazy("Reason"),
    "retention_months": gettext_lazy("Months for which records are kept"),
}
CHOICES: Final[dict[str, dict[str, Any]]] = {
    "role": dict(Role.choices),
    "status": {**dict(UserStatus.choices), **dict(TenantStatus.choices)},
}
MADE: Final = {
    User._meta.db_table: gettext_lazy("The account was made."),
    RoleCode._meta.db_table: gettext_lazy("The code was made."),
    Tenant._meta.db_table: gettext_lazy("The tenant was made."),
    SupportAccess._meta.db_table: gettext_lazy(
        "An access to the records of the company was begun, to read them."
    ),
}
HAPPENED: Final = {
    "sign_in": gettext_lazy("Signed in."),
    "sign_in.failed": gettext_lazy("Signing in failed: a wrong password, or not possible at that time."),
    "sign_in.locked": gettext_lazy("Locked after too many wrong passwords."),
    "sign_out": gettext_lazy("Signed out."),
    "password.reset_requested": gettext_lazy("A link to choose another password was asked for."),
    "email.change_requested": gettext_lazy("A new e-mail address was entered; it is not confirmed yet."),
    "sessions.ended": gettext_lazy("Signed out on one device."),
    "sessions.ended_others": gettext_lazy("Signed out on all other devices."),
    "sessions.ended_all": gettext_lazy("Signed out on all devices."),
    "export.month": gettext_lazy("Downloaded a month."),
    "export.archive": gettext_lazy("Downloaded all records, as an archive."),
    "access.month": gettext_lazy("Looked at everybody's month, as operator."),
    "access.employee": gettext_lazy("Looked at somebody's month, as operator."),
    "access.quarantine": gettext_lazy("Looked at rows that the import had refused, as operator."),
    "access.archive": gettext_lazy("Asked for all records, as operator."),
    "retention.audit_events": gettext_lazy("Events older than the retention were removed from this trail."),
    "retention.import_quarantine": gettext_lazy(
        "Rows that the import had refused were removed, older than the retention."
    ),
}
# What such an event tells besides.
DETAILS: Final = ("month", "file")
DOORS: Final = {
    "import": gettext_lazy("import of the old application"),
    "migration": gettext_lazy("operator of the service"),
    "command": gettext_lazy("operator of the service"),
}


def entries(events: Iterable[AuditEvent]) -> Iterator[HistoryEntry]:
    """Write events in words, one entry each."""
    for event in events:
        yield HistoryEntry(event.at, _who(event), list(_what(event)), event.reason or "")


def _who(event: AuditEvent) -> str:
    if event.actor_role == Role.PLATFORM_ADMIN:
        return _("%(name)s, operator of the service") % {"name": event.actor_name}
    return event.actor_name or str(DOORS.get(event.door, ""))


def _what(event: AuditEvent) -> Iterator[str]:
    table, _dot, verb = event.kind.partition(".")
    before, after = event.before or {}, event.after or {}
    if event.kind in HAPPENED:
        yield str(HAPPENED[event.kind])
        yield from (_value(detail, after[detail]) for detail in DETAILS if after.get(detail))
        if event.device:
            yield devices.name_of(event.device) or event.device
    elif verb == "insert":
        yield str(MADE.get(table, ""))
        for column in ("email", "role", "expires_at", "max_uses", "ends_at"):
            if after.get(column) is not None:
                yield f"{SHOWN[column]}: {_value(column, after[column])}"
    elif verb == "delete":
        yield _("Deleted.")
    else:
        lines = list(_changes(before, after))
        yield from lines or [_("Changed.")]


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for column, label in SHOWN.items():
        if column in after:
            yield f"{label}: {_value(column, before.get(column))} → {_value(column, after[column])}"
    if "password_hash" in after:
        yield _("The password was changed.")
    if after.get("must_change_password"):
        yield _("It has to be changed at the next sign-in.")
    if "locked_until" in after:
        yield (
            _("Locked until %(time)s.") % {"time": _value("locked_until", after["locked_until"])}
            if after["locked_until"]
            else _("The lock was lifted.")
        )
    if "session_epoch" in after:
        yield _("All sessions were ended.")
    if after.get("ended_at"):
        yield _("The access to the records was ended early.")
    if after.get("is_disabled"):
        yield _("Disabled.")


def _value(column: str, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if column in CHOICES:
        return str(CHOICES[column].get(value, value))
    if column in ("expires_at", "locked_until", "ends_at"):
        instant = dt.datetime.fromisoformat(value)
        return date_format(timezone.localtime(instant), "DATETIME_FORMAT")
    if column == "month" and re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", str(value)):
        return date_format(dt.date.fromisoformat(f"{value}-01"), "YEAR_MONTH_FORMAT")
    return str(value)
