"""What is said of account sources that were asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from autocreate.core.naming import CYRUS_DEFAULTS
from autocreate.doctor import probe_accounts
from autocreate.doctor.findings import Gravity
from autocreate.doctor.source_report import NOBODY, SourceReport
from autocreate.errors import ConfigurationError, Temporary, Unreachable
from autocreate.model import Account


class Source:
    """Knows some users, lists some, and may be down."""

    name = "staff"

    def __init__(
        self, users: Sequence[str] = (), listed: Sequence[str] | None = None, is_down: bool = False
    ) -> None:
        self.has_groups = True
        self.users = set(users)
        self.listed = users if listed is None else listed
        self.is_down = is_down
        self.is_closed = False

    def lookup(self, user: str) -> Account | None:
        if self.is_down:
            raise Unreachable("server down")
        return Account(user, self.name, (("mail", "x"),)) if user in self.users else None

    def groups(self, account: Account) -> frozenset[str]:
        return frozenset({"staff"})

    def names(self) -> Iterator[str]:
        return iter(self.listed)

    def close(self) -> None:
        self.is_closed = True


def examine(source: Source, user: str | None = None) -> SourceReport:
    report = probe_accounts.examine("accounts.staff", lambda: source, CYRUS_DEFAULTS, user)
    assert source.is_closed
    return report


def test_a_source_that_finds_whom_it_lists_has_no_problems() -> None:
    report = examine(Source(["joe"]), "joe")
    assert report.status == 0
    assert "lists users, such as 'joe'" in report.lines
    assert report.lines[-2:] == ("  mail = x", "  groups: staff")


def test_a_user_whom_it_does_not_know_is_exit_status_65() -> None:
    assert examine(Source(["joe"]), "kim").status == 65


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        (Source([NOBODY, "joe"]), 78, f"finds even {NOBODY!r}"),
        (Source([]), 78, "lists nobody"),
        (Source(["joe"], listed=["kim"]), 78, "lists 'kim', but does not find it"),
        (Source(is_down=True), 75, "server down"),
    ],
)
def test_what_is_wrong_is_in_the_report_and_among_the_findings(
    source: Source, status: int, words: str
) -> None:
    report = examine(source)
    assert report.status == status
    assert any(words in line for line in report.lines)
    (finding,) = probe_accounts.findings({"accounts.staff": lambda: source}, CYRUS_DEFAULTS)
    assert f"accounts.staff: {words}" in finding.what or words in finding.what


def test_findings_cover_every_source_whatever_is_wrong_with_the_first() -> None:
    def make() -> Source:
        raise ConfigurationError("accounts.broken", ["url: is not one"])

    down = Source(is_down=True)
    found = probe_accounts.findings(
        {"accounts.broken": make, "accounts.staff": lambda: down}, CYRUS_DEFAULTS
    )
    assert [(it.gravity, it.what) for it in found] == [
        (Gravity.CRITICAL, "accounts.broken cannot tell who exists: url: is not one"),
        (Gravity.CRITICAL, "accounts.staff cannot tell who exists: server down"),
    ]
    assert down.is_closed


def test_one_source_that_knows_the_user_is_enough() -> None:
    def reports(*statuses: int) -> list[SourceReport]:
        return [SourceReport("accounts.it", status, ()) for status in statuses]

    assert probe_accounts.overall(reports(65, 0)) == 0
    assert probe_accounts.overall(reports(65, 65)) == 65
    assert probe_accounts.overall(reports(65, 75, 0)) == 75
    assert probe_accounts.overall([]) == 0


def test_a_lookup_that_fails_for_a_listed_user_alone_is_a_problem_of_that_user() -> None:
    class Picky(Source):
        def lookup(self, user: str) -> Account | None:
            if user == "kim":
                raise Temporary("two entries")
            return super().lookup(user)

    report = examine(Picky(["joe"], listed=["kim"]))
    assert (report.status, report.lines[-1]) == (
        75,
        "lists 'kim', but mail for it is deferred (451): two entries",
    )
