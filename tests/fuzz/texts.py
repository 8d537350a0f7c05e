"""Readers of texts: addresses, files, what commands print, rows of the journal, datagrams and lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from autocreate.accounts import nsswitch
from autocreate.accounts.file import FileSource
from autocreate.aliases.detect import from_postfix, from_sendmail
from autocreate.aliases.syntax import (
    folded,
    members,
    one_value,
)
from autocreate.aliases.texts import parse_aliases, parse_table, parse_virtusertable
from autocreate.config import load
from autocreate.core.address import domain_of, parse
from autocreate.core.naming import CYRUS_DEFAULTS, owner
from autocreate.core.recipient import as_delivered, as_the_mta_sees_it
from autocreate.core.sizes import parse_size
from autocreate.doctor import postconf, sendmail
from autocreate.doctor.findings import MilterSettings
from autocreate.domains.syntax import parse_domains
from autocreate.frontends import notification
from autocreate.imapdconf import parser, settings
from autocreate.imapdconf.services import read_entries
from autocreate.lmtp.replies import server_of
from autocreate.mailstore.refusals import imap_reason, sieve_reason
from autocreate.mailstore.sieve.script import compiler_errors
from autocreate.model import Recipient
from autocreate.passwords.request import SaslauthdRequest
from autocreate.statistics.tally import Tally
from tests.servers.common import aged

from .reader import Reader, numbered, repeated, text_of


def _address(data: bytes) -> None:
    written = text_of(data)
    domain_of(written)
    address = parse(written)
    CYRUS_DEFAULTS.user_id(address)
    recipient = Recipient(written, rewritten=written, mailer="lmtp")
    as_delivered(recipient, address, lowers_domains=True)


def _rewritten(data: bytes) -> None:
    argument, _, rewritten = text_of(data).partition("\n")
    parse(as_the_mta_sees_it(Recipient(argument, rewritten=rewritten, mailer="lmtp")))


def _imapd_conf(data: bytes) -> None:
    def include(name: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", name)

    options = parser.read("imapd.conf", text_of(data), include)
    settings.interpret("imapd.conf", options, {"lmtp": ("lmtp",), "imap": ("imap",)})


def _sendmail_cf(data: bytes) -> None:
    ours = MilterSettings(
        "unix:/run/a", 8.0, frozenset({"example.org"}), frozenset({"cyrusv2"}), "+"
    )
    sendmail.examine(text_of(data), "sendmail.cf", ours)
    from_sendmail(text_of(data), lambda _: "example.org")


def _postconf(data: bytes) -> None:
    parameters = postconf.read_parameters(text_of(data))
    from_postfix(parameters, "/etc/postfix", lambda _: "example.org")
    for value in parameters.values():
        list(postconf.milters(value))


def _accounts(format: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        with _file(data) as path:
            source = FileSource(
                "staff",
                CYRUS_DEFAULTS,
                path=path,
                groups=path,
                format=format,
                domains=["example.org"],
            )
            account = source.lookup("joe")
            list(source.names() or ())
            if account:
                source.groups(account)

    return read


def _configuration(data: bytes) -> None:
    with _file(data) as path:
        secret = path.with_name("secret")
        secret.touch(mode=0o600)
        secret.write_text("correct horse\n")
        path.write_bytes(data.replace(b"SECRET", str(secret).encode()))
        load(path)


def _tally(data: bytes) -> None:
    # The journal's rows: whoever reads them leaves out what is a ValueError.
    with contextlib.suppress(ValueError):
        Tally.from_text(data.decode(errors="replace")).as_text()


def _request(data: bytes) -> None:
    request = SaslauthdRequest(memoryview(bytearray(data)))
    repr(request)
    request.wipe()


def _size(data: bytes) -> None:
    parse_size(text_of(data))


def _words(data: bytes) -> None:
    said = text_of(data)
    imap_reason(said)
    sieve_reason(said.partition(" ")[0], said)
    compiler_errors(said)
    server_of(said, said.splitlines())
    owner(said)


@contextlib.contextmanager
def _file(data: bytes) -> Iterator[Path]:
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        yield aged(path)


def _of_pieces(read: Callable[[Iterator[str]], object]) -> Callable[[bytes], object]:
    return lambda data: read(iter(text_of(data).splitlines(keepends=True)))


def _of_text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(text_of(data))


TEXTS: Mapping[str, Reader] = {
    "address": Reader(
        _address,
        (
            repeated(b"a.", b"<", b"b@example.org>"),
            repeated(b'\\"', b'"', b'"@example.org'),
            repeated(b"@a,", b"<", b":b@example.org>"),
            repeated(b"x.", b"joe@", b"y"),
            repeated(b"(", b"joe"),
        ),
    ),
    "rewritten": Reader(_rewritten, (repeated(b"a.", b"<joe@example.org>\n", b"b@example.org"),)),
    "virtual": Reader(
        _of_pieces(parse_table),
        (
            numbered("user{}@example.org joe\n"),
            numbered("  member{}@example.org,\n"),
            repeated(b"  joe@example.org\n", b"all@example.org joe\n"),
            repeated(b"#\n"),
            repeated(b"a\\", b"joe "),
        ),
    ),
    "virtusertable": Reader(
        _of_pieces(parse_virtusertable), (numbered("user{}@example.org\tjoe\n"),)
    ),
    "aliases": Reader(
        _of_pieces(parse_aliases),
        (
            numbered("user{}: joe\n"),
            repeated(b" joe,\n", b"all: joe,\n"),
            repeated(b"joe, ", b"all: "),
            repeated(b"(", b"all: "),
            repeated(b'"a', b"all: "),
        ),
    ),
    "include": Reader(
        _of_text(members),
        (
            numbered("member{}@example.org\n"),
            numbered("member{}@example.org, "),
            numbered("member{} "),
            repeated(b"<", b""),
        ),
    ),
    "value": Reader(
        _of_text(one_value),
        (repeated(b"a@b,"), repeated(b"a "), repeated(b"\\"), repeated(b"<("), repeated(b'"')),
    ),
    "key": Reader(
        _of_text(folded),
        (
            *(
                repeated(b"\\"),
                repeated(b'"a'),
                repeated("e\u0301".encode()),
                repeated("ß".encode()),
            ),
            lambda size: ("a" + size // 4 * "\u0301" + size // 4 * "\u0327").encode(),
            repeated("\u0f73".encode(), b"a"),
        ),
    ),
    "domains": Reader(
        _of_pieces(parse_domains),
        (
            numbered("host{}.example.org OK\n"),
            repeated(b"a."),
            repeated(b".", b"", b"\n"),
            repeated("ü.".encode()),
        ),
    ),
    "imapd.conf": Reader(
        _imapd_conf,
        (
            numbered("option{}: value\n"),
            repeated(b"\\\n", b"admins: cyrus"),
            repeated(b"cyrus ", b"admins: "),
            repeated(b"Sent|", b"autocreate_inbox_folders: "),
            repeated(b"@include: /x\n"),
            repeated(b"autocreate_acl: Sent anyone lrs\n"),
            repeated(b"admins\\\n", b"admins: "),
            lambda size: b"admins: " + size // 2 * b"\\" + size // 2 * b"\n",
            numbered("lmtp{}_autocreate_quota: x\n"),
            repeated(b"1", b"autocreate_quota: "),
            lambda size: (
                numbered("folder{}|")(size // 2).join((b"autocreate_inbox_folders: ", b"\n"))
                + numbered("autocreate_acl: folder{} a l\n")(size // 2)
            ),
        ),
    ),
    "cyrus.conf": Reader(
        _of_text(read_entries),
        (
            numbered('  imap{} cmd="imapd -C /x" listen="imap" prefork=0\n'),
            repeated(b"SERVICES {\n"),
            repeated(b" ", b"SERVICES {\n imap cmd="),
            repeated(b'"', b"SERVICES {\n imap cmd="),
            repeated(b'cmd="', b"SERVICES {\n imap "),
        ),
    ),
    "postconf": Reader(
        _postconf,
        (
            numbered("parameter{} = value\n"),
            repeated(b"hash:/a, ", b"virtual_alias_maps = "),
            repeated(b"{ unix:/a, ", b"smtpd_milters = "),
            repeated(b"example.org ", b"virtual_alias_domains = "),
            repeated(b"{", b"virtual_alias_maps = "),
        ),
    ),
    "master.cf": Reader(
        _of_text(lambda text: postconf.read_services(text, "3.6")),
        (
            numbered("smtp{} inet n - y - - smtpd\n"),
            repeated(b"  -o a=b\n", b"smtp inet n - y - - smtpd\n"),
        ),
    ),
    "postconf -P": Reader(
        _of_text(postconf.read_overrides), (numbered("smtp/inet/parameter{} = value\n"),)
    ),
    "sendmail.cf": Reader(
        _sendmail_cf,
        (
            numbered("Cwhost{}.example.org\n"),
            repeated(b"Kvirtuser hash /etc/mail/virtusertable\n"),
            repeated(b"Xa, S=local:/a, F=T, T=C:1m\n"),
            repeated(b" ", b"Kvirtuser"),
            lambda size: (
                repeated(b"a,", b"O InputMailFilters=", b"\n")(size // 2)
                + repeated(b"S=a,", b"Xa, ")(size // 2)
            ),
            repeated(b"1", b"O InputMailFilters=a\nXa, S=local:/run/a, T=R:"),
        ),
    ),
    "nsswitch.conf": Reader(
        _of_text(nsswitch.services),
        (repeated(b"files ", b"passwd: "), repeated(b"[NOTFOUND=return] ", b"passwd: ")),
    ),
    "users": Reader(_accounts("lines"), (numbered("user{}\n"), repeated(b"a:"))),
    "groups": Reader(
        _accounts("lines"), (numbered("joe:x:1:user{}\n"), repeated(b"joe,", b"joe:x:1:"))
    ),
    "postfix users": Reader(_accounts("postfix"), (numbered("user{}@example.org x\n"),)),
    "configuration": Reader(_configuration, ()),
    "tally": Reader(_tally, (repeated(b'["a","b",1],', b'{"created":[', b'["a","b",1]]}'),)),
    "notification": Reader(
        notification.parse,
        (
            repeated(b"0\0"),
            repeated(b"[", b"EVENT\0\0\0\0\x000\0", b""),
            repeated(
                b"%41", b'EVENT\0\0\0\0\x000\0{"event":"MailboxDelete","uri":"imap://h/', b'"}'
            ),
        ),
    ),
    "saslauthd": Reader(_request, (repeated(b"\0\0"),)),
    "words": Reader(
        _words,
        (
            repeated(b"a "),
            repeated(b"user."),
            repeated(b"line 1: error: x\r\n"),
            repeated(b"(", b"NO ("),
            repeated(b"1", b"mail Cyrus LMTP v"),
        ),
    ),
    "size": Reader(_size, (repeated(b"1"), repeated(b" ", b"1"))),
}
