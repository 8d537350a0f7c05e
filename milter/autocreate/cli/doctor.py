"""The command that checks the configuration of the MTA, of Cyrus and ours."""

import sys
from pathlib import Path

import click

from autocreate.cli.options import config_option, cyrus_options, json_option, mta_options
from autocreate.doctor.findings import Part


@click.command()
@config_option
@json_option
@mta_options
@cyrus_options
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([part.value for part in Part]),
    help="Check this part only. Can be given several times.",
)
def doctor(
    config_path: Path,
    as_json: bool,
    postfix: Path,
    sendmail: Path,
    imapd_conf: Path | None,
    cyrus_conf: Path | None,
    only: tuple[str, ...],
) -> None:
    """Check the MTA, Cyrus and autocreate configuration for problems. Changes nothing.

    Each finding says what is wrong, why it matters, and what to change. Then comes what was checked, and
    what to do first. Reads the configuration files;
    connects to our sockets; logs in to Cyrus and ManageSieve as the administrator and for a user who
    has a mailbox; opens the journal; and looks up a name that does not exist in the account sources
    and alias tables.

    Exit status, as of a monitoring plugin: 0 no problems, or advice only; 1 warnings; 2 critical.
    """
    from autocreate.cli.doctor_text import as_json_lines, as_lines
    from autocreate.doctor.findings import exit_status
    from autocreate.doctor.site import CyrusPaths, MtaPaths
    from autocreate.wiring.doctor import diagnose

    mtas, paths = MtaPaths(postfix, sendmail), CyrusPaths(imapd_conf, cyrus_conf)
    checked = diagnose(config_path, mtas, paths, [Part(it) for it in only] or tuple(Part))
    for line in as_json_lines(checked) if as_json else as_lines(checked):
        click.echo(line)
    sys.exit(exit_status(checked))
