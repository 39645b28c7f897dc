import datetime as dt
import zoneinfo
from collections.abc import Collection
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password, verify_password
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.querysets import (
    AuditEventQuerySet,
    PasswordResetQuerySet,
    RoleCodeQuerySet,
    SessionQuerySet,
    SupportAccessQuerySet,
    UserManager,
    UserQuerySet,
)
from tenants import scope
from tenants.models import DEFAULT_ZONE, Tenant
from timerecord.core import clock


class Role(models.TextChoices):
    """What somebody may do."""

    PLATFORM_ADMIN = "platform_admin", _("platform admin")
    TENANT_ADMIN = "tenant_admin", _("tenant admin")
    EMPLOYEE = "employee", _("employee")


class UserStatus(models.TextChoices):
    """Whether a user may sign in."""

    ACTIVE = "active", _("active")
    SUSPENDED = "suspended", _("suspended")


class User(AbstractBaseUser):
    """A person who signs in with an e-mail address.

    Whoever has work sessions is suspended, never deleted: the database refuses it.
    """

    last_login = None  # sign-ins belong to the audit trail, not to a column

    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
        related_name="users",
        verbose_name=_("tenant"),
    )
    # A name to show. Two people of one tenant can share it, as they could in the old application.
    username = models.CharField(_("user name"))
    email = models.EmailField(_("e-mail address"), max_length=254)
    password = models.CharField(_("password"), max_length=255, db_column="password_hash")
    role = models.CharField(
        _("role"), max_length=32, choices=Role.choices, default=Role.EMPLOYEE, db_default=Role.EMPLOYEE
    )
    status = models.CharField(
        _("status"),
        max_length=16,
        choices=UserStatus.choices,
        default=UserStatus.ACTIVE,
        db_default=UserStatus.ACTIVE,
    )
    must_change_password = models.BooleanField(_("must change the password"), default=False, db_default=False)
    failed_attempts = models.PositiveIntegerField(_("failed attempts"), default=0, db_default=0)
    locked_until = models.DateTimeField(_("locked until"), null=True, blank=True)
    # Part of what a session is good for: one more, and all sessions of this user end.
    session_epoch = models.IntegerField(_("session epoch"), default=0, db_default=0, editable=False)
    # What the user chose to read and be written to in; none: what the browser asks for.
    language = models.CharField(_("language"), max_length=8, null=True, blank=True)  # noqa: DJ001 NULL: none chosen
    first_name = models.CharField(_("first name"), null=True, blank=True)  # noqa: DJ001 the design's own
    last_name = models.CharField(_("last name"), null=True, blank=True)  # noqa: DJ001 the design's own
    created_at = models.DateTimeField(_("created at"), default=clock.now, db_default=Now(), editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager.from_queryset(UserQuerySet)()

    class Meta:
        db_table = "users"
        verbose_name = _("user")
        verbose_name_plural = _("users")
        indexes = [models.Index(fields=["tenant", "role"], name="users_tenant_id_role_idx")]
        constraints = [
            models.UniqueConstraint(fields=["email"], name="users_email_key"),
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="users_email_lower_check"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="users_role_check"),
            models.CheckConstraint(
                condition=models.Q(status__in=UserStatus.values), name="users_status_check"
            ),
        ]

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        """The name as it is written in Japan: family name first; else the user name."""
        parts = [part.strip() for part in (self.last_name, self.first_name) if part and part.strip()]
        return " ".join(parts) or self.username

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The zone in which this user's days begin and end: the tenant's, or Japan's without one."""
        return self.tenant.zone if self.tenant else DEFAULT_ZONE

    @property
    def is_active(self) -> bool:  # type: ignore[override] # Django has an attribute here
        """Whether this user may be signed in: neither the user nor the tenant is suspended."""
        return self.status == UserStatus.ACTIVE and (self.tenant is None or self.tenant.is_active)

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Return what a session keeps of its user: a new password, or a new epoch, ends the session."""
        of_tenant = self.tenant.session_epoch if self.tenant else 0
        value = f"{of_tenant}:{self.session_epoch}:{self.password}"
        return salted_hmac("accounts.User.session", value, secret=secret, algorithm="sha256").hexdigest()

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Raise ValidationError also for an address that a user has whom the scope does not reach.

        That it is taken is all that is told: the database would refuse it after the form was found good.
        """
        if "email" in (exclude or ()):
            super().validate_constraints(exclude)
            return
        asks = scope.current()
        with scope.everything("whether an e-mail address is taken", door=asks.door, user=asks.user):
            super().validate_constraints(exclude)

    def check_password(self, raw_password: str) -> bool:
        """Whether it fits. A hash of an old kind is replaced by one of the password as it was typed.

        But never one that came meanwhile, which Django would overwrite: a password that was changed
        stays changed, and of two sign-ins at once neither ends the other's session.
        """
        fits, is_old = verify_password(raw_password, self.password)
        if not (fits and is_old):
            return fits
        return self.replace_hash(raw_password, make_password(raw_password))

    def replace_hash(self, raw_password: str, new: str) -> bool:
        """Store a new hash of the password that fitted; False if another password came meanwhile."""
        if User.objects.in_scope().filter(pk=self.pk, password=self.password).update(password=new):
            self.password = new
            return True
        self.refresh_from_db(fields=["password"])
        return verify_password(raw_password, self.password)[0]

    @property
    def can_punch(self) -> bool:
        """Whether this user's time is recorded. Without a tenant nobody answers for the records."""
        return self.tenant_id is not None

    def is_locked(self, moment: dt.datetime) -> bool:
        """Whether too many failed attempts keep this user from signing in at that moment."""
        return self.locked_until is not None and self.locked_until > moment


