"""IMAP logins through us to saslauthd, against a Cyrus that asks saslauthd itself; and against native autocreate.

All but one of the sites do without notifications.

saslauthd asks a PAM that lets everyone in at once, so that what is measured is the way and not the passwords.
Besides, without Cyrus: clients at our socket against clients at saslauthd's own.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import sasl_client
from tests.bench.contest import Effort, Result, in_turn
from tests.bench.evidence import counted_by_reason
from tests.servers.common import wait_until
from tests.servers.logins import Site

LOGINS = 60  # a measurement
FIRST_LOGINS = 15
SOCKET_LOGINS = 4000
AT_ONCE = 1000
IDLE = 300

POLICY = {
    "name": "everyone",
    "quota": "2G",
    "folders": [
        {"name": "Sent", "special_use": "\\Sent", "subscribe": True},
        {"name": "Drafts", "special_use": "\\Drafts", "subscribe": True},
        {"name": "Trash"},
        {"name": "Archive"},
    ],
}
NATIVE = {
    "autocreate_quota": str(2 << 20),
    "autocreate_inbox_folders": "Sent|Drafts|Trash|Archive",
    "autocreate_subscribe_folders": "Sent|Drafts",
    "xlist-sent": "Sent",
    "xlist-drafts": "Drafts",
}


def run(effort: Effort) -> list[Result]:
    """Measures logins of users who are known, of users who have a mailbox, and of users who are new."""
    with contextlib.ExitStack() as running:
        direct = running.enter_context(_site(is_direct=True, start=False))
        alone: dict[str, Any] = {"login": {"notify_socket": None}}
        ours = running.enter_context(_site(**alone))
        forgetful = running.enter_context(
            _site(settings={"milter": {"cache_seconds": 0.001}}, **alone)
        )
        native = running.enter_context(_site(is_direct=True, start=False, imapd_conf=NATIVE))
        told = running.enter_context(_site(is_direct=True, login={"upstream": None}))
        direct.cyrus.create("user/joe")
        known, exists = Logins(ours, "joe"), Logins(forgetful, "joe")
        first, first_to_native, natively = Logins(ours), Logins(ours), Logins(native)
        window, told_window = Logins(ours, is_window=True), Logins(told, is_window=True)
        results = [
            *_against("a known user", known, Logins(direct, "joe"), effort),
            *_against("a mailbox exists", exists, Logins(direct, "joe"), effort),
            *_against("a first login", first, Logins(direct), effort),
            *_against("a first login, to native", first_to_native, natively, effort),
            *_against("from OK until INBOX exists, to notifications", window, told_window, effort),
        ]
        clients, theirs = Clients(ours.socket), Clients(direct.saslauthd.socket)
        results += _at_the_sockets(clients, theirs, effort)
        new = first.count + first_to_native.count + window.count
        assert not direct.cyrus.mailboxes("user/new*")
        for site, users in ((ours, new), (native, natively.count), (told, told_window.count)):
            wait_until(partial(_has_trees, site, users), 10.0, f"{users} complete trees")
        remembered = _accepted(ours, created=new + 1)
        asked = _accepted(forgetful, created=1)
        assert sum(remembered.values()) == known.count - 1 + clients.count, remembered
        assert sum(asked.values()) == exists.count - 1, asked
        assert not remembered.keys() & asked.keys(), (remembered, asked)
        _accepted(told, created=told_window.count)
        return results


def _has_trees(site: Site, users: int) -> bool:
    """Do so many new users have the last of the policy's folders? Notifications are not waited for by a login."""
    return len(site.cyrus.mailboxes("user/new*/Archive")) == users


def _accepted(site: Site, created: int) -> dict[str, int]:
    """Ends a site's program, which must have created so many mailboxes; why it accepted others, and how many."""
    site.product.stop()
    counted = counted_by_reason(site.product.journal)
    accepted = {reason: it for (answer, reason), it in counted.items() if answer == "accept"}
    assert accepted.pop("created", 0) == created, counted
    return accepted


_numbers = itertools.count()


