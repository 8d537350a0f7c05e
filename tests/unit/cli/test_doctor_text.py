"""What doctor prints: findings, what was checked, what to do first."""

from __future__ import annotations

import json

from autocreate.cli.doctor_text import as_json_lines, as_lines
from autocreate.doctor.findings import (
    Checked,
    Finding,
    Part,
    advice,
    critical,
    exit_status,
    warning,
)

GOOD = Checked(Part.CONFIG, "/etc/autocreate/autocreate.toml")
NO_MTA = Checked(Part.POSTFIX, "", (warning("no main.cf", "nothing was checked", "--postfix"),))


def cyrus(*findings: Finding) -> Checked:
    return Checked(Part.CYRUS, "Cyrus at imap.test:143", findings)


def test_without_findings_it_says_what_is_good() -> None:
    assert list(as_lines([GOOD, cyrus()])) == [
        "ok  /etc/autocreate/autocreate.toml",
        "ok  Cyrus at imap.test:143",
        "No problems found.",
    ]
    assert exit_status([GOOD, cyrus()]) == 0


def test_the_first_of_the_gravest_findings_is_to_be_done_first() -> None:
    wrong = cyrus(
        critical("no login", "no mailbox", "imapd.conf: admins: cyrus"), critical("b", "", "c")
    )
    assert list(as_lines([GOOD, NO_MTA, wrong])) == [
        "WARNING: no main.cf",
        "  why:    nothing was checked",
        "  remedy: --postfix",
        "",
        "CRITICAL: no login",
        "  why:    no mailbox",
        "  remedy: imapd.conf: admins: cyrus",
        "",
        "CRITICAL: b",
        "  why:    ",
        "  remedy: c",
        "",
        "ok        /etc/autocreate/autocreate.toml",
        "critical  Cyrus at imap.test:143",
        "",
        "Do this first: imapd.conf: admins: cyrus",
    ]
    assert exit_status([GOOD, NO_MTA, wrong]) == 2
    assert exit_status([GOOD, NO_MTA]) == 1


def test_advice_alone_is_nothing_to_do_first() -> None:
    advised = [cyrus(advice("no [lmtp]", "bounces", "write it"))]
    lines = list(as_lines(advised))
    assert lines[-1] == "advice  Cyrus at imap.test:143"
    assert exit_status(advised) == 0


def test_as_json_a_good_part_has_a_line_too() -> None:
    found = [json.loads(it) for it in as_json_lines([GOOD, NO_MTA])]
    assert found == [
        {"part": "config", "what": "/etc/autocreate/autocreate.toml", "gravity": "ok"},
        {
            "part": "postfix",
            "what": "no main.cf",
            "why": "nothing was checked",
            "remedy": "--postfix",
            "gravity": "warning",
        },
    ]


def test_what_a_server_says_commands_no_terminal() -> None:
    (line, *_) = as_lines([cyrus(warning("says \x1b[2J", "", ""))])
    assert "\x1b" not in line
