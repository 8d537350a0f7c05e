"""`autocreate explain`: a decision step by step, every source asked and every policy looked at.

The verdict is the service's own. What is told besides is asked anew, beyond what the decision needed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autocreate.accounts import AccountSource
from autocreate.accounts.directory import Directory
from autocreate.aliases.tables import AliasTable
from autocreate.core.policy import Policy, select
from autocreate.domains.syntax import domain_keys
from autocreate.errors import AutocreateError, Temporary
from autocreate.mailstore import MailStore
from autocreate.model import LMTP, Account, Address, Verdict
from autocreate.tree.plan import as_text, difference
from autocreate.tree.values import Tree


@dataclass(frozen=True, slots=True)
class Option:
    """What the configuration says, as it is written, and where.

    Args:
        place: file and line, or "default" for what is written nowhere.
    """

    place: str
    text: str


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What an account source or a table said, and how long it took; `groups` is None if it knows none.

    Args:
        place: where its table begins.
    """

    source: str
    answer: str
    milliseconds: float
    attributes: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class PolicyLook:
    """A policy, whether it is the one that counts, and why or why not.

    Args:
        place: where it begins.
    """

    policy: str
    counts: bool
    why: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every decision here hangs on before a user is looked at.

    Args:
        ours: which recipients are ours.
        domain_tables: what the tables of domains say of the recipient's.
        user: how an address becomes a user.
        alias_tables: the tables of aliases, by their names.
    """

    ours: tuple[Option, ...]
    user: tuple[Option, ...]
    alias_tables: tuple[Option, ...]
    domain_tables: tuple[SourceAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """What was found out about one user.

    Args:
        address: whom Cyrus delivers to.
        tree: what the policy calls for, a line each.
        standing: what of it stands, a line each.
    """

    user: str
    address: str
    sources: tuple[SourceAnswer, ...]
    policies: tuple[PolicyLook, ...]
    options: tuple[Option, ...]
    tree: tuple[str, ...]
    standing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """What decisions are made of, for who wants to look at each part by itself.

    Args:
        sources: asked directly, without their caches.
        options: the beginning of a policy and its keys, by its place among `policies`.
        source_places: where the table of a source begins, by its name.
    """

    sources: Sequence[AccountSource]
    policies: Sequence[Policy]
    store: MailStore
    default_domain: str
    options: Callable[[int], Sequence[Option]]
    source_places: Mapping[str, str] = field(default_factory=dict)


def users_of(verdict: Verdict, site: Site) -> list[User]:
    """Look at each user whom a verdict is about."""
    return [_user(part, site) for part in (verdict.parts or (verdict,)) if part.user]


def _user(part: Verdict, site: Site) -> User:
    address = part.address or Address(part.user)
    answers = tuple(
        _asked(source, part.user, site.source_places.get(source.name, ""))
        for source in site.sources
    )
    directory = Directory(site.sources)
    try:
        account = directory.find(part.user)
    except Temporary:
        account = None
    if account is None:
        return User(part.user, str(address), answers, (), (), (), tuple(_standing(part.user, site)))
    try:
        domain = address.domain or site.default_domain
        looks, policy = _looked_at(site, account, domain, directory)
        wanted, problems = policy.tree_for(account, site.store.version) if policy else (Tree(), ())
    except Temporary as error:
        looks, policy = (PolicyLook("", False, f"cannot tell: {error}"),), None
        wanted, problems = Tree(), ()
    plan = difference(part.user, policy.name, wanted, Tree()) if policy else None
    return User(
        part.user,
        str(address),
        answers,
        looks,
        tuple(site.options(site.policies.index(policy))) if policy else (),
        (*(as_text(plan) if plan and policy and policy.create else ()), *problems),
        tuple(_standing(part.user, site, wanted)),
    )


def domain_answer(table: AliasTable, domain: str, place: str) -> SourceAnswer:
    """Ask a table of domains for one.

    Args:
        domain: in lower-case A-labels.
        place: where the table begins.
    """
    begun = time.monotonic()
    try:
        found = table.find(domain_keys(domain))
        answer = f"{'has' if found.position >= 0 else 'does not have'} {domain!r}"
        if found.uncertainty:
            answer = f"{answer}, but cannot tell for sure: {found.uncertainty}"
    except AutocreateError as error:
        answer = f"cannot tell: {error}"
    milliseconds = round((time.monotonic() - begun) * 1000, 1)
    return SourceAnswer(table.name, answer, milliseconds, place=place)


def _asked(source: AccountSource, user: str, place: str) -> SourceAnswer:
    begun = time.monotonic()
    account: Account | None = None
    groups: tuple[str, ...] | None = None
    try:
        account = source.lookup(user)
        answer = "knows the user" if account else "does not know the user"
        if account and account.name:
            answer += f", as {account.name!r}"
        if account and source.has_groups:
            groups = tuple(sorted(source.groups(account)))
    except AutocreateError as error:
        answer = f"cannot tell: {error}"
    milliseconds = round((time.monotonic() - begun) * 1000, 1)
    attributes = account.attributes if account else ()
    return SourceAnswer(source.name, answer, milliseconds, attributes, groups, place)


def _looked_at(
    site: Site, account: Account, domain: str, directory: Directory
) -> tuple[tuple[PolicyLook, ...], Policy | None]:
    def groups() -> frozenset[str]:
        return directory.groups(account)

    chosen = select(site.policies, account.user, domain, groups)
    looks = []
    for number, policy in enumerate(site.policies):
        match = policy.match(account.user, domain, LMTP, groups)
        is_late = match.matches and policy is not chosen
        why = f"{match.why}, but an earlier one counts" if is_late else match.why
        if policy is chosen and not policy.create:
            why = f"{why}; it creates no mailbox{policy.why and f': {policy.why}'}"
        options = site.options(number)
        place = options[0].place if options else ""
        looks.append(PolicyLook(policy.name, policy is chosen, why, place))
    return tuple(looks), chosen


def _standing(user: str, site: Site, wanted: Tree = Tree()) -> Iterator[str]:  # noqa: B008 -- a value
    try:
        if not site.store.exists(user):
            yield "no INBOX"
            return
        yield "INBOX stands"
        observed = site.store.observe(user, wanted)
    except AutocreateError as error:
        yield f"cannot tell: {error}"
        return
    yield f"quota {observed.quota.description}"
    standing = {folder.path: folder for folder in observed.folders}
    for folder in wanted.folders:
        if folder.path:
            yield f"{folder.name} {'stands' if folder.path in standing else 'is not there'}"
