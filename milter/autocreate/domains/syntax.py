"""The keys that are looked up in a table of domains, and its text format. As in Postfix's domain_list.c."""

import re
from collections.abc import Iterator

import idna

from autocreate.aliases.texts import AliasText
from autocreate.core.address import normal_domain
from autocreate.errors import Malformed, MalformedValue

# Among the domains that are ours: every one.
ANY_DOMAIN = "*"

# The names that are looked up: no address literals, and only valid names.
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*").fullmatch

_LONGEST = 253  # RFC 1035, section 2.3.4, in text form


def domain_keys(domain: str) -> tuple[str, ...]:
    """The lookups for a domain, of which the first result counts; none if it is not a valid name.

    The domain itself comes first, in A-labels and in U-labels, then `.example.org` for each parent domain,
    which stands for all its subdomains (match_hostname() in Postfix's match_ops.c).

    Args:
        domain: in lower-case A-labels.
    """
    if not _NAME(domain) or len(domain) > _LONGEST:
        return ()
    parents = [domain[at:] for at, character in enumerate(domain) if character == "."]
    return tuple(dict.fromkeys([domain, _in_unicode(domain), *parents]))


def domain_parts(key: str) -> dict[str, str]:
    """A key for a database's query."""
    return {"domain": key}


def parse_domains(pieces: Iterator[str]) -> AliasText:
    """Read one domain per line; the rest of the line is ignored.

    This is the format of Postfix's tables of domains (`example.org OK`) and files with lists, and of the file
    of Sendmail's class w.
    """
    entries: dict[str, str] = {}
    problems = []
    last = ""
    text = "".join(pieces)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word = line.split()[0]
        try:
            last = _normal(word)
            entries[last] = word
        except MalformedValue:
            problems.append(f"line {number} does not begin with a domain")
            last = ""
    is_whole = text.endswith("\n")  # here, no line continues the one before it
    return AliasText(entries, tuple(problems), "" if is_whole else last)


def _normal(word: str) -> str:
    """A domain of a table, or `.domain` for its subdomains, in A-labels.

    Raises:
        MalformedValue: it is not a domain.
    """
    name = word.removeprefix(".")
    try:
        normal = normal_domain(name)
    except Malformed as error:
        raise MalformedValue(f"not a domain: {word!r}") from error
    if not _NAME(normal):
        raise MalformedValue(f"not a domain: {word!r}")
    return "." + normal if name != word else normal


def _in_unicode(domain: str) -> str:
    if "xn--" not in domain:
        return domain
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain
