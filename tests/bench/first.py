"""The first delivery to a new user: from SMTP connect until the message is in a complete tree.

Ours through Postfix against Cyrus's native autocreate through the same Postfix on the same kind of Cyrus. The tree has
INBOX, four folders, two of them with a special-use flag, a quota, two subscriptions and a Sieve script.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

from tests.bench.contest import Contestant, Effort, Result, in_turn
from tests.bench.evidence import CREATED, Evidence, evidence
from tests.servers import smtp
from tests.servers.common import fresh_folder, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product

SERIAL_TARGET = 1.0
PARALLEL_TARGET = 1.2
SERIAL_USERS = 20
PARALLEL_USERS = 400
SESSIONS = 8

NATIVE = {
    "autocreate_post": "yes",
    "autocreate_quota": str(2 << 20),
    "autocreate_inbox_folders": "Sent|Drafts|Trash|Junk",
    "autocreate_subscribe_folders": "Sent|Drafts",
    "xlist-sent": "Sent",
    "xlist-drafts": "Drafts",
}
POLICY = {
    "name": "everyone",
    "quota": "2G",
    "folders": [
        {"name": "Sent", "special_use": "\\Sent", "subscribe": True},
        {"name": "Drafts", "special_use": "\\Drafts", "subscribe": True},
        {"name": "Trash"},
        {"name": "Junk"},
    ],
}
FOLDERS = ("Sent", "Drafts", "Trash", "Junk")
SCRIPT = 'require "fileinto"; if header :contains "X-Spam" "yes" { fileinto "INBOX/Junk"; }\n'


def run(effort: Effort) -> list[Result]:
    """Measures one delivery after the other, then eight sessions at once."""
    numbers = count()
    few, many = effort.of(SERIAL_USERS), effort.of(PARALLEL_USERS)
    with fresh_folder("bench") as folder, _native(folder) as native, _ours(folder) as ours:
        sites = {"ours": ours, "native": native}
        serial = in_turn(
            {name: _proved(site, site.serial, numbers, few) for name, site in sites.items()},
            effort.rounds,
        )
        parallel = in_turn(
            {name: _proved(site, site.parallel, numbers, many) for name, site in sites.items()},
            effort.rounds,
        )
    return [
        Result("one after the other", "ms", serial["ours"], serial["native"], True, SERIAL_TARGET),
        Result(
            f"{SESSIONS} sessions, {many} users",
            "users/s",
            parallel["ours"],
            parallel["native"],
            target=PARALLEL_TARGET,
        ),
    ]


class Site:
    """A Postfix in front of a Cyrus, one way or the other."""

    def __init__(
        self,
        postfix: Postfix,
        cyrus: Cyrus,
        announce: Callable[[list[str]], None] = lambda _users: None,
        proof: Evidence | None = None,
    ) -> None:
        """`announce` makes accounts of users before they are measured; `proof` is of the milter."""
        self._postfix = postfix
        self._cyrus = cyrus
        self._announce = announce
        self._proof = proof
        self._log = (postfix.folder / "mail.log").open(encoding="utf-8", errors="replace")
        self._begun_line = ""

    def serial(self, users: list[str]) -> float:
        """Milliseconds for a delivery, in the mean over these users."""
        self._announce(users)
        begun = time.perf_counter()
        for user in users:
            self._send(user)
            self._wait_for([user])
        return (time.perf_counter() - begun) * 1000 / len(users)

    def parallel(self, users: list[str]) -> float:
        """Users a second, over all sessions."""
        self._announce(users)
        begun = time.perf_counter()
        with ThreadPoolExecutor(SESSIONS) as sessions:
            list(sessions.map(self._send, users))
        self._wait_for(users)
        return len(users) / (time.perf_counter() - begun)

    @contextlib.contextmanager
    def creates(self, users: list[str]) -> Iterator[None]:
        """Meanwhile each of these users got a mailbox, by the milter if there is one, and the whole tree."""
        with self._proof.expects() if self._proof else contextlib.nullcontext() as expected:
            yield
            if expected is not None:
                expected[CREATED] = len(users)
        missing = {f"user/{user}/{name}" for user in users for name in FOLDERS}
        missing -= self._cyrus.mailboxes("user/*")
        assert not missing, missing
        user = users[-1]
        assert self._cyrus.quota(f"user/{user}") == {"STORAGE": 2 << 20}
        uses = {name: it.lower() for name, it in self._cyrus.special_use(user).items()}
        assert uses == {"INBOX/Sent": "\\sent", "INBOX/Drafts": "\\drafts"}, uses
        assert len(self._cyrus.subscriptions(user)) >= 2
        assert [it.is_active for it in self._cyrus.scripts(user).values()] == [True]
        assert len(self._cyrus.messages(user)) == 1

    def _send(self, user: str) -> None:
        replies = smtp.send(
            self._postfix.host,
            self._postfix.port,
            "ann@client.test",
            [f"{user}@example.org"],
            "hi\n",
        )
        assert all(reply.ok for reply in replies), (user, replies)

    def _wait_for(self, users: list[str]) -> None:
        """Until Cyrus has taken the mail of all of them, as Postfix logs it."""
        missing = set(users)

        def have_arrived() -> bool:
            self._begun_line += self._log.read()
            *lines, self._begun_line = self._begun_line.split("\n")
            for user, status in re.findall(r"to=<([^@>]+)@.* status=(\w+)", "\n".join(lines)):
                assert status != "bounced", lines
                if status == "sent":
                    missing.discard(user)
            return not missing

        wait_until(have_arrived, 120.0, "the deliveries", lambda: " ".join(missing), pause=0.001)


def _script(folder: Path) -> str:
    path = folder / "everyone.sieve"
    path.write_text(SCRIPT)
    return str(path)


def _proved(
    site: Site, measure: Callable[[list[str]], float], numbers: Iterator[int], many: int
) -> Contestant:
    """So many new users, all of whom must have got their trees."""

    def proved() -> float:
        users = [f"new{number}" for number in islice(numbers, many)]
        with site.creates(users):
            return measure(users)

    return proved


@contextlib.contextmanager
def _native(folder: Path) -> Iterator[Site]:
    with (
        Cyrus(imapd_conf={**NATIVE, "autocreate_sieve_script": _script(folder)}) as cyrus,
        Postfix(lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix,
    ):
        yield Site(postfix, cyrus)


@contextlib.contextmanager
def _ours(folder: Path) -> Iterator[Site]:
    policy = {**POLICY, "sieve": _script(folder)}
    with Cyrus() as cyrus, Product(cyrus, policies=[policy]) as product:
        product.start()
        with Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix:

            def announce(users: list[str]) -> None:
                for user in users:
                    product.add_account(user)

            with evidence(product) as proof:
                yield Site(postfix, cyrus, announce, proof)
