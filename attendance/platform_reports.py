"""What platform admins read of tenants: numbers and dates, by functions of the database that show no record.

How it stays cheap with 10^7 work sessions: the last punch is one step back in the index for each employee,
the last other activity one for each tenant; work sessions are counted up to a limit.
docs/adr/0012-platform-site.md.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from accounts import sessions
from accounts.models import AuditEvent, Role, SupportAccess, User
from attendance.import_models import ImportSource
from tenants import scope
from tenants.models import Tenant, TenantStatus
from tenants.scope import Reach, Scope

PAGE_SIZE: Final = 50
# Up to which work sessions are counted: in the list, and on a tenant's own page.
COUNTED_IN_LIST: Final = 10_000
COUNTED: Final = 1_000_000
DEEDS_SHOWN: Final = 10
ROWS_SHOWN: Final = 100
NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
NUL: Final = "\0"

# The sources from which tenants came: few rows of few files, by the primary key.
IMPORTS = """
SELECT imported.row_id, source.id, source.file_name, source.generation, source.imported_at
FROM import_sources AS source
JOIN imported_rows AS imported ON imported.source_id = source.id AND imported.table_name = 'tenants'
ORDER BY source.imported_at, source.id
"""


class Sort(models.TextChoices):
    """What the list of tenants is ordered by; equals by name."""

    NAME = "name", _("name")
    CREATED = "created", _("since")
    EMPLOYEES = "employees", _("employees")
    ACTIVITY = "activity", _("last activity")


class Figures(NamedTuple):
    """Numbers of a tenant. `work_sessions` and `quarantined` stop at the limit that was asked for."""

    employees: int = 0
    admins: int = 0
    active: int = 0
    invited: int = 0
    suspended: int = 0
    work_sessions: int = 0
    last_punch: dt.datetime | None = None
    last_event: dt.datetime | None = None
    quarantined: int = 0

    @property
    def last_activity(self) -> dt.datetime | None:
        """When somebody of the tenant last punched, signed in, or changed something."""
        return max(filter(None, (self.last_punch, self.last_event)), default=None)


class Import(NamedTuple):
    """A file from which a tenant came."""

    source: int
    file_name: str
    generation: int
    at: dt.datetime


@dataclasses.dataclass(frozen=True)
class TenantLine:
    """One tenant in the list."""

    tenant: Tenant
    figures: Figures
    last_import: Import | None
    counted: int

    @property
    def has_more(self) -> bool:
        """Whether there are more work sessions than were counted."""
        return self.figures.work_sessions >= self.counted


@dataclasses.dataclass(frozen=True)
class TenantList:
    """One page of the tenants that search and filter left, in the order asked for; how many in each state."""

    lines: list[TenantLine]
    found: int
    counts: dict[TenantStatus, int]
    page: int
    pages: int


@dataclasses.dataclass(frozen=True)
class TenantPage(TenantLine):
    """What a tenant's own page tells: sizes and dates, its admins, its imports, what was done to it.

    `imports` are with how many of their rows nobody has dealt with yet; `accesses` those that last.
    """

    admins: list[User]
    first_punch: dt.datetime | None
    at_work: int
    role_codes: int
    usable_role_codes: int
    signed_in: int
    imports: list[tuple[Import, int]]
    events: list[AuditEvent]
    accesses: list[SupportAccess]


class RefusedRow(NamedTuple):
    """A row that an import refused, without what stands in it."""

    pk: int
    source: int
    table: str
    legacy_id: int | None
    code: str
    at: dt.datetime
    resolved_at: dt.datetime | None


class Refused(NamedTuple):
    """How many rows of a table an import refused for one reason, of one tenant or of nobody known."""

    source: int
    tenant: int | None
    table: str
    code: str
    number: int
    unresolved: int


def tenant_list(
    *,
    search: str = "",
    state: TenantStatus | None = None,
    sort: Sort = Sort.NAME,
    descending: bool = False,
    page: int = 1,
) -> TenantList:
    """Return a page of the tenants in scope. Three queries, four where figures are what it is ordered by.

    `search` has words, of which each is to be in the name, the uid or the contact address.
    """
    tenants = list(Tenant.objects.in_scope())
    counts = {each: sum(t.status == each for t in tenants) for each in TenantStatus}
    found = [t for t in tenants if state in (None, t.status) and _fits(t, search)]
    found.sort(key=_place, reverse=descending and sort is Sort.NAME)
    match sort:
        case Sort.CREATED:
            found.sort(key=lambda t: t.created_at, reverse=descending)
        case Sort.EMPLOYEES | Sort.ACTIVITY:
            of_all = figures([t.pk for t in found], 0)
            if sort is Sort.EMPLOYEES:
                found.sort(key=lambda t: of_all[t.pk].employees, reverse=descending)
            else:
                found.sort(key=lambda t: of_all[t.pk].last_activity or NEVER, reverse=descending)
    pages = max(1, -(-len(found) // PAGE_SIZE))
    page = min(max(1, page), pages)
    shown = found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    of_shown, came_from = figures([t.pk for t in shown], COUNTED_IN_LIST), imports_by_tenant()
    lines = [
        TenantLine(
            t, of_shown.get(t.pk, Figures()), next(iter(came_from.get(t.pk, ())), None), COUNTED_IN_LIST
        )
        for t in shown
    ]
    return TenantList(lines, len(found), counts, page, pages)


def tenant_page(tenant: Tenant) -> TenantPage:
    """Return what a tenant's own page tells. A fixed number of queries."""
    (first_punch, at_work, role_codes, usable) = _rows("SELECT * FROM tenant_details(%(id)s)", id=tenant.pk)[
        0
    ]
    came_from = imports_by_tenant().get(tenant.pk, [])
    refused = quarantine_summary()
    unresolved = {
        each.source: sum(r.unresolved for r in refused if (r.source, r.tenant) == (each.source, tenant.pk))
        for each in came_from
    }
    events = AuditEvent.objects.in_scope().filter(tenant_id=tenant.pk).order_by("-at", "-pk")
    return TenantPage(
        tenant=tenant,
        figures=figures([tenant.pk], COUNTED).get(tenant.pk, Figures()),
        last_import=next(iter(came_from), None),
        counted=COUNTED,
        admins=list(
            User.objects.in_scope().filter(tenant=tenant, role=Role.TENANT_ADMIN).order_by("pk")[:ROWS_SHOWN]
        ),
        first_punch=first_punch,
        at_work=at_work,
        role_codes=role_codes,
        usable_role_codes=usable,
        signed_in=_signed_in(tenant),
        imports=[(each, unresolved[each.source]) for each in came_from],
        events=list(events[:DEEDS_SHOWN]),
        accesses=list(SupportAccess.objects.in_scope().live().filter(tenant=tenant).order_by("ends_at")),
    )


