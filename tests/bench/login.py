"""IMAP logins through us to saslauthd, against a Cyrus that asks saslauthd itself; and against native autocreate.

saslauthd asks a PAM that lets everyone in at once, so that what is measured is the way and not the passwords.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import statistics
import time
from collections.abc import Iterator

from tests.bench.contest import Result, in_turn
from tests.servers.logins import Site

LOGINS = 60  # a measurement
FIRST_LOGINS = 15

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
NOT_NATIVE = {"autocreate_quota": "0"}


def run(rounds: int) -> list[Result]:
    """Measures logins of users who are known, of users who have a mailbox, and of users who are new."""
    with contextlib.ExitStack() as running:
        direct = running.enter_context(_site(is_direct=True, start=False))
        ours = running.enter_context(_site())
        forgetful = running.enter_context(_site(settings={"milter": {"cache_seconds": 0.001}}))
        native = running.enter_context(_site(is_direct=True, start=False, imapd_conf=NATIVE))
        told = running.enter_context(_site(is_direct=True, login={"upstream": None}))
        return [
            *_against("a known user", Logins(ours, "joe"), Logins(direct, "joe"), rounds),
            *_against("a mailbox stands", Logins(forgetful, "joe"), Logins(direct, "joe"), rounds),
            *_against("a first login", Logins(ours), Logins(direct), rounds),
            *_against("a first login, to native", Logins(ours), Logins(native), rounds),
            *_against(
                "from OK until INBOX stands, to notifications",
                Logins(ours, is_window=True),
                Logins(told, is_window=True),
                rounds,
            ),
        ]


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

    def __call__(self) -> float:
        count = LOGINS if self._user else FIRST_LOGINS
        self.rounds.append([self._log_in() * 1000 for _ in range(count)])
        return statistics.median(self.rounds[-1])

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


def _answer(lines: Iterator[bytes], tag: bytes) -> bytes:
    return next(line for line in lines if line.startswith(tag))


def _against(what: str, ours: Logins, theirs: Logins, rounds: int) -> list[Result]:
    medians = in_turn({"ours": ours, "theirs": theirs}, rounds)
    return [
        Result(f"{what}: median", "ms", medians["ours"], medians["theirs"], less_is_better=True),
        Result(f"{what}: 95th percentile", "ms", ours.slow, theirs.slow, less_is_better=True),
    ]


@contextlib.contextmanager
def _site(**how: object) -> Iterator[Site]:
    arguments = {"policies": [POLICY], "imapd_conf": NOT_NATIVE, **how}
    with Site(**arguments) as site:  # type: ignore[arg-type]
        site.pam.configure("imap", auth="auth required pam_permit.so")
        yield site
