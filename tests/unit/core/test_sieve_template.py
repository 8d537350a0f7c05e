"""What is filled in to a Sieve script is text in its strings, and never a command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.core.sieve_template import filled_script, names_in_script
from autocreate.errors import MalformedValue

SCRIPT = b"""require "variables"; # {comment}
/* "{block}" */
fileinto "INBOX/{Department}";
redirect "${user}@{domain}";
vacation text: # {after}
{department}
\"{quoted}\"
.
;
if true {keep;} {bare}
"""


def test_only_strings_have_names_and_a_variable_of_sieve_is_none() -> None:
    assert names_in_script(SCRIPT) == ["department", "domain", "after", "quoted"]


def test_quotes_and_backslashes_stay_text() -> None:
    filled = filled_script(b'fileinto "{x}";', {"x": 'a"; discard; \\'})
    assert filled == b'fileinto "a\\"; discard; \\\\";'


def test_a_dot_does_not_end_a_multi_line_text() -> None:
    assert filled_script(b"keep text:\n{x}\n.\n;", {"x": "."}) == b"keep text:\n..\n.\n;"
    assert filled_script(b"keep text:\na{x}\n.\n;", {"x": "."}) == b"keep text:\na.\n.\n;"


@pytest.mark.parametrize(
    "value", ["", "two\nlines", "two\r\nlines", "\0", "${user}", "a$", "\u202e"]
)
def test_a_value_that_is_no_plain_text_is_refused(value: str) -> None:
    with pytest.raises(MalformedValue, match=r"for \{x\}"):
        filled_script(b'keep "{x}";', {"x": value})


def test_other_bytes_stay_as_they_are() -> None:
    assert filled_script(b'keep "\xff{x}";\r\n', {"x": "\xfc"}) == b'keep "\xff\xc3\xbc";\r\n'


@given(
    st.text(
        st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="$"), min_size=1
    )
)
def test_the_quoted_string_ends_where_its_author_ended_it(value: str) -> None:
    if not value.isprintable():
        return
    text = filled_script(b'"{x}"', {"x": value}).decode()
    inner = text[1:-1].replace("\\\\", "").replace('\\"', "")
    assert '"' not in inner
    assert not inner.endswith("\\")
