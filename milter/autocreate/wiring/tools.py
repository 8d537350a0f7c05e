"""What an administrator asks for besides: explain, report."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from autocreate.admin import explain
from autocreate.admin.explain import Option, Settings, SourceAnswer, User
from autocreate.config.places import ImapdPlaces, Line, Places
from autocreate.config.sections import Config
from autocreate.core.address import domain_of
from autocreate.model import Recipient, Verdict
from autocreate.report import gather
from autocreate.report.gather import Report
from autocreate.service.journal import Journal
from autocreate.wiring.policies import policies_of
from autocreate.wiring.service import build_components
from autocreate.wiring.sources import domain_table, source_of
from autocreate.wiring.users import users_of

# The place of what is written nowhere.
_DEFAULT = "default"


class Explanation(NamedTuple):
    """A decision, and all that can be told of how it came about."""

    verdict: Verdict
    settings: Settings
    users: list[User]


def explained(path: Path, config: Config, recipient: Recipient) -> Explanation:
    """The decision about a recipient, and where each part of it comes from.

    Args:
        path: the configuration's file, to tell its lines.
    """
    written = _Written(path, config)
    components = build_components(config)
    with contextlib.closing(components.service), contextlib.ExitStack() as opened:
        sources = [source_of(name, config) for name in config.accounts]
        for source in sources:
            opened.callback(source.close)
        site = explain.Site(
            sources,
            policies_of(config),
            components.store,
            users_of(config).default_domain,
            written.policy,
            {name: written.place("accounts", name) for name in config.accounts},
        )
        verdict = components.service.preview(recipient)
        settings = replace(
            written.settings(), domain_tables=tuple(_domain_answers(config, recipient, written))
        )
        return Explanation(verdict, settings, explain.users_of(verdict, site))


def _domain_answers(
    config: Config, recipient: Recipient, written: "_Written"
) -> Iterator[SourceAnswer]:
    """What each table of domains says of the recipient's domain, if it has one."""
    domain = domain_of(recipient.argument)
    for name, settings in config.domains.items() if domain else ():
        with contextlib.closing(domain_table(name, settings)) as table:
            yield explain.domain_answer(table, domain, written.place("domains", name))


class _Written:
    """What the configuration says, and where: our own file, and imapd.conf where that counts."""

    def __init__(self, path: Path, config: Config) -> None:
        self._config = config
        self._places = Places(path)
        conf = config.cyrus.imapd_conf
        self._imapd = ImapdPlaces(conf, config.cyrus.cyrus_conf) if conf else None

    def place(self, *keys: str) -> str:
        """Where a table begins."""
        line = self._places.of(*keys)
        return line.place if line else ""

    def policy(self, number: int) -> list[Option]:
        """The beginning of a policy and its keys, by its number among all."""
        lines: Sequence[Line] = [
            Line(_DEFAULT, "every account gets an INBOX where no policy is written")
        ]
        if number < len(self._config.policy):
            lines = self._places.of_policy(number)
        elif self._imapd and (family := self._imapd.of_policy()):
            lines = family
        return [_option(line) for line in lines]

    def settings(self) -> Settings:
        """What every decision hangs on."""
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
        """A key as it is written, or else its default."""
        line = self._places.of(section, key)
        if line is None and section == "cyrus" and self._imapd:
            line = self._imapd.of(key)
        value = getattr(getattr(self._config, section), key)
        # A JSON string, list or boolean is a TOML one.
        said = f"{section}.{key} = {json.dumps(value, ensure_ascii=False)}"
        return _option(line or Line(_DEFAULT, said))


def _option(line: Line) -> Option:
    return Option(line.place, line.text)


def make_report(config: Config, since: float, until: float) -> Report:
    """What was seen in a time: see `autocreate.report.gather`.

    Raises:
        Temporary: the journal cannot be read.
    """
    with contextlib.closing(Journal(config.journal.url, time.time)) as journal:
        return gather.gather(journal, since, until)
