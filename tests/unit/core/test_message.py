"""A message that is filled in for a user: any script, MIME kept, nothing injected."""

from __future__ import annotations

import email
from email.header import decode_header, make_header
from email.message import Message
from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.core.message import MessageTemplate, stamped
from autocreate.errors import MalformedValue

VALUES = {"user": "joe", "address": "joe@example.org", "domain": "example.org", "cn": "Γιώργος"}
BARE = "From: post@example.org\nSubject: Hi {cn}\nTo: {cn} <{address}>\n\nHi {cn}\n"


def template(text: str | bytes) -> MessageTemplate:
    return MessageTemplate(text.encode() if isinstance(text, str) else text)


def read(text: str | bytes, **values: str) -> Message:
    data = template(text).filled({**VALUES, **values})
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    return email.message_from_bytes(data)


def header(message: Message, name: str) -> str:
    return str(make_header(decode_header(str(message[name]).replace("\r\n ", " "))))


def text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode(part.get_content_charset("us-ascii")).replace("\r\n", "\n")


def test_header_fields_and_text_are_filled_in() -> None:
    message = read(BARE)
    assert header(message, "Subject") == "Hi Γιώργος"
    assert header(message, "To") == "Γιώργος <joe@example.org>"
    assert text_of(message) == "Hi Γιώργος\n"
    assert message["MIME-Version"] == "1.0"
    assert message.as_bytes().isascii()


def test_what_has_no_placeholder_stays_as_it_was_written() -> None:
    written = (
        "From: post@example.org\nX-Long: a  b\n\tc\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
        "To: all@example.org\n\n.\nFrom here { on } {}, {not one}, {1}\n"
    )
    assert template(written).filled(VALUES) == written.replace("\n", "\r\n").encode()


def test_date_and_message_id_are_ours_and_a_recipient_is_added() -> None:
    message = read("From: a@b.test\nDate: long ago\nMessage-ID: <x@y>\nSubject: s\n\nx\n")
    assert (message["Date"], message["Message-ID"]) == (None, None)
    assert message["To"] == "joe@example.org"
    whole = stamped(template(BARE).filled(VALUES), "<id@here>", "Thu, 1 Jan 2026 00:00:00 +0000")
    assert email.message_from_bytes(whole)["Message-ID"] == "<id@here>"


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("iso-8859-7", "8bit"),
        ("iso-8859-7", "base64"),
        ("utf-8", "quoted-printable"),
        ("utf-8", ""),
    ],
)
def test_the_character_set_and_the_transfer_encoding_may_be_any(
    charset: str, encoding: str
) -> None:
    part = email.message.EmailMessage(policy=default)
    part["From"] = "a@b.test"
    part.set_content("Γεια {cn}\n", charset=charset, cte=encoding or None)
    message = read(part.as_bytes())
    assert text_of(message) == "Γεια Γιώργος\n"
    assert message.get_content_charset() == charset


def test_a_value_that_the_character_set_lacks_makes_it_utf_8() -> None:
    head = b"From: a@b.test\nMIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
    message = read(head + b"Content-Transfer-Encoding: 8bit\n\nsch\xf6n {cn}\n")
    assert (message.get_content_charset(), text_of(message)) == ("utf-8", "schön Γιώργος\n")


MULTIPART = """\
From: a@b.test
Subject: s
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain

Hi {cn}
--inner
Content-Type: text/html; charset=utf-8

<style>p {color: red}</style><p>{cn}</p>
--inner--
--outer
Content-Type: application/octet-stream
Content-Transfer-Encoding: base64

e3VzZXJ9
--outer
Content-Type: message/rfc822

Subject: {user}

{user}
--outer
Content-Type: multipart/signed; boundary=signed

--signed
Content-Type: text/plain

{user}
--signed
Content-Type: application/pgp-signature

x
--signed--
--outer--
"""


