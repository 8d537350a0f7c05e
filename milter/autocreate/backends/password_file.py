"""The files that hold a server's password. It is the first line."""

import re
from pathlib import Path

from autocreate.backends.regular_file import read_settings
from autocreate.errors import ConfigurationError, MalformedValue


class Password(str):
    """A password, which a traceback that prints its locals does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def first_line(path: Path) -> Password:
    """The password in a file: its first line as it is written, without the end of the line.

    Raises:
        MalformedValue: the file cannot be read, is not UTF-8, or its first line is blank.
    """
    try:
        text = read_settings(path).decode()
    except OSError as error:
        raise MalformedValue(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MalformedValue(f"{path} is not UTF-8: {error}") from error
    line = re.split("\r|\n", text, maxsplit=1)[0]
    if not line.strip():
        raise MalformedValue(f"{path}: its first line is empty; write the password into it")
    return Password(line)


def password(key: str, path: Path | None) -> Password:
    """The password of a server; "" without a file.

    Args:
        key: where the configuration names the server, for the error: `accounts.staff`.

    Raises:
        ConfigurationError: see `first_line`.
    """
    try:
        return first_line(path) if path else Password()
    except MalformedValue as error:
        raise ConfigurationError(key, [f"password_file: {error}"]) from error
