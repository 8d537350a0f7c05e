"""The administrator's TOML file, read and checked as a whole.

Every problem found is reported at once, with its key and what would be right. What is returned can
be wired without further questions; this package opens no connection.
"""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from autocreate.config.accounts import Accounts
from autocreate.config.aliases import Aliases
from autocreate.config.login import Upstream
from autocreate.config.sections import Config
from autocreate.config.types import Section
from autocreate.errors import ConfigurationError


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigurationError: with every problem found.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(str(path), [f"is not TOML: {error}"]) from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(str(path), list(_problems(error, data))) from None


def _problems(error: ValidationError, data: Any) -> Iterator[str]:
    """pydantic's findings in the words of the file: the key as written, and what would be right."""
    for finding in error.errors(include_url=False, include_input=False):
        location = finding["loc"]
        text = str(finding["msg"]).removeprefix("Value error, ")
        if not location:  # found by `_impossible`, which names the keys itself
            yield from text.split("\n")
            continue
        match finding["type"]:
            case "extra_forbidden":
                text = "unknown key" + _suggestion(location)
            case "missing":
                text = "is missing"
            case "union_tag_not_found":
                text = f"type: is missing; one of {_types(location)}"
            case "union_tag_invalid":
                text = f"type: unknown; one of {_types(location)}"
            case "string_pattern_mismatch":
                text = (
                    f"has characters that it cannot have; it must match {finding['ctx']['pattern']}"
                )
            case _:
                text = text.replace("Input should be", "must be", 1)
                text = text[:1].lower() + text[1:]
        for line in text.split("\n"):
            yield f"{_key(location, data)}: {line}"


def _key(location: Sequence[str | int], data: Any) -> str:
    """A location as an administrator finds it: `policy[2].folders[1].name`, counted from 1."""
    key = ""
    for item in location:
        if isinstance(item, int):
            key += f"[{item + 1}]"
            data = data[item] if isinstance(data, list) and item < len(data) else None
        elif isinstance(data, dict) and item not in data and item == data.get("type"):
            continue  # pydantic names the branch that `type` chose; the file has no such level
        else:
            key += f".{item}" if key else item
            data = data.get(item) if isinstance(data, dict) else None
    return key


def _suggestion(location: Sequence[str | int]) -> str:
    unknown = str(location[-1])
    known = {name for section in _subclasses(Section) for name in section.model_fields}
    close = difflib.get_close_matches(unknown, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _subclasses(section: type[Section]) -> Iterator[type[Section]]:
    for inner in section.__subclasses__():
        yield inner
        yield from _subclasses(inner)


def _types(location: Sequence[str | int]) -> str:
    """The types that the table at a location can have."""
    union = {"accounts": Accounts, "aliases": Aliases, "login": Upstream}[str(location[0])]
    sections = get_args(get_args(union)[0])
    kinds = (get_args(section.model_fields["type"].annotation)[0] for section in sections)
    return ", ".join(f'"{kind}"' for kind in kinds)
