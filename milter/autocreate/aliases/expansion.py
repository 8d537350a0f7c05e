"""Resolves an address through aliases to users.

The keys, their order, and the end of a chain are as in virtual(5), aliases(5) and local(8) of Postfix, and in
the virtusertable and aliases of Sendmail (proto.m4, alias.c).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from autocreate.aliases.keys import Style, filled_in
from autocreate.aliases.stages import STAGES, Hit, Included, Table, Tables, named
from autocreate.aliases.syntax import Member, abbreviate, items, quoted, unquoted
from autocreate.core.address import parse
from autocreate.errors import Malformed, Temporary
from autocreate.model import Address, Resolution

MAX_DEPTH = 100  # as in local(8)
MAX_SIZE = 10_000  # addresses and files of one resolution

_INCLUDE = ":include:"
_NO_ADDRESS = ("|", "/", "error:", _INCLUDE)
_BEYOND = len(STAGES)  # past every table
_ALIASES = STAGES.index(Style.ALIASES)


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
        is_mapped: the MTA has already mapped it to a local name, and only that is looked up.
        tables: asked in this order within each style.
        domains: ours. An address without an entry in another domain is elsewhere, unless `is_hosted`.
        delimiters: each character begins a detail.
        is_hosted: whether another domain is ours; raises `Temporary` if it cannot tell.

    Raises:
        Temporary: a table cannot tell, the aliases form a loop, or there are too many.
    """
    asked = Tables(address, tables, domains, delimiters, is_mapped, is_hosted)
    walk = _Walk(asked)
    walk.visit(_Place(address, _ALIASES if is_mapped else 0), ())
    return Resolution(
        tuple(dict.fromkeys(walk.users)),
        tuple(dict.fromkeys(walk.others)),
        tuple(dict.fromkeys(walk.unknown)),
        tuple(walk.steps),
        tuple(dict.fromkeys(asked.uncertainties)),
    )


class _Place(NamedTuple):
    """An address, and the stage at which its lookup begins.

    Args:
        is_owned: it is a target of an alias with an owner (`owner-staff`) or of an :include:. If it has no
            alias itself, local(8) passes it to cleanup(8), which looks it up from the first stage on
            (deliver_switch() in local/recipient.c).
        alias: the key of the alias that names it, if the same tables are asked again except for that key
            (deliver_alias() in local/alias.c; Sendmail's ruleset 5): the target `joe+x` of `joe` is a user.
    """

    address: Address
    stage: int = 0
    is_owned: bool = False
    alias: str = ""

    def __str__(self) -> str:
        return str(self.address)


_Path = tuple[_Place | str, ...]


