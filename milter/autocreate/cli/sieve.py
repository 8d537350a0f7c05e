"""The commands for Sieve scripts: `autocreate sieve check` and `autocreate sieve compile`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autocreate.cli.groups import Group
from autocreate.cli.opening import open_service
from autocreate.cli.options import config_option, json_option
from autocreate.errors import ConfigurationError

if TYPE_CHECKING:
    from autocreate.admin.scripts import CheckedScript
    from autocreate.mailstore.sieve.files import Compiler


@click.group(cls=Group)
def sieve() -> None:
    """Check and compile the Sieve scripts for new users."""


@sieve.command()
@config_option
@json_option
def check(config_path: Path, as_json: bool) -> None:
    """Check that the script of every policy compiles. Changes nothing.

    Asks the compiler of the server: by ManageSieve, or with sievec where scripts are files. With
    --json, a script's state is "compiles", "wrong" or "not checked".

    Exit status: 0 all compile; 65 a script does not compile; 75 temporary failure, try again.
    """
    from autocreate.admin.scripts import check_scripts

    status = 0
    with open_service(config_path) as service:
        checked = list(check_scripts(service))
    if not checked and not as_json:
        click.echo("no policy has a Sieve script")
    for script in checked:
        click.echo(_as_json(script) if as_json else _as_text(script))
        status = max(status, script.exit_status)
    sys.exit(status)


@sieve.command("compile")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False), required=False)
@config_option
def compile_scripts(source: Path | None, target: Path | None, config_path: Path) -> None:
    """Compile SOURCE into TARGET with Cyrus's sievec.

    Without arguments, compiles every script of the configuration that names a file for its bytecode:
    autocreate_sieve_script of imapd.conf into autocreate_sieve_script_compiled, as compile_sieve
    did, and each policy's sieve into sieve_compiled.
    """
    from autocreate.mailstore.sieve.files import Compiler

    if source and target:
        _compile(Compiler(), source, target)
        return
    if source:
        raise click.UsageError("TARGET is missing")
    from autocreate.config import load
    from autocreate.wiring.policies import scripts
    from autocreate.wiring.tools import compiler_of

    config = load(config_path)
    pairs = {(it.source, it.compiled) for _policy, it in scripts(config) if it.compiled}
    if not pairs:
        raise ConfigurationError(
            str(config_path),
            [
                "no script names a file for its bytecode: set autocreate_sieve_script_compiled in "
                "imapd.conf, or sieve_compiled in a policy, or give SOURCE and TARGET"
            ],
        )
    compiler = compiler_of(config)
    for script, compiled in sorted(pairs):
        _compile(compiler, Path(script), Path(compiled))


def _compile(compiler: "Compiler", source: Path, target: Path) -> None:
    from autocreate.admin.scripts import compile_file

    compile_file(compiler, source, target)
    click.echo(f"{source}: compiled into {target}")


def _as_json(script: "CheckedScript") -> str:
    data = {"policy": script.policy, "script": script.source, "state": script.state}
    return json.dumps({**data, "details": script.details})


def _as_text(script: "CheckedScript") -> str:
    from autocreate.admin.scripts import COMPILES, WRONG
    from autocreate.core.printable import printable_lines

    lines: tuple[str, ...] = script.details
    if script.state == COMPILES:
        lines = (COMPILES, *lines)
    elif script.state != WRONG:
        lines = tuple(f"not checked: {line}" for line in lines)
    where = f"policy {script.policy!r}: {script.source}"
    return "\n".join(printable_lines(f"{where}: {line}") for line in lines)
