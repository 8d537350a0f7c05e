"""How an IMAP server is reached, and that nothing said before TLS counts. ImapPort by way, with scripted servers.

What a certificate does is in tests/contract/test_cyrus_tls.py.
"""

from __future__ import annotations

import imaplib
import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.mailstore.ports import ImapPort
from autocreate.mailstore.wire import AllPortsFailed, Dialer, NoStarttls, Wire
from tests.servers.scripted import ScriptedServer
from tests.servers.tls import make_certificate

HOST = "127.0.0.1"
PLAIN = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] Cyrus IMAP 3.10.2 ready\r\n"
OFFERS = b"* OK [CAPABILITY IMAP4rev1 STARTTLS] Cyrus IMAP 3.6.1 ready\r\n"


class Fake(ScriptedServer):
    """A server that greets, tells its capabilities, and answers STARTTLS as it is told (TAG is the tag)."""

    def __init__(self, greeting: bytes, starttls: bytes = b"TAG NO no\r\n") -> None:
        super().__init__()
        self.greeting = greeting
        self.starttls = starttls
        self.heard: list[bytes] = []

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            client.sendall(self.greeting)
            offers = b"STARTTLS" if b"STARTTLS" in self.greeting else b"AUTH=PLAIN"
            for line in lines:
                tag, _, command = line.strip().partition(b" ")
                self.heard.append(command)
                answer = b"* CAPABILITY IMAP4rev1 %b\r\nTAG OK done\r\n" % offers
                client.sendall(
                    (self.starttls if command == b"STARTTLS" else answer).replace(b"TAG", tag)
                )


@pytest.fixture
def plain() -> Iterator[Fake]:
    """Offers no STARTTLS."""
    with Fake(PLAIN) as server:
        yield server


@pytest.fixture
def other() -> Iterator[Fake]:
    """Where the second way leads."""
    with Fake(PLAIN) as server:
        yield server


def dialer(first: int, second: int, timeout: float = 10.0) -> Dialer:
    """STARTTLS, else as it is: nothing that a configuration allows, but it needs no certificate here."""
    return Dialer(HOST, (ImapPort(first, "starttls"), ImapPort(second, "none")), None, timeout)


def closed_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_port_where_nobody_listens_leads_to_the_next_way(other: Fake) -> None:
    it = dialer(closed_port(), other.port)
    it.dial().shutdown()
    assert it.port == other.port


def test_a_port_that_answers_nobody_leads_to_the_next_way(other: Fake) -> None:
    with (
        socket.create_server((HOST, 0), backlog=0) as listener,
        socket.create_connection(listener.getsockname()),  # there is room for one
    ):
        it = dialer(listener.getsockname()[1], other.port, timeout=1.0)
        it.dial().shutdown()
        assert it.port == other.port


def test_a_server_that_offers_no_starttls_leads_to_the_next_way(plain: Fake, other: Fake) -> None:
    it = dialer(plain.port, other.port)
    it.dial().shutdown()
    assert it.port == other.port


def test_the_way_that_worked_is_the_one_tried_from_then_on(plain: Fake, other: Fake) -> None:
    it = dialer(plain.port, other.port)
    for _ in range(3):
        it.dial().shutdown()
    assert (plain.connections, other.connections) == (1, 3)


