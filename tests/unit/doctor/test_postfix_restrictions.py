"""Restrictions that refuse new users before Postfix asks the milter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from autocreate.doctor.findings import Finding, Gravity
from autocreate.doctor.postconf import Postfix
from tests.unit.doctor.examples import GOOD, OURS, SERVICES, examine

RECIPIENT = "smtpd_recipient_restrictions"
VERIFIES = {"hash:/verify": {"example.org": "reject_unverified_recipient"}}


def found(
    restrictions: str, tables: Mapping[str, Mapping[str, str]] | None = None, **changes: str
) -> list[Finding]:
    theirs = {**GOOD, RECIPIENT: restrictions, **changes}
    return examine(Postfix(theirs, SERVICES, lines={RECIPIENT: 7}), OURS, tables)


def test_a_table_that_has_new_users_verified_is_found_with_the_domain() -> None:
    (finding,) = found("permit_mynetworks, check_recipient_access hash:/verify", VERIFIES)
    assert finding.gravity is Gravity.WARNING
    assert finding.what == (
        f"main.cf, line 7: {RECIPIENT} (hash:/verify) has reject_unverified_recipient for example.org"
    )
    assert finding.why == "Postfix asks Cyrus before it asks the milter, and refuses new users"
    assert finding.remedy == (
        "hash:/verify: remove the entry of example.org; for our domains the milter verifies them"
    )


@pytest.mark.parametrize("action", ["REJECT", "reject no such user", "550 5.1.1 unknown"])
def test_a_table_that_refuses_whom_it_does_not_list_is_found(action: str) -> None:
    users = {"hash:/users": {"joe@example.org": "OK", "example.org": action}}
    (finding,) = found("check_recipient_access hash:/users", users)
    assert finding.what == (
        f"main.cf, line 7: {RECIPIENT} (hash:/users) refuses recipients in example.org that are not listed"
    )
    assert finding.remedy == (
        f"main.cf: remove check_recipient_access hash:/users from {RECIPIENT}, unless it lists all accounts"
    )


@pytest.mark.parametrize(
    ("restrictions", "entries"),
    [
        ("check_recipient_access hash:/t", {"elsewhere.test": "reject_unverified_recipient"}),
        ("check_recipient_access hash:/t", {"spamtrap@example.org": "REJECT"}),
        ("check_recipient_access hash:/t", {"example.org": "OK"}),
        ("check_recipient_access hash:/t", {"example.org": "451 4.7.1 later"}),
        ("check_recipient_access hash:/t", {"example.org": "WARN reject_unverified_recipients"}),
        ("check_sender_access hash:/t", {"example.org": "REJECT"}),
        ("warn_if_reject reject_unverified_recipient", {}),
        # A pattern is asked for whole addresses alone.
        ("check_recipient_access regexp:/t", {"example.org": "REJECT"}),
    ],
)
def test_what_does_not_refuse_new_users_is_no_finding(
    restrictions: str, entries: Mapping[str, str]
) -> None:
    table = restrictions.rpartition(" ")[2]
    assert found(restrictions, {table: entries}) == []


def test_the_entry_that_postfix_finds_first_counts() -> None:
    tables = {"hash:/t": {"example.org": "OK", "org": "REJECT"}}
    assert found("check_recipient_access hash:/t", tables) == []
    del tables["hash:/t"]["example.org"]
    assert found("check_recipient_access hash:/t", tables) == []
    parents = {"parent_domain_matches_subdomains": "smtpd_access_maps"}
    assert len(found("check_recipient_access hash:/t", tables, **parents)) == 1


def test_a_class_of_restrictions_is_looked_into_by_name_and_from_a_table() -> None:
    classes = {
        "smtpd_restriction_classes": "verify, loop",
        "verify": "permit_mynetworks, reject_unverified_recipient",
        "loop": "loop, verify",
    }
    (named,) = found("loop", None, **classes)
    assert (
        named.what == f"main.cf, line 7: {RECIPIENT} (loop, verify) has reject_unverified_recipient"
    )
    assert named.remedy == (
        "main.cf: remove reject_unverified_recipient from verify; for our domains the milter verifies them"
    )
    tables = {"hash:/t": {"example.org": "verify"}}
    (from_table,) = found("check_recipient_access hash:/t", tables, **classes)
    assert from_table.what == (
        f"main.cf, line 7: {RECIPIENT} (hash:/t, verify) has reject_unverified_recipient for example.org"
    )


def test_domains_with_the_same_entry_are_one_finding() -> None:
    both = {**GOOD, "virtual_mailbox_domains": "example.org, b.test"}
    theirs = Postfix({**both, RECIPIENT: "check_recipient_access hash:/verify"}, SERVICES)
    ours = replace(OURS, domains=frozenset({"example.org", "b.test"}))
    asks = dict.fromkeys(("example.org", "b.test"), "reject_unverified_recipient")
    (finding,) = examine(theirs, ours, {"hash:/verify": asks})
    assert finding.what.endswith("has reject_unverified_recipient for b.test, example.org")


def test_in_dry_run_a_site_keeps_what_it_has() -> None:
    theirs = Postfix({**GOOD, RECIPIENT: "check_recipient_access hash:/verify"}, SERVICES)
    ours = replace(OURS, is_dry_run=True)
    assert all(RECIPIENT not in it.what for it in examine(theirs, ours, VERIFIES))
