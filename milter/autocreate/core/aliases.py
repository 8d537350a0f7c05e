"""Who an address stands for: aliases followed to their ends.

Follows virtual(5), aliases(5) and local(8) of Postfix, and the virtusertable and aliases of Sendmail
(proto.m4, alias.c), in what they look up, in which order, and where a chain ends. The tables are
handed in as functions; nothing here knows where they are kept.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from autocreate.core.address import parse
from autocreate.core.aliaskeys import Key, Style, filled_in, keys
from autocreate.core.aliastext import few, items, quoted, unquoted
from autocreate.errors import Malformed, Temporary
from autocreate.model import Address, Resolution

MAX_DEPTH = 100  # where local(8) gives up
MAX_SIZE = 10_000  # addresses and files on the way

_INCLUDE = ":include:"
_NO_ADDRESS = ("|", "/", "error:", _INCLUDE)
_STAGES = tuple(Style)
_BEYOND = len(_STAGES)  # past every table


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
    """

    name: str
    style: Style
    find: Callable[[Sequence[str]], Found]
    include: Callable[[str], str] | None = None
    find_many: Callable[[Sequence[Sequence[str]]], Sequence[Found]] | None = None
    domains: frozenset[str] | None = None
    origin: str = ""


def resolve(
    address: Address,
    tables: Sequence[Table],
    domains: frozenset[str],
    delimiters: str,
    is_mapped: bool = False,
    is_hosted: Callable[[str], bool] = lambda _: False,
) -> Resolution:
    """Where mail for `address`, one of ours, goes.

    Args:
        is_mapped: the MTA has made a local name of it already, and only that is still looked up.
        tables: asked in this order within each style.
        domains: ours. What has no entry and is in none of them is elsewhere, unless `is_hosted`.
        delimiters: each character of it begins a detail.
        is_hosted: tells of any other domain whether it is ours; raises `Temporary` if it cannot.

    Raises:
        Temporary: a table cannot tell, the aliases go round in a circle, or find no end.
    """
    walk = _Walk(address, tables, domains, delimiters, is_mapped, is_hosted)
    walk.visit(_Place(address, _STAGES.index(Style.ALIASES) if is_mapped else 0), ())
    return Resolution(
        tuple(dict.fromkeys(walk.users)),
        tuple(dict.fromkeys(walk.others)),
        tuple(walk.steps),
        tuple(dict.fromkeys(walk.doubts)),
    )


class _Place(NamedTuple):
    """An address, and the stage at which its look-up begins."""

    address: Address
    stage: int = 0

    def __str__(self) -> str:
        return str(self.address)


class _Hit(NamedTuple):
    """The entry that an address has."""

    address: Address
    stage: int
    table: Table
    key: Key
    text: str

    def is_met_by(self, target: Address, is_local: bool) -> bool:
        """Does an alias that names `target` name itself? Such an alias is the user, too."""
        if self.table.style is Style.ALIASES:
            return is_local and target.local.casefold() in (
                self.address.local.casefold(),
                unquoted(self.key.text).casefold(),
            )
        return _spelled(target) == _spelled(self.address)


_Path = tuple[_Place | str, ...]


