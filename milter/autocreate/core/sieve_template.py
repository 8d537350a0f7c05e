"""A Sieve script with `{name}` in its strings, filled in for one account.

1. Nothing outside of strings is filled in: a value can be text, never a command.
2. In a quoted string, quotes and backslashes of a value are escaped (RFC 5228, 2.4.2); in a multi-line text, a
   dot at the beginning of a line is doubled.
3. A value with `$` is refused: Sieve itself would expand `${...}` (RFC 5229, RFC 5228 2.4.2.4). `${name}` in the
   script is Sieve's own variable, and left to it.
"""

import re
from collections.abc import Callable, Mapping

from autocreate.errors import MalformedValue

_PARTS = re.compile(
    r"""
    (?P<comment> \#[^\n]* | /\*.*?\*/ )
  | (?P<quoted> "(?:[^"\\]|\\.)*" )
  | (?P<lines> \btext:[ \t]*(?:\#[^\n]*)?\r?\n .*? ^\.\r?$ )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
_NAME = re.compile(r"(?<!\$)\{([A-Za-z][A-Za-z0-9_;-]*)\}")


def names_in_script(text: bytes) -> list[str]:
    """The names in the strings of a script, in lower case, each once."""
    names: dict[str, None] = {}

    def note(name: str) -> str:
        names[name] = None
        return ""

    _replaced(text, note)
    return list(names)


def filled_script(text: bytes, values: Mapping[str, str]) -> bytes:
    """A script with the values of its names.

    Args:
        values: by names in lower case.

    Raises:
        MalformedValue: a name has no value, or one that Sieve would not take for text.
    """

    def value_of(name: str) -> str:
        value = values.get(name, "")
        if not value:
            raise MalformedValue(f"has no value for {{{name}}}")
        if not value.isprintable() or "$" in value:
            raise MalformedValue(f"has a value for {{{name}}} with control characters or $")
        return value

    return _replaced(text, value_of)


def _replaced(text: bytes, value_of: Callable[[str], str]) -> bytes:
    def part(found: re.Match[str]) -> str:
        if found["quoted"]:
            return _NAME.sub(lambda it: _escaped(value_of(it[1].lower())), found[0])
        if found["lines"]:
            return _NAME.sub(lambda it: _in_line(it, value_of(it[1].lower())), found[0])
        return found[0]

    script = text.decode("utf-8", "surrogateescape")
    return _PARTS.sub(part, script).encode("utf-8", "surrogateescape")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _in_line(found: re.Match[str], value: str) -> str:
    is_first = found.string[found.start() - 1] == "\n"
    return f".{value}" if is_first and value.startswith(".") else value