class RoleCode(models.Model):
    """What an employee registers with: it leads to a tenant."""

    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="role_codes",
        verbose_name=_("tenant"),
    )
    code = models.CharField(_("code"), max_length=16)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    max_uses = models.PositiveIntegerField(_("uses allowed"), null=True, blank=True)
    usage_count = models.PositiveIntegerField(_("uses"), default=0, db_default=0)
    is_disabled = models.BooleanField(_("disabled"), default=False, db_default=False)
    created_by = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_column="created_by",
        db_constraint=False,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created at"), default=clock.now, db_default=Now(), editable=False)

    objects = RoleCodeQuerySet.as_manager()

    class Meta:
        db_table = "role_codes"
        verbose_name = _("role code")
        verbose_name_plural = _("role codes")
        constraints = [
            models.UniqueConstraint(fields=["code"], name="role_codes_code_key"),
            models.CheckConstraint(
                condition=models.Q(code__regex=r"^[A-HJ-NP-Z2-9]{16}$"), name="role_codes_code_check"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class PasswordReset(models.Model):
    """A token that was mailed to a user: accounts.tokens says what for. Only its digest is stored."""

    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="password_resets",
        verbose_name=_("user"),
    )
    purpose = models.CharField(_("purpose"), max_length=16, default="reset", db_default="reset")
    token = models.CharField(_("digest of the token"), max_length=64)
    data = models.JSONField(_("data"), null=True, blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0, db_default=0)
    expires_at = models.DateTimeField(_("expires at"))
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=clock.now, db_default=Now(), editable=False)

    objects = PasswordResetQuerySet.as_manager()

    class Meta:
        db_table = "password_resets"
        verbose_name = _("password reset")
        verbose_name_plural = _("password resets")
        constraints = [models.UniqueConstraint(fields=["token"], name="password_resets_token_key")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.created_at:%Y-%m-%d %H:%M}"


class Session(models.Model):
    """A browser's session, where SESSION_STORE is `database`: accounts/session_store.py.

    Nobody takes one over who reads this: the id is a digest of the key that the browser has, the data are
    signed for that id. It outlives its user, to tell the browser at its next request.
    """

    id = models.CharField(_("digest of the key"), max_length=64, primary_key=True)
    data = models.TextField(_("signed data"))
    user = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("user"),
    )
    # As it was when the user signed in.
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.SET_NULL,
        null=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("tenant"),
    )
    created_at = models.DateTimeField(_("created at"))
    seen_at = models.DateTimeField(_("last seen at"))
    expires_at = models.DateTimeField(_("expires at"))

    objects = SessionQuerySet.as_manager()

    class Meta:
        db_table = "sessions"
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = [models.Index(fields=["expires_at"], name="sessions_expires_at_idx")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.created_at:%Y-%m-%d %H:%M}"


