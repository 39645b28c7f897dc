"""Where people are signed in, for pages that show it and end it. Whatever store is chosen."""

from django.contrib.auth import logout, update_session_auth_hash
from django.db.models import F
from django.http import HttpRequest

from accounts.actions import end_sessions
from accounts.models import User
from timerecord.core import clock, sessions
from timerecord.core.sessions import Listed


def of_user(user: User) -> list[Listed]:
    """Return the sessions of a user in scope, the last seen first.

    With DynamoDB one that began or ended a moment ago may be missing or still there. The browser's own is the
    one whose `id` is `own_id(request)`.
    """
    return sessions.driver().of_user(user.tenant_id, user.pk, clock.now())


def own_id(request: HttpRequest) -> str:
    """Return what lists call the session of this request."""
    return sessions.id_of(request.session.session_key)


def of_tenant(tenant_id: int) -> list[Listed]:
    """Return the sessions of a tenant's people, the last seen first. The scope reaches them."""
    return sessions.driver().of_tenant(tenant_id, clock.now())


def end(user: User, session_id: str) -> bool:
    """End one session of a user in scope, at once; False if there is no such session of this user."""
    return sessions.is_id(session_id) and sessions.driver().end(user.pk, session_id)


def end_all(user: User) -> None:
    """End every session of a user in scope.

    None is good for anything any more from the commit on, whatever the store's lists have missed: the user's
    epoch sees to that. That those which are listed are forgotten, too, is tidiness.
    """
    end_sessions(user)
    sessions.driver().end_all(user.tenant_id, user.pk)


def end_others(request: HttpRequest, user: User) -> None:
    """End every session of the signed-in person but the browser's own, which goes on under a new key.

    If this one was ended while it was asked, as by signing out everywhere, it does not come back.
    """
    mine = User.objects.in_scope().filter(pk=user.pk, session_epoch=user.session_epoch)
    if not mine.update(session_epoch=F("session_epoch") + 1):
        logout(request)
        return
    user.refresh_from_db(fields=["session_epoch"])
    update_session_auth_hash(request, user)
    sessions.driver().end_all(user.tenant_id, user.pk, but=own_id(request))
