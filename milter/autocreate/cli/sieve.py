"""The commands for Sieve scripts: `autocreate sieve check` and `autocreate sieve compile`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autocreate.cli.options import config_option, json_option
from autocreate.errors import AutocreateError, ConfigurationError, Refused, Temporary

if TYPE_CHECKING:
    from autocreate.config.sections import Config
    from autocreate.mailstore.sieve.files import Compiler

# A script that does not compile is wrong data (sysexits(3)).
_EX_DATAERR = 65


@click.group()
def sieve() -> None:
    """Look after the Sieve scripts that new users get."""


@sieve.command()
@config_option
@json_option
def check(config_path: Path, as_json: bool) -> None:
    """Say of every policy's script whether Cyrus's compiler takes it.

    The compiler of the server is asked: by ManageSieve, or where scripts are files by sievec. For
    programs a script's state is "compiles", "wrong" or "not checked". Exit status: 65 one
    does not compile; 75 cannot tell now.
    """
    from contextlib import closing

    from autocreate import logs
    from autocreate.config import load
    from autocreate.wiring.service import build_service

    settings = load(config_path)
    logs.configure(settings.log.format, "warning")
    status = 0
    with closing(build_service(settings)) as service:
        if not service.scripts() and not as_json:
            click.echo("nobody is given a sieve script")
        for policy, script in service.scripts():
            details: tuple[str, ...]
            try:
                word, details = "compiles", service.check_script(script)
                lines = [word, *details]
            except Refused as refusal:
                word, details = "wrong", (str(refusal),)
                lines = [str(refusal)]
                status = max(status, _EX_DATAERR)
            except Temporary as error:
                word, details = "not checked", (str(error),)
                lines = [f"cannot be checked now: {error}"]
                status = max(status, error.exit_status)
            if as_json:
                told = {"policy": policy, "script": script.source, "state": word}
                click.echo(json.dumps({**told, "details": details}))
            else:
                name = f"policy {policy!r}: {script.source}"
                click.echo("\n".join(f"{name}: {line}" for line in lines))
    sys.exit(status)


@sieve.command("compile")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False), required=False)
@config_option
def compile_scripts(source: Path | None, target: Path | None, config_path: Path) -> None:
    """Compile SOURCE into TARGET with Cyrus's sievec; both may be left out.

    Then every script of the configuration that has a place for what is compiled is compiled:
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

    settings = load(config_path)
    pairs = {(it.source, it.compiled) for _policy, it in scripts(settings) if it.compiled}
    if not pairs:
        raise ConfigurationError(
            str(config_path),
            [
                "no script has a place for what is compiled: write autocreate_sieve_script_compiled "
                "in imapd.conf, or sieve_compiled in a policy, or name SOURCE and TARGET"
            ],
        )
    for script, compiled in sorted(pairs):
        _compile(_compiler(settings), Path(script), Path(compiled))


def doubts(settings: "Config") -> Iterator[str]:
    """What is wrong with the scripts of a configuration, as far as this machine can tell."""
    from autocreate.wiring.policies import scripts

    compiler = _compiler(settings)
    for policy, script in scripts(settings):
        name = f"policy {policy!r}: {script.source}"
        if not compiler.is_here:
            yield f"{name}: not checked, since sievec is not here; see autocreate sieve check"
            continue
        try:
            compiler.compile(script.text)
        except AutocreateError as error:
            yield f"{name}: {error}"


def _compiler(settings: "Config") -> "Compiler":
    from autocreate.mailstore.sieve.files import Compiler

    imapd = settings.cyrus.imapd_conf
    return Compiler(imapd.path if imapd else None)


def _compile(compiler: "Compiler", source: Path, target: Path) -> None:
    from autocreate.mailstore.sieve.files import save

    try:
        text = source.read_bytes()
        try:
            bytecode = compiler.compile(text)
        except Refused as refusal:
            click.echo(f"{source}: {refusal}", err=True)
            sys.exit(_EX_DATAERR)
        save(target, bytecode)
    except OSError as error:
        raise Temporary(f"{error.filename or target}: {error.strerror}") from error
    click.echo(f"{source}: compiled into {target}")
