"""The text formats of aliases: Postfix's tables, aliases(5), and their right-hand sides.

They are read as by the MTAs (postmap(1), postalias(1), newaliases of Sendmail): of two entries with the same
key the first counts, keys are case-insensitive, and a line with a syntax error is ignored. Ignored lines are
reported, because the name in such a line may exist.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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


_COMMA, _COLON, _SPACE = _tokens(","), _tokens(":"), _tokens(r"\s")
_QUOTING = re.compile(r'\\(.?)|"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class AliasText:
    """The content of a text.

    Args:
        entries: right-hand sides by key, `folded` or `lowered`.
        problems: one for each line with a syntax error.
        last: the key of the last entry. If the text is incomplete, this entry may be.
    """

    entries: Mapping[str, str]
    problems: tuple[str, ...] = ()
    last: str = ""


def parse_table(text: str) -> AliasText:
    """Read `key whitespace value` lines: virtual(5), canonical(5)."""
    return _parsed(text, _SPACE, "has no value after its key", folded)


def parse_virtusertable(text: str) -> AliasText:
    """Read the same lines as Sendmail does: makemap(8) has no full case folding."""
    return _parsed(text, _SPACE, "has no value after its key", lowered)


def parse_aliases(text: str) -> AliasText:
    """Read `name: value, value` lines: aliases(5) of Postfix and Sendmail."""
    return _parsed(text, _COLON, "has no name, colon and value", folded)


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
    return normalized("NFC", unquoted(key))


def _parsed(
    text: str, ends_key: re.Pattern[str], problem: str, fold: Callable[[str], str]
) -> AliasText:
    entries: dict[str, str] = {}
    problems = []
    last = ""
    for number, line in _logical_lines(text):
        end = next(_separators(line, ends_key), len(line))
        key, value = line[:end].strip(), line[end + 1 :].strip()
        if not key or not value:
            problems.append(f"line {number} {problem}")
            last = ""
        else:
            name = fold(key)
            last = "" if name in entries else name
            entries.setdefault(name, value)
    return AliasText(entries, tuple(problems), last)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines joined with their continuation lines, each with the number of the first."""
    number = 0
    gathered: list[str] = []
    for current, line in enumerate(text.split("\n"), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue  # these do not end a logical line, as in postmap(1)
        if line[0].isspace() and gathered:
            gathered.append(content)
            continue
        if gathered:
            yield number, " ".join(gathered)
        number, gathered = current, [content]
    if gathered:
        yield number, " ".join(gathered)


def _split(text: str, tokens: re.Pattern[str]) -> list[str]:
    """The text split at its separators."""
    pieces, begin = [], 0
    for end in _separators(text, tokens):
        pieces.append(text[begin:end])
        begin = end + 1
    pieces.append(text[begin:])
    return pieces


def _separators(text: str, tokens: re.Pattern[str]) -> Iterator[int]:
    """Where separators are that are outside quotes and brackets.

    Args:
        tokens: `_tokens` of the separator.
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
    words = [word for word in _split(item, _SPACE) if word and not word.startswith("(")]
    if words and words[-1].startswith("<"):
        return words[-1:]  # Joe Doe <joe@example.org>
    return words
