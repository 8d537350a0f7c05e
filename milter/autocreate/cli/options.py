"""Options that commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

config_option = click.option(
    "--config",
    "config_path",
    # `load` reports a file that cannot be read, with the exit status of a wrong configuration.
    type=click.Path(path_type=Path, readable=False),
    default=Path("/etc/autocreate/autocreate.toml"),
    show_default=True,
    envvar="AUTOCREATE_CONFIG",
    help="The configuration file.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line."
)
mailer_option = click.option(
    "--mailer", help="Decide as if the MTA had named this transport, as in {rcpt_mailer}."
)


def mta_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the configuration of this machine's MTAs is."""
    postfix = click.option(
        "--postfix",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("/etc/postfix"),
        show_default=True,
        help="Postfix's configuration directory.",
    )
    sendmail = click.option(
        "--sendmail",
        type=click.Path(path_type=Path, dir_okay=False),
        default=Path("/etc/mail/sendmail.cf"),
        show_default=True,
        help="Sendmail's sendmail.cf.",
    )
    return postfix(sendmail(command))


def cyrus_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where Cyrus's files are."""
    imapd_conf = click.option(
        "--imapd-conf",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Cyrus's imapd.conf. [default: cyrus.imapd_conf; /etc/imapd.conf if Cyrus is on this machine]",
    )
    cyrus_conf = click.option(
        "--cyrus-conf",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Cyrus's cyrus.conf. [default: cyrus.cyrus_conf; /etc/cyrus.conf if Cyrus is on this machine]",
    )
    return imapd_conf(cyrus_conf(command))
