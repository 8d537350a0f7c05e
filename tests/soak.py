"""script/soak: a farm of three MTAs under load, one of which is killed every minute."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import statistics
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.integration.farm import Farm, Member, farm
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.postgres import Postgres
from tests.servers.product import POLICY
from tests.servers.smtp import Dialogue

TREE = {"", "/Archive", "/Archive/2026", "/Entwürfe", "/Sent"}
SENDER = "ann@client.test"
SESSIONS = 6
PAUSE = 0.1  # seconds between two messages of a session
BETWEEN_KILLS = 60.0
DOWN = 10.0  # seconds that a killed milter is away


class Load:
    """Mail from several sessions, and what became of it."""

    def __init__(self, site: Farm) -> None:
        self._site = site
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self.known: list[str] = []  # users who had a 250
        self.delivered: Counter[str] = Counter()  # accepted messages, by user
        self.replies: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.wrong: list[str] = []

    def run(self, seed: int) -> None:
        """Send until it is over."""
        dice = random.Random(seed)
        while not self.stopping.wait(PAUSE):
            kind = dice.choices(("known", "new", "race", "unknown"), (70, 10, 2, 18))[0]
            if kind == "unknown" or (kind == "known" and not self.known):
                user, kind = f"nobody{dice.randrange(10**9)}", "unknown"
            elif kind == "known":
                user = dice.choice(self.known)
            else:
                user = f"soak{next(self._numbers):06}"
                self._site.add(user)
            if kind == "race":
                mtas = self._site.members
                with ThreadPoolExecutor(len(mtas)) as pool:
                    list(pool.map(self.send, mtas, [user] * len(mtas), ["new"] * len(mtas)))
            else:
                self.send(dice.choice(self._site.members), user, kind)

    def send(self, mta: Member, user: str, kind: str) -> None:
        """One message, as far as it is accepted."""
        try:
            with Dialogue(mta.mta.host, mta.mta.port) as smtp:
                smtp.ehlo()
                if (reply := smtp.mail(SENDER)).code != 250:
                    self._count(f"MAIL {reply.code}")  # no milter is there
                    return
                begun = time.monotonic()
                reply = smtp.rcpt(f"{user}@example.org")
                seconds = time.monotonic() - begun
                done = reply.code == 250 and smtp.data(_message(user)).code == 250
                smtp.quit()
        except OSError as error:
            self._count(f"{kind} {type(error).__name__}")
            return
        self._count(f"{kind} {reply.code}")
        expected = (550, 451) if kind == "unknown" else (250, 451)
        with self._lock:
            self.seconds.append(seconds)
            if reply.code not in expected:
                self.wrong.append(f"{kind} {user}: {reply}")
            if done:
                if not self.delivered[user]:
                    self.known.append(user)
                self.delivered[user] += 1

    def _count(self, what: str) -> None:
        with self._lock:
            self.replies[what] += 1


def _message(user: str) -> str:
    return (
        f"From: {SENDER}\nTo: {user}@example.org\nMessage-ID: <{uuid.uuid4()}@client.test>\n"
        "Subject: soak\n\nHello.\n"
    )


@contextlib.contextmanager
def _until_over(load: Load) -> Iterator[None]:
    """Ends the sessions, whatever happens, such as Ctrl-C."""
    try:
        yield
    finally:
        load.stopping.set()


def soak(site: Farm, minutes: float) -> Load:
    """Send mail for so long, and kill one milter a minute."""
    load = Load(site)
    until = time.monotonic() + minutes * 60
    with ThreadPoolExecutor(SESSIONS) as pool, _until_over(load):
        sessions = [pool.submit(load.run, seed) for seed in range(SESSIONS)]
        kills = 0
        while (left := until - time.monotonic()) > 0:
            load.stopping.wait(min(left, BETWEEN_KILLS - DOWN))
            if time.monotonic() < until:
                victim = site[kills % len(site.members)]
                victim.product.kill()
                load.stopping.wait(DOWN)
                victim.product.start()
                kills += 1
            print(f"{minutes * 60 - left:6.0f} s  {dict(sorted(load.replies.items()))}", flush=True)
        load.stopping.set()
        for session in sessions:
            session.result()  # its error is ours
    load.replies["kills"] = kills
    return load


def _has_delivered(mta: Member) -> bool:
    return not mta.mta.queue()


def check(site: Farm, load: Load) -> list[str]:
    """What went wrong, once all mail is delivered and all trees are complete."""
    wrong = list(load.wrong)
    for mta in site.members:
        mta.mta.flush()
        wait_until(partial(_has_delivered, mta), 180.0, "an empty queue", mta.mta.log)
        wrong += [line for line in mta.mta.log().splitlines() if "status=bounced" in line]
    wait_until(lambda: not site.rows("SELECT * FROM unfinished"), 300.0, "an empty journal")
    trees: dict[str, set[str]] = {}
    for mailbox in site.cyrus.mailboxes("user/soak*"):
        name, slash, rest = mailbox.removeprefix("user/").partition("/")
        trees.setdefault(name, set()).add(slash + rest)
    for user, number in load.delivered.items():
        if trees.get(user) != TREE:
            wrong.append(f"{user}: tree {sorted(trees.get(user, ()))}")
        with site.cyrus.session(user) as imap:
            found = int(imap.select("INBOX", readonly=True)[1][0] or 0)
        if found != number:
            wrong.append(f"{user}: {number} messages accepted, {found} in INBOX")
    return wrong


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/soak", description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=30.0)
    minutes = parser.parse_args(arguments).minutes
    with (
        Cyrus() as cyrus,
        Postgres() as server,
        farm(cyrus, server, members=3, policies=[POLICY]) as site,
    ):
        load = soak(site, minutes)
        wrong = check(site, load)
        report(site, load, minutes)
    print(
        "\n".join(wrong[:50]) or "No mail was lost, none was refused wrongly, every tree is whole."
    )
    return 1 if wrong else 0


def report(site: Farm, load: Load, minutes: float) -> None:
    """Print the figures."""
    cuts = statistics.quantiles(load.seconds, n=100)
    twice = sum(times > 1 for times in site.created().values())
    print(f"\n{minutes:g} minutes, {load.replies.pop('kills')} milters killed")
    for what, count in sorted(load.replies.items()):
        print(f"  {what:20} {count:8,}")
    print(f"  {'users created':20} {len(load.delivered):8,}")
    print(f"  {'messages delivered':20} {sum(load.delivered.values()):8,}")
    print(f"  {'mailboxes asked for':20} {len(site.created()):8,}, of these more than once {twice}")
    print(f"  RCPT: median {cuts[49] * 1000:.0f} ms, 99 % {cuts[98] * 1000:.0f} ms")
    for number, mta in enumerate(site.members):
        print(f"  mta {number}: turns {mta.figures('turns')}")
        print(f"  mta {number}: messages {mta.figures('news')}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