class _Walk:
    """The resolution of one address."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._entered: dict[_Place, _Place] = {}
        self._ends: set[tuple[str, int]] = set()
        self._files: set[str] = set()
        self.users: list[Address] = []
        self.others: list[str] = []
        self.unknown: list[str] = []
        self.steps: list[str] = []

    def visit(self, place: _Place, path: _Path) -> None:
        """Resolve an address at the end of `path`."""
        while (point := self._entered.get(place)) and self._is_end(point.address, point.stage):
            place = point._replace(stage=point.stage + 1, alias="")
        if point:
            self._check(point, path)
            return
        hit = self._first_hit(place)
        if hit is None and place.is_owned:
            self.visit(_Place(place.address), path)
            return
        # From this stage on, this is the same place as any other with the same address and stage.
        stage = hit.stage if hit else _BEYOND
        alias = place.alias if stage == place.stage else ""
        point = self._entered[place] = _Place(place.address, stage, alias=alias)
        self._check(point, path)
        if hit:
            targets = [Member(item) for item in items(filled_in(hit.text, hit.key))]
            self._step(place, map(_shown, targets), f" (aliases.{hit.table.name})")
            self._follow(targets, hit, self._is_owned(place, hit), (*path, point))
        else:
            self._end(place.address)

    def _end(self, address: Address) -> None:
        """Record an address that has no alias."""
        if address.domain in self._tables.alias_domains:
            self.unknown.append(str(address))
        elif self._tables.is_ours(address.domain):
            self.users.append(address)
        else:
            self.others.append(str(address))

    def _check(self, point: _Place | str, path: _Path) -> None:
        """Check that a chain ends."""
        if point in path:
            loop = path[path.index(point) :]
            if any(isinstance(it, _Place) and self._is_end(it.address, it.stage) for it in loop):
                return  # it ends at the alias that names itself
            chain = " -> ".join(map(str, (*loop, point)))
            raise Temporary(f"aliases form a loop: {chain}")
        if len(path) > MAX_DEPTH:
            raise Temporary(f"aliases of {path[0]} are nested more than {MAX_DEPTH} levels deep")
        if len(self._entered) > MAX_SIZE:
            raise Temporary(f"aliases of {path[0]} lead to more than {MAX_SIZE} addresses")

    def _follow(self, targets: Sequence[Member], hit: Hit, is_owned: bool, path: _Path) -> None:
        """Follow the items of a right-hand side."""
        # All items are needed first, to see which aliases name themselves.
        places = list(self._places(_Items(targets, hit.owner), hit, is_owned, path))
        if len(places) > 1:
            self._tables.ask_ahead([(place.address, place.stage) for place, _ in places])
        for place, way in places:
            self.visit(place, way)

    def _places(
        self, items_: "_Items", hit: Hit, is_owned: bool, path: _Path
    ) -> Iterator[tuple[_Place, _Path]]:
        """The addresses among these items, and in the files that they include."""
        for item in items_.members:
            plain = unquoted(item.text)
            if plain.lower().startswith(_INCLUDE) and (include := hit.table.include):
                file = _INCLUDE + plain[len(_INCLUDE) :].strip()
                inner = self._included(file, include, items_.named_by, hit, path)
                yield from self._places(inner, hit, self._has_rewriting(hit), (*path, file))
            elif plain.lower().startswith(_NO_ADDRESS) or not (
                place := self._place(item.text, hit)
            ):
                where = items_.file or f"the entry {hit.key.text} of aliases.{hit.table.name}"
                shown = _shown(item)
                self.others.append(unquoted(shown) if shown == item.text else f"{shown} in {where}")
            else:
                yield place._replace(is_owned=is_owned and place.stage == _ALIASES), path

    def _included(
        self,
        file: str,
        include: Callable[[str, int], Included],
        named_by: int,
        hit: Hit,
        path: _Path,
    ) -> "_Items":
        """The items of an included file; none if it has been read before."""
        self._check(file, path)
        if file in self._files:
            return _Items(())
        self._files.add(file)
        with named(hit.table):
            members, owner = include(file.removeprefix(_INCLUDE), named_by)
        self._step(file, map(_shown, members))
        # As in deliver_include() of local(8): the rights are those of the first who is not root.
        return _Items(members, named_by or owner, file)

    def _is_owned(self, place: _Place, hit: Hit) -> bool:
        """Is there an owner-alias for this alias, or for one that led to it (reset_owner_alias)?"""
        return self._has_rewriting(hit) and (
            place.is_owned or self._tables.has(f"owner-{hit.key.text}", _ALIASES)
        )

    def _has_rewriting(self, hit: Hit) -> bool:
        """Is this a table of local(8), with tables of earlier stages?"""
        return hit.stage == _ALIASES and self._tables.has_before(_ALIASES)

    def _place(self, item: str, hit: Hit) -> _Place | None:
        """The address of an item, and where its lookup begins; None if it is not an address."""
        style = hit.table.style
        is_whole = style in (Style.CANONICAL, Style.VIRTUAL)
        # Postfix's local(8) ignores a backslash.
        is_escaped = item.startswith("\\") and style in (Style.SENDMAIL, Style.SENDMAIL_5)
        try:
            if item.startswith("@") and is_whole:  # the same user elsewhere
                address = parse(quoted(hit.address.local) + item)
            else:
                address = parse(item[is_escaped:])
                rest = hit.key.rest if is_whole else ""
                domain = address.domain or hit.table.origin
                address = replace(address, local=address.local + rest, domain=domain)
        except Malformed:
            return None
        if is_escaped:
            return _Place(address, _BEYOND)
        is_local = self._tables.is_local(address, hit.table)
        stage = _next_stage(address, hit, is_local)
        is_same = stage == hit.stage and hit.table.style.has_local_parts
        if is_same and len(self._tables.keys(address, hit.table)) > 1:
            return _Place(address, stage, alias=hit.key.text)
        if _is_itself(address, hit, is_local):
            self._ends.add((_identity(address, hit.stage), hit.stage))
        return _Place(address, stage)

    def _first_hit(self, place: _Place) -> Hit | None:
        for stage in range(place.stage, _BEYOND):
            if self._is_end(place.address, stage):
                continue
            besides = place.alias if stage == place.stage else ""
            if hit := self._tables.look_up(place.address, stage, besides):
                return hit
        return None

    def _is_end(self, address: Address, stage: int) -> bool:
        """Has this address named itself at this stage?"""
        return (_identity(address, stage), stage) in self._ends

    def _step(self, place: _Place | str, targets: Iterable[str], where: str = "") -> None:
        self.steps.append(f"{place} -> {abbreviate(list(targets)) or 'nobody'}{where}")


class _Items(NamedTuple):
    """The items of a right-hand side or of an included file.

    Args:
        named_by: the id of the user who wrote them, with whose rights they name files; 0 for the administrator.
        file: the :include:; "" for an entry of a table.
    """

    members: Sequence[Member]
    named_by: int = 0
    file: str = ""


def _shown(item: Member) -> str:
    """An item for the log. What is not an address may be from any file, such as a secret, and is not quoted."""
    plain = unquoted(item.text)
    if plain.lower().startswith(_NO_ADDRESS):
        if not item.line or plain.lower().startswith(_INCLUDE):
            return item.text
        return f"line {item.line} (a command or a file)"
    try:
        parse(item.text.removeprefix("@").removeprefix("\\"))
    except Malformed:
        return f"line {item.line} (not an address)" if item.line else "a value that is no address"
    return item.text


def _next_stage(address: Address, hit: Hit, is_local: bool) -> int:
    """The stage at which the lookup of an entry's target begins."""
    match hit.table.style:
        case Style.CANONICAL:
            return hit.stage + 1
        case Style.VIRTUAL | Style.VIRTUSERTABLE:
            return hit.stage
        case Style.ALIASES:
            return hit.stage if is_local else 0  # local(8) keeps local addresses
    return 0 if address.domain else hit.stage  # Sendmail maps each full address again


def _is_itself(target: Address, hit: Hit, is_local: bool) -> bool:
    """Does an alias with this target name itself? Then it is also a user."""
    if hit.table.style.has_local_parts:
        names = (hit.address.local.casefold(), unquoted(hit.key.text).casefold())
        return is_local and target.local.casefold() in names
    return _spelled(target) == _spelled(hit.address)


def _identity(address: Address, stage: int) -> str:
    """An address as the tables of a stage see it."""
    has_local_parts = stage < _BEYOND and STAGES[stage].has_local_parts
    return address.local.casefold() if has_local_parts else _spelled(address)


def _spelled(address: Address) -> str:
    """An address as the key of a table of whole addresses."""
    return f"{address.local}@{address.mta_domain}".casefold()
