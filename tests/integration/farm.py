"""A farm: several MTAs, each with its milter, on one Cyrus and one journal of a database server."""

from __future__ import annotations

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.integration.conftest import Way
from tests.servers.brake import Brake
from tests.servers.cyrus import Cyrus
from tests.servers.mariadb import MariaDb
from tests.servers.postfix import Postfix
from tests.servers.postgres import Postgres
from tests.servers.product import Product


class CountingBrake(Brake):
    """A brake that also counts the mailboxes that sessions ask to create."""

    def __init__(self, imap_port: int) -> None:
        super().__init__(imap_port)
        self._lock = threading.Lock()
        self.created: Counter[str] = Counter()

    def passes(self, line: bytes) -> None:
        if found := re.match(rb'\S+ CREATE "?([^"\s]+)', line, re.IGNORECASE):
            with self._lock:
                self.created[found[1].decode()] += 1


@dataclass(frozen=True)
class Member(Way):
    """One MTA of a farm, and the proxy between it and Cyrus."""

    brake: CountingBrake

    def figures(self, name: str) -> dict[str, Any]:
        (told,) = self.product.json("cache", "show")
        found: dict[str, Any] = told[name]
        return found


class Farm:
    """Members with accounts and journal at one server.

    Args:
        server: has the accounts, and is the journal.
    """

    def __init__(self, cyrus: Cyrus, server: Postgres | MariaDb, members: Sequence[Member]) -> None:
        self.cyrus = cyrus
        self.server = server
        self.members = list(members)

    def __getitem__(self, number: int) -> Member:
        return self.members[number]

    def add(self, *users: str) -> None:
        """Further accounts."""
        for user in users:
            self.server.execute(f"INSERT INTO accounts (userid) VALUES ('{user}')")

    def created(self) -> Counter[str]:
        """How often each mailbox was asked for, by all members together."""
        return sum((it.brake.created for it in self.members), Counter())

    def rows(self, query: str) -> list[Any]:
        """What a query finds in the journal."""
        if isinstance(self.server, Postgres):
            with self.server._admin("mail") as admin:
                return admin.execute(query).fetchall()
        with self.server._admin("journal") as admin:
            admin.execute(query)
            return list(admin.fetchall())


@contextlib.contextmanager
def farm(
    cyrus: Cyrus,
    server: Postgres | MariaDb,
    members: int = 2,
    settings: Mapping[str, Any] | None = None,
    policies: Sequence[Mapping[str, Any]] | None = None,
) -> Iterator[Farm]:
    """A farm that runs.

    Args:
        settings: are laid over those of a member, as for `Product`.
    """
    journal, accounts = sections(server)
    with contextlib.ExitStack() as stack:
        made: list[Member] = []
        for _ in range(members):
            brake = stack.enter_context(CountingBrake(cyrus.imap_port))
            given: dict[str, Any] = {} if policies is None else {"policies": policies}
            product = stack.enter_context(
                Product(
                    cyrus,
                    settings={
                        "cyrus": {"port": brake.port},
                        "journal": journal,
                        "accounts": {"staff": accounts},
                        **(settings or {}),
                    },
                    **given,
                )
            )
            product.start()
            postfix = Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port))
            made.append(Member(product, stack.enter_context(postfix), brake))
        yield Farm(cyrus, server, made)


def sections(server: Postgres | MariaDb) -> tuple[dict[str, Any], dict[str, Any]]:
    """[journal] and an account source, and the rights that they need."""
    secret = server.folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(f"{server.password}\n")
    if isinstance(server, Postgres):
        server.execute(f"GRANT CREATE ON SCHEMA public TO {server.user}")
        url = server.url
    else:
        server.execute("CREATE DATABASE IF NOT EXISTS journal CHARACTER SET utf8mb4")
        server.execute(f"GRANT ALL ON journal.* TO {server.user}")
        url = server.url.removesuffix("mail") + "journal"
    accounts = {
        "type": "sql",
        "url": server.url,
        "password_file": str(secret),
        "query": "SELECT userid FROM accounts WHERE userid = :user",
    }
    return {"url": url, "password_file": str(secret)}, accounts
