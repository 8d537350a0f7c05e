"""What is said of tables of aliases and of domains that were asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from autocreate.aliases.stages import Found
from autocreate.doctor import probe_tables
from autocreate.doctor.source_report import NOBODY, SourceReport
from autocreate.errors import ConfigurationError, Temporary


class Table:
    """Answers one thing to everything."""

    name = "it"

    def __init__(self, answer: Found | Temporary) -> None:
        self.answer = answer
        self.asked: list[Sequence[str]] = []
        self.is_closed = False

    def find(self, keys: Sequence[str]) -> Found:
        self.asked.append(keys)
        if isinstance(self.answer, Temporary):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.is_closed = True


Examine = Callable[[str, Callable[[], Table]], SourceReport]


@pytest.mark.parametrize("examine", [probe_tables.examine_aliases, probe_tables.examine_domains])
def test_a_table_without_an_entry_is_ok_and_is_closed(examine: Examine) -> None:
    table = Table(Found())
    report = examine("aliases.it", lambda: table)
    assert (report.source, report.status) == ("aliases.it", 0)
    assert "answers in " in report.lines[0]
    assert table.is_closed


def test_nobody_is_asked_for() -> None:
    aliases, domains = Table(Found()), Table(Found())
    probe_tables.check({"domains.it": lambda: domains}, {"aliases.it": lambda: aliases})
    assert aliases.asked == [[f"{NOBODY}@{NOBODY}.invalid", NOBODY]]
    assert list(domains.asked[0]) == [f"{NOBODY}.invalid", ".invalid"]


def test_a_table_of_aliases_may_have_everybody_and_a_table_of_domains_may_not() -> None:
    everything = Table(Found(1, "bob"))
    domains, aliases = probe_tables.check({"d": lambda: everything}, {"a": lambda: everything})
    assert (aliases.status, domains.status) == (0, 78)
    assert f"has an alias for everybody: {NOBODY!r} is 'bob'" in aliases.lines
    assert any("has every domain" in line for line in domains.lines)


@pytest.mark.parametrize("examine", [probe_tables.examine_aliases, probe_tables.examine_domains])
def test_a_table_that_cannot_tell_is_temporary(examine: Examine) -> None:
    down = Table(Temporary("server down"))
    assert examine("it", lambda: down) == SourceReport("it", 75, ("server down",))
    assert down.is_closed


def test_a_table_that_cannot_be_made_is_an_error_of_the_configuration() -> None:
    def make() -> Table:
        raise ConfigurationError("aliases.it", ["url: is not one"])

    report = probe_tables.examine_aliases("aliases.it", make)
    assert report == SourceReport("aliases.it", 78, ("url: is not one",))


def test_findings_are_only_about_tables_with_problems() -> None:
    down, fine = Table(Temporary("server down")), Table(Found())
    found = list(probe_tables.findings({"domains.a": lambda: down}, {"aliases.b": lambda: fine}))
    assert [it.what for it in found] == ["domains.a cannot tell who exists: server down"]
