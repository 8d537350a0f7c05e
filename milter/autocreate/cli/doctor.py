"""The command that checks the configuration of the MTA, of Cyrus and ours."""

import sys
from pathlib import Path

import click

from autocreate.cli.options import config_option, json_option, mta_options


@click.command()
@config_option
@json_option
@mta_options
@click.option(
    "--imapd-conf",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Cyrus's imapd.conf. [default: cyrus.imapd_conf; /etc/imapd.conf if Cyrus is on this machine]",
)
@click.option(
    "--cyrus-conf",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Cyrus's cyrus.conf. [default: cyrus.cyrus_conf; /etc/cyrus.conf if Cyrus is on this machine]",
)
def doctor(
    config_path: Path,
    as_json: bool,
    postfix: Path,
    sendmail: Path,
    imapd_conf: Path | None,
    cyrus_conf: Path | None,
) -> None:
    """Check the MTA, Cyrus and autocreate configuration for problems. Changes nothing.

    Each finding says what is wrong, why it matters, and what to change. Reads the configuration files;
    connects to our sockets; logs in to Cyrus and ManageSieve as the administrator and for a user who
    has a mailbox; opens the journal; and looks up a name that does not exist in the account sources
    and alias tables.

    Exit status, as of a monitoring plugin: 0 no problems, or advice only; 1 warnings; 2 critical.
    """
    from autocreate.cli.render import finding_as_json, finding_as_text
    from autocreate.doctor.findings import gravest
    from autocreate.doctor.site import CyrusPaths, MtaPaths
    from autocreate.wiring.doctor import diagnose

    paths = CyrusPaths(imapd_conf, cyrus_conf)
    diagnosis = diagnose(config_path, MtaPaths(postfix, sendmail), paths)
    for finding in diagnosis.findings:
        click.echo(finding_as_json(finding) if as_json else finding_as_text(finding))
    if not diagnosis.findings and not as_json:
        click.echo("No problems found.")
        click.echo(f"Checked: {', '.join(diagnosis.checked)}")
    sys.exit(gravest(diagnosis.findings))
