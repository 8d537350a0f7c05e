"""Mail stores for the contract: the one in memory, and Cyrus in every spelling that it has.

Each comes with a witness, who tells what stands without asking the code under test.
"""

from __future__ import annotations

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from autocreate.mailstore import MailStore
from autocreate.mailstore.cyrus import Cyrus as CyrusStore
from autocreate.mailstore.memory import Memory
from autocreate.mailstore.ports import Tls
from autocreate.mailstore.server import Server
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Plan, difference
from autocreate.tree.values import Folder, Quota, Tree
from tests.servers.cyrus import Cyrus
from tests.servers.cyrusversion import version

Path = tuple[str, ...]

# What the owner of a new folder may do with it.
OWNER = "lrswipkxtecdan"

_numbers = itertools.count(1)


class Place(ABC):
    """A mail store under test, and a witness of what stands in it.

    Shared folders `Announcements` and `Announcements/Sport` are for everyone, `Secret` for nobody.
    Mailboxes can be on the partitions `default` and `archive`.
    """

    def __init__(self, store: MailStore, domain: str = "") -> None:
        self.store = store
        self._domain = domain

    def new_user(self, name: str = "user") -> str:
        """A user whom no other test has."""
        return self.user(f"{name}{next(_numbers)}")

    def user(self, name: str) -> str:
        return f"{name}@{self._domain}" if self._domain else name

    def apply(self, user: str, *actions: Action) -> ApplyResult:
        return self.store.apply(Plan(user, "some policy", actions))

    def make(self, user: str, wanted: Tree) -> ApplyResult:
        """Do what `wanted` still lacks."""
        observed = self.store.observe(user, wanted)
        return self.store.apply(difference(user, "some policy", wanted, observed))

    @abstractmethod
    def folders(self, user: str) -> set[Path]: ...

    @abstractmethod
    def acl(self, user: str, path: Path = ()) -> dict[str, str]: ...

    @abstractmethod
    def quota(self, user: str) -> Quota: ...

    @abstractmethod
    def limit(self, user: str, quota: Quota) -> None:
        """Set these limits and no others, as an administrator does by hand."""

    @abstractmethod
    def special_use(self, user: str) -> dict[Path, str]: ...

    @abstractmethod
    def subscribed(self, user: str) -> set[Path]:
        """Which of the user's own folders the user is subscribed to."""

    @abstractmethod
    def subscribed_shared(self, user: str) -> set[str]: ...

    @abstractmethod
    def partition(self, user: str, path: Path) -> str: ...

    @abstractmethod
    def welcomes(self, user: str) -> int:
        """How many welcome messages are in INBOX."""


class MemoryPlace(Place):
    def __init__(self) -> None:
        self._memory = Memory(
            shared=frozenset({"Announcements", "Announcements/Sport"}),
            partitions=frozenset({"default", "archive"}),
            version=version(),
        )
        super().__init__(self._memory)

    def _tree(self, user: str) -> dict[Path, Folder]:
        return {folder.path: folder for folder in self._memory.trees.get(user, Tree()).folders}

    def folders(self, user: str) -> set[Path]:
        return set(self._tree(user))

    def acl(self, user: str, path: Path = ()) -> dict[str, str]:
        return dict(self._tree(user)[path].acl)

    def quota(self, user: str) -> Quota:
        return self._memory.trees[user].quota

    def limit(self, user: str, quota: Quota) -> None:
        self._memory.trees[user] = replace(self._memory.trees[user], quota=quota)

    def special_use(self, user: str) -> dict[Path, str]:
        tree = self._tree(user)
        return {path: folder.special_use for path, folder in tree.items() if folder.special_use}

    def subscribed(self, user: str) -> set[Path]:
        return {path for path, folder in self._tree(user).items() if folder.subscribe}

    def subscribed_shared(self, user: str) -> set[str]:
        return set(self._memory.trees[user].shared)

    def partition(self, user: str, path: Path) -> str:
        return self._tree(user)[path].partition or "default"

    def welcomes(self, user: str) -> int:
        return int(self._memory.trees[user].welcome is not None)


class CyrusPlace(Place):
    """A real Cyrus.

    Args:
        separator, personal, shared: what the server's mailbox names are made of.
        domain: of the users of this place, where they have one in their user id.
        tls: how the store connects.
        replication: may it use Cyrus's replication commands?
    """

    def __init__(
        self,
        server: Cyrus,
        separator: str = "/",
        personal: str = "INBOX/",
        shared: str = "",
        domain: str = "",
        tls: Tls = "none",
        replication: bool = True,
    ) -> None:
        port = server.imaps_port if tls == "implicit" else server.imap_port
        ca_file = str(server.ca_file) if server.ca_file else None
        settings = Server(
            server.host, port, tls, server.admin, server.admin_password, ca_file, timeout=20.0
        )
        super().__init__(CyrusStore(settings, connections=2, replication=replication), domain)
        self._server = server
        self._separator = separator
        self._personal = personal
        self._shared = shared
        if self._at_home("Secret") not in server.mailboxes():
            self._share()

    def _at_home(self, name: str) -> str:
        """A shared folder as the administrator writes it. Users see those of their own domain."""
        return f"{name}@{self._domain}" if self._domain else name

    def _share(self) -> None:
        self._server.create(self._at_home("Announcements"))
        self._server.create(self._at_home("Announcements" + self._separator + "Sport"))
        self._server.create(self._at_home("Secret"))
        with self._server.admin_session() as imap:
            imap.setacl(self._at_home("Secret"), "anyone", '""')

    def name(self, user: str, path: Path = ()) -> str:
        """A folder as the administrator writes it."""
        local, at, domain = user.partition("@")
        if self._separator == ".":
            local = local.replace(".", "^")
        return self._separator.join(("user", local, *path)) + at + domain

    def _path(self, name: str) -> Path | None:
        """A user's folder from the user's view, or None if it is a shared one."""
        if name == "INBOX":
            return ()
        if not name.startswith(self._personal) or (self._shared and name.startswith(self._shared)):
            return None
        return tuple(name.removeprefix(self._personal).split(self._separator))

    def folders(self, user: str) -> set[Path]:
        inbox = self.name(user)
        local, at, domain = inbox.partition("@")
        names = self._server.mailboxes(f"{local}*{at}{domain}")
        below = local + self._separator
        return {() for name in names if name == inbox} | {
            tuple(name.removesuffix(at + domain).removeprefix(below).split(self._separator))
            for name in names
            if name.startswith(below)
        }

    def acl(self, user: str, path: Path = ()) -> dict[str, str]:
        return self._server.acl(self.name(user, path))

    def quota(self, user: str) -> Quota:
        limits = self._server.quota(self.name(user))
        storage, messages = limits.pop("STORAGE", None), limits.pop("MESSAGE", None)
        return Quota(storage, messages, others=tuple(limits.items()))

    def limit(self, user: str, quota: Quota) -> None:
        named = (("STORAGE", quota.storage), ("MESSAGE", quota.messages), *quota.others)
        limits = " ".join(f"{resource} {limit}" for resource, limit in named if limit is not None)
        with self._server.admin_session() as imap:
            assert imap.setquota(self.name(user), f"({limits})")[0] == "OK"

    def special_use(self, user: str) -> dict[Path, str]:
        return {
            path: use
            for name, use in self._server.special_use(user).items()
            if (path := self._path(name)) is not None
        }

    def subscribed(self, user: str) -> set[Path]:
        names = self._server.subscriptions(user)
        return {path for name in names if (path := self._path(name)) is not None}

    def subscribed_shared(self, user: str) -> set[str]:
        names = self._server.subscriptions(user)
        return {
            name.removeprefix(self._shared).replace(self._separator, "/")
            for name in names
            if self._path(name) is None
        }

    def partition(self, user: str, path: Path) -> str:
        return self._server.partition(self.name(user, path))

    def welcomes(self, user: str) -> int:
        return sum(b"Subject: Welcome" in it for it in self._server.messages(user))


class Servers:
    """Real Cyrus servers, each started when the first test asks for it and shared from then on."""

    def __init__(self, plain: Cyrus) -> None:
        self._plain = plain
        self._stack = contextlib.ExitStack()
        self._places: dict[str, Place] = {}

    def place(self, variant: str) -> Place:
        if variant not in self._places:
            self._places |= VARIANTS[variant](self)
        return self._places[variant]

    def close(self) -> None:
        self._stack.close()

    def _start(self, server: Cyrus) -> Cyrus:
        return self._stack.enter_context(server)

    def slash(self) -> dict[str, Place]:
        return _both_ways("slash", partial(CyrusPlace, self._plain))

    def dot(self) -> dict[str, Place]:
        server = self._start(Cyrus(unixhierarchysep=False))
        return _both_ways("dot", partial(CyrusPlace, server, ".", "INBOX."))

    def altnamespace(self) -> dict[str, Place]:
        server = self._start(Cyrus(imapd_conf={"altnamespace": "yes"}))
        return _both_ways("altnamespace", partial(CyrusPlace, server, "/", "", "Shared Folders/"))

    def virtual(self) -> dict[str, Place]:
        options = {"virtdomains": "userid", "defaultdomain": "ex.test"}
        server = self._start(Cyrus(imapd_conf=options))
        return {
            "default-domain": CyrusPlace(server),
            **_both_ways("other-domain", partial(CyrusPlace, server, domain="other.test")),
        }

    def secured(self) -> dict[str, Place]:
        server = self._start(Cyrus(tls=True))
        return {
            "starttls": CyrusPlace(server, tls="starttls"),
            "implicit-tls": CyrusPlace(server, tls="implicit"),
        }


def _both_ways(name: str, place: Callable[..., CyrusPlace]) -> dict[str, Place]:
    """A place with Cyrus's replication commands, and one with sessions of the users' own alone."""
    return {name: place(), f"{name}-by-users": place(replication=False)}


VARIANTS: dict[str, Callable[[Servers], dict[str, Place]]] = {
    "memory": lambda _servers: {"memory": MemoryPlace()},
    "slash": Servers.slash,
    "slash-by-users": Servers.slash,
    "dot": Servers.dot,
    "dot-by-users": Servers.dot,
    "altnamespace": Servers.altnamespace,
    "altnamespace-by-users": Servers.altnamespace,
    "default-domain": Servers.virtual,
    "other-domain": Servers.virtual,
    "other-domain-by-users": Servers.virtual,
    "starttls": Servers.secured,
    "implicit-tls": Servers.secured,
}


def servers(plain: Cyrus) -> AbstractContextManager[Servers]:
    return contextlib.closing(Servers(plain))


def tree(*folders: Folder, quota: Quota = Quota(), shared: tuple[str, ...] = ()) -> Tree:  # noqa: B008
    """A wanted tree; INBOX is in it without being named."""
    return Tree((Folder(), *folders), quota, shared)
