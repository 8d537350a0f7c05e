"""What an MTA looks up in a table of aliases for one address, and in which order."""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from autocreate.core.address import without_detail
from autocreate.core.aliastext import quoted
from autocreate.model import Address


class Style(Enum):
    """How a table is asked. The order is that of the MTAs: addresses first, then local parts."""

    CANONICAL = "canonical"  # canonical(5), applied once
    VIRTUAL = "virtual"  # virtual(5)
    VIRTUSERTABLE = "virtusertable"  # Sendmail's FEATURE(`virtusertable')
    ALIASES = "aliases"  # aliases(5)


class Key(NamedTuple):
    """One look-up.

    Args:
        text: what is looked up, as an address is written.
        rest: the detail that took no part in it, with its delimiter.
        arguments: what %0, %1, %2 and %3 of a virtusertable's value stand for.
    """

    text: str
    rest: str = ""
    arguments: tuple[str, ...] = ()


def keys(style: Style, address: Address, is_local: bool, delimiters: str) -> list[Key]:
    """The look-ups for an address, the most exact first.

    Args:
        is_local: bare local parts are looked up too (for aliases(5), nothing else is).
        delimiters: each character of it begins a detail.
    """
    base = without_detail(address.local, delimiters)
    detail = address.local[len(base) :] if base else ""
    match style:
        case Style.CANONICAL | Style.VIRTUAL:
            return list(_virtual(address, base, detail, is_local))
        case Style.VIRTUSERTABLE:
            return list(_virtusertable(address)) if address.domain else []
        case Style.ALIASES:
            return list(_aliases(address.local, base, detail)) if is_local else []


def filled_in(text: str, key: Key) -> str:
    """A virtusertable's value with its %1, %2 and %3 replaced. Others have none."""
    if not key.arguments or text.lower().startswith("error:"):
        return text
    for number, argument in enumerate(key.arguments):
        text = text.replace(f"%{number}", argument)
    return text


def _virtual(address: Address, base: str, detail: str, is_local: bool) -> Iterator[Key]:
    """virtual(5) and canonical(5), "TABLE SEARCH ORDER" and "ADDRESS EXTENSION"."""
    exact, domain = quoted(address.local), address.mta_domain
    if domain:
        yield Key(f"{exact}@{domain}")
        if detail:
            yield Key(f"{quoted(base)}@{domain}", detail)
    if is_local:
        yield Key(exact)
        if detail:
            yield Key(quoted(base), detail)
    if domain:
        yield Key(f"@{domain}")


def _virtusertable(address: Address) -> Iterator[Key]:
    """The look-ups in $(virtuser ...) of Sendmail's proto.m4. Its detail begins at a `+`."""
    local, domain = address.local, address.mta_domain
    base, plus, detail = local.partition("+")
    yield _virtuser(local, domain, local)
    if base and plus:
        for user in (f"{base}++" if detail else "", f"{base}+*", base):
            if user:
                yield _virtuser(user, domain, base, detail, plus + detail)
        for user in ("++" if detail else "", "+*"):
            if user:
                yield _virtuser(user, domain, base, detail, plus + detail)
        yield _virtuser("", domain, base, detail, plus + detail)
    else:
        yield _virtuser("", domain, local)


def _virtuser(user: str, domain: str, *arguments: str) -> Key:
    key = f"{quoted(user) if user else ''}@{domain}"
    # An argument that was not given leaves nothing behind.
    return Key(key, arguments=(key, *arguments, *("",) * (3 - len(arguments))))


def _aliases(local: str, base: str, detail: str) -> Iterator[Key]:
    """local(8), and for `user+*` Sendmail's ruleset 5. Names are in lower case in the tables."""
    yield Key(quoted(local.lower()))
    if detail:
        yield Key(quoted(f"{base.lower()}{detail[0]}*"), detail)
        yield Key(quoted(base.lower()), detail)
