"""What is wrong in a sendmail.cf."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.doctor import sendmail as sendmail_rules
from autocreate.doctor.findings import Gravity, MilterSettings
from autocreate.doctor.permissions import PathEntry
from tests.unit.doctor.examples import OURS, SOCKET

# As cf/m4/proto.m4 and cf/mailer/cyrusv2.m4 of Sendmail have it.
MAILER = """\
R$+\t\t\t$#cyrusv2 $: $1\t\t\tregular local names
R$+ + *\t\t\t$#cyrusv2 $@ $&h $: $1
Mcyrusv2,\tP=[IPC], F={},
\t\tS=EnvFromSMTP/HdrFromL, R=EnvToL/HdrToL, E=\\r\\n,
"""

SENDMAIL = "O InputMailFilters=autocreate\nXautocreate, S=local:/run/autocreate/milter.sock, {}\n"


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("Kcyrus socket -a<OK> -T<TMPF> local:/run/cyrus/socket/smmap", 1),
        ("#Kcyrus socket -T<TMPF> local:/run/cyrus/socket/smmap", 0),
        ("Kother socket -T<TMPF> local:/run/other", 0),
    ],
)
def test_rules_that_ask_cyrus_before_us_are_critical(line: str, count: int) -> None:
    text = SENDMAIL.format("F=T, T=R:10s") + line + "\n"
    ours = MilterSettings("unix:/run/autocreate/milter.sock", 8.0, OURS.domains, OURS.mailers, "+")
    found = sendmail_rules.examine(text, "sendmail.cf", ours)
    assert [it.gravity for it in found] == [Gravity.CRITICAL] * count
    assert all("map cyrus asks Cyrus" in it.what for it in found)


@pytest.mark.parametrize(
    ("equates", "words"),
    [
        ("F=T, T=C:30s;S:10s;R:10s;E:1m", None),
        ("F=T", None),
        ("T=R:10s", "has no F="),
        ("F=R, T=R:10s", "has F=R"),
        ("F=T, T=C:5m;R:5s", "has 5 s for a reply"),
        ("F=T, T=R:8s", "has 8 s for a reply"),
        ("F=T, T=R:1m", None),
    ],
)
def test_a_mistake_in_sendmail_is_a_finding(equates: str, words: str | None) -> None:
    ours = MilterSettings("unix:/run/autocreate/milter.sock", 8.0, OURS.domains, OURS.mailers, "+")
    found = sendmail_rules.examine(SENDMAIL.format(equates), "sendmail.cf", ours)
    assert [it.gravity for it in found] == ([Gravity.CRITICAL] if words else [])
    assert all(words in it.what for it in found if words)


@pytest.mark.parametrize(
    ("flags", "styles", "matches"),
    [
        ("lsDFMnqXzA@/:|m", {"sendmail", "virtusertable"}, True),
        ("lsDFMnqXzA@/:|m", {"aliases"}, False),
        ("lsDFMnqXzA@/:|m5", {"sendmail"}, False),
        ("lsDFMnqXzA@/:|m5", {"sendmail-5"}, True),
        ("lsDFMnqXz", {"sendmail"}, False),
        ("lsDFMnqXzA@/:|m5", {"virtusertable"}, True),
    ],
)
def test_aliases_must_be_looked_up_as_sendmails_mailer_does(
    flags: str, styles: set[str], matches: bool
) -> None:
    ours = replace(OURS, socket=SOCKET, has_aliases=True, alias_styles=frozenset(styles))
    text = SENDMAIL.format("F=T, T=R:10s").replace("/run/autocreate/milter.sock", SOCKET[5:])
    text += f"O AliasFile=/etc/mail/aliases\n{MAILER.format(flags)}"
    found = sendmail_rules.examine(text, "sendmail.cf", ours)
    assert (found == []) is matches
    assert all(
        it.gravity is Gravity.WARNING and "looks aliases up with style" in it.what for it in found
    )


def test_aliases_of_sendmail_that_autocreate_toml_does_not_have_are_critical() -> None:
    ours = replace(OURS, socket="unix:/run/autocreate/milter.sock")
    text = SENDMAIL.format("F=T, T=R:10s") + "O AliasFile=/etc/mail/aliases\n"
    (finding,) = sendmail_rules.examine(text, "sendmail.cf", ours)
    assert finding.gravity is Gravity.CRITICAL
    assert finding.what == (
        "sendmail.cf: AliasFile=/etc/mail/aliases, and autocreate.toml has no [aliases]"
    )
    assert sendmail_rules.examine(text, "sendmail.cf", replace(ours, has_aliases=True)) == []


def test_a_filter_that_sendmail_defines_but_does_not_use_does_not_count() -> None:
    text = SENDMAIL.format("F=T").replace("InputMailFilters=autocreate", "InputMailFilters=other")
    ours = MilterSettings("unix:/run/autocreate/milter.sock", 8.0, OURS.domains, OURS.mailers, "+")
    (finding,) = sendmail_rules.examine(text, "sendmail.cf", ours)
    assert (
        finding.what == "sendmail.cf: no input mail filter uses the milter's socket " + ours.socket
    )


def test_a_tcp_socket_in_sendmails_syntax_is_found() -> None:
    text = "O InputMailFilters=a\nXa, S=inet:8894@localhost, F=T\n"
    ours = MilterSettings("inet:127.0.0.1:8894", 8.0, OURS.domains, OURS.mailers, "+")
    assert sendmail_rules.examine(text, "sendmail.cf", ours) == []


def test_sendmail_calls_a_socket_below_a_folder_that_others_may_write_unsafe() -> None:
    ours = replace(OURS, socket="unix:/tmp/autocreate/milter.sock")
    tmp = PathEntry("/tmp", 0o1777, 0, 0, is_folder=True)
    socket = PathEntry("/tmp/autocreate/milter.sock", 0o777, 0, 0, is_folder=False)
    (finding,) = sendmail_rules.examine_path([tmp, socket], ours)
    assert finding.what == (
        "others may write to /tmp, and the milter's socket unix:/tmp/autocreate/milter.sock is below it"
    )
    folder = PathEntry("/var/spool/postfix/autocreate", 0o2750, 107, 115, is_folder=True)
    socket = PathEntry(f"{folder.path}/milter.sock", 0o660, 107, 115, is_folder=False)
    assert list(sendmail_rules.examine_path([folder, socket], OURS)) == []


def test_a_milter_that_listens_at_every_address_is_found_by_sendmail() -> None:
    ours = replace(OURS, socket="inet:0.0.0.0:8894")
    text = "O InputMailFilters=a\nXa, S=inet:8894@127.0.0.1, F=T, T=R:10s\n"
    assert sendmail_rules.examine(text, "sendmail.cf", ours) == []
