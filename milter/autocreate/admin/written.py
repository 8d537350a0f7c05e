"""Where the settings behind a decision are written: autocreate.toml, or imapd.conf where that applies."""

import json
from collections.abc import Sequence
from pathlib import Path

from autocreate.admin.explain import Option, Settings
from autocreate.config.places import ImapdPlaces, Line, Places
from autocreate.config.sections import Config

# The place of a setting that is written nowhere.
_DEFAULT = "default"


class Written:
    """Finds the line of each setting.

    Args:
        path: the configuration file that `config` was read from.
    """

    def __init__(self, path: Path, config: Config) -> None:
        self._config = config
        self._places = Places(path)
        conf = config.cyrus.imapd_conf
        self._imapd = ImapdPlaces(conf, config.cyrus.cyrus_conf) if conf else None

    def place(self, *keys: str) -> str:
        """Where a table begins; "" if it is written nowhere."""
        line = self._places.of(*keys)
        return line.place if line else ""

    def policy(self, number: int) -> list[Option]:
        """The beginning of a policy and its keys, by its number among all policies, from 0."""
        lines: Sequence[Line] = [Line(_DEFAULT, "without any policy, every account gets an INBOX")]
        if number < len(self._config.policy):
            lines = self._places.of_policy(number)
        elif self._imapd and (options := self._imapd.of_policy()):
            lines = options
        return [_option(line) for line in lines]

    def settings(self) -> Settings:
        """The settings that every decision depends on."""
        user = [self._key("milter", "recipient_delimiter"), self._key("cyrus", "virtdomains")]
        if self._config.cyrus.virtdomains != "off":
            user.append(self._key("cyrus", "defaultdomain"))
        user.append(self._key("cyrus", "lmtp_downcase_rcpt"))
        if self._config.cyrus.postuser:
            user.append(self._key("cyrus", "postuser"))
        return Settings(
            (self._key("milter", "domains"), self._key("milter", "mailers")),
            tuple(user),
            tuple(
                Option(self.place("aliases", it), f"aliases.{it}") for it in self._config.aliases
            ),
        )

    def _key(self, section: str, key: str) -> Option:
        """A key as it is written, or its default."""
        line = self._places.of(section, key)
        if line is None and section == "cyrus" and self._imapd:
            line = self._imapd.of(key)
        value = getattr(getattr(self._config, section), key)
        # A JSON string, list or boolean is also one of TOML.
        default = f"{section}.{key} = {json.dumps(value, ensure_ascii=False)}"
        return _option(line or Line(_DEFAULT, default))


def _option(line: Line) -> Option:
    return Option(line.place, line.text)
