"""The program between a real MTA and a real Cyrus."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tests.servers.cyrus import Cyrus
from tests.servers.mariadb import MariaDb
from tests.servers.milterclient import reply_to
from tests.servers.postfix import Postfix
from tests.servers.postgres import Postgres
from tests.servers.product import POLICY, Product
from tests.servers.sendmail import Sendmail
from tests.servers.smtp import Dialogue, Reply

Mta = Postfix | Sendmail

# What we say, wherever it is asserted: the text belongs to the promise.
TEMPORARY = Reply(451, "4.3.0", "Temporary failure, please try again later")

# What stands for a user of the policy that Product has by default.
WHOLE_TREE = ["", "/Archive", "/Archive/2026", "/Entwürfe", "/Sent"]


@pytest.fixture(params=[Postfix, Sendmail], ids=["postfix", "sendmail"])
def start_mta(request: pytest.FixtureRequest) -> Callable[..., Mta]:
    """Makes an MTA; every test that asks for it runs once with Postfix and once with Sendmail."""
    make: Callable[..., Mta] = request.param
    return make


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A database server on which `joe` has an account, in the group `staff`."""
    with Postgres() as server:
        server.put({"joe": ["staff"]})
        yield server


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    """As `postgres`."""
    with MariaDb() as server:
        server.put({"joe": ["staff"]})
        yield server


@pytest.fixture
def named(start_mta: Callable[..., Mta]) -> Callable[[str], str]:
    """A user's name that is not the same with another MTA, since the tests share a Cyrus."""
    return lambda name: f"{name}-{start_mta.__name__.lower()}"


@pytest.fixture
def new(request: pytest.FixtureRequest) -> str:
    """A user without a mailbox, whom no other test has."""
    return "new-" + "".join(re.findall(r"[a-z0-9]+", request.node.name.lower()))[-40:]


def code(product: Product, user: str) -> int:
    """What the milter answers to a recipient: the code of its reply, 0 to go on."""
    return reply_to(product.socket, user).code


@dataclass(frozen=True)
class Way:
    """An MTA that asks our milter."""

    product: Product
    mta: Mta

    @contextlib.contextmanager
    def session(self) -> Iterator[Dialogue]:
        """A session that is about to name its recipients."""
        with Dialogue(self.mta.host, self.mta.port) as smtp:
            smtp.ehlo()
            assert smtp.mail("ann@client.test").code == 250
            yield smtp

    def rcpt(self, *users: str) -> list[Reply]:
        """The replies to recipients at example.org, of one message that is then given up."""
        with self.session() as smtp:
            replies = [smtp.rcpt(f"{user}@example.org") for user in users]
            smtp.quit()
            return replies

    def codes(self, *users: str) -> list[int]:
        return [reply.code for reply in self.rcpt(*users)]

    def tree(self, user: str) -> list[str]:
        """The user's mailboxes, each without what it begins with: WHOLE_TREE, if all is well."""
        beginning = f"user/{user}"
        found = self.product.cyrus.mailboxes(f"{beginning}*")
        return sorted(it.removeprefix(beginning) for it in found)


def started(
    stack: contextlib.ExitStack,
    cyrus: Cyrus,
    users: Iterable[str],
    policy: Mapping[str, Any],
    settings: Mapping[str, Any],
    query: str = "SELECT userid FROM accounts WHERE userid = :user AND enabled",
) -> Way:
    """A milter and a Postfix before it, until the stack is closed.

    Args:
        users: who have accounts.
        policy: what the one policy has besides those of POLICY.
        query: of the accounts.
    """
    product = Product(cyrus, accounts=users, settings=settings, policies=[{**POLICY, **policy}])
    stack.enter_context(product)
    staff = {
        "type": "sql",
        "url": f"sqlite:///{product.database}",
        "query": query,
        "list_query": "SELECT userid FROM accounts WHERE enabled",
    }
    product.configure({**settings, "accounts": {"staff": staff}})
    product.start()
    postfix = Postfix(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port))
    return Way(product, stack.enter_context(postfix))


@pytest.fixture
def way(start_mta: Callable[..., Mta]) -> Iterator[Callable[[Product], Way]]:
    """Starts a product's milter and an MTA before it."""
    with contextlib.ExitStack() as stack:

        def begin(product: Product, *arguments: str) -> Way:
            product = stack.enter_context(product)
            product.start(*arguments)
            cyrus = product.cyrus
            mta = start_mta(milter=product.socket, lmtp=(cyrus.host, cyrus.lmtp_port))
            stack.enter_context(mta)
            return Way(product, mta)

        yield begin
