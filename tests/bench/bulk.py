"""`provision --all` of new accounts, against a loop by hand: the same commands, writes and number of connections.

The loop knows what to send before it begins, and does nothing else: no account source, no journal, no second look. A
second run finds every account finished, and `audit --trees` compares each tree with its policy.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.bench.contest import Effort, Result
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product

ACCOUNTS = 800
CONNECTIONS = 4  # as cyrus.connections has it
NEW_TARGET = 0.95
FINISHED_TARGET = 1_000.0  # accounts a second
TREES_TARGET = 1.5  # ms an account

POLICY = {"name": "everyone", "quota": "2G", "folders": [{"name": "Sent", "special_use": "\\Sent"}]}
# What goes out in one write: whether the quota's root counts is asked with it.
WRITES = (
    ('CREATE "user/{user}"',),
    ('SETQUOTA "user/{user}" (STORAGE 2097152)', 'GETQUOTAROOT "user/{user}"'),
    ('CREATE "user/{user}/Sent" (USE (\\Sent))',),
)

MOST_ROUNDS = 3  # they take minutes


def run(effort: Effort) -> list[Result]:
    """Measures ours and theirs in turn, each time on new servers."""
    accounts = effort.of(ACCOUNTS)
    users = [f"new{number:06}" for number in range(accounts)]
    rounds = min(effort.rounds, MOST_ROUNDS)
    ours: list[float] = []
    theirs: list[float] = []
    finished: list[float] = []
    trees: list[float] = []
    for _ in range(rounds):
        with Cyrus() as cyrus:
            theirs.append(accounts / _timed(partial(_by_hand, cyrus, users)))
            _assert_complete(cyrus, users)
        with Cyrus() as cyrus, Product(cyrus, policies=[POLICY]) as product:
            listed = product.folder / "users"
            listed.write_text("".join(f"{user}\n" for user in users))
            product.configure({"accounts": {"staff": {"type": "file", "path": str(listed)}}})
            ours.append(accounts / _timed(partial(_provision, product)))
            _assert_complete(cyrus, users)
            finished.append(accounts / _timed(partial(_provision, product)))
            cyrus.set_quota(f"user/{users[-1]}", 1)
            trees.append(_timed(partial(_audit_trees, product, users)) / accounts * 1000)
    return [
        Result(f"{accounts:,} new accounts", "accounts/s", ours, theirs, target=NEW_TARGET),
        Result(
            f"{accounts:,} finished accounts, to {FINISHED_TARGET:g}/s",
            "accounts/s",
            finished,
            [FINISHED_TARGET] * rounds,
            target=1.0,
        ),
        Result(
            f"{accounts:,} trees audited, to {TREES_TARGET:g} ms",
            "ms/account",
            trees,
            [TREES_TARGET] * rounds,
            less_is_better=True,
            target=1.0,
        ),
    ]


def _assert_complete(cyrus: Cyrus, users: list[str]) -> None:
    """Everybody has the mailboxes of the policy, and nobody else has any."""
    wanted = {f"user/{user}{folder}" for user in users for folder in ("", "/Sent")}
    assert cyrus.mailboxes("user/*") == wanted
    for user in (users[0], users[-1]):
        assert cyrus.quota(f"user/{user}") == {"STORAGE": 2 << 20}


def _timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _provision(product: Product) -> None:
    done = product.run("provision", "--all", "--yes", "--max-new", "100", timeout=600.0)
    assert done.returncode == 0, done.stderr


def _audit_trees(product: Product, users: list[str]) -> None:
    """Every tree is compared: the only one that differs is found."""
    done = product.run("audit", "--trees", timeout=600.0)
    assert done.returncode == 1, (done.returncode, done.stderr)
    finding, summary = done.stdout.splitlines()
    assert finding.startswith(f"quota       {users[-1]}: "), finding
    assert summary == f"{len(users):,} accounts, {len(users):,} mailboxes: 1 finding", summary


def _by_hand(cyrus: Cyrus, users: list[str]) -> None:
    def connection(start: int) -> None:
        with _session(cyrus) as ask:
            for user in users[start::CONNECTIONS]:
                for commands in WRITES:
                    ask(*(command.format(user=user) for command in commands))

    with ThreadPoolExecutor(CONNECTIONS) as connections:
        list(connections.map(connection, range(CONNECTIONS)))


@contextlib.contextmanager
def _session(cyrus: Cyrus) -> Iterator[Callable[..., None]]:
    """What sends commands in one write and waits for each one's OK, as the administrator."""
    with (
        socket.create_connection((cyrus.host, cyrus.imap_port)) as client,
        client.makefile("rb") as lines,
    ):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask(*commands: str) -> None:
            client.sendall("".join(f"x {command}\r\n" for command in commands).encode())
            for command in commands:
                if len(commands) > 1:  # else the second answer waits 40 ms for the kernel's ACK
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                answer = next(line for line in lines if line.startswith(b"x "))
                assert answer.startswith(b"x OK"), (command, answer)

        ask(f'LOGIN {cyrus.admin} "{cyrus.admin_password}"')
        yield ask
