"""How sizes are written, and which of them Cyrus can count."""

from __future__ import annotations

import pytest

from autocreate.core.sizes import countable, limit, parse_size
from autocreate.tree.values import UNLIMITED


@pytest.mark.parametrize(
    ("text", "unit", "kibibytes"),
    [
        ("0", "K", 0),
        ("500", "K", 500),
        ("500", "M", 500 * 1024),
        ("500", "k", 500),
        ("2", "G", 2 * 1024**2),
        ("1", "T", 1024**3),
        ("1K", "M", 1),
        ("500M", "K", 500 * 1024),
        ("2 GiB", "K", 2 * 1024**2),
        ("2gb", "K", 2 * 1024**2),
        ("1T", "K", 1024**3),
        (" 7 ", "K", 7),
        # A part of a KiB counts as a whole one: nobody gets less than the entry says.
        ("0", "B", 0),
        ("1", "B", 1),
        ("1024", "B", 1),
        ("1025", "B", 2),
    ],
)
def test_a_size_is_in_kib(text: str, unit: str, kibibytes: int) -> None:
    assert parse_size(text, unit) == kibibytes


def test_a_bare_number_is_in_kib_where_nothing_else_is_said() -> None:
    assert parse_size("500") == 500


@pytest.mark.parametrize("text", ["", "-1", "1.5G", "1e3", "five", "1X", "G", "1 G B", "٣", "0x10"])
def test_what_is_no_size_is_an_error_that_shows_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write it like"):
        parse_size(text)


def test_the_greatest_size_is_what_cyrus_can_count() -> None:
    assert parse_size("2147483647") == 2**31 - 1
    assert parse_size("2047G") == 2047 * 1024**2
    for text in ("2147483648", "2048G", "2T"):
        with pytest.raises(ValueError, match="is more than Cyrus can count, which is 2047G"):
            parse_size(text)


def test_a_count_is_held_to_the_same_limit() -> None:
    assert countable(2**31 - 1) == 2**31 - 1
    with pytest.raises(ValueError, match="2147483647 messages"):
        countable(2**31)


def test_0_is_no_limit() -> None:
    assert limit(0) == UNLIMITED
    assert limit(1) == 1
