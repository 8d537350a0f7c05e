"""What precedes every new LDAP connection ends in time, with the reason in words."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autocreate.backends.ldap_tls import shake_hands
from autocreate.errors import ServerTimeout, Unreachable
from tests.servers.common import stop_listening, wait_until
from tests.servers.tls import make_certificate

# ExtendedResponses to message 1: success, and unwillingToPerform (53).
READY = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
REFUSED = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x35\x04\x00\x04\x00"

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that says something once it was asked, and then nothing; its URL."""
    started = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            try:
                connection, _ = listener.accept()
                connection.recv(512)
                connection.sendall(answer)
                while connection.recv(512):
                    pass
            except OSError:
                return

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.append((listener, thread))
        return f"ldap://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener, thread in started:
        stop_listening(listener, thread)


def test_a_server_that_refuses_starttls(serve: Serve) -> None:
    with pytest.raises(Unreachable, match="the server refuses StartTLS"):
        shake_hands(serve(REFUSED), True, None, 5.0)


def test_a_server_that_answers_something_else(serve: Serve) -> None:
    with pytest.raises(Unreachable, match="the server refuses StartTLS"):
        shake_hands(serve(b"220 mail.test ESMTP\r\n"), True, None, 5.0)


def test_a_server_that_falls_silent_in_the_middle_of_the_handshake(serve: Serve) -> None:
    with pytest.raises(ServerTimeout, match=r"no answer within 0\.2 s"):
        shake_hands(serve(READY), True, None, 0.2)


def test_a_server_that_is_silent_from_the_start(serve: Serve) -> None:
    with pytest.raises(ServerTimeout):
        shake_hands(serve(b"").replace("ldap://", "ldaps://"), False, None, 0.2)


def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, days=0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    with contextlib.ExitStack() as opened:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()

        def refusal() -> str:
            with contextlib.suppress(Unreachable):
                shake_hands(url, False, certificate.ca_file, 5.0)
                return ""
            return "unreachable"

        server = threading.Thread(target=run, daemon=True)
        server.start()
        opened.callback(stop_listening, listener, server)
        url = f"ldaps://127.0.0.1:{listener.getsockname()[1]}"
        wait_until(refusal, 10.0, "the end of its second")
        with pytest.raises(Unreachable, match="is not trusted: certificate has expired"):
            shake_hands(url, False, certificate.ca_file, 5.0)


def test_a_server_that_is_not_there(serve: Serve) -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        shake_hands("ldap://127.0.0.1:1", False, None, 5.0)


def test_a_unix_socket_has_no_handshake() -> None:
    shake_hands("ldapi://%2Fnowhere", False, None, 5.0)
