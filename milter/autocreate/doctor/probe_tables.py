"""Asks tables of aliases and of domains, and says what is wrong with them: `autocreate aliases check`, `doctor`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from autocreate.aliases.tables import AliasTable
from autocreate.doctor.findings import Finding
from autocreate.doctor.source_report import NOBODY, SourceReport, cannot_tell
from autocreate.domains.syntax import domain_keys
from autocreate.errors import AutocreateError, ConfigurationError, Temporary


def check(
    domains: Mapping[str, Callable[[], AliasTable]], aliases: Mapping[str, Callable[[], AliasTable]]
) -> list[SourceReport]:
    """Ask every table for something that it cannot have.

    Args:
        domains, aliases: what makes each table, by its key. It is closed afterwards.
    """
    return [
        *(examine_domains(key, make) for key, make in domains.items()),
        *(examine_aliases(key, make) for key, make in aliases.items()),
    ]


def findings(
    domains: Mapping[str, Callable[[], AliasTable]], aliases: Mapping[str, Callable[[], AliasTable]]
) -> Iterator[Finding]:
    """Problems of the tables, by the same questions.

    Args:
        domains, aliases: as for `check`.
    """
    for report in check(domains, aliases):
        if report.status:
            yield cannot_tell(report.source, report.lines[-1], "aliases")


def examine_aliases(key: str, make: Callable[[], AliasTable]) -> SourceReport:
    """Ask one table of aliases for a name that nobody has.

    Args:
        key: of the table in the configuration.
        make: makes the table; it is closed afterwards.
    """
    asked = [f"{NOBODY}@{NOBODY}.invalid", NOBODY]
    return _examine(
        key, make, asked, lambda text: f"has an alias for everybody: {NOBODY!r} is {text!r}"
    )


def examine_domains(key: str, make: Callable[[], AliasTable]) -> SourceReport:
    """Ask one table of domains for one that cannot exist (RFC 6761, section 6.4).

    Args:
        key, make: as for `examine_aliases`.
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
    if found.uncertainty:
        lines.append(f"unknown recipients get a temporary error: {found.uncertainty}")
        status = max(status, Temporary.exit_status)
    return SourceReport(key, status, tuple(lines))
