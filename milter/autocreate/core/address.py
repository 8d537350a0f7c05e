"""From the argument of RCPT TO to an `Address`.

Follows RFC 5321 (sections 4.1.2 and 4.1.3), RFC 6531 for addresses beyond ASCII and RFC 5891 for
their domains. What an MTA has accepted is read generously; what could mean two things, or could
never be a user's name (control characters, bytes that are no UTF-8), is `Malformed`.
"""

import re
import unicodedata
from functools import lru_cache

import idna

from autocreate.errors import Malformed
from autocreate.model import Address

# Twice what a path may have (RFC 5321, 4.5.3.1.3): beyond it no database is asked.
MAX_LENGTH = 512

# An address or a part of it in which nothing is quoted, as nearly all are.
_PLAIN = re.compile(r'[^"\\]*').fullmatch
_PLAIN_LOCAL = re.compile(r'[^"\\@ <>(),;:\[\]]+').fullmatch

# Every printable ASCII character that is neither a dot nor atext (RFC 5322, section 3.2.3).
_QUOTED = frozenset(' "(),:;<>@[\\]')

_NEVER_IN_DOMAIN = frozenset(' "<>()\\,;:')

POSTMASTER = "postmaster"


# Most mail is for few recipients; this is a tenth of what one costs whose mailbox is known.
@lru_cache(4096)
def parse(argument: str) -> Address:
    """Read an address: `<joe@example.org>`, `joe@example.org`, `<@relay:joe@example.org>`, `joe`.

    Quotes and backslashes are resolved, a source route is dropped (RFC 5321, appendix C), the
    local part is brought to NFC and the domain to lower-case A-labels, by `normal_domain`.

    Raises:
        Malformed: it is no address; the text says why.
    """
    if len(argument) > MAX_LENGTH:
        raise Malformed(f"longer than {MAX_LENGTH} characters")
    if not argument.isprintable() and any(map(_is_forbidden, argument)):
        raise Malformed("control characters or bytes that are not UTF-8")
    path = _without_source_route(_without_brackets(argument.strip()))
    local, at, domain = _split(path)
    if not local:
        raise Malformed("no local part")
    normal = normal_domain(domain)
    if at and not normal:
        raise Malformed("no domain after the @")
    written = "" if domain.isascii() else domain.lower()
    return Address(_normal_local(_unquoted(local)), normal, written)


def domain_of(argument: str) -> str:
    """The domain of anything that resembles an address, however broken; empty if there is none.

    It decides whether a recipient is ours, before the address must be well-formed.
    """
    _, at, domain = argument.strip().rpartition("@")
    if not at:
        return ""
    domain = domain.rstrip(" >")
    try:
        return normal_domain(domain)
    except Malformed:
        return domain


@lru_cache(1024)
def normal_domain(domain: str) -> str:
    """A domain in lower-case A-labels without a final dot; address literals stay as they are.

    It is case folded first, as Postfix compares domains (casefold() of its util library): mail for
    `straße.example` is delivered as that for `strasse.example`, although to the DNS these are two.

    Raises:
        Malformed: it is not a domain under IDNA 2008 with the mapping of UTS 46.
    """
    return a_labels(domain.casefold())


def a_labels(domain: str) -> str:
    """As `normal_domain`, but as the DNS tells domains apart: `ß` is not `ss`."""
    lowered = domain.lower()
    if lowered.startswith("[") and lowered.endswith("]"):
        return lowered
    if lowered.isascii():
        if not _NEVER_IN_DOMAIN.isdisjoint(lowered):
            raise Malformed(f"not a domain: {domain!r}")
        return lowered.removesuffix(".")
    try:
        # The final dot may be one that is mapped to a dot, as in Chinese.
        return idna.encode(lowered, uts46=True).decode("ascii").lower().removesuffix(".")
    except (idna.IDNAError, UnicodeError) as error:
        raise Malformed(f"not a domain: {domain!r}") from error


