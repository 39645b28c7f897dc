import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from psycopg.pq import TransactionStatus

from tenants import scope
from tenants.scope import Door, Reach, Scope, Visitor
from timerecord.core.requests import Note
from timerecord.core.sessions import TENANT_KEY

LONGEST_DEVICE = 300
UNTIL_ANSWERED: Note[contextlib.ExitStack] = Note("until_answered")
IS_UNDONE: Note[bool] = Note("is_undone")


class ScopeMiddleware:
    """Encloses the look-up of the user, and the view, in one transaction with that user's own scope.

    The scope comes from the session, before anything is read of `users`. A request without a signed-in user
    gets none: what it has to look up, a sign-in for one, names a wider scope itself. An address that leads
    nowhere costs no look at the database.

    What is answered with 5xx, and what a view did before it raised, is rolled back. A streaming response is
    produced after all this, without a scope: what it shows has to be read before.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Leave no scope behind for the next request of the thread."""
        with scope.none(), contextlib.ExitStack() as until_answered:
            UNTIL_ANSWERED.leave(request, until_answered)
            response = self.get_response(request)
            if response.status_code >= 500:
                _roll_back()
            elif scope.is_named() and not IS_UNDONE.on(request) and _is_broken():
                raise transaction.TransactionManagementError(
                    "An error of the database was passed over: nothing that the answer says would be stored."
                )
            return response

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Begin the transaction, before any other middleware looks at the user."""
        user = request.session.get(SESSION_KEY)
        until_answered = UNTIL_ANSWERED.on(request)
        if user is None or until_answered is None:
            return
        until_answered.enter_context(
            scope.enter(
                Scope(
                    reach=Reach.OWN,
                    door=Door.CLOCK,
                    tenant=request.session.get(TENANT_KEY),
                    user=int(user),
                    **dataclasses.asdict(visitor(request)),
                )
            )
        )

    def process_exception(self, request: HttpRequest, *_: Exception) -> None:
        """Undo what the view did before it raised, as ATOMIC_REQUESTS would."""
        IS_UNDONE.leave(request, True)
        _roll_back()


def visitor(request: HttpRequest | None) -> Visitor:
    """Return where a request comes from; of the browser's name as much as somebody would read."""
    if request is None:
        return Visitor()
    device = "".join(c for c in request.headers.get("User-Agent", "") if c.isprintable())
    return Visitor(request.META.get("REMOTE_ADDR"), device[:LONGEST_DEVICE] or None)


def end_transaction(request: HttpRequest) -> None:
    """Commit what the request has done so far, and leave its scope: what follows says its own."""
    until_answered = UNTIL_ANSWERED.on(request)
    if until_answered:
        until_answered.close()


def _roll_back() -> None:
    if scope.is_named():
        transaction.set_rollback(True)


def _is_broken() -> bool:
    """Whether the transaction's end would be a roll-back, whatever is asked for."""
    connection = transaction.get_connection()
    if connection.needs_rollback:
        return True
    raw = connection.connection
    return raw is not None and raw.info.transaction_status is TransactionStatus.INERROR
