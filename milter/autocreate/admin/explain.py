"""`autocreate explain`: a decision step by step, with every source and every policy.

The verdict is the service's own. What is shown besides is looked up anew, more than the decision needs.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from autocreate.accounts import AccountSource
from autocreate.accounts.directory import Directory
from autocreate.aliases.tables import AliasTable
from autocreate.core.address import domain_of
from autocreate.core.policy import Policy, select
from autocreate.domains.syntax import domain_keys
from autocreate.errors import AutocreateError, Temporary
from autocreate.mailstore import MailStore
from autocreate.model import LMTP, Account, Address, Recipient, Verdict
from autocreate.service.service import Service
from autocreate.tree.languages import settled, with_alternatives
from autocreate.tree.plan import as_text, difference
from autocreate.tree.values import Tree


@dataclass(frozen=True, slots=True)
class Option:
    """A setting as it is written, and where.

    Args:
        place: file and line, or "default" for a setting that is written nowhere.
    """

    place: str
    text: str


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What an account source or a table answered, and how long it took.

    Args:
        groups: None if the source knows no groups.
        place: where its table of the configuration begins.
    """

    source: str
    answer: str
    milliseconds: float
    attributes: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class PolicyLook:
    """A policy, whether it is the user's, and why.

    Args:
        counts: it is the user's policy.
        place: where it begins.
    """

    policy: str
    counts: bool
    why: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that every decision depends on, whoever the user is.

    Args:
        ours: which recipients are ours.
        user: how an address becomes a user.
        alias_tables: by their names.
        domain_tables: what they answered about the recipient's domain.
    """

    ours: tuple[Option, ...]
    user: tuple[Option, ...]
    alias_tables: tuple[Option, ...]
    domain_tables: tuple[SourceAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """What was found out about one user.

    Args:
        address: the address that Cyrus delivers to.
        options: the user's policy as it is written.
        tree: what the policy wants, a line each.
        standing: what of it exists, a line each.
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
    """The parts that decisions are made of, each to be looked at by itself.

    Args:
        sources: without their caches.
        options: the beginning of a policy and its keys, by its number among `policies`.
        place: where a table of the configuration begins, by its keys.
        domain_tables: without their caches.
    """

    sources: Sequence[AccountSource]
    policies: Sequence[Policy]
    store: MailStore
    default_domain: str
    options: Callable[[int], Sequence[Option]]
    place: Callable[[str, str], str] = lambda _section, _name: ""
    domain_tables: Sequence[AliasTable] = ()


class Explanation(NamedTuple):
    """A decision, and how it came about."""

    verdict: Verdict
    settings: Settings
    users: list[User]


class Explainer:
    """Explains decisions. Changes nothing.

    Args:
        service: decides.
        site: what the service is made of.
        settings: without the answers of tables of domains.
    """

    def __init__(self, service: Service, site: Site, settings: Settings) -> None:
        self._service = service
        self._site = site
        self._settings = settings

    def explain(self, recipient: Recipient) -> Explanation:
        """The decision about a recipient, and how it came about."""
        verdict = self._service.preview(recipient)
        answers = tuple(_domain_answers(recipient, self._site))
        return Explanation(
            verdict,
            replace(self._settings, domain_tables=answers),
            users_of(verdict, self._site),
        )


def users_of(verdict: Verdict, site: Site) -> list[User]:
    """Look at each user whom a verdict is about."""
    return [_user(part, site) for part in (verdict.parts or (verdict,)) if part.user]