def test_a_way_that_stops_working_leads_to_another_and_the_log_says_so(
    plain: Fake, other: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    it = Dialer(HOST, (ImapPort(plain.port, "none"), ImapPort(other.port, "none")), None, 10.0)
    it.dial().shutdown()
    it.dial().shutdown()
    plain.close()
    it.dial().shutdown()
    it.dial().shutdown()
    chosen, changed = caplog.records
    assert chosen.levelname == "INFO"
    assert chosen.getMessage() == f"IMAP server {HOST}: no TLS on port {plain.port}"
    assert changed.levelname == "WARNING"
    assert changed.getMessage() == (
        f"IMAP server {HOST}: now no TLS on port {other.port}; no TLS on port {plain.port}: "
        "[Errno 111] Connection refused"
    )


def test_the_only_way_of_a_configuration_is_not_worth_a_line(
    plain: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    Dialer(HOST, [ImapPort(plain.port, "none")], None, 10.0).dial().shutdown()
    assert caplog.records == []


def test_if_every_way_fails_the_error_names_each(plain: Fake) -> None:
    closed = closed_port()
    ports = (ImapPort(plain.port, "starttls"), ImapPort(closed, "implicit"))
    with pytest.raises(AllPortsFailed) as raised:
        Dialer(HOST, ports, None, 10.0).dial()
    assert str(raised.value) == (
        f"STARTTLS on port {plain.port}: STARTTLS is not offered; "
        f"implicit TLS on port {closed}: [Errno 111] Connection refused"
    )
    missing, refused = raised.value.errors
    assert isinstance(missing, NoStarttls)
    assert "Cyrus IMAP 3.10.2" in missing.greeting
    assert isinstance(refused, ConnectionRefusedError)


def test_the_only_way_fails_with_its_own_error(plain: Fake) -> None:
    with pytest.raises(NoStarttls):
        Dialer(HOST, [ImapPort(plain.port, "starttls")], None, 10.0).dial()


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"", TimeoutError),
        (b"* BYE too many connections\r\n", imaplib.IMAP4.error),
        (b"SSH-2.0\r\n", imaplib.IMAP4.error),
    ],
    ids=["silence", "BYE", "nonsense"],
)
def test_a_server_that_listens_and_does_not_greet_is_not_gone_around(
    greeting: bytes, error: type[Exception], other: Fake
) -> None:
    with Fake(greeting) as server, pytest.raises(error):
        dialer(server.port, other.port, timeout=1.0 if greeting == b"" else 10.0).dial()
    assert other.connections == 0


@pytest.mark.parametrize("starttls", [b"TAG NO no\r\n", b"TAG BAD what?\r\n"], ids=["NO", "BAD"])
def test_starttls_that_is_offered_and_refused_leads_to_the_next_way(
    starttls: bytes, other: Fake
) -> None:
    with Fake(OFFERS, starttls) as server:
        it = dialer(server.port, other.port)
        it.dial().shutdown()
    assert it.port == other.port


def test_a_greeting_that_forbids_starttls_ends_the_way(other: Fake) -> None:
    """PREAUTH: who stands in between would have us go on in clear (RFC 9051, 11.1)."""
    with Fake(OFFERS.replace(b"OK", b"PREAUTH")) as server:
        with pytest.raises(NoStarttls):
            Dialer(HOST, [ImapPort(server.port, "starttls")], None, 10.0).dial()
        assert b"STARTTLS" not in server.heard


def test_what_is_said_before_tls_does_not_count_within() -> None:
    """Python 3.14's imaplib would take it for the server's (as in CVE-2011-0411)."""
    injected = b"TAG OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"
    with (
        Fake(OFFERS, injected) as server,
        pytest.raises(ConnectionError, match="spoke before TLS"),
    ):
        Dialer(HOST, [ImapPort(server.port, "starttls")], None, 10.0).dial()


def test_a_server_that_speaks_no_tls_after_starttls_is_an_error_and_not_gone_around(
    other: Fake,
) -> None:
    with Fake(OFFERS, b"TAG OK begin\r\n") as server, pytest.raises((ssl.SSLError, OSError)):
        dialer(server.port, other.port).dial()
    assert other.connections == 0


