"""Does a program listen at a Unix socket, does it answer as a milter, and may its callers connect?"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.doctor.endpoints import login_endpoint, milter_endpoint, notify_endpoint
from autocreate.doctor.permissions import UnixUser
from autocreate.doctor.probe_sockets import examine, path_entries
from tests.servers.common import stop_listening

NOBODY = UnixUser("nobody", 65534, frozenset({65534}))

# SMFIC_OPTNEG of version 6, as a milter answers it.
NEGOTIATED = b"\x00\x00\x00\x0dO" + bytes(12)


@contextlib.contextmanager
def listening(path: Path, answer: bytes = NEGOTIATED) -> Iterator[None]:
    """A server that answers one client's first bytes, and then reads until it leaves."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            # The client may leave without reading everything, which resets the connection.
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    if connection.recv(64):
                        connection.sendall(answer)
                        while connection.recv(64):
                            pass

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield
        finally:
            stop_listening(listener, server)


def test_a_milter_that_answers_and_lets_its_callers_in_has_no_findings(tmp_path: Path) -> None:
    path = tmp_path / "milter.sock"
    root = UnixUser("root", 0, frozenset({0}))
    with listening(path):
        assert list(examine(milter_endpoint(f"unix:{path}", (root,)))) == []


def test_a_program_that_is_no_milter_is_found(tmp_path: Path) -> None:
    path = tmp_path / "milter.sock"
    with listening(path, b"220 mx.example.org ESMTP\r\n"):
        (found,) = examine(milter_endpoint(f"unix:{path}", ()))
    assert "does not answer as a milter" in found.what
    assert "change milter.socket" in found.remedy


def test_a_socket_that_keeps_a_caller_out_is_found(tmp_path: Path) -> None:
    path = tmp_path / "login.sock"
    with listening(path):
        path.chmod(0o600)
        (found,) = examine(login_endpoint(f"unix:{path}", (NOBODY,)))
    assert "user nobody may not" in found.what
    assert found.why.startswith("it cannot connect to login.socket; ")


def test_a_socket_where_nobody_listens_is_found(tmp_path: Path) -> None:
    for endpoint in (
        login_endpoint(f"unix:{tmp_path}/none", ()),
        notify_endpoint(f"unix:{tmp_path}/none", ()),
    ):
        (found,) = examine(endpoint)
        assert found.what == (
            f"nobody listens at {endpoint.key} (unix:{tmp_path}/none): No such file or directory"
        )
        assert found.remedy.startswith("systemctl start autocreate-login")


def test_notifications_are_datagrams(tmp_path: Path) -> None:
    path = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        assert list(examine(notify_endpoint(f"unix:{path}", ()))) == []


def test_no_permission_to_connect_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_self: socket.socket, _address: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", denied)
    (found,) = examine(milter_endpoint(f"unix:{tmp_path}/m.sock", ()))
    assert found.what == (
        f"no permission to connect to milter.socket (unix:{tmp_path}/m.sock): Permission denied"
    )
    assert found.remedy == "run this as root"


def test_the_path_of_a_file_begins_at_the_root(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    entries = path_entries(file)
    assert (entries[0].path, entries[-1].path) == ("/", str(file.resolve()))
    assert [it.is_folder for it in entries] == [True] * (len(entries) - 1) + [False]
