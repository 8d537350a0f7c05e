"""The report: what is added up from the journal, and how it is shown."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autocreate.cli.main import main
from autocreate.model import DRY_RUN, DRY_RUN_REFUSED, Answer, Recipient, Verdict
from autocreate.report import gather as gather_module
from autocreate.report import words as words_module
from autocreate.report.gather import Report, gather
from autocreate.report.page import page
from autocreate.report.text import data, text
from autocreate.report.words import cells_of, date_and_time, notes
from autocreate.service import journal_hours
from autocreate.service.journal import Journal
from autocreate.service.journal_hours import DAY, HOUR
from autocreate.statistics.recorder import Statistics
from autocreate.tree.actions import CreateMailbox
from autocreate.tree.plan import Plan
from tests.servers.product import COMMAND as AUTOCREATE
from tests.unit.clock import Clock

# Far enough from the epoch for years, and in the middle of a day.
NOW = 20_000 * DAY + 13 * HOUR
ACCEPTED = Verdict(Answer.ACCEPT, "mailbox known to exist", "joe")
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

    def spread(self, days: int) -> None:
        """A recipient each day until NOW, and all that is old enough is in days."""
        for ago in reversed(range(days)):
            self.see(24 * ago, ACCEPTED, "<joe@example.org>")

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


def test_a_recipient_that_the_socket_map_finds_is_counted_once_by_the_milter(rig: Rig) -> None:
    process = Statistics(rig.clock)
    for frontend, verdict in (
        ("socketmap", ACCEPTED),
        ("milter", CREATED),
        ("socketmap", UNKNOWN),
        ("socketmap", Verdict(Answer.TEMPORARY, "the database is away")),
    ):
        process.count(frontend, verdict, 1.0, "joe@example.org")
    process.save(rig.journal.tally)
    assert rig.report().outcomes == {"created": 1, "unknown": 1, "temporary": 1}
    assert {(answer, count) for answer, _, count in rig.report().reasons} == {
        ("accept", 1),
        ("unknown", 1),
        ("temporary", 1),
    }


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


def test_many_hours_are_shown_as_days(rig: Rig) -> None:
    rig.see(24 * 20, ACCEPTED, "<joe@example.org>")
    rig.see(0, ACCEPTED, "<joe@example.org>")
    slots = rig.report(hours=24 * 28).slots
    assert {slot.seconds for slot in slots} == {24 * HOUR}
    assert sum(slot.outcomes["accept"] for slot in slots) == 2


def test_hours_that_became_days_are_shown_with_the_hours_that_did_not(rig: Rig) -> None:
    rig.spread(days=60)
    found = rig.report(hours=24 * 70)
    assert found.outcomes == {"accept": 60}
    assert {slot.seconds for slot in found.slots} == {DAY}
    assert [slot.outcomes["accept"] for slot in found.slots] == [1] * 60
    assert found.days_until is not None
    assert found.days_until % DAY == 0
    html = page(found, "mx1.example.org")
    assert f"<title>{utc(NOW - 59 * DAY)} (UTC): 1 accepted</title>" in html
    assert f"<title>{utc(NOW)} (UTC): 1 accepted</title>" in html


def test_a_week_whose_first_hours_became_days_already_is_shown_as_days(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_hours, "HOURS_LIMIT", 0)
    rig.spread(days=7)
    slots = rig.report(hours=24 * 7).slots
    assert [(slot.seconds, slot.outcomes["accept"]) for slot in slots] == [(DAY, 1)] * 7


def test_more_than_a_year_is_shown_as_weeks_from_monday(rig: Rig) -> None:
    rig.spread(days=500)
    found = rig.report(hours=24 * 499)
    assert sum(slot.outcomes["accept"] for slot in found.slots) == 500
    assert {slot.outcomes["accept"] for slot in found.slots[1:-1]} == {7}
    assert {slot.seconds for slot in found.slots} == {7 * DAY}
    assert {time.strftime("%a", time.gmtime(slot.begins)) for slot in found.slots} == {"Mon"}
    assert f"<title>week of {utc(found.slots[3].begins)} (UTC): 7 accepted</title>" in page(
        found, "mx1.example.org"
    )


def test_what_the_journal_does_not_have_any_more_is_said(rig: Rig) -> None:
    rig.spread(days=60)
    found = rig.report(hours=24 * 365)
    first, hourly = found.begins, found.days_until
    assert first == (NOW - 59 * DAY) // DAY * DAY
    assert hourly is not None
    said = [
        f"The journal has no statistics before {date_and_time(first)}.",
        f"Before {date_and_time(hourly)} the journal has whole days (UTC) only.",
    ]
    assert list(text(found))[1:3] == said
    assert f'<p class="note">{" ".join(said)}</p>' in page(found, "mx1.example.org")
    assert datetime.fromisoformat(data(found)["begins"]).timestamp() == first
    assert datetime.fromisoformat(data(found)["days_until"]).timestamp() == hourly


def test_nothing_is_said_of_a_period_that_the_journal_has_in_hours(rig: Rig) -> None:
    rig.spread(days=60)
    assert notes(rig.report(hours=24 * 20)) == []


def test_dry_run_counts_every_recipient_and_every_tree_once(rig: Rig) -> None:
    plan = Plan("joe", "students", (CreateMailbox(()),))
    would = Verdict(Answer.ACCEPT, "has an account and no mailbox", "joe", "staff", plan=plan)
    for recipient in ("<joe@example.org>", "<joe@example.org>", "<joe+work@example.org>"):
        rig.journal.record(Recipient(recipient), would)
    rig.journal.record(Recipient("<nobody@example.org>"), UNKNOWN)
    found = rig.report().dry_run
    assert found.answers == {"accept": 2, "unknown": 1}
    assert found.trees == {("students", "example.org"): 1}


def test_dry_run_is_counted_apart_by_what_the_mta_did(rig: Rig) -> None:
    rig.see(0, ACCEPTED, "<joe@example.org>")
    rig.see(0, replace(ACCEPTED, suppressed=DRY_RUN), "<joe@example.org>")
    rig.see(0, replace(ACCEPTED, suppressed=DRY_RUN_REFUSED), "<new@example.org>")
    for _ in range(3):
        rig.see(0, replace(UNKNOWN, suppressed=DRY_RUN_REFUSED), "<nobody@example.org>")
    rig.see(0, Verdict(Answer.PASS, "not ours", suppressed=DRY_RUN), "<joe@far.test>")
    found = rig.report()
    assert found.outcomes == {"accept": 1}
    assert [(answer, count) for answer, _, count in found.reasons] == [("accept", 1)]
    assert found.dry_run.cells == {
        (False, "accept"): 1,
        (True, "accept"): 1,
        (True, "unknown"): 3,
    }
    assert next(iter(cells_of(found))) == (("refused", "unknown (550)"), 3)
    html = page(found, "mx1.example.org")
    assert "What the MTA did, and what we would say" in html
    assert "<td>MTA: refused</td><td>milter: unknown (550)</td>" in html


def test_what_dry_run_does_not_have_any_more_is_said(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (gather_module, words_module):
        monkeypatch.setattr(module, "SEEN_LIMIT", 3)
    for number in range(3):
        rig.clock.now = NOW - (3 - number) * HOUR
        rig.journal.record(Recipient(f"<user{number}@example.org>"), UNKNOWN)
    found = rig.report()
    begins = (
        f"Dry run has no recipients before {date_and_time(NOW - 3 * HOUR)}: it keeps the last 3."
    )
    assert begins in notes(found)
    assert datetime.fromisoformat(data(found)["dry_run"]["begins"]).timestamp() == NOW - 3 * HOUR
    assert rig.report(hours=2).dry_run.begins is None


def test_a_plan_that_only_completes_a_tree_creates_no_mailbox(rig: Rig) -> None:
    plan = Plan("joe", "students", (CreateMailbox(("Sent",)),))
    rig.journal.record(Recipient("<joe@example.org>"), Verdict(Answer.ACCEPT, "", "joe", plan=plan))
    assert rig.report().dry_run.trees == {}


def test_the_page_shows_what_clients_wrote_as_they_wrote_it(rig: Rig) -> None:
    rig.see(0, UNKNOWN, "<<script>alert(1)</script>@example.org>", '"><img src=x>')
    html = page(rig.report(), "mx1.example.org")
    assert "<script" not in html
    assert "<img" not in html
    assert "script&gt;alert(1)&lt;/script&gt;@example.<wbr>org" in html


def test_what_was_deferred_has_a_plot_of_its_own(rig: Rig) -> None:
    for _ in range(40):
        rig.see(0, ACCEPTED, "<joe@example.org>")
    rig.see(0, Verdict(Answer.TEMPORARY, "the database is away"), "<joe@example.org>")
    recipients, deferred = plots(page(rig.report(), "mx1.example.org"))[:2]
    assert 'aria-label="Recipients over time"' in recipients
    assert ": 40 accepted</title>" in recipients
    assert "deferred" not in recipients
    assert 'aria-label="Deferred (451) over time"' in deferred
    assert ": 1 deferred (451)</title>" in deferred
    assert "accepted" not in deferred
    # One fills its axis, however many were accepted.
    assert re.findall(r'text-anchor="end">(\d+)<', deferred) == ["0", "1"]


def test_a_site_that_defers_nothing_has_no_plot_of_it(rig: Rig) -> None:
    rig.see(0, ACCEPTED, "<joe@example.org>")
    assert "Deferred (451) over time" not in page(rig.report(), "mx1.example.org")


def test_times_are_shown_from_the_fastest_to_the_slowest(rig: Rig) -> None:
    rig.see(0, ACCEPTED, "<joe@example.org>")  # after 1 ms
    *_, times = plots(page(rig.report(), "mx1.example.org"))
    assert re.findall(r'text-anchor="middle">([^<]+)<', times) == ["1"]


def test_a_plot_says_what_its_columns_are_and_which_is_the_highest(rig: Rig) -> None:
    for hours_ago in (3, 3, 0):
        rig.see(hours_ago, ACCEPTED, "<joe@example.org>")
    rig.see(0, UNKNOWN, "<nobody@example.org>")
    rig.see(3, UNKNOWN, "<nobody@example.org>")
    html = page(rig.report(), "mx1.example.org")
    zone = time.strftime("%Z", time.localtime(NOW))
    said = f"Each column is an hour ({zone}). The highest is 3: {date_and_time(NOW - 3 * HOUR)}."
    assert f'<p class="note">{said}</p>' in html
    rig.spread(days=60)
    assert "Each column is a day of UTC." in page(rig.report(24 * 70), "mx1.example.org")


def test_the_exact_total_of_each_verdict_is_beside_its_colour(rig: Rig) -> None:
    rig.see(0, ACCEPTED, "<joe@example.org>")
    found = rig.report()
    found.total.times["milter", "accept"].counts[3] += 1_234_566
    assert "</svg>accepted <b>1,234,567</b></li>" in page(found, "mx1.example.org")


def test_a_line_may_end_within_a_long_name_between_its_parts_alone(rig: Rig) -> None:
    rig.see(0, UNKNOWN, "<joe.smith&co@example.org>", "2001:db8:1:2:3:44::7777")
    html = page(rig.report(), "mx1.example.org")
    assert "joe.<wbr>smith&amp;co@<wbr>example.<wbr>org" in html
    assert "2001:<wbr>db8:<wbr>1:<wbr>2:<wbr>3:<wbr>44::<wbr>7777" in html


def test_a_verdict_has_one_colour_in_plots_and_lists(rig: Rig) -> None:
    rig.see(0, CREATED, "<joe@example.org>")
    rig.see(0, ACCEPTED, "<joe@example.org>")
    rig.see(0, UNKNOWN, "<nobody@example.org>", "192.0.2.1")
    drawn = set(re.findall(r'<rect class="(\w+)"', page(rig.report(), "mx1.example.org")))
    assert drawn == {"created", "accept", "unknown", "track"}
    for reason, css in (
        ("created", "created"),
        (ACCEPTED.reason, "accept"),
        (UNKNOWN.reason, "unknown"),
    ):
        (row,) = re.findall(
            rf"<tr>(?:(?!</tr>).)*<td>{reason}</td></tr>", page(rig.report(), "mx1.example.org")
        )
        assert f'<rect class="{css}"' in row


def test_a_rounded_figure_has_the_exact_one_beside_it_and_one_is_singular(rig: Rig) -> None:
    for _ in range(3):
        rig.see(0, ACCEPTED, "<joe@example.org>")
    rig.see(0, CREATED, "<joe@example.org>")
    found = rig.report()
    found.total.times["milter", "accept"].counts[3] += 1_234_563
    html = page(found, "mx1.example.org")
    assert "<b>1.23M</b><span>1,234,567 recipients and logins</span>" in html
    assert "<b>1</b><span>mailbox created</span>" in html
    assert "<b>0</b><span>unfinished trees now</span>" in html


def test_the_page_names_its_host_and_the_time_zone(rig: Rig) -> None:
    html = page(rig.report(hours=1), "mx<1>.example.org")
    zone = time.strftime("%Z", time.localtime(NOW))
    period = f"{date_and_time(NOW - HOUR)} to {date_and_time(NOW)} {zone}"
    assert f"<p>{period}, made on mx&lt;1&gt;.example.org</p>" in html


def test_a_period_with_summer_and_winter_names_both_zones(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Athens")
        time.tzset()
        begin = next(text(rig.report(hours=24 * 200)))
    time.tzset()
    assert re.fullmatch(r"From \S+ \S+ (EET|EEST) to \S+ \S+ (EET|EEST)", begin)


def test_the_page_asks_for_nothing(rig: Rig) -> None:
    rig.see(0, CREATED, "<joe@example.org>")
    html = page(rig.report(), "mx1.example.org")
    assert "default-src 'none'" in html
    for way in ("http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"):
        assert way not in html


def test_an_empty_journal_makes_a_page_too(rig: Rig) -> None:
    assert "No statistics for this period" in page(rig.report(), "mx1.example.org")


def plots(html: str) -> list[str]:
    return re.findall(r'<svg class="plot".*?</svg>', html)


def utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def with_mail(folder: Path) -> Path:
    """A site that has seen a little mail: its configuration."""
    config = configured(folder)
    process = Statistics()
    process.count("milter", CREATED, 44.0, "<joe@example.org>", "192.0.2.1")
    process.count("milter", UNKNOWN, 1.5, "<nobody@example.org>", "192.0.2.1")
    process.created("students", "example.org")
    process.save(Journal(f"sqlite:///{folder}/journal.db", time.time).tally)
    return config


def run(config: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["report", "--config", str(config), *options])


def test_the_report_as_text(tmp_path: Path) -> None:
    result = run(with_mail(tmp_path))
    assert result.exit_code == 0, result.output
    _period, begins, body = result.output.split("\n", 2)
    assert re.fullmatch(r"The journal has no statistics before \S+ \d\d:\d\d\.", begins)
    assert body == TEXT


def test_json_has_the_same_figures(tmp_path: Path) -> None:
    result = run(with_mail(tmp_path), "--json", "--since", "1h")
    assert result.exit_code == 0, result.output
    (line,) = result.output.splitlines()
    data = json.loads(line)
    since, until = (datetime.fromisoformat(data.pop(it)) for it in ("since", "until"))
    assert (until - since).total_seconds() == HOUR
    begins = datetime.fromisoformat(data.pop("begins")).timestamp()
    assert begins in (until.timestamp() // HOUR * HOUR, since.timestamp() // HOUR * HOUR)
    times = data.pop("milliseconds")
    assert data == {
        "days_until": None,
        "outcomes": {"created": 1, "unknown": 1},
        "reasons": [
            {"answer": "accept", "reason": "created", "count": 1},
            {"answer": "unknown", "reason": "no account source knows this user", "count": 1},
        ],
        "created": [{"policy": "students", "domain": "example.org", "count": 1}],
        "unknown": [{"recipient": "nobody@example.org", "count": 1}],
        "clients": [{"client": "192.0.2.1", "count": 1}],
        "dry_run": {
            "recipients": [],
            "reasons": [],
            "answers": {},
            "created": [],
            "begins": None,
        },
        "unfinished": 0,
        "left_out": [],
    }
    assert times == {
        "created": {"count": 1, "median": 35.0, "p95": 48.5, "p99": 49.7},
        "unknown": {"count": 1, "median": 1.5, "p95": 1.95, "p99": 1.99},
    }


def test_a_time_beyond_all_bounds_is_no_number_for_programs(tmp_path: Path) -> None:
    config = configured(tmp_path)
    process = Statistics()
    process.count("milter", ACCEPTED, 20_000.0, "<joe@example.org>")
    process.save(Journal(f"sqlite:///{tmp_path}/journal.db", time.time).tally)
    data = json.loads(run(config, "--json").output, parse_constant=pytest.fail)
    assert data["milliseconds"]["accept"]["median"] is None


def test_html_and_json_exclude_each_other(tmp_path: Path) -> None:
    assert run(with_mail(tmp_path), "--json", "--html", str(tmp_path / "a.html")).exit_code == 2


@pytest.mark.parametrize("target", ["nowhere/report.html", "."])
def test_a_page_that_cannot_be_written_ends_with_74_and_its_name(
    tmp_path: Path, target: str
) -> None:
    result = run(with_mail(tmp_path), "--html", str(tmp_path / target))
    assert result.exit_code == 74
    assert result.output.startswith(f"autocreate: {tmp_path / target}: cannot be written: ")
    assert len(result.output.splitlines()) == 1


DAMAGED = [
    "",
    "no JSON",
    "[]",
    "{}",
    '{"kinds": [["milter", "accept"]], "created": [], "times": [], "unknown": {}, "clients": {}}',
    '{"kinds": [["milter", "perhaps", 1]], "created": [], "times": [], "unknown": {}, "clients": {}}',
    '{"kinds": [["milter", "pass", "1"]], "created": [], "times": [], "unknown": {}, "clients": {}}',
    '{"kinds": [], "created": [], "times": [["milter", "accept", 1.0, [1, 2]]], "unknown": {}, "clients": {}}',
    '{"kinds": [], "created": [[1, "x", 1]], "times": [], "unknown": {}, "clients": {}}',
    '{"kinds": [], "created": [], "times": [], "unknown": ["x"], "clients": {}}',
    '{"kinds": [], "created": [], "times": [], "unknown": {"x": null}, "clients": {}}',
    "[" * 100_000,
]


@pytest.mark.parametrize("options", [[], ["--json"], ["--html", "HTML"]], ids=str)
def test_invalid_rows_of_the_journal_are_skipped_with_a_warning(
    tmp_path: Path, options: list[str]
) -> None:
    config = with_mail(tmp_path)
    journal = Journal(f"sqlite:///{tmp_path}/journal.db", time.time)
    hour = int(time.time()) // HOUR * HOUR
    for number, row in enumerate(DAMAGED):
        journal.tally(hour, f"writer {number}", row)
    page = tmp_path / "report.html"
    command = [str(AUTOCREATE), "report", "--config", str(config)]
    done = subprocess.run(
        [*command, *(it.replace("HTML", str(page)) for it in options)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    warnings = done.stderr.splitlines()
    assert len(warnings) == 11
    assert all(it.startswith("autocreate: skipped ") for it in warnings)
    assert f"journal: table hours, hour {hour}: " in warnings[0]
    assert warnings[-1] == f"autocreate: skipped {len(DAMAGED) - 10} more invalid rows"
    if "--json" in options:
        data = json.loads(done.stdout)
        assert data["outcomes"] == {"created": 1, "unknown": 1}
        assert len(data["left_out"]) == len(DAMAGED)
        return
    said = page.read_text() if options else done.stdout
    assert f"Skipped {len(DAMAGED)} invalid rows of the journal" in said
    assert "nobody@example.org" in said
    if not options:
        assert done.stdout.split("\n", 3)[3] == TEXT


def test_invalid_rows_of_dry_run_are_skipped_too(rig: Rig, tmp_path: Path) -> None:
    plan = Plan("joe", "students", (CreateMailbox(()),))
    would = Verdict(Answer.ACCEPT, "has an account and no mailbox", "joe", "staff", plan=plan)
    for recipient in ("joe", "a", "b", "c", "d"):
        rig.journal.record(Recipient(f"<{recipient}@example.org>"), would)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database, database:
        for recipient, change in (
            ("a", "plan = '{'"),
            ("b", "plan = '{}'"),
            ("c", "answer = 'perhaps'"),
            ("d", "last_seen = 'never'"),
        ):
            changed = database.execute(
                f"UPDATE seen SET {change} WHERE recipient LIKE '%{recipient}@example.org%'"
            )
            assert changed.rowcount == 1
    found = rig.report()
    assert len(found.left_out) == 4
    assert found.left_out[0].startswith("table seen, recipient ")
    assert found.dry_run.answers == {"accept": 1}
    assert found.dry_run.trees == {("students", "example.org"): 1}


def test_no_name_in_the_report_begins_a_line_of_its_own_or_commands_the_terminal(
    tmp_path: Path,
) -> None:
    config = configured(tmp_path)
    process = Statistics()
    process.count("milter", UNKNOWN, 1.0, "<a@\x1b[2J\nb>", "192.0.2.1\n  9  \x1b[31m\udce9")
    process.created("p\n\x1b[2J", "d\n\x1b")
    process.save(Journal(f"sqlite:///{tmp_path}/journal.db", time.time).tally)
    result = CliRunner().invoke(main, ["report", "--config", str(config)], color=True)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "  1  192.0.2.1\\n  9  \\x1b[31m\\udce9\n" in result.output
    assert "  1  policy p\\n\\x1b[2J  d\\n\\x1b\n" in result.output
    assert run(config, "--html", str(tmp_path / "a.html")).exit_code == 0


def test_an_invalid_duration_is_an_error(tmp_path: Path) -> None:
    arguments = ["report", "--config", str(configured(tmp_path)), "--since", "yesterday"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert '\'yesterday\' is not a duration: write it like "24h" or "7d"' in result.output


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

Verdicts and reasons
  1  accepted       created
  1  unknown (550)  no account source knows this user

Mailboxes created
  1  policy students  example.org

Most frequent unknown recipients
  1  nobody@example.org

Clients that sent to them most
  1  192.0.2.1

Time until the verdict (median, 95th and 99th percentile)
  1  accepted, mailbox created  35 ms   48 ms   50 ms
  1  unknown (550)              1.5 ms  1.9 ms  2 ms
"""
