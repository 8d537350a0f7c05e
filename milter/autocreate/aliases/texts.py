"""The text formats of aliases: Postfix's tables and aliases(5).

They are read as by the MTAs (postmap(1), postalias(1), newaliases of Sendmail): of two entries with the same
key the first counts, keys are case-insensitive, and a line with a syntax error is ignored. Ignored lines are
reported, because the name in such a line may exist.

A text comes in pieces of whole lines, so that other threads go on while a large one is read.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from autocreate.aliases.syntax import COLON, SPACE, first_separator, folded, lowered
from autocreate.core.text_index import TextIndex, TextIndexBuilder

# Between a key and its right-hand side in an index. No line contains it: it ends one.
_SEPARATOR = "\r"
# Entries that are indexed at a time.
_AT_A_TIME = 4096
# Of a file that is something else, not every line is kept.
_MOST_PROBLEMS = 1000


class AliasEntries(Mapping[str, str]):
    """Right-hand sides by key.

    Args:
        index: of all entries, each after its key.
    """

    def __init__(self, index: TextIndex) -> None:
        self._index = index

    def __getitem__(self, key: str) -> str:
        return self._all(key)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(entry.partition(_SEPARATOR)[0] for entry in self._index))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def are_several(self, key: str) -> bool:
        """Are there several entries with this key? The first counts."""
        return len(self._all(key)) > 1

    def _all(self, key: str) -> list[str]:
        """Raises KeyError if there are none."""
        parts = (entry.partition(_SEPARATOR) for entry in self._index.find(key))
        if not (found := [value for name, _, value in parts if name == key]):
            raise KeyError(key)
        return found


@dataclass(frozen=True, slots=True)
class AliasText:
    """The content of a text.

    Args:
        entries: right-hand sides by key, `folded` or `lowered`.
        problems: one for each line with a syntax error, up to 1,000.
        last: the key of the last entry. If the text is incomplete, this entry may be.
    """

    entries: Mapping[str, str]
    problems: tuple[str, ...] = ()
    last: str = ""


def parse_table(pieces: Iterator[str]) -> AliasText:
    """Read `key whitespace value` lines: virtual(5), canonical(5)."""
    return _parsed(pieces, SPACE, "has no value after its key", folded)


def parse_virtusertable(pieces: Iterator[str]) -> AliasText:
    """Read the same lines as Sendmail does: makemap(8) has no full case folding."""
    return _parsed(pieces, SPACE, "has no value after its key", lowered)


def parse_aliases(pieces: Iterator[str]) -> AliasText:
    """Read `name: value, value` lines: aliases(5) of Postfix and Sendmail."""
    return _parsed(pieces, COLON, "has no name, colon and value", folded)


def _parsed(
    pieces: Iterator[str], ends_key: re.Pattern[str], problem: str, fold: Callable[[str], str]
) -> AliasText:
    index = TextIndexBuilder()
    keys: list[str] = []
    texts: list[str] = []
    problems: list[str] = []
    last = ""
    for number, line in logical_lines(pieces):
        end = first_separator(line, ends_key)
        key, value = line[:end].strip(), line[end + 1 :].strip()
        if not key or not value:
            if len(problems) < _MOST_PROBLEMS:
                problems.append(f"line {number} {problem}")
            last = ""
            continue
        last = fold(key)
        keys.append(last)
        texts.append(f"{last}{_SEPARATOR}{value}")
        if len(keys) == _AT_A_TIME:
            index.add(keys, texts)
            keys, texts = [], []
    index.add(keys, texts)
    entries = AliasEntries(index.built())
    if last and entries.are_several(last):
        last = ""  # the first counts, and it is whole
    return AliasText(entries, tuple(problems), last)


def logical_lines(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines joined with their continuation lines, each with the number of the first: postmap(1), postconf(5)."""
    number = 0
    gathered: list[str] = []
    lines = (line for text in pieces for line in text.removesuffix("\n").split("\n"))
    for current, line in enumerate(lines, 1):
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
