"""What changes accounts: signing in, and everything that people do to their own."""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Case, F, Q, Value, When
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from accounts import audit, errands, mail, throttling
from accounts.errands import Kind
from accounts.hashers import verify_at_one_price
from accounts.models import User
from accounts.querysets import UserQuerySet, normalise_email
from tenants import scope
from tenants.scope import NOBODY, Door, Visitor
from timerecord.core import clock


@dataclasses.dataclass(frozen=True)
class SignIn:
    """What became of an attempt to sign in: who it was, if anybody, and whether it locked an account."""

    user: User | None = None
    has_locked: bool = False


@sensitive_variables("password")
def attempt_sign_in(email: str, password: str, *, visitor: Visitor = NOBODY) -> SignIn:
    """Verify a password, one of few attempts; call it outside of any transaction.

    The attempt is counted, and the last one locks the account, before the password is looked at: so many are
    verified and no more, however many come at once. The right password takes the count and the lock back.
    An attempt that has no turn - no such account, one that is locked, or suspended like its tenant - costs
    the same: as much hashing, and as many commits. docs/adr/0010-accounts.md.
    """
    email = normalise_email(email)
    with _somebody(visitor):
        user = User.objects.in_scope().with_tenant().filter(email=email).first()
        turn = _take_turn(user) if user and user.is_active else 0
    if not turn:
        throttling.hit(
            "sign_in.without_turn",
            email,
            limit=settings.SIGN_IN_FAILURES_BEFORE_LOCK,
            seconds=settings.SIGN_IN_LOCK_SECONDS,
        )
    fits, new_hash = verify_at_one_price(password, user.password if user and turn else None)
    with _somebody(visitor):
        if user and fits and (new_hash is None or user.replace_hash(password, new_hash)):
            _mine(user).update(failed_attempts=0, locked_until=None)
            return SignIn(user=user)
        audit.record("sign_in.failed", user.pk if user else None)
        # Unless another attempt had the right password meanwhile.
        is_last = turn >= settings.SIGN_IN_FAILURES_BEFORE_LOCK
        if user and is_last and _mine(user).filter(locked_until__gt=clock.now()).exists():
            audit.record("sign_in.locked", user.pk)
            errands.leave(Kind.LOCKED, user=user.pk)
            return SignIn(has_locked=True)
    return SignIn()


def locked_mail(details: dict[str, Any]) -> EmailMessage | None:
    """Return the mail that tells somebody of a lock."""
    with scope.everything("somebody's account was locked"):
        user = User.objects.in_scope().filter(pk=details["user"]).first()
        if user is None:
            return None
        minutes = settings.SIGN_IN_LOCK_SECONDS // 60
        context: dict[str, object] = {
            "minutes": minutes,
            "forgot": mail.link(reverse("accounts:password_forgot")),
        }
        return mail.compose(user, "locked", context, user.language or settings.LANGUAGE_CODE)


def _take_turn(user: User) -> int:
    """Count an attempt on an account that is not locked; return its number since the last success, else 0.

    One conditional UPDATE decides, and keeps the row until the commit. A lock that has ended begins anew.
    """
    now = clock.now()
    number = Case(
        When(locked_until__isnull=False, then=Value(1)),  # it has ended, says the condition
        default=F("failed_attempts") + 1,
    )
    until = now + dt.timedelta(seconds=settings.SIGN_IN_LOCK_SECONDS)
    is_free = Q(locked_until__isnull=True) | Q(locked_until__lte=now)
    locks = Q(locked_until__isnull=True, failed_attempts__gte=settings.SIGN_IN_FAILURES_BEFORE_LOCK - 1)
    taken = (
        _mine(user).filter(is_free).update(failed_attempts=number, locked_until=Case(When(locks, then=until)))
    )
    return _mine(user).values_list("failed_attempts", flat=True).get() if taken else 0


def _mine(user: User) -> UserQuerySet:
    return User.objects.in_scope().filter(pk=user.pk)


@contextlib.contextmanager
def _somebody(visitor: Visitor) -> Iterator[None]:
    with scope.everything("somebody signs in", door=Door.CLOCK, visitor=visitor):
        yield