class Secured(ScriptedServer):
    """Tells its capabilities before TLS, asked or not, and never within."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        certificate = make_certificate(folder)
        self.ca_file = str(certificate.ca_file)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.cert_file, certificate.key_file)

    def serve(self, client: socket.socket) -> None:
        offers = b"[CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN]"
        client.sendall(b"* OK %b Cyrus IMAP 2.2.0 ready\r\n" % offers)
        while b"STARTTLS" not in (line := client.recv(4096)):
            tag = line.split()[0]
            client.sendall(b"* CAPABILITY %b\r\n%b OK done\r\n" % (offers[12:-1], tag))
        client.sendall(b"%b OK %b begin\r\n" % (line.split()[0], offers))
        with self._context.wrap_socket(client, server_side=True) as secured:
            while line := secured.recv(4096):
                secured.sendall(line.split()[0] + b" OK done\r\n")


def test_what_was_offered_before_tls_is_not_believed_within(tmp_path: Path) -> None:
    with Secured(tmp_path) as server:
        port = ImapPort(server.port, "starttls")
        wire = Dialer(HOST, [port], server.ca_file, 10.0).dial()
        assert "AUTH=PLAIN" not in wire.capabilities
        assert wire.welcome == b""
        assert "CAPABILITY" not in wire.untagged_responses
        wire.shutdown()


def test_a_capability_that_came_before_the_question_is_no_answer() -> None:
    with Fake(PLAIN) as server:
        wire = Dialer(HOST, [ImapPort(server.port, "none")], None, 10.0).dial()
        wire.untagged_responses["CAPABILITY"] = [b"IMAP4rev1 OLD"]
        _, told = wire.capability()
        assert told == [b"IMAP4rev1 AUTH=PLAIN"]
        wire.shutdown()


class Imaplib(Wire):
    """Responses as imaplib takes them apart."""

    _get_response = vars(imaplib.IMAP4)["_get_response"]


class Answering(Fake):
    """Answers every further command in this way (TAG is the tag)."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(PLAIN.replace(b"AUTH=PLAIN", b"STARTTLS"), answer)


def kept(kind: type[Wire], answer: bytes) -> object:
    """What is kept of an answer, and what is raised for it."""
    with Answering(answer) as server:
        connection = socket.create_connection((HOST, server.port), 10.0)
        wire = kind(connection, HOST, 10.0)
        try:
            wire.forget()
            raised = ""
            try:
                tagged: object = wire.xatom("STARTTLS")
            except imaplib.IMAP4.error as error:
                tagged, raised = None, type(error).__name__
            return tagged, raised, wire.untagged_responses, wire.tagged_commands.values()
        finally:
            wire.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        b"TAG OK done\r\n",
        b"TAG NO [ALREADYEXISTS] it is there\r\n",
        b"TAG BAD what\r\n",
        b"TAG OK [MAILBOXID (a1b2)] Completed\r\n",
        b'* LIST (\\HasNoChildren) "/" INBOX\r\n* LIST () "/" Sent\r\nTAG OK done\r\n',
        b"* 23 EXISTS\r\n* 2 FETCH (FLAGS ())\r\n* SEARCH\r\nTAG OK done\r\n",
        b"* METADATA INBOX (/private/comment {5}\r\na\r\nb) /x {3}\r\nabc)\r\nTAG OK done\r\n",
        b"* OK [CAPABILITY IMAP4rev1 ACL] hello\r\n* OK [CLOSED] x\r\nTAG OK done\r\n",
        b'* LIST () "/" "caf\xc3\xa9"\r\nTAG OK done\r\n',
        b"+ go on\r\n+ \r\nTAG OK done\r\n",
        b"* BYE bye\r\nTAG OK done\r\n",
        b"TAG OK\r\n",
        b"TAG 5 OK done\r\n",
        b"TAG ok done\r\n",
        b"other OK done\r\n",
        b"* lower case\r\nTAG OK done\r\n",
        b"*\r\nTAG OK done\r\n",
        b"\r\nTAG OK done\r\n",
        b"TAG OK without CR\n",
        b"TAG OK [X\r\n",
    ],
)
def test_an_answer_is_taken_apart_as_imaplib_does(answer: bytes) -> None:
    ours, theirs = kept(Wire, answer), kept(Imaplib, answer)
    assert str(ours) == str(theirs)
