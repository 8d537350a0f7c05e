"""The first delivery to a new user: from SMTP connect until the message is in a tree that stands.

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

from tests.bench.contest import Contestant, Result, in_turn
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
SCRIPT = 'require "fileinto"; if header :contains "X-Spam" "yes" { fileinto "INBOX/Junk"; }\n'


def run(rounds: int) -> list[Result]:
    """Measures one delivery after the other, then eight sessions at once."""
    numbers = count()
    with fresh_folder("bench") as folder, _native(folder) as native, _ours(folder) as ours:
        sites = {"ours": ours, "native": native}
        serial = in_turn({name: _serial(site, numbers) for name, site in sites.items()}, rounds)
        parallel = in_turn({name: _parallel(site, numbers) for name, site in sites.items()}, rounds)
    return [
        Result("one after the other", "ms", serial["ours"], serial["native"], True, SERIAL_TARGET),
        Result(
            f"{SESSIONS} sessions, {PARALLEL_USERS} users",
            "users/s",
            parallel["ours"],
            parallel["native"],
            target=PARALLEL_TARGET,
        ),
    ]


class Site:
    """A Postfix in front of a Cyrus, one way or the other."""

    def __init__(self, postfix: Postfix, announce: Callable[[list[str]], None]) -> None:
        """`announce` makes accounts of users before they are measured."""
        self._postfix = postfix
        self._announce = announce
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


def _serial(site: Site, numbers: Iterator[int]) -> Contestant:
    return lambda: site.serial(_users(numbers, SERIAL_USERS))


def _parallel(site: Site, numbers: Iterator[int]) -> Contestant:
    return lambda: site.parallel(_users(numbers, PARALLEL_USERS))


def _users(numbers: Iterator[int], many: int) -> list[str]:
    return [f"new{number}" for number in islice(numbers, many)]


@contextlib.contextmanager
def _native(folder: Path) -> Iterator[Site]:
    with (
        Cyrus(imapd_conf={**NATIVE, "autocreate_sieve_script": _script(folder)}) as cyrus,
        Postfix(lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix,
    ):
        yield Site(postfix, lambda _users: None)


@contextlib.contextmanager
def _ours(folder: Path) -> Iterator[Site]:
    policy = {**POLICY, "sieve": _script(folder)}
    with Cyrus() as cyrus, Product(cyrus, policies=[policy]) as product:
        product.start()
        with Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix:

            def announce(users: list[str]) -> None:
                for user in users:
                    product.add_account(user)

            yield Site(postfix, announce)
