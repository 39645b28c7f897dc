"""How each URL, each model admin and each table is protected: say it here, or a test fails."""

import dataclasses
import enum
from collections.abc import Callable, Iterable, Iterator, Mapping

from django.db import models

from accounts.models import Session, SupportAccess, User
from attendance.corrections import Times
from attendance.models import WorkSession
from tenants.models import Tenant
from tests.tenancy.world import World


class Guard(enum.Enum):
    """Whose rows an answer may be made of."""

    PUBLIC = "nobody's: it is for anybody, signed in or not"
    OWN = "the signed-in person's own"
    OBJECT = "those of the row that the URL names, for those who may see it; 404 for everybody else"
    ADMIN = "a tenant's, for its admins, of a row that the URL names, too; 403 for everybody else"
    PLATFORM = "tenants and their admins, and no records, for platform admins; 403 for everybody else"


# Who knocks: world.World has everybody but the last.
SIGNED_IN = (
    "themselves",
    "colleague",
    "own_admin",
    "other_employee",
    "other_admin",
    "platform_admin",
    "without_tenant",
)
LOCKED_OUT = ("suspended", "nobody")
TENANT_ADMINS = frozenset({"own_admin", "other_admin"})
PLATFORM_ADMINS = frozenset({"platform_admin"})
VISITORS = (*SIGNED_IN, *LOCKED_OUT)


