"""What an administrator asks for besides: explain, report."""

import contextlib
import time
from pathlib import Path

from autocreate.admin import explain, report
from autocreate.admin.explain import User
from autocreate.admin.report import Report
from autocreate.config import places
from autocreate.config.places import Line
from autocreate.config.sections import Config
from autocreate.journal import Journal
from autocreate.model import Recipient, Verdict
from autocreate.wiring.office import build_office, users_of
from autocreate.wiring.policies import policies_of
from autocreate.wiring.sources import source_of


def explained(path: Path, config: Config, recipient: Recipient) -> tuple[Verdict, list[User]]:
    """The decision about a recipient, and all that can be told about its users.

    Args:
        path: the configuration's file, to tell its lines.
    """
    imapd = config.cyrus.imapd_conf

    def options(number: int) -> list[explain.Option]:
        lines: tuple[Line, ...] = ()
        if number < len(config.policy):
            lines = places.of_policy(path, number)
        elif imapd:
            lines = places.of_imapd_conf(imapd.path)
        return [explain.Option(line.place, line.text) for line in lines]

    office = build_office(config)
    with contextlib.closing(office.service), contextlib.ExitStack() as opened:
        sources = [source_of(name, settings) for name, settings in config.accounts.items()]
        for source in sources:
            opened.callback(source.close)
        site = explain.Site(
            sources, policies_of(config), office.store, users_of(config).default_domain, options
        )
        verdict = office.service.preview(recipient)
        return verdict, explain.users_of(verdict, site)


def make_report(config: Config, since: float, until: float) -> Report:
    """What was seen in a time: see `autocreate.admin.report`.

    Raises:
        Temporary: the journal cannot be read.
    """
    with contextlib.closing(Journal(config.journal.url, time.time)) as journal:
        return report.gather(journal, since, until)
