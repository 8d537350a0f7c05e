"""An MTA before a product before a Cyrus Murder: what tests about it share."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.integration.conftest import WHOLE_TREE, Way
from tests.servers.common import wait_until
from tests.servers.murder import Member, Murder
from tests.servers.postfix import Postfix
from tests.servers.product import POLICY, Product
from tests.servers.smtp import Reply

REPLIES = Path(__file__).parents[2] / "contrib/postfix/murder_replies"

# Guests have accounts, and no mailbox.
NOT_OURS = {"name": "not ours", "groups": ["guests"], "create": False}


def settings(murder: Murder, **more: Any) -> dict[str, Mapping[str, Any]]:
    """Of a product in a Murder, with `more` in [cyrus.murder]."""
    return {
        "milter": {"deadline": 6.0},
        "cyrus": {"timeout": 2.0, "murder": murder.section(timeout=1.0, **more)},
    }


def tree(server: Member, user: str) -> list[str]:
    """The user's mailboxes at a server, in the form of WHOLE_TREE."""
    found = server.mailboxes(f"user/{user}") | server.mailboxes(f"user/{user}/*")
    return sorted(it.removeprefix(f"user/{user}") for it in found)


_numbers = itertools.count()


@dataclass(frozen=True)
class Site(Way):
    """A product and a Postfix that delivers to the same frontend.

    Users are named here without `suffix`, which no other site has: several follow each other in one Murder.
    """

    mta: Postfix
    murder: Murder
    suffix: str

    def with_suffix(self, suffix: str) -> Site:
        """The same site, whose users have other names."""
        return replace(self, suffix=suffix)

    def name(self, user: str) -> str:
        """The user's whole name."""
        return user + self.suffix

    def add(self, *users: str, groups: Iterable[str] = ()) -> None:
        """Gives users accounts."""
        for user in users:
            self.product.add_account(self.name(user), *groups)

    # -- mail ----------------------------------------------------------------------------------

    def rcpt(self, *users: str) -> list[Reply]:
        """See `Way.rcpt`."""
        return super().rcpt(*map(self.name, users))

    def deliver(self, user: str) -> int:
        """The reply to RCPT; after a 250 the message is sent."""
        with self.session() as smtp:
            code = smtp.rcpt(f"{self.name(user)}@example.org").code
            if code == 250:
                assert smtp.data("Subject: in\n\nin\n").code == 250
            return code

    def accepted(self, *users: str) -> None:
        """Tries until mail is accepted."""

        def is_accepted(user: str) -> bool:
            return self.deliver(user) == 250

        for user in users:
            log = self.product.log
            wait_until(partial(is_accepted, user), 60.0, f"{user}'s 250", log, 0.2)

    def wait_until_delivered(self) -> None:
        """Nothing waits in the MTA's queue any more, and nothing has bounced."""

        def is_empty() -> bool:
            self.mta.flush()
            return not self.mta.queue()

        wait_until(is_empty, 90.0, "an empty queue", self.mta.log, pause=0.5)
        assert "status=bounced" not in self.mta.log()

    # -- what exists ---------------------------------------------------------------------------

    def owner(self, user: str) -> Member:
        """The one backend that has the user's mailboxes."""
        return self.murder.owner(self.name(user))

    def wait_for_messages(self, user: str, count: int = 1) -> None:
        self.product.cyrus.wait_for_messages(self.name(user), count, 30.0)

    def wait_for_tree(self, user: str) -> None:
        """The user has one tree, and it is whole once the journal is empty."""

        self.finish()
        assert tree(self.owner(user), self.name(user)) == WHOLE_TREE, self.product.log()

    def finish(self) -> None:
        """What the journal has is finished now, and not when the next attempt is due."""

        def is_finished() -> bool:
            if self.product.unfinished():
                self.product.run("unfinished", "retry", "--all")
            return not self.product.unfinished()

        def told() -> str:
            errors = [it["error"] for it in self.product.unfinished().values()]
            return "\n".join([self.product.log(), *errors])

        wait_until(is_finished, 90.0, "an empty journal", told, pause=0.2)

    def status(self) -> dict[str, str]:
        """What `autocreate status` says of each thing that the milter depends on."""
        lines = self.product.run("status").stdout.splitlines()
        return dict(line.split(None, 1) for line in lines)


@contextlib.contextmanager
def site(
    murder: Murder,
    *,
    frontend: int = 0,
    policies: Iterable[Mapping[str, Any]] = (NOT_OURS, POLICY),
    suffix: str = "",
    more: Mapping[str, Mapping[str, Any]] | None = None,
    **section: Any,
) -> Iterator[Site]:
    """A running site.

    Args:
        suffix: of users; a new one by default.
        more: laid over the product's settings.
        section: laid over [cyrus.murder].
    """
    server = murder.frontends[frontend]
    configuration = {**settings(murder, **section), **(more or {})}
    with contextlib.ExitStack() as stack:
        product = Product(server, settings=configuration, policies=policies)
        stack.enter_context(product).start()
        replies = shutil.copy(REPLIES, product.folder)  # as docs/murder.md tells
        mta = Postfix(
            milter=product.socket,
            lmtp=(server.host, server.lmtp_port),
            parameters={"lmtp_reply_filter": f"regexp:{replies}"},
        )
        yield Site(product, stack.enter_context(mta), murder, suffix or f"-{next(_numbers)}")