class _Walk:
    """One address, followed."""

    def __init__(
        self,
        start: Address,
        tables: Sequence[Table],
        domains: frozenset[str],
        delimiters: str,
        is_mapped: bool,
        is_hosted: Callable[[str], bool],
    ) -> None:
        self._stages = [[table for table in tables if table.style is style] for style in _STAGES]
        self._named = domains.union({start.domain, ""}, *(table.domains or () for table in tables))
        self._is_hosted = is_hosted
        self._delimiters = delimiters
        self._local_name = start if is_mapped else None
        self._entered: dict[_Place, _Place] = {}
        self._ends: set[tuple[str, int]] = set()
        self._files: set[str] = set()
        self._ahead: dict[tuple[str, tuple[str, ...]], Found] = {}
        self.users: list[Address] = []
        self.others: list[str] = []
        self.steps: list[str] = []
        self.doubts: list[str] = []

    def visit(self, place: _Place, path: _Path) -> None:
        """Follow an address that `path` has led to."""
        while (point := self._entered.get(place)) and self._is_end(*point):
            place = point._replace(stage=point.stage + 1)
        if point:
            self._check(point, path)
            return
        hit = self._first_hit(place)
        # Two addresses that meet at one stage are one place from there on.
        stage = hit.stage if hit else _BEYOND
        point = self._entered[place] = _Place(place.address, stage)
        self._check(point, path)
        if hit:
            targets = items(filled_in(hit.text, hit.key))
            self._step(place, targets, f" (aliases.{hit.table.name})")
            self._follow(targets, hit, (*path, point))
        elif self._is_ours(place.address.domain):
            self.users.append(place.address)
        else:
            self.others.append(str(place))

    def _check(self, point: _Place | str, path: _Path) -> None:
        """See to it that a chain has an end."""
        if point in path:
            circle = path[path.index(point) :]
            if any(isinstance(it, _Place) and self._is_end(*it) for it in circle):
                return  # it has a way out, at the one that names itself
            told = " -> ".join(map(str, (*circle, point)))
            raise Temporary(f"aliases go round in a circle: {told}")
        if len(path) > MAX_DEPTH:
            raise Temporary(f"aliases of {path[0]} are more than {MAX_DEPTH} deep")
        if len(self._entered) > MAX_SIZE:
            raise Temporary(f"aliases of {path[0]} lead to more than {MAX_SIZE} addresses")

    def _follow(self, targets: Sequence[str], hit: _Hit, path: _Path) -> None:
        """Follow the items of a right-hand side."""
        # Only when all are known is it known which aliases name themselves.
        places = list(self._places(targets, hit, path))
        if len(places) > 1:
            self._ask_ahead([place for place, _ in places])
        for place, way in places:
            self.visit(place, way)

    def _places(
        self, targets: Sequence[str], hit: _Hit, path: _Path
    ) -> Iterator[tuple[_Place, _Path]]:
        """The addresses among some items, those in files that they include too."""
        for item in targets:
            plain = unquoted(item)
            if plain.lower().startswith(_INCLUDE) and (include := hit.table.include):
                file = _INCLUDE + plain[len(_INCLUDE) :].strip()
                inner = self._included(file, include, hit, path)
                yield from self._places(inner, hit, (*path, file))
            elif plain.lower().startswith(_NO_ADDRESS) or not (place := self._place(item, hit)):
                self.others.append(plain)
            else:
                yield place, path

    def _included(
        self, file: str, include: Callable[[str], str], hit: _Hit, path: _Path
    ) -> Sequence[str]:
        """The items of an included file; none if it has been read before."""
        self._check(file, path)
        if file in self._files:
            return []
        self._files.add(file)
        with _named(hit.table):
            targets = items(include(file.removeprefix(_INCLUDE)))
        self._step(file, targets)
        return targets

    def _ask_ahead(self, places: Sequence[_Place]) -> None:
        """Look up several addresses at once, in the tables that can do so."""
        for stage, tables in enumerate(self._stages):
            for table in tables:
                if table.find_many is None:
                    continue
                questions = dict.fromkeys(
                    tuple(key.text for key in self._keys(place.address, table))
                    for place in places
                    if place.stage <= stage
                )
                questions.pop((), None)
                if not questions:
                    continue
                with _named(table):
                    answers = table.find_many(list(questions))
                for question, found in zip(questions, answers, strict=True):
                    self._ahead[table.name, question] = found

    def _place(self, item: str, hit: _Hit) -> _Place | None:
        """The address that an item is, and where its look-up begins. None if it is no address."""
        style = hit.table.style
        is_postfix = style in (Style.CANONICAL, Style.VIRTUAL)
        is_escaped = item.startswith("\\") and style is Style.ALIASES
        try:
            if item.startswith("@") and is_postfix:  # the same user elsewhere
                address = parse(quoted(hit.address.local) + item)
            else:
                address = parse(item[is_escaped:])
                if is_postfix:
                    domain = address.domain or hit.table.origin
                    address = replace(address, local=address.local + hit.key.rest, domain=domain)
        except Malformed:
            return None
        if is_escaped:
            return _Place(address, _BEYOND)
        return self._or_end(_Place(address, self._next_stage(address, hit)), hit)

    def _next_stage(self, address: Address, hit: _Hit) -> int:
        """Where the look-up of an address begins that an entry has led to."""
        match hit.table.style:
            case Style.CANONICAL:
                return hit.stage + 1
            case Style.ALIASES if not address.domain:
                return hit.stage
            case Style.ALIASES if self._is_local(address, hit.table):
                # It stays with local(8). Sendmail maps every full address once more.
                return 0 if self._stages[_STAGES.index(Style.VIRTUSERTABLE)] else hit.stage
            case Style.ALIASES:
                return 0
        return hit.stage

    def _or_end(self, place: _Place, hit: _Hit) -> _Place:
        """The same place; noted as an end at this stage if it is where the alias itself stands."""
        if hit.is_met_by(place.address, self._is_local(place.address, hit.table)):
            self._ends.add((_identity(place.address, hit.stage), hit.stage))
        return place

    def _first_hit(self, place: _Place) -> _Hit | None:
        for stage in range(place.stage, _BEYOND):
            if hit := self._look_up(place.address, stage):
                return hit
        return None

    def _look_up(self, address: Address, stage: int) -> _Hit | None:
        """The most exact entry in the tables of a stage; of equally exact ones the first."""
        if self._is_end(address, stage):
            return None
        best: _Hit | None = None
        most = None
        for table in self._stages[stage]:
            wanted = self._keys(address, table)
            # Only what is more exact than the entry found so far counts.
            found = self._find(table, wanted, most)
            if 0 <= found.position < (len(wanted) if most is None else most):
                most = found.position
                best = _Hit(address, stage, table, wanted[most], found.text)
        return best

    def _keys(self, address: Address, table: Table) -> list[Key]:
        return keys(table.style, address, self._is_local(address, table), self._delimiters)

    def _find(self, table: Table, wanted: Sequence[Key], most: int | None) -> Found:
        texts = tuple(key.text for key in wanted)
        if not texts[:most]:
            return Found()
        found = self._ahead.get((table.name, texts))
        if found is None:
            with _named(table):
                found = table.find(texts[:most])
        if found.doubt:
            self.doubts.append(f"aliases.{table.name}: {found.doubt}")
        return found

    def _is_end(self, address: Address, stage: int) -> bool:
        """Has this address named itself at this stage?"""
        return (_identity(address, stage), stage) in self._ends

    def _is_local(self, address: Address, table: Table) -> bool:
        """Are bare local parts looked up for this address in this table?"""
        if not address.domain or address == self._local_name:
            return True
        if table.domains is None:
            return self._is_ours(address.domain)
        return address.domain in table.domains

    def _is_ours(self, domain: str) -> bool:
        return domain in self._named or self._is_hosted(domain)

    def _step(self, place: _Place | str, targets: Sequence[str], where: str = "") -> None:
        self.steps.append(f"{place} -> {few(targets) or 'nobody'}{where}")


@contextmanager
def _named(table: Table) -> Iterator[None]:
    """Say which table cannot tell."""
    try:
        yield
    except Temporary as error:
        raise Temporary(f"aliases.{table.name}: {error}") from error


def _identity(address: Address, stage: int) -> str:
    """What an address is to the tables of a stage."""
    is_aliases = stage < _BEYOND and _STAGES[stage] is Style.ALIASES
    return address.local.casefold() if is_aliases else _spelled(address)


def _spelled(address: Address) -> str:
    """An address as a table of whole addresses has it."""
    return f"{address.local}@{address.mta_domain}".casefold()