class Logins:
    """Logs in again and again: as `user`, or each time as somebody new; keeps how long each took, in ms.

    `is_window` measures from the OK until INBOX can be selected, else from the connection until the OK.
    """

    def __init__(self, site: Site, user: str = "", *, is_window: bool = False) -> None:
        self._site = site
        self._user = user
        self._is_window = is_window
        self.rounds: list[list[float]] = []

    def measure(self, effort: Effort) -> float:
        """The median of a round."""
        logins = effort.of(LOGINS if self._user else FIRST_LOGINS, 3)
        self.rounds.append([self._log_in() * 1000 for _ in range(logins)])
        return statistics.median(self.rounds[-1])

    @property
    def count(self) -> int:
        """Logins so far."""
        return sum(map(len, self.rounds))

    @property
    def slow(self) -> list[float]:
        """The 95th percentile of each measured round."""
        return [statistics.quantiles(times, n=20)[-1] for times in self.rounds[1:]]

    def _log_in(self) -> float:
        user = self._user or f"new{next(_numbers)}"
        begun = time.perf_counter()
        with (
            socket.create_connection((self._site.cyrus.host, self._site.cyrus.imap_port)) as client,
            client.makefile("rb") as lines,
        ):
            lines.readline()
            client.sendall(f"1 LOGIN {user} x\r\n".encode())
            assert _answer(lines, b"1 ").startswith(b"1 OK")
            taken = time.perf_counter() - begun
            if self._is_window:
                begun = time.perf_counter()
                while not self._selects(client, lines):
                    pass
                taken = time.perf_counter() - begun
            client.sendall(b"3 LOGOUT\r\n")
            _answer(lines, b"3 ")
        return taken

    @staticmethod
    def _selects(client: socket.socket, lines: Iterator[bytes]) -> bool:
        client.sendall(b"2 SELECT INBOX\r\n")
        return _answer(lines, b"2 ").startswith(b"2 OK")


class Clients:
    """Clients at a socket of saslauthd's protocol, ours or its own; all as joe, and each must be told OK."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = 0

    def in_a_loop(self, effort: Effort) -> float:
        """Logins per second, each client one after another."""
        return self._rate(effort.of(SOCKET_LOGINS), threads=1)

    def at_once(self, effort: Effort) -> float:
        """Seconds until so many clients that begin together have their answers."""
        many = effort.of(AT_ONCE)
        return many / self._rate(many, threads=many // sasl_client.PROCESSES)

    def one(self, effort: Effort, beside: int = 0) -> float:
        """The longest of some logins, in ms, beside so many connections that send nothing."""
        request = sasl_client.request_of("joe")
        with sasl_client.idle(self._path, beside):
            times = []
            for _ in range(effort.of(LOGINS)):
                begun = time.perf_counter()
                sasl_client.log_in(str(self._path), request)
                times.append((time.perf_counter() - begun) * 1000)
        self.count += len(times)
        assert max(times) < 1000.0, f"a login took {max(times):.0f} ms beside {beside} idle clients"
        return max(times)

    def _rate(self, many: int, threads: int) -> float:
        each = many // sasl_client.PROCESSES // threads
        done = each * threads * sasl_client.PROCESSES
        seconds = sasl_client.seconds_for(self._path, "joe", threads=threads, logins=each)
        self.count += done
        return done / seconds


def _at_the_sockets(ours: Clients, theirs: Clients, effort: Effort) -> list[Result]:
    loop = in_turn(
        {"ours": lambda: ours.in_a_loop(effort), "theirs": lambda: theirs.in_a_loop(effort)},
        effort.rounds,
    )
    burst = in_turn(
        {"ours": lambda: ours.at_once(effort), "theirs": lambda: theirs.at_once(effort)},
        effort.rounds,
    )
    idle = in_turn(
        {"beside": lambda: ours.one(effort, IDLE), "alone": lambda: ours.one(effort)}, effort.rounds
    )
    return [
        Result(
            f"{sasl_client.PROCESSES} clients at the socket",
            "logins/s",
            loop["ours"],
            loop["theirs"],
            target=0.6,
        ),
        Result(
            f"{effort.of(AT_ONCE)} clients at once: the last",
            "s",
            burst["ours"],
            burst["theirs"],
            less_is_better=True,
            target=1 / 1.3,
        ),
        Result(
            f"beside {IDLE} idle clients, to without: the slowest",
            "ms",
            idle["beside"],
            idle["alone"],
            less_is_better=True,
        ),
    ]


def _answer(lines: Iterator[bytes], tag: bytes) -> bytes:
    return next(line for line in lines if line.startswith(tag))


def _against(what: str, ours: Logins, theirs: Logins, effort: Effort) -> list[Result]:
    contestants = {"ours": partial(ours.measure, effort), "theirs": partial(theirs.measure, effort)}
    medians = in_turn(contestants, effort.rounds)
    return [
        Result(f"{what}: median", "ms", medians["ours"], medians["theirs"], less_is_better=True),
        Result(f"{what}: 95th percentile", "ms", ours.slow, theirs.slow, less_is_better=True),
    ]


@contextlib.contextmanager
def _site(**how: object) -> Iterator[Site]:
    arguments = {"policies": [POLICY], **how}
    with Site(**arguments) as site:  # type: ignore[arg-type]
        site.pam.configure("imap", auth="auth required pam_permit.so")
        yield site
