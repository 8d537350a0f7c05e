"""The files that passwords of database servers are read from."""

from pathlib import Path

from autocreate.errors import ConfigurationError


def password(key: str, path: Path | None) -> str:
    """The password in a file's first line; none without a file.

    Args:
        key: where the configuration names the server, for the error: `accounts.staff`.

    Raises:
        ConfigurationError: the file cannot be read, or is empty.
    """
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").splitlines()[0]
    except IndexError as error:
        raise ConfigurationError(key, [f"password_file: {path} is empty"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(key, [f"password_file: {error}"]) from error
