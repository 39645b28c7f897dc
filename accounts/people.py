"""What a tenant's admins change of its people: inviting, names and roles, suspension, first passwords.

Each function works in the caller's scope, which reaches the tenant and names who does it, and in the caller's
transaction. Locks are taken in one order: the tenant's admins by id, another user's row, a token's.
"""

import dataclasses
import datetime as dt
import enum
import secrets
from collections.abc import Sequence
from typing import Any, Final

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.core.mail import EmailMessage
from django.db import models
from django.db.models import Case, F, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from accounts import errands, mail, sessions, tokens
from accounts.account_actions import unless_taken
from accounts.errands import Kind
from accounts.models import Role, User, UserStatus
from accounts.querysets import UserQuerySet, normalise_email
from accounts.tokens import Purpose
from tenants import scope
from tenants.changes import to_store
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope

INVITATION_SECONDS: Final = 7 * 24 * 60 * 60
PASSWORD_LINK_SECONDS: Final = 24 * 60 * 60
# Without what is mistaken for something else: 31 characters, so 16 of them are 79 bits.
READABLE: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class State(models.TextChoices):
    """In what state an account is, as its admin sees it: the first of these that holds."""

    SUSPENDED = "suspended", _("suspended")
    LOCKED = "locked", _("locked")
    INVITED = "invited", _("invited")  # has no password yet
    FIRST_PASSWORD = "first_password", _("first password")  # has to change it
    ACTIVE = "active", _("active")


def state_at(moment: dt.datetime) -> Case:
    """Return the expression of the state that an account has at a moment."""
    return Case(
        When(status=UserStatus.SUSPENDED, then=Value(State.SUSPENDED.value)),
        When(locked_until__gt=moment, then=Value(State.LOCKED.value)),
        When(password__startswith=UNUSABLE_PASSWORD_PREFIX, then=Value(State.INVITED.value)),
        When(must_change_password=True, then=Value(State.FIRST_PASSWORD.value)),
        default=Value(State.ACTIVE.value),
        output_field=models.CharField(),
    )


class Problem(enum.Enum):
    """Why something is not done to somebody."""

    ONESELF = "nobody changes their own role or status"
    LAST_ADMIN = "a tenant keeps one active admin at least"
    NO_ADMIN_ANY_MORE = "who asks has been suspended or demoted meanwhile"
    NO_ADDRESS = "nobody reads mail at an address that the old application made up"
    CHANGED_MEANWHILE = "it is in another state by now"


