"""The `autocreate` command. What a command needs is imported when it runs, to keep the others fast."""

import errno
import json
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from autocreate.cli.accounts import accounts, cache
from autocreate.cli.aliases import aliases
from autocreate.cli.audit import audit
from autocreate.cli.bulk import apply, provision
from autocreate.cli.explain import explain
from autocreate.cli.options import config_option, json_option, mta_options
from autocreate.cli.report import report
from autocreate.cli.sieve import sieve
from autocreate.cli.verdicts import open_service, show
from autocreate.core.printable import printable
from autocreate.errors import AutocreateError, ConfigurationError

if TYPE_CHECKING:
    from autocreate.service.service import Service
    from autocreate.statistics.recorder import Statistics
    from autocreate.wiring.frontends import FrontEndName

_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Record what would be done, and do nothing."
)
_addresses = click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)


# Seconds for what a command has left under way, such as a tree that is half made.
_TIMEOUT = 2.0


class _Group(click.Group):
    """Ends with the message and the exit status of this program's own errors."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run as a program, which ends though something hangs, such as a look-up in NSS.

        Python itself would wait for it without an end. The journal has what was begun.
        """
        try:
            return super().__call__(*arguments, **named)
        except SystemExit as end:
            until = time.monotonic() + _TIMEOUT
            for thread in threading.enumerate():
                if thread is not threading.main_thread() and not thread.daemon:
                    thread.join(max(0.0, until - time.monotonic()))
                    if thread.is_alive():
                        _end_output()
                        os._exit(end.code if isinstance(end.code, int) else os.EX_SOFTWARE)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AutocreateError as error:
            for line in str(error).splitlines():
                click.echo(f"autocreate: {printable(line)}", err=True)
            ctx.exit(error.exit_status)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever read has read enough; click ends without a word
            click.echo(f"autocreate: cannot go on: {error}", err=True)
            _end_output()
            ctx.exit(os.EX_IOERR)


