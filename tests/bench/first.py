"""The first delivery to a new user: from SMTP connect until the message is in a complete tree.

Ours through Postfix against Cyrus's native autocreate through the same Postfix on the same kind of Cyrus. The tree has
INBOX, four folders, two of them with a special-use flag, a quota and two subscriptions. It is made without a Sieve
script, with one that goes in by ManageSieve, and with one that is written as a file. Native autocreate writes files.

Each program's processor time is printed, too: with several sessions it is the limit, and it shows whose work it is.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

from tests.bench.contest import Contestant, Effort, Result, in_turn
from tests.bench.evidence import (
    CREATED,
    Evidence,
    evidence,
    processor_by_program,
    processor_seconds,
)
from tests.servers import smtp
from tests.servers.common import fresh_folder, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product
from tests.servers.relay import Relay

SERIAL_TARGET = 0.9
PARALLEL_TARGET = 0.85
SERIAL_USERS = 8
PARALLEL_USERS = 48
SESSIONS = 8
SETTLED = 0.3  # seconds after a change; an SQLite file that was just written is trusted after 0.25
ROUND_TRIP = 0.001  # seconds to the Cyrus that is far away

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


# How a script gets to the user: cyrus.sieve, or "" for none.
WAYS = {"": "no script", "managesieve": "script by ManageSieve", "files": "script as a file"}


def run(effort: Effort) -> list[Result]:
    """Measures each way: one delivery after the other, then eight sessions at once; and a Cyrus that is far away."""
    numbers = count()
    results = [result for way in WAYS for result in _compared(way, numbers, effort)]
    return [*results, _far(numbers, effort)]


def _compared(way: str, numbers: Iterator[int], effort: Effort) -> Iterator[Result]:
    few, many = effort.of(SERIAL_USERS), effort.of(PARALLEL_USERS)
    with (
        fresh_folder("bench") as folder,
        _native(folder, way) as native,
        our_site(folder, way) as ours,
    ):
        sites = {"ours": ours, "native": native}
        serial = in_turn(
            {name: proved(site, site.serial, numbers, few) for name, site in sites.items()},
            effort.rounds,
        )
        parallel = in_turn(
            {name: proved(site, site.parallel, numbers, many) for name, site in sites.items()},
            effort.rounds,
        )
    for name, site in sites.items():
        print(f"{WAYS[way]}, {SESSIONS} sessions, {name}: {_told(site.milliseconds())}", flush=True)
    yield Result(
        f"{WAYS[way]}, one after the other",
        *("ms", serial["ours"], serial["native"]),
        less_is_better=True,
        target=SERIAL_TARGET,
    )
    yield Result(
        f"{WAYS[way]}, {SESSIONS} sessions, {many} users",
        *("users/s", parallel["ours"], parallel["native"]),
        target=PARALLEL_TARGET,
    )
    yield Result(
        f"{WAYS[way]}, {SESSIONS} sessions: processor time",
        "ms/user",
        [sum(ours.milliseconds().values())],
        [sum(native.milliseconds().values())],
        less_is_better=True,
    )


def _far(numbers: Iterator[int], effort: Effort) -> Result:
    """By the administrator's connections alone, to subscribing in the user's own: of a Cyrus that is 1 ms away."""
    few = effort.of(SERIAL_USERS)
    with contextlib.ExitStack() as running:
        sites: dict[str, tuple[Site, Relay]] = {}
        for commands in ("auto", "never"):
            sites[commands] = running.enter_context(_far_site(commands))
        measured = in_turn(
            {name: proved(site, site.serial, numbers, few) for name, (site, _) in sites.items()},
            effort.rounds,
        )
        users = few * (effort.rounds + 1)
        saved = (sites["never"][1].writes - sites["auto"][1].writes) / users
        print(f"1 ms away: {saved:.1f} writes fewer for each user without the user's own session")
    return Result(
        "1 ms away: replication commands, to the user's own session",
        *("ms", measured["auto"], measured["never"]),
        less_is_better=True,
        target=1.0,
    )


@contextlib.contextmanager
def _far_site(replication_commands: str) -> Iterator[tuple[Site, Relay]]:
    with Cyrus() as cyrus, Relay(cyrus.imap_port, delay=ROUND_TRIP / 2) as relay:
        options = {"port": relay.port, "replication_commands": replication_commands}
        with _site(cyrus, POLICY, options) as site:
            yield site, relay


def _told(milliseconds: Mapping[str, float]) -> str:
    """`21.0 ms of processor time a user: imapd 14.3, lmtpd 3.8`."""
    most_first = sorted(milliseconds.items(), key=lambda it: -it[1])
    parts = ", ".join(f"{name} {spent:.1f}" for name, spent in most_first if abs(spent) >= 0.05)
    return f"{sum(milliseconds.values()):.1f} ms of processor time a user: {parts}"


class Site:
    """A Postfix in front of a Cyrus, one way or the other."""

    def __init__(
        self,
        postfix: Postfix,
        cyrus: Cyrus,
        announce: Callable[[list[str]], None] = lambda _users: None,
        proof: Evidence | None = None,
        *,
        pids: Callable[[], list[int]] = list,
        has_script: bool = True,
    ) -> None:
        """`announce` makes accounts of users before they are measured; `proof` and `pids` are of the milter."""
        self._postfix = postfix
        self._cyrus = cyrus
        self._announce = announce
        self._proof = proof
        self._log = (postfix.folder / "mail.log").open(encoding="utf-8", errors="replace")
        self._begun_line = ""
        self._pids = pids
        self._has_script = has_script
        self._spent: dict[str, float] = {}
        self._users = 0

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
        spent = self._processor_time()
        begun = time.perf_counter()
        with ThreadPoolExecutor(SESSIONS) as sessions:
            list(sessions.map(self._send, users))
        self._wait_for(users)
        seconds = time.perf_counter() - begun
        for name, now in self._processor_time().items():
            self._spent[name] = self._spent.get(name, 0.0) + now - spent.get(name, 0.0)
        self._users += len(users)
        return len(users) / seconds

    def milliseconds(self) -> dict[str, float]:
        """The processor time of each program for a user, in the mean of all that `parallel` measured."""
        return {name: spent * 1000 / self._users for name, spent in self._spent.items()}

    def _processor_time(self) -> dict[str, float]:
        """Of Cyrus by program, and of the others in all."""
        return {
            **processor_by_program(self._cyrus.pids),
            "Postfix": processor_seconds(self._postfix.pids),
            "autocreate": processor_seconds(self._pids()),
        }

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
        active = [it.is_active for it in self._cyrus.scripts(user).values()]
        assert active == [True] * self._has_script, active
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


def script(folder: Path) -> str:
    path = folder / "everyone.sieve"
    path.write_text(SCRIPT)
    return str(path)


def proved(
    site: Site, measure: Callable[[list[str]], float], numbers: Iterator[int], many: int
) -> Contestant:
    """So many new users, all of whom must have got their trees."""

    def proved() -> float:
        users = [f"new{number}" for number in islice(numbers, many)]
        with site.creates(users):
            return measure(users)

    return proved


@contextlib.contextmanager
def _native(folder: Path, way: str) -> Iterator[Site]:
    scripts = {"autocreate_sieve_script": script(folder)} if way else {}
    with (
        Cyrus(imapd_conf={**NATIVE, **scripts}) as cyrus,
        Postfix(lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix,
    ):
        yield Site(postfix, cyrus, has_script=bool(way))


@contextlib.contextmanager
def our_site(folder: Path, way: str = "managesieve") -> Iterator[Site]:
    """A site with this program; `way` is one of `WAYS`."""
    policy = {**POLICY, "sieve": script(folder)} if way else POLICY
    with Cyrus() as cyrus:
        options = {"sieve": way, "imapd_conf": str(cyrus.imapd_conf_file)} if way else {}
        with _site(cyrus, policy, options) as site:
            yield site


@contextlib.contextmanager
def _site(
    cyrus: Cyrus, policy: Mapping[str, object], options: Mapping[str, object]
) -> Iterator[Site]:
    """A site with this program before a Cyrus; `options` are laid over [cyrus]."""
    with Product(cyrus, policies=[policy]) as product:
        product.configure({"cyrus": options})
        product.start()
        with Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port)) as postfix:

            def has_settled() -> bool:
                return time.time() - product.database.stat().st_ctime > SETTLED

            def announce(users: list[str]) -> None:
                for user in users:
                    product.add_account(user)
                wait_until(has_settled, 5.0, "a database that is trusted")

            with evidence(product) as proof:
                yield Site(
                    *(postfix, cyrus, announce, proof),
                    pids=lambda: product.pids,
                    has_script="sieve" in policy,
                )
