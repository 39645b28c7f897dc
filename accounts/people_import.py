"""Reading people from a CSV file: what is good in it, and what is wrong with each row."""

import csv
import dataclasses
import io
import itertools
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _

from accounts.account_forms import AddressField, family_name, given_name
from accounts.models import Role, User
from accounts.people import Person
from accounts.people_forms import FILE_TOO_LARGE, MAX_FILE_BYTES, TAKEN_BY_SOMEBODY
from tenants import scope
from timerecord.core.spreadsheets import plain_cell

MAX_ROWS: Final = 1000
# cp932 is what Windows calls Shift_JIS: what Japanese Excel saves a CSV as.
ENCODINGS: Final = ("utf-8-sig", "cp932")
UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS: Final = (",", "\t", ";")
COLUMNS: Final = {
    "last_name": ("姓", "名字", "苗字", "lastname", "familyname", "surname"),
    "first_name": ("名", "名前", "firstname", "givenname"),
    "email": ("メールアドレス", "メール", "eメール", "email", "emailaddress", "mail", "mailaddress"),
    "role": ("役割", "権限", "ロール", "role"),
}
ROLES: Final = {
    "": Role.EMPLOYEE,
    "従業員": Role.EMPLOYEE,
    "一般": Role.EMPLOYEE,
    "社員": Role.EMPLOYEE,
    "employee": Role.EMPLOYEE,
    "管理者": Role.TENANT_ADMIN,
    "テナント管理者": Role.TENANT_ADMIN,
    "admin": Role.TENANT_ADMIN,
    "administrator": Role.TENANT_ADMIN,
    "tenantadmin": Role.TENANT_ADMIN,
}


class FileError(Exception):
    """A file that cannot be read as a whole, with the sentence that says why."""


@dataclasses.dataclass
class Row:
    """One line of the file: its number as a spreadsheet counts, what it says, and what is wrong with it."""

    number: int
    last_name: str
    first_name: str
    email: str
    role: str
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def newcomer(self) -> Person:
        """Return whom a good row is about."""
        return Person(self.last_name, self.first_name, self.email, self.role)


class RowForm(forms.Form):
    """What a row has to be, as everywhere else."""

    last_name = family_name()
    first_name = given_name()
    email = AddressField()


def read(content: bytes) -> list[Row]:
    """Return the rows of a file, each with what is wrong with it. FileError for what is no such file.

    Reads who is there already, in any tenant, to say which addresses cannot be used.
    """
    rows = list(itertools.islice(_rows(_table(content)), MAX_ROWS + 1))
    if not rows:
        raise FileError(_("There is nobody in this file: below the headings, each row is one person."))
    if len(rows) > MAX_ROWS:
        raise FileError(
            _("This file has more than %(limit)s people. Please divide it.") % {"limit": f"{MAX_ROWS:,}"}
        )
    look_for_others(rows)
    return rows


def look_for_others(rows: Sequence[Row]) -> None:
    """Add to each row whose address is another row's, or somebody's, that it is."""
    first: dict[str, int] = {}
    for row in rows:
        if row.email in first:
            row.problems.append(
                _("Row %(number)s has the same e-mail address.") % {"number": first[row.email]}
            )
        elif row.email:
            first[row.email] = row.number
    here = {
        email: name
        for email, *names, username in User.objects.in_scope()
        .filter(email__in=first)
        .values_list("email", "last_name", "first_name", "username")
        if (name := " ".join(part for part in names if part) or username)
    }
    asks = scope.current()
    with scope.everything("which e-mail addresses of a file are taken", door=asks.door, user=asks.user):
        taken = set(User.objects.in_scope().filter(email__in=first).values_list("email", flat=True))
    for row in rows:
        if row.email in here:
            row.problems.append(_("%(name)s has this e-mail address already.") % {"name": here[row.email]})
        elif row.email in taken:
            row.problems.append(str(TAKEN_BY_SOMEBODY))


def _table(content: bytes) -> list[list[str]]:
    if len(content) > MAX_FILE_BYTES:
        raise FileError(str(FILE_TOO_LARGE))
    text = _text(content)
    heading = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=heading.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise FileError(
            _("This is no CSV file. Please save the list as CSV and choose that file.")
        ) from error


def _text(content: bytes) -> str:
    for encoding in () if content.startswith(UTF_16) else ENCODINGS:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise FileError(
        _("This file cannot be read. Please save the list as CSV (UTF-8 or Shift_JIS) and choose that file.")
    )


def _rows(table: list[list[str]]) -> Iterator[Row]:
    places = _places(table[0] if table else [])
    for number, cells in enumerate(table[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        said = {
            name: plain_cell(cells[place].strip()) if place < len(cells) else ""
            for name, place in places.items()
        }
        yield _row(number, said)


def _row(number: int, said: dict[str, str]) -> Row:
    form = RowForm(said)
    form.is_valid()
    values: dict[str, Any] = {name: form.cleaned_data.get(name, said[name]) for name in RowForm.base_fields}
    role = ROLES.get(_key(said.get("role", "")))
    problems = [str(problem) for problems in form.errors.values() for problem in problems]
    if role is None:
        problems.append(
            _("“%(role)s” is no role: leave it empty, or write employee or admin.") % {"role": said["role"]}
        )
    return Row(number, **values, role=role or Role.EMPLOYEE, problems=problems)


def _places(heading: Iterable[str]) -> dict[str, int]:
    """Return in which column what is."""
    keys = [_key(cell) for cell in heading]
    places = {
        name: next((keys.index(word) for word in words if word in keys), None)
        for name, words in COLUMNS.items()
    }
    missing = [name for name in ("last_name", "first_name", "email") if places[name] is None]
    if missing:
        raise FileError(
            _("The first row has to name the columns: family name, given name, e-mail, and role if you like.")
        )
    return {name: place for name, place in places.items() if place is not None}


def _key(text: str) -> str:
    """Return a heading or a role as it is compared: without case, width, spaces, hyphens, underscores."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if not c.isspace() and unicodedata.category(c) not in ("Pd", "Pc", "Cf"))
