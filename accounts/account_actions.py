"""What changes accounts besides signing in: registering, and what people do to their own."""

import contextlib
import dataclasses
import datetime as dt
import enum
from collections.abc import Collection, Iterator
from typing import Any, Final

from django.contrib.auth.hashers import make_password
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from accounts import audit, errands, mail, sessions, throttling, tokens
from accounts.errands import Kind
from accounts.models import RoleCode, User
from accounts.querysets import normalise_email
from accounts.tokens import Purpose
from tenants import scope
from tenants.scope import NOBODY, Door, Visitor
from timerecord.core import clock

RESET_SECONDS: Final = 10 * 60
CODE_SECONDS: Final = 10 * 60
HOUR: Final = 3600
# Mails with a link to one address in an hour: asked for from one network, and from all.
RESETS_FROM_ONE, RESETS_FROM_ALL = 5, 20
BY_LINK: Final = {
    Purpose.RESET: "forgotten password, by a mailed link",
    Purpose.INVITE: "by a link that an administrator had mailed",
}


class CodeProblem(enum.Enum):
    """Why a role code lets nobody register."""

    UNKNOWN = "there is no such code"
    DISABLED = "the tenant's admin has disabled it"
    EXPIRED = "its time is over"
    USED_UP = "as many as may have registered with it"
    TENANT_SUSPENDED = "nobody of its tenant may sign in"


