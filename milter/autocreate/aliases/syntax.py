"""The keys and right-hand sides of aliases, read as by the MTAs (postmap(1), postalias(1), Sendmail's newaliases)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from autocreate.core.address import needs_quotes
from autocreate.core.unicode import normalized
from autocreate.errors import MalformedValue

# Text between these is not split.
_CLOSING = {'"': '"', "(": ")", "<": ">"}

# What may begin a token that is no separator: an escaped character, and a bracket that closes nothing.
_NO_SEPARATOR = frozenset("\\)>")


def _tokens(separator: str) -> re.Pattern[str]:
    """What splitting has to look at: separators, quotes, brackets, and escaped characters, which are text."""
    return re.compile(rf'\\.|["()<>]|{separator}', re.DOTALL)


_COMMA, COLON, SPACE = _tokens(","), _tokens(":"), _tokens(r"\s")
_QUOTING = re.compile(r'\\(.?)|"', re.DOTALL)


def folded(key: str) -> str:
    """A key without quotes and backslashes, case-folded as in Postfix (`straße` is `strasse`).

    A domain is not converted to A-labels: `bücher.example` and `xn--bcher-kva.example` are two keys.
    """
    return _plain(key).casefold()


def lowered(key: str) -> str:
    """A key without quotes and backslashes, in lower case."""
    return _plain(key).lower()


def key_parts(key: str) -> dict[str, str]:
    """A folded key, and the parts before and after its `@`, for the query of a database."""
    local, at, domain = key.rpartition("@")
    return {"key": key, "local": local if at else key, "domain": domain if at else ""}


def items(text: str) -> list[str]:
    """The items of a right-hand side, without phrases.

    Outside quotes, parentheses and angle brackets, they are separated by commas and line breaks, and by white
    space if it is not in a command, as in Postfix.
    """
    found: list[str] = []
    for line in text.split("\n"):
        for item in _split(line, _COMMA):
            found += _words(item.strip())
    return found


class Member(NamedTuple):
    """An item of a right-hand side.

    Args:
        line: the number of its line in an :include: file; 0 elsewhere.
    """

    text: str
    line: int = 0


def members(text: str) -> tuple[Member, ...]:
    """The items of an :include: file, without its comments."""
    return tuple(
        Member(item, number)
        for number, line in enumerate(text.split("\n"), 1)
        if not line.lstrip().startswith("#")
        for item in items(line)
    )


def one_value(text: str) -> list[str]:
    """The items of one value of a database, which usually has a value for each target.

    Raises:
        MalformedValue: it could be one name or several targets. An MTA would read it as several: `Doe` and
            `joe@example.org` in `Doe, Joe <joe@example.org>`, `joe` and `doe` in `joe doe`.
    """
    parts = [part.strip() for part in _split(text, _COMMA) if part.strip()]
    found = [word for part in parts for word in _words(part)]
    if len(found) > 1 and found != parts and not all("@" in word for word in found):
        raise MalformedValue(
            "could be one name or several targets; write each target in a value of its own"
        )
    return found


def unquoted(text: str) -> str:
    """A text without its quotes and backslashes."""
    return _QUOTING.sub(r"\1", text)


def quoted(local: str) -> str:
    """A local part as it is written in an address (RFC 5322, section 3.4.1)."""
    if not needs_quotes(local):
        return local
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def abbreviate(words: Sequence[str], between: str = ", ", most: int = 5) -> str:
    """The first of these words, and the number of the others. A list can have thousands."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def _plain(key: str) -> str:
    if key.isascii() and '"' not in key and "\\" not in key:
        return key
    return normalized("NFC", unquoted(key))


def _split(text: str, tokens: re.Pattern[str]) -> list[str]:
    """The text split at its separators."""
    pieces, begin = [], 0
    for end in separators(text, tokens):
        pieces.append(text[begin:end])
        begin = end + 1
    pieces.append(text[begin:])
    return pieces


def first_separator(text: str, tokens: re.Pattern[str]) -> int:
    """The first of `separators`; the length of the text if there is none."""
    token = tokens.search(text)
    if token and token[0] not in _CLOSING and token[0][0] not in _NO_SEPARATOR:
        return token.start()  # nearly always, and three times as fast
    return next(separators(text, tokens), len(text))


def separators(text: str, tokens: re.Pattern[str]) -> Iterator[int]:
    """Where separators are that are outside quotes and brackets.

    Args:
        tokens: COLON or another of these.
    """
    closing: list[str] = []
    for token in tokens.finditer(text):
        character = token[0]
        if closing and character == closing[-1]:
            closing.pop()
        elif character in _CLOSING:
            if closing[-1:] != ['"']:
                closing.append(_CLOSING[character])
        elif not closing and character[0] not in _NO_SEPARATOR:
            yield token.start()


def _words(item: str) -> list[str]:
    """The addresses of one item, of which there can be several; or its command or file."""
    if item.lstrip('"').startswith(("|", "/")) or item.lower().startswith((":include:", "error:")):
        return [item]
    words = [word for word in _split(item, SPACE) if word and not word.startswith("(")]
    if words and words[-1].startswith("<"):
        return words[-1:]  # Joe Doe <joe@example.org>
    return words
