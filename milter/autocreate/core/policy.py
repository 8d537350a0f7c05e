"""Which policy an account gets, and the tree that follows. The first policy that matches decides."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from autocreate.core.message import MessageTemplate
from autocreate.core.personal import fill_in, in_language, sample_of
from autocreate.core.placeholders import values_for, values_of
from autocreate.core.sizes import limit, parse_size
from autocreate.core.spelling import shared_groups
from autocreate.errors import MalformedValue
from autocreate.model import LMTP, Account, Address, Version
from autocreate.tree.values import Hook, Quota, Script, Tree, Welcome

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AttributeOverrides:
    """Attributes of an account's entry that say what its policy would say otherwise; "" for none.

    `default_language` is for who has no attribute `language`, or one that the policy has no names in.
    """

    quota: str = ""
    quota_unit: str = "K"
    partition: str = ""
    language: str = ""
    default_language: str = ""
    server: str = ""


class OlderQuota(NamedTuple):
    """What versions of Cyrus before `before` take a policy's quota for.

    imapd.conf does not tell which version reads it, and one number can mean two things.
    """

    before: Version
    quota: Quota


class Match(NamedTuple):
    """Whether a policy is for a user, and why or why not."""

    matches: bool
    why: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule of the administrator's: for whom, and which tree.

    Without `users` and `groups` it is for everyone, else for any of them; `domains`, if given,
    narrows that to recipients of these domains, `services` to these. With `create` off, its users
    get no mailbox, and `why` may say why not. `tree` is what everyone gets whose entry says nothing
    else. `welcome` and `hook` are for mailboxes that are new.
    """

    name: str
    tree: Tree
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    create: bool = True
    entry: AttributeOverrides = AttributeOverrides()
    why: str = ""
    older_quota: OlderQuota | None = None
    welcome: MessageTemplate | None = None
    hook: Hook | None = None

    def matches(
        self, user: str, domain: str, service: str, groups: Callable[[], frozenset[str]]
    ) -> bool:
        return self.match(user, domain, service, groups).matches

    def may_match(self, user: str, domain: str, service: str) -> bool:
        """Does it match, if the user is in all of its groups?"""
        return self.matches(user, domain, service, lambda: self.groups)

    def match(
        self, user: str, domain: str, service: str, groups: Callable[[], frozenset[str]]
    ) -> Match:
        """Does it match, and why?

        Args:
            groups: asked only if the answer hangs on it.
        """
        if self.domains and domain not in self.domains:
            than = f" than {domain!r}" if domain else ", and the address has none"
            return Match(False, f"it is for other domains{than}")
        if self.services and service not in self.services:
            return Match(False, f"it is for other services than {service!r}")
        why = [f"its domains have {domain!r}"] if self.domains else []
        why += [f"its services have {service!r}"] if self.services else []
        if user in self.users:
            why.append("it names the user")
        elif self.groups and (shared := shared_groups(self.groups, groups())):
            why.append(f"the user is in group {shared[0]!r}")
        elif self.users or self.groups:
            return Match(False, "the user is neither among its users nor in its groups")
        return Match(True, " and ".join(why) or "it is for everyone")

    def tree_for(
        self, account: Account, version: Callable[[], Version]
    ) -> tuple[Tree, tuple[str, ...]]:
        """The tree that an account should have, and what is wrong with its entry.

        A value that makes no sense counts as absent: a slip in one entry must not hold up its
        user's mail, and a quota is soon mended. A partition that Cyrus does not have is another
        matter: Cyrus refuses it, and the mail waits.

        Args:
            version: that of Cyrus; asked only if the answer hangs on it.
        """
        tree = self.tree
        if self.older_quota and version() < self.older_quota.before:
            tree = replace(tree, quota=self.older_quota.quota)
        tree, problems = self._with_overrides(tree, account)
        preferred = account.values(self.entry.language) if self.entry.language else ()
        tree = in_language(tree, preferred, self.entry.default_language)
        tree, missing = fill_in(tree, values_of(account))
        return tree, (*problems, *(f"policy {self.name!r}: the account {it}" for it in missing))

    def _with_overrides(self, tree: Tree, account: Account) -> tuple[Tree, tuple[str, ...]]:
        """The tree with the account's own quota, partition and server, and what is wrong with these."""
        if not (self.entry.quota or self.entry.partition or self.entry.server):
            return tree, ()
        problems: list[str] = []

        def value(attribute: str, parse: Callable[[str], T], otherwise: T) -> T:
            values = account.values(attribute) if attribute else ()
            try:
                if len(values) > 1:
                    raise MalformedValue("has several values")
                return parse(values[0]) if values else otherwise
            except MalformedValue as error:
                problems.append(f"attribute {attribute} {error}; policy {self.name!r} decides")
                return otherwise

        quota, inbox = tree.quota, tree.folders[0]
        storage = value(
            self.entry.quota,
            lambda it: limit(parse_size(it, self.entry.quota_unit)),
            quota.storage,
        )
        partition = value(self.entry.partition, _partition, inbox.partition)
        server = value(self.entry.server, _server, inbox.server)
        tree = replace(
            tree,
            quota=replace(quota, storage=storage),
            folders=(
                replace(inbox, partition=partition, server=server),
                *tree.folders[1:],
            ),
        )
        return tree, tuple(problems)

    def welcome_for(
        self, account: Account, address: Address, default_domain: str
    ) -> tuple[Welcome | None, tuple[str, ...]]:
        """The welcome message for the new mailbox of an account, and what its entry lacks for it.

        An attribute that is missing leaves nothing in its place: the message still counts.

        Args:
            address: what the mailbox is created for.
        """
        if not self.welcome:
            return None, ()
        values = values_for(account, address, default_domain)
        missing = [name for name in self.welcome.names if not values.get(name)]
        problems = tuple(
            f"has no attribute {name}, which the welcome message {self.welcome.source} names"
            for name in missing
        )
        return Welcome(self.welcome.filled(values), self.welcome.source), problems


def select(
    policies: Iterable[Policy],
    user: str,
    domain: str,
    groups: Callable[[], frozenset[str]],
    service: str = LMTP,
) -> Policy | None:
    """The first policy that matches, or None.

    Args:
        groups: asked only if a policy's answer hangs on it, since the question costs a look-up.
        service: what the user is looked at for: mail, or a login to "imap", "pop3", "sieve".
    """
    return next(
        (policy for policy in policies if policy.matches(user, domain, service, groups)), None
    )


def is_creating(
    policies: Iterable[Policy], user: str, domain: str, service: str = LMTP
) -> bool | None:
    """Does the policy that `select` finds create a mailbox? None: that depends on the user's groups.

    No policy at all creates none. This costs no lookup.
    """
    possible = set()
    for policy in policies:
        if policy.may_match(user, domain, service):
            possible.add(policy.create)
            if policy.matches(user, domain, service, frozenset):
                break
    else:
        possible.add(False)
    return possible.pop() if len(possible) == 1 else None


def scripts_of(policies: Iterable[Policy]) -> tuple[tuple[str, Script], ...]:
    """The Sieve scripts that policies give, each with the policy's name: filled in for nobody in particular."""
    return tuple(
        dict.fromkeys(
            (policy.name, sample_of(policy.tree.script))
            for policy in policies
            if policy.create and policy.tree.script
        )
    )


def _partition(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise MalformedValue("is not the name of a partition")
    return text


def _server(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", text):
        raise MalformedValue("is not the name of a server")
    return text
