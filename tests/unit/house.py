"""The whole service over memory: accounts, a mail store and a journal that tests can look into."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from autocreate.accounts import AccountSource
from autocreate.accounts.directory import Directory
from autocreate.aliases.resolver import Aliases
from autocreate.core.naming import Users
from autocreate.core.policy import Policy
from autocreate.domains.hosted import DomainTables
from autocreate.errors import Temporary
from autocreate.lmtp.delivery_check import DeliveryCheck
from autocreate.mailstore.memory import Memory
from autocreate.model import Account, Answer, Recipient, Verdict
from autocreate.resilience.single_flight import SingleFlight
from autocreate.service.creation_limit import CreationLimit
from autocreate.service.creations import Creations
from autocreate.service.hooks import Hooks
from autocreate.service.journal import Journal
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.policies import AccountRules
from autocreate.service.provisioner import Provisioner
from autocreate.service.recipients import RecipientRules
from autocreate.service.service import Service
from autocreate.service.unfinished import Unfinished
from autocreate.tree.values import Folder, Tree

TREE = Tree((Folder(), Folder(("Sent",))))
EVERYONE = Policy("everyone", TREE)


class Accounts:
    """Users and their groups. `fails` makes all lookups fail, `fails_for` those for some users."""

    name = "staff"
    has_groups = True

    def __init__(self, users: Mapping[str, Iterable[str]]) -> None:
        self.users = {user: frozenset(groups) for user, groups in users.items()}
        self.fails = False
        self.fails_for: set[str] = set()
        self.questions: list[str] = []

    def lookup(self, user: str) -> Account | None:
        self.questions.append(user)
        if self.fails or user in self.fails_for:
            raise Temporary("the database is away")
        return Account(user, self.name) if user in self.users else None

    def groups(self, account: Account) -> frozenset[str]:
        return self.users[account.user]

    def names(self) -> Iterator[str]:
        return iter(self.users)

    def close(self) -> None:
        pass


class House:
    """A service over memory, and what it is built of. After a reload it takes over from one `before`.

    Args:
        source: in the place of `accounts`.
        aliases, domain_tables, delivery: as the service takes them.
    """

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
        source: AccountSource | None = None,
        aliases: Aliases | None = None,
        domain_tables: DomainTables | None = None,
        delivery: DeliveryCheck | None = None,
        workers: int = 4,
        cache_size: int = 100,
        limit: CreationLimit = CreationLimit(),  # noqa: B008 -- without limits it keeps no state
    ) -> None:
        self.store = Memory()
        self.accounts = Accounts(accounts or {})
        self.journal = Journal(f"sqlite:///{folder}/journal.db", clock)
        self.mailboxes = MailboxCache(cache_size, 300.0)
        directory = Directory([source or self.accounts])
        unfinished = Unfinished(self.journal, clock)

        def release() -> None:
            directory.close()
            self.journal.close()

        self.service: Service = Service(
            RecipientRules(
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
                AccountRules(users, policies, frozenset(["cyrus"])),
                directory,
                self.store,
                unfinished,
                Creations(self.journal, clock),
                self.mailboxes,
                limit=limit,
            ),
            self.journal,
            unfinished,
            Hooks(self.journal, policies, not dry_run, clock),
            SingleFlight(workers, before.service.single_flight if before else None),
            self.mailboxes,
            release,
            aliases,
            domain_tables,
            delivery,
        )

    def verify(self, address: str, mailer: str = "lmtp") -> Verdict:
        return self.service.verify(Recipient(address, mailer=mailer))

    def answer(self, address: str, mailer: str = "lmtp") -> Answer:
        return self.verify(address, mailer).answer


Build = Callable[..., House]
