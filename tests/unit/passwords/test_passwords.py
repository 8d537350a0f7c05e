"""Those who know passwords: what of their answers is a yes, what a no, and what neither."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.passwords.imap import Imap
from autocreate.passwords.pam import Pam
from autocreate.passwords.request import SaslauthdRequest
from autocreate.passwords.saslauthd import Saslauthd
from tests.contract.liar import Liar, drip
from tests.servers.common import stop_listening

SECRET = "open sesame"


def attempt(password: str = SECRET, service: str = "imap") -> SaslauthdRequest:
    strings = [it.encode() for it in ("joe", password, service, "other.test")]
    wire = b"".join(len(string).to_bytes(2, "big") + string for string in strings)
    return SaslauthdRequest(memoryview(bytearray(wire)))


class Server:
    """Takes one connection and follows a script: it says bytes, and waits for a line where it has None."""

    def __init__(self, listener: socket.socket, script: list[bytes | None]) -> None:
        self.heard = b""
        self._listener = listener
        self._script = script
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                for words in self._script:
                    if words is None:
                        self.heard += connection.recv(4096)
                    else:
                        connection.sendall(words)


@contextlib.contextmanager
def saslauthd(folder: Path, *script: bytes | None) -> Iterator[tuple[Saslauthd, Server]]:
    path = folder / "mux"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield Saslauthd(path, timeout=10.0), Server(listener, list(script))
        stop_listening(listener)


def test_saslauthd_gets_the_request_as_it_came_and_its_answer_is_the_answer(
    tmp_path: Path,
) -> None:
    with saslauthd(tmp_path, None, b"\0\x0a", b"OK ", b"welcome") as (checker, server):
        request = attempt()
        assert checker.check(request) == b"OK welcome"
        assert server.heard == bytes(request.raw)


@pytest.mark.parametrize(
    "script",
    [
        [],
        [None, b""],
        [None, b"\0"],
        [None, b"\0\x0aOK"],
        [None, b"\0\0"],
        [None, b"\0\2ok"],
        [None, b"\0\5MAYBE"],
    ],
)
def test_what_saslauthd_does_not_say_is_neither_yes_nor_no(
    tmp_path: Path, script: list[bytes | None]
) -> None:
    with saslauthd(tmp_path, *script) as (checker, _), pytest.raises(Temporary):
        checker.check(attempt())


def test_a_saslauthd_that_is_not_there_cannot_tell(tmp_path: Path) -> None:
    with pytest.raises(Temporary, match="cannot be asked: No such file"):
        Saslauthd(tmp_path / "mux", timeout=10.0).check(attempt())


def test_a_saslauthd_that_is_silent_cannot_tell(tmp_path: Path) -> None:
    with saslauthd(tmp_path, None, None):
        silent = Saslauthd(tmp_path / "mux", timeout=0.05)
        with pytest.raises(Temporary, match="did not answer within"):
            silent.check(attempt())


def test_a_saslauthd_that_is_busy_is_waited_for_in_line(tmp_path: Path) -> None:
    path = tmp_path / "mux"
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as first,
        ThreadPoolExecutor(1) as thread,
    ):
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))  # there is room for one
        with pytest.raises(Temporary, match="did not answer within"):
            Saslauthd(path, timeout=0.05).check(attempt())
        answer = thread.submit(Saslauthd(path, timeout=30.0).check, attempt())
        with pytest.raises(TimeoutError):
            answer.result(timeout=0.2)
        listener.accept()[0].close()
        Server(listener, [None, b"\0\2OK"])
        assert answer.result(timeout=30.0) == b"OK"


GREETING = b"* OK ready\r\n"
CAPABLE = (GREETING, None, b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK done\r\n")


class TaggedServer(Server):
    """Says `TAG` as the tag of the last command that it heard."""

    def _run(self) -> None:
        tag = b""
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rb") as lines:
                for words in self._script:
                    if words is None:
                        line = lines.readline()
                        self.heard += line
                        tag = line.split(b" ")[0] if b" " in line else tag
                    else:
                        connection.sendall(words.replace(b"TAG", tag))


@contextlib.contextmanager
def imap_server(*script: bytes | None) -> Iterator[tuple[Imap, TaggedServer]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = TaggedServer(listener, list(script))
        yield Imap("127.0.0.1", listener.getsockname()[1], "none", None, timeout=10.0), server
        stop_listening(listener)


def test_an_imap_server_is_told_the_name_with_its_realm() -> None:
    with imap_server(*CAPABLE, None, b"+ \r\n", None, b"TAG OK in\r\n") as (checker, server):
        assert checker.check(attempt()) == b"OK"
        server.thread.join(10.0)
        assert (
            b"AGpvZUBvdGhlci50ZXN0AG9wZW4gc2VzYW1l" in server.heard
        )  # \0joe@other.test\0open sesame


def test_an_imap_server_that_hangs_up_after_its_yes_has_said_yes() -> None:
    """imaplib of Python 3.14 asks for capabilities after AUTHENTICATE, unless the yes has them."""
    for yes in (b"TAG OK in\r\n", b"TAG OK [CAPABILITY IMAP4rev1] in\r\n"):
        with imap_server(*CAPABLE, None, b"+ \r\n", None, yes) as (checker, _):
            assert checker.check(attempt()) == b"OK"


def test_an_imap_server_that_lets_everybody_in_has_not_said_yes() -> None:
    preauth = (b"* PREAUTH welcome\r\n", *CAPABLE[1:])
    with imap_server(*preauth) as (checker, server):
        with pytest.raises(Temporary, match="PREAUTH"):
            checker.check(attempt())
        server.thread.join(10.0)
        assert b"AUTHENTICATE" not in server.heard


@pytest.mark.parametrize("polite", [False, True], ids=["at once", "after the yes"])
def test_an_imap_server_that_drips_is_waited_for_no_longer_than_any_other(polite: bool) -> None:
    with Liar(drip, polite, hang_up=False) as liar:
        checker = Imap("127.0.0.1", liar.port, "none", None, timeout=0.5)
        began = time.monotonic()
        if polite:
            assert checker.check(attempt()) == b"OK"
        else:
            with pytest.raises(Temporary, match="did not answer within"):
                checker.check(attempt())
        assert time.monotonic() - began < 10


def test_an_imap_servers_yes_counts_only_after_the_password() -> None:
    with (
        imap_server(*CAPABLE, None, b"TAG OK in\r\n") as (checker, _),
        pytest.raises(Temporary, match="without the password"),
    ):
        checker.check(attempt())


def test_a_saslauthd_that_drips_is_waited_for_no_longer_than_any_other(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mux"))
        listener.listen()
        with Liar(lambda: (b"\xff" for _ in drip()), False, False, listener):
            began = time.monotonic()
            with pytest.raises(Temporary, match="did not answer within"):
                Saslauthd(tmp_path / "mux", timeout=0.5).check(attempt())
            assert time.monotonic() - began < 10.0


def test_an_imap_servers_no_is_a_no() -> None:
    refusal = b"TAG NO [AUTHENTICATIONFAILED] wrong\r\n"
    with imap_server(*CAPABLE, None, b"+ \r\n", None, refusal) as (checker, _):
        assert checker.check(attempt()) == b"NO"


@pytest.mark.parametrize(
    "script",
    [
        [],
        [b"* BYE full\r\n"],
        [b"SSH-2.0\r\n"],
        [GREETING, None, b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK done\r\n", None],
        [GREETING, None],
        [*CAPABLE, None],
        [*CAPABLE, None, b"+ \r\n", None],
        [*CAPABLE, None, b"+ \r\n", None, b"TAG NO [UNAVAILABLE] later\r\n"],
        [*CAPABLE, None, b"+ \r\n", None, b"TAG BAD what?\r\n"],
        [*CAPABLE, None, b"TAG BAD what?\r\n"],
    ],
)
def test_what_an_imap_server_does_not_say_is_neither_yes_nor_no(
    script: list[bytes | None],
) -> None:
    with imap_server(*script) as (checker, _), pytest.raises(Temporary) as raised:
        checker.check(attempt())
    assert SECRET not in str(raised.value)


def test_nobody_is_asked_for_an_empty_password() -> None:
    assert Pam(None, 10.0).check(attempt("")).startswith(b"NO")
    assert Imap("127.0.0.1", 1, "none", None, timeout=1.0).check(attempt("")).startswith(b"NO")


def test_pam_takes_no_path_for_the_name_of_a_service() -> None:
    with pytest.raises(Temporary, match="not a valid name of a PAM service"):
        Pam(None, 10.0).check(attempt(service="../imap"))
