"""The audit trail's events that are no change of a row: who signed in, failed to, or signed out."""

import dataclasses
import json
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import connection
from django.http import HttpRequest

from accounts.models import User
from tenants import scope
from tenants.middleware import visitor
from tenants.scope import Door, Reach, Scope


def record(kind: str, subject: int | None, **details: Any) -> None:
    """Write one event about a user, None for somebody unknown.

    Its kind is `sign_in`, `sign_in.failed`, `sign_in.locked`, `sign_out`, `password.reset_requested`,
    `email.change_requested`, or another one of those for which the database lets it.

    The scope says who did it and from where, and must reach that user. Never hand over what somebody typed:
    a password lands in the wrong field now and then.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT record_event(%s, %s, %s)", [kind, subject, json.dumps(details)])


def connect() -> None:
    """Record what Django's signals tell. Failed sign-ins are the backend's to record: it knows the user."""
    user_logged_in.connect(_signed_in, dispatch_uid="accounts.audit.signed_in")
    user_logged_out.connect(_signed_out, dispatch_uid="accounts.audit.signed_out")


def _signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    with scope.enter(_own(user, request)):
        record("sign_in", user.pk)


def _signed_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        with scope.enter(_own(user, request)):
            record("sign_out", user.pk)


def _own(user: User, request: HttpRequest) -> Scope:
    return Scope(
        reach=Reach.OWN,
        door=Door.CLOCK,
        tenant=user.tenant_id,
        user=user.pk,
        **dataclasses.asdict(visitor(request)),
    )
