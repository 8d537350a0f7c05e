"""The command that writes a first configuration: `autocreate config init`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from autocreate.cli.interruption import interruptible
from autocreate.cli.options import cyrus_options, mta_options
from autocreate.core.address import normal_domain
from autocreate.core.printable import printable
from autocreate.errors import ConfigurationError, Malformed

if TYPE_CHECKING:
    from autocreate.setup.propose import Questions
    from autocreate.setup.values import Answers
    from autocreate.wiring.setup import Setup


@click.command("init")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("/etc/autocreate/autocreate.toml"),
    show_default=True,
    envvar="AUTOCREATE_CONFIG",
    help="The configuration file to write. Secrets are written beside it.",
)
@click.option("--replace", is_flag=True, help="Replace an existing file, and keep a copy of it.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed.")
@click.option("--apply", "applies", is_flag=True, help="Change the files of the MTA and of Cyrus.")
@click.option("--undo", "undoes", is_flag=True, help="Take back what --apply has changed.")
@click.option(
    "--domain", "domains", multiple=True, help="A domain of yours. Can be given several times."
)
@click.option("--admin", default="", help="The administrator of Cyrus.")
@click.option(
    "--password-file",
    type=click.File(),
    help="A file whose first line is that administrator's password; - for standard input.",
)
@click.option(
    "--accounts",
    default="",
    help="Who has an account: nss, sasldb, or the path of a file with one user in each line.",
)
@mta_options
@cyrus_options
def config_init(
    output: Path,
    replace: bool,
    yes: bool,
    applies: bool,
    undoes: bool,
    domains: tuple[str, ...],
    admin: str,
    password_file: TextIO | None,
    accounts: str,
    postfix: Path,
    sendmail: Path,
    imapd_conf: Path | None,
    cyrus_conf: Path | None,
) -> None:
    """Write a first configuration for this machine, in dry run, and show what the MTA and Cyrus need.

    Looks at Postfix or Sendmail, Cyrus, and the accounts that they know. Asks what it cannot know. Writes
    autocreate.toml, and shows the lines for the MTA and Cyrus as a diff, in the order in which to apply
    them. With --apply it applies them, keeps a copy of each file, and checks Postfix's. --undo restores
    the copies, unless a file was changed since; autocreate.toml and secrets stay.

    An existing autocreate.toml is left alone; --apply then connects the MTA as that file says.
    Running it again changes nothing that is as it should be.

    Exit status: 0 done; 75 the milter does not run yet, so the MTA was left alone; 78 it cannot be done
    so; 130 interrupted.
    """
    from autocreate.doctor.site import CyrusPaths, MtaPaths
    from autocreate.setup.values import Answers
    from autocreate.wiring.setup import Setup

    setup = Setup(output, lambda line: click.echo(printable(line)))
    with interruptible("run it again to go on, or with --undo to take back what was changed"):
        if undoes:
            setup.undo()
            return
        setup.look(MtaPaths(postfix, sendmail), CyrusPaths(imapd_conf, cyrus_conf))
        given = Answers(tuple(map(_domain, domains)), admin, accounts, str(output.parent))
        is_asked = not yes and sys.stdin.isatty()
        if is_asked and output.exists() and not replace and not applies:
            replace = _is_to_replace(output)
        if setup.is_to_write(given, replace, applies):
            _configure(setup, given, is_asked, password_file)
        setup.show()
        if applies:
            setup.apply()


def _configure(
    setup: "Setup", given: "Answers", is_asked: bool, password_file: TextIO | None
) -> None:
    """Write autocreate.toml and the password. All that is asked is asked before."""
    answers = _asked(setup.questions(), given) if is_asked else given
    proposal = setup.propose(answers)
    password = password_file.readline().rstrip("\r\n") if password_file else ""
    if not password and not setup.has_secret():
        password = _password(setup.secret_file)
    setup.write(proposal, password)
    while not setup.log_in() and is_asked:
        password = _ask_unseen("Another password, or nothing to keep this one", "")
        if not password:
            break
        setup.write_password(password)


def _asked(questions: "Questions", given: "Answers") -> "Answers":
    """What the administrator answers. What was given as an option is not asked."""
    from dataclasses import replace

    domains = given.domains
    if not domains and not questions.has_domain_tables:
        words = _ask("Domains whose mailboxes are in Cyrus", " ".join(questions.domains), _domains)
        domains = tuple(words.split())
    admin = given.admin or _ask("Administrator of Cyrus", questions.admin, _name)
    accounts = given.accounts
    if not accounts and questions.found_accounts:
        click.echo(printable(f"Accounts: {questions.found_accounts}"))
    elif not accounts:
        accounts = _ask(
            "Who has an account: nss, sasldb, or the path of a file", questions.accounts, _accounts
        )
    return replace(given, domains=domains, admin=admin, accounts=accounts)


def _is_to_replace(output: Path) -> bool:
    try:
        return click.confirm(f"{output} exists. Replace it, and keep a copy?")
    except click.Abort as error:
        raise KeyboardInterrupt from error


def _ask(question: str, proposed: str, check: Callable[[str], str]) -> str:
    """Ask until the answer is right.

    Raises:
        KeyboardInterrupt: Ctrl-C, or the input ended.
    """
    try:
        return str(click.prompt(question, default=proposed or None, value_proc=check))
    except click.Abort as error:
        raise KeyboardInterrupt from error


def _password(path: Path) -> str:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            str(path),
            [
                "there is no password of Cyrus's administrator yet: run this on a terminal, or give "
                "--password-file FILE"
            ],
        )
    return _ask_unseen("Password of Cyrus's administrator (not shown)")


def _ask_unseen(question: str, proposed: str | None = None) -> str:
    try:
        return str(click.prompt(question, proposed, hide_input=True, show_default=False))
    except click.Abort as error:
        raise KeyboardInterrupt from error


def _domains(words: str) -> str:
    return " ".join(map(_domain, words.replace(",", " ").split()))


def _domain(word: str) -> str:
    try:
        found = normal_domain(word)
    except Malformed as error:
        raise click.UsageError(f"{word!r} is not a domain: {error}") from error
    if "." not in found:
        raise click.UsageError(f"{word!r} is not a domain: write it like example.org")
    return found


def _name(word: str) -> str:
    if not word.strip() or any(it.isspace() for it in word.strip()):
        raise click.UsageError(
            f"{word!r} is not a user of Cyrus: write one of admins in imapd.conf"
        )
    return word.strip()


def _accounts(word: str) -> str:
    if word not in ("nss", "sasldb") and not Path(word).is_file():
        raise click.UsageError(f"{word!r} is neither nss nor sasldb, and there is no such file")
    return word
