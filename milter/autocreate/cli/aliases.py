"""The commands for aliases: `autocreate aliases detect`."""

from pathlib import Path

import click

from autocreate.cli.options import mta_options


@click.group()
def aliases() -> None:
    """Look at the aliases of the MTA."""


@aliases.command("detect")
@mta_options
def aliases_detect(postfix: Path, sendmail: Path) -> None:
    """Print the [aliases] tables for the maps that the MTA of this machine uses, to paste.

    Asks postconf, or reads sendmail.cf. Changes nothing.
    """
    from autocreate.admin.aliases import detect
    from autocreate.admin.doctor import Mtas

    for line in detect(Mtas(postfix, sendmail)):
        click.echo(line)
