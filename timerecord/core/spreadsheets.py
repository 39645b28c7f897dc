"""Files that people open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

# A cell that begins so is taken for a formula: OWASP, CSV Injection.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# Japanese Excel and its keyboards write these, and take them for the same.
WIDE_FORMULA_STARTS: Final = ("＝", "＋", "－", "＠")
QUOTE: Final = "'"


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: a quote goes before one that begins so."""
    return f"{QUOTE}{text}" if text.startswith((*FORMULA_STARTS, *WIDE_FORMULA_STARTS)) else text


def plain_cell(text: str) -> str:
    """Return what `safe_cell` was given."""
    is_quoted = text.startswith(QUOTE) and safe_cell(text[1:]) == text
    return text[1:] if is_quoted else text


def csv_bytes(rows: Iterable[Sequence[object]], encoding: str = "utf-8-sig") -> bytes:
    """Return rows as CSV (RFC 4180): texts are safe cells, everything else is written as it is.

    With a byte order mark, unless another encoding is asked for: Excel takes the file for UTF-8 by it alone.
    What the encoding lacks becomes a question mark.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue().encode(encoding, errors="replace")
