"""What reaches lmtpd, and what is made of whatever it says, or does not say."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.errors import ServerTimeout, Temporary, Unreachable
from autocreate.lmtp.client import Lmtpd
from autocreate.lmtp.replies import Outcome
from autocreate.model import Envelope
from tests.servers.scripted import ScriptedServer

GREETING = b"220 mail.test Cyrus LMTP 3.6.1 server ready\r\n"
OFFER = b"250-mail.test\r\n250-PIPELINING\r\n250-SIZE\r\n250 Ok SESSIONID=<mail.test-1>\r\n"
MAIL, RCPT = b"250 2.1.0 ok\r\n", b"250 2.1.5 ok\r\n"
NOBODY = Envelope()


class FakeLmtpd(ScriptedServer):
    """Answers each command by its first word, ends the connection where the answer is None, and falls silent
    where it is empty.

    `heard` is every line, `writes` every piece. `pause` is the time in
    seconds after each byte of an answer.
    """

    def __init__(self, answers: Mapping[str, bytes | None] = {}, *, pause: float = 0.0) -> None:
        super().__init__()
        self.answers: dict[str, bytes | None] = {
            "greeting": GREETING,
            "LHLO": OFFER,
            "MAIL": MAIL,
            "RCPT": RCPT,
            "RSET": b"250 2.0.0 ok\r\n",
            "QUIT": b"221 bye\r\n",
            **answers,
        }
        self.pause = pause
        self.heard: list[bytes] = []
        self.writes: list[bytes] = []

    def client(self, timeout: float = 10.0, default_domain: str = "") -> Lmtpd:
        return Lmtpd(f"inet:127.0.0.1:{self.port}", 2, timeout, default_domain)

    def serve(self, client: socket.socket) -> None:
        if not self._say(client, "greeting"):
            return
        unread = b""
        while data := client.recv(65536):
            self.writes.append(data)
            unread += data
            while b"\r\n" in unread:
                line, _, unread = unread.partition(b"\r\n")
                self.heard.append(line)
                if not self._say(client, line[:4].decode()):
                    return

    def _say(self, client: socket.socket, word: str) -> bool:
        words = self.answers[word]
        if words is None:
            return False
        while not words and client.recv(65536):
            pass
        self.send(client, words, self.pause)
        return True


def test_a_question_is_one_write_and_the_connection_is_kept() -> None:
    with FakeLmtpd() as server, contextlib.closing(server.client()) as lmtpd:
        for _ in range(3):
            assert lmtpd.ask("Joe+News@example.org", NOBODY).outcome is Outcome.TAKEN
        question = b"MAIL FROM:<>\r\nRCPT TO:<Joe+News@example.org>\r\nRSET\r\n"
        assert server.writes == [b"LHLO autocreate\r\n", question, question, question]
        assert server.connections == 1
        assert lmtpd.snapshot() == {"busy": 0, "idle": 1, "size": 2}


def test_a_server_without_pipelining_is_asked_step_by_step() -> None:
    offer = b"250-mail.test\r\n250 SIZE\r\n"
    with FakeLmtpd({"LHLO": offer}) as server, contextlib.closing(server.client()) as lmtpd:
        assert lmtpd.ask("joe@example.org", NOBODY).outcome is Outcome.TAKEN
        assert server.writes[1:] == [
            b"MAIL FROM:<>\r\n",
            b"RCPT TO:<joe@example.org>\r\n",
            b"RSET\r\n",
        ]


@pytest.mark.parametrize(
    ("offers", "recipient", "envelope", "mail"),
    [
        ("SIZE", "joe@example.org", Envelope(size=5000), b"MAIL FROM:<> SIZE=5000"),
        ("SIZE", "joe@example.org", Envelope(), b"MAIL FROM:<>"),
        ("8BITMIME", "joe@example.org", Envelope(size=5000), b"MAIL FROM:<>"),
        ("SMTPUTF8", "jürgen@example.org", Envelope(smtputf8=True), b"MAIL FROM:<> SMTPUTF8"),
        ("SMTPUTF8", "joe@example.org", Envelope(smtputf8=True), b"MAIL FROM:<>"),
        ("SIZE", "jürgen@example.org", Envelope(), b"MAIL FROM:<>"),
    ],
)
def test_mail_says_what_the_client_said_and_the_server_offers(
    offers: str, recipient: str, envelope: Envelope, mail: bytes
) -> None:
    offer = f"250-mail.test\r\n250-{offers}\r\n250 Ok\r\n".encode()
    with FakeLmtpd({"LHLO": offer}) as server, contextlib.closing(server.client()) as lmtpd:
        lmtpd.ask(recipient, envelope)
        assert server.heard[1:3] == [mail, f"RCPT TO:<{recipient}>".encode()]


def test_a_recipient_that_needs_what_is_not_offered_is_not_sent() -> None:
    with FakeLmtpd() as server, contextlib.closing(server.client()) as lmtpd:
        told = lmtpd.ask("jürgen@example.org", Envelope(smtputf8=True))
        assert told.outcome is Outcome.REFUSED
        assert server.heard == [b"LHLO autocreate"]


def test_what_would_kill_it_is_not_sent() -> None:
    with FakeLmtpd() as server, contextlib.closing(server.client(default_domain="ex.test")) as it:
        told = it.ask("joe@EX.test", NOBODY)
        assert (told.outcome, "lmtp_generic_maps" in told.why) == (Outcome.CRASH, True)
        assert it.ask("joe@ex.test", NOBODY).outcome is Outcome.TAKEN
        assert server.heard[1:3] == [b"MAIL FROM:<>", b"RCPT TO:<joe@ex.test>"]


def test_what_would_kill_it_is_deferred_while_it_is_away_too() -> None:
    server = FakeLmtpd()
    server.close()
    with contextlib.closing(server.client(default_domain="ex.test")) as lmtpd:
        assert lmtpd.ask("joe@EX.test", NOBODY).outcome is Outcome.CRASH
        with pytest.raises(Temporary):
            lmtpd.ask("joe@ex.test", NOBODY)


@pytest.mark.parametrize("recipient", ["a> RCPT TO:<b", "a\r\nDATA", "a b", "a\x00", "<joe"])
def test_no_recipient_can_add_a_command(recipient: str) -> None:
    with FakeLmtpd() as server, contextlib.closing(server.client()) as lmtpd:
        with pytest.raises(Temporary):
            lmtpd.ask(recipient, NOBODY)
        assert server.heard == [b"LHLO autocreate"]


@given(recipient=st.text(max_size=20))
def test_whatever_is_asked_about_three_commands_are_sent_or_none(recipient: str) -> None:
    with FakeLmtpd() as server, contextlib.closing(server.client()) as lmtpd:
        with contextlib.suppress(Temporary, UnicodeEncodeError):
            lmtpd.ask(recipient, NOBODY)
        assert [line[:4] for line in server.heard[1:]] in ([], [b"MAIL", b"RCPT", b"RSET"])


# -- connections that end --------------------------------------------------------------------


@pytest.mark.parametrize("farewell", [None, b"421 4.4.1 bye idle for too long\r\n"])
def test_a_connection_that_ended_while_it_was_idle_is_replaced(farewell: bytes | None) -> None:
    with FakeLmtpd() as server, contextlib.closing(server.client()) as lmtpd:
        lmtpd.ask("joe@example.org", NOBODY)
        if farewell:
            (client,) = server._clients
            client.sendall(farewell)
        server.drop()
        assert lmtpd.ask("joe@example.org", NOBODY).outcome is Outcome.TAKEN
        assert server.connections == 2


def test_a_reply_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    with FakeLmtpd() as server, contextlib.closing(server.client()) as lmtpd:
        lmtpd.ask("joe@example.org", NOBODY)
        (client,) = server._clients
        client.sendall(b"250 2.0.0 ok\r\n")
        server.answers["RCPT"] = b"550 5.1.1 unknown\r\n"
        assert lmtpd.ask("kim@example.org", NOBODY).outcome is Outcome.UNKNOWN
        assert server.connections == 2


@pytest.mark.parametrize("answer", [None, b"421 4.3.0 lmtpd: assertion failed\r\n"])
def test_a_recipient_that_ends_the_connection_is_tried_once(answer: bytes | None) -> None:
    with FakeLmtpd({"RCPT": answer}) as server, contextlib.closing(server.client()) as lmtpd:
        assert lmtpd.ask("joe@example.org", NOBODY).outcome is Outcome.CRASH
        assert server.connections == 1
        assert lmtpd.snapshot()["idle"] == 0
        server.answers["RCPT"] = RCPT
        assert lmtpd.ask("kim@example.org", NOBODY).outcome is Outcome.TAKEN


def test_an_answer_counts_though_the_connection_ends_after_it() -> None:
    with FakeLmtpd({"RSET": None}) as server, contextlib.closing(server.client()) as lmtpd:
        assert lmtpd.ask("joe@example.org", NOBODY).outcome is Outcome.TAKEN
        assert lmtpd.snapshot()["idle"] == 0


# -- servers that are away, slow, or talk nonsense ---------------------------------------------


def test_a_server_that_is_away_is_asked_seldom() -> None:
    server = FakeLmtpd()
    server.close()
    with contextlib.closing(server.client()) as lmtpd:
        with pytest.raises(Unreachable, match="cannot be reached"):
            lmtpd.ask("joe@example.org", NOBODY)
        with pytest.raises(Temporary, match="not retried yet"):
            lmtpd.ask("joe@example.org", NOBODY)


def test_a_unix_socket_that_is_not_there_is_a_server_that_is_away(tmp_path: Path) -> None:
    with (
        contextlib.closing(Lmtpd(f"unix:{tmp_path}/lmtp", 2, 1.0)) as lmtpd,
        pytest.raises(Unreachable, match="No such file"),
    ):
        lmtpd.ask("joe@example.org", NOBODY)


@pytest.mark.parametrize(
    "answers",
    [{"greeting": b""}, {"LHLO": b""}, {"MAIL": b""}, {"RCPT": b""}],
    ids=["greeting", "LHLO", "MAIL", "RCPT"],
)
def test_a_silent_server_is_waited_for_no_longer_than_allowed(answers: Mapping[str, bytes]) -> None:
    with FakeLmtpd(answers) as server, contextlib.closing(server.client(0.2)) as lmtpd:
        begun = time.monotonic()
        with pytest.raises(ServerTimeout):
            lmtpd.ask("joe@example.org", NOBODY)
        assert time.monotonic() - begun < lmtpd.longest + 10.0


def test_a_server_that_drips_has_no_more_time_than_one_that_is_silent() -> None:
    with FakeLmtpd(pause=0.02) as server, contextlib.closing(server.client(0.2)) as lmtpd:
        begun = time.monotonic()
        with pytest.raises(ServerTimeout):
            lmtpd.ask("joe@example.org", NOBODY)
        assert time.monotonic() - begun < lmtpd.longest + 10.0


def endless(line: bytes) -> bytes:
    return b"".join(itertools.repeat(line, (1 << 17) // len(line)))


@pytest.mark.parametrize(
    "words",
    [
        endless(b"250-and\r\n"),
        endless(b"x"),
        b"* OK an IMAP server\r\n",
        b"2500 no code\r\n",
        b"\r\n",
        b"\xff\xfe\r\n",
    ],
)
@pytest.mark.parametrize("at", ["greeting", "LHLO", "MAIL"])
def test_nonsense_is_a_server_that_cannot_be_asked(at: str, words: bytes) -> None:
    with (
        FakeLmtpd({at: words}) as server,
        contextlib.closing(server.client(2.0)) as lmtpd,
        pytest.raises(Unreachable),
    ):
        lmtpd.ask("joe@example.org", NOBODY)


@pytest.mark.parametrize(
    "answers",
    [{"greeting": b"421 4.3.2 shutting down\r\n"}, {"LHLO": b"500 what?\r\n"}],
    ids=["greeting", "LHLO"],
)
def test_a_server_that_does_not_serve_cannot_be_asked(answers: Mapping[str, bytes]) -> None:
    with (
        FakeLmtpd(answers) as server,
        contextlib.closing(server.client()) as lmtpd,
        pytest.raises(Unreachable, match="does not accept sessions"),
    ):
        lmtpd.ask("joe@example.org", NOBODY)


def test_a_server_that_wants_a_password_cannot_be_asked_and_the_remedy_is_told() -> None:
    wants = b"530 Authentication required\r\n"
    with (
        FakeLmtpd({"MAIL": wants}) as server,
        contextlib.closing(server.client()) as lmtpd,
        pytest.raises(Unreachable, match="lmtpd -a"),
    ):
        lmtpd.ask("joe@example.org", NOBODY)


@pytest.fixture
def burst() -> Callable[[Lmtpd, int], list[Outcome]]:
    """Asks many times at once."""

    def ask(lmtpd: Lmtpd, times: int) -> list[Outcome]:
        told: list[Outcome] = []
        threads = [
            threading.Thread(
                target=lambda: told.append(lmtpd.ask("joe@example.org", NOBODY).outcome)
            )
            for _ in range(times)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return told

    return ask


def test_many_threads_share_a_few_connections(
    burst: Callable[[Lmtpd, int], list[Outcome]],
) -> None:
    with FakeLmtpd() as server, contextlib.closing(server.client()) as lmtpd:
        assert burst(lmtpd, 40) == [Outcome.TAKEN] * 40
        assert server.connections <= 2
