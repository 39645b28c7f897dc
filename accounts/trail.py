"""The audit trail of a tenant, read for a page: newest first, some at a time."""

import dataclasses
import datetime as dt
from collections.abc import Iterable
from typing import Final

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import words
from accounts.models import AuditEvent, Role, RoleCode, User
from tenants.admin import HistoryEntry
from tenants.models import Tenant
from timerecord.core import clock

PAGE_SIZE: Final = 50
# How far back a page of a search goes: a rare name would lead through all that was ever recorded.
SEARCHED_AT_ONCE: Final = dt.timedelta(days=92)
# The events whose subject is a user; of all others it is a row of the table that the kind names.
ABOUT_USERS: Final = ("users.", "sign_", "password.", "email.", "sessions.", "export.")
# Its subject is the tenant; whose month it was is in what it tells besides.
LOOKED_AT_EMPLOYEE: Final = "access.employee"


class Kind(models.TextChoices):
    """What the trail is filtered by."""

    SIGN_INS = "sign_ins", _("signing in and out")
    FAILURES = "failures", _("failed sign-ins and locks")
    PASSWORDS = "passwords", _("passwords")
    ADDRESSES = "addresses", _("e-mail addresses")
    NEW = "new", _("new accounts")
    RIGHTS = "rights", _("suspensions and roles")
    CODES = "codes", _("role codes")
    SETTINGS = "settings", _("settings")
    EXPORTS = "exports", _("downloads")
    OPERATOR = "operator", _("operator of the service")

    @property
    def condition(self) -> Q:
        """Which events it means."""
        change = Q(kind="users.update")
        return {
            Kind.SIGN_INS: Q(kind__in=("sign_in", "sign_out")) | Q(kind__startswith="sessions."),
            Kind.FAILURES: Q(kind__in=("sign_in.failed", "sign_in.locked"))
            | change & Q(after__has_key="locked_until"),
            Kind.PASSWORDS: Q(kind__startswith="password.")
            | change & Q(after__has_any_keys=["password_hash", "must_change_password"]),
            Kind.ADDRESSES: Q(kind__startswith="email.") | change & Q(after__has_key="email"),
            Kind.NEW: Q(kind="users.insert"),
            Kind.RIGHTS: change & Q(after__has_any_keys=["status", "role"]),
            Kind.CODES: Q(kind__startswith="role_codes."),
            Kind.SETTINGS: Q(kind__startswith="tenants."),
            Kind.EXPORTS: Q(kind__startswith="export."),
            Kind.OPERATOR: Q(actor_role=Role.PLATFORM_ADMIN)
            | Q(kind__startswith="access.")
            | Q(kind__startswith="support_accesses.")
            | Q(door__in=("command", "migration", "import")),
        }[self]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in the trail a page begins: after this event."""

    at: dt.datetime
    pk: int

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """Read what `str` wrote; None for anything else."""
        at, _separator, pk = text.rpartition("_")
        try:
            moment, number = dt.datetime.fromisoformat(at), int(pk)
            # PostgreSQL knows no zone as far from UTC as Python takes.
            place = cls(moment.astimezone(dt.UTC), number) if moment.tzinfo else None
        except (ValueError, OverflowError):
            return None
        return place if place and 0 <= place.pk < 2**63 else None

    def __str__(self) -> str:
        """Write it for an address."""
        return f"{self.at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{self.pk}"


@dataclasses.dataclass(frozen=True)
class Line:
    """One event in words: when, who, what about whom, from where.

    `user` is the id of whom it is about, if the tenant looks after them.
    """

    at: dt.datetime
    who: str
    whom: str
    user: int | None
    is_own: bool
    what: list[str]
    reason: str
    address: str
    is_alarming: bool


@dataclasses.dataclass(frozen=True)
class TrailPage:
    """Some events, the newest first, and where those before them begin; None at the end.

    `searched_to` is how far back they were looked for, where earlier ones may fit as well.
    """

    lines: list[Line]
    older: Place | None
    searched_to: dt.datetime | None = None


def trail_page(
    tenant: Tenant, *, search: str = "", kind: Kind | None = None, before: Place | None = None
) -> TrailPage:
    """Return events of a tenant, as far as they are in scope. Five queries at most.

    What is searched or filtered is looked for SEARCHED_AT_ONCE back from where the page begins.

    `search` has words, of which each is to be in the name or the address of who did it, or of whom it was
    done to; of somebody whose account is gone, in the name that the event has.
    """
    events = AuditEvent.objects.in_scope().filter(tenant_id=tenant.pk)
    if kind is not None:
        events = events.filter(kind.condition)
    if search:
        events = events.filter(_by_name(search))
    if before is not None:
        # The first condition finds the place in the index.
        events = events.filter(at__lte=before.at).filter(Q(at__lt=before.at) | Q(pk__lt=before.pk))
    since = (before.at if before else clock.now()) - SEARCHED_AT_ONCE
    is_narrowed = bool(search or kind)
    if is_narrowed:
        events = events.filter(at__gte=since)
    found = list(events.order_by("-at", "-pk")[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    if len(found) > PAGE_SIZE:
        return TrailPage(_lines(shown, tenant), Place(shown[-1].at, shown[-1].pk))
    earlier = AuditEvent.objects.in_scope().filter(tenant_id=tenant.pk, at__lt=since)
    if is_narrowed and earlier.exists():
        return TrailPage(_lines(shown, tenant), Place(since, 0), since)
    return TrailPage(_lines(shown, tenant), None)


def _by_name(search: str) -> Q:
    people, name = User.objects.in_scope(), Q()
    for word in search.split():
        people = people.filter(
            Q(last_name__icontains=word)
            | Q(first_name__icontains=word)
            | Q(username__icontains=word)
            | Q(email__icontains=word)
        )
        name &= Q(actor_name__icontains=word)
    ids = people.values("pk")
    looked_at = Q(kind=LOOKED_AT_EMPLOYEE, after__employee__in=list(ids.values_list("pk", flat=True)))
    return name | Q(actor_id__in=ids) | Q(_about_users(), subject_id__in=ids) | looked_at


def _about_users() -> Q:
    condition = Q()
    for beginning in ABOUT_USERS:
        condition |= Q(kind__startswith=beginning)
    return condition


def _lines(events: list[AuditEvent], tenant: Tenant) -> list[Line]:
    users = _named(_about(event) for event in events)
    return [
        _line(event, entry, users, tenant) for event, entry in zip(events, words.entries(events), strict=True)
    ]


def _named(ids: Iterable[int | None]) -> dict[int, User]:
    wanted = {pk for pk in ids if pk is not None}
    named = User.objects.in_scope().only("last_name", "first_name", "username", "role")
    return {user.pk: user for user in named.filter(pk__in=wanted)}


def _about(event: AuditEvent) -> int | None:
    """Return the id of the user whom an event is about, if it is about one."""
    if event.kind == LOOKED_AT_EMPLOYEE:
        said = (event.after or {}).get("employee")
        return said if isinstance(said, int) else None
    return event.subject_id if event.kind.startswith(ABOUT_USERS) else None


def _line(event: AuditEvent, entry: HistoryEntry, users: dict[int, User], tenant: Tenant) -> Line:
    user_id = _about(event)
    is_own = user_id is not None and user_id == event.actor_id
    about = users.get(user_id) if user_id is not None else None
    if user_id is not None:
        whom = about.display_name if about else _name_in(event)
    elif event.kind.startswith(f"{RoleCode._meta.db_table}."):
        whom = str(_("role code"))
    else:
        whom = str(tenant)
    return Line(
        at=entry.at,
        who=entry.who,
        whom=whom,
        user=about.pk if about and about.role != Role.PLATFORM_ADMIN else None,
        is_own=is_own,
        what=list(entry.what),
        # Without somebody who did it, the reason is the code's, and no news.
        reason=entry.reason if event.actor_id is not None else "",
        address=event.address or "",
        is_alarming=event.kind in ("sign_in.failed", "sign_in.locked"),
    )


def _name_in(event: AuditEvent) -> str:
    """Return what the event itself calls somebody whose account is gone."""
    said = {**(event.before or {}), **(event.after or {})}
    parts = [said.get("last_name"), said.get("first_name")]
    return " ".join(part for part in parts if part) or said.get("email") or ""
