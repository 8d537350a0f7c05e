"""The socket map protocol, and the answer to each verdict."""

from __future__ import annotations

import pytest

from autocreate.errors import MalformedLookup
from autocreate.frontends.map_protocol import (
    LONGEST_REQUEST,
    NOTFOUND,
    OK,
    PERM,
    TEMP,
    Lookup,
    length_of,
    read,
    reply,
    status_in_dry_run,
    status_of,
)
from autocreate.model import Answer, Reply, Verdict

FULL = Reply("452", "4.2.2", "Over quota")
DENIED = Reply("550", "5.7.1", "Permission denied")


def verdict(answer: Answer, refusal: Reply | None = None, foreign: bool = False) -> Verdict:
    return Verdict(answer, "why", refusal=refusal, foreign=foreign)


ENFORCED = [
    (verdict(Answer.ACCEPT), OK),
    (verdict(Answer.UNKNOWN), NOTFOUND),
    (verdict(Answer.MALFORMED), NOTFOUND),
    (verdict(Answer.TEMPORARY), TEMP),
    # A shared folder, postmaster, an alias that leads elsewhere: the MTA goes on as without us.
    (verdict(Answer.PASS), OK),
    # As in a table that does not have it: another may.
    (verdict(Answer.PASS, foreign=True), NOTFOUND),
    (verdict(Answer.REFUSED, FULL), TEMP),
    # It exists. The milter is asked next and has the right reply.
    (verdict(Answer.REFUSED, DENIED), OK),
]


@pytest.mark.parametrize(("decided", "said"), ENFORCED, ids=lambda it: str(it)[:40])
def test_the_answer_to_a_verdict(decided: Verdict, said: str) -> None:
    assert status_of(decided) == said


def test_every_kind_of_verdict_has_its_answer() -> None:
    assert {it.answer for it, _ in ENFORCED} == set(Answer)


@pytest.mark.parametrize(
    ("decided", "mailbox", "said"),
    [
        # A new user, whom Cyrus does not know yet.
        (verdict(Answer.ACCEPT), verdict(Answer.UNKNOWN), NOTFOUND),
        (verdict(Answer.ACCEPT), verdict(Answer.ACCEPT), OK),
        # A mailbox without an account gets its mail today.
        (verdict(Answer.UNKNOWN), verdict(Answer.ACCEPT), OK),
        (verdict(Answer.UNKNOWN), verdict(Answer.UNKNOWN), NOTFOUND),
        # A database of ours that is away is nothing to senders, Cyrus is.
        (verdict(Answer.TEMPORARY), verdict(Answer.ACCEPT), OK),
        (verdict(Answer.TEMPORARY), verdict(Answer.TEMPORARY), TEMP),
        (verdict(Answer.PASS, foreign=True), verdict(Answer.ACCEPT), OK),
        (verdict(Answer.REFUSED, FULL), verdict(Answer.ACCEPT), TEMP),
        (verdict(Answer.REFUSED, DENIED), verdict(Answer.ACCEPT), OK),
        (verdict(Answer.MALFORMED), verdict(Answer.MALFORMED), NOTFOUND),
        # A shared folder: lmtpd has been asked, if there is one to ask.
        (verdict(Answer.PASS), verdict(Answer.PASS), OK),
        (verdict(Answer.UNKNOWN), verdict(Answer.PASS), NOTFOUND),
    ],
)
def test_dry_run_says_what_cyrus_says_today(decided: Verdict, mailbox: Verdict, said: str) -> None:
    assert status_in_dry_run(decided, mailbox) == said


def test_a_reply_is_a_netstring_and_ok_repeats_the_key() -> None:
    assert reply(OK, "joe@example.org") == b"18:OK joe@example.org,"
    assert reply(OK, "j\udcff") == b"5:OK j\xff,"
    assert reply(NOTFOUND, "joe") == b"21:NOTFOUND User unknown,"
    assert reply(TEMP).startswith(b"49:TEMP ")
    assert reply(PERM).startswith(b"28:PERM ")


@pytest.mark.parametrize(
    ("body", "lookup"),
    [
        (b"recipients joe@example.org,", Lookup("recipients", "joe@example.org")),
        (b"m a b@example.org,", Lookup("m", "a b@example.org")),
        (b"m j\xc3\xb6@example.org,", Lookup("m", "jö@example.org")),
        (b"m \xff,", Lookup("m", "\udcff")),
        (b"m ,", Lookup("m", "")),
        (b"m a,b,", Lookup("m", "a,b")),
    ],
)
def test_a_request_is_a_name_and_a_key(body: bytes, lookup: Lookup) -> None:
    assert read(body) == lookup


@pytest.mark.parametrize("body", [b"m joe", b"joe,", b",", b" joe,", b""])
def test_what_is_not_a_name_and_a_key_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedLookup):
        read(body)


def test_the_length_of_a_request_is_read_digit_by_digit() -> None:
    assert [length_of(it) for it in (b"1", b"12", b"12:", b"0:")] == [None, None, 13, 1]
    assert length_of(b"%d:" % LONGEST_REQUEST) == LONGEST_REQUEST + 1


@pytest.mark.parametrize(
    "head", [b":", b"x", b"1x", b"-1", b"+1", b" 1", b"01", b"%d" % (LONGEST_REQUEST + 1), b"9" * 9]
)
def test_a_length_that_is_none_or_too_long_is_malformed(head: bytes) -> None:
    with pytest.raises(MalformedLookup):
        length_of(head)


def test_a_domain_is_not_an_address() -> None:
    """A catch-all for the whole domain must not be found."""
    assert not Lookup("m", "@example.org").is_address
    assert Lookup("m", "joe").is_address
