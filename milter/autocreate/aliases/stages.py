"""How tables of aliases are asked about one address: stage by stage, the most exact entry first.

The tables are handed in as functions; nothing here knows where they are kept.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from autocreate.aliases.keys import Key, Style, keys
from autocreate.errors import Temporary
from autocreate.model import Address

STAGES = tuple(Style)


class Found(NamedTuple):
    """A table's answer: the first of the keys that it has, and what stands behind it.

    Args:
        position: of the key among those asked for; -1 if it has none of them.
        text: the right-hand side.
        doubt: why a table might have one after all of those that come before it, or of all if it has
            none, in words.
    """

    position: int = -1
    text: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of aliases.

    Args:
        name: what the configuration calls it.
        find: the first of some keys that it has; raises `Temporary` if it cannot tell.
        include: the text of a file that an :include: names; raises `Temporary` likewise. None: an
            :include: is not followed.
        find_many: `find` for several addresses at once, where that is cheaper.
        domains: where bare local parts are looked up (mydestination, class w). None: in all of ours.
        origin: what Postfix appends to a bare address (myorigin). Empty: it names a local user.
        alias_domains: whose addresses do not exist without an alias (virtual_alias_domains).
    """

    name: str
    style: Style
    find: Callable[[Sequence[str]], Found]
    include: Callable[[str], str] | None = None
    find_many: Callable[[Sequence[Sequence[str]]], Sequence[Found]] | None = None
    domains: frozenset[str] | None = None
    origin: str = ""
    alias_domains: frozenset[str] = frozenset()


class Hit(NamedTuple):
    """The entry that an address has, and the stage at which it was found."""

    address: Address
    stage: int
    table: Table
    key: Key
    text: str


class Tables:
    """All tables, as they are asked while one address is followed.

    Args:
        start: the address. An address literal is one of this host's: the MTA has made it ours.
        domains: ours.
        delimiters: each character of it begins a detail.
        is_mapped: the MTA has made a local name of `start` already.
        is_hosted: tells of any other domain whether it is ours; raises `Temporary` if it cannot.
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
        self.doubts: list[str] = []

    def has_before(self, stage: int) -> bool:
        """Are there tables of an earlier stage?"""
        return any(self._stages[:stage])

    def is_ours(self, domain: str) -> bool:
        """Is it one of our domains?"""
        return domain in self._named or self._is_hosted(domain)

    def is_local(self, address: Address, table: Table) -> bool:
        """Are bare local parts looked up for this address in this table?"""
        domain = address.domain
        if not domain or address == self._local_name or domain == self._literal:
            return True
        if table.domains is None:
            return self.is_ours(domain)
        # mail_addr_find() of Postfix takes myorigin for local, local(8) only mydestination.
        is_origin = domain == table.origin and not table.style.has_local_parts
        return domain in table.domains or is_origin

    def look_up(self, address: Address, stage: int, besides: str = "") -> Hit | None:
        """The most exact entry in the tables of a stage; of equally exact ones the first.

        Args:
            besides: a key that is not asked for.

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
                best = Hit(address, stage, table, wanted[most], found.text)
        return best

    def has(self, name: str, stage: int) -> bool:
        """Has a table of a stage this very key?

        Raises:
            Temporary: a table cannot tell.
        """
        key = [Key(name)]
        return any(self._find(table, key, None).position == 0 for table in self._stages[stage])

    def ask_ahead(self, places: Sequence[tuple[Address, int]]) -> None:
        """Look up several addresses at once, in the tables that can do so.

        Args:
            places: addresses, each with the stage at which its look-up begins.

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
        """What is looked up for an address in a table, the most exact first."""
        return keys(table.style, address, self.is_local(address, table), self._delimiters)

    def _find(self, table: Table, wanted: Sequence[Key], most: int | None) -> Found:
        texts = tuple(key.text for key in wanted)
        if not texts[:most]:
            return Found()
        found = self._ahead.get((table.name, texts))
        if found is None:
            with named(table):
                found = table.find(texts[:most])
        if found.doubt:
            self.doubts.append(f"aliases.{table.name}: {found.doubt}")
        return found


@contextmanager
def named(table: Table) -> Iterator[None]:
    """Say which table cannot tell."""
    try:
        yield
    except Temporary as error:
        raise Temporary(f"aliases.{table.name}: {error}") from error
