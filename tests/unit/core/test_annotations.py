"""Which annotations Cyrus can have."""

from __future__ import annotations

import pytest

from autocreate.core.annotations import (
    defined_in,
    entry_problem,
    full_name,
    is_defined,
    value_problem,
)

VENDOR = "/vendor/cmu/cyrus-imapd"


def test_an_entry_is_shared_unless_it_says_otherwise() -> None:
    assert full_name("/comment") == "/shared/comment"
    assert full_name("/shared/comment") == "/shared/comment"
    assert full_name("/private/comment") == "/private/comment"


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("/private/specialuse", "write special_use"),
        (f"/shared{VENDOR}/size", "only Cyrus itself"),
        (f"/private{VENDOR}/expire", f"as /shared{VENDOR}/expire only"),
        (f"/shared{VENDOR}/sortorder", "as /private"),
        (f"/shared{VENDOR}/pop3showafter", "another form"),
        (f"/shared{VENDOR}/expire", ""),
        ("/shared/vendor/example/color", ""),
    ],
)
def test_what_can_never_be_set_is_told(entry: str, why: str) -> None:
    assert why in entry_problem(entry)
    assert bool(entry_problem(entry)) == bool(why)


@pytest.mark.parametrize(
    ("entry", "value", "good"),
    [
        (f"/shared{VENDOR}/expire", "30", True),
        (f"/shared{VENDOR}/expire", "30d", False),
        (f"/shared{VENDOR}/expire", "-1", False),
        (f"/shared{VENDOR}/sharedseen", "true", True),
        (f"/shared{VENDOR}/sharedseen", "TRUE", False),
        ("/shared/comment", "anything", True),
        ("/shared/comment", "", False),
        ("/shared/comment", "a\nb", False),
        ("/shared/comment", "x" * 1001, False),
    ],
)
def test_a_value_must_fit_its_entry(entry: str, value: str, good: bool) -> None:
    assert (value_problem(entry, value) == "") is good


def test_a_file_of_definitions_is_read() -> None:
    lines = [
        "# /vendor/example/old,mailbox,string,backend,value.shared,",
        " /vendor/Example/color , mailbox,string,backend,value.shared value.priv,",
        "/vendor/example/motd,server,string,backend,value.shared,",
        "",
    ]
    assert list(defined_in(lines)) == ["/vendor/example/color"]
    assert not is_defined("/shared/vendor/example/color")