def _end_output() -> None:
    """Write what is left to be written. What cannot be is let go, or Python would end with a status of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="autocreate-milter")
def main() -> None:
    """Verify a recipient, create its Cyrus mailbox, then accept the mail.

    Exit status: 0 all is well; 65 a recipient is unknown; 69 Cyrus refuses
    its mail for good; 74 what was found cannot be written;
    75 cannot tell now, try again; 78 the configuration is wrong.
    """


main.add_command(accounts)
main.add_command(aliases)
main.add_command(cache)


@main.command()
@config_option
@_dry_run_option
def milter(config_path: Path, dry_run: bool) -> None:
    """Serve Postfix or Sendmail, in the foreground, with the log on stderr.

    SIGHUP or SIGUSR1 reads the configuration anew; SIGTERM finishes what is in progress and ends.
    The socket is not changed by a reload.
    """
    _serve(config_path, dry_run, "milter")


@main.command()
@config_option
@_dry_run_option
@click.option("--pam", is_flag=True, help="Look after the one login that pam_exec(8) tells of.")
def login(config_path: Path, dry_run: bool, pam: bool) -> None:
    """Make mailboxes on login: serve Cyrus in the place of saslauthd, and follow its notifications.

    Signals are as for `milter`. What is read at the start only, autocreate.toml(5) says.

    With --pam it serves nobody, but makes the mailbox of PAM_USER and ends, with success whatever
    comes of it, for no login may fail for want of a mailbox.
    """
    if not pam:
        _serve(config_path, dry_run, "login")

    from autocreate.frontends.pam import look_after

    look_after(os.environ, lambda: _built(config_path, dry_run))


@main.command()
@config_option
@_dry_run_option
def run(config_path: Path, dry_run: bool) -> None:
    """Be both `milter` and `login`, in one process: they share what they know."""
    _serve(config_path, dry_run, "milter", "login")


@main.command()
@_addresses
@config_option
@json_option
@click.option("--mailer", help="As if the MTA had named this transport, as in {rcpt_mailer}.")
def check(addresses: tuple[str, ...], config_path: Path, as_json: bool, mailer: str | None) -> None:
    """Say what the milter would answer to a recipient, and why. Changes nothing."""
    from autocreate.model import Recipient

    with open_service(config_path) as service:
        show(addresses, as_json, lambda it: service.preview(Recipient(it, mailer=mailer)))


@main.command()
@_addresses
@config_option
@json_option
def plan(addresses: tuple[str, ...], config_path: Path, as_json: bool) -> None:
    """Show what `provision` would do. Changes nothing."""
    from autocreate.core.address import parse

    with open_service(config_path) as service:
        show(addresses, as_json, lambda it: service.provision(parse(it), apply=False))


@main.group()
def config() -> None:
    """Look at the configuration."""


@config.command("check")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def config_check(config_path: Path, as_json: bool) -> None:
    """Read the configuration and report every mistake in it. Connects to nothing.

    Says what was taken from imapd.conf, and which of its options nobody heeds; and which Sieve
    scripts do not compile, if Cyrus's compiler is on this machine.
    """
    from autocreate.cli.sieve import doubts
    from autocreate.config import load
    from autocreate.imapdconf.text import as_text

    try:
        settings = load(config_path)
    except ConfigurationError as error:
        if not as_json:
            raise
        told = {"file": str(config_path), "good": False, "problems": error.problems}
        click.echo(json.dumps(told))
        sys.exit(error.exit_status)
    imapd = settings.cyrus.imapd_conf
    taken = as_text(imapd) if imapd else []
    notices = [*(imapd.notices if imapd else ()), *doubts(settings)]
    if as_json:
        found = {
            "file": str(config_path),
            "good": True,
            "problems": [],
            "account_sources": len(settings.accounts),
            "policies": len(settings.policy),
            "mode": settings.milter.mode,
            "imapd_conf": {"file": imapd.path, "taken": taken} if imapd else None,
            "notices": notices,
        }
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{config_path}: good: {len(settings.accounts)} account source(s), "
        f"{len(settings.policy)} policies, mode {settings.milter.mode}"
    )
    for line in taken:
        click.echo(f"{imapd.path if imapd else ''}: {line}")
    for notice in notices:
        click.echo(f"notice: {notice}")


main.add_command(provision)
main.add_command(apply)
main.add_command(audit)
main.add_command(report)
main.add_command(explain)
main.add_command(sieve)


@main.command()
@config_option
@json_option
@mta_options
@click.option(
    "--imapd-conf",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Cyrus's imapd.conf. [default: as cyrus.imapd_conf says; /etc/imapd.conf of a Cyrus on "
    "this machine]",
)
@click.option(
    "--cyrus-conf",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Cyrus's cyrus.conf. [default: likewise]",
)
def doctor(
    config_path: Path,
    as_json: bool,
    postfix: Path,
    sendmail: Path,
    imapd_conf: Path | None,
    cyrus_conf: Path | None,
) -> None:
    """Say what would bite, in the configuration of the MTA, of Cyrus, and in ours.

    Each finding says what is so, why it matters, and what to write where. Looks at the files, knocks
    at our sockets, logs in to Cyrus and ManageSieve as the administrator, and for a user who has
    a mailbox, opens the journal, and asks the account sources and tables of aliases for a name that
    nobody has. Changes nothing. The exit status is that of a monitoring plugin: 0 nothing was found, or
    advice only, 1 warnings, 2 something critical.
    """
    from autocreate.cli.render import finding_as_json, finding_as_text
    from autocreate.doctor.doctor import MtaPaths
    from autocreate.doctor.findings import gravest
    from autocreate.wiring.doctor import CyrusPaths, diagnose

    paths = CyrusPaths(imapd_conf, cyrus_conf)
    findings = diagnose(config_path, MtaPaths(postfix, sendmail), paths)
    for finding in findings:
        click.echo(finding_as_json(finding) if as_json else finding_as_text(finding))
    if not findings and not as_json:
        click.echo("Nothing was found that would bite.")
    sys.exit(gravest(findings))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    For bash: eval "$(autocreate completion bash)"
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None  # Choice admits only the shells that click knows
    click.echo(script(main, {}, "autocreate", "_AUTOCREATE_COMPLETE").source())


@main.command()
@click.argument("section", type=click.Choice(["1", "5"]), default="1")
def man(section: str) -> None:
    """Print a manual page: 1 is the command's, 5 the configuration file's.

    To read it: autocreate man 5 | man -l -
    """
    from autocreate.cli.man import command_page, configuration_page

    page = command_page(main, "autocreate") if section == "1" else configuration_page()
    click.echo(page, nl=False)


def _serve(config_path: Path, dry_run: bool, *names: "FrontEndName") -> NoReturn:
    """Run front ends until this process is told to stop."""
    from autocreate.config import load
    from autocreate.frontends.process import run
    from autocreate.statistics.recorder import Statistics
    from autocreate.wiring.frontends import open_frontends

    statistics = Statistics()

    def service(before: "Service | None" = None) -> "Service":
        return _built(config_path, dry_run, statistics, before)

    with open_frontends(load(config_path), names) as frontends:
        run(frontends, service(), service, statistics)


def _built(
    config_path: Path,
    dry_run: bool,
    statistics: "Statistics | None" = None,
    before: "Service | None" = None,
) -> "Service":
    """The service as the file has it now, logging as the file says."""

    from autocreate import logs
    from autocreate.config import load
    from autocreate.wiring.service import build_service

    config = load(config_path)
    syslog = config.log.socket if config.log.to == "syslog" else None
    configure = partial(logs.configure, config.log.format, config.log.level, syslog=syslog)
    if before is None:
        configure()  # what is built has its say in the log, too
    built = build_service(config, dry_run, statistics, before)
    if before is not None:
        configure()  # not earlier: a reload that fails leaves the log as it was
    return built
