"""What reaches the wire: one command a call, with everything from outside in quotes, or nothing at all."""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient.exceptions import CapabilityError

from autocreate.errors import (
    AutocreateError,
    CannotCheck,
    NotLetIn,
    PlainNotOffered,
    Refused,
    ServerTimeout,
    Unreachable,
)
from autocreate.mailstore.connection import Question
from autocreate.mailstore.imap import SPECIAL_USE, Session
from autocreate.mailstore.server import Server
from autocreate.mailstore.wire import NoStarttls
from autocreate.tree.values import Quota
from tests.servers.scripted import ScriptedServer

WORDS = st.one_of(
    st.text(max_size=12), st.text('a"\\{5}()\r\n\0%* &é\udc80', max_size=8), st.just("Sent")
)
QUOTED = rb'"(?:[^"\\\r\n\x00-\x1f\x7f-\xff]|\\["\\])*"'


class FakeImap(ScriptedServer):
    """Logs everyone in, and answers every command as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[bytes] = []
        self.answer = b"OK done"
        self.untagged = b""
        self.hangs_up_at_login = False
        self.login_answer = b"OK logged in"

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rwb", buffering=0) as stream:
            stream.write(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n")
            self._talk(stream)

    def _talk(self, stream: socket.SocketIO) -> None:
        while line := stream.readline():
            tag, command, *_ = line.split(b" ")
            self.lines.append(line.removeprefix(tag + b" "))
            if command == b"AUTHENTICATE":
                if self.hangs_up_at_login:
                    return
                stream.write(b"+ \r\n")
                stream.readline()
                stream.write(tag + b" " + self.login_answer + b"\r\n")
            elif command.strip() == b"CAPABILITY":
                stream.write(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + b" OK done\r\n")
            else:
                stream.write(self.untagged + tag + b" " + self.answer + b"\r\n")


@pytest.fixture(scope="module")
def imap() -> Iterator[FakeImap]:
    with FakeImap() as server:
        yield server


@pytest.fixture(scope="module")
def session(imap: FakeImap) -> Iterator[Session]:
    session = Session(server(imap))
    yield session
    session.close()


def server(imap: FakeImap) -> Server:
    return Server("127.0.0.1", imap.port, "none", "cyrus", "secret")


def sent(imap: FakeImap, work: Callable[[], object]) -> bytes:
    """What a call puts on the wire; nothing if it is refused here."""
    imap.lines.clear()
    try:
        work()
    except Refused:
        assert imap.lines == []
        return b""
    return b"".join(imap.lines)


@given(WORDS, WORDS, WORDS)
def test_an_acl_is_one_line_or_nothing(
    imap: FakeImap, session: Session, mailbox: str, identifier: str, rights: str
) -> None:
    line = sent(imap, lambda: session.set_acl(mailbox, identifier, rights))
    assert line == b"" or re.fullmatch(rb"SETACL %s %s %s\r\n" % (QUOTED, QUOTED, QUOTED), line)


@given(WORDS, st.none() | WORDS, st.none() | WORDS)
def test_a_creation_is_one_line_or_nothing(
    imap: FakeImap, session: Session, mailbox: str, special_use: str | None, partition: str | None
) -> None:
    line = sent(imap, lambda: session.create(mailbox, special_use, partition))
    atom = rb"\\?[A-Za-z0-9$_-]+"
    parameters = rb"( \((USE \(%s\))? ?(PARTITION %s)?\))?" % (atom, atom)
    assert line == b"" or re.fullmatch(rb"CREATE %s%s\r\n" % (QUOTED, parameters), line)


@given(WORDS, WORDS)
def test_a_value_of_metadata_is_one_line_or_nothing(
    imap: FakeImap, session: Session, mailbox: str, attribute: str
) -> None:
    line = sent(imap, lambda: session.set_metadata(mailbox, SPECIAL_USE, attribute))
    assert line == b"" or re.fullmatch(
        rb"SETMETADATA %s \(/private/specialuse %s\)\r\n" % (QUOTED, QUOTED), line
    )


@given(st.sampled_from(["SUBSCRIBE", "GETACL", "GETQUOTA"]), WORDS)
def test_a_mailbox_alone_is_one_line_or_nothing(
    imap: FakeImap, session: Session, command: str, mailbox: str
) -> None:
    call = {"SUBSCRIBE": session.subscribe, "GETACL": session.acl, "GETQUOTA": session.quota}
    imap.untagged = b"* QUOTA root ()\r\n" if command == "GETQUOTA" else b""
    try:
        line = sent(imap, lambda: call[command](mailbox))
    finally:
        imap.untagged = b""
    assert line == b"" or re.fullmatch(rb"%s %s\r\n" % (command.encode(), QUOTED), line)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda it: it.create("user/joe/Entwürfe", "\\Drafts", "fast"),
            b'CREATE "user/joe/Entw&APw-rfe" (USE (\\Drafts) PARTITION fast)\r\n',
        ),
        (lambda it: it.set_acl('a"b\\c', "group:x y", "lr"), b'SETACL "a\\"b\\\\c" "group:x y" "lr"\r\n'),
        (lambda it: it.set_acl("a&b", "anyone", ""), b'SETACL "a&-b" "anyone" ""\r\n'),
        (
            lambda it: it.set_quota("user/joe", Quota(5, 7)),
            b'SETQUOTA "user/joe" (STORAGE 5 MESSAGE 7)\r\nGETQUOTAROOT "user/joe"\r\n',
        ),
        (
            lambda it: it.set_quota("user/joe", Quota(5, others=(("X-NUM-FOLDERS", 50),))),
            b'SETQUOTA "user/joe" (STORAGE 5 X-NUM-FOLDERS 50)\r\nGETQUOTAROOT "user/joe"\r\n',
        ),
        (lambda it: it.set_quota("user/joe", Quota(others=(("A) (B", 5),))), b""),
        (lambda it: it.set_quota("user/joe", Quota(others=(("A", 2**31),))), b""),
        (lambda it: it.subscribe("INBOX"), b'SUBSCRIBE "INBOX"\r\n'),
    ],
)  # fmt: skip
def test_a_command_is_written_literally_so(
    imap: FakeImap, session: Session, call: Callable[[Session], object], line: bytes
) -> None:
    assert sent(imap, lambda: call(session)) == line


def test_a_mailbox_that_is_missing_is_an_answer(imap: FakeImap, session: Session) -> None:
    imap.answer = b"NO Mailbox does not exist"
    try:
        assert not session.exists("user/ann")
        assert session.acl("user/ann") is None
    finally:
        imap.answer = b"OK done"


def test_an_existence_that_is_not_told_is_a_doubt(imap: FakeImap, session: Session) -> None:
    with pytest.raises(Unreachable, match="answered MYRIGHTS with nonsense"):
        session.exists("user/joe")


@pytest.mark.parametrize(
    ("told", "quota"),
    [
        (b"()", Quota(root=True)),
        (b"(STORAGE 1 5)", Quota(5)),
        (b"(Message 1 7 x-num-folders 1 50)", Quota(messages=7, others=(("X-NUM-FOLDERS", 50),))),
    ],
)
def test_every_limit_is_read(imap: FakeImap, session: Session, told: bytes, quota: Quota) -> None:
    imap.untagged = b'* QUOTA "user/joe" ' + told + b"\r\n"
    try:
        assert session.quota("user/joe") == quota
    finally:
        imap.untagged = b""


@pytest.mark.parametrize(
    "told", [b"", b"* QUOTA x\r\n", b"* QUOTA x 5\r\n", b"* QUOTA x (STORAGE 1)\r\n",
             b"* QUOTA x (STORAGE 1 x)\r\n", b"* QUOTA x (STORAGE 1 2 MESSAGE)\r\n"],
)  # fmt: skip
def test_limits_that_cannot_be_read_are_a_doubt_and_no_absence(told: bytes) -> None:
    nonsense = pytest.raises(Unreachable, match=r"answered nonsense \(GETQUOTA\)")
    with FakeImap() as imap, contextlib.closing(Session(server(imap))) as session, nonsense:
        imap.untagged = told
        session.quota("user/joe")


def test_what_stands_already_is_no_error(imap: FakeImap, session: Session) -> None:
    imap.answer = b"NO Mailbox already exists"
    try:
        assert not session.create("user/joe", None, None)
    finally:
        imap.answer = b"OK done"


@pytest.mark.parametrize("user", [None, "joe"])
def test_a_server_that_hangs_up_at_login_is_away_and_refuses_nobody(user: str | None) -> None:
    with FakeImap() as imap:
        imap.hangs_up_at_login = True
        with pytest.raises(Unreachable, match="dropped the connection"):
            Session(server(imap), user)


@pytest.mark.parametrize(
    ("raised", "ours", "text"),
    [
        (TimeoutError(), ServerTimeout, "did not answer within 5 s (LIST)"),
        (ssl.SSLCertVerificationError(), Unreachable, "has a certificate that is not trusted"),
        (ssl.SSLError("bad record"), Unreachable, "cannot be reached (LIST)"),
        (NoStarttls("Cyrus"), Unreachable, "offers no STARTTLS"),
        (ConnectionResetError("reset"), Unreachable, "cannot be reached (LIST): reset"),
        (CapabilityError("no NAMESPACE"), Unreachable, "lacks a capability (LIST)"),
        (imaplib.IMAP4.abort("EOF"), Unreachable, "dropped the connection (LIST): EOF"),
        (imaplib.IMAP4.readonly("changed"), Unreachable, "dropped the connection (LIST)"),
        (imaplib.IMAP4.error("BAD"), Refused, "LIST: BAD"),
        (KeyError("x"), Unreachable, "answered nonsense (LIST): KeyError('x')"),
    ],
    ids=lambda it: type(it).__name__,
)
def test_what_a_librarys_exception_means(
    session: Session, raised: Exception, ours: type[AutocreateError], text: str
) -> None:
    if isinstance(raised, ssl.SSLCertVerificationError):
        raised.verify_message = "self-signed certificate"
    with pytest.raises(AutocreateError) as caught, session.exchange("LIST"):
        raise raised
    assert type(caught.value) is ours
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"NO authentication failure", NotLetIn),
        (b"NO [UNAVAILABLE] saslauthd is away", CannotCheck),
        (b"NO generic failure", CannotCheck),
        (b"BAD what?", CannotCheck),
        (b"NO no mechanism available", PlainNotOffered),
        (b"NO encryption needed to use mechanism", PlainNotOffered),
    ],
)
def test_why_the_administrator_is_not_let_in_is_a_class_of_error(
    answer: bytes, error: type[Unreachable]
) -> None:
    with FakeImap() as imap:
        imap.login_answer = answer
        with pytest.raises(Unreachable, match="the administrator 'cyrus'") as caught:
            Session(server(imap))
        assert type(caught.value) is error
        with pytest.raises(Refused, match="does not let 'cyrus' act for 'joe'"):
            Session(server(imap), "joe")


def test_no_server_shows_its_password() -> None:
    assert "secret" not in repr(Server("mail", 143, "none", "cyrus", "secret"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda it: it.mailboxes_below("user/"), b'* LIST (10) "/" user/joe\r\n'),
        (lambda it: it.mailboxes_below("user/"), b"* LIST (10)\r\n"),
        (lambda it: list(it.selectable("*")), b'* LIST (10) "/" user/joe\r\n'),
        (lambda it: list(it.selectable("*")), b"* LIST (10)\r\n"),
        (lambda it: it.subscriptions(), b"* LSUB (10)\r\n"),
        (lambda it: it.metadata("user/joe", SPECIAL_USE), b"* METADATA user/joe 10\r\n"),
        (lambda it: it.quota("user/joe"), b"* QUOTA user/joe (STORAGE x y)\r\n"),
        (lambda it: it.quota("user/joe"), b"* QUOTA user/joe 10\r\n"),
        (lambda it: it.quota("user/joe"), b"* QUOTA " + b"(" * 100_000 + b"\r\n"),
        (lambda it: it.exists("user/joe"), b"* MYRIGHTS user/joe\r\n"),
        (lambda it: it.version(), b'* ID ("version" 10)\r\n'),
        (lambda it: it.version(), b"* ID 10\r\n"),
        (lambda it: it.version(), b"* ID NIL NIL\r\n"),
    ],
)
def test_an_answer_that_makes_no_sense_is_the_servers_failure(
    imap: FakeImap, call: Callable[[Session], object], words: bytes
) -> None:
    imap.untagged = words
    try:
        with pytest.raises(Unreachable, match="Cyrus at 127"):
            call(Session(server(imap)))
    finally:
        imap.untagged = b""


def test_an_answer_that_came_before_its_question_does_not_count(
    imap: FakeImap, session: Session
) -> None:
    imap.untagged = b"* MYRIGHTS user/joe lr\r\n" + b'* LSUB () "/" INBOX\r\n'
    session.subscribe("user/kim")
    imap.untagged = b""
    assert session.subscriptions() == frozenset()
    with pytest.raises(Unreachable, match="nonsense"):
        session.exists("user/joe")


class Asking(ScriptedServer):
    """Answers a login with something else than one question."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self._answer = answer
        self.heard: list[bytes] = []

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            client.sendall(b"* OK ready\r\n")
            for line in lines:
                self.heard.append(line)
                if b"CAPABILITY" in line:
                    client.sendall(
                        b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n%b OK done\r\n" % line[:5]
                    )
                else:
                    client.sendall(self._answer.replace(b"TAG", line.split()[0]))


