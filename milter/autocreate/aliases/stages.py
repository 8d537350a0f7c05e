"""Looks up one address in all tables of aliases: stage by stage, the most exact entry first.

The tables are functions; this module does not know where their data is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from autocreate.aliases.keys import Key, Style, keys
from autocreate.aliases.syntax import Member
from autocreate.errors import Temporary
from autocreate.model import Address

STAGES = tuple(Style)


class Found(NamedTuple):
    """The answer of a table: the first of the keys that it has, and its value.

    Args:
        position: of the key among those looked up; -1 if it has none of them.
        text: the right-hand side.
        uncertainty: why the table may have one of the keys before `position` all the same, or any key if it
            has none; "" if it certainly has not.
        owner: the id of the user who owns the file with the entry; 0 for the administrator's tables.
    """

    position: int = -1
    text: str = ""
    uncertainty: str = ""
    owner: int = 0


class Included(NamedTuple):
    """What an :include: file lists.

    Args:
        owner: the id of the user who owns the file.
    """

    members: tuple[Member, ...]
    owner: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table of aliases.

    Args:
        name: its name in the configuration.
        find: the first of these keys that it has; raises `Temporary` if it cannot tell.
        include: the members of a file that an :include: names, in a file of the user of this id; raises
            `Temporary` if it cannot be read. None: an :include: is not followed.
        find_many: `find` for several addresses at once, if that is faster.
        domains: those whose local parts are looked up alone (mydestination, class w). None: all of ours.
        origin: the domain that Postfix appends to an address without one (myorigin). Empty: such an address
            is a local user.
        alias_domains: those whose addresses exist only if they have an alias (virtual_alias_domains).
    """

    name: str
    style: Style
    find: Callable[[Sequence[str]], Found]
    include: Callable[[str, int], Included] | None = None
    find_many: Callable[[Sequence[Sequence[str]]], Sequence[Found]] | None = None
    domains: frozenset[str] | None = None
    origin: str = ""
    alias_domains: frozenset[str] = frozenset()


class Hit(NamedTuple):
    """The entry for an address, and the stage at which it was found."""

    address: Address
    stage: int
    table: Table
    key: Key
    text: str
    owner: int = 0


class Tables:
    """All tables, for the lookups while one address is resolved.

    Args:
        start: the address. An address literal is one of this host's, since the MTA asks about it.
        domains: ours.
        delimiters: each character begins a detail.
        is_mapped: the MTA has already mapped `start` to a local name.
        is_hosted: whether another domain is ours; raises `Temporary` if it cannot tell.
    """

    def __init__(
        self,
        start: Address,
        tables: Sequence[Table],
        domains: frozenset[str],
        delimiters: str,
        is_mapped: bool,
        is_hosted: Callable[[str], bool],
    ) -> None:
        self._stages = [[table for table in tables if table.style is style] for style in STAGES]
        self._delimiters = delimiters
        self._local_name = start if is_mapped else None
        self._literal = start.domain if start.domain.startswith("[") else None
        self._ahead: dict[tuple[str, tuple[str, ...]], Found] = {}
        self._is_hosted = is_hosted
        self._named = domains.union({start.domain, ""}, *(table.domains or () for table in tables))
        self.alias_domains = frozenset[str]().union(*(table.alias_domains for table in tables))
        self.uncertainties: list[str] = []

    def has_before(self, stage: int) -> bool:
        """Are there tables of an earlier stage?"""
        return any(self._stages[:stage])

    def is_ours(self, domain: str) -> bool:
        """Is it one of our domains?"""
        return domain in self._named or self._is_hosted(domain)

    def is_local(self, address: Address, table: Table) -> bool:
        """Is the local part of this address looked up alone in this table?"""
        domain = address.domain
        if not domain or address == self._local_name or domain == self._literal:
            return True
        if table.domains is None:
            return self.is_ours(domain)
        # To mail_addr_find() of Postfix, myorigin is local; to local(8), only mydestination is.
        is_origin = domain == table.origin and not table.style.has_local_parts
        return domain in table.domains or is_origin

    def look_up(self, address: Address, stage: int, besides: str = "") -> Hit | None:
        """The most exact entry in the tables of a stage; of equally exact ones the first.

        Args:
            besides: a key that is not looked up.

        Raises:
            Temporary: a table cannot tell.
        """
        best: Hit | None = None
        most = None
        for table in self._stages[stage]:
            wanted = [key for key in self.keys(address, table) if key.text != besides]
            # Only what is more exact than the entry found so far counts.
            found = self._find(table, wanted, most)
            if 0 <= found.position < (len(wanted) if most is None else most):
                most = found.position
                best = Hit(address, stage, table, wanted[most], found.text, found.owner)
        return best

    def has(self, name: str, stage: int) -> bool:
        """Does a table of this stage have exactly this key?

        Raises:
            Temporary: a table cannot tell.
        """
        key = [Key(name)]
        return any(self._find(table, key, None).position == 0 for table in self._stages[stage])

    def ask_ahead(self, places: Sequence[tuple[Address, int]]) -> None:
        """Look up several addresses at once, in the tables that can do so.

        Args:
            places: addresses, each with the stage at which its lookup begins.

        Raises:
            Temporary: a table cannot tell.
        """
        for stage, tables in enumerate(self._stages):
            for table in tables:
                if table.find_many is None:
                    continue
                questions = dict.fromkeys(
                    tuple(key.text for key in self.keys(address, table))
                    for address, begin in places
                    if begin <= stage
                )
                questions.pop((), None)
                if not questions:
                    continue
                with named(table):
                    answers = table.find_many(list(questions))
                for question, found in zip(questions, answers, strict=True):
                    self._ahead[table.name, question] = found

    def keys(self, address: Address, table: Table) -> list[Key]:
        """The keys for an address in a table, the most exact first."""
        return keys(table.style, address, self.is_local(address, table), self._delimiters)

    def _find(self, table: Table, wanted: Sequence[Key], most: int | None) -> Found:
        texts = tuple(key.text for key in wanted)
        if not texts[:most]:
            return Found()
        found = self._ahead.get((table.name, texts))
        if found is None:
            with named(table):
                found = table.find(texts[:most])
        if found.uncertainty:
            self.uncertainties.append(f"aliases.{table.name}: {found.uncertainty}")
        return found


@contextmanager
def named(table: Table) -> Iterator[None]:
    """Name the table in an error."""
    try:
        yield
    except Temporary as error:
        raise Temporary(f"aliases.{table.name}: {error}") from error
