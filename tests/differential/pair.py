"""Cyrus servers that differ in one thing: one creates mailboxes natively, for the others we do.

The product is given the native server's own imapd.conf and cyrus.conf, as a site would give them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autocreate.config import load
from autocreate.mailstore import MailStore
from autocreate.model import Recipient
from autocreate.tree.actions import CreateMailbox, Subscribe
from autocreate.tree.plan import Plan
from autocreate.wiring.service import build_components
from tests.servers import imapwords, smtp
from tests.servers.cyrus import NO_SPECIAL_USE, PARTITION, Cyrus, CyrusRefused, _ask
from tests.servers.life import Life
from tests.servers.product import Product
from tests.servers.sieve import Script

MESSAGE = "Subject: first\n\nhello\n"

# What makes a server create by itself; all else is the same on both. `autocreate_sieve_folders` stays:
# it is at work whenever a script is.
NATIVE = re.compile(
    r"(\w+_)?(auto(create|sub)(?!_sieve_folders)\w*|createonpost|generate_compiled_sieve_script)"
    r"|xlist-.*"
)


@dataclass(frozen=True)
class Mailbox:
    """A mailbox as its administrator sees it. `quota` is what limits it: root and limits."""

    acl: Mapping[str, str]
    partition: str
    quota: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Standing:
    """All that stands on a server. Special uses and subscriptions as the user names the folders."""

    mailboxes: Mapping[str, Mailbox] = field(default_factory=dict)
    special_use: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    subscriptions: Mapping[str, set[str]] = field(default_factory=dict)
    messages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scripts: Mapping[str, Mapping[str, Script]] = field(default_factory=dict)


class Pair(Life):
    """Runs between `__enter__` and `__exit__`.

    Args:
        options: imapd.conf, on the native server; the other has it less what creates.
        accounts: who exists, for our side; native asks nobody.
        shared: folders that stand beforehand on both, and what anyone may do with them.
        lmtp_service: the service of the native server that mail is to come by.
        ways: `cyrus.replication_commands` of our side; for each there is a server.
    """

    def __init__(
        self,
        options: Mapping[str, str],
        accounts: Iterable[str] = (),
        shared: Mapping[str, str] | None = None,
        services: Mapping[str, tuple[str, str]] | None = None,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        lmtp_service: str = "",
        ways: Sequence[str] = ("auto",),
    ) -> None:
        super().__init__()
        plain = {key: value for key, value in options.items() if not NATIVE.fullmatch(key.lower())}
        self.native = Cyrus(imapd_conf=options, services=services, environment=environment)
        self._ways = {way: Cyrus(imapd_conf=plain, environment=environment) for way in ways}
        self.ours, *_ = self._ways.values()
        self._shared = dict(shared or {})
        self._accounts = tuple(accounts)
        self._settings = dict(settings or {})
        self._lmtp_service = lmtp_service
        self._separator = "." if options.get("unixhierarchysep", "yes") == "no" else "/"

    def _enter(self, undo: contextlib.ExitStack) -> None:
        servers = (self.native, *self._ways.values())
        with ThreadPoolExecutor(len(servers)) as both:
            starts = [both.submit(server.__enter__) for server in servers]
        for server, start in zip(servers, starts, strict=True):
            if not start.exception():
                undo.push(server)
        for server, start in zip(servers, starts, strict=True):
            start.result()
            self._share(server)
        self._products = {
            way: undo.enter_context(self._product(way, server))
            for way, server in self._ways.items()
        }
        self.product, *_ = self._products.values()

    def _product(self, way: str, server: Cyrus) -> Product:
        return Product(
            server,
            accounts=self._accounts,
            policies=[],
            settings={
                **self._settings,
                "milter": {"domains": ["*"]},
                "cyrus": {
                    "imapd_conf": str(self.native.imapd_conf_file),
                    "cyrus_conf": str(self.native.folder / "cyrus.conf"),
                    "lmtp_service": self._lmtp_service,
                    "replication_commands": way,
                },
            },
        )

    def deliver(self, recipients: Iterable[str], native_port: int = 0) -> dict[str, Outcome]:
        """Mail to both: native creates as it comes, we before. Recipients as in RCPT."""
        verdicts = [
            _verdicts(self._products[way], list(recipients), partial(self._prepare, server))
            for way, server in self._ways.items()
        ]
        outcomes = {}
        for recipient in verdicts[0]:
            native = lmtp(self.native, recipient, native_port)
            ways = []
            for server, told in zip(self._ways.values(), verdicts, strict=True):
                verdict, refusal = told[recipient]
                # What we refuse the MTA does not pass on.
                codes = (int(refusal[:3]),) if refusal else lmtp(server, recipient)
                ways.append((verdict, codes))
            outcomes[recipient] = Outcome(native, *ways[0], tuple(ways[1:]))
        return outcomes

    def _prepare(self, server: Cyrus, store: MailStore) -> None:
        """Of several ways, each is to be taken from the first user on: who names folders how, a user before told."""
        if len(self._ways) > 1:
            user = "before"
            assert not store.apply(Plan(user, "", (CreateMailbox(()), Subscribe(())))).failed
            server.delete(self._inbox(user))

    def standing(self) -> tuple[Standing, ...]:
        """What stands on the native server, and on ours: one for each way."""
        inboxes = {self._inbox(user): user for user in self._accounts}
        return tuple(standing(server, inboxes) for server in (self.native, *self._ways.values()))

    def _inbox(self, user: str) -> str:
        """The administrator's name of a user's INBOX."""
        local, at, domain = user.partition("@")
        if self._separator == ".":
            local = local.replace(".", "^")
        return f"user{self._separator}{local}{at}{domain}"

    def _share(self, server: Cyrus) -> None:
        for name, rights in self._shared.items():
            server.create(name)
            with server.admin_session() as imap:
                _ask(imap, "SETACL", imapwords.quote(name), "anyone", f'"{rights}"')


@dataclass(frozen=True)
class Outcome:
    """What became of a message: LMTP's replies, and in between our verdict. `others` has both of our further ways."""

    native: tuple[int, ...]
    verdict: str
    ours: tuple[int, ...]
    others: tuple[tuple[str, tuple[int, ...]], ...] = ()


