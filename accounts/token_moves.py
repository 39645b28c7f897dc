"""Carrying tokens from the table `password_resets` into the store that the settings choose."""

from django.conf import settings
from django.utils.module_loading import import_string

from accounts.models import PasswordReset
from accounts.tokens import DatabaseStore, Purpose, Store, Token
from tenants import scope
from timerecord.core import clock


def carry_tokens() -> int:
    """Move every token in the table that is still good into the chosen store; return how many.

    None where that is the table itself. What was moved is removed from the table, so nothing is moved twice:
    a token that was used up stays so. Neither is what was voided or used up meanwhile, see accounts.tokens.
    Of a user's several the last one stays good. StoreUnavailableError, and what was not moved stays for the
    next time.
    """
    store: Store = import_string(settings.TOKEN_STORE)()
    if isinstance(store, DatabaseStore):
        return 0
    moved = 0
    while _carry_one(store):
        moved += 1
    return moved


def _carry_one(store: Store) -> bool:
    with scope.everything("tokens are carried into their store"):
        rows = PasswordReset.objects.in_scope().select_for_update(skip_locked=True)
        row = rows.filter(used_at=None, expires_at__gt=clock.now()).order_by("created_at", "pk").first()
        if row is None:
            return False
        store.put(row.token, Token(row.user_id, row.data or {}), Purpose(row.purpose), row.expires_at)
        row.delete()
        return True
