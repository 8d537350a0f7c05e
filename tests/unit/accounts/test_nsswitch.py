"""nsswitch.conf(5) is read as the C library reads it, each rule here as glibc 2.36 was seen to follow it."""

from __future__ import annotations

import pytest

from autocreate.accounts.nsswitch import services

TRYAGAIN, UNAVAIL, NOTFOUND, SUCCESS = -2, -1, 0, 1


def names(text: str, database: str = "passwd") -> list[str]:
    return [service.name for service in services(text)[database]]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("passwd: files systemd\n", ["files", "systemd"]),
        ("\t passwd:files\tsss\n", ["files", "sss"]),
        ("passwd files sss\n", ["files", "sss"]),
        ("passwd: files[NOTFOUND=return]sss\n", ["files", "sss"]),
        ("passwd: files [ NOTFOUND = return  SUCCESS=continue ] sss\n", ["files", "sss"]),
        ("#passwd: sss\npasswd: files\n\ngroup: sss\n", ["files"]),
        ("passwd: sss\npasswd: files\n", ["files"]),
        ("passwd:\n", []),
    ],
)
def test_the_services_of_a_line(text: str, named: list[str]) -> None:
    assert names(text) == named


def test_a_database_without_a_line_is_not_there() -> None:
    assert set(services("# passwd: files\nPASSWD: files\nhosts: files dns\n")) == {
        "#",
        "PASSWD",
        "hosts",
    }


@pytest.mark.parametrize(
    ("criteria", "ends"),
    [
        ("", {SUCCESS}),
        ("[NOTFOUND=return]", {SUCCESS, NOTFOUND}),
        ("[notfound = RETURN]", {SUCCESS, NOTFOUND}),
        ("[SUCCESS=continue]", set()),
        ("[SUCCESS=merge]", set()),
        ("[!UNAVAIL=return]", {SUCCESS, NOTFOUND, TRYAGAIN}),
        ("[!UNAVAIL=return NOTFOUND=continue]", {SUCCESS, TRYAGAIN}),
        ("[UNAVAIL=return TRYAGAIN=return]", {SUCCESS, UNAVAIL, TRYAGAIN}),
    ],
)
def test_the_answers_that_end_the_search(criteria: str, ends: set[int]) -> None:
    first, second = services(f"passwd: sss {criteria} files\n")["passwd"]
    assert first.ends == ends
    assert second.ends == {SUCCESS}
