"""An old row beside the row that it became: what differs, and which differences explain themselves."""

from collections.abc import Iterator
from typing import NamedTuple

from attendance.legacy.rows import PASSWORD_RESETS, SECRET, TIMES, Row, SessionRow, UserRow
from attendance.legacy.values import to_datetime

# What the application's own hasher writes.
OWN_HASH = "argon2$"
OTHER_STATE = "came with another state of the same old database"
RESET_GONE = "used, voided, purged or carried into the tokens' store since the import"


class Difference(NamedTuple):
    """One column of one row that is not what the file says.

    `explained` says how working with the application makes this difference by itself; None where only
    somebody's hand does.
    """

    table: str
    legacy_id: int
    column: str
    file: str
    database: str
    explained: str | None


def differences(table: str, old: Row, new: Row) -> Iterator[Difference]:
    """Yield the columns in which two rows of one table differ."""
    if old == new:
        return
    for column, was, now in zip(old._fields, old, new, strict=True):
        if was != now:
            yield Difference(
                table, old.id, column, _shown(column, was), _shown(column, now), _why(old, new, column)
            )


def removed(table: str, old: Row) -> Difference:
    """Return the difference that a row makes which was imported and is no longer there."""
    explained = RESET_GONE if table == PASSWORD_RESETS else None
    return Difference(table, old.id, "", "there", "removed since the import", explained)


def not_in_file(table: str, legacy_id: int) -> Difference:
    """Return the difference that a row makes which came with another state of the same old database."""
    return Difference(table, legacy_id, "", "not there", "imported before", OTHER_STATE)


def _why(old: Row, new: Row, column: str) -> str | None:
    was, now = getattr(old, column), getattr(new, column)
    match column:
        case "password_hash" if now.startswith(OWN_HASH):
            return "hashed anew at a sign-in, or changed by its owner"
        case "must_change_password" if was and _own_hash(new):
            return "the first password was changed"
        case "failed_attempts" | "locked_until":
            return "attempts to sign in since the import"
        case "usage_count" if now > was:
            return "people registered with it since the import"
        case "used_at" if was is None:
            return "used since the import"
        case "end_time" if was is None and now >= old.start_time:  # type: ignore[union-attr]
            return "clocked out since the import"
        case "end_unknown" if now and isinstance(old, SessionRow) and old.end_time is None:
            return "marked as a forgotten clock-out since the import"
    return None


def _own_hash(row: Row) -> bool:
    return isinstance(row, UserRow) and row.password_hash.startswith(OWN_HASH)


def _shown(column: str, value: object) -> str:
    if value is None:
        return "none"
    if column in SECRET:
        return "(not shown)"
    if column in TIMES and isinstance(value, int):
        return to_datetime(value).isoformat()
    if column.endswith("_id") and isinstance(value, int) and value < 0:
        return f"{-value} of the new database, which is not from this file"
    return repr(value)
