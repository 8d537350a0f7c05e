"""What `doctor` says of configurations, judged from what postconf, sendmail.cf and imapd.conf say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.doctor import lmtp as lmtp_rules
from autocreate.doctor import postconf as postconf_rules
from autocreate.doctor import postfix as postfix_rules
from autocreate.doctor import sendmail as sendmail_rules
from autocreate.doctor.endpoints import reaches
from autocreate.doctor.findings import Finding, Gravity, MilterSettings, gravest
from autocreate.doctor.permissions import PathEntry, UnixUser, obstacle
from autocreate.doctor.postconf import Postfix, Service

SOCKET = "unix:/var/spool/postfix/autocreate/milter.sock"
OURS = MilterSettings(SOCKET, 8.0, frozenset({"example.org"}), frozenset({"lmtp", "local"}), "+")
SERVICES = (
    Service("smtp", "inet", True, "smtpd"),
    Service("cleanup", "unix", True, "cleanup"),
    Service("lmtp", "unix", True, "lmtp"),
)
GOOD = {
    "queue_directory": "/var/spool/postfix",
    "smtpd_milters": "{ unix:/autocreate/milter.sock, default_action=tempfail, command_timeout=30s }",
    "non_smtpd_milters": "unix:/autocreate/milter.sock",
    "milter_default_action": "tempfail",
    "milter_command_timeout": "30s",
    "milter_rcpt_macros": "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
    "virtual_mailbox_domains": "example.org",
    "virtual_mailbox_maps": "",
    "virtual_transport": "lmtp:unix:/run/cyrus/socket/lmtp",
    "recipient_delimiter": "+",
    "lmtp_quote_rfc821_envelope": "yes",
    "internal_mail_filter_classes": "bounce, notify",
}


def postfix(**changes: str) -> list[Finding]:
    return postfix_rules.examine(Postfix({**GOOD, **changes}, SERVICES), OURS)


def test_a_good_postfix_has_nothing_that_would_bite() -> None:
    assert postfix() == []
    assert gravest([]) == 0


def test_domains_in_a_table_of_postfix_may_be_those_in_ours() -> None:
    theirs = {
        "virtual_mailbox_domains": "mysql:/etc/postfix/domains.cf",
        "mydestination": "localhost",
        "local_recipient_maps": "unix:passwd.byname",
        "virtual_transport": "dovecot",
    }
    ours = replace(OURS, domains=frozenset(), has_domain_tables=True)
    (found,) = postfix_rules.examine(Postfix({**GOOD, **theirs}, SERVICES), ours)
    assert (
        found.what == "main.cf: virtual_transport is 'dovecot', which is not among milter.mailers"
    )
    assert found.why == "recipients in mysql:/etc/postfix/domains.cf pass unseen"


@pytest.mark.parametrize(
    ("action", "why", "remedy"),
    [
        (
            "accept",
            "everybody is accepted, unknown recipients too",
            "main.cf: default_action=tempfail within the braces of our milter",
        ),
        (
            "Reject",
            "refused for good, also to those who exist",
            "main.cf: default_action=tempfail within the braces of our milter",
        ),
        ("quarantine", "and held: nobody gets it until it is released", "then postsuper -H"),
    ],
)
@pytest.mark.parametrize("place", ["milter_default_action", "within the braces"])
def test_a_default_action_that_harms_mail_is_critical_and_says_how(
    place: str, action: str, why: str, remedy: str
) -> None:
    milters = "unix:/autocreate/milter.sock"
    changes = (
        {"milter_default_action": action}
        if place == "milter_default_action"
        else {"non_smtpd_milters": f"{{ {milters}, default_action={action} }}"}
    )
    (finding,) = postfix(**changes)
    assert finding.gravity is Gravity.CRITICAL
    assert finding.what == f"main.cf: non_smtpd_milters: the default action is {action}"
    assert why in finding.why
    assert remedy in finding.remedy


@pytest.mark.parametrize("action", ["tempfail", "shutdown"])
def test_a_default_action_that_only_delays_mail_is_well(action: str) -> None:
    """The default is tempfail, or from 3.10.8 and 3.11 on shutdown; postconf tells it."""
    milters = "unix:/autocreate/milter.sock"
    assert postfix(milter_default_action=action, smtpd_milters=milters) == []


@pytest.mark.parametrize(
    ("theirs", "ours", "happens"),
    [("yes", False, "accepted, and Cyrus refuses their mail"), ("no", True, "are refused, though")],
)
def test_quotes_about_which_postfix_and_we_disagree_are_critical_in_each_service(
    theirs: str, ours: bool, happens: str
) -> None:
    agreeing = {**GOOD, "lmtp_quote_rfc821_envelope": "yes" if ours else "no"}
    own = {("lmtp/unix", "lmtp_quote_rfc821_envelope"): theirs}
    settings = replace(OURS, quotes_dots=ours)
    assert postfix_rules.examine(Postfix(agreeing, SERVICES), settings) == []
    (found,) = postfix_rules.examine(Postfix(agreeing, SERVICES, own), settings)
    assert found.gravity is Gravity.CRITICAL
    assert found.what.startswith("master.cf, lmtp unix: lmtp_quote_rfc821_envelope is " + theirs)
    assert happens in found.why
    assert found.remedy.endswith(f"= {'true' if theirs == 'yes' else 'false'}")


def test_aliases_that_we_know_of_and_those_of_others_are_well() -> None:
    maps = {"virtual_alias_maps": "hash:/etc/postfix/virtual", "virtual_alias_domains": "b.test"}
    ours = replace(OURS, has_aliases=True, domains=OURS.domains | {"b.test"})
    assert postfix_rules.examine(Postfix({**GOOD, **maps}, SERVICES), ours) == []
    assert postfix(alias_maps="hash:/etc/aliases", mydestination="localhost") == []


@pytest.mark.parametrize(
    ("changes", "gravity", "words"),
    [
        ({"smtpd_milters": ""}, Gravity.CRITICAL, "no smtpd of this Postfix asks our milter"),
        (
            {"virtual_alias_maps": "hash:/etc/postfix/virtual"},
            Gravity.CRITICAL,
            "virtual_alias_maps = hash:/etc/postfix/virtual, and our configuration has no [aliases]",
        ),
        (
            {"mydestination": "example.org", "alias_maps": "hash:/etc/aliases"},
            Gravity.CRITICAL,
            "alias_maps = hash:/etc/aliases, and our configuration has no [aliases]",
        ),
        ({"smtpd_milters": "inet:127.0.0.1:8891"}, Gravity.CRITICAL, "no smtpd of this Postfix"),
        ({"smtpd_milters": SOCKET}, Gravity.CRITICAL, "is chrooted to /var/spool/postfix"),
        ({"non_smtpd_milters": ""}, Gravity.WARNING, "non_smtpd_milters do not name our socket"),
        ({"milter_command_timeout": "5s"}, Gravity.CRITICAL, "command_timeout is 5s"),
        ({"milter_rcpt_macros": "i {rcpt_addr}"}, Gravity.CRITICAL, "lacks {rcpt_mailer}"),
        (
            {"virtual_mailbox_maps": "socketmap:unix:/run/cyrus/socket/smmap:smmapd"},
            Gravity.CRITICAL,
            "asks a server whether the mailbox exists",
        ),
        (
            {"virtual_mailbox_maps": "hash:/etc/postfix/vmailbox"},
            Gravity.WARNING,
            "virtual_mailbox_maps = hash:/etc/postfix/vmailbox",
        ),
        ({"virtual_transport": "cyrus:"}, Gravity.CRITICAL, "'cyrus', which is not among"),
        (
            {"virtual_mailbox_domains": "", "mydestination": "example.org"},
            Gravity.WARNING,
            "local_recipient_maps = proxy:unix:passwd.byname",
        ),
        (
            {"virtual_mailbox_domains": "other.test"},
            Gravity.WARNING,
            "example.org is in none of virtual_mailbox_domains",
        ),
        (
            {"smtpd_recipient_restrictions": "permit_mynetworks, reject_unverified_recipient"},
            Gravity.WARNING,
            "has reject_unverified_recipient",
        ),
        ({"recipient_delimiter": "+-"}, Gravity.WARNING, "recipient_delimiter has '-'"),
        (
            {"lmtp_quote_rfc821_envelope": "no"},
            Gravity.CRITICAL,
            "main.cf: lmtp_quote_rfc821_envelope is no, milter.lmtp_quote_rfc821_envelope true",
        ),
        (
            {"receive_override_options": "no_unknown_recipient_checks,no_milters"},
            Gravity.WARNING,
            "receive_override_options has no_milters",
        ),
    ],
)
def test_what_would_bite_in_postfix(changes: dict[str, str], gravity: Gravity, words: str) -> None:
    changes = {"local_recipient_maps": "proxy:unix:passwd.byname", **changes}
    found = [it for it in postfix(**changes) if words in it.what]
    assert [it.gravity for it in found] == [gravity]
    assert found[0].why
    assert found[0].remedy


def test_a_delimiter_must_be_ours_where_aliases_are_looked_up() -> None:
    changed = Postfix({**GOOD, "recipient_delimiter": ""}, SERVICES)
    assert postfix_rules.examine(changed, OURS) == []
    (found,) = postfix_rules.examine(changed, replace(OURS, has_aliases=True))
    assert (found.gravity, found.what) == (
        Gravity.WARNING,
        "main.cf: recipient_delimiter is '', milter.recipient_delimiter '+'",
    )


@pytest.mark.parametrize(
    ("origins", "changes", "others"),
    [
        ({"example.org"}, {}, None),
        ({"example.org", ""}, {}, "none"),
        ({"other.test"}, {}, "other.test"),
        (set(), {}, None),
        ({""}, {"append_at_myorigin": "no"}, None),
        ({""}, {"myorigin": "/etc/unreadable"}, None),
    ],
)
def test_what_bare_names_mean_must_be_the_same_to_postfix_and_to_our_tables(
    origins: set[str], changes: dict[str, str], others: str | None
) -> None:
    ours = replace(OURS, has_aliases=True, alias_origins=frozenset(origins))
    found = postfix_rules.examine(
        Postfix({**GOOD, "myorigin": "example.org", **changes}, SERVICES), ours
    )
    told = f"main.cf: myorigin is 'example.org', the origin of our tables of aliases: {others}"
    assert [it.what for it in found] == ([told] if others else [])


def test_no_delimiter_is_recommended_that_cyrus_does_not_know() -> None:
    # Ours may agree with Postfix's, as it must for aliases.
    ours = replace(OURS, has_aliases=True, delimiters="-+")
    (found,) = postfix_rules.examine(Postfix({**GOOD, "recipient_delimiter": "+-"}, SERVICES), ours)
    assert found.gravity is Gravity.WARNING
    assert "user-detail never reaches user" in found.why
    assert found.remedy.startswith("main.cf: recipient_delimiter = +,")


def test_the_unix_sockets_by_which_our_mail_is_delivered_are_told() -> None:
    theirs = {
        "virtual_transport": "lmtp:unix:private/lmtp",
        "mydestination": "localhost, example.org",
        "local_transport": "local:$myhostname",
        "mailbox_transport": "lmtp:inet:mail.example.org",
        "relay_domains": "elsewhere.test",
        "relay_transport": "lmtp:unix:/run/relay",
    }
    lmtp = Service("lmtp", "unix", False, "lmtp")
    postfix = Postfix({**GOOD, **theirs}, (*SERVICES[:2], lmtp))
    assert list(postfix_rules.deliveries(postfix, OURS)) == [
        postfix_rules.Delivery(
            "virtual_transport", lmtp, "private/lmtp", "/var/spool/postfix/private/lmtp"
        )
    ]
    without = Postfix({**GOOD, **theirs, "virtual_transport": "gone:unix:/run/x"}, (lmtp,))
    assert list(postfix_rules.deliveries(without, OURS)) == []


def test_a_line_of_master_cf_that_is_too_short_is_no_service() -> None:
    assert postconf_rules.read_services("smtp inet n - y - -\n\n", "3.6") == ()


def test_a_service_of_master_cf_without_milters_is_a_warning() -> None:
    submission = Service("submission", "inet", True, "smtpd")
    overrides = {("submission/inet", "smtpd_milters"): ""}
    found = postfix_rules.examine(Postfix(GOOD, (*SERVICES, submission), overrides), OURS)
    assert [(it.gravity, it.what) for it in found] == [
        (
            Gravity.WARNING,
            f"master.cf, submission inet: its smtpd_milters do not name our socket {SOCKET}",
        )
    ]


def test_what_postconf_prints_is_read() -> None:
    services = postconf_rules.read_services(
        "smtp       inet  n       -       y       -       -       smtpd\n"
        "smtp       unix  -       -       n       -       -       smtp -o syslog_name=x\n",
        "3.6",
    )
    assert services == (
        Service("smtp", "inet", True, "smtpd"),
        Service("smtp", "unix", False, "smtp"),
    )
    assert postconf_rules.read_overrides("submission/inet/smtpd_milters = unix:/x\n") == {
        ("submission/inet", "smtpd_milters"): "unix:/x"
    }
    assert postconf_rules.read_parameters("a = b = c\nempty =\n") == {"a": "b = c", "empty": ""}
    assert [postconf_rules.seconds(it) for it in ("30", "30s", "5m", "1h")] == [30, 30, 300, 3600]


@pytest.mark.parametrize(
    ("level", "is_chrooted"),
    [("3.6", False), ("2", False), ("1", False), ("0", True), ("", True)],
)
def test_a_service_that_does_not_say_is_chrooted_only_below_compatibility_level_1(
    level: str, is_chrooted: bool
) -> None:
    lines = "smtp inet n - - - - smtpd\nlmtp unix - - y - - lmtp\nlocal unix - n n - - local\n"
    services = postconf_rules.read_services(lines, level)
    assert [it.is_chrooted for it in services] == [is_chrooted, True, False]


def said_of(overrides: dict[tuple[str, str], str], **changes: str) -> list[str]:
    """What is found where master.cf has two smtpds and something of its own."""
    submission = Service("submission", "inet", True, "smtpd")
    both = Postfix({**GOOD, **changes}, (*SERVICES, submission), overrides)
    return [it.what for it in postfix_rules.examine(both, OURS)]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "smtpd_recipient_restrictions",
            "permit_mynetworks,reject_unverified_recipient",
            "smtpd_recipient_restrictions has reject_unverified_recipient",
        ),
        (
            "virtual_mailbox_maps",
            "socketmap:unix:/run/cyrus/socket/smmap:smmapd",
            "virtual_mailbox_maps asks a server whether the mailbox exists: "
            "socketmap:unix:/run/cyrus/socket/smmap:smmapd",
        ),
        ("virtual_mailbox_maps", "hash:/x", "virtual_mailbox_maps = hash:/x"),
        ("milter_rcpt_macros", "i", "milter_rcpt_macros lacks {rcpt_mailer}"),
    ],
)
def test_what_would_bite_for_one_service_names_it_and_what_does_for_all_names_main_cf_once(
    name: str, value: str, words: str
) -> None:
    assert said_of({("submission/inet", name): value}) == [f"master.cf, submission inet: {words}"]
    assert said_of({}, **{name: value}) == [f"main.cf: {words}"]
    good = GOOD.get(name, "")
    assert said_of({("submission/inet", name): good}, **{name: value}) == [f"main.cf: {words}"]
    everywhere = {(f"{it}/inet", name): good for it in ("smtp", "submission")}
    assert said_of(everywhere, **{name: value}) == []


def test_recipients_that_are_not_there_are_refused_by_other_restrictions_as_well() -> None:
    verifies = "permit_mynetworks, reject_unverified_recipient"
    for name in ("client", "helo", "sender", "relay", "recipient"):
        (found,) = postfix(**{f"smtpd_{name}_restrictions": verifies})
        assert found.what == f"main.cf: smtpd_{name}_restrictions has reject_unverified_recipient"
    assert postfix(smtpd_helo_restrictions=verifies, smtpd_delay_reject="no") == []
    # By then our milter has been asked.
    assert postfix(smtpd_data_restrictions=verifies) == []


def test_macros_taken_away_from_a_service_that_does_not_ask_us_are_not_ours() -> None:
    overrides = {
        ("submission/inet", "milter_rcpt_macros"): "i",
        ("submission/inet", "smtpd_milters"): "inet:127.0.0.1:8891",
    }
    (found,) = said_of(overrides)
    assert "its smtpd_milters do not name our socket" in found


@pytest.mark.parametrize(
    ("place", "listening", "is_same"),
    [
        ("inet:127.0.0.1:8894", "inet:127.0.0.1:8894", True),
        ("inet:localhost:8894", "inet:127.0.0.1:8894", True),
        ("inet:[::1]:8894", "inet:localhost:8894", True),
        ("inet:[0:0:0:0:0:0:0:1]:8894", "inet:[::1]:8894", True),
        ("inet:127.0.0.1:8894", "inet:0.0.0.0:8894", True),
        ("inet:mx.example.org:8894", "inet:0.0.0.0:8894", True),
        ("inet:localhost:8894", "inet:0.0.0.0:8894", True),
        ("inet:[::1]:8894", "inet:0.0.0.0:8894", False),
        ("inet:[::1]:8894", "inet:[::]:8894", True),
        ("inet:127.0.0.1:8894", "inet:[::]:8894", True),
        ("inet:127.0.0.1:8891", "inet:0.0.0.0:8894", False),
        ("inet:127.0.0.1:8894", "inet:192.0.2.1:8894", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a:8894", "inet:0.0.0.0:8894", False),
    ],
)
def test_who_listens_at_every_address_is_reached_at_any(
    place: str, listening: str, is_same: bool
) -> None:
    assert reaches(place, listening) is is_same


def test_a_milter_that_listens_at_every_address_is_found_by_postfix_and_sendmail() -> None:
    ours = replace(OURS, socket="inet:0.0.0.0:8894")
    milter = dict.fromkeys(("smtpd_milters", "non_smtpd_milters"), "inet:localhost:8894")
    assert postfix_rules.examine(Postfix({**GOOD, **milter}, SERVICES), ours) == []
    text = "O InputMailFilters=a\nXa, S=inet:8894@127.0.0.1, F=T, T=R:10s\n"
    assert sendmail_rules.examine(text, "sendmail.cf", ours) == []


# As cf/m4/proto.m4 and cf/mailer/cyrusv2.m4 of Sendmail have it.
MAILER = """\
R$+\t\t\t$#cyrusv2 $: $1\t\t\tregular local names
R$+ + *\t\t\t$#cyrusv2 $@ $&h $: $1
Mcyrusv2,\tP=[IPC], F={},
\t\tS=EnvFromSMTP/HdrFromL, R=EnvToL/HdrToL, E=\\r\\n,
"""

SENDMAIL = "O InputMailFilters=autocreate\nXautocreate, S=local:/run/autocreate/milter.sock, {}\n"


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
def test_what_would_bite_in_sendmail(equates: str, words: str | None) -> None:
    ours = MilterSettings("unix:/run/autocreate/milter.sock", 8.0, OURS.domains, OURS.mailers, "+")
    found = sendmail_rules.examine(SENDMAIL.format(equates), "sendmail.cf", ours)
    assert [it.gravity for it in found] == ([Gravity.CRITICAL] if words else [])
    assert all(words in it.what for it in found if words)


@pytest.mark.parametrize(
    ("flags", "styles", "is_well"),
    [
        ("lsDFMnqXzA@/:|m", {"sendmail", "virtusertable"}, True),
        ("lsDFMnqXzA@/:|m", {"aliases"}, False),
        ("lsDFMnqXzA@/:|m5", {"sendmail"}, False),
        ("lsDFMnqXzA@/:|m5", {"sendmail-5"}, True),
        ("lsDFMnqXz", {"sendmail"}, False),
        ("lsDFMnqXzA@/:|m5", {"virtusertable"}, True),
    ],
)
def test_aliases_must_be_looked_up_as_sendmails_mailer_has_them(
    flags: str, styles: set[str], is_well: bool
) -> None:
    ours = replace(OURS, socket=SOCKET, has_aliases=True, alias_styles=frozenset(styles))
    text = SENDMAIL.format("F=T, T=R:10s").replace("/run/autocreate/milter.sock", SOCKET[5:])
    text += f"O AliasFile=/etc/mail/aliases\n{MAILER.format(flags)}"
    found = sendmail_rules.examine(text, "sendmail.cf", ours)
    assert (found == []) is is_well
    assert all(it.gravity is Gravity.WARNING and "looked up as style" in it.what for it in found)


def test_aliases_of_sendmail_that_we_do_not_know_are_refused_as_unknown() -> None:
    ours = replace(OURS, socket="unix:/run/autocreate/milter.sock")
    text = SENDMAIL.format("F=T, T=R:10s") + "O AliasFile=/etc/mail/aliases\n"
    (finding,) = sendmail_rules.examine(text, "sendmail.cf", ours)
    assert finding.gravity is Gravity.CRITICAL
    assert finding.what == (
        "sendmail.cf: AliasFile=/etc/mail/aliases, and our configuration has no [aliases]"
    )
    assert sendmail_rules.examine(text, "sendmail.cf", replace(ours, has_aliases=True)) == []


def test_a_filter_that_sendmail_has_and_does_not_use_is_none() -> None:
    text = SENDMAIL.format("F=T").replace("InputMailFilters=autocreate", "InputMailFilters=other")
    ours = MilterSettings("unix:/run/autocreate/milter.sock", 8.0, OURS.domains, OURS.mailers, "+")
    (finding,) = sendmail_rules.examine(text, "sendmail.cf", ours)
    assert finding.what == "sendmail.cf: no input mail filter is at our socket " + ours.socket


def test_sendmail_over_tcp_is_found_by_its_own_way_to_write_it() -> None:
    text = "O InputMailFilters=a\nXa, S=inet:8894@localhost, F=T\n"
    ours = MilterSettings("inet:127.0.0.1:8894", 8.0, OURS.domains, OURS.mailers, "+")
    assert sendmail_rules.examine(text, "sendmail.cf", ours) == []


FOLDER = PathEntry("/var/spool/postfix/autocreate", 0o2750, 107, 115, is_folder=True)
MILTER_SOCKET = PathEntry(f"{FOLDER.path}/milter.sock", 0o660, 107, 115, is_folder=False)


@pytest.mark.parametrize(
    ("person", "kept_out_by"),
    [
        (UnixUser("postfix", 106, frozenset({115})), None),
        (UnixUser("root", 0, frozenset({0})), None),
        (UnixUser("autocreate", 107, frozenset({113})), None),
        (UnixUser("cyrus", 104, frozenset({8})), FOLDER),
    ],
)
def test_who_can_reach_a_socket(person: UnixUser, kept_out_by: PathEntry | None) -> None:
    assert obstacle([FOLDER, MILTER_SOCKET], person) is kept_out_by


def test_the_first_class_that_fits_decides_even_if_a_later_one_would_let_in() -> None:
    owner = UnixUser("autocreate", 107, frozenset({115}))
    closed_to_its_owner = replace(MILTER_SOCKET, mode=0o066)
    assert obstacle([FOLDER, closed_to_its_owner], owner) is closed_to_its_owner
    writers_only = replace(MILTER_SOCKET, mode=0o606)
    assert obstacle([writers_only], UnixUser("postfix", 106, frozenset({115}))) is writers_only


def test_sendmail_distrusts_a_socket_below_a_folder_that_others_may_write() -> None:
    ours = replace(OURS, socket="unix:/tmp/autocreate/milter.sock")
    tmp = PathEntry("/tmp", 0o1777, 0, 0, is_folder=True)
    socket = PathEntry("/tmp/autocreate/milter.sock", 0o777, 0, 0, is_folder=False)
    (finding,) = sendmail_rules.examine_way([tmp, socket], ours)
    assert finding.what == (
        "others may write to /tmp, which our socket unix:/tmp/autocreate/milter.sock is below"
    )
    assert list(sendmail_rules.examine_way([FOLDER, MILTER_SOCKET], OURS)) == []


# -- lmtpd -----------------------------------------------------------------------------------

ASKING = replace(OURS, lmtp="unix:/run/cyrus/socket/lmtp")
VIRTUAL = replace(ASKING, default_domain="example.org")
DELIVERING = (
    *SERVICES,
    Service("lmtp", "unix", False, "lmtp"),
    Service("cyrus", "unix", False, "lmtp"),
)


def lmtpd(ours: MilterSettings, **changes: str) -> list[Finding]:
    return list(lmtp_rules.examine_postfix(Postfix({**GOOD, **changes}, DELIVERING), ours))


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "unix:/run/cyrus/socket/lmtp"),
        ({"virtual_transport": "lmtp:unix:private/lmtp"}, "unix:/var/spool/postfix/private/lmtp"),
        ({"virtual_transport": "cyrus:unix:/run/lmtp"}, "unix:/run/lmtp"),
        ({"virtual_transport": "lmtp:inet:mail.example.org:2003"}, "mail.example.org:2003"),
        ({"virtual_transport": "lmtp:[192.0.2.1]:2003"}, "192.0.2.1:2003"),
        ({"virtual_transport": "lmtp:inet:[2001:db8::1]:24"}, "[2001:db8::1]:24"),
        ({"virtual_transport": "lmtp:mail.example.org, lmtp2.example.org"}, "mail.example.org:24"),
        (
            {"virtual_transport": "lmtp:mail.example.org", "lmtp_tcp_port": "2003"},
            "mail.example.org:2003",
        ),
        (
            {
                "virtual_mailbox_domains": "",
                "mydestination": "example.org",
                "local_transport": "local:$myhostname",
                "mailbox_transport": "lmtp:unix:/run/lmtp",
            },
            "unix:/run/lmtp",
        ),
    ],
)
def test_lmtpd_is_recommended_where_mail_goes_to_it(changes: dict[str, str], address: str) -> None:
    (found,) = lmtpd(OURS, **changes)
    assert found.gravity is Gravity.ADVICE
    assert f'address = "{address}"' in found.remedy
    assert gravest([found]) == 0
    assert lmtpd(ASKING, **changes) == []


@pytest.mark.parametrize(
    "transport",
    ["virtual:", "discard:", "smtp:[mail.example.org]", "", "lmtp:", "lmtp:host:port", "lmtp:a b"],
)
def test_lmtpd_is_not_recommended_where_mail_does_not_go_to_it(transport: str) -> None:
    assert lmtpd(OURS, virtual_transport=transport) == []


@pytest.mark.parametrize(
    ("ours", "maps", "gravity", "words"),
    [
        (VIRTUAL, "", Gravity.WARNING, "has no lmtp_generic_maps, and Cyrus has virtual domains"),
        (replace(VIRTUAL, lowers_domains=True), "", Gravity.CRITICAL, "lowercase_domains is set"),
        (VIRTUAL, "inline:{@example.org=@example.org}", Gravity.ADVICE, "is not set"),
    ],
)
def test_the_default_domain_in_capitals_kills_lmtpd_unless_postfix_lowers_it(
    ours: MilterSettings, maps: str, gravity: Gravity, words: str
) -> None:
    (found,) = lmtpd(ours, lmtp_generic_maps=maps)
    assert (found.gravity, words in found.what) == (gravity, True)
    both = replace(VIRTUAL, lowers_domains=True)
    assert lmtpd(both, lmtp_generic_maps="inline:{@example.org=@example.org}") == []


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ("FILE /run/cyrus/socket/lmtp", "unix:/run/cyrus/socket/lmtp"),
        ("TCP 127.0.0.1 2003", "127.0.0.1:2003"),
        ("TCP mail.example.org", "mail.example.org:24"),
    ],
)
def test_lmtpd_is_recommended_by_sendmails_mailer(arguments: str, address: str) -> None:
    before = "Mlocal, P=/bin/true,\n\t\tA=FILE /run/other\n"
    mailer = f"Mcyrusv2,\tP=[IPC], F=lsDFMnqAw@/:|m,\n\t\tT=DNS/RFC822/SMTP,\n\t\tA={arguments}\n"
    (found,) = lmtp_rules.examine_sendmail(before + mailer, "sendmail.cf", OURS)
    assert f'address = "{address}"' in found.remedy
    assert list(lmtp_rules.examine_sendmail(before + mailer, "sendmail.cf", ASKING)) == []
    assert list(lmtp_rules.examine_sendmail(before, "sendmail.cf", OURS)) == []
