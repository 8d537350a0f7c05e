"""What a Sieve script is called, and what a compiler's words mean.

A script is installed byte for byte as it was written. What differs from user to user the language
itself can tell: `envelope` (RFC 5228) and `variables` (RFC 5229).
"""

import re

from autocreate.errors import MalformedValue

# sieve/bytecode.h: the first bytes of every compiled script.
_MAGIC = b"CyrSBytecode"

# Cyrus 3.6 keeps the name in a Subject line: a longer one, or one that is not ASCII, comes back as a
# MIME word and is not found under its name any more.
_LONGEST_NAME = 64

_LINE_OF_ERROR = re.compile(r"line \d+: .*")


def script_name(path: str) -> str:
    """The name of the script in a file: the file's own, as Cyrus's native autocreate names it.

    Raises:
        MalformedValue: no user's script can be called that.
    """
    name = path.rpartition("/")[2]
    if not is_name(name):
        raise MalformedValue(
            f"the script is named after its file, and {name!r} cannot be a script's name: it may have "
            f'printable ASCII except / " \\ and at most {_LONGEST_NAME} characters'
        )
    return name


def is_name(name: str) -> bool:
    """Can a script be called that?"""
    return (
        0 < len(name) <= _LONGEST_NAME
        and name.isascii()
        and name.isprintable()
        and not set('/"\\').intersection(name)
        and name.strip(". ") != ""
    )


def is_same_text(one: bytes, other: bytes) -> bool:
    """Are two scripts the same, but for how their lines end?

    timsieved of Cyrus 3.2 ends lines in CRLF whatever was sent, as RFC 5804 (2.4) has it.
    """
    return one.replace(b"\r\n", b"\n") == other.replace(b"\r\n", b"\n")


def is_bytecode(data: bytes) -> bool:
    """Is that what Cyrus's compiler makes?"""
    return data.startswith(_MAGIC)


def compiler_errors(words: str) -> str:
    """The errors that sievec(8) or timsieved found in a script, each with its line, in one line.

    Empty if it spoke of something else than the script.
    """
    return "; ".join(match.strip() for match in _LINE_OF_ERROR.findall(words))
