"""Cyrus's dlists: the values of its replication commands (imap/dlist.c), read and written.

A dlist is an atom, a string in quotes, a literal, `(a list)`, or `%(KEY value KEY value)`. Nothing here calls itself:
what a server sends may be nested as deep as it likes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "bytes | list[Value] | dict[bytes, Value] | None"
"""What was read: an atom or a string, a list, names with values, or NIL."""

Word: TypeAlias = "str | bytes | int"

_TOKEN = re.compile(
    rb'(?P<open>%?\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<atom>[^ ()"\\{]+)'
)
_LITERAL = re.compile(rb"\{\d+\+?\}$")
_ESCAPED = re.compile(rb"\\(.)")


def read(lines: Iterable[bytes | tuple[bytes, bytes]]) -> Iterator[Value]:
    """The values of untagged responses, one each.

    Args:
        lines: as imaplib keeps them: what stands before a literal comes as a pair with it, and what stands behind
            the last literal, or a response without any, as bytes alone.

    Raises:
        ValueError: a response is no dlist, or more than one.
    """
    reader = _Reader()
    for line in lines:
        if isinstance(line, tuple):
            text, literal = line
            announced = _LITERAL.search(text)
            reader.read(text[: announced.start()] if announced else text)
            reader.add(literal)
        else:
            reader.read(line)
            yield reader.value()
            reader = _Reader()


def written_word(word: Word) -> bytes:
    """A word in quotes, or as a literal if it has anything that could end the quotes: it stays one word.

    Args:
        word: a text goes out as UTF-8.
    """
    if isinstance(word, int):
        return b"%d" % word
    data = word.encode() if isinstance(word, str) else word
    if data.isascii() and data.decode("ascii").isprintable() and not set(b'"\\') & set(data):
        return b'"' + data + b'"'
    return b"{%d+}\r\n%b" % (len(data), data)


def written(values: Mapping[str, Word] | Sequence[Word]) -> bytes:
    """Names with their values, or a list, for the wire.

    Args:
        values: names are ours, and atoms.
    """
    if isinstance(values, Mapping):
        pairs = (name.encode("ascii") + b" " + written_word(word) for name, word in values.items())
        return b"%(" + b" ".join(pairs) + b")"
    return b"(" + b" ".join(map(written_word, values)) + b")"


class _Reader:
    """One value in the making, and the lists that are not closed yet around it."""

    def __init__(self) -> None:
        self._items: list[Value] = []
        self._outer: list[tuple[list[Value], bool]] = []  # and does it have names?

    def read(self, text: bytes) -> None:
        position = 0
        while position < len(text):
            if text[position] == 0x20:
                position += 1
                continue
            token = _TOKEN.match(text, position)
            if token is None:
                raise ValueError(f"no dlist: {text[position : position + 40]!r}")
            position = token.end()
            self._take(token)

    def add(self, value: Value) -> None:
        self._items.append(value)

    def value(self) -> Value:
        if self._outer or len(self._items) != 1:
            raise ValueError("no dlist, or more than one")
        return self._items[0]

    def _take(self, token: re.Match[bytes]) -> None:
        match token.lastgroup:
            case "open":
                self._outer.append((self._items, token["open"] == b"%("))
                self._items = []
            case "close":
                if not self._outer:
                    raise ValueError("a list ends that did not begin")
                items, (self._items, has_names) = self._items, self._outer.pop()
                self.add(_named(items) if has_names else items)
            case "quoted":
                self.add(_ESCAPED.sub(rb"\1", token["quoted"]))
            case _:
                self.add(None if token["atom"] == b"NIL" else token["atom"])


def _named(items: list[Value]) -> dict[bytes, Value]:
    pairs = zip(items[::2], items[1::2], strict=True)
    named = {name: value for name, value in pairs if isinstance(name, bytes)}
    if len(named) * 2 != len(items):
        raise ValueError("a name is none, or comes twice")
    return named
