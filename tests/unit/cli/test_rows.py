"""A row of CSV is one line, and no cell of it is a formula."""

from __future__ import annotations

import csv

import pytest

from autocreate.cli.rows import csv_line


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("=1+2", "'=1+2"),
        ("+31 20", "'+31 20"),
        ("-joe", "'-joe"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1+2", "\\t=1+2"),
        ("\r=1+2", "\\r=1+2"),
        ("\n=1+2", "\\n=1+2"),
        ("joe\n=1+2", "joe\\n=1+2"),
        ('=cmd|"/c calc",!A1', '\'=cmd|"/c calc",!A1'),
        ("joe=1", "joe=1"),
        ("j-o@example.org", "j-o@example.org"),
        ("", ""),
        ("\udce9", "\\udce9"),
    ],
)
def test_a_cell_that_would_be_a_formula_begins_with_an_apostrophe(name: str, shown: str) -> None:
    line = csv_line(("tree", name, name))
    assert "\n" not in line
    assert "\r" not in line
    assert list(csv.reader([line])) == [["tree", shown, shown]]
