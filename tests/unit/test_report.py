"""The report: what is added up from the journal, and how it is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from autocreate.admin.report import Report, gather
from autocreate.cli.main import main
from autocreate.cli.reportpage import page
from autocreate.journal import Journal
from autocreate.model import Answer, CreateMailbox, Plan, Recipient, Verdict
from autocreate.statistics import Statistics

from .clock import Clock

HOUR = 3600
NOW = 1_000_000 // HOUR * HOUR
ACCEPTED = Verdict(Answer.ACCEPT, "known to stand", "joe")
CREATED = Verdict(Answer.ACCEPT, "created", "joe", "staff", "students", created=True)
UNKNOWN = Verdict(Answer.UNKNOWN, "no account source knows this user", "nobody")


class Rig:
    """A journal, and processes that count into it at hours before NOW."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(NOW)
        self.journal = Journal(f"sqlite:///{folder}/journal.db", self.clock)

    def see(self, hours_ago: int, verdict: Verdict, recipient: str, client: str = "") -> None:
        self.clock.now = NOW - hours_ago * HOUR
        process = Statistics(self.clock)
        process.count("milter", verdict, 1.0, recipient, client)
        if verdict.created:
            process.created(verdict.policy, recipient.rpartition("@")[2].rstrip(">"))
        process.save(self.journal.tally)

    def report(self, hours: int = 24 * 7) -> Report:
        return gather(self.journal, NOW - hours * HOUR, NOW)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_what_several_processes_saw_adds_up(rig: Rig) -> None:
    for _ in range(2):
        rig.see(1, UNKNOWN, "<info@example.org>", "192.0.2.1")
    rig.see(0, CREATED, "<joe@example.org>")
    found = rig.report()
    assert found.outcomes == {"unknown": 2, "created": 1}
    assert found.reasons == [("unknown", UNKNOWN.reason, 2), ("accept", "created", 1)]
    assert found.total.created == {("students", "example.org"): 1}
    assert found.total.unknown.most() == [("info@example.org", 2)]
    assert found.total.clients.most() == [("192.0.2.1", 2)]


def test_what_lies_farther_back_does_not_count(rig: Rig) -> None:
    rig.see(30, ACCEPTED, "<joe@example.org>")
    rig.see(2, ACCEPTED, "<joe@example.org>")
    assert rig.report(hours=24).outcomes == {"accept": 1}


def test_time_goes_by_in_hours_without_gaps(rig: Rig) -> None:
    rig.see(20, ACCEPTED, "<joe@example.org>")
    rig.see(0, ACCEPTED, "<joe@example.org>")
    slots = rig.report().slots
    assert len(slots) == 21
    assert [slot.begins for slot in slots if slot.outcomes] == [NOW - 20 * HOUR, NOW]


def test_many_hours_are_told_as_days(rig: Rig) -> None:
    rig.see(24 * 20, ACCEPTED, "<joe@example.org>")
    rig.see(0, ACCEPTED, "<joe@example.org>")
    slots = rig.report(hours=24 * 28).slots
    assert {slot.seconds for slot in slots} == {24 * HOUR}
    assert sum(slot.outcomes["accept"] for slot in slots) == 2


def test_dry_run_tells_every_recipient_and_every_tree_once(rig: Rig) -> None:
    plan = Plan("joe", "students", (CreateMailbox(()),))
    would = Verdict(Answer.ACCEPT, "has an account and no mailbox", "joe", "staff", plan=plan)
    for recipient in ("<joe@example.org>", "<joe@example.org>", "<joe+work@example.org>"):
        rig.journal.record(Recipient(recipient), would)
    rig.journal.record(Recipient("<nobody@example.org>"), UNKNOWN)
    found = rig.report().dry_run
    assert found.answers == {"accept": 2, "unknown": 1}
    assert found.trees == {("students", "example.org"): 1}


def test_a_plan_that_only_completes_a_tree_creates_no_mailbox(rig: Rig) -> None:
    plan = Plan("joe", "students", (CreateMailbox(("Sent",)),))
    rig.journal.record(Recipient("<joe@example.org>"), Verdict(Answer.ACCEPT, "", "joe", plan=plan))
    assert rig.report().dry_run.trees == {}


def test_the_page_shows_what_clients_wrote_as_they_wrote_it(rig: Rig) -> None:
    rig.see(0, UNKNOWN, "<<script>alert(1)</script>@example.org>", '"><img src=x>')
    html = page(rig.report())
    assert "<script" not in html
    assert "<img" not in html
    assert "script&gt;alert(1)&lt;/script&gt;@example.org" in html


def test_the_page_asks_for_nothing(rig: Rig) -> None:
    rig.see(0, CREATED, "<joe@example.org>")
    html = page(rig.report())
    assert "default-src 'none'" in html
    for way in ("http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"):
        assert way not in html


def test_a_journal_that_saw_nothing_is_a_page_too(rig: Rig) -> None:
    assert "Nothing was seen" in page(rig.report())


def test_the_command_tells_it_in_words(tmp_path: Path) -> None:
    config = configured(tmp_path)
    with_journal = Journal(f"sqlite:///{tmp_path}/journal.db", time.time)
    process = Statistics()
    process.count("milter", CREATED, 44.0, "<joe@example.org>", "192.0.2.1")
    process.count("milter", UNKNOWN, 1.5, "<nobody@example.org>", "192.0.2.1")
    process.created("students", "example.org")
    process.save(with_journal.tally)
    result = CliRunner().invoke(main, ["report", "--config", str(config)])
    assert result.exit_code == 0, result.output
    _, _, body = result.output.partition("\n")
    assert body == TEXT


def test_a_duration_that_is_none_is_told(tmp_path: Path) -> None:
    arguments = ["report", "--config", str(configured(tmp_path)), "--since", "yesterday"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert '\'yesterday\' is no duration; write it like "24h" or "7d"' in result.output


def configured(folder: Path) -> Path:
    secret = folder / "cyrus.secret"
    secret.touch(mode=0o600)
    secret.write_text("hidden\n")
    (folder / "users").write_text("joe\n")
    config = folder / "autocreate.toml"
    config.write_text(
        f"""
        milter.domains = ["example.org"]
        cyrus.password_file = "{secret}"
        accounts.staff = {{ type = "file", path = "{folder}/users" }}
        journal.url = "sqlite:///{folder}/journal.db"
        """
    )
    return config


TEXT = """
Recipients and logins
  1  accepted, mailbox created
  1  unknown (550)

Why
  1  accepted       created
  1  unknown (550)  no account source knows this user

Mailboxes created
  1  policy students  example.org

Unknown recipients asked for most
  1  nobody@example.org

Clients that asked for them
  1  192.0.2.1

Time until the verdict (median, 95th and 99th percentile)
  1  accepted, mailbox created  35 ms   48 ms   50 ms
  1  unknown (550)              1.5 ms  1.9 ms  2 ms
"""
