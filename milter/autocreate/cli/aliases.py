"""The commands for aliases: `autocreate aliases check` and `autocreate aliases detect`."""

import sys
from pathlib import Path

import click

from autocreate.cli.accounts import show_reports
from autocreate.cli.options import config_option, json_option, mta_options


@click.group()
def aliases() -> None:
    """Look at the aliases of the MTA."""


@aliases.command("check")
@config_option
@json_option
def aliases_check(config_path: Path, as_json: bool) -> None:
    """Ask every table of aliases and of domains, and say what is wrong with it. Changes nothing.

    Where an address leads is shown by `autocreate check`. Exit status: 0 all are well; 75 one cannot
    be asked, or leaves doubts; 78 one must be configured otherwise.
    """
    from autocreate.config import load
    from autocreate.doctor import probe_tables
    from autocreate.wiring.sources import alias_makers, domain_makers

    config = load(config_path)
    reports = probe_tables.check(domain_makers(config), alias_makers(config))
    show_reports(reports, as_json)
    sys.exit(max((report.status for report in reports), default=0))


@aliases.command("detect")
@mta_options
def aliases_detect(postfix: Path, sendmail: Path) -> None:
    """Print the [aliases] tables for the maps that the MTA of this machine uses, to paste.

    Asks postconf, or reads sendmail.cf. Changes nothing.
    """
    from autocreate.admin.aliases import detect
    from autocreate.doctor.doctor import MtaPaths

    for line in detect(MtaPaths(postfix, sendmail)):
        click.echo(line)