def _verdicts(
    product: Product, recipients: list[str], before: Callable[[MailStore], None]
) -> dict[str, tuple[str, str | None]]:
    """What the milter answers to each, and what it has the sender told if it refuses."""
    components = build_components(load(product.config_file))
    with contextlib.closing(components.service) as service:
        before(components.store)
        verdicts = {it: service.verify(Recipient(it, mailer="lmtp")) for it in recipients}
        return {
            it: (verdict.answer.value, " ".join(verdict.reply or ()) or None)
            for it, verdict in verdicts.items()
        }


def lmtp(server: Cyrus, recipient: str, port: int = 0) -> tuple[int, ...]:
    """Reply codes to RCPT and, if that was accepted, to the message; none if lmtpd died of it."""
    codes: list[int] = []
    with (
        contextlib.suppress(ConnectionError),
        smtp.Dialogue(server.host, port or server.lmtp_port) as client,
    ):
        client.lhlo()
        client.mail("ann@client.test")
        codes.append(client.rcpt(recipient).code)
        if codes == [250]:
            codes.append(client.data(MESSAGE).code)
        client.quit()
    return tuple(codes)


def standing(server: Cyrus, inboxes: Mapping[str, str]) -> Standing:
    """All that stands on a server, and what the users of those INBOXes see that stand."""
    with server.admin_session() as imap:
        names = {imapwords.decode(str(words[2])) for words in _ask(imap, "LIST", '""', '"*"')}
        # With virtual domains LIST leaves some out, such as user/joe beside user/joe@other.test.
        found = {name: _mailbox(imap, name) for name in (*names, *inboxes)}
        # A script that comes by ManageSieve is kept in a mailbox, native writes files: `scripts` tells
        # of both.
        mailboxes = {
            name: mailbox
            for name, mailbox in found.items()
            if mailbox is not None and "#sieve" not in name and not name.startswith("DELETED")
        }
    special_use, subscriptions, messages = {}, {}, {}
    for user in (inboxes[name] for name in mailboxes if name in inboxes):
        with server.session(user) as imap:
            special_use[user] = dict(_special_uses(imap))
            subscriptions[user] = {
                imapwords.decode(str(words[2])) for words in _ask(imap, "LSUB", '""', '"*"')
            }
            messages[user] = dict(_messages(imap))
    scripts = {user: server.scripts(user) for user in messages}
    return Standing(mailboxes, special_use, subscriptions, messages, scripts)


def _mailbox(imap: Any, name: str) -> Mailbox | None:
    """A mailbox, or None if it does not stand."""
    quoted = imapwords.quote(name)
    try:
        ((_name, *pairs),) = _ask(imap, "GETACL", quoted, untagged="ACL")
    except CyrusRefused:
        return None
    told = _ask(imap, "GETMETADATA", quoted, PARTITION, untagged="METADATA")
    quotas = {}
    for root, resources in _ask(imap, "GETQUOTAROOT", quoted, untagged="QUOTA"):
        limits = zip(resources[::3], resources[2::3], strict=False)
        quotas[str(root)] = {str(what): int(str(limit)) for what, limit in limits}
    return Mailbox(
        {str(who): str(rights) for who, rights in zip(pairs[::2], pairs[1::2], strict=True)},
        str(next(iter(told))[1][1]),
        quotas,
    )


def _special_uses(imap: Any) -> Iterator[tuple[str, str]]:
    for flags, _separator, name in _ask(imap, "LIST", '(SPECIAL-USE) "" "*"'):
        uses = [str(flag) for flag in flags if str(flag).lower() not in NO_SPECIAL_USE]
        if uses:
            yield imapwords.decode(str(name)), " ".join(uses)


def _messages(imap: Any) -> Iterator[tuple[str, int]]:
    for flags, _separator, name in _ask(imap, "LIST", '""', '"*"'):
        if not {"\\noselect", "\\nonexistent"} & {str(flag).lower() for flag in flags}:
            ((_name, counts),) = _ask(imap, "STATUS", f'"{name}"', "(MESSAGES)", untagged="STATUS")
            yield imapwords.decode(str(name)), int(str(counts[1]))
