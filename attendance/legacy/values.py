"""What a value of the old database means. Anything that is not plain is refused, never guessed."""

import datetime as dt
import enum
import functools
import hashlib
import re
from collections.abc import Mapping

from accounts.querysets import normalise_email
from attendance.legacy.reader import BadText, Value

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 86_400 * SECOND
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

PLACEHOLDER_DOMAIN = "@placeholder.local"
# How the application stores a hash that bcryptjs wrote: its hasher's name, then the hash as it was.
BCRYPT_PREFIX = "bcrypt_node$"
# Node's largest exact integer: the old application could not give an id above it.
MAX_ID = 2**53 - 1
MAX_COUNT = 2**31 - 1
MAX_EMAIL = 254
MAX_UID = 64
# Far enough from the ends of the calendar that every zone's clock can show it.
EARLIEST = dt.date(1, 1, 4)
LATEST = dt.date(9999, 12, 28)


class Code(enum.StrEnum):
    """Why a row was refused, or kept beside."""

    WRONG_TYPE = "wrong_type"
    NOT_UTF8 = "not_utf8"
    NUL_CHARACTER = "nul_character"
    MISSING_VALUE = "missing_value"
    BAD_VALUE = "bad_value"
    BAD_TIME = "bad_time"
    TOO_LONG = "too_long"
    NOT_BCRYPT = "not_bcrypt"
    DUPLICATE = "duplicate"
    TAKEN = "taken"
    NO_PARENT = "no_parent"
    PARENT_REFUSED = "parent_refused"
    END_BEFORE_START = "end_before_start"
    OVERLAP = "overlap"
    OPEN_NOT_LAST = "open_not_last"
    CHANGED = "changed"
    REMOVED = "removed"
    UNKNOWN_TABLE = "unknown_table"
    UNKNOWN_COLUMN = "unknown_column"


class RefusedError(Exception):
    """A value that the new schema cannot take as it is."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})([ T])([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?(Z?)"
)
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_ROLE_CODE = re.compile(r"[A-HJ-NP-Z2-9]{16}")
_TOKEN = re.compile(r"[0-9a-fA-F]{64}")


def kind(value: Value) -> str:
    """Return what SQLite calls the type of a value."""
    names: Mapping[type, str] = {
        int: "an integer",
        float: "a real number",
        str: "text",
        bytes: "a blob",
        BadText: "text",
        type(None): "NULL",
    }
    return names[type(value)]


def shown(value: str) -> str:
    """Return the beginning of a text for a message, control characters escaped."""
    return repr(value if len(value) <= 40 else value[:40] + "…")


def text(value: Value, at_most: int | None = None) -> str:
    """Return text exactly as it is: spaces, full-width letters and byte order marks stay."""
    if type(value) is not str:
        if value is None:
            raise RefusedError(Code.MISSING_VALUE, "is NULL")
        if isinstance(value, BadText):
            raise RefusedError(Code.NOT_UTF8, "is not UTF-8")
        raise RefusedError(Code.WRONG_TYPE, f"is {kind(value)} where text is expected")
    if "\0" in value:
        raise RefusedError(Code.NUL_CHARACTER, "contains a NUL character, which PostgreSQL cannot store")
    if at_most is not None and len(value) > at_most:
        raise RefusedError(Code.TOO_LONG, f"has {len(value)} characters, {at_most} are allowed")
    return value


def optional_text(value: Value) -> str | None:
    """Return text exactly as it is, or None."""
    return None if value is None else text(value)


def uid(value: Value) -> str:
    """Return a tenant's uid."""
    found = text(value, MAX_UID)
    if not found:
        raise RefusedError(Code.MISSING_VALUE, "is empty")
    return found


def email(value: Value) -> str:
    """Return an address in the form in which it is stored and looked up."""
    found = normalise_email(text(value))
    if not found:
        raise RefusedError(Code.MISSING_VALUE, "is empty")
    return text(found, MAX_EMAIL)


def integer(value: Value, low: int, high: int) -> int:
    """Return a whole number within bounds."""
    if type(value) is not int:
        if value is None:
            raise RefusedError(Code.MISSING_VALUE, "is NULL")
        raise RefusedError(Code.WRONG_TYPE, f"is {kind(value)} where an integer is expected")
    if not low <= value <= high:
        raise RefusedError(Code.BAD_VALUE, f"is {value}, outside of {low} to {high}")
    return value


