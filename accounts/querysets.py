from typing import TYPE_CHECKING, Any, Self

from django.contrib.auth.models import BaseUserManager
from django.db.models import Q
from django.db.models.functions import Now

from tenants import scope
from tenants.querysets import ScopedQuerySet
from tenants.scope import Reach

if TYPE_CHECKING:
    from accounts.models import AuditEvent, PasswordReset, RoleCode, Session, SupportAccess, User  # noqa: F401 named in quotes

INVISIBLE_IN_ADDRESSES = "\ufeff"


def normalise_email(address: str) -> str:
    """Return the form in which an address is stored and looked up.

    Without the space and the byte order mark that copying leaves at its ends, and in lower case.
    """
    return address.replace(INVISIBLE_IN_ADDRESSES, "").strip().lower()


class UserManager(BaseUserManager["User"]):
    """How users are made and found."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this e-mail address; User.DoesNotExist without one."""
        return self.get(email=normalise_email(username or ""))

    def create_user(self, *, email: str, password: str | None, **fields: Any) -> "User":
        """Store a new user. Without a password nobody can sign in as it."""
        user = self.model(email=normalise_email(email), **fields)
        if not user.username:
            user.username = user.email
        user.set_password(password)
        user.save(using=self._db)
        return user


class UserQuerySet(ScopedQuerySet["User"]):
    """Sets of users."""

    tenant_path = "tenant"
    user_path = "pk"
    for_platform = ~Q(role="employee")
    for_support = True

    def with_tenant(self) -> "UserQuerySet":
        """Bring the tenant along in the same query: nearly every page needs its time zone."""
        return self.select_related("tenant")

    def looked_after(self) -> "UserQuerySet":
        """Leave out operators of the service, whom no tenant looks after, should one of them belong to it."""
        return self.exclude(role="platform_admin")


class AuditEventQuerySet(ScopedQuerySet["AuditEvent"]):
    """Sets of changes to tenants, users and role codes, and of sign-ins."""

    tenant_path = "tenant_id"
    user_path = "actor_id"
    for_platform = (
        Q(kind__startswith="tenants.")
        | Q(kind__startswith="support_accesses.")
        | Q(kind__startswith="access.")
        | Q(kind="export.archive")
    )

    def in_scope(self) -> Self:
        """Keep what the scope reaches. Of what somebody did in a tenant, nothing once they have left it."""
        found = scope.current()
        kept = super().in_scope()
        return kept.filter(tenant_id=found.tenant) if found.reach is Reach.OWN else kept


class RoleCodeQuerySet(ScopedQuerySet["RoleCode"]):
    """Sets of role codes: a tenant's, nobody's own."""

    tenant_path = "tenant"
    user_path = None


class PasswordResetQuerySet(ScopedQuerySet["PasswordReset"]):
    """Sets of tokens that were mailed."""

    tenant_path = "user__tenant"
    user_path = "user"


class SessionQuerySet(ScopedQuerySet["Session"]):
    """Sets of sessions of people who signed in, where the database keeps them."""

    tenant_path = "tenant"
    user_path = "user"


class SupportAccessQuerySet(ScopedQuerySet["SupportAccess"]):
    """Sets of accesses of platform admins to the records of a tenant: seen by its admins, too."""

    tenant_path = "tenant"
    user_path = None
    for_platform = Q()

    def live(self) -> Self:
        """Keep those that last at present, by PostgreSQL's clock, as its policies do."""
        return self.filter(ended_at__isnull=True, ends_at__gt=StatementNow())


class StatementNow(Now):
    """The present of a statement, and not of the transaction, which may have begun before."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return the SQL."""
        return self.as_sql(compiler, connection, template="CLOCK_TIMESTAMP()", **context)
