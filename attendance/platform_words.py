"""What imports say in codes, in words."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from attendance.legacy.values import Code
from timerecord.core.admin import Text

CODES: Final[dict[str, Text]] = {
    Code.WRONG_TYPE: _("A value is of another kind than its column."),
    Code.NOT_UTF8: _("A text is not in UTF-8."),
    Code.NUL_CHARACTER: _("A text has a null character, which the database cannot store."),
    Code.MISSING_VALUE: _("A value that is needed is missing."),
    Code.BAD_VALUE: _("A value is none that its column can have."),
    Code.BAD_TIME: _("A time cannot be read."),
    Code.TOO_LONG: _("A text is too long."),
    Code.NOT_BCRYPT: _("The password's hash is of an unknown kind."),
    Code.DUPLICATE: _("Another row has the same value where each needs its own."),
    Code.TAKEN: _("Somebody here has the value already."),
    Code.NO_PARENT: _("The row that it belongs to does not exist."),
    Code.PARENT_REFUSED: _("The row that it belongs to was refused itself."),
    Code.END_BEFORE_START: _("The end is before the start."),
    Code.OVERLAP: _("It overlaps with another work session of the same person."),
    Code.OPEN_NOT_LAST: _("It has no end, though a later one follows: its end was kept as unknown."),
    Code.CHANGED: _("It was imported before, and changed here or there since."),
    Code.REMOVED: _("It was imported before, and removed here since."),
    Code.UNKNOWN_TABLE: _("Its table has no place here."),
    Code.UNKNOWN_COLUMN: _("A column of it has no place here."),
}
TABLES: Final[dict[str, Text]] = {
    "tenants": _("tenants"),
    "users": _("users"),
    "role_codes": _("role codes"),
    "password_resets": _("password resets"),
    "work_sessions": _("work sessions"),
}
