"""The administrator's TOML file, read and checked as a whole.

All problems are reported at once, each with its key and what would be right. This package opens no
connection.
"""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from autocreate.backends.regular_file import Rules, read_regular
from autocreate.config.accounts import Accounts
from autocreate.config.aliases import Aliases
from autocreate.config.domains import Domains
from autocreate.config.login import Upstream
from autocreate.config.places import Lines
from autocreate.config.sections import Config
from autocreate.config.types import Section
from autocreate.errors import ConfigurationError


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigurationError: with every problem found.
    """
    try:
        text = read_regular(path, Rules()).data.decode()
        data = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(str(path), [f"is not TOML: {error}"]) from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        found = list(_found(error, data))
        places = Lines(text)
        lines = [places.of(keys) for keys, _ in found]
        raise ConfigurationError(str(path), [problem for _, problem in found], lines) from None


def _found(error: ValidationError, data: Any) -> Iterator[tuple[Sequence[str | int], str]]:
    """pydantic's errors in terms of the file: the keys, and what is wrong and would be right."""
    findings = error.errors(include_url=False, include_input=False)
    parents = {finding["loc"][:-1] for finding in findings}
    for finding in findings:
        location = finding["loc"]
        if not location:  # from `_impossible`, which names the keys itself
            for line in _message(finding).split("\n"):
                yield _named_in(line, data), line
        elif finding["type"] != "too_short" or location not in parents:
            # A list of which all items are wrong is too short as well; the errors of its items suffice.
            keys = _keys(location, data)
            for line in _text(finding).split("\n"):
                yield keys, f"{_shown(keys)}: {line}"


def _text(finding: ErrorDetails) -> str:
    match finding["type"]:
        case "extra_forbidden":
            return "unknown key" + _suggestion(finding["loc"])
        case "missing":
            return "is missing"
        case "too_short":
            return f"needs at least {finding['ctx']['min_length']}"
        case "tuple_type":
            return 'must be a list; write it like ["one", "two"]'
        case "bool_type":
            return "must be true or false, without quotes"
        case "int_type":
            return "must be a whole number, without quotes"
        case "float_type":
            return "must be a number, without quotes"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "must be a table"
        case "union_tag_not_found":
            return f"type: is missing; one of {_types(finding['loc'])}"
        case "union_tag_invalid":
            return f"type: unknown; one of {_types(finding['loc'])}"
        case "string_pattern_mismatch":
            return f"has characters that are not allowed; it must match {finding['ctx']['pattern']}"
    text = _message(finding).replace("Input should be", "must be", 1)
    return text[:1].lower() + text[1:]


def _message(finding: ErrorDetails) -> str:
    return str(finding["msg"]).removeprefix("Value error, ")


def _keys(location: Sequence[str | int], data: Any) -> tuple[str | int, ...]:
    """A location in the file, without what pydantic adds to it."""
    keys: list[str | int] = []
    for item in location:
        if isinstance(item, int):
            data = data[item] if isinstance(data, list) and item < len(data) else None
        elif item == "[key]":
            continue  # pydantic: the name is wrong, not the value
        elif isinstance(data, dict) and item not in data and item == data.get("type"):
            continue  # pydantic's name of the section that `type` chose, which the file does not have
        else:
            data = data.get(item) if isinstance(data, dict) else None
        keys.append(item)
    return tuple(keys)


def _shown(keys: Sequence[str | int]) -> str:
    """`policy[2].folders[1].name`, counted from 1."""
    shown = "".join(f"[{it + 1}]" if isinstance(it, int) else f".{it}" for it in keys)
    return shown.removeprefix(".")


def _named_in(problem: str, data: Any) -> tuple[str | int, ...]:
    """The keys that a problem of `_impossible` begins with: `cyrus.timeout: ...`, `policy 'all': ...`."""
    policies = data.get("policy", ()) if isinstance(data, dict) else ()
    named = [
        number
        for number, policy in enumerate(policies)
        if problem.startswith(f"policy {policy['name']!r}:")
    ]
    if len(named) == 1:
        return ("policy", named[0])
    return tuple(problem.partition(":")[0].partition(" ")[0].split("."))


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
    unions = {"accounts": Accounts, "aliases": Aliases, "domains": Domains, "login": Upstream}
    union = unions[str(location[0])]
    sections = get_args(get_args(union)[0])
    kinds = (get_args(section.model_fields["type"].annotation)[0] for section in sections)
    return ", ".join(f'"{kind}"' for kind in kinds)
