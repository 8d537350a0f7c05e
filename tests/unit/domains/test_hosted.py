"""Domains in tables: whose recipient it is, what is remembered, and what a table that is away means."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from autocreate.aliases.keys import Style
from autocreate.aliases.resolver import Aliases
from autocreate.aliases.stages import Found, Table
from autocreate.aliases.tables import InstrumentedTable
from autocreate.core.naming import Users
from autocreate.domains.hosted import DomainTables
from autocreate.errors import Temporary
from autocreate.model import Answer
from autocreate.resilience.single_flight import SingleFlight
from tests.unit.clock import Clock
from tests.unit.house import House


class Hosted:
    """A table of domains."""

    def __init__(self, *domains: str, name: str = "it") -> None:
        self.name = name
        self.domains = set(domains)
        self.is_away = False
        self.uncertainty = ""
        self.questions: list[str] = []
        self.when_asked: Callable[[], None] = lambda: None

    def find(self, keys: Sequence[str]) -> Found:
        self.questions.append(keys[0])
        self.when_asked()
        if self.is_away:
            raise Temporary("the database is away")
        for position, key in enumerate(keys):
            if key in self.domains:
                return Found(position, "yes", self.uncertainty if position else "")
        return Found(uncertainty=self.uncertainty)

    def close(self) -> None:
        pass


class Entries:
    """A table of aliases."""

    name = "virtual"

    def __init__(self, **entries: str) -> None:
        self.entries = entries

    def find(self, keys: Sequence[str]) -> Found:
        for position, key in enumerate(keys):
            if text := self.entries.get(key.replace("@", "_at_").replace(".", "_")):
                return Found(position, text)
        return Found()


class Site(House):
    """A service whose domains are in tables, with users joe and kim@hosted.test."""

    def __init__(self, folder: Path, *tables: Hosted, names: Sequence[str] = ()) -> None:
        self.clock = Clock()
        self.tables = DomainTables(
            SingleFlight(4),
            [InstrumentedTable(table, key=f"domains.{table.name}") for table in tables],
            100,
            300.0,
            10.0,
            clock=self.clock,
        )
        entries = Entries(
            sales_at_hosted_test="kim@hosted.test",
            _at_alias_test="@hosted.test",
            list_at_hosted_test="nobody@other.test",
        )
        aliases = Aliases(
            SingleFlight(4),
            [Table("virtual", Style.VIRTUAL, entries.find, domains=frozenset())],
            frozenset(names),
            "+",
            clock=self.clock,
            is_hosted=self.tables.is_hosted,
        )
        super().__init__(
            folder,
            users=Users(virtual_domains=True, default_domain="example.org"),
            accounts={"joe": (), "kim@hosted.test": ()},
            domains=names,
            deadline=2.0,
            aliases=aliases,
            domain_tables=self.tables,
        )


Build = Callable[..., Site]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    sites = []

    def made(*tables: Hosted, names: Sequence[str] = ()) -> Site:
        sites.append(Site(tmp_path, *tables, names=names))
        return sites[-1]

    yield made
    for site in sites:
        site.service.close()


def test_a_recipient_is_ours_whose_domain_a_table_has(build: Build) -> None:
    site = build(Hosted("example.org", "hosted.test"))
    assert site.answer("joe@example.org") is Answer.ACCEPT
    assert site.answer("kim@hosted.test") is Answer.ACCEPT
    assert site.answer("nobody@hosted.test") is Answer.UNKNOWN
    elsewhere = site.verify("joe@elsewhere.test")
    assert (elsewhere.answer, elsewhere.reason) == (
        Answer.PASS,
        "domain 'elsewhere.test' is not ours",
    )


def test_a_domain_that_is_named_is_ours_whatever_the_tables_say(build: Build) -> None:
    table = Hosted()
    site = build(table, names=["example.org"])
    assert site.answer("joe@example.org") is Answer.ACCEPT
    assert table.questions == []


def test_an_alias_to_a_user_of_another_hosted_domain_is_verified(build: Build) -> None:
    site = build(Hosted("alias.test", "hosted.test", "other.test"))
    assert site.answer("kim@alias.test") is Answer.ACCEPT
    assert set(site.store.trees) == {"kim@hosted.test"}
    assert site.answer("nobody@alias.test") is Answer.UNKNOWN
    assert site.answer("list@hosted.test") is Answer.UNKNOWN


def test_with_every_domain_ours_the_tables_say_where_an_alias_leads(build: Build) -> None:
    table = Hosted("hosted.test")
    site = build(table, names=["*"])
    assert site.answer("sales@anywhere.test") is Answer.UNKNOWN
    assert table.questions == []
    assert site.answer("kim@alias.test") is Answer.ACCEPT
    assert site.answer("list@hosted.test") is Answer.PASS  # to other.test, which nobody hosts


def test_an_alias_in_a_hosted_domain_is_ours_whatever_its_mailer(build: Build) -> None:
    site = build(Hosted("alias.test", "hosted.test"))
    assert site.answer("kim@alias.test", "error") is Answer.ACCEPT
    assert site.answer("nobody@alias.test", "error") is Answer.UNKNOWN
    assert site.answer("kim@hosted.test", "error") is Answer.PASS
    far = site.verify("kim@far.test", "smtp")
    assert (far.answer, far.reason) == (Answer.PASS, "mailer 'smtp' is not ours")


@pytest.mark.parametrize("mailer", ["lmtp", "smtp"])
def test_a_table_that_is_down_defers_every_domain_that_no_other_has(
    build: Build, mailer: str
) -> None:
    away = Hosted("example.org")
    away.is_away = True
    site = build(away, Hosted("hosted.test", name="second"))
    verdict = site.verify("joe@example.org", mailer)
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason == "domains.it: the database is away"
    assert site.answer("sales@hosted.test", mailer) is Answer.ACCEPT


def test_a_table_that_is_down_defers_an_alias_that_leads_there(build: Build) -> None:
    away = Hosted()
    away.is_away = True
    site = build(away, names=["alias.test"])
    assert site.answer("kim@alias.test") is Answer.TEMPORARY
    away.is_away, away.domains = False, {"hosted.test"}
    assert site.answer("kim@alias.test") is Answer.ACCEPT


def test_a_line_that_means_nothing_defers_domains_that_are_not_there(
    build: Build,
) -> None:
    table = Hosted("example.org")
    table.uncertainty = "line 3 does not begin with a domain"
    site = build(table)
    assert site.answer("joe@example.org") is Answer.ACCEPT
    verdict = site.verify("joe@hosted.test")
    assert (verdict.answer, verdict.reason) == (
        Answer.TEMPORARY,
        "domains.it: line 3 does not begin with a domain",
    )


def test_a_table_that_hangs_is_waited_for_no_longer_than_the_deadline(build: Build) -> None:
    table, go_on = Hosted("example.org"), threading.Event()
    table.when_asked = lambda: assert_true(go_on.wait(30))
    site = build(table)
    verdict = site.verify("joe@example.org")
    go_on.set()
    assert verdict.answer is Answer.TEMPORARY
    assert "no result within 2.0 s" in verdict.reason


def test_a_defect_in_a_table_is_temporary(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    table = Hosted("example.org")
    table.when_asked = lambda: assert_true(False)
    verdict = build(table).verify("joe@example.org")
    assert verdict.answer is Answer.TEMPORARY
    assert "a defect of this program, in its domains" in caplog.text


def test_a_domain_is_remembered_as_ours_for_longer_than_as_anothers(build: Build) -> None:
    table = Hosted("example.org")
    site = build(table)
    for _ in range(3):
        site.verify("joe@example.org")
        site.verify("joe@elsewhere.test")
    assert table.questions == ["example.org", "elsewhere.test"]
    site.clock.now += 11.0
    site.verify("joe@example.org")
    table.domains.add("elsewhere.test")
    assert site.answer("joe@elsewhere.test") is Answer.UNKNOWN
    assert table.questions == ["example.org", "elsewhere.test", "elsewhere.test"]
    assert site.service.stats()["domains"]["remembered"] == {
        "hosted": {"domains": 2, "seconds": 300.0},
        "other": {"domains": 0, "seconds": 10.0},
        "size": 100,
    }


def test_a_failed_lookup_is_not_remembered(build: Build) -> None:
    table = Hosted("example.org")
    table.is_away = True
    site = build(table)
    assert site.answer("joe@example.org") is Answer.TEMPORARY
    table.is_away = False
    assert site.answer("joe@example.org") is Answer.ACCEPT


def test_what_was_asked_before_everything_was_forgotten_is_not_remembered(build: Build) -> None:
    table = Hosted()
    site = build(table)

    def added_and_cleared() -> None:
        table.when_asked = lambda: None
        site.service.invalidate_accounts()

    table.when_asked = added_and_cleared
    assert site.answer("joe@example.org") is Answer.PASS
    table.domains.add("example.org")
    assert site.answer("joe@example.org") is Answer.ACCEPT


def test_a_verdict_names_the_table_that_was_asked_for_it(build: Build) -> None:
    site = build(Hosted("hosted.test"))
    first = [it.source for it in site.verify("kim@hosted.test").asked]
    again = [it.source for it in site.verify("kim@hosted.test").asked]
    assert first[0] == "domains.it"
    assert "domains.it" not in again


def test_a_malformed_address_in_a_hosted_domain_is_refused_and_names_the_table(
    build: Build,
) -> None:
    verdict = build(Hosted("hosted.test")).verify("ki m@hosted.test")
    assert verdict.answer is Answer.MALFORMED
    assert [it.source for it in verdict.asked] == ["domains.it"]


def test_what_is_no_name_of_a_domain_is_asked_of_no_table(build: Build) -> None:
    table = Hosted()
    site = build(table)
    for domain in ("[192.0.2.1]", "a..b", "exa mple.org", "x" * 300):
        assert site.answer(f"<joe@{domain}>") is Answer.PASS
    assert table.questions == []


def assert_true(what: bool) -> None:
    assert what