def _nothing(_world: World) -> dict[str, object]:
    return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protection:
    """What a URL answers.

    `get` and `post` are the statuses for those who may, `unless` has the exceptions. An OBJECT's `kwargs`
    name a row of `world.themselves`, whom those in `may` may see, with the marks of those in `shows`; an
    ADMIN's or PLATFORM's, where there are any, a row of the tenant `world.here`, or that tenant. `data` are
    what a POST says, with ids of other people's rows, or of another tenant's, wherever the form takes any.
    `changes` are the tables in which it may change other people's rows all the same; an ADMIN changes its
    tenant's and no others. What `looks` into the records of the tenant that it names shows its people's.
    """

    guard: Guard
    get: int
    post: int
    unless: Mapping[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    data: Callable[[World], dict[str, object]] = _nothing
    kwargs: Callable[[World], dict[str, object]] = _nothing
    may: frozenset[str] = frozenset()
    shows: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    looks: bool = False


def session_of(user: User) -> str:
    """Return what lists call a session of this user."""
    return Session.objects.filter(user=user).values_list("pk", flat=True)[0]


def _running_there(world: World) -> dict[str, object]:
    session = world.other_at_work.running
    assert session
    return {"seen": session.pk, "confirmed": "1", "user": world.other_at_work.user.pk, "id": session.pk}


def _month_here(world: World) -> dict[str, object]:
    return {"user_id": world.themselves.user.pk, "month": "2026-11"}


URLS: dict[str, Protection] = {
    "attendance:home": Protection(guard=Guard.OWN, get=200, post=405),
    "attendance:clock_in": Protection(
        guard=Guard.OWN,
        get=200,
        post=303,
        data=_running_there,
        unless={("get", "without_tenant"): 302, ("get", "platform_admin"): 302},
    ),
    "attendance:clock_out": Protection(guard=Guard.OWN, get=302, post=303, data=_running_there),
    "attendance:history": Protection(
        guard=Guard.OBJECT,
        get=200,
        post=405,
        kwargs=lambda world: {"session_id": world.themselves.past.pk},
        may=frozenset({"themselves", "own_admin"}),
        shows=frozenset({"own_admin"}),  # who made the correction
    ),
    "accounts:sign_in": Protection(
        guard=Guard.PUBLIC,
        get=302,
        post=302,
        unless={(method, visitor): 200 for method in ("get", "post") for visitor in LOCKED_OUT},
        data=lambda world: {"email": world.themselves.user.email, "password": "wrong"},
        changes=frozenset({"users"}),  # a wrong password is counted
    ),
    "accounts:sign_out": Protection(guard=Guard.PUBLIC, get=405, post=302),
    "accounts:register": Protection(
        guard=Guard.PUBLIC,
        get=302,
        post=302,
        unless={(method, visitor): 200 for method in ("get", "post") for visitor in LOCKED_OUT},
        data=lambda world: {
            "code": world.codes[world.here.pk].code,
            "last_name": "Somebody",
            "first_name": "Else",
            "email": world.themselves.user.email,
            "password": "taken, whoever asks",
        },
    ),
    "accounts:password_forgot": Protection(
        guard=Guard.PUBLIC, get=200, post=303, data=lambda _world: {"email": "stranger@example.com"}
    ),
    "accounts:password_forgot_sent": Protection(guard=Guard.PUBLIC, get=200, post=405),
    "accounts:password_reset_link": Protection(
        guard=Guard.PUBLIC, get=302, post=405, kwargs=lambda _world: {"token": "A" * 43}
    ),
    "accounts:password_reset": Protection(
        guard=Guard.PUBLIC, get=200, post=200, data=lambda _world: {"new_password": "of nobody at all"}
    ),
    "accounts:invitation_link": Protection(
        guard=Guard.PUBLIC, get=302, post=405, kwargs=lambda _world: {"token": "A" * 43}
    ),
    "accounts:invitation": Protection(
        guard=Guard.PUBLIC, get=200, post=200, data=lambda _world: {"new_password": "of nobody at all"}
    ),
    "accounts:password_change": Protection(
        guard=Guard.OWN,
        get=200,
        post=200,
        data=lambda world: {
            "current_password": "wrong",
            "new_password": "for somebody else",
            "user": world.colleague.user.pk,
            "username": world.colleague.user.email,
        },
    ),
    "accounts:account": Protection(guard=Guard.OWN, get=200, post=405),
    "accounts:account_name": Protection(
        guard=Guard.OWN,
        get=200,
        post=303,
        data=lambda world: {
            "last_name": "Other",
            "first_name": "Name",
            "user": world.colleague.user.pk,
            "id": world.other_employee.user.pk,
        },
    ),
    "accounts:account_email": Protection(
        guard=Guard.OWN,
        get=200,
        post=200,
        data=lambda world: {"email": world.other_employee.user.email, "current_password": "wrong"},
    ),
    "accounts:account_email_confirm": Protection(
        guard=Guard.OWN, get=303, post=303, data=lambda _world: {"code": "123456"}
    ),
    "accounts:account_sessions": Protection(guard=Guard.OWN, get=200, post=405),
    "accounts:session_end": Protection(
        guard=Guard.OWN,
        get=405,
        post=303,
        data=lambda world: {"session": session_of(world.other_employee.user)},
    ),
    "accounts:sessions_end_others": Protection(guard=Guard.OWN, get=405, post=303),
    "admin:sessions": Protection(guard=Guard.ADMIN, get=200, post=405),
    "admin:session_end": Protection(
        guard=Guard.ADMIN,
        get=405,
        post=404,
        # To them it is somebody of their own.
        unless={("post", "other_admin"): 303},
        data=lambda world: {
            "user": world.other_employee.user.pk,
            "session": session_of(world.other_employee.user),
        },
    ),
    "accounts:sign_out_everywhere": Protection(guard=Guard.OWN, get=405, post=303),
    "set_language": Protection(guard=Guard.PUBLIC, get=302, post=302, data=lambda _world: {"language": "en"}),
    "alive": Protection(guard=Guard.PUBLIC, get=200, post=405),
    "ready": Protection(guard=Guard.PUBLIC, get=200, post=405),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdminPage:
    """A page of a model admin: what it answers to the tenant's admin, and what a POST to it says."""

    get: int
    post: int
    data: Callable[[World], dict[str, object]] = _nothing
    changes: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Admin:
    """What a model admin shows: its list `rows` of a tenant, its pages one of them, never another's.

    `list_pages` are its pages without a row, but for the list itself: add, and those that it has made
    (`list_page`). `row_pages` are change, the deeds, and those that it has made (`row_page`).
    """

    rows: Callable[[World, Tenant], Iterable[models.Model]]
    list_pages: Mapping[str, AdminPage] = dataclasses.field(default_factory=dict)
    row_pages: Mapping[str, AdminPage] = dataclasses.field(default_factory=dict)

    def row(self, world: World) -> models.Model:
        """Return the row of the tenant `world.here` that pages are asked for."""
        return next(iter(self.rows(world, world.here)))

    def urls(self, site: str, model: str) -> Iterator[tuple[str, Protection]]:
        """Yield what its URLs promise, by name."""
        prefix = f"{site}:{model.replace('.', '_').lower()}"
        guard = Guard.PLATFORM if site == "platform" else Guard.ADMIN
        pages = {"changelist": AdminPage(get=200, post=200), **self.list_pages}
        for name, page in pages.items():
            yield (
                f"{prefix}_{name}",
                Protection(guard=guard, get=page.get, post=page.post, data=page.data, changes=page.changes),
            )
        for name, page in {"history": AdminPage(get=200, post=200), **self.row_pages}.items():
            yield (
                f"{prefix}_{name}",
                Protection(
                    guard=guard,
                    get=page.get,
                    post=page.post,
                    data=page.data,
                    changes=page.changes,
                    kwargs=lambda world: {"object_id": self.row(world).pk},
                ),
            )


def _their_address(world: World) -> dict[str, object]:
    return {
        "last_name": "New",
        "first_name": "Name",
        "email": world.other_employee.user.email,
        "role": "employee",
        "way": "password",
        "tenant": world.there.pk,
        "id": world.other_employee.user.pk,
    }


def _their_tenant(world: World) -> dict[str, object]:
    return {"max_uses": 5, "tenant": world.there.pk, "created_by": world.other_admin.user.pk}


def _added_there(world: World) -> dict[str, object]:
    """A day of which something is taken there: whoever may not see that is told nothing of it."""
    times = {"start": "2026-11-19T00:00", "end": "2026-11-19T23:59"}
    return {"user": world.other_employee.user.pk, **times, "reason": "x"}


def _ended_here(world: World) -> dict[str, object]:
    session = world.at_work.running
    assert session
    session.refresh_from_db()
    return {"end": "11:59", "reason": "x", "seen": Times.of(session).text}


def _corrected_here(world: World) -> dict[str, object]:
    there = {"user": world.other_employee.user.pk, "id": world.other_employee.past.pk}
    times = {"start": "2026-11-20T09:00", "end": "2026-11-20T11:59"}
    return {**_ended_here(world), **times, **there}


def _why(_world: World) -> dict[str, object]:
    return {"reason": "x"}


def _access_here(world: World) -> int:
    return SupportAccess.objects.filter(tenant=world.here).values_list("pk", flat=True)[0]


# Model admins by "site:app.Model".
ADMINS: dict[str, Admin] = {
    "admin:accounts.User": Admin(
        rows=lambda _world, tenant: User.objects.filter(tenant=tenant).order_by("pk"),
        list_pages={
            "add": AdminPage(get=200, post=200, data=_their_address),
            "import": AdminPage(get=200, post=200),
            "export": AdminPage(get=200, post=405),
        },
        row_pages={
            "change": AdminPage(get=200, post=200, data=_their_address),
            "suspend": AdminPage(get=200, post=303, data=lambda world: {"reason": "left"}),
            "password": AdminPage(get=200, post=200, data=lambda world: {"way": "password"}),
            "invite": AdminPage(get=200, post=303),
            # Not to be done to somebody who has no password yet.
            "sign-out": AdminPage(get=303, post=303),
            "restore": AdminPage(get=303, post=303),
            "unlock": AdminPage(get=303, post=303),
        },
    ),
    "admin:accounts.RoleCode": Admin(
        rows=lambda world, tenant: [world.codes[tenant.pk]],
        list_pages={"add": AdminPage(get=200, post=303, data=_their_tenant)},
        row_pages={
            "change": AdminPage(get=200, post=403, data=_their_tenant),
            "disable": AdminPage(get=200, post=303),
            "qr_svg": AdminPage(get=200, post=405),
            "qr_png": AdminPage(get=200, post=405),
            "print": AdminPage(get=200, post=405),
        },
    ),
    "admin:attendance.WorkSession": Admin(
        # Those of the month that the list shows; the one that runs first, for it has every page.
        rows=lambda _world, tenant: WorkSession.objects.filter(user__tenant=tenant).order_by(
            "-end_time", "pk"
        ),
        list_pages={
            "add": AdminPage(get=200, post=200, data=_added_there),
            "deleted": AdminPage(get=200, post=405),
        },
        row_pages={
            "change": AdminPage(get=200, post=303, data=_corrected_here),
            "end": AdminPage(get=200, post=303, data=_ended_here),
            "delete": AdminPage(get=200, post=303, data=_ended_here),
        },
    ),
}
ADMINS["platform:tenants.Tenant"] = Admin(
    rows=lambda _world, tenant: [tenant],
    list_pages={
        "changelist": AdminPage(get=302, post=302),
        # An address that somebody has: nothing is made.
        "add": AdminPage(get=200, post=200, data=_their_address),
    },
    row_pages={
        "change": AdminPage(get=200, post=405),
        "quarantine": AdminPage(get=200, post=405),
        "suspend": AdminPage(get=200, post=303, data=_why, changes=frozenset({"tenants"})),
        "access": AdminPage(get=200, post=303, data=lambda world: {**_why(world), "minutes": 15}),
        # Not to be done to a tenant that is active and in use.
        "restore": AdminPage(get=303, post=303, data=_why),
        "close": AdminPage(get=303, post=303, data=_why),
        "reopen": AdminPage(get=303, post=303, data=_why),
        "password": AdminPage(get=303, post=303, data=_why),
    },
)


def _here(world: World) -> dict[str, object]:
    return {"tenant_id": world.here.pk}


URLS.update(
    {
        "platform:index": Protection(guard=Guard.PLATFORM, get=200, post=405),
        "platform:imports": Protection(guard=Guard.PLATFORM, get=200, post=405),
        "platform:accesses": Protection(guard=Guard.PLATFORM, get=200, post=405),
        "platform:jsi18n": Protection(guard=Guard.PLATFORM, get=200, post=405),
        "platform:autocomplete": Protection(guard=Guard.PLATFORM, get=403, post=403),
        # Here an access lasts: what is in the tenant may be seen, test_platform.py tries the other one.
        "platform:support_month": Protection(
            guard=Guard.PLATFORM, get=200, post=405, kwargs=_here, looks=True
        ),
        "platform:support_employee": Protection(
            guard=Guard.PLATFORM,
            get=200,
            post=405,
            kwargs=lambda world: {**_here(world), **_month_here(world)},
            looks=True,
        ),
        "platform:support_archive": Protection(
            guard=Guard.PLATFORM, get=200, post=405, kwargs=_here, looks=True
        ),
        "platform:support_end": Protection(
            guard=Guard.PLATFORM,
            get=405,
            post=303,
            kwargs=_here,
            changes=frozenset({"support_accesses"}),
        ),
        "admin:archive": Protection(guard=Guard.ADMIN, get=200, post=405),
        "admin:support_end": Protection(
            guard=Guard.ADMIN, get=405, post=303, kwargs=lambda world: {"access_id": _access_here(world)}
        ),
        "admin:index": Protection(guard=Guard.ADMIN, get=200, post=405),
        "admin:month_xlsx": Protection(guard=Guard.ADMIN, get=200, post=405),
        "admin:month_csv": Protection(guard=Guard.ADMIN, get=200, post=405),
        "admin:employee_month": Protection(guard=Guard.ADMIN, get=200, post=405, kwargs=_month_here),
        "admin:employee_month_xlsx": Protection(guard=Guard.ADMIN, get=200, post=405, kwargs=_month_here),
        "admin:settings": Protection(
            guard=Guard.ADMIN,
            get=200,
            post=303,
            data=lambda world: {
                "name": "Another name",
                "contact_email": "",
                "time_zone": "Asia/Tokyo",
                "id": world.there.pk,
                "tenant": world.there.pk,
            },
        ),
        # Who of the platform did what to the tenant.
        "admin:audit": Protection(guard=Guard.ADMIN, get=200, post=405, shows=frozenset({"platform_admin"})),
        "admin:jsi18n": Protection(guard=Guard.ADMIN, get=200, post=405),
        # 403 without a field that asks: test_every_admin.py asks for each.
        "admin:autocomplete": Protection(guard=Guard.ADMIN, get=403, post=403),
    }
)
for _name, _admin in ADMINS.items():
    URLS.update(_admin.urls(*_name.split(":")))

# Tables with rows of tenants, and the column that says whose: a user's id, or a tenant's.
TABLES: dict[str, str] = {
    "tenants": "id",
    "users": "id",
    "role_codes": "tenant_id",
    "password_resets": "user_id",
    "work_sessions": "user_id",
    "work_session_history": "user_id",
    "audit_events": "tenant_id",
    "sessions": "user_id",
    "import_sources": "",  # the platform's alone, like the next
    "imported_rows": "",
    "import_quarantine": "tenant",
    "support_accesses": "tenant_id",
    "errands": "",  # whether their addresses are anybody's is looked at when they are done
}
# What runs as the owner and can be called by the application, and why that harms nobody.
FUNCTIONS: dict[str, str] = {
    "scope": "tells the scope of the transaction, once its seal is verified",
    "record_event": "writes sign-ins, about people whom the scope reaches",
    "users_in_scope": "ids of the users whom the scope reaches, for policies",
    "scope_platform": "whether the scope is a platform admin's, who still is one",
    "has_users": "whether a tenant has anybody, for the policy by which the platform makes its first admin",
    "scope_support": "the tenant of an access that lasts, of a platform admin who still is one",
    "record_tenant_event": "writes downloads and looks from outside, about the tenant of the scope",
    "tenant_figures": "numbers and dates of tenants, to the platform",
    "tenant_details": "likewise, of one",
    "tenant_changes": "how often a tenant's records were changed, to who may read them and to the platform",
    "hold_records": "the same to the platform, which keeps the tenant's records from changing meanwhile",
    "quarantine_summary": "how much imports refused, to the platform",
    "quarantine_of": "which rows an import refused, and nothing that stands in them, to the platform",
    "read_session": "one session, to whoever knows its id; its data are signed, and good for no other",
    "create_session": "makes one, which is none without data that the application signed for its id",
    "replace_session": "changes one, for whoever knows its id; data that are not signed for it end it",
    "touch_session": "lengthens one, for whoever knows its id; but not the longest lifetime, which is signed",
    "remove_session": "ends one, for whoever knows its id",
    "clear_sessions": "removes what has expired, by PostgreSQL's own clock too",
    "purge_work_sessions": "removes what is older than the retention, for a command of the operator's",
    "purge_audit_events": "likewise, from the audit trail; by PostgreSQL's clock, like the other two",
    "purge_import_quarantine": "likewise, what imports refused",
}
# Tables with no row of a tenant, and why that is so.
OTHERS: dict[str, str] = {
    "django_migrations": "which migrations ran",
    "django_content_type": "names of models",
    "auth_permission": "names of Django's permissions, of which nobody here has any",
    "auth_group": "empty: roles are a column of users",
    "auth_group_permissions": "empty, likewise",
    "throttle_counters": "counts by HMACs of addresses: docs/adr/0010-accounts.md",
    "scope_keys": "the keys of the seals: no right of anybody but the owner",
}