def without_detail(local: str, delimiters: str) -> str:
    """The user's part of `user+detail`. Empty for `+folder`, which names no user.

    Args:
        local: an unquoted local part.
        delimiters: each character of it begins a detail, as in Postfix's recipient_delimiter.
    """
    for delimiter in delimiters:
        local = local.partition(delimiter)[0]
    return local


def is_postmaster(address: Address) -> bool:
    """Is this the one name that every domain must answer to (RFC 5321, section 4.5.1)?"""
    return address.local.lower() == POSTMASTER


def needs_quotes(local: str) -> bool:
    """Can a local part be written only with quotes, being no dot-atom (RFC 5321, section 4.1.2)?"""
    return (
        local.startswith(".")
        or local.endswith(".")
        or ".." in local
        or not _QUOTED.isdisjoint(local)
    )


def is_taken_by_cyrus(local: str, quotes_dots: bool) -> bool:
    """Does Cyrus's lmtpd find the user of a local part when the MTA delivers to it?

    It takes quotes for a part of the name (550). Without quotes it takes dots wherever they are, and
    calls blanks and the other marks that need quotes a syntax error (501). Measured on Cyrus 3.6.

    Args:
        local: an unquoted local part.
        quotes_dots: the MTA delivers `a..b`, `dot.` and `.dot` in quotes.
    """
    return _QUOTED.isdisjoint(local) and not (quotes_dots and needs_quotes(local))


def _is_forbidden(character: str) -> bool:
    # Cc are controls, CR, LF and NUL among them; Cs are the surrogates that Python uses for broken UTF-8.
    return unicodedata.category(character) in ("Cc", "Cs") or character in "\u2028\u2029"


def _normal_local(local: str) -> str:
    """A local part in NFC, unless that would make another user's name of it.

    NFC turns a few characters into ASCII (the Kelvin sign into K), which Cyrus does not.
    """
    normal = unicodedata.normalize("NFC", local)
    if normal.isascii() != local.isascii():
        raise Malformed(f"the local part {local!r} could be taken for another user's")
    return normal


def _without_brackets(text: str) -> str:
    if text.startswith("<") and text.endswith(">"):
        return text[1:-1]
    return text


def _without_source_route(path: str) -> str:
    if not path.startswith("@"):
        return path
    _, colon, mailbox = path.partition(":")
    if not colon:
        raise Malformed("a source route without a mailbox")
    return mailbox


def _split(mailbox: str) -> tuple[str, str, str]:
    """Split a mailbox at its only unquoted @, if it has one."""
    if _PLAIN(mailbox) and mailbox.count("@") <= 1:
        return mailbox.partition("@")
    at = None
    for position, character, is_quoted in _scan(mailbox):
        if character == "@" and not is_quoted:
            if at is not None:
                raise Malformed("more than one @")
            at = position
    if at is None:
        return mailbox, "", ""
    return mailbox[:at], "@", mailbox[at + 1 :]


def _unquoted(local: str) -> str:
    """A local part without its quotes and backslashes."""
    if _PLAIN_LOCAL(local):
        return local
    kept = []
    for _, character, is_quoted in _scan(local):
        if not is_quoted and character in " <>(),;:[]":
            raise Malformed(f"{character!r} outside quotes")
        kept.append(character)
    if not kept:
        raise Malformed("no local part")
    return "".join(kept)


def _scan(text: str) -> list[tuple[int, str, bool]]:
    """Each character that counts, its position, and whether it is quoted."""
    found: list[tuple[int, str, bool]] = []
    in_quotes = is_escaped = False
    for position, character in enumerate(text):
        if is_escaped:
            found.append((position, character, True))
            is_escaped = False
        elif character == "\\":
            is_escaped = True
        elif character == '"':
            in_quotes = not in_quotes
        else:
            found.append((position, character, in_quotes))
    if in_quotes or is_escaped:
        raise Malformed("a quote or backslash that nothing follows")
    return found