class CodeError(Exception):
    """A role code that lets nobody register, with the reason."""

    def __init__(self, problem: CodeProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


class AddressTakenError(Exception):
    """Somebody has this e-mail address: in which tenant is not told."""


@sensitive_variables("password")
def register(
    *,
    code: str,
    email: str,
    password: str,
    last_name: str,
    first_name: str,
    language: str | None = None,
    visitor: Visitor = NOBODY,
) -> User:
    """Make an employee of the role code's tenant, and count one use of the code: both or neither.

    However many register at once, a code is never used more often than it may be. CodeError, or
    AddressTakenError, which only somebody with a good code gets to hear.
    """
    with scope.everything("somebody registers with a role code", door=Door.CLOCK, visitor=visitor):
        found = RoleCode.objects.in_scope().select_related("tenant").filter(code=code).first()
        if found is None:
            raise CodeError(CodeProblem.UNKNOWN)
        if problem := _problem(found, clock.now()):
            raise CodeError(problem)
        if User.objects.in_scope().filter(email=email).exists():
            raise AddressTakenError
        user = User(
            tenant=found.tenant,
            email=email,
            username=f"{last_name} {first_name}",
            last_name=last_name,
            first_name=first_name,
            language=language,
        )
        user.set_password(password)  # slow: before the code's row is locked
        _use_up(found)
        with unless_taken():
            user.save(force_insert=True)
        errands.leave(Kind.WELCOME, user=user.pk, language=mail.language_of(user))
        return user


def welcome_mail(details: dict[str, Any]) -> EmailMessage | None:
    """Return the mail to somebody who registered: one that does not arrive shows a mistyped address."""
    with scope.everything("somebody registered"):
        user = User.objects.in_scope().filter(pk=details["user"]).first()
        if user is None:
            return None
        context: dict[str, object] = {
            "email": user.email,
            "sign_in": mail.link(reverse("accounts:sign_in")),
        }
        return mail.compose(user, "welcome", context, details["language"])


def _problem(code: RoleCode, moment: dt.datetime) -> CodeProblem | None:
    if not code.tenant.is_active:
        return CodeProblem.TENANT_SUSPENDED
    if code.is_disabled:
        return CodeProblem.DISABLED
    if code.expires_at is not None and code.expires_at <= moment:
        return CodeProblem.EXPIRED
    if code.max_uses is not None and code.usage_count >= code.max_uses:
        return CodeProblem.USED_UP
    return None


def _use_up(code: RoleCode) -> None:
    """Count one use in one conditional UPDATE: whoever waits for its lock finds the count as it is then."""
    moment = clock.now()
    usable = RoleCode.objects.in_scope().filter(
        Q(max_uses=None) | Q(usage_count__lt=F("max_uses")),
        Q(expires_at=None) | Q(expires_at__gt=moment),
        pk=code.pk,
        is_disabled=False,
    )
    if not usable.update(usage_count=F("usage_count") + 1):
        latest = RoleCode.objects.in_scope().select_related("tenant").filter(pk=code.pk).first()
        problem = _problem(latest, moment) if latest else CodeProblem.UNKNOWN
        raise CodeError(problem or CodeProblem.USED_UP)


@contextlib.contextmanager
def unless_taken() -> Iterator[None]:
    """Raise AddressTakenError where the database refuses an address that somebody has by now."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        if getattr(diagnosis, "constraint_name", None) != "users_email_key":
            raise
        raise AddressTakenError from error


def request_reset(email: str, network: str | None, *, language: str, visitor: Visitor = NOBODY) -> None:
    """Have a link mailed to choose a new password, if there is somebody to mail it to.

    Only the errand is left, whoever asks: what `reset_mail` does for it tells who has an account. `network`
    is whom the request is counted to, `language` that of the page. Who asks too often is not told, and the
    last link stays good. From one network not so many are taken that others could not ask for the same
    person.
    """
    email = normalise_email(email)
    one = f"{email}\n{network}" if network else None
    if not (
        throttling.hit("reset.from", one, limit=RESETS_FROM_ONE, seconds=HOUR)
        and throttling.hit("reset.to", email, limit=RESETS_FROM_ALL, seconds=HOUR)
    ):
        return
    with scope.everything("somebody forgot a password", door=Door.CLOCK, visitor=visitor):
        errands.leave(
            Kind.RESET,
            email=email,
            language=language,
            visitor=dataclasses.asdict(visitor),
        )


def reset_mail(details: dict[str, Any]) -> EmailMessage | None:
    """Return the mail with a link, if there is somebody to mail it to; an earlier one is void."""
    visitor = Visitor(**details["visitor"])
    with scope.everything("somebody forgot a password", door=Door.CLOCK, visitor=visitor):
        # Locked, for an address that changes meanwhile must get no link any more.
        users = User.objects.in_scope().with_tenant().select_for_update(of=("self",), no_key=True)
        user = users.filter(email=details["email"]).first()
        if user is None or not user.is_active or mail.is_placeholder(user.email):
            return None
        audit.record("password.reset_requested", user.pk)
        token = tokens.issue(user.pk, Purpose.RESET, RESET_SECONDS)
        link = mail.link(reverse("accounts:password_reset_link", args=[token]))
        context: dict[str, object] = {"link": link, "minutes": RESET_SECONDS // 60}
        return mail.compose(user, "reset", context, user.language or details["language"])


def who_resets(token: str, purpose: Purpose = Purpose.RESET) -> User | None:
    """Return whom a mailed link lets choose a new password; None if it is no good any more."""
    with scope.everything("somebody follows a link to a new password", door=Door.CLOCK):
        found = tokens.find(token, purpose)
        user = User.objects.in_scope().with_tenant().filter(pk=found.user_id).first() if found else None
        return user if user and user.is_active else None


@sensitive_variables("password")
def reset_password(
    token: str, password: str, *, purpose: Purpose = Purpose.RESET, visitor: Visitor = NOBODY
) -> User | None:
    """Set a new password by a mailed link, once; every session of the user ends, a lock is lifted.

    None if the link is no good any more, or somebody was faster.
    """
    hashed = make_password(password)  # slow: before anything is locked
    with scope.everything("somebody chooses a new password", door=Door.CLOCK, visitor=visitor) as asks:
        found = tokens.find(token, purpose)  # tells only whose row to lock
        if found is None:
            return None
        tokens.lock_user(found.user_id)
        if tokens.redeem(token, purpose) is None:
            return None
        with scope.enter(asks.replace(user=found.user_id, reason=BY_LINK[purpose])):
            user = User.objects.in_scope().with_tenant().filter(pk=found.user_id).first()
            if user is None or not user.is_active:
                return None
            _set_password(user, hashed)
            return user


@sensitive_variables("password")
def change_password(user: User, password: str, *, own_sessions: Collection[str] = ()) -> bool:
    """Set a new password; every session of the user ends but what the caller has `go_on`: its ids.

    False if another password came since the user was read, as by a mailed link, which stays; or if all
    sessions were ended meanwhile, and so the one in which this is asked.
    """
    return _set_password(user, make_password(password), as_it_was=user, own_sessions=own_sessions)


def _set_password(
    user: User, hashed: str, *, as_it_was: User | None = None, own_sessions: Collection[str] = ()
) -> bool:
    """Set a password, of a user as it was read only if one is given; what was mailed before is void.

    The first UPDATE locks the user's row, before any token's.
    """
    row = User.objects.in_scope().filter(pk=user.pk)
    if as_it_was is not None:
        row = row.filter(password=as_it_was.password, session_epoch=as_it_was.session_epoch)
    if not row.update(password=hashed, must_change_password=False, failed_attempts=0, locked_until=None):
        return False
    had_one = user.has_usable_password()
    user.password = hashed
    user.must_change_password = False
    sessions.end_all(user, but=own_sessions)
    tokens.void(user.pk, Purpose.RESET)
    tokens.void(user.pk, Purpose.INVITE)
    tokens.void(user.pk, Purpose.EMAIL)  # whoever knew the old password may have asked for it
    if had_one:
        mail.send(user, "password_changed", {"forgot": mail.link(reverse("accounts:password_forgot"))})
    return True


def change_name(user: User, *, last_name: str, first_name: str) -> None:
    """Change how somebody is called."""
    user.last_name, user.first_name = last_name, first_name
    user.save(update_fields=["last_name", "first_name"])


def choose_language(user: User, language: str) -> None:
    """Remember what somebody wants to read, on every device, and be written to in."""
    User.objects.in_scope().filter(pk=user.pk).exclude(language=language).update(language=language)
    user.language = language


def request_email_change(user: User, email: str) -> None:
    """Mail a code to a new address, which confirms it. MailError before anything else if none can be sent.

    The user learns nothing of an address that somebody has: a code is kept as ever, and the owner of the
    address gets another mail in its place.
    """
    mail.require_server()
    audit.record("email.change_requested", user.pk)
    code = tokens.issue_code(user.pk, Purpose.EMAIL, CODE_SECONDS, {"email": email})
    with scope.everything("whether an e-mail address is taken", door=Door.CLOCK, user=user.pk):
        taken = User.objects.in_scope().filter(email=email).exists()
    language = mail.language_of(user)
    if taken:
        mail.send(email, "email_taken", {"sign_in": mail.link(reverse("accounts:sign_in"))}, language)
    else:
        mail.send(email, "email_code", {"code": code, "minutes": CODE_SECONDS // 60}, language)


def pending_email(user: User) -> tokens.Pending | None:
    """Return the address that waits for its code, in the token's data, and the tries left."""
    return tokens.pending(user.pk, Purpose.EMAIL)


def confirm_email_change(user: User, code: str) -> bool:
    """Change the address if the code is right; each wrong one counts. The old address is told."""
    tokens.lock_user(user.pk)
    found = tokens.redeem_code(user.pk, code, Purpose.EMAIL)
    if found is None:
        return False
    try:
        with unless_taken():
            User.objects.in_scope().filter(pk=user.pk).update(email=found.data["email"])
    except AddressTakenError:
        return False
    tokens.void(user.pk, Purpose.RESET)  # its link went to the old address
    mail.send(user, "email_changed", {"email": found.data["email"]})  # to the old one
    user.email = found.data["email"]
    return True
