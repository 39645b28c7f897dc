"""What platform admins change of tenants: making, suspending, restoring, closing, reopening.

Each function works in the caller's scope, which is the platform's, and in the caller's transaction; triggers
write the audit trail. docs/adr/0012-platform-site.md.
"""

import enum
import hashlib
import unicodedata
from typing import Final

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, connection, transaction
from django.views.decorators.debug import sensitive_variables

from accounts import people
from accounts.account_actions import unless_taken
from accounts.models import AuditEvent, Role, User
from accounts.people import FirstPassword, Person
from tenants import scope
from tenants.models import Tenant, TenantStatus
from tenants.scope import Reach

ARCHIVE: Final = "export.archive"


class Problem(enum.Enum):
    """Why something is not done to a tenant."""

    CHANGED_MEANWHILE = "it is in another state by now"
    NO_ARCHIVE = "nothing was exported yet"
    ARCHIVE_TOO_OLD = "something was recorded since the export"
    WRONG_CODE = "the code is not that of the newest export"
    IN_USE = "somebody else is there, or the password was chosen already"


class TenantError(Exception):
    """Something that is not done to a tenant, with the reason."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


class AlreadyMadeError(Exception):
    """The same form was sent before: there is the tenant that it made."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(tenant.tenant_uid)
        self.tenant = tenant


@sensitive_variables("password", "hashed")
def create_tenant(tenant: Tenant, admin: Person, *, language: str) -> FirstPassword:
    """Store a new tenant, and its first admin with a password to be told them, which they have to change.

    Both or neither. The uid says which form it came from: sent twice, it is AlreadyMadeError.
    AddressTakenError, which names no tenant.
    """
    password = people.first_password()
    hashed = make_password(password)  # slow: before anything is locked
    try:
        with transaction.atomic():
            tenant.save(force_insert=True)
    except IntegrityError:
        found = Tenant.objects.in_scope().filter(tenant_uid=tenant.tenant_uid).first()
        if found is None:
            raise
        raise AlreadyMadeError(found) from None
    user = User(
        tenant=tenant,
        email=admin.email,
        username=f"{admin.last_name} {admin.first_name}",
        last_name=admin.last_name,
        first_name=admin.first_name,
        role=Role.TENANT_ADMIN,
        password=hashed,
        must_change_password=True,
        language=language,
    )
    with unless_taken():
        user.save(force_insert=True)
    return FirstPassword(user, password)


def suspend(tenant: Tenant) -> None:
    """Keep everybody of a tenant from signing in, and end their sessions at once. TenantError."""
    _move(tenant, TenantStatus.ACTIVE, TenantStatus.SUSPENDED)


def restore(tenant: Tenant) -> None:
    """Let the people of a suspended tenant sign in again. TenantError."""
    _move(tenant, TenantStatus.SUSPENDED, TenantStatus.ACTIVE)


def close(tenant: Tenant, code: str) -> AuditEvent:
    """Close a suspended tenant, and return the event of the archive with all that it has recorded.

    Whoever is recording something is waited for; that is in the archive, or the tenant is not closed; and
    nothing is recorded after. The code is in the archive and nowhere else: who has it has received that.
    TenantError.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT hold_records(%s)", [tenant.pk])
        (changes,) = cursor.fetchone()
    archive = last_archive(tenant)
    if archive is None:
        raise TenantError(Problem.NO_ARCHIVE)
    if (archive.after or {}).get("changes") != changes:
        raise TenantError(Problem.ARCHIVE_TOO_OLD)
    if (archive.after or {}).get("code_digest") != digest(code):
        raise TenantError(Problem.WRONG_CODE)
    _move(tenant, TenantStatus.SUSPENDED, TenantStatus.CLOSED)
    return archive


def reopen(tenant: Tenant) -> None:
    """Make a closed tenant a suspended one again, to be looked at before its people sign in. TenantError."""
    _move(tenant, TenantStatus.CLOSED, TenantStatus.SUSPENDED)


def digest(code: str) -> str:
    """Return what is kept of an archive's code: SHA-256, in hexadecimal. However somebody types it."""
    return hashlib.sha256(unicodedata.normalize("NFKC", code).strip().lower().encode()).hexdigest()


def last_archive(tenant: Tenant) -> AuditEvent | None:
    """Return the event of the newest file with all records of a tenant: `changes` says how new they are."""
    events = AuditEvent.objects.in_scope().filter(tenant_id=tenant.pk, kind=ARCHIVE)
    return events.order_by("-at", "-pk").first()


def only_newcomer(tenant: Tenant) -> User | None:
    """Return the first admin, as long as nobody else is there and they have not chosen a password yet."""
    wide = scope.current().replace(reach=Reach.ALL, reason="whether a tenant is in use yet")
    with scope.enter(wide):
        found = list(User.objects.in_scope().filter(tenant=tenant)[:2])
    is_new = len(found) == 1 and found[0].must_change_password and found[0].role == Role.TENANT_ADMIN
    return found[0] if is_new else None


def give_first_password_again(tenant: Tenant) -> FirstPassword:
    """Replace the password that the first admin was to be told. TenantError once the tenant is in use.

    Not later: it would open the tenant's records to who asks for it.
    """
    Tenant.objects.in_scope().select_for_update(no_key=True).get(pk=tenant.pk)
    user = only_newcomer(tenant)
    if user is None:
        raise TenantError(Problem.IN_USE)
    wide = scope.current().replace(reach=Reach.ALL, reason="a first password is given again")
    with scope.enter(wide):
        # Who chooses a password at this moment goes first.
        waiting = User.objects.in_scope().select_for_update(no_key=True)
        if not waiting.get(pk=user.pk).must_change_password:
            raise TenantError(Problem.IN_USE)
        return people.give_first_password(user)


def _move(tenant: Tenant, before: TenantStatus, after: TenantStatus) -> None:
    if not Tenant.objects.in_scope().filter(pk=tenant.pk, status=before).update(status=after):
        raise TenantError(Problem.CHANGED_MEANWHILE)
    tenant.status = after
