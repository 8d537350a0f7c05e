"""What each of lmtpd's replies means for a recipient, and what of it a sender is told."""

from __future__ import annotations

import pytest

from autocreate.lmtp.replies import (
    Forecast,
    LmtpReply,
    Outcome,
    Server,
    crashes_on,
    envelope_of,
    forecast,
    refused_by_mta,
    server_of,
)
from autocreate.model import Envelope, Reply

OK = LmtpReply(250, "2.1.0", "ok")
SESSION = "SESSIONID=<mail.example.org-1795885913-20706-4-11938917563677105727>"


# -- replies ---------------------------------------------------------------------------------


def test_a_positive_reply_is_taken() -> None:
    assert forecast(OK, LmtpReply(250, "2.1.5", "ok")) == Forecast(Outcome.TAKEN, "250 2.1.5 ok")


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (LmtpReply(452, "4.2.2", f"Over quota {SESSION}"), ("452", "4.2.2", "Mailbox full")),
        (LmtpReply(552, "5.2.2", "Over quota"), ("552", "5.2.2", "Mailbox full")),
        (
            LmtpReply(451, "4.2.1", "Delivery to mailbox is disabled"),
            ("451", "4.2.1", "Mailbox disabled, not accepting messages"),
        ),
        (
            LmtpReply(550, "5.7.1", "Permission denied"),
            ("550", "5.7.1", "Delivery not authorized"),
        ),
        (
            LmtpReply(451, "4.3.0", "System I/O error"),
            ("451", "4.3.0", "Temporary failure, please try again later"),
        ),
        (LmtpReply(551, "5.1.1", "User not local"), ("551", "5.1.1", "User unknown")),
        (LmtpReply(553, "5.1.3", "Bad address"), ("553", "5.1.3", "Mailbox unavailable")),
        (LmtpReply(552, "5.3.4", "Too big"), ("552", "5.3.4", "Message too large")),
        (LmtpReply(501, "5.5.4", "Syntax error"), ("501", "5.5.4", "Mailbox unavailable")),
    ],
)
def test_a_refusal_is_passed_on_with_a_text_of_ours(
    said: LmtpReply, reply: tuple[str, str, str]
) -> None:
    told = forecast(OK, said)
    assert (told.outcome, told.reply) == (Outcome.REFUSED, Reply(*reply))
    assert "SESSIONID" not in told.why
    assert told.why.startswith(f"{said.code} {said.enhanced} ")


@pytest.mark.parametrize(
    ("said", "enhanced"),
    [
        (LmtpReply(450), "4.2.0"),
        (LmtpReply(554), "5.2.0"),
        (LmtpReply(554, "4.2.2"), "5.2.0"),
    ],
)
def test_an_enhanced_code_that_is_missing_or_contradicts_the_code_is_replaced(
    said: LmtpReply, enhanced: str
) -> None:
    told = forecast(OK, said)
    assert told.reply is not None
    assert told.reply.enhanced == enhanced


@pytest.mark.parametrize("said", [LmtpReply(550, "5.1.1", "User unknown"), LmtpReply(550)])
def test_an_unknown_mailbox_is_no_refusal(said: LmtpReply) -> None:
    assert forecast(OK, said).outcome is Outcome.UNKNOWN


def test_a_message_that_is_too_large_is_refused_at_mail() -> None:
    mail = LmtpReply(552, "5.2.3", "Message SIZE exceeds fixed maximum message size (100000)")
    told = forecast(mail, LmtpReply(503, "5.5.1", "Need MAIL command"))
    assert (told.outcome, told.reply) == (
        Outcome.REFUSED,
        Reply("552", "5.2.3", "Message too large"),
    )


@pytest.mark.parametrize(
    ("mail", "rcpt"),
    [
        (LmtpReply(530, "", "Authentication required"), LmtpReply(503)),
        (LmtpReply(451, "4.3.1", "cannot create temporary file"), LmtpReply(503)),
        (OK, LmtpReply(503, "5.5.1", "Need MAIL command")),
        (OK, LmtpReply(500, "5.5.2", "Syntax error")),
        (OK, LmtpReply(354, "", "go ahead")),
    ],
)
def test_what_says_nothing_of_the_recipient_changes_nothing(
    mail: LmtpReply, rcpt: LmtpReply
) -> None:
    assert forecast(mail, rcpt).outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize("code", [430, 530])
def test_a_password_that_lmtpd_wants_has_its_remedy_in_the_log(code: int) -> None:
    assert "lmtpd -a" in forecast(LmtpReply(code), LmtpReply(503)).why
    assert "lmtpd -a" in forecast(OK, LmtpReply(code)).why
    assert "lmtpd -a" not in forecast(OK, LmtpReply(503)).why


