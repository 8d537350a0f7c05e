"""What clients write behind RCPT TO, and what is read in it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autocreate.core.address import (
    MAX_LENGTH,
    domain_of,
    is_postmaster,
    is_taken_by_cyrus,
    needs_quotes,
    normal_domain,
    parse,
    without_detail,
)
from autocreate.errors import Malformed
from autocreate.model import Address

# Every kind of character that a parser could trip over, beside those it expects.
ANYTHING = st.text(
    st.one_of(st.sampled_from('@<>"\\.:,;[]+ \t\r\n\0%/éß。\u212a\udc80'), st.characters())
)


@pytest.mark.parametrize(
    ("argument", "local", "domain"),
    [
        ("<joe@example.org>", "joe", "example.org"),
        ("joe@example.org", "joe", "example.org"),
        ("  <joe@example.org> ", "joe", "example.org"),
        ("<Joe.Smith@Example.ORG>", "Joe.Smith", "example.org"),
        ("<joe+lists@example.org>", "joe+lists", "example.org"),
        ("<joe@example.org.>", "joe", "example.org"),
        ("<joe>", "joe", ""),
        ("<postmaster>", "postmaster", ""),
        ('<"joe"@example.org>', "joe", "example.org"),
        ('<"joe smith"@example.org>', "joe smith", "example.org"),
        ('<"joe@other.test"@example.org>', "joe@other.test", "example.org"),
        ('<"joe@other.test">', "joe@other.test", ""),
        ('<"a\\"b\\\\c"@example.org>', 'a"b\\c', "example.org"),
        ("<joe\\.smith@example.org>", "joe.smith", "example.org"),
        ("<joe%other.test@example.org>", "joe%other.test", "example.org"),
        ("<@relay.test:joe@example.org>", "joe", "example.org"),
        ("<@a.test,@b.test:joe@example.org>", "joe", "example.org"),
        ("<joe@[192.0.2.1]>", "joe", "[192.0.2.1]"),
        ("<joe@[IPv6:2001:DB8::1]>", "joe", "[ipv6:2001:db8::1]"),
        ("<δοκιμή@example.org>", "δοκιμή", "example.org"),
        ("<jo\u00ade@example.org>", "jo\u00ade", "example.org"),  # neither printable nor a control
        ("<jo\u00a0e@example.org>", "jo\u00a0e", "example.org"),
        ("<joe@XN--BCHER-KVA.example>", "joe", "xn--bcher-kva.example"),
    ],
)
def test_an_address_is_read(argument: str, local: str, domain: str) -> None:
    assert parse(argument) == Address(local, domain)


@pytest.mark.parametrize(
    ("argument", "domain", "written"),
    [
        ("<joe@Bücher.example>", "xn--bcher-kva.example", "bücher.example"),
        ("<joe@例え。テスト。>", "xn--r8jz45g.xn--zckzah", "例え。テスト。"),
        ("<joe@Straße.example>", "strasse.example", "straße.example"),
        ("<joe@STRAẞE.example>", "strasse.example", "straße.example"),
        ("<joe@ﬁsch.example>", "fisch.example", "ﬁsch.example"),
        ("<joe@xn--strae-oqa.example>", "xn--strae-oqa.example", ""),
    ],
)
def test_a_domain_is_folded_as_postfix_folds_it_and_also_kept_as_it_was_written(
    argument: str, domain: str, written: str
) -> None:
    assert parse(argument) == Address("joe", domain, written)
    assert parse(argument).mta_domain == (written or domain)
    assert domain_of(argument) == domain


def test_a_local_part_is_composed() -> None:
    assert parse("<re\u0301gis@example.org>").local == "r\u00e9gis"


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("", "no local part"),
        ("<>", "no local part"),
        ("<@example.org>", "a source route without a mailbox"),
        ("<@relay.test:@example.org>", "no local part"),
        ('<""@example.org>', "no local part"),
        ("<joe@>", "no domain after the @"),
        ("<joe@.>", "no domain after the @"),
        ("<joe@ann@example.org>", "more than one @"),
        ("<joe smith@example.org>", "' ' outside quotes"),
        ("<joe,ann@example.org>", "',' outside quotes"),
        ("<<joe@example.org>", "'<' outside quotes"),
        ("<joe@example.org", "'<' outside quotes"),
        ("joe@example.org>", "not a domain: 'example.org>'"),
        ("<joe@exam ple.org>", "not a domain: 'exam ple.org'"),
        ("<joe@-ü-.example>", "not a domain: '-ü-.example'"),
        ('<"joe@example.org>', "a quote or backslash that nothing follows"),
        ("<joe\\>", "a quote or backslash that nothing follows"),
        ("<joe\0@example.org>", "control characters or bytes that are not UTF-8"),
        ("<joe\r\nDATA@example.org>", "control characters or bytes that are not UTF-8"),
        ('<"joe\t"@example.org>', "control characters or bytes that are not UTF-8"),
        ("<jos\udce9@example.org>", "control characters or bytes that are not UTF-8"),
        ("<joe\u2028@example.org>", "control characters or bytes that are not UTF-8"),
        ("<joe@example.org\x7f>", "control characters or bytes that are not UTF-8"),
    ],
)
def test_what_is_no_address_is_malformed_and_the_text_says_why(argument: str, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(argument)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "argument",
    [
        "<" + "j" * MAX_LENGTH + "@example.org>",
        "<joe@" + "e" * MAX_LENGTH + ".org>",
        "<joe@" + "é" * MAX_LENGTH + ".org>",
        "<" + "@relay.test," * 60 + "joe@example.org>",
    ],
    ids=["local part", "domain", "IDNA domain", "source route"],
)
def test_what_is_too_long_is_malformed(argument: str) -> None:
    with pytest.raises(Malformed, match="longer than 512 characters"):
        parse(argument)


def test_the_longest_address_is_read() -> None:
    argument = "j" * (MAX_LENGTH - len("@example.org")) + "@example.org"
    assert len(parse(argument).local) == 500


@pytest.mark.parametrize(
    "argument",
    ["<\u212aim@example.org>", "<\u1fefjoe@example.org>"],
    ids=["the Kelvin sign", "a Greek accent that is a backquote in NFC"],
)
def test_what_could_become_another_users_name_is_malformed(argument: str) -> None:
    with pytest.raises(Malformed, match="could be taken for another user's"):
        parse(argument)


@given(ANYTHING)
@example('<"\\"@>')
@example("<@:>")
@example("a@xn--a")
def test_no_argument_makes_another_error_than_malformed(argument: str) -> None:
    try:
        address = parse(argument)
    except Malformed:
        return
    assert address.local
    assert address.domain == address.domain.lower()
    assert address.domain.isascii()
    assert not any(unicodedata.category(it) in ("Cc", "Cs") for it in str(address))


@given(ANYTHING)
def test_no_argument_breaks_the_question_whose_domain_it_is(argument: str) -> None:
    assert domain_of(argument) == "" or "@" in argument


@given(st.text("joe.+ \"\\'%!", min_size=1, max_size=20).filter(str.strip))
def test_a_local_part_survives_being_quoted(local: str) -> None:
    quoted = local.replace("\\", "\\\\").replace('"', '\\"')
    assert parse(f'<"{quoted}"@example.org>') == Address(local, "example.org")


@pytest.mark.parametrize(
    ("argument", "domain"),
    [
        ("<joe@Example.org>", "example.org"),
        ("<joe@example.org.>", "example.org"),
        (" <joe@example.org>\t\n", "example.org"),
        ("joe smith@bücher.example", "xn--bcher-kva.example"),
        ("<joe@ann@example.org>", "example.org"),
        ("<joe@-ü-.example>", "-ü-.example"),
        ("<joe>", ""),
        ("", ""),
    ],
)
def test_the_domain_is_found_however_broken_the_rest_is(argument: str, domain: str) -> None:
    assert domain_of(argument) == domain


def test_an_empty_domain_stays_empty() -> None:
    assert normal_domain("") == ""


@pytest.mark.parametrize(
    ("local", "delimiters", "user"),
    [
        ("joe+lists", "+", "joe"),
        ("joe+a+b", "+", "joe"),
        ("joe-a+b", "+-", "joe"),
        ("joe+lists", "", "joe+lists"),
        ("joe", "+", "joe"),
        ("+folder", "+", ""),
    ],
)
def test_a_detail_is_cut_off_at_its_first_delimiter(local: str, delimiters: str, user: str) -> None:
    assert without_detail(local, delimiters) == user


def test_postmaster_is_known_in_any_case_and_domain() -> None:
    assert is_postmaster(Address("PostMaster"))
    assert is_postmaster(Address("postmaster", "example.org"))
    assert not is_postmaster(Address("postmaster2"))


@pytest.mark.parametrize(
    "local", ["joe smith", "a@b", ".joe", "joe.", "a..b", 'a"b', "a\\b", "a,b"]
)
def test_a_local_part_that_is_no_dot_atom_needs_quotes(local: str) -> None:
    assert needs_quotes(local)


@pytest.mark.parametrize("local", [".joe", "joe.", "a..b", ".", ".."])
def test_dots_at_an_end_or_in_a_row_are_taken_unless_they_are_delivered_in_quotes(
    local: str,
) -> None:
    assert is_taken_by_cyrus(local, quotes_dots=False)
    assert not is_taken_by_cyrus(local, quotes_dots=True)


@pytest.mark.parametrize("local", ["joe smith", "a@b", 'a"b', "a\\b", "a,b", "a(b)", "[a]", "a b."])
@pytest.mark.parametrize("quotes_dots", [True, False])
def test_other_marks_that_need_quotes_are_taken_neither_with_nor_without(
    local: str, quotes_dots: bool
) -> None:
    assert not is_taken_by_cyrus(local, quotes_dots)


@pytest.mark.parametrize("local", ["joe", "joe.smith", "joe+lists", "o'hara", "δοκιμή", "a/b"])
def test_a_dot_atom_needs_none(local: str) -> None:
    assert not needs_quotes(local)
    assert is_taken_by_cyrus(local, quotes_dots=True)
