"""Where people are signed in, for pages that show it and end it. Whatever store is chosen."""

from collections.abc import Collection

from django.contrib.auth import logout, update_session_auth_hash
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest

from accounts.models import User
from tenants import scope
from timerecord.core import clock, sessions
from timerecord.core.sessions import Listed, SessionStore


def of_user(user: User) -> list[Listed]:
    """Return the sessions of a user in scope, the last seen first, as good as the user was read.

    With DynamoDB one that began or ended a moment ago may be missing or still there. The browser's own is the
    one whose `id` is `own_id(request)`.
    """
    good = _good_for(user)
    return [listed for listed in _kept_of(user) if listed.good_for in good]


def own_id(request: HttpRequest) -> str:
    """Return what lists call the session of this request."""
    return sessions.id_of(request.session.session_key)


def of_tenant(tenant_id: int) -> list[Listed]:
    """Return the sessions of a tenant's people, the last seen first. The scope reaches them."""
    found = sessions.driver().of_tenant(tenant_id, clock.now())
    people = User.objects.in_scope().with_tenant().in_bulk({listed.user for listed in found})
    good = {pk: _good_for(user) for pk, user in people.items()}
    return [listed for listed in found if listed.good_for in good.get(listed.user, ())]


def end(user: User, session_id: str) -> bool:
    """End one session of a user in scope, at once; False if there is no such session of this user."""
    return sessions.is_id(session_id) and sessions.driver().end(user.pk, session_id)


def end_all(user: User, *, but: Collection[str] = ()) -> None:
    """End every session of a user in scope, whatever lists have missed: the user's epoch sees to that.

    None is good for anything any more from the commit on. The caller's own goes on if `go_on` follows;
    `but` are its ids, which are then ended by that.
    """
    User.objects.in_scope().filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])
    forget_ended(user, but=but)


def end_others(request: HttpRequest, user: User) -> None:
    """End every session of the signed-in person but the browser's own, which goes on under a new key.

    If this one was ended while it was asked, as by signing out everywhere, it does not come back.
    """
    mine = User.objects.in_scope().filter(pk=user.pk, session_epoch=user.session_epoch)
    if not mine.update(session_epoch=F("session_epoch") + 1):
        logout(request)
        return
    user.refresh_from_db(fields=["session_epoch"])
    forget_ended(user, but=own_ids(request))
    go_on(request, user)


def own_ids(request: HttpRequest) -> frozenset[str]:
    """Return what lists call the session of this request, and called it before it went on."""
    session = request.session
    return session.ids if isinstance(session, SessionStore) else frozenset({own_id(request)})


def go_on(request: HttpRequest, user: User) -> None:
    """Have the browser's session go on, under a new key, with a user who has another password or epoch.

    It is stored at once, so before that change is committed: if it cannot be, neither is the change, and the
    key that the browser has is as good as ever.
    """
    update_session_auth_hash(request, user)
    request.session.save()


def forget_ended(user: User, *, but: Collection[str] = ()) -> None:
    """After the commit, remove the sessions of a user that are good for nothing any more, but for some.

    That they are kept no longer is tidiness: what fails is logged, and they expire.
    """

    def forget() -> None:
        with scope.everything("sessions that ended are forgotten"):
            found = User.objects.in_scope().with_tenant().filter(pk=user.pk).first()
            if found is None:
                return
            good = _good_for(found)
            for listed in _kept_of(found):
                if listed.good_for not in good and listed.id not in but:
                    sessions.driver().end(found.pk, listed.id)

    transaction.on_commit(forget, robust=True)


def _kept_of(user: User) -> list[Listed]:
    return sessions.driver().of_user(user.tenant_id, user.pk, clock.now())


def _good_for(user: User) -> set[str]:
    """Return what sessions are good for that this password and these epochs have not ended."""
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return {sessions.good_for(session_hash) for session_hash in hashes}