def _user(part: Verdict, site: Site) -> User:
    address = part.address or Address(part.user)
    answers = tuple(
        _source_answer(source, part.user, site.place("accounts", source.name))
        for source in site.sources
    )
    directory = Directory(site.sources)
    try:
        account = directory.find(part.user)
    except Temporary:
        account = None
    if account is None:
        existing = tuple(_existing(part.user, site))
        return User(part.user, str(address), answers, (), (), (), existing)
    try:
        domain = address.domain or site.default_domain
        looks, policy = _policies(site, account, domain, directory)
        wanted, problems = policy.tree_for(account, site.store.version) if policy else (Tree(), ())
        if policy:
            welcome, lacking = policy.welcome_for(account, address, site.default_domain)
            wanted, problems = replace(wanted, welcome=welcome), (*problems, *lacking)
    except Temporary as error:
        looks, policy = (PolicyLook("", False, _failed(error)),), None
        wanted, problems = Tree(), ()
    plan = difference(part.user, policy.name, wanted, Tree()) if policy else None
    if plan and policy:
        plan = replace(plan, hook=policy.hook)
    return User(
        part.user,
        str(address),
        answers,
        looks,
        tuple(site.options(site.policies.index(policy))) if policy else (),
        (*(as_text(plan) if plan and policy and policy.create else ()), *problems),
        tuple(_existing(part.user, site, wanted)),
    )


def _failed(error: AutocreateError) -> str:
    return f"lookup failed: {error}"


def _domain_answers(recipient: Recipient, site: Site) -> Iterator[SourceAnswer]:
    """What each table of domains answers about the recipient's domain, if it has one."""
    if domain := domain_of(recipient.argument):
        for table in site.domain_tables:
            yield _domain_answer(table, domain, site.place("domains", table.name))


def _domain_answer(table: AliasTable, domain: str, place: str) -> SourceAnswer:
    begun = time.monotonic()
    try:
        found = table.find(domain_keys(domain))
        answer = f"{'has' if found.position >= 0 else 'does not have'} {domain!r}"
        if found.uncertainty:
            answer = f"{answer}; not certain: {found.uncertainty}"
    except AutocreateError as error:
        answer = _failed(error)
    milliseconds = round((time.monotonic() - begun) * 1000, 1)
    return SourceAnswer(table.name, answer, milliseconds, place=place)


def _source_answer(source: AccountSource, user: str, place: str) -> SourceAnswer:
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
        answer = _failed(error)
    milliseconds = round((time.monotonic() - begun) * 1000, 1)
    attributes = account.attributes if account else ()
    return SourceAnswer(source.name, answer, milliseconds, attributes, groups, place)


def _policies(
    site: Site, account: Account, domain: str, directory: Directory
) -> tuple[tuple[PolicyLook, ...], Policy | None]:
    def groups() -> frozenset[str]:
        return directory.groups(account)

    chosen = select(site.policies, account.user, domain, groups)
    looks = []
    for number, policy in enumerate(site.policies):
        match = policy.match(account.user, domain, LMTP, groups)
        is_late = match.matches and policy is not chosen
        why = f"{match.why}, but an earlier policy matches" if is_late else match.why
        if policy is chosen and not policy.create:
            why = f"{why}; it creates no mailbox{policy.why and f': {policy.why}'}"
        options = site.options(number)
        place = options[0].place if options else ""
        looks.append(PolicyLook(policy.name, policy is chosen, why, place))
    return tuple(looks), chosen


def _existing(user: str, site: Site, wanted: Tree = Tree()) -> Iterator[str]:  # noqa: B008 -- a value
    try:
        if not site.store.exists(user):
            yield "no INBOX"
            return
        where = site.store.where(user)
        yield f"INBOX exists ({where})" if where else "INBOX exists"
        observed = site.store.observe(user, with_alternatives(wanted))
    except AutocreateError as error:
        yield _failed(error)
        return
    yield f"quota {observed.quota.description}"
    existing = {folder.path: folder for folder in observed.folders}
    for folder in settled(wanted, observed).folders:
        if folder.path:
            yield f"{folder.name} {'exists' if folder.path in existing else 'is missing'}"
        for entry, value in existing[folder.path].annotations if folder.path in existing else ():
            yield f"{folder.name} has {entry} {value!r}"
