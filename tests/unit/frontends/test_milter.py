"""The milter protocol as an MTA sees it, on the wire."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.common import free_port, wait_until
from tests.servers.milterclient import RCPT_REJ, MilterClient, Reply

ROOT = Path(__file__).parents[3]

BY_SMTP = {"{rcpt_mailer}": "lmtp"}
CONTINUE = Reply("continue")
UNKNOWN = Reply("reply", 550, "5.1.1", "User unknown")
MALFORMED = Reply("reply", 553, "5.1.3", "Bad recipient address syntax")
TEMPORARY = Reply("reply", 451, "4.3.0", "Temporary failure, please try again later")

# What the filter may ask to be spared, and what it needs.
SPARED = 0x2 | 0x10 | 0x20 | 0x40  # helo, body, headers, end of headers
NEEDED = 0x1 | 0x4 | 0x8  # connect, envfrom, envrcpt
DATA = 0x200

NO_REPLY_TO_CONNECT = 0x1000
NO_REPLY_TO_MAIL = 0x4000
WITHOUT_REPLY = 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000


class Milter:
    def __init__(self, address: str, log: Path) -> None:
        self.address = address
        self._log = log

    def client(self) -> MilterClient:
        return MilterClient(self.address)

    def log(self) -> str:
        return self._log.read_text("utf-8")

    def wait_for_line(self, words: str) -> str:
        def find() -> str:
            return next((line for line in self.log().splitlines() if words in line), "")

        return wait_until(find, 30.0, repr(words), self.log)


@pytest.fixture(scope="module")
def milter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milter]:
    folder = tmp_path_factory.mktemp("milter")
    with serving(f"unix:{folder}/milter.sock", folder) as milter:
        yield milter


@contextlib.contextmanager
def serving(address: str, folder: Path) -> Iterator[Milter]:
    log = folder / "log"
    command = [sys.executable, "-m", "tests.unit.frontends.memory_milter", address, str(folder)]
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        ) as process,
    ):
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n", log.read_text()
            yield Milter(address, log)
        finally:
            process.kill()


@pytest.fixture
def client(milter: Milter) -> Iterator[MilterClient]:
    with milter.client() as client:
        client.connect()
        client.envfrom("<ann@client.test>")
        yield client


def rcpt(client: MilterClient, argument: str | bytes, **macros: str) -> Reply:
    named = {f"{{{name}}}": value for name, value in macros.items()}
    return client.envrcpt(argument, {**BY_SMTP, **named})


def test_no_right_to_change_anything_is_asked_for(client: MilterClient) -> None:
    assert client.negotiated.actions == 0


def test_over_a_unix_socket_only_recipients_are_waited_for(client: MilterClient) -> None:
    protocol = client.negotiated.protocol
    assert protocol & (SPARED | NEEDED | DATA) == SPARED | DATA
    assert protocol & WITHOUT_REPLY == NO_REPLY_TO_CONNECT | NO_REPLY_TO_MAIL


def test_over_tcp_every_step_keeps_its_reply(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        serving(f"inet:127.0.0.1:{free_port()}", tmp_path_factory.mktemp("tcp")) as milter,
        milter.client() as client,
    ):
        protocol = client.negotiated.protocol
        assert protocol & (SPARED | NEEDED | DATA) == SPARED
        assert not protocol & WITHOUT_REPLY
        assert client.connect() == CONTINUE
        assert client.envfrom("<ann@client.test>") == CONTINUE
        assert rcpt(client, "<joe@example.org>") == CONTINUE
        assert rcpt(client, "<nobody@example.org>") == UNKNOWN
        assert client.data() == CONTINUE


def test_an_mta_that_waits_for_every_reply_gets_it(milter: Milter) -> None:
    old = SPARED | NEEDED | DATA | RCPT_REJ  # what Sendmail 8.13 offers, and a little more
    with MilterClient(milter.address, protocol=old) as client:
        assert not client.negotiated.protocol & WITHOUT_REPLY
        assert client.connect() == CONTINUE
        assert client.envfrom("<ann@client.test>") == CONTINUE
        assert rcpt(client, "<nobody@example.org>") == UNKNOWN


def test_recipients_that_the_mta_has_refused_are_not_asked_for(client: MilterClient) -> None:
    assert not client.negotiated.protocol & 0x800


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("<joe@example.org>", CONTINUE),
        ("<JOE+lists@Example.ORG>", CONTINUE),
        ("<nobody@example.org>", UNKNOWN),
        ("<nobody@other.test>", CONTINUE),
        ("<jo e@example.org>", MALFORMED),
        ("<>", MALFORMED),
        ("<postmaster>", CONTINUE),
        ("<limbo@example.org>", TEMPORARY),
        ("<100%sure%n@example.org>", UNKNOWN),
        (b"<jos\xe9@example.org>", MALFORMED),
        (b"<jos\xe9@other.test>", CONTINUE),
        ("<δοκιμή@example.org>", UNKNOWN),
        ("<" + "j" * 10_000 + "@example.org>", MALFORMED),
        ("<joe@" + "e" * 10_000 + ">", CONTINUE),
        ("<joe@" + "é" * 5_000 + ">", CONTINUE),
    ],
)
def test_every_recipient_has_one_literal_reply(
    client: MilterClient, argument: str | bytes, reply: Reply
) -> None:
    assert rcpt(client, argument) == reply


def test_a_source_that_would_end_the_program_does_not(client: MilterClient) -> None:
    assert rcpt(client, "<defect@example.org>") == TEMPORARY
    assert rcpt(client, "<joe@example.org>") == CONTINUE


def test_another_mailer_is_left_to_the_mta(client: MilterClient) -> None:
    assert rcpt(client, "<nobody@example.org>", rcpt_mailer="smtp") == CONTINUE


def test_without_a_mailer_nobody_is_refused(client: MilterClient) -> None:
    assert client.envrcpt("<nobody@example.org>", {"i": "4XyZ"}) == CONTINUE


def test_a_rewritten_address_counts_where_the_argument_is_no_mere_spelling_of_it(
    client: MilterClient,
) -> None:
    assert rcpt(client, "<sales@example.org>", rcpt_addr="joe@example.org") == CONTINUE


def test_a_macro_with_bytes_that_are_no_utf8_is_no_defect(milter: Milter) -> None:
    with milter.client() as client:
        client.envfrom("<ann@client.test>")
        client._send(b"D", b"R{rcpt_mailer}\0lmtp\0{rcpt_addr}\0jos\xe8@example.org\0")
        assert client.envrcpt(b"<jos\xe8@example.org>") == MALFORMED
        assert rcpt(client, "<joe@example.org>", rcpt_addr="joe@example.org") == CONTINUE


def test_many_recipients_are_each_answered(client: MilterClient) -> None:
    replies = [
        rcpt(client, f"<{name}@example.org>") for name in ["joe", "nobody", "limbo", "ann"] * 50
    ]
    assert replies == [CONTINUE, UNKNOWN, TEMPORARY, CONTINUE] * 50


def test_two_messages_on_one_connection_are_told_apart(milter: Milter) -> None:
    with milter.client() as client:
        client.connect(address="192.0.2.7")
        for number in (1, 2):
            client.envfrom(f"<sender{number}@client.test>")
            assert rcpt(client, "<nobody@example.org>", i=f"id{number}") == UNKNOWN
            assert rcpt(client, "<joe@example.org>") == CONTINUE
            client.data()
            assert client.eom() == CONTINUE
    line = milter.wait_for_line("sender2@client.test")
    assert "client=192.0.2.7" in line
    assert "answer=unknown" in line


def test_an_aborted_message_is_followed_by_another(milter: Milter) -> None:
    with milter.client() as client:
        client.connect()
        client.envfrom("<a@client.test>")
        rcpt(client, "<joe@example.org>")
        client.abort()
        client.envfrom("<b@client.test>")
        assert rcpt(client, "<nobody@example.org>") == UNKNOWN


@pytest.mark.parametrize("ends", [MilterClient.abort, MilterClient.eom])
def test_a_connection_serves_the_next_client_as_if_it_were_new(
    milter: Milter, ends: Callable[[MilterClient], object]
) -> None:
    with milter.client() as client:
        client.connect(address="192.0.2.8")
        client.envfrom("<former@client.test>")
        assert rcpt(client, "<joe@example.org>") == CONTINUE
        ends(client)
        client.next_connection()
        assert client.connect(address="192.0.2.9") == CONTINUE
        assert client.envfrom("<>") == CONTINUE
        assert rcpt(client, "<nobody@example.org>", i=f"next-{ends.__name__}") == UNKNOWN
    line = milter.wait_for_line(f"queue_id=next-{ends.__name__}")
    assert "client=192.0.2.9 sender=<> " in line


def test_an_mta_that_hangs_up_in_the_middle_harms_nobody(milter: Milter) -> None:
    for _ in range(10):
        client = milter.client()
        client.connect()
        client.envfrom("<a@client.test>")
        client.macros(b"R", BY_SMTP)
        client._send(b"R", b"<joe@example.org>\0")
        client.close()
    with milter.client() as client:
        client.envfrom("<a@client.test>")
        assert rcpt(client, "<joe@example.org>") == CONTINUE


def test_what_a_client_sends_never_begins_a_line_of_the_log(milter: Milter) -> None:
    with milter.client() as client:
        client.connect()
        client.envfrom("<forger\nINFO recipient answer=accept@client.test>")
        assert rcpt(client, "<x\r\nERROR forged@example.org>") == MALFORMED
    milter.wait_for_line("<forger\\nINFO recipient answer=accept@client.test>")
    assert not [line for line in milter.log().splitlines() if line.startswith("ERROR forged")]
