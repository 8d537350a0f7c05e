"""What precedes every new LDAP connection ends in time, with the reason in words."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from autocreate.accounts.handshake import shake_hands
from autocreate.errors import Silent, Unreachable

# ExtendedResponses to message 1: success, and unwillingToPerform (53).
READY = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
REFUSED = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x35\x04\x00\x04\x00"

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that says something once it was asked, and then nothing; its URL."""
    listeners = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            try:
                connection, _ = listener.accept()
                connection.recv(512)
                connection.sendall(answer)
                while connection.recv(512):
                    pass
            except OSError:
                return

        threading.Thread(target=run, daemon=True).start()
        return f"ldap://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


def test_a_server_that_refuses_starttls(serve: Serve) -> None:
    with pytest.raises(Unreachable, match="the server refuses StartTLS"):
        shake_hands(serve(REFUSED), True, None, 5.0)


def test_a_server_that_answers_something_else(serve: Serve) -> None:
    with pytest.raises(Unreachable, match="the server refuses StartTLS"):
        shake_hands(serve(b"220 mail.test ESMTP\r\n"), True, None, 5.0)


def test_a_server_that_falls_silent_in_the_middle_of_the_handshake(serve: Serve) -> None:
    with pytest.raises(Silent, match=r"no answer within 0\.2 s"):
        shake_hands(serve(READY), True, None, 0.2)


def test_a_server_that_is_silent_from_the_start(serve: Serve) -> None:
    with pytest.raises(Silent):
        shake_hands(serve(b"").replace("ldap://", "ldaps://"), False, None, 0.2)


def test_a_server_that_is_not_there(serve: Serve) -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        shake_hands("ldap://127.0.0.1:1", False, None, 5.0)


def test_a_unix_socket_has_no_handshake() -> None:
    shake_hands("ldapi://%2Fnowhere", False, None, 5.0)
