"""The password in a file is its first line, as it is written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocreate.backends.password_file import Password, first_line, password
from autocreate.errors import ConfigurationError, MalformedValue


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"open sesame", "open sesame"),
        (b"open sesame\n", "open sesame"),
        (b"open sesame\r\n", "open sesame"),
        (b" open sesame \nand a remark\n", " open sesame "),
        ("öffne dich\n".encode(), "öffne dich"),
        ("a\x0cb\x85c\u2028d\n".encode(), "a\x0cb\x85c\u2028d"),
    ],
)
def test_the_first_line_counts(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert password("accounts.staff", tmp_path / "secret") == expected


def test_without_a_file_there_is_none() -> None:
    assert password("accounts.staff", None) == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read .*: No such file"),
        (b"", "first line is empty"),
        (b" \nsecond\n", "first line is empty"),
        (b"\xff\n", "is not UTF-8"),
    ],
)
def test_a_file_without_a_password_is_an_error_of_the_configuration(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(MalformedValue, match=words):
        first_line(tmp_path / "secret")
    with pytest.raises(ConfigurationError, match=rf"^accounts\.staff: password_file: .*{words}"):
        password("accounts.staff", tmp_path / "secret")


def test_a_password_is_not_shown_by_a_traceback_with_its_locals() -> None:
    assert "geheim" not in repr({"password": Password("geheim")})