class ThrottleCounter(models.Model):
    """How often somebody tried something lately. Belongs to no tenant; see accounts/throttling.py."""

    key = models.CharField(max_length=64, primary_key=True)
    hits = models.IntegerField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "throttle_counters"
        indexes = [models.Index(fields=["expires_at"], name="throttle_counters_expires_idx")]

    def __str__(self) -> str:
        return f"{self.key[:8]} {self.hits}"


class Errand(models.Model):
    """Something to do for somebody once nobody waits for an answer; see accounts/errands.py.

    Belongs to no tenant: whether there is an account is looked at when it is done.
    """

    kind = models.CharField(max_length=16)
    details = models.JSONField()
    tries = models.IntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(default=clock.now, db_default=Now())

    class Meta:
        db_table = "errands"
        indexes = [models.Index(fields=["due_at"], name="errands_due_at_idx")]

    def __str__(self) -> str:
        return f"{self.pk} {self.kind}"


class AuditEvent(models.Model):
    """One change to a tenant, a user or a role code, or one sign-in. A trigger writes it; nobody changes it.

    What is gone leaves its trace here: there is no foreign key. docs/adr/0009-history.md.
    """

    at = models.DateTimeField()
    tenant_id = models.BigIntegerField(null=True, blank=True)
    # The table and what happened to its row, such as users.update; or sign_in.failed and the like.
    kind = models.CharField()
    subject_id = models.BigIntegerField(null=True, blank=True)
    actor_id = models.BigIntegerField(null=True, blank=True)
    # As it was then, like the role.
    actor_name = models.CharField(null=True, blank=True)  # noqa: DJ001 NULL: not told
    actor_role = models.CharField(null=True, blank=True)  # noqa: DJ001 NULL: not told
    door = models.CharField()
    address = models.CharField(null=True, blank=True)  # noqa: DJ001 NULL: not told
    # What the browser called itself.
    device = models.CharField(null=True, blank=True)  # noqa: DJ001 NULL: not told
    reason = models.CharField(null=True, blank=True)  # noqa: DJ001 NULL: not told
    # The columns that changed; of a secret only that it did.
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        db_table = "audit_events"
        indexes = [
            models.Index(fields=["tenant_id", "at"], name="audit_events_tenant_id_at_idx"),
            models.Index(fields=["subject_id", "kind"], name="audit_events_subject_kind_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.kind} {self.subject_id}"


class SupportAccess(models.Model):
    """For how long a platform admin may read a tenant's records, and why: docs/adr/0012-platform-site.md.

    PostgreSQL fills in the times by its own clock. Nobody lengthens one, nothing is needed for it to be over.
    """

    tenant = models.ForeignKey(
        Tenant, on_delete=models.PROTECT, db_constraint=False, related_name="+", verbose_name=_("tenant")
    )
    user = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        db_constraint=False,
        related_name="+",
        verbose_name=_("platform admin"),
    )
    # As they were called then: a tenant's admins see no account of the platform.
    user_name = models.CharField(_("name"), blank=True)
    reason = models.CharField(_("reason"))
    minutes = models.PositiveSmallIntegerField(_("minutes"))
    started_at = models.DateTimeField(_("started at"), db_default=Now(), editable=False)
    ends_at = models.DateTimeField(_("ends at"), db_default=Now(), editable=False)
    # When somebody ended it early, and who.
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_by = models.BigIntegerField(null=True, blank=True)

    objects = SupportAccessQuerySet.as_manager()

    class Meta:
        db_table = "support_accesses"
        verbose_name = _("support access")
        verbose_name_plural = _("support accesses")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(minutes__gte=1, minutes__lte=60), name="support_accesses_hour_check"
            ),
            models.CheckConstraint(condition=~models.Q(reason=""), name="support_accesses_reason_check"),
        ]

    def __str__(self) -> str:
        return f"{self.user_name} {self.started_at:%Y-%m-%d %H:%M}"
