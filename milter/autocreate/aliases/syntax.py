"""The texts that aliases are written in: Postfix's tables, aliases(5), and their right-hand sides.

Read as the MTAs read them (postmap(1), postalias(1), newaliases of Sendmail): of two entries with one
key the first counts, keys are the same in upper and lower case, and a line that means nothing is left
out. What was left out is told, because a name that cannot be read is not a name that is absent.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autocreate.core.address import needs_quotes
from autocreate.errors import MalformedValue

# What is between these is not parted.
_CLOSING = {'"': '"', "(": ")", "<": ">"}


@dataclass(frozen=True, slots=True)
class AliasText:
    """What a text says.

    Args:
        entries: right-hand sides by key, `folded` or `lowered`.
        problems: the lines that mean nothing, each in words.
        last: the key of the entry that the text ends with. If more of it comes, it may be more of this.
    """

    entries: Mapping[str, str]
    problems: tuple[str, ...] = ()
    last: str = ""


def parse_table(text: str) -> AliasText:
    """Read `key whitespace value` lines: virtual(5), canonical(5)."""
    return _parsed(text, str.isspace, "has no value behind its key", folded)


def parse_virtusertable(text: str) -> AliasText:
    """Read the same lines as Sendmail does: makemap(8) knows no full case folding."""
    return _parsed(text, str.isspace, "has no value behind its key", lowered)


def parse_aliases(text: str) -> AliasText:
    """Read `name: value, value` lines: aliases(5) of Postfix and Sendmail."""
    return _parsed(text, ":".__eq__, "has no name, colon and value", folded)


def folded(key: str) -> str:
    """A key without quotes and backslashes, as Postfix folds it (`straße` is `strasse`).

    It makes no A-labels of a domain: `bücher.example` and `xn--bcher-kva.example` are two keys.
    """
    return _plain(key).casefold()


def lowered(key: str) -> str:
    """A key without quotes and backslashes, in lower case."""
    return _plain(key).lower()


def key_parts(key: str) -> dict[str, str]:
    """A folded key, what precedes its `@`, and what follows it, for a database's query."""
    local, at, domain = key.rpartition("@")
    return {"key": key, "local": local if at else key, "domain": domain if at else ""}


def items(text: str) -> list[str]:
    """The items of a right-hand side, without phrases.

    Commas and line breaks part them, outside quotes, parentheses and angle brackets; white space
    too, where it is not in a command, as Postfix has it.
    """
    found: list[str] = []
    for line in text.split("\n"):
        for item in _split(line, ",".__eq__):
            found += _words(item.strip())
    return found


def members(text: str) -> list[str]:
    """The items of an :include: file, without its comments."""
    lines = (line for line in text.split("\n") if not line.lstrip().startswith("#"))
    return items("\n".join(lines))


def one_value(text: str) -> list[str]:
    """The items of one value of a database, where each target usually has a value of its own.

    Raises:
        MalformedValue: it could be a name as well as several targets. An MTA would take it for these:
            `Doe` and `joe@example.org` in `Doe, Joe <joe@example.org>`, `joe` and `doe` in `joe doe`.
    """
    parts = [part.strip() for part in _split(text, ",".__eq__) if part.strip()]
    found = [word for part in parts for word in _words(part)]
    if len(found) > 1 and found != parts and not all("@" in word for word in found):
        raise MalformedValue(
            "could be one name or several targets; write each in a value of its own"
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
    """The first of some words, and how many there are besides. A list can have thousands."""
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
    """Lines with those that continue them, each with the number of its first."""
    number, gathered = 0, ""
    for current, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # these part no logical line, as in postmap(1)
        if line[0].isspace() and gathered:
            gathered += " " + line.strip()
            continue
        if gathered:
            yield number, gathered
        number, gathered = current, line.strip()
    if gathered:
        yield number, gathered


def _split(text: str, parts: Callable[[str], bool], most: int = -1) -> list[str]:
    """The text between the characters that part it and stand outside quotes and brackets."""
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
    """The addresses of one item, which are several without a comma; or the one command or file."""
    if item.lstrip('"').startswith(("|", "/")) or item.lower().startswith((":include:", "error:")):
        return [item]
    words = [word for word in _split(item, str.isspace) if word and not word.startswith("(")]
    if words and words[-1].startswith("<"):
        return words[-1:]  # Joe Doe <joe@example.org>
    return words
