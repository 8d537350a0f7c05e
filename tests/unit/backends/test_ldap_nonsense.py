"""What a directory answers beside its entries is decoded only if it was asked for."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from ldap.controls import KNOWN_RESPONSE_CONTROLS, ResponseControl

from autocreate.backends.ldap import DirectoryServer
from autocreate.backends.options import LdapOptions
from autocreate.errors import Temporary
from tests.servers.scripted import ScriptedServer

PAGES = b"1.2.840.113556.1.4.319"  # RFC 2696
ENTRY_CHANGE = b"2.16.840.1.113730.3.4.7"  # draft-ietf-ldapext-psearch
BOUND = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"


class Directory(ScriptedServer):
    """Finds nothing, and ends every search with a control of this type, whose value is none."""

    def __init__(self, control: bytes) -> None:
        super().__init__()
        self.answers = 0
        content = _tagged(4, control) + _tagged(4, b"\xff")
        self._end = b"\x65\x07\x0a\x01\x00\x04\x00\x04\x00" + _tagged(0xA0, _tagged(0x30, content))

    def serve(self, client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(BOUND)
        while request := client.recv(4096):
            number = request[request.index(b"\x02") :][:3]
            self.answers += 1
            client.sendall(_tagged(0x30, number + self._end))


def _tagged(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x84]) + len(content).to_bytes(4, "big") + content


@contextlib.contextmanager
def directory(server: ScriptedServer) -> Iterator[DirectoryServer]:
    options = LdapOptions(
        "accounts.staff",
        urls=(f"ldap://127.0.0.1:{server.port}",),
        tls="none",
        ca_file=None,
        bind_dn="",
        password_file=None,
        external=False,
        timeout=5.0,
        connections=1,
        base="dc=test",
        scope="sub",
    )
    with contextlib.closing(DirectoryServer(options)) as made:
        yield made


def test_a_control_that_nobody_asked_for_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Decoded(ResponseControl):  # type: ignore[misc]
        def decodeControlValue(self, encodedControlValue: bytes) -> None:  # noqa: N802, N803
            raise AssertionError(encodedControlValue)

    monkeypatch.setitem(KNOWN_RESPONSE_CONTROLS, ENTRY_CHANGE.decode(), Decoded)
    with Directory(ENTRY_CHANGE) as server, directory(server) as made:
        assert made.find_one("dc=test", "sub", "(uid=joe)", ["uid"]) is None
        assert server.answers


def test_one_that_cannot_be_decoded_is_temporary() -> None:
    with (
        Directory(PAGES) as server,
        directory(server) as made,
        pytest.raises(Temporary, match="DECODING_ERROR"),
    ):
        list(made.pages("dc=test", "sub", "(uid=*)", "uid"))