def identifier(value: Value) -> int:
    """Return an id: 1 to the largest that the old application could give."""
    return integer(value, 1, MAX_ID)


def optional_identifier(value: Value) -> int | None:
    """Return an id, or None."""
    return None if value is None else identifier(value)


def count(value: Value) -> int:
    """Return a count, from 0."""
    return integer(value, 0, MAX_COUNT)


def optional_count(value: Value) -> int | None:
    """Return a count, or None."""
    return None if value is None else count(value)


def boolean(value: Value) -> bool:
    """Return what 0 or 1 means."""
    return bool(integer(value, 0, 1))


def choice(value: Value, meaning: Mapping[str, str]) -> str:
    """Return what one of a few words means now."""
    found = text(value)
    if found not in meaning:
        raise RefusedError(Code.BAD_VALUE, f"is {shown(found)}, not one of {', '.join(meaning)}")
    return meaning[found]


def status(value: Value) -> str:
    """Return the new word for a status. A file without it, or a row that it never reached, is active."""
    return "active" if value is None else choice(value, {"active": "active", "inactive": "suspended"})


def password_hash(value: Value) -> str:
    """Return a bcrypt hash as the application stores it."""
    found = text(value)
    if not _BCRYPT.fullmatch(found):
        raise RefusedError(Code.NOT_BCRYPT, "is not a bcrypt hash")
    return BCRYPT_PREFIX + found


def role_code(value: Value) -> str:
    """Return a role code: 16 of A-Z without I and O, 2-9."""
    found = text(value)
    if not _ROLE_CODE.fullmatch(found):
        raise RefusedError(Code.BAD_VALUE, "is not 16 of A-Z without I and O, 2-9")
    return found


def token(value: Value) -> str:
    """Return the SHA-256 of a reset token, in hexadecimal digits: all that is stored of it."""
    found = text(value)
    if not _TOKEN.fullmatch(found):
        raise RefusedError(Code.BAD_VALUE, "is not 64 hexadecimal digits")
    return sha256_of(found)


def sha256_of(value: Value) -> str:
    """Return the SHA-256 of any value, in hexadecimal digits; of text and blobs that of their bytes."""
    if isinstance(value, BadText):
        value = value.raw
    return hashlib.sha256(value if isinstance(value, bytes) else str(value).encode()).hexdigest()


def time(value: Value) -> int:
    """Return an instant in microseconds since 1970 (UTC), from either spelling of the old application.

    `2025-10-24 23:09:02` is what SQLite's `datetime('now')` writes, UTC by definition;
    `2025-10-24T21:50:00.000Z` what JavaScript writes. A `T` without `Z` would be a local time, a
    number could count anything: both are refused.
    """
    found = text(value)
    match = _TIME.fullmatch(found)
    if match is None:
        raise RefusedError(Code.BAD_TIME, f"is {shown(found)}, which is in neither spelling of UTC")
    day, between, hours, minutes, seconds, fraction, zulu = match.groups()
    if between == "T" and not zulu:
        raise RefusedError(Code.BAD_TIME, f"is {shown(found)}, which names no zone")
    hour, minute, second = int(hours), int(minutes), int(seconds)
    midnight = _midnight(day)
    if midnight is None or hour > 23 or minute > 59 or second > 59:
        raise RefusedError(Code.BAD_TIME, f"is {shown(found)}, which no clock and calendar shows")
    micros = int(fraction.ljust(6, "0")) if fraction else 0
    return midnight + (hour * 3600 + minute * 60 + second) * SECOND + micros


def optional_time(value: Value) -> int | None:
    """Return an instant in microseconds since 1970 (UTC), or None."""
    return None if value is None else time(value)


@functools.lru_cache(maxsize=65536)
def _midnight(day: str) -> int | None:
    try:
        date = dt.date.fromisoformat(day)
    except ValueError:
        return None
    if not EARLIEST <= date <= LATEST:
        return None
    return (date.toordinal() - EPOCH.toordinal()) * DAY


def to_micros(moment: dt.datetime) -> int:
    """Return an aware datetime as microseconds since 1970 (UTC)."""
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def to_datetime(micros: int) -> dt.datetime:
    """Return microseconds since 1970 as an aware datetime (UTC)."""
    return EPOCH + dt.timedelta(microseconds=micros)
