"""Which policy an account gets. The first that matches decides."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autocreate.model import Tree


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule of the administrator's: for whom, and which tree.

    Without `users` and `groups` it is for everyone, else for any of them; `domains`, if given,
    narrows that to recipients of these domains. With `create` off, its users get no mailbox.
    """

    name: str
    tree: Tree
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    create: bool = True

    def matches(self, user: str, domain: str, groups: Callable[[], frozenset[str]]) -> bool:
        if self.domains and domain not in self.domains:
            return False
        if not self.users and not self.groups:
            return True
        return user in self.users or (bool(self.groups) and not self.groups.isdisjoint(groups()))


def select(
    policies: Iterable[Policy], user: str, domain: str, groups: Callable[[], frozenset[str]]
) -> Policy | None:
    """The first policy that matches, or None.

    Args:
        groups: asked only if a policy's answer hangs on it, since the question costs a look-up.
    """
    return next((policy for policy in policies if policy.matches(user, domain, groups)), None)
