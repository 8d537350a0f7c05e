"""The text formats of aliases: Postfix's tables, aliases(5), and their right-hand sides.

They are read as by the MTAs (postmap(1), postalias(1), newaliases of Sendmail): of two entries with the same
key the first counts, keys are case-insensitive, and a line with a syntax error is ignored. Ignored lines are
reported, because the name in such a line may exist.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from autocreate.core.address import needs_quotes
from autocreate.errors import MalformedValue

# Text between these is not split.
_CLOSING = {'"': '"', "(": ")", "<": ">"}


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
    return _parsed(text, str.isspace, "has no value after its key", folded)


def parse_virtusertable(text: str) -> AliasText:
    """Read the same lines as Sendmail does: makemap(8) has no full case folding."""
    return _parsed(text, str.isspace, "has no value after its key", lowered)


def parse_aliases(text: str) -> AliasText:
    """Read `name: value, value` lines: aliases(5) of Postfix and Sendmail."""
    return _parsed(text, ":".__eq__, "has no name, colon and value", folded)


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
        for item in _split(line, ",".__eq__):
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
    parts = [part.strip() for part in _split(text, ",".__eq__) if part.strip()]
    found = [word for part in parts for word in _words(part)]
    if len(found) > 1 and found != parts and not all("@" in word for word in found):
        raise MalformedValue(
            "could be one name or several targets; write each target in a value of its own"
        )
    return found


def unquoted(text: str) -> str:
    """A text without its quotes and backslashes."""
    kept, is_escaped = "", False
    for character in text:
        if character in '"\\' and not is_escaped:
            is_escaped = character == "\\"
        else:
            kept += character
            is_escaped = False
    return kept


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
    return unicodedata.normalize("NFC", unquoted(key))


def _parsed(
    text: str, ends_key: Callable[[str], bool], problem: str, fold: Callable[[str], str]
) -> AliasText:
    entries: dict[str, str] = {}
    problems = []
    last = ""
    for number, line in _logical_lines(text):
        key, *value = _split(line, ends_key, most=1)
        if not key.strip() or not value or not value[0].strip():
            problems.append(f"line {number} {problem}")
            last = ""
        else:
            name = fold(key.strip())
            last = "" if name in entries else name
            entries.setdefault(name, value[0].strip())
    return AliasText(entries, tuple(problems), last)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines joined with their continuation lines, each with the number of the first."""
    number, gathered = 0, ""
    for current, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # these do not end a logical line, as in postmap(1)
        if line[0].isspace() and gathered:
            gathered += " " + line.strip()
            continue
        if gathered:
            yield number, gathered
        number, gathered = current, line.strip()
    if gathered:
        yield number, gathered


def _split(text: str, parts: Callable[[str], bool], most: int = -1) -> list[str]:
    """The text split at separators that are outside quotes and brackets."""
    pieces = [""]
    closing: list[str] = []
    is_escaped = False
    for character in text:
        if is_escaped or character == "\\":
            is_escaped = not is_escaped
        elif closing and character == closing[-1]:
            closing.pop()
        elif closing[-1:] != ['"'] and character in _CLOSING:
            closing.append(_CLOSING[character])
        elif not closing and parts(character) and most:
            pieces.append("")
            most -= 1
            continue
        pieces[-1] += character
    return pieces


def _words(item: str) -> list[str]:
    """The addresses of one item, of which there can be several; or its command or file."""
    if item.lstrip('"').startswith(("|", "/")) or item.lower().startswith((":include:", "error:")):
        return [item]
    words = [word for word in _split(item, str.isspace) if word and not word.startswith("(")]
    if words and words[-1].startswith("<"):
        return words[-1:]  # Joe Doe <joe@example.org>
    return words
