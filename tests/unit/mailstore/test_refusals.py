"""What a server's NO means: its code first, then its words, and whatever else may pass."""

from __future__ import annotations

import pytest

from autocreate.errors import Reason
from autocreate.mailstore.refusals import LoginRefusal, imap_reason, login_refusal, sieve_reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Mailbox does not exist", Reason.MISSING),
        ("Subscribe: Mailbox does not exist", Reason.MISSING),
        ("Quota root does not exist", Reason.MISSING),
        ("[NONEXISTENT] No such mailbox", Reason.MISSING),
        ("Permission denied", Reason.FORBIDDEN),
        ("Subscribe: Permission denied", Reason.FORBIDDEN),
        ("[NOPERM] You may not", Reason.FORBIDDEN),
        ("Mailbox already exists", Reason.EXISTS),
        ("[ALREADYEXISTS] It is there", Reason.EXISTS),
        ("SPECIAL-USE flag conflict", Reason.TAKEN),
        ("Invalid mailbox name", Reason.IMPOSSIBLE),
        ("[CANNOT] Never", Reason.IMPOSSIBLE),
        (" [NOPERM] Mailbox does not exist", Reason.FORBIDDEN),
        ("[USEATTR] Invalid annotation entry", Reason.IMPOSSIBLE),
        ("[cannot] never", Reason.IMPOSSIBLE),
        ("Subscribe: System I/O error", Reason.OTHER),
        ("System I/O error", Reason.OTHER),
        ("[UNAVAILABLE] Later", Reason.OTHER),
        ("[SERVERBUG] Oh", Reason.OTHER),
        ("[INUSE] Locked", Reason.OTHER),
        ("Unknown/invalid partition", Reason.OTHER),
        ("Server(s) unavailable to complete operation", Reason.OTHER),
        ("", Reason.OTHER),
    ],
)
def test_an_imap_servers_no(said: str, reason: Reason) -> None:
    assert imap_reason(said) is reason


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "OVERQUOTA"])
def test_what_may_pass_is_never_final_whatever_the_words(code: str) -> None:
    for words in ("Mailbox does not exist", "Permission denied", "Invalid mailbox name"):
        assert imap_reason(f"[{code}] {words}") is Reason.OTHER


def test_a_code_counts_before_the_words() -> None:
    assert imap_reason("[NOPERM] Mailbox does not exist") is Reason.FORBIDDEN
    assert imap_reason("[SERVERBUG] Mailbox does not exist") is Reason.OTHER


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        ("", "script errors: line 3: syntax error", Reason.IMPOSSIBLE),
        ("WARNINGS", "line 3: syntax error", Reason.IMPOSSIBLE),
        ("QUOTA/MAXSIZE", "Script size is too large", Reason.IMPOSSIBLE),
        ('"QUOTA/MAXSIZE"', "too large", Reason.IMPOSSIBLE),
        ("QUOTA/MAXSCRIPTS", "You are only allowed 5 scripts", Reason.TAKEN),
        ("", "Invalid script name", Reason.IMPOSSIBLE),
        ("NONEXISTENT", "Script does not exist", Reason.MISSING),
        ("QUOTA", "Over quota", Reason.OTHER),
        ("TRYLATER", "busy", Reason.OTHER),
        ("TRYLATER", "Invalid script name", Reason.OTHER),
        ("ALREADYEXISTS", "It is there", Reason.EXISTS),
        ("", "Unable to open script for writing", Reason.OTHER),
        ("", "", Reason.OTHER),
    ],
)
def test_a_managesieve_servers_no(code: str, said: str, reason: Reason) -> None:
    assert sieve_reason(code, said) is reason


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("generic failure", LoginRefusal.NOT_CHECKED),
        ("[UNAVAILABLE] authentication server is away", LoginRefusal.NOT_CHECKED),
        ("[SERVERBUG] oh", LoginRefusal.NOT_CHECKED),
        ("[INUSE] locked", LoginRefusal.NOT_CHECKED),
        ("[contactadmin] please", LoginRefusal.NOT_CHECKED),
        ("AUTHENTICATE command error: BAD", LoginRefusal.NOT_CHECKED),
        ("authentication failure", LoginRefusal.PASSWORD),
        ("[AUTHENTICATIONFAILED] no", LoginRefusal.PASSWORD),
        ("no mechanism available", LoginRefusal.NO_PLAIN),
        ("encryption needed to use mechanism", LoginRefusal.NO_PLAIN),
    ],
)
def test_a_refused_login_is_a_wrong_password_only_if_the_password_was_looked_at(
    said: str, why: LoginRefusal
) -> None:
    assert login_refusal(said) is why