def test_the_structure_is_kept_and_values_are_text_in_html() -> None:
    message = read(MULTIPART, cn="<b>Jo & Co</b>")
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [it.get_content_type() for it in email.message_from_string(MULTIPART).walk()]
    plain, html, binary = (text_of(it) for it in list(message.walk())[2:5])
    assert plain.strip() == "Hi <b>Jo & Co</b>"
    assert html.strip() == ("<style>p {color: red}</style><p>&lt;b&gt;Jo &amp; Co&lt;/b&gt;</p>")
    assert binary == "{user}"
    assert message.as_string().count("{user}") == 3  # attached and signed ones are not ours


def test_a_value_cannot_add_a_header_field_an_address_or_a_line() -> None:
    evil = 'x\r\nBcc: mallory@evil.test\n\nbody", <mallory@evil.test>, "'
    message = read(
        'From: a@b.test\nSubject: {cn}\nX-Note: {cn}\nTo: "{cn}" <{address}>, {cn} <{address}>\n\nx\n',
        cn=evil,
    )
    assert sorted(message.keys()) == ["From", "Subject", "To", "X-Note"]
    assert [it[1] for it in getaddresses([str(message["To"])])] == ["joe@example.org"] * 2
    assert message.get_payload() == "x\r\n"


@given(value=st.text(), user=st.text(min_size=1))
def test_no_value_at_all_changes_what_a_message_is_made_of(value: str, user: str) -> None:
    address = f"{user}@example.org"
    filled = template(BARE).filled({"cn": value, "address": address})
    message = email.message_from_bytes(filled)
    mime = {"Content-Type", "Content-Transfer-Encoding", "MIME-Version"}
    assert set(message) - mime == {"From", "Subject", "To"}
    assert len(getaddresses([str(message["To"])])) <= 1
    assert not message.defects
    assert filled.isascii()
    assert b"\r" not in filled.replace(b"\r\n", b"")
    assert b"\n" not in filled.replace(b"\r\n", b"")
    assert b"\0" not in filled


def test_a_value_that_looks_encoded_is_shown_as_it_is() -> None:
    message = read(BARE, cn="=?utf-8?q?=0AX?=")
    assert header(message, "Subject") == "Hi =?utf-8?q?=0AX?="
    assert header(message, "To") == "=?utf-8?q?=0AX?= <joe@example.org>"


def test_an_address_beyond_ascii_is_a_name_only() -> None:
    message = read("From: a@b.test\nTo: {address}\n\nx\n", address="γιώργος@example.org")
    assert str(message["To"]).endswith(":;")
    assert "γιώργος" in header(message, "To")


def test_names_are_told_wherever_they_are() -> None:
    assert set(template(MULTIPART.replace("Subject: s", "Subject: {Sn}", 1)).names) == {"cn", "sn"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has no header fields"),
        ("Hello {user}\n", "it has no header fields"),
        ("Subject: x\n\nHello\n", "the header field From is missing"),
        ("From root Thu Jan 1\nFrom: a@b\n\nx\n", "its first line is that of a mailbox file"),
        (
            "From: a@b\nDate: {user}\n\nx\n",
            "the header field Date cannot have a placeholder: {user}",
        ),
        (
            "From: a@b\nContent-Type: text/plain; charset=x-none\n\nx\n",
            "a text part is not in its character set, x-none",
        ),
        (b"From: a@b\nSubject: \xff\n\nx\n", "the header field Subject is neither UTF-8"),
        (b"From: a@b\n\n\xff\n", "a text part is not in its character set, utf-8"),
        ("From: a@b\n\nx\0\n", "it has NUL characters"),
        (
            "From: a@b\nContent-Type: multipart/mixed; boundary=x\n\nno part\n",
            "it is no valid message: StartBoundaryNotFoundDefect",
        ),
    ],
)
def test_what_cannot_be_delivered_is_told(text: str | bytes, problem: str) -> None:
    with pytest.raises(MalformedValue) as caught:
        template(text)
    assert problem in str(caught.value)