def test_a_server_that_asks_for_ever_gets_the_password_once() -> None:
    with Asking(b"+ \r\n") as asking:
        with pytest.raises(Unreachable, match="asks for the password again"):
            Session(Server("127.0.0.1", asking.port, "none", "cyrus", "secret"))
        words = base64.b64encode(b"\0cyrus\0secret")
        assert sum(words in line for line in asking.heard) == 1


def test_a_yes_to_a_login_without_the_password_is_no_yes() -> None:
    with (
        Asking(b"TAG OK welcome\r\n") as asking,
        pytest.raises(Unreachable, match="without the password"),
    ):
        Session(Server("127.0.0.1", asking.port, "none", "cyrus", "secret"))


class InTurn(FakeImap):
    """Logs everyone in; then reads once, and has an answer for each line of that."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__()
        self._answers = answers
        self.read = b""

    def _talk(self, stream: socket.SocketIO) -> None:
        for command in (b"CAPABILITY", b"AUTHENTICATE", b"CAPABILITY"):
            tag = stream.readline().split()[0]
            if command == b"AUTHENTICATE":
                stream.write(b"+ \r\n")
                stream.readline()
            stream.write(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" * (command == b"CAPABILITY"))
            stream.write(tag + b" OK done\r\n")
        self.read = stream.read(4096) or b""
        for line, answer in zip(self.read.splitlines(), self._answers, strict=False):
            stream.write(answer.replace(b"TAG", line.split()[0]))


QUESTIONS = tuple(Question("X", (f"{number}".encode(),)) for number in range(3))


def test_several_commands_go_out_in_one_write_and_each_has_its_own_answer() -> None:
    answers = (
        b"* X 1\r\nTAG OK one\r\n",
        b"TAG NO [NONEXISTENT] two\r\n",
        b"* X 3\r\nTAG OK three\r\n",
    )
    with InTurn(*answers) as imap:
        session = Session(server(imap))
        session.offers()
        one, two, three = session.ask(*QUESTIONS)
        session.discard()
    assert [line.split()[1:] for line in imap.read.splitlines()] == [
        [b"X", b"%d" % it] for it in range(3)
    ]
    assert (one.refusal, one.untagged) == (None, {"X": [b"1"]})
    assert (str(two.refusal), two.untagged.get("X")) == ("X: [NONEXISTENT] two", None)
    assert (three.said, three.untagged) == (b"three", {"X": [b"3"]})


@pytest.mark.parametrize("last", [b"", b"TAG", b"* BYE enough\r\n"])
def test_an_answer_that_is_missing_ends_the_connection(last: bytes) -> None:
    with InTurn(b"TAG OK one\r\n", b"TAG OK two\r\n", last) as imap:
        session = Session(server(imap))
        session.offers()
        with pytest.raises(Unreachable):
            session.ask(*QUESTIONS)
        session.discard()


def test_nothing_to_ask_is_nothing_said(session: Session) -> None:
    assert session.ask() == []
