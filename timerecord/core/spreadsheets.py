"""Files that people open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

# A cell that begins so is taken for a formula: OWASP, CSV Injection.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# Japanese Excel and its keyboards write these, and take them for the same.
WIDE_FORMULA_STARTS: Final = ("＝", "＋", "－", "＠")
QUOTE: Final = "'"
# Where a comma is no separator, a spreadsheet begins a new cell after a semicolon, whatever is quoted.
AFTER_A_SEPARATOR: Final = re.compile(r"(?<=;)(?='*\s*[=+\-@＝＋－＠−])")
QUOTED_AFTER_A_SEPARATOR: Final = re.compile(r"(?<=;)'(?='*\s*[=+\-@＝＋－＠−])")


def safe_within(text: str) -> str:
    """Return a text of which a spreadsheet that goes by semicolons makes no formula, either."""
    return AFTER_A_SEPARATOR.sub(QUOTE, text)


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: a quote goes before what begins so."""
    begins_so = text.startswith((*FORMULA_STARTS, *WIDE_FORMULA_STARTS))
    return f"{QUOTE if begins_so else ''}{safe_within(text)}"


def plain_cell(text: str) -> str:
    """Return what `safe_cell` was given."""
    plain = QUOTED_AFTER_A_SEPARATOR.sub("", text)
    for given in (plain.removeprefix(QUOTE), plain):
        if safe_cell(given) == text:
            return given
    return text


def csv_bytes(rows: Iterable[Sequence[object]], encoding: str = "utf-8-sig") -> bytes:
    """Return rows as CSV (RFC 4180): texts are safe cells, everything else is written as it is.

    With a byte order mark, unless another encoding is asked for: Excel takes the file for UTF-8 by it alone.
    What the encoding lacks becomes a question mark.
    """
    text = io.StringIO()
    # Quoted all: a cell with a semicolon in it stays one wherever that separates cells and a comma does not.
    writer = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue().encode(encoding, errors="replace")
