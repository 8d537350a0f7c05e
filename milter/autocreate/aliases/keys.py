"""The lookups of an MTA in a table of aliases for one address, in their order."""

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from autocreate.aliases.syntax import quoted
from autocreate.core.address import needs_quotes, without_detail
from autocreate.model import Address

_PLACEHOLDER = re.compile("%([%0-9])")
_NEVER_SPLIT = ("postmaster", "mailer-daemon", "double-bounce")


class Style(Enum):
    """How a table is asked. The order is that of the MTAs: addresses first, then local parts."""

    CANONICAL = "canonical"  # canonical(5), applied once
    VIRTUAL = "virtual"  # virtual(5)
    VIRTUSERTABLE = "virtusertable"  # Sendmail's FEATURE(`virtusertable')
    ALIASES = "aliases"  # aliases(5), by Postfix's local(8)
    SENDMAIL = "sendmail"  # aliases(5), by Sendmail
    SENDMAIL_5 = "sendmail-5"  # the same with flag 5 of the mailer: ruleset 5 removes the detail

    @property
    def has_local_parts(self) -> bool:
        """Are local parts looked up, and not whole addresses?"""
        return self in (Style.ALIASES, Style.SENDMAIL, Style.SENDMAIL_5)


class Key(NamedTuple):
    """One lookup.

    Args:
        text: the key, in the syntax of an address.
        rest: the detail that is not part of the key, with its delimiter.
        arguments: the values of %0, %1, %2 and %3 in a value of a virtusertable, in the syntax of an address:
            the sender chose them, and a comma in one of them must not begin another address.
    """

    text: str
    rest: str = ""
    arguments: tuple[str, ...] = ()


def keys(style: Style, address: Address, is_local: bool, delimiters: str) -> list[Key]:
    """The lookups for an address, the most exact first.

    Args:
        is_local: the local part alone is looked up too (for aliases(5), nothing else is).
        delimiters: each character begins a detail. In Sendmail only `+` does.
    """
    match style:
        case Style.CANONICAL | Style.VIRTUAL:
            return list(_virtual(address, *_split(address.local, delimiters), is_local))
        case Style.VIRTUSERTABLE:
            return list(_virtusertable(address)) if address.domain else []
    return list(_aliases(style, address.local, delimiters)) if is_local else []


def filled_in(text: str, key: Key) -> str:
    """A value of a virtusertable with %0 to %3 replaced. Other values have none.

    As in map_rewrite() of Sendmail's map.c: in one pass, so that a `%2` in an argument stays what it is. `%%` is
    a percent sign, and an argument that is missing is nothing.
    """
    if not key.arguments or text.lower().startswith("error:"):
        return text

    def value(placeholder: re.Match[str]) -> str:
        which = placeholder[1]
        return which if which == "%" else "".join(key.arguments[int(which) :][:1])

    return _PLACEHOLDER.sub(value, text)


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
    """The lookups in $(virtuser ...) of Sendmail's proto.m4. A detail begins at a `+`, but not in a local part
    that needs quotes: there the quoted string is one token.
    """
    local, domain = address.local, address.mta_domain
    base, plus, detail = (local, "", "") if needs_quotes(local) else local.partition("+")
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
    return Key(key, arguments=(key, *(quoted(it) if it else "" for it in arguments)))


def _aliases(style: Style, local: str, delimiters: str) -> Iterator[Key]:
    """local(8), or alias.c and ruleset 5 of Sendmail. Names in the tables are in lower case."""
    yield Key(quoted(local.lower()))
    if style is Style.SENDMAIL:
        return
    base, detail = _split(local.lower(), "+" if style is Style.SENDMAIL_5 else delimiters)
    if detail and style is Style.SENDMAIL_5:
        yield Key(quoted(f"{base}+*"), detail)
    if detail:
        yield Key(quoted(base), detail)


def _split(local: str, delimiters: str) -> tuple[str, str]:
    """The user's part, and the detail with its delimiter, as split_addr() of Postfix splits them.

    `+x` has no detail, nor has the name of a list's owner (`owner-staff`, `staff-request`) if `-` is a
    delimiter.
    """
    base = without_detail(local, delimiters)
    detail = local[len(base) :]
    lowered = local.lower()
    is_owner = lowered.startswith("owner-") or lowered.removesuffix("-request") not in ("", lowered)
    if not base or (is_owner and "-" in delimiters) or lowered in _NEVER_SPLIT:
        return local, ""
    return base, detail
