"""The files and programs that a configuration names."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autocreate.config.sections import Config
from autocreate.config.types import Section


def files_of(config: Config) -> Iterator[tuple[str, Path]]:
    """Each existing file with its key, such as `accounts.staff.password_file`."""
    yield from _named("", config)
    if imapd_conf := config.cyrus.imapd_conf:
        yield "cyrus.imapd_conf", Path(imapd_conf.path)
    for key, table in config.databases.items():
        if found := re.match(r"sqlite(?:\+\w+)?:///(/[^?]*)", getattr(table, "url", "")):
            yield f"{key}.url", Path(found[1])


def programs_of(config: Config) -> Iterator[tuple[str, Path]]:
    """Each program that is run, with its key."""
    for number, policy in enumerate(config.policy, start=1):
        if policy.on_created:
            yield f"policy[{number}].on_created", Path(policy.on_created[0])


def _named(key: str, value: Any) -> Iterator[tuple[str, Path]]:
    inner = f"{key}." if key else ""
    if isinstance(value, Path):
        if value.is_file():
            yield key, value
    elif isinstance(value, Section):
        for name in type(value).model_fields:
            yield from _named(f"{inner}{name}", getattr(value, name))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _named(f"{inner}{name}", item)
    elif isinstance(value, tuple):
        for number, item in enumerate(value, start=1):
            yield from _named(f"{key}[{number}]", item)
