"""One existence check that no cache answers, on servers with more and more mailboxes.

`NOOP` in the same session is the floor: a round trip to Cyrus that looks at nothing.
"""

from __future__ import annotations

import contextlib
import imaplib
import random
import shutil
import time
from collections.abc import Callable, Iterator

from autocreate.mailstore import cyrus as mailstore
from autocreate.mailstore.server import Server
from tests.bench.contest import Effort, Result, in_turn
from tests.servers.common import run as run_command
from tests.servers.cyrus import Cyrus

SIZES = (1_000, 10_000, 100_000)
CHECKS = 400  # a measurement, half of them of users who have no mailbox

# "Flat within noise" for the greater servers, against the smallest.
TARGET = 0.9


def run(effort: Effort) -> list[Result]:
    """Measures the servers in turn, all of which run at the same time."""
    checks = effort.of(CHECKS)
    with contextlib.ExitStack() as running:
        contestants: dict[str, Callable[[], float]] = {}
        for size in SIZES:
            cyrus = running.enter_context(_cyrus_with(size))
            server = Server(cyrus.host, cyrus.imap_port, "none", cyrus.admin, cyrus.admin_password)
            store = mailstore.Cyrus(server, connections=1)
            running.callback(store.close)
            contestants[str(size)] = _checks(store, size, checks)
        contestants["noop"] = _noops(running.enter_context(cyrus.admin_session()), checks)
        values = in_turn(contestants, effort.rounds)
    smallest = str(SIZES[0])
    return [
        Result(f"{SIZES[0]:,} mailboxes, to NOOP", "ms", values[smallest], values["noop"], True),
        *(
            Result(
                f"{size:,} mailboxes, to {SIZES[0]:,}",
                "ms",
                values[str(size)],
                values[smallest],
                less_is_better=True,
                target=TARGET,
            )
            for size in SIZES[1:]
        ),
    ]


def _checks(store: mailstore.Cyrus, size: int, checks: int) -> Callable[[], float]:
    def measure() -> float:
        numbers = [random.randrange(2 * size) for _ in range(checks)]
        users = [_user(number) for number in numbers]
        begun = time.perf_counter()
        found = [store.exists(user) for user in users]
        seconds = time.perf_counter() - begun
        assert found == [number < size for number in numbers]
        return seconds * 1000 / checks

    return measure


def _noops(session: imaplib.IMAP4, checks: int) -> Callable[[], float]:
    def measure() -> float:
        begun = time.perf_counter()
        for _ in range(checks):
            session.noop()
        return (time.perf_counter() - begun) * 1000 / checks

    return measure


@contextlib.contextmanager
def _cyrus_with(size: int) -> Iterator[Cyrus]:
    """A Cyrus whose list of mailboxes has so many INBOXes; there are no folders behind them."""
    with Cyrus() as cyrus:
        cyrus.stop()
        # `ctl_mboxlist -u` takes a time that grows with the square of their number.
        listed = cyrus.folder / "mailboxes.flat"
        listed.write_text("".join(sorted(line for it in range(size) for line in _records(it))))
        shutil.chown(listed, "cyrus", "mail")
        database = cyrus.folder / "conf/mailboxes.db"
        database.unlink()
        run_command(
            [
                *("setpriv", "--reuid=cyrus", "--regid=mail", "--clear-groups"),
                *("/usr/lib/cyrus/bin/cvt_cyrusdb", "-C", cyrus.imapd_conf_file),
                *(listed, "flat", database, "twoskip"),
            ]
        )
        cyrus.start()
        yield cyrus


def _user(number: int) -> str:
    return f"user{number:07}"


def _records(number: int) -> tuple[str, str]:
    """A mailbox by name and by id, as `cyr_dbtool mailboxes.db twoskip show` of Cyrus 3.6 tells it."""
    user, unique = _user(number), f"{number:024}"
    common = "P default V 1700000000 C 1 F 1 M 1700000000"
    acl = f"A %({user} lrswipkxtecdan)"
    return (
        f"Nuser\x1f{user}\t%(T e I {unique} {common} {acl})\n",
        f"I{unique}\t%(T e N user\x1f{user} {common} {acl} H ())\n",
    )
