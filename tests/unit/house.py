"""The whole service over memory: accounts, a mail store and a journal that tests can look into."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from autocreate.accounts.directory import Directory
from autocreate.core.naming import Users
from autocreate.core.policy import Policy
from autocreate.errors import Temporary
from autocreate.lmtp.delivery_check import DeliveryCheck
from autocreate.mailstore.memory import Memory
from autocreate.model import Account, Folder, Tree
from autocreate.resilience.single_flight import SingleFlight
from autocreate.service import provisioner, recipients
from autocreate.service.journal import Journal
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.provisioner import Provisioner
from autocreate.service.service import Service

TREE = Tree((Folder(), Folder(("Sent",))))
EVERYONE = Policy("everyone", TREE)


class Accounts:
    """Users and their groups; `doubt` makes every question unanswerable."""

    name = "staff"
    has_groups = True

    def __init__(self, users: Mapping[str, Iterable[str]]) -> None:
        self.users = {user: frozenset(groups) for user, groups in users.items()}
        self.doubt = False

    def lookup(self, user: str) -> Account | None:
        if self.doubt:
            raise Temporary("the database is away")
        return Account(user, self.name) if user in self.users else None

    def groups(self, account: Account) -> frozenset[str]:
        return self.users[account.user]

    def names(self) -> Iterator[str]:
        return iter(self.users)

    def close(self) -> None:
        pass


class House:
    """A service over memory, and what it stands on. After a reload it takes over from one `before`."""

    def __init__(
        self,
        folder: Path,
        policies: tuple[Policy, ...] = (EVERYONE,),
        users: Users = Users(),  # noqa: B008 -- a frozen value
        accounts: Mapping[str, Iterable[str]] | None = None,
        *,
        domains: Iterable[str] = ("example.org",),
        dry_run: bool = False,
        quotes_dots: bool = True,
        deadline: float = 8.0,
        clock: Callable[[], float] = time.time,
        before: House | None = None,
        delivery: DeliveryCheck | None = None,
    ) -> None:
        self.store = Memory()
        self.accounts = Accounts(accounts or {})
        self.journal = Journal(f"sqlite:///{folder}/journal.db", clock)
        self.ready = MailboxCache(100, 300.0)
        self.service: Service = Service(
            recipients.RecipientRules(
                domains=frozenset(domains),
                mailers=frozenset(["lmtp"]),
                users=users,
                login_timeout=60.0,
                exempt=frozenset(["cyrus", "proxy"]),
                deadline=deadline,
                dry_run=dry_run,
                quotes_dots=quotes_dots,
            ),
            Provisioner(
                provisioner.AccountRules(users, policies, frozenset(["cyrus"])),
                Directory([self.accounts]),
                self.store,
                self.journal,
                self.ready,
                clock,
            ),
            self.journal,
            SingleFlight(4, before.service.flights if before else None),
            self.ready,
            lambda: None,
            delivery=delivery,
        )
