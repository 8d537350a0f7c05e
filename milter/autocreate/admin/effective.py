"""The effective configuration: each key, its value, and where that comes from, as `postconf` shows it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from autocreate.config.places import ImapdPlaces, Places
from autocreate.config.sections import Config

DEFAULT = "default"

# What [cyrus] takes from imapd.conf.
_OF_IMAPD_CONF = frozenset(
    ("admins", "virtdomains", "defaultdomain", "username_tolower", "lmtp_downcase_rcpt")
) | {"postuser", "sievedir"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A key and its value. No key has a secret: those are in files of their own.

    Args:
        key: as messages name it: `policy[1].folders`, counted from 1.
        value: plain data for json.dumps.
        place: "FILE, line NUMBER", or "default".
    """

    key: str
    value: Any
    place: str

    @property
    def is_changed(self) -> bool:
        """Does a file say it?"""
        return self.place != DEFAULT

    @property
    def text(self) -> str:
        """As it could be written in the file."""
        shown = "not set" if self.value is None else json.dumps(self.value, ensure_ascii=False)
        return f"{self.key} = {shown}"


class _Written:
    """Where settings are written.

    Args:
        path: of the configuration, which was read without errors.
    """

    def __init__(self, config: Config, path: Path) -> None:
        conf = config.cyrus.imapd_conf
        self._places = Places(path)
        self._path = path
        self._imapd = ImapdPlaces(conf, config.cyrus.cyrus_conf) if conf else None

    def of(self, keys: tuple[str | int, ...]) -> str:
        """The place of a key that the file has; that of a table around it, if it is in one value with others."""
        while keys:
            if line := self._places.of(*keys):
                return line.place
            keys = keys[:-1]
        return str(self._path)

    def in_imapd_conf(self, keys: tuple[str | int, ...]) -> str:
        """The place in imapd.conf of a key that our file does not have; "default" if neither has it."""
        if self._imapd is None or keys[0] != "cyrus" or keys[-1] not in _OF_IMAPD_CONF:
            return DEFAULT
        line = self._imapd.of(str(keys[-1]))
        return line.place if line else DEFAULT


def effective(config: Config, path: Path) -> Iterator[Setting]:
    """All keys in the order of autocreate.toml(5); of optional sections those that the file has.

    Args:
        path: of the configuration.
    """
    yield from _settings(config, (), _Written(config, path))


def _settings(
    section: BaseModel, keys: tuple[str | int, ...], written: _Written
) -> Iterator[Setting]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        inner = (*keys, name)
        tables = _tables(value)
        if tables is not None:
            for key, table in tables:
                yield from _settings(table, (*inner, *key), written)
        elif value or keys:  # else a section that the file does not have
            is_set = name in section.model_fields_set
            place = written.of(inner) if is_set else written.in_imapd_conf(inner)
            yield Setting(_shown(inner), _plain(value), place)


def _tables(value: Any) -> list[tuple[tuple[str | int, ...], BaseModel]] | None:
    """The tables in a value, each with its keys below it; None if it is none of tables."""
    if isinstance(value, BaseModel):
        return [((), value)]
    if isinstance(value, Mapping):
        return [((name,), table) for name, table in value.items() if isinstance(table, BaseModel)]
    is_array = isinstance(value, tuple) and value and isinstance(value[0], BaseModel)
    return [((number,), table) for number, table in enumerate(value)] if is_array else None


def _shown(keys: tuple[str | int, ...]) -> str:
    return "".join(f"[{it + 1}]" if isinstance(it, int) else f".{it}" for it in keys)[1:]


def _plain(value: Any) -> Any:
    """A value as TOML has it: a path, or an imapd.conf that was read, by its name."""
    if isinstance(value, (tuple, list, frozenset)):
        return [_plain(it) for it in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(getattr(value, "path", value))
