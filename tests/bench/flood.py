"""A flood of unknown recipients, all different, against the refusal by Postfix's own map on the same database.

Ours is a Postfix that accepts every recipient by itself and asks the milter; theirs has the map and no milter. The
floor is a Postfix with a pymilter that refuses everybody and asks nothing: more than that no milter in Python can do. A
session sends MAIL, twenty times RCPT, and RSET, again and again, and waits for each reply. "Good mail" is one message
after the other, each by a connection of its own, to a user who exists.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.bench.contest import Contestant, Effort, Result, in_turn
from tests.bench.evidence import (
    EVERY_LINE,
    REMEMBERED,
    UNKNOWN,
    Evidence,
    evidence,
    processor_seconds,
)
from tests.bench.maps import SOURCES, USERS, Source
from tests.bench.warm import DISCARDED, idle, make_known_to_all
from tests.servers import smtp
from tests.servers.common import HOST, fresh_folder, session_members
from tests.servers.cyrus import Cyrus
from tests.servers.postfix import Postfix
from tests.servers.product import Product

TARGET = 0.7  # of the map's recipients a second
GOOD_MAIL_TARGET = 1.0  # no slower than beside the map

SESSIONS = (1, 4, 16)
BESIDE_SESSIONS = 4
# For each source and contestant, over all numbers of sessions, all rounds and the unmeasured one. Two of them are ours,
# with one process and with two.
RECIPIENTS = 10_000
GOOD_MESSAGES = 40  # a measurement
BATCH = 20

TWO = "two processes"
GOOD = f"{USERS[0]}@example.org"

# Or Postfix would slow down or hang up after a few errors, whoever has found them.
PATIENT = {"smtpd_hard_error_limit": "1000000", "smtpd_soft_error_limit": "1000000"}


def run(effort: Effort) -> list[Result]:
    """Measures one source after the other."""
    results = []
    with Cyrus() as cyrus, fresh_folder("flood") as folder:
        for name, opened in SOURCES.items():
            with opened(folder) as source, _sites(cyrus, source) as sites:
                for sessions in SESSIONS:
                    results += _flooded(f"{name}, {sessions} session(s)", sites, sessions, effort)
                results += _beside(f"{name}, {BESIDE_SESSIONS} session(s)", sites, effort)
    return results


class Site:
    """A Postfix that refuses unknown recipients, one way or the other.

    Args:
        postfix: the MTA.
        proof: of the milter, if there is one.
        milter: its processes.
    """

    def __init__(
        self, postfix: Postfix, proof: Evidence | None = None, milter: Sequence[int] = ()
    ) -> None:
        self._postfix = postfix
        self._proof = proof
        self._milter = milter
        self._numbers = itertools.count()  # of batches; shared by threads, and atomic

    def flood(self, sessions: int, batches: int) -> Flooded:
        """So many batches of recipients that nobody has asked for."""
        chosen = list(itertools.islice(self._numbers, batches))
        spent = self._processor()
        begun = time.perf_counter()
        with self._proved(lambda: batches, good=0):
            self._flood(sessions, iter(chosen))
        seconds = time.perf_counter() - begun
        milter, all_ = (now - before for now, before in zip(self._processor(), spent, strict=True))
        recipients = batches * BATCH
        return Flooded(recipients / seconds, milter / recipients * 1e6, all_ / recipients * 1e6)

    def good_mail(self, messages: int, sessions: int = 0) -> list[float]:
        """Milliseconds for each of these messages, one after the other, beside so many sessions of flood."""
        stop = threading.Event()
        sent = itertools.count()

        def until_stopped() -> Iterator[int]:
            while not stop.is_set():
                next(sent)
                yield next(self._numbers)

        with (
            self._proved(lambda: next(sent), good=messages),
            ThreadPoolExecutor(sessions or 1) as executor,
        ):
            flooding = [executor.submit(self._session, until_stopped()) for _ in range(sessions)]
            try:
                times = [self._good_message() for _ in range(messages)]
            finally:
                stop.set()
            for session in flooding:
                session.result()
        return times

    @contextlib.contextmanager
    def _proved(self, batches: Callable[[], int], good: int) -> Iterator[None]:
        if not self._proof:
            yield
            return
        with self._proof.expects() as expected:
            yield
            expected.update({UNKNOWN: batches() * BATCH, REMEMBERED: good})

    def _good_message(self) -> float:
        begun = time.perf_counter()
        replies = smtp.send(HOST, self._postfix.port, "ann@client.test", [GOOD], "x\n")
        assert all(reply.ok for reply in replies), replies
        return (time.perf_counter() - begun) * 1000

    def _flood(self, sessions: int, batches: Iterator[int]) -> None:
        with ThreadPoolExecutor(sessions) as executor:
            for done in [executor.submit(self._session, batches) for _ in range(sessions)]:
                done.result()

    def _session(self, batches: Iterator[int]) -> None:
        """Sends batches until there are none, and sees that each recipient is refused for good."""
        with (
            socket.create_connection((HOST, self._postfix.port), 60.0) as client,
            client.makefile("rb") as lines,
        ):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def ask(line: str, wanted: bytes) -> None:
                client.sendall(line.encode() + b"\r\n")
                answer = lines.readline()
                assert answer.startswith(wanted), (line, answer)

            lines.readline()
            ask("HELO client.test", b"250 ")
            for number in batches:
                ask("MAIL FROM:<ann@client.test>", b"250 ")
                for it in range(BATCH):
                    ask(f"RCPT TO:<nobody{number}x{it}@example.org>", b"550 5.1.1 ")
                ask("RSET", b"250 ")
            ask("QUIT", b"221 ")

    def _processor(self) -> tuple[float, float]:
        """Seconds of the milter, and of it and Postfix."""
        milter = processor_seconds(self._milter)
        return milter, milter + processor_seconds(self._postfix.pids)


@dataclass(frozen=True)
class Flooded:
    """Recipients a second, and microseconds of processor time for each: the milter's, and Postfix's besides."""

    rate: float
    milter: float
    processor: float


def _flooded(case: str, sites: dict[str, Site], sessions: int, effort: Effort) -> list[Result]:
    batches = effort.of(RECIPIENTS // BATCH) // len(SESSIONS) // (effort.rounds + 1)
    found: dict[str, list[Flooded]] = {name: [] for name in sites}

    def measure(name: str) -> float:
        found[name].append(sites[name].flood(sessions, batches))
        return found[name][-1].rate

    chosen = [name for name in sites if name != TWO or sessions > 1]
    values = in_turn({name: partial(measure, name) for name in chosen}, effort.rounds)
    ours, theirs = found["ours"][1:], found["map"][1:]
    map_costs = [it.processor for it in theirs]
    return [
        *(
            Result(f"{case}: {name}", "recipients/s", values[name], values["map"], target=TARGET)
            for name in chosen
            if name == TWO
        ),
        Result(case, "recipients/s", values["ours"], values["map"], target=TARGET),
        Result(f"{case}: to the floor", "recipients/s", values["ours"], values["floor"]),
        Result(f"{case}: the floor, to the map", "recipients/s", values["floor"], values["map"]),
        Result(
            f"{case}: processor time, milter alone",
            "µs",
            [it.milter for it in ours],
            map_costs,
            True,
        ),
        Result(
            f"{case}: processor time, with its Postfix",
            "µs",
            [it.processor for it in ours],
            map_costs,
            less_is_better=True,
        ),
        Result(
            f"{case}: processor time, milter alone, to the floor's",
            "µs",
            [it.milter for it in ours],
            [it.milter for it in found["floor"][1:]],
            less_is_better=True,
        ),
    ]


def _beside(case: str, sites: dict[str, Site], effort: Effort) -> list[Result]:
    messages = effort.of(GOOD_MESSAGES)
    longest: dict[str, list[float]] = {}

    def contestant(site: Site, name: str, sessions: int) -> Contestant:
        longest[name] = []

        def measure() -> float:
            times = site.good_mail(messages, sessions)
            longest[name].append(max(times))
            return statistics.median(times)

        return measure

    contestants = {
        f"{name}, {when}": contestant(site, f"{name}, {when}", sessions)
        for name, site in sites.items()
        if name != "floor"  # it has no good mail
        for when, sessions in (("quiet", 0), ("flood", BESIDE_SESSIONS))
    }
    medians = in_turn(contestants, effort.rounds)
    ours, theirs = medians["ours, flood"], medians["map, flood"]
    most, their_most = longest["ours, flood"][1:], longest["map, flood"][1:]
    quiet, their_quiet = medians["ours, quiet"], medians["map, quiet"]
    return [
        Result(f"{case}, good mail: median", "ms", ours, theirs, True, GOOD_MAIL_TARGET),
        Result(
            f"{case}, good mail: median, {TWO}",
            "ms",
            medians[f"{TWO}, flood"],
            theirs,
            True,
            GOOD_MAIL_TARGET,
        ),
        Result(f"{case}, good mail: longest", "ms", most, their_most, True),
        Result(f"{case}, good mail: ours, to no flood", "ms", ours, quiet, True),
        Result(f"{case}, good mail: map's, to no flood", "ms", theirs, their_quiet, True),
    ]


@contextlib.contextmanager
def _sites(cyrus: Cyrus, source: Source) -> Iterator[dict[str, Site]]:
    with (
        _ours(cyrus, source, 1) as ours,
        _ours(cyrus, source, 2) as two,
        Postfix(parameters={"virtual_mailbox_maps": source.map, **PATIENT}) as theirs,
        fresh_folder("floor") as folder,
        idle(f"unix:{folder}/socket", "refuse") as refusing,
        Postfix(milter=f"unix:{folder}/socket", parameters=PATIENT) as floor,
    ):
        yield {
            "ours": ours,
            TWO: two,
            "map": Site(theirs),
            "floor": Site(floor, milter=[refusing]),
        }


@contextlib.contextmanager
def _ours(cyrus: Cyrus, source: Source, processes: int) -> Iterator[Site]:
    """A Postfix that asks so many processes, each of which knows the user who gets good mail."""
    settings = {
        "milter": {**DISCARDED, "processes": processes},
        "accounts": {"staff": source.settings},
        "log": EVERY_LINE,
    }
    with Product(cyrus, policies=[{"name": "everyone"}], settings=settings) as product:
        product.start()
        product.wait_for_processes(processes)
        with Postfix(milter=product.socket, parameters=PATIENT) as postfix:
            make_known_to_all(product, postfix, USERS[:1])
            with evidence(product) as proof:
                yield Site(postfix, proof, session_members(product.pid))
