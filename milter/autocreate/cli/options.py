"""Options that commands share."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("/etc/autocreate/autocreate.toml"),
    show_default=True,
    envvar="AUTOCREATE_CONFIG",
    help="The configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
