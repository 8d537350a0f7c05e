"""The words of saslauthd's clients: what is a request, and what is dropped."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.errors import IncompleteRequest, MalformedRequest
from autocreate.model import Login
from autocreate.passwords.request import LONGEST_STRING, SaslauthdRequest, answer


def wire(*strings: bytes) -> bytes:
    return b"".join(len(string).to_bytes(2, "big") + string for string in strings)


def attempt(*strings: bytes) -> SaslauthdRequest:
    return SaslauthdRequest(memoryview(bytearray(wire(*strings))))


def is_complete(data: bytes) -> bool:
    try:
        SaslauthdRequest(memoryview(bytearray(data)))
    except IncompleteRequest:
        return False
    return True


def test_four_strings_are_login_password_service_and_realm() -> None:
    read = attempt(b"joe", b"secret", b"imap", b"other.test")
    assert (read.login, bytes(read.password), read.service) == ("joe", b"secret", "imap")
    assert (read.realm, read.user, read.client) == ("other.test", "joe@other.test", "")


def test_a_fifth_is_the_address_of_the_client() -> None:
    assert attempt(b"joe", b"secret", b"imap", b"", b"192.0.2.1").client == "192.0.2.1"


def test_the_service_pop_is_pop3_to_imapd_conf() -> None:
    assert attempt(b"joe", b"secret", b"pop", b"").subject == Login("joe", "pop3")


def test_a_request_is_complete_after_four_strings_or_five() -> None:
    request = wire(b"joe", b"secret", b"imap", b"")
    assert is_complete(request)
    assert not is_complete(request + b"\0")
    assert not is_complete(request + b"\0\2a")
    assert is_complete(request + wire(b"192.0.2.1"))


def test_what_is_shorter_is_not_complete() -> None:
    request = wire(b"joe", b"secret", b"imap", b"realm")
    assert not any(is_complete(request[:length]) for length in range(len(request)))


def test_a_string_that_is_too_long_is_known_from_its_length_alone() -> None:
    with pytest.raises(MalformedRequest, match="a string of 1025 bytes"):
        is_complete((LONGEST_STRING + 1).to_bytes(2, "big"))


def test_more_than_five_strings_are_no_request() -> None:
    with pytest.raises(MalformedRequest, match="more than five"):
        is_complete(wire(b"joe", b"x", b"imap", b"", b"", b""))


@pytest.mark.parametrize(
    ("strings", "why"),
    [
        ((b"", b"x", b"imap", b""), "no login"),
        ((b"j\xf6e", b"x", b"imap", b""), "a login that is not UTF-8"),
        ((b"joe", b"x", b"\xff", b""), "a service that is not UTF-8"),
        ((b"joe\r\nINFO", b"x", b"imap", b""), "control characters in the login"),
        ((b"joe", b"x", b"imap", b"\0"), "control characters in the realm"),
        ((b"joe", b"x\0y", b"imap", b""), "a NUL in the password"),
    ],
)
def test_what_could_mean_something_else_to_somebody_is_no_attempt(
    strings: tuple[bytes, ...], why: str
) -> None:
    with pytest.raises(MalformedRequest, match=why):
        attempt(*strings)


def test_a_password_is_in_no_representation() -> None:
    read = attempt(b"joe", b"secret", b"imap", b"")
    assert "secret" not in repr(read)


def test_a_wiped_attempt_has_no_password() -> None:
    request = bytearray(wire(b"joe", b"secret", b"imap", b""))
    SaslauthdRequest(memoryview(request)).wipe()
    assert request == bytes(len(request))


def test_an_answer_stands_behind_its_length() -> None:
    assert answer(b"OK") == b"\0\2OK"


@given(st.binary(max_size=4000))
def test_bytes_of_any_kind_are_a_request_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedRequest):
        SaslauthdRequest(memoryview(bytearray(data)))


_text = st.text(st.characters(min_codepoint=33, exclude_categories=["Cc", "Cs", "Z", "C"]))


@given(
    _text.filter(bool),
    st.binary(max_size=LONGEST_STRING).filter(lambda it: b"\0" not in it),
    _text,
    _text,
)
def test_what_a_client_writes_is_what_is_read(
    login: str, password: bytes, service: str, realm: str
) -> None:
    strings = (login.encode(), password, service.encode(), realm.encode())
    if any(len(string) > LONGEST_STRING for string in strings):
        return
    read = attempt(*strings)
    assert (read.login, bytes(read.password), read.service, read.realm) == (
        login,
        password,
        service,
        realm,
    )
