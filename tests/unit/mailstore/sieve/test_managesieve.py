"""What reaches a ManageSieve server, and what is made of whatever it says."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.errors import Reason, Refused, ServerTimeout, Temporary, Unreachable
from autocreate.mailstore.ports import Tls
from autocreate.mailstore.server import Server
from autocreate.mailstore.sieve.managesieve import ManageSieve
from autocreate.mailstore.sieve.wire import SieveWire
from autocreate.tree.values import Script
from tests.servers.scripted import ScriptedServer
from tests.servers.tls import make_certificate

SCRIPT = Script("default.sieve", b'keep; # "\r\nLOGOUT\r\n{5+}')
GREETING = b'"SASL" "PLAIN"\r\n"SIEVE" "fileinto"\r\n"STARTTLS"\r\nOK\r\n'


class FakeServer(ScriptedServer):
    """Says yes to everything, unless told otherwise; `heard` is what it was told, argument by argument.

    With a pause (in seconds) after each of its bytes, the greeting comes drop by drop.
    """

    def __init__(
        self,
        greeting: bytes = GREETING,
        answers: Mapping[bytes, bytes] = {},
        pause: float = 0.0,
    ) -> None:
        super().__init__()
        self._greeting = greeting
        self._pause = pause
        self.answers = dict(answers)
        self.answers_to: Callable[[list[bytes]], bytes] = lambda _words: b""
        self.heard: list[list[bytes]] = []

    def store(self, timeout: float = 10.0, tls: Tls = "none") -> ManageSieve:
        return ManageSieve(Server("127.0.0.1", self.port, tls, "cyrus", "secret", timeout=timeout))

    @property
    def commands(self) -> list[bytes]:
        return [words[0] for words in self.heard]

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rwb", 0) as stream:
            self.send(client, self._greeting, self._pause)
            while words := _read(stream):
                self.heard.append(words)
                answer = self.answers_to(words) or self.answers.get(words[0], b"OK\r\n")
                if words[0] == b"SETACTIVE" and answer == b"OK\r\n":
                    listed = b"{%d}\r\n%b ACTIVE\r\n" % (len(words[1]), words[1])
                    self.answers[b"LISTSCRIPTS"] = listed + answer
                stream.write(answer)


def _read(stream: socket.SocketIO) -> list[bytes]:
    """A command and its arguments, read as strictly as RFC 5804 has it."""
    words: list[bytes] = []
    line = stream.readline()
    while literal := re.search(rb"\{(\d+)\+\}\r\n$", line):
        words += line[: literal.start()].split()
        missing, text = int(literal[1]), b""
        while len(text) < missing:
            text += stream.read(missing - len(text)) or b""
        words.append(text)
        line = stream.readline()
    return words + line.split()


def test_a_script_is_checked_kept_and_made_active_by_the_administrator_for_the_user() -> None:
    with FakeServer() as server:
        server.store().install("joe", SCRIPT)
        words = base64.b64encode(b"joe\0cyrus\0secret")
        assert server.heard == [
            [b"AUTHENTICATE", b"PLAIN", words],
            [b"LISTSCRIPTS"],
            [b"HAVESPACE", b"default.sieve", b"%d" % len(SCRIPT.text)],
            [b"CHECKSCRIPT", SCRIPT.text],
            [b"PUTSCRIPT", b"default.sieve", SCRIPT.text],
            [b"SETACTIVE", b"default.sieve"],
            [b"LISTSCRIPTS"],
            [b"UNAUTHENTICATE"],
        ]


def test_one_connection_serves_one_user_after_the_other_and_is_closed_with_a_word() -> None:
    with FakeServer() as server:
        store = server.store()
        store.active("joe")
        store.active("kim")
        store.close()
        assert server.commands == [
            *[b"AUTHENTICATE", b"LISTSCRIPTS", b"UNAUTHENTICATE"] * 2,
            b"LOGOUT",
        ]
        assert server.connections == 1


@pytest.mark.parametrize("answer", [b"NO\r\n", b"BYE\r\n"])
def test_a_connection_that_is_not_surely_logged_out_serves_nobody_else(answer: bytes) -> None:
    with FakeServer(answers={b"UNAUTHENTICATE": answer}) as server:
        store = server.store()
        store.active("joe")
        store.active("kim")
        assert (
            server.commands == [b"AUTHENTICATE", b"LISTSCRIPTS", b"UNAUTHENTICATE", b"LOGOUT"] * 2
        )
        assert server.connections == 2


@pytest.mark.parametrize("more", [b"OK\r\n", b'NO "what?"\r\n', b"BYE\r\n"])
def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(more: bytes) -> None:
    with FakeServer(answers={b"UNAUTHENTICATE": b"OK\r\n" + more}) as server:
        store = server.store()
        store.active("joe")
        server.answers[b"AUTHENTICATE"] = b"NO\r\n"
        with pytest.raises(Temporary):
            store.active("kim")
        assert server.connections == 2


@given(st.text(min_size=1, max_size=20), st.binary(max_size=50))
def test_whatever_is_in_a_name_or_a_script_it_stays_one_argument(name: str, text: bytes) -> None:
    name = name.encode("utf-8", "replace").decode()
    with FakeServer() as server:
        server.store().install("joe", Script(name, text))
        assert server.heard[4] == [b"PUTSCRIPT", name.encode(), text]
        assert server.heard[5] == [b"SETACTIVE", name.encode()]
        assert len(server.heard) == 8


def test_a_user_id_with_a_nul_is_refused() -> None:
    with FakeServer() as server, pytest.raises(Refused):
        server.store().install("joe\0cyrus", SCRIPT)


@pytest.mark.parametrize(
    "listing",
    [
        b'"mine" ACTIVE\r\n',
        b'"mine" active\r\n',
        b'"other"\r\n"mine" ACTIVE\r\n',
        b"{4}\r\nmine ACTIVE\r\n",
        b"{4+}\r\nmine ACTIVE\r\n",
        b'"a "quoted" name"\r\n"mine" ACTIVE\r\n',
        b'"OK"\r\n"NO"\r\n"mine" ACTIVE\r\n',
        b'"mine" ACTIVE\n',
    ],
)
def test_an_active_script_is_seen_however_it_is_listed_and_nothing_is_put(listing: bytes) -> None:
    with FakeServer(answers={b"LISTSCRIPTS": listing + b"OK\r\n"}) as server:
        assert server.store().active("joe") == Script("mine")
        server.store().install("joe", SCRIPT)
        assert server.commands == [b"AUTHENTICATE", b"LISTSCRIPTS", b"UNAUTHENTICATE"] * 2


@pytest.mark.parametrize("listing", [b"", b'"x\\" ACTIVE"\r\n', b'"ACTIVE"\r\n', b'"OK"\r\n'])
def test_a_name_that_says_active_is_not_an_active_script(listing: bytes) -> None:
    with FakeServer(answers={b"LISTSCRIPTS": listing + b"OK\r\n"}) as server:
        assert server.store().active("joe") is None


def test_a_script_of_ours_that_an_earlier_attempt_left_is_made_active() -> None:
    answers = {
        b"LISTSCRIPTS": b'"default.sieve"\r\nOK\r\n',
        b"GETSCRIPT": b"{%d}\r\n%b\r\nOK\r\n" % (len(SCRIPT.text), SCRIPT.text),
    }
    with FakeServer(answers=answers) as server:
        server.store().install("joe", SCRIPT)
        assert server.commands[2:] == [
            b"GETSCRIPT",
            b"SETACTIVE",
            b"LISTSCRIPTS",
            b"UNAUTHENTICATE",
        ]


def test_another_script_of_that_name_is_left_alone() -> None:
    answers = {
        b"LISTSCRIPTS": b'"default.sieve"\r\nOK\r\n',
        b"GETSCRIPT": b"{5}\r\nstop;\r\nOK\r\n",
    }
    with FakeServer(answers=answers) as server:
        with pytest.raises(Refused, match="a different script of that name") as raised:
            server.store().install("joe", SCRIPT)
        assert raised.value.reason is Reason.TAKEN
        assert server.commands[2:] == [b"GETSCRIPT", b"UNAUTHENTICATE"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"NO {32}\r\nline 2: syntax error\r\nline 3: x\r\n", "line 2: syntax error line 3: x"),
        (b'NO "line 2: syntax error"\r\n', "line 2: syntax error"),
        (b'NO (WARNINGS "a)b") "line 2: syntax error"\r\n', "line 2: syntax error"),
    ],
)
def test_a_script_that_does_not_compile_is_refused_for_good_and_nothing_is_put(
    answer: bytes, reason: str
) -> None:
    with FakeServer(answers={b"CHECKSCRIPT": answer}) as server:
        with pytest.raises(Refused, match=f"does not compile: {re.escape(reason)}$") as raised:
            server.store().install("joe", SCRIPT)
        assert raised.value.reason is Reason.IMPOSSIBLE
        assert b"PUTSCRIPT" not in server.commands
        assert server.commands[-1] == b"UNAUTHENTICATE"


def test_a_script_that_is_too_long_is_not_sent() -> None:
    answers = {b"HAVESPACE": b'NO (QUOTA/MAXSIZE) "too large"\r\n'}
    with FakeServer(answers=answers) as server:
        with pytest.raises(Refused, match="too large") as raised:
            server.store().install("joe", SCRIPT)
        assert raised.value.reason is Reason.IMPOSSIBLE
        assert server.commands[2:] == [b"HAVESPACE", b"UNAUTHENTICATE"]


@pytest.mark.parametrize(
    "command", [b"LISTSCRIPTS", b"HAVESPACE", b"CHECKSCRIPT", b"PUTSCRIPT", b"SETACTIVE"]
)
@pytest.mark.parametrize(
    "answer", [b'NO (TRYLATER) "busy"\r\n', b'NO "System I/O error"\r\n', b"NO\r\n"]
)
def test_a_no_that_names_no_lasting_reason_is_worth_another_attempt(
    command: bytes, answer: bytes
) -> None:
    with FakeServer(answers={command: answer}) as server:
        with pytest.raises(Refused) as raised:
            server.store().install("joe", SCRIPT)
        assert raised.value.reason is Reason.OTHER
        assert server.commands[-1] == b"UNAUTHENTICATE"


@pytest.mark.parametrize("answer", [b'NO "System I/O error"\r\n', b"NO\r\n"])
def test_a_check_without_a_reason_is_undecided(answer: bytes) -> None:
    with FakeServer() as server:
        server.answers_to = lambda words: answer if words == [b"CHECKSCRIPT", SCRIPT.text] else b""
        with pytest.raises(Temporary, match="cannot check the script"):
            server.store().check(SCRIPT)


def test_a_refused_login_is_worth_another_attempt_and_names_the_keys() -> None:
    with (
        FakeServer(answers={b"AUTHENTICATE": b'NO "Authentication Error"\r\n'}) as server,
        pytest.raises(Temporary, match=r"'cyrus' act for 'joe'.*\[cyrus\] admin and password_file"),
    ):
        server.store().install("joe", SCRIPT)


NONSENSE = {
    "another protocol": b"* OK IMAP4rev1\r\n* BYE\r\n",
    "half a line": b"OK",
    "nothing": b"",
    "NULs": b"\0" * 100 + b"\r\n",
    "a line without end": b"x" * (5 << 20),
    "a huge literal": b"{999999999}\r\n",
    "a negative literal": b"{-1}\r\n",
    "a literal that ends early": b"{100}\r\nabc",
    "many lines": b'"x"\r\n' * 2000,
    "many literals": b"{0}\r\n" * 2000,
    "goodbye": b'BYE "Too many connections"\r\n',
    "a referral": b'BYE (REFERRAL "sieve://other.test") "Try Remote."\r\n',
    "an open quote": b'"name\r\nOK\r\n',
    "words": b"hello there\r\nOK\r\n",
}


@pytest.mark.parametrize("words", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_for_an_answer_is_the_servers_failure(words: bytes) -> None:
    with (
        FakeServer(answers={b"LISTSCRIPTS": words}) as server,
        pytest.raises(Unreachable, match=r"Cyrus at 127\.0\.0\.1"),
    ):
        server.store(timeout=0.5).active("joe")


@pytest.mark.parametrize("kind", ["a line without end", "a huge literal", "many lines"])
def test_an_answer_beyond_measure_is_not_waited_for(kind: str) -> None:
    with (
        FakeServer(answers={b"LISTSCRIPTS": NONSENSE[kind]}) as server,
        pytest.raises(Unreachable, match="answered nonsense"),
    ):
        server.store(timeout=30.0).active("joe")


@pytest.mark.parametrize("words", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_for_a_greeting_never_gets_the_password(words: bytes) -> None:
    with FakeServer(greeting=words) as server:
        with contextlib.suppress(Unreachable):
            server.store(timeout=0.5).active("joe")
        if words not in (NONSENSE["words"], NONSENSE["an open quote"]):
            assert server.heard == []


@given(st.binary(max_size=60))
def test_no_answer_ends_in_anything_but_an_error_of_ours(words: bytes) -> None:
    answers = {b"LISTSCRIPTS": words + b"\r\nOK\r\nOK\r\nOK\r\n"}
    with FakeServer(answers=answers) as server, contextlib.suppress(Temporary, Refused):
        server.store(timeout=0.2).active("joe")


def test_a_server_that_drips_is_given_up_in_time() -> None:
    with (
        FakeServer(greeting=b'"SASL" "PLAIN"\r\n' * 900, pause=0.02) as server,
        pytest.raises(ServerTimeout, match=r"did not finish within 0\.3 s"),
    ):
        server.store(timeout=0.3).active("joe")


def test_without_starttls_no_password_is_sent() -> None:
    with FakeServer(answers={b"STARTTLS": b'NO "not here"\r\n'}) as server:
        with pytest.raises(Unreachable, match="offers no STARTTLS"):
            server.store(tls="starttls").active("joe")
        assert server.commands == [b"STARTTLS"]


def test_what_came_before_tls_is_not_taken_for_what_comes_after() -> None:
    injected = b'OK\r\n"SASL" "PLAIN"\r\nOK "injected"\r\n'
    with FakeServer(answers={b"STARTTLS": injected}) as server:
        with pytest.raises(Unreachable, match="spoke before TLS"):
            server.store(tls="starttls").active("joe")
        assert server.commands == [b"STARTTLS"]


def test_a_server_that_is_down_is_not_asked_by_everyone() -> None:
    with FakeServer(greeting=b"BYE\r\n") as server:
        store = server.store()
        with pytest.raises(Unreachable):
            store.active("joe")
        with pytest.raises(Temporary, match=r"ManageSieve of Cyrus at .* not retried yet"):
            store.active("kim")


def test_a_server_that_refuses_one_user_is_asked_for_the_next() -> None:
    with FakeServer(answers={b"AUTHENTICATE": b"NO\r\n"}) as server:
        store = server.store()
        for user in ("joe", "kim"):
            with pytest.raises(Temporary, match="act for"):
                store.active(user)


def test_a_script_is_checked_without_a_login() -> None:
    with FakeServer() as server:
        assert server.store().check(SCRIPT) == ()
        assert server.heard == [
            [b"CHECKSCRIPT", b"keep;\r\n"],
            [b"CHECKSCRIPT", SCRIPT.text],
        ]


def test_a_server_that_wants_a_login_first_leaves_the_check_undecided() -> None:
    with (
        FakeServer(answers={b"CHECKSCRIPT": b'NO "Authenticate first"\r\n'}) as server,
        pytest.raises(Temporary, match="Authenticate first"),
    ):
        server.store().check(SCRIPT)


@pytest.fixture(autouse=True)
def _no_thread_dies(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    yield
    assert [str(it.message) for it in recwarn if "thread" in str(it.message).lower()] == []


def test_a_greeting_fills_no_memory() -> None:
    greeting = (b"{1000000}\r\n" + b"x" * 1_000_000) * 100
    with FakeServer(greeting=greeting) as server:
        tracemalloc.start()
        try:
            with pytest.raises(Unreachable, match="answered nonsense"):
                server.store(timeout=30.0).active("joe")
            assert tracemalloc.get_traced_memory()[1] < 32 << 20
        finally:
            tracemalloc.stop()


def test_what_was_offered_before_tls_is_not_believed_within(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)

    class Secured(ScriptedServer):
        def serve(self, client: socket.socket) -> None:
            client.sendall(GREETING)
            client.recv(4096)
            client.sendall(b"OK\r\n")
            with context.wrap_socket(client, server_side=True) as secured:
                secured.sendall(b"OK\r\n")
                secured.recv(4096)

    with Secured() as server:
        ca_file = str(certificate.ca_file)
        wire = SieveWire(
            Server("127.0.0.1", server.port, "starttls", "cyrus", "secret", ca_file=ca_file)
        )
        assert wire.mechanisms == frozenset()
        wire.discard()
