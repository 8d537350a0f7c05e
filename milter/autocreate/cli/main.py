"""The `autocreate` command. A command imports what it needs when it runs, so that the others start fast."""

import errno
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click

from autocreate.cli.accounts import accounts, cache
from autocreate.cli.aliases import aliases
from autocreate.cli.audit import audit
from autocreate.cli.bulk import apply, provision
from autocreate.cli.completion import completion
from autocreate.cli.configuration import config
from autocreate.cli.doctor import doctor
from autocreate.cli.explain import explain
from autocreate.cli.groups import Group
from autocreate.cli.interruption import EXIT_STATUS
from autocreate.cli.journal import journal
from autocreate.cli.opening import open_service
from autocreate.cli.options import config_option, json_option, mailer_option
from autocreate.cli.report import report
from autocreate.cli.serve import login, milter, run
from autocreate.cli.sieve import sieve
from autocreate.cli.status import status
from autocreate.cli.unfinished import unfinished
from autocreate.cli.verdicts import show, show_plans
from autocreate.cli.watch import watch
from autocreate.core.printable import printable
from autocreate.errors import AutocreateError

_addresses = click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)


# Seconds to wait at the end for work in progress, such as a tree that is being created.
_TIMEOUT = 2.0


class _Group(Group):
    """Prints this program's own errors, and exits with their status."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run as a program. It ends even if a thread hangs, for example in an NSS lookup.

        Python would wait for such a thread for ever. The journal has what was begun.
        """
        try:
            return super().__call__(*arguments, **named)
        except SystemExit as end:
            until = time.monotonic() + _TIMEOUT
            for thread in threading.enumerate():
                if thread is not threading.main_thread() and not thread.daemon:
                    thread.join(max(0.0, until - time.monotonic()))
                    if thread.is_alive():
                        _flush_output()
                        os._exit(end.code if isinstance(end.code, int) else os.EX_SOFTWARE)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _flush_output()
            ctx.exit(EXIT_STATUS)
        except AutocreateError as error:
            for line in str(error).splitlines():
                click.echo(f"autocreate: {printable(line)}", err=True)
            ctx.exit(error.exit_status)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader has closed the pipe; click exits silently
            click.echo(f"autocreate: cannot continue: {printable(str(error))}", err=True)
            _flush_output()
            ctx.exit(os.EX_IOERR)


def _flush_output() -> None:
    """Write what is buffered. If that fails, discard it: Python would exit with a status of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="autocreate-milter")
def main() -> None:
    """Verify a recipient, create its Cyrus mailbox, then accept the mail.

    Exit status: 0 success; 65 a recipient is unknown; 69 Cyrus refuses mail for a recipient
    permanently; 74 output could not be written; 75 temporary failure, try again; 78 the configuration
    is wrong; 130 interrupted.
    """


@main.command()
@_addresses
@config_option
@json_option
@mailer_option
def check(addresses: tuple[str, ...], config_path: Path, as_json: bool, mailer: str | None) -> None:
    """Show what the milter would answer for a recipient, and why. Changes nothing."""
    from autocreate.model import Recipient

    with open_service(config_path) as service:
        show(addresses, as_json, lambda it: service.preview(Recipient(it, mailer=mailer)))


@main.command()
@_addresses
@config_option
@json_option
def plan(addresses: tuple[str, ...], config_path: Path, as_json: bool) -> None:
    """Show what `provision` would do. Changes nothing.

    `+` is what would be created, `~` what would be changed; the last line counts both. Nothing is
    ever deleted.
    """
    from autocreate.core.address import parse

    with open_service(config_path) as service:
        show_plans(addresses, as_json, lambda it: service.provision(parse(it), apply=False))


@main.command()
@click.argument("section", type=click.Choice(["1", "5"]), default="1")
def man(section: str) -> None:
    """Print a manual page: 1 for the command, 5 for the configuration file.

    To read it: autocreate man 5 | man -l -
    """
    from autocreate.cli.man import command_page, configuration_page

    page = command_page(main, "autocreate") if section == "1" else configuration_page()
    click.echo(page, nl=False)


for command in (
    *(milter, login, watch, run),
    *(accounts, aliases, cache, completion, config, doctor, journal, sieve),
    *(explain, provision, apply, audit, report, status, unfinished),
):
    main.add_command(command)