def test_what_lmtpd_said_as_it_ended_the_connection_is_told() -> None:
    assert forecast(OK, LmtpReply(421, "4.3.0", "bye")).why.endswith(": 421 4.3.0 bye")
    assert forecast(OK, None).why == "lmtpd ended the connection at this recipient"


@pytest.mark.parametrize("said", [None, LmtpReply(421, "4.3.0", "assertion failed")])
def test_a_connection_that_ends_at_a_recipient_is_a_danger(said: LmtpReply | None) -> None:
    assert forecast(OK, said).outcome is Outcome.CRASH


@pytest.mark.parametrize("code", range(400, 600))
def test_only_codes_that_speak_of_a_recipient_refuse_one(code: int) -> None:
    outcome = forecast(OK, LmtpReply(code, f"{code // 100}.9.9")).outcome
    if code == 421:
        assert outcome is Outcome.CRASH
    elif code in (450, 451, 452, 501, 550, 551, 552, 553, 554):
        assert outcome is Outcome.REFUSED
    else:
        assert outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize(
    ("code", "is_positive"), [(199, False), (200, True), (250, True), (299, True), (300, False)]
)
def test_codes_from_200_to_299_are_positive(code: int, is_positive: bool) -> None:
    assert LmtpReply(code).is_positive is is_positive


# -- what is never sent ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "domain", "default_domain", "expected"),
    [
        ((3, 6), "EX.Test", "ex.test", True),
        ((3, 10), "EX.Test", "ex.test", True),
        ((3, 12), "EX.Test", "ex.test", False),
        ((4, 0), "EX.Test", "ex.test", False),
        (None, "EX.Test", "ex.test", True),
        ((3, 6), "ex.test", "ex.test", False),
        ((3, 6), "OTHER.test", "ex.test", False),
        ((3, 6), "EX.Test", "", False),
        ((3, 6), "", "", False),
    ],
)
def test_the_default_domain_in_another_case_kills_older_servers(
    version: tuple[int, int] | None, domain: str, default_domain: str, expected: bool
) -> None:
    assert crashes_on(Server(version), domain, default_domain) is expected


@pytest.mark.parametrize(
    ("envelope", "recipient", "offers", "refused"),
    [
        (Envelope("<ann@client.test>", smtputf8=True), "jürgen@example.org", "", True),
        (Envelope("<änn@client.test>", smtputf8=True), "joe@example.org", "", True),
        (Envelope("<ann@client.test>", smtputf8=True), "joe@example.org", "", False),
        (Envelope("<ann@client.test>", smtputf8=True), "jürgen@example.org", "SMTPUTF8", False),
        (Envelope("<ann@client.test>"), "jürgen@example.org", "", False),
    ],
)
def test_the_mta_returns_what_needs_smtputf8_where_lmtpd_does_not_offer_it(
    envelope: Envelope, recipient: str, offers: str, refused: bool
) -> None:
    told = refused_by_mta(Server(offers=frozenset(offers.split())), envelope, recipient)
    assert (told is not None) is refused
    if told:
        assert told.reply
        assert told.reply[:2] == ("553", "5.6.7")


# -- what is read ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ((), Envelope("<ann@client.test>")),
        (("SIZE=5000", "BODY=8BITMIME"), Envelope("<ann@client.test>", 5000)),
        (("size=5000", "smtputf8"), Envelope("<ann@client.test>", 5000, True)),
        (("SIZE=", "SIZE=-1", "SIZE=1e9", f"SIZE={'9' * 30}"), Envelope("<ann@client.test>")),
    ],
)
def test_size_and_smtputf8_are_read_from_mail(
    parameters: tuple[str, ...], expected: Envelope
) -> None:
    assert envelope_of("<ann@client.test>", parameters) == expected


@pytest.mark.parametrize(
    ("greeting", "version"),
    [
        ("mail.test Cyrus LMTP 3.6.1-Debian-3.6.1-4+deb12u5 server ready", (3, 6)),
        ("mail.test Cyrus LMTP 3.12.4 server ready", (3, 12)),
        ("mail.test Cyrus LMTP Murder v2.5.17 server ready", (2, 5)),
        ("mail.test Cyrus LMTP server ready", None),
        ("3.12 server ready", None),
    ],
)
def test_the_greeting_tells_the_version_unless_serverinfo_hides_it(
    greeting: str, version: tuple[int, int] | None
) -> None:
    offers = ["8BITMIME", "SIZE 100000", "", "smtputf8"]
    told = server_of(greeting, offers)
    assert told == Server(version, frozenset(["8BITMIME", "SIZE", "SMTPUTF8"]))
