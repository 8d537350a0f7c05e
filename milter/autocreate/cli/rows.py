"""Rows of CSV, for programs and for spreadsheets."""

import csv
import io
from collections.abc import Iterable

from autocreate.core.printable import printable

# What a spreadsheet begins a formula with, in its East Asian forms too (OWASP, "CSV Injection").
# A tab or a carriage return would do, but is not printable and so begins with a backslash.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_line(row: Iterable[str]) -> str:
    """A row as one line, without its end. Names in it are others' choice.

    What is not printable is escaped, so the row stays one line. A cell that a spreadsheet would
    take for a formula gets an apostrophe before it.
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(_cell(it) for it in row)
    return line.getvalue()


def _cell(text: str) -> str:
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
