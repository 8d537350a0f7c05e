"""The commands that serve an MTA and Cyrus: milter, login, run."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from autocreate.cli.options import config_option

if TYPE_CHECKING:
    from autocreate.service.service import Service
    from autocreate.statistics.recorder import Statistics
    from autocreate.watch.watcher import Watched
    from autocreate.wiring.control_sockets import FrontEndName

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Record what would be done, without doing it."
)


@click.command()
@config_option
@dry_run_option
@click.option("--further", "word", hidden=True, help="What the first of several processes gives.")
def milter(config_path: Path, dry_run: bool, word: str | None) -> None:
    """Serve Postfix or Sendmail. Runs in the foreground and logs to stderr.

    SIGHUP or SIGUSR1 reloads the configuration. SIGTERM finishes work in progress, then exits. A
    reload does not change the socket. With milter.processes it starts further processes like itself,
    which reload and exit with it.
    """
    if word is None:
        serve(config_path, dry_run, "milter")
    serve_further(config_path, dry_run, word)


@click.command()
@config_option
@dry_run_option
@click.option("--pam", is_flag=True, help="Handle one login, described by pam_exec(8), and exit.")
def login(config_path: Path, dry_run: bool, pam: bool) -> None:
    """Create mailboxes on login: serve Cyrus in place of saslauthd, and follow its notifications.

    Signals are handled as by `milter`. Settings that need a restart are marked in autocreate.toml(5).

    With --pam, creates the mailbox of PAM_USER and exits. The exit status is always 0: no login may
    fail because a mailbox could not be created.
    """
    if not pam:
        serve(config_path, dry_run, "login")

    from autocreate.frontends.pam import look_after

    look_after(os.environ, lambda: _built(config_path, dry_run))


@click.command()
@config_option
@dry_run_option
def run(config_path: Path, dry_run: bool) -> None:
    """Run `milter` and `login` in one process, with shared caches; and `watch`, if there is [watch].

    With [watch] and without [login], runs `milter` and `watch`.
    """
    from autocreate.config import load

    config = load(config_path)
    names: list[FrontEndName] = ["milter"]
    if config.login or not config.watch:
        names.append("login")
    if config.watch:
        names.append("watch")
    serve(config_path, dry_run, *names)


def serve(config_path: Path, dry_run: bool, *names: "FrontEndName") -> NoReturn:
    """Run front ends until this process is told to stop."""
    from autocreate.config import load
    from autocreate.frontends import process
    from autocreate.statistics.recorder import Statistics
    from autocreate.wiring.frontends import open_frontends, open_further, summary

    statistics = Statistics()
    service = partial(_built, config_path, dry_run, statistics)

    def watched(before: "Service") -> "Watched | None":
        from autocreate.wiring.watch import watched_of

        config = load(config_path)
        if config.watch is None:
            return None
        return watched_of(config, config.watch, dry_run, statistics, before)

    config = load(config_path)
    with open_frontends(config, names, watched) as frontends:
        started = service()
        line = summary(config, names, dry_run)
        further = open_further(config, frontends, _arguments(config_path, dry_run))
        process.run(frontends, started, service, statistics, line, further)


def serve_further(config_path: Path, dry_run: bool, word: str) -> NoReturn:
    """Run a further process of a milter until the first one ends."""
    from autocreate.config import load
    from autocreate.frontends import process
    from autocreate.frontends.processes import Further, FurtherProcesses
    from autocreate.statistics.recorder import Statistics
    from autocreate.wiring.frontends import further_frontends

    statistics = Statistics()
    service = partial(_built, config_path, dry_run, statistics)

    try:
        further = Further.parsed(word)
    except ValueError as error:
        raise click.UsageError("only a milter that runs can start further processes") from error
    further.end_with_the_first()
    with further_frontends(load(config_path), further) as frontends:
        line = f"further process {further.number}"
        none = FurtherProcesses()
        process.run(frontends, service(), service, statistics, line, none, checks_scripts=False)


def _arguments(config_path: Path, dry_run: bool) -> list[str]:
    """Of the command that does what this one does for the MTA."""
    return ["milter", "--config", str(config_path), *(["--dry-run"] if dry_run else [])]


def _built(
    config_path: Path,
    dry_run: bool,
    statistics: "Statistics | None" = None,
    before: "Service | None" = None,
) -> "Service":
    """The service by the file as it is now, with logging as the file says."""
    from autocreate import logs
    from autocreate.config import load
    from autocreate.wiring.service import build_service

    config = load(config_path)
    syslog = config.log.socket if config.log.to == "syslog" else None
    configure = partial(
        logs.configure,
        config.log.format,
        config.log.level,
        syslog=syslog,
        unknown_per_minute=config.milter.share(config.log.unknown_per_minute) or 0,
    )
    if before is None:
        configure()  # first, so that what is logged while the service is built is written, too
    built = build_service(config, dry_run, statistics, before, serves=statistics is not None)
    if before is not None:
        configure()  # last, so that a reload that fails leaves the log as it was
    return built