def figures(ids: list[int], most: int) -> dict[int, Figures]:
    """Return the numbers of tenants, by id; what is counted, up to a limit. One query."""
    query = "SELECT * FROM tenant_figures(%(ids)s::bigint[], %(most)s)"
    return {row[0]: Figures(*row[1:]) for row in _rows(query, ids=ids, most=most)}


def imports_by_tenant() -> dict[int, list[Import]]:
    """Return the files from which tenants came, the newest first. One query."""
    found: dict[int, list[Import]] = {}
    for tenant, *rest in _rows(IMPORTS):
        found.setdefault(tenant, []).insert(0, Import(*rest))
    return found


def quarantine_summary() -> list[Refused]:
    """Return how much imports refused, and why, by source and tenant. One query."""
    return [Refused(*row) for row in _rows("SELECT * FROM quarantine_summary()")]


def refused_rows(tenant: Tenant, *, after: int = 0) -> list[RefusedRow]:
    """Return rows of a tenant that imports refused, in the order they came, some and one more. One query."""
    query = "SELECT * FROM quarantine_of(%(id)s, %(after)s, %(most)s)"
    return [RefusedRow(*row) for row in _rows(query, id=tenant.pk, after=after, most=ROWS_SHOWN + 1)]


def sources() -> list[ImportSource]:
    """Return the files that were imported, the newest first."""
    return list(ImportSource.objects.order_by("-imported_at", "-pk"))


def changes_of(tenant_id: int) -> int:
    """Return how often the records of a tenant were changed: a number that only grows."""
    ((number,),) = _rows("SELECT tenant_changes(%(id)s)", id=tenant_id)
    return int(number)


def _signed_in(tenant: Tenant) -> int:
    """Count the sessions of a tenant's people: the number, and nothing of them, leaves this function."""
    wide: Scope = scope.current().replace(reach=Reach.ALL, reason="the live sessions of a tenant are counted")
    with scope.enter(wide):
        return len(sessions.of_tenant(tenant.pk))


def _fits(tenant: Tenant, search: str) -> bool:
    text = f"{tenant.name or ''}\n{tenant.tenant_uid}\n{tenant.contact_email or ''}".casefold()
    return all(word in text for word in search.casefold().split())


def _place(tenant: Tenant) -> tuple[str, int]:
    return str(tenant).casefold(), tenant.pk


def _rows(query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def tenants_named(ids: Iterable[int | None]) -> dict[int, Tenant]:
    """Return tenants in scope by id. One query."""
    return Tenant.objects.in_scope().in_bulk({pk for pk in ids if pk is not None})
