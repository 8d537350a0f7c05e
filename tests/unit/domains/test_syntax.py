"""What is looked up for a domain, and how a text of domains is read."""

from __future__ import annotations

import pytest

from autocreate.domains.syntax import domain_keys, domain_parts, parse_domains


def test_a_domain_is_looked_up_before_its_parents_which_have_all_their_subdomains() -> None:
    assert domain_keys("mail.example.org") == ("mail.example.org", ".example.org", ".org")


def test_a_domain_beyond_ascii_is_looked_up_in_both_spellings() -> None:
    assert domain_keys("xn--bcher-kva.test") == ("xn--bcher-kva.test", "bücher.test", ".test")


@pytest.mark.parametrize(
    "domain",
    ["[192.0.2.1]", "*", "a..b", "exa mple.org", "b\ncc", "-- a", "x" * 64, "a." * 127 + "a"],
)
def test_what_is_no_name_is_never_looked_up(domain: str) -> None:
    assert domain_keys(domain) == ()


def test_a_domain_is_looked_up_up_to_the_length_that_the_dns_has() -> None:
    longest = "a." * 126 + "a"
    assert len(longest) == 253
    assert domain_keys(longest)[0] == longest
    assert domain_keys("b" + longest) == ()


def test_an_a_label_that_stands_for_nothing_is_looked_up_as_it_is() -> None:
    assert domain_keys("xn--a.test") == ("xn--a.test", ".test")


def test_a_key_is_the_domain_of_a_databases_query() -> None:
    assert domain_parts(".example.org") == {"domain": ".example.org"}


def test_lines_of_blanks_or_of_an_indented_comment_are_no_problem() -> None:
    read = parse_domains(iter(["  \n\t\n  # ours\nexample.org\n"]))
    assert (list(read.entries), read.problems) == (["example.org"], ())


def test_a_text_has_a_domain_a_line_whatever_stands_behind_it() -> None:
    read = parse_domains(
        iter(["# ours\nexample.org\n\n  Other.Test OK\nbücher.test\tx y\n.hosted.test #all\n"])
    )
    assert list(read.entries) == ["example.org", "other.test", "xn--bcher-kva.test", ".hosted.test"]
    assert (read.problems, read.last) == ((), "")


def test_a_last_line_without_an_end_may_go_on() -> None:
    assert parse_domains(iter(["example.org\nexample.co"])).last == "example.co"


@pytest.mark.parametrize("line", ["joe@example.org", "hash:/etc/postfix/domains", "a..b", "[::1]"])
def test_a_line_that_does_not_begin_with_a_domain_is_a_problem(line: str) -> None:
    read = parse_domains(iter([f"example.org\n{line}\n"]))
    assert (list(read.entries), read.problems) == (
        ["example.org"],
        ("line 2 does not begin with a domain",),
    )