class PersonError(Exception):
    """Something that is not done to somebody, with the reason."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclasses.dataclass(frozen=True)
class Person:
    """What somebody is called, how they sign in, and what they are."""

    last_name: str
    first_name: str
    email: str
    role: str = Role.EMPLOYEE


@dataclasses.dataclass(frozen=True)
class FirstPassword:
    """A password that somebody was given, to be told once. Nothing keeps it but as a hash."""

    user: User
    password: str = dataclasses.field(repr=False)


def invite_by_mail(tenant: Tenant, newcomer: Person) -> User:
    """Make an account, and mail its owner a link to choose a password: once, within seven days.

    MailError before anything else if no mail can be sent; AddressTakenError.
    """
    mail.require_server()
    user = _make(tenant, newcomer, password=None)
    send_invitation(user)
    return user


@sensitive_variables("password")
def invite_with_password(tenant: Tenant, newcomer: Person) -> FirstPassword:
    """Make an account with a first password, which its owner has to change. AddressTakenError."""
    password = first_password()
    return FirstPassword(_make(tenant, newcomer, password=password), password)


@sensitive_variables("password", "hashed")
def invite_all(
    tenant: Tenant, newcomers: Sequence[Person], *, with_passwords: bool
) -> list[FirstPassword] | list[User]:
    """Make many accounts in one statement, all or none. AddressTakenError.

    With passwords: 60 ms of a CPU each. Without, the caller has `mail_invitations` mail the links, once what
    is done here is committed.
    """
    passwords = [first_password() if with_passwords else None for _newcomer in newcomers]
    users = [
        _user(tenant, newcomer, make_password(password), has_password=with_passwords)
        for newcomer, password in zip(newcomers, passwords, strict=True)
    ]
    with unless_taken():
        made = User.objects.bulk_create(users)
    if not with_passwords:
        return made
    return [FirstPassword(user, password or "") for user, password in zip(made, passwords, strict=True)]


@sensitive_variables("password", "hashed")
def _make(tenant: Tenant, newcomer: Person, *, password: str | None) -> User:
    hashed = make_password(password)  # slow: before anything is locked
    user = _user(tenant, newcomer, hashed, has_password=password is not None)
    with unless_taken():
        user.save(force_insert=True)
    return user


def _user(tenant: Tenant, newcomer: Person, hashed: str, *, has_password: bool) -> User:
    return User(
        tenant=tenant,
        email=normalise_email(newcomer.email),
        username=f"{newcomer.last_name} {newcomer.first_name}",
        last_name=newcomer.last_name,
        first_name=newcomer.first_name,
        role=newcomer.role,
        password=hashed,
        must_change_password=has_password,
    )


def send_invitation(user: User) -> None:
    """Mail a link to choose a first password; one that was mailed before is void.

    PersonError for an address that nobody has.
    """
    _send_link(user, "invitation", INVITATION_SECONDS)


def send_password_link(user: User) -> None:
    """Mail a link to choose another password, good for a day; until then the old one is.

    MailError if no mail can be sent; PersonError for an address that nobody has.
    """
    mail.require_server()
    _send_link(user, "password_link", PASSWORD_LINK_SECONDS)


def _send_link(user: User, template: str, seconds: int) -> None:
    if mail.is_placeholder(user.email):
        raise PersonError(Problem.NO_ADDRESS)
    tokens.lock_user(user.pk)
    mail.send(user, template, _link(user, seconds))


def _link(user: User, seconds: int) -> dict[str, object]:
    token = tokens.issue(user.pk, Purpose.INVITE, seconds)
    return {
        "link": mail.link(reverse("accounts:invitation_link", args=[token])),
        "tenant": user.tenant,
        "days": seconds // (24 * 60 * 60),
    }


def mail_invitations(request: HttpRequest, users: Sequence[User]) -> None:
    """Have invitations mailed to all of these, once what is done here is committed and nobody waits.

    An errand for each: many mails would take longer than the request may, which would then be told as failed;
    and what fails with one keeps back no other, and is tried again.
    """
    by, language = dataclasses.asdict(scope.current()), get_language()
    with scope.enter(scope.current().replace(reach=Reach.ALL, reason="what waits to be done for somebody")):
        errands.leave_all(
            Kind.INVITATION, [{"user": user.pk, "by": by, "language": language} for user in users]
        )
    errands.soon(request, len(users))


def invitation_mail(details: dict[str, Any]) -> EmailMessage | None:
    """Return the mail with a link to somebody who was invited, in the scope of who did it.

    None for somebody who needs no link any more.
    """
    asked, user_id = details["by"], details["user"]
    with scope.enter(Scope(**{**asked, "reach": Reach(asked["reach"]), "door": Door(asked["door"])})):
        tokens.lock_user(user_id)
        user = User.objects.in_scope().with_tenant().filter(pk=user_id).first()
        if (
            user is None
            or not user.is_active
            or user.has_usable_password()
            or mail.is_placeholder(user.email)
        ):
            return None
        link = _link(user, INVITATION_SECONDS)
        return mail.render(user.email, "invitation", link, user.language or details["language"])


def change(user: User, said: Person, *, seen: Person) -> None:
    """Change of somebody what is said otherwise than the page showed, and nothing else.

    So what somebody else changed meanwhile stays, unless it is the same thing: ChangedMeanwhileError. Also
    PersonError, AddressTakenError. The old address is told of the new one; a link that went there is void.
    """
    before, after = dataclasses.asdict(seen), dataclasses.asdict(said)
    if after["role"] != before["role"]:
        _look_at_oneself(user)
        _keep_an_admin(user)
        sessions.forget_ended(user)
    row = User.objects.in_scope().filter(pk=user.pk)
    present = {
        name: value or "" for name, value in row.select_for_update(no_key=True).values(*before).get().items()
    }
    if changed := to_store(after, seen=before, present=present):
        with unless_taken():
            row.update(**changed)
    if changed.get("email", present["email"]) != present["email"]:
        _void_links(user)
        mail.send(present["email"], "email_changed", {"email": said.email}, mail.language_of(user))


def suspend(user: User) -> None:
    """Keep somebody from signing in, and end their sessions. What they recorded stays. PersonError."""
    _look_at_oneself(user)
    _keep_an_admin(user)
    _move(user, UserStatus.ACTIVE, UserStatus.SUSPENDED)
    _void_links(user)


def restore(user: User) -> None:
    """Let somebody sign in again, with the password that they had. PersonError."""
    _look_at_oneself(user)
    _move(user, UserStatus.SUSPENDED, UserStatus.ACTIVE)


def _move(user: User, before: UserStatus, after: UserStatus) -> None:
    rows = User.objects.in_scope().filter(pk=user.pk, status=before)
    # The sessions from before a suspension stay ended when it is lifted.
    if not rows.update(status=after, session_epoch=F("session_epoch") + 1):
        raise PersonError(Problem.CHANGED_MEANWHILE)
    sessions.forget_ended(user)


def unlock(user: User) -> None:
    """Lift the lock that wrong passwords put on an account."""
    _row(user).update(failed_attempts=0, locked_until=None)


@sensitive_variables("password", "hashed")
def give_first_password(user: User) -> FirstPassword:
    """Replace somebody's password by one to be told them, which they have to change; sessions end.

    A lock is lifted, a link on its way is void, and they are told by mail, without the password. PersonError.
    """
    _look_at_oneself(user)
    password = first_password()
    hashed = make_password(password)  # slow: before anything is locked
    _row(user).update(
        password=hashed,
        must_change_password=True,
        failed_attempts=0,
        locked_until=None,
        session_epoch=F("session_epoch") + 1,
    )
    sessions.forget_ended(user)
    _void_links(user)
    mail.send(user, "password_changed", {"forgot": mail.link(reverse("accounts:password_forgot"))})
    return FirstPassword(user, password)


def first_password() -> str:
    """Return a password that can be read aloud."""
    return readable_code()


def readable_code() -> str:
    """Return something that nobody guesses: four groups of four lower-case letters and digits, 79 bits."""
    groups = ("".join(secrets.choice(READABLE) for _n in range(4)) for _group in range(4))
    return "-".join(groups)


def _row(user: User) -> UserQuerySet:
    return User.objects.in_scope().filter(pk=user.pk)


def _void_links(user: User) -> None:
    for purpose in Purpose:
        tokens.void(user.pk, purpose)


def _look_at_oneself(user: User) -> None:
    if user.pk == scope.current().user:
        raise PersonError(Problem.ONESELF)


def _keep_an_admin(user: User) -> None:
    """Refuse if nobody else would be left to look after the tenant.

    Its active admins are locked, so two who suspend each other at once take turns; the second one is none any
    more.
    """
    admins = set(
        User.objects.in_scope()
        .filter(tenant=user.tenant_id, role=Role.TENANT_ADMIN, status=UserStatus.ACTIVE)
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk", flat=True)
    )
    asks = scope.current()
    if asks.reach is Reach.TENANT and asks.door is Door.ADMIN and asks.user not in admins:
        raise PersonError(Problem.NO_ADMIN_ANY_MORE)
    if admins == {user.pk}:
        raise PersonError(Problem.LAST_ADMIN)
