"""The commands for aliases: `autocreate aliases check` and `autocreate aliases detect`."""

import sys
from pathlib import Path

import click

from autocreate.cli.accounts import show_reports
from autocreate.cli.groups import Group
from autocreate.cli.options import config_option, json_option, mta_options


@click.group(cls=Group)
def aliases() -> None:
    """Check or detect the alias tables of the MTA."""


@aliases.command("check")
@config_option
@json_option
def aliases_check(config_path: Path, as_json: bool) -> None:
    """Query every alias table and domain table, and report problems. Changes nothing.

    To see where an address leads, use `autocreate check`.

    Exit status: 0 all answer; 75 a lookup failed or is not certain, try again; 78 the configuration
    of one is wrong.
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
    """Print [aliases] tables for the maps of this machine's MTA, ready to paste.

    Asks postconf, or reads sendmail.cf. Changes nothing.
    """
    from autocreate.admin.aliases import detect
    from autocreate.doctor.site import MtaPaths

    for line in detect(MtaPaths(postfix, sendmail)):
        click.echo(line)
