"""`autocreate aliases`: what to write into [aliases] for an MTA, and whether the tables there answer."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from autocreate.aliases import detect as detection
from autocreate.aliases.tables import AliasTable
from autocreate.doctor.doctor import MtaPaths, read_postfix
from autocreate.doctor.probe_accounts import NOBODY, SourceReport
from autocreate.domains.syntax import domain_keys
from autocreate.errors import AutocreateError, ConfigurationError, Temporary


def detect(mtas: MtaPaths) -> Iterator[str]:
    """Lines of TOML to paste, with comments.

    Raises:
        ConfigurationError: there is no MTA, or its configuration cannot be read.
    """
    found = False
    if (mtas.postfix / "main.cf").exists():
        found = True
        try:
            parameters = read_postfix(mtas.postfix).parameters
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigurationError(str(mtas.postfix), [f"postconf: {error}"]) from error
        tables = detection.from_postfix(parameters, str(mtas.postfix), _read)
        yield from _shown(f"Postfix in {mtas.postfix}", tables)
        if domains := detection.alias_domains(parameters):
            yield f"# milter.domains must have these of virtual_alias_domains: {', '.join(domains)}"
    if mtas.sendmail.exists():
        found = True
        text = _read(str(mtas.sendmail))
        if text is None:
            raise ConfigurationError(str(mtas.sendmail), ["cannot be read"])
        yield from _shown(str(mtas.sendmail), detection.from_sendmail(text, _read))
    if not found:
        raise ConfigurationError(
            str(mtas.postfix),
            [f"no main.cf there, and no {mtas.sendmail}: say where with --postfix or --sendmail"],
        )


def examine(key: str, make: Callable[[], AliasTable]) -> SourceReport:
    """Ask one table for somebody who is not there.

    Args:
        key: of the table in the configuration.
        make: makes the table; it is closed afterwards.
    """
    asked = [f"{NOBODY}@{NOBODY}.invalid", NOBODY]
    return _examine(
        key, make, asked, lambda text: f"has an alias for everybody: {NOBODY!r} is {text!r}"
    )


def examine_domains(key: str, make: Callable[[], AliasTable]) -> SourceReport:
    """Ask one table of domains for one that cannot be there (RFC 6761, section 6.4).

    Args:
        key, make: as for `examine`.
    """
    domain = f"{NOBODY}.invalid"
    return _examine(
        key,
        make,
        domain_keys(domain),
        lambda _: f"has every domain, even {domain!r}: recipients of other sites' would be refused",
        ConfigurationError.exit_status,
    )


def _examine(
    key: str,
    make: Callable[[], AliasTable],
    asked: Sequence[str],
    found_words: Callable[[str], str],
    found_status: int = 0,
) -> SourceReport:
    try:
        table = make()
    except ConfigurationError as error:
        return SourceReport(key, error.exit_status, error.problems)
    begun = time.monotonic()
    try:
        found = table.find(asked)
    except AutocreateError as error:
        return SourceReport(key, error.exit_status, (str(error),))
    finally:
        table.close()
    lines = [f"answers in {(time.monotonic() - begun) * 1000:.1f} ms"]
    status = 0
    if found.position >= 0:
        lines.append(found_words(found.text))
        status = found_status
    if found.doubt:
        lines.append(f"unknown recipients get a temporary error, since: {found.doubt}")
        status = max(status, Temporary.exit_status)
    return SourceReport(key, status, tuple(lines))


def _shown(where: str, tables: list[detection.Proposal]) -> Iterator[str]:
    yield f"# {where}: {len(tables) or 'no'} table{'s' if len(tables) != 1 else ''} of aliases"
    yield from detection.as_toml(tables)


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
