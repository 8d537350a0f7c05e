"""What is wrong in a Postfix's configuration, as postconf prints it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autocreate.doctor.findings import Finding, Gravity
from autocreate.doctor.postconf import Postfix, Service
from autocreate.doctor.postfix_transport import Delivery, deliveries
from tests.unit.doctor.examples import GOOD, OURS, SERVICES, SOCKET, examine, routes_of


def postfix(**changes: str) -> list[Finding]:
    return examine(Postfix({**GOOD, **changes}, SERVICES), OURS)


def test_a_good_postfix_has_no_findings() -> None:
    assert postfix() == []


def test_domains_in_a_table_of_postfix_may_be_those_in_ours() -> None:
    theirs = {
        "virtual_mailbox_domains": "mysql:/etc/postfix/domains.cf",
        "mydestination": "localhost",
        "local_recipient_maps": "unix:passwd.byname",
        "virtual_transport": "dovecot",
    }
    ours = replace(OURS, domains=frozenset(), has_domain_tables=True)
    dovecot = Service("dovecot", "unix", False, "lmtp")
    (found,) = examine(Postfix({**GOOD, **theirs}, (*SERVICES, dovecot)), ours)
    assert found.what == "main.cf: virtual_transport is 'dovecot', which is not in milter.mailers"
    assert found.why == "the milter does not check recipients in mysql:/etc/postfix/domains.cf"


@pytest.mark.parametrize(
    ("action", "why", "then"),
    [
        ("accept", "all recipients are accepted, unknown ones too", ""),
        ("Reject", "refused permanently (5xx), even to existing users", ""),
        (
            "quarantine",
            "and held: nobody gets it until it is released",
            "; for held mail, postqueue -p, then postsuper -H QUEUE_ID",
        ),
    ],
)
def test_a_default_action_that_harms_mail_is_critical_and_says_how(
    action: str, why: str, then: str
) -> None:
    milter = "unix:/autocreate/milter.sock"
    (usual,) = postfix(smtpd_milters=milter, milter_default_action=action)
    (own,) = postfix(
        smtpd_milters=f"{{ {milter}, connect_timeout=9s, default_action={action} }}, inet:127.0.0.1:9"
    )
    (local,) = postfix(non_smtpd_milters=f"{{ {milter}, default_action={action} }}")
    for finding in (usual, own, local):
        assert finding.gravity is Gravity.CRITICAL
        assert why in finding.why
    assert (usual.what, usual.remedy) == (
        f"main.cf: milter_default_action: the default action is {action}",
        f"main.cf: milter_default_action = tempfail{then}",
    )
    assert (own.what, own.remedy) == (
        f"main.cf: smtpd_milters: the default action is {action}",
        f"main.cf: smtpd_milters = {{ {milter}, connect_timeout=9s, default_action=tempfail }}, "
        f"inet:127.0.0.1:9; main.cf: non_smtpd_milters = $smtpd_milters{then}",
    )
    assert (local.what, local.remedy) == (
        f"main.cf: non_smtpd_milters: the default action is {action}",
        f"main.cf: non_smtpd_milters = {{ {milter}, default_action=tempfail }}{then}",
    )


def test_what_both_lists_of_milters_have_wrong_is_one_finding() -> None:
    for wrong in (
        "{ unix:/autocreate/milter.sock, command_timeout=5s }",
        "{ unix:/autocreate/milter.sock, default_action=accept }",
        "unix:/autocreate/wrong.sock",
        SOCKET,  # the path that it does not have in the chroot
    ):
        (found,) = postfix(smtpd_milters=wrong, non_smtpd_milters=wrong)
        assert found.remedy.endswith("; main.cf: non_smtpd_milters = $smtpd_milters")


def test_other_milters_stay_where_ours_is_named_wrongly() -> None:
    dkim = "inet:127.0.0.1:8891"
    found = postfix(smtpd_milters=f"{dkim}, unix:/run/autocreate/milter.sock")
    assert found[0].what == (
        "no smtpd of this Postfix asks the milter; main.cf: smtpd_milters = "
        f"{dkim}, unix:/run/autocreate/milter.sock"
    )
    assert found[0].remedy.startswith(
        f"main.cf: smtpd_milters = {dkim}, {{ unix:/autocreate/milter.sock, "
    )


@pytest.mark.parametrize("action", ["tempfail", "shutdown"])
def test_a_default_action_that_only_delays_mail_is_no_finding(action: str) -> None:
    """The default is tempfail, or from 3.10.8 and 3.11 on shutdown; postconf tells it."""
    milters = "unix:/autocreate/milter.sock"
    assert postfix(milter_default_action=action, smtpd_milters=milters) == []


@pytest.mark.parametrize(
    ("theirs", "ours", "happens"),
    [("yes", False, "accepted, and Cyrus refuses their mail"), ("no", True, "are refused, though")],
)
def test_quoting_that_differs_from_autocreate_toml_is_critical_in_each_service(
    theirs: str, ours: bool, happens: str
) -> None:
    agreeing = {**GOOD, "lmtp_quote_rfc821_envelope": "yes" if ours else "no"}
    own = {("lmtp/unix", "lmtp_quote_rfc821_envelope"): theirs}
    settings = replace(OURS, quotes_dots=ours)
    assert examine(Postfix(agreeing, SERVICES), settings) == []
    (found,) = examine(Postfix(agreeing, SERVICES, own), settings)
    assert found.gravity is Gravity.CRITICAL
    assert found.what.startswith("master.cf, lmtp unix: lmtp_quote_rfc821_envelope is " + theirs)
    assert happens in found.why
    assert found.remedy.endswith(f"= {'true' if theirs == 'yes' else 'false'}")


def test_aliases_that_the_milter_knows_and_those_of_other_domains_are_no_findings() -> None:
    maps = {"virtual_alias_maps": "hash:/etc/postfix/virtual", "virtual_alias_domains": "b.test"}
    ours = replace(OURS, has_aliases=True, domains=OURS.domains | {"b.test"})
    assert examine(Postfix({**GOOD, **maps}, SERVICES), ours) == []
    assert postfix(alias_maps="hash:/etc/aliases", mydestination="localhost") == []


@pytest.mark.parametrize(
    ("changes", "gravity", "words"),
    [
        ({"smtpd_milters": ""}, Gravity.CRITICAL, "no smtpd of this Postfix asks the milter"),
        (
            {"virtual_alias_maps": "hash:/etc/postfix/virtual"},
            Gravity.CRITICAL,
            "virtual_alias_maps = hash:/etc/postfix/virtual, and autocreate.toml has no [aliases]",
        ),
        (
            {"mydestination": "example.org", "alias_maps": "hash:/etc/aliases"},
            Gravity.CRITICAL,
            "alias_maps = hash:/etc/aliases, and autocreate.toml has no [aliases]",
        ),
        ({"smtpd_milters": "inet:127.0.0.1:8891"}, Gravity.CRITICAL, "no smtpd of this Postfix"),
        ({"smtpd_milters": SOCKET}, Gravity.CRITICAL, "is chrooted to /var/spool/postfix"),
        (
            {"non_smtpd_milters": ""},
            Gravity.WARNING,
            "non_smtpd_milters do not name the milter's socket",
        ),
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
        (
            {"virtual_transport": "cyrus:"},
            Gravity.CRITICAL,
            "virtual_transport is 'cyrus', and master.cf has no such service",
        ),
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
        (
            {"recipient_delimiter": "", "virtual_mailbox_maps": "hash:/etc/postfix/vmailbox"},
            Gravity.WARNING,
            "recipient_delimiter is empty, and main.cf: virtual_mailbox_maps lists recipients",
        ),
        ({"lmtp_rcpt_timeout": "5s"}, Gravity.WARNING, "main.cf: lmtp_rcpt_timeout is 5s"),
        ({"lmtp_data_done_timeout": "30s"}, Gravity.WARNING, "lmtp_data_done_timeout is 30s"),
        ({"recipient_delimiter": "+-"}, Gravity.WARNING, "recipient_delimiter has '-'"),
        (
            {"lmtp_quote_rfc821_envelope": "no"},
            Gravity.CRITICAL,
            "main.cf: lmtp_quote_rfc821_envelope is no, milter.lmtp_quote_rfc821_envelope is true",
        ),
        (
            {"receive_override_options": "no_unknown_recipient_checks,no_milters"},
            Gravity.CRITICAL,
            "no smtpd of this Postfix asks the milter; main.cf: receive_override_options has no_milters",
        ),
    ],
)
def test_a_mistake_in_postfix_is_a_finding(
    changes: dict[str, str], gravity: Gravity, words: str
) -> None:
    changes = {"local_recipient_maps": "proxy:unix:passwd.byname", **changes}
    found = [it for it in postfix(**changes) if words in it.what]
    assert [it.gravity for it in found] == [gravity]
    assert found[0].why
    assert found[0].remedy


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        ("", ["virtual_mailbox_maps is empty, and the milter is in dry run"]),
        ("hash:/etc/postfix/vmailbox", []),
        ("socketmap:unix:/run/cyrus/socket/smmap:smmapd", []),
    ],
)
def test_in_dry_run_the_sites_own_maps_stay(maps: str, words: list[str]) -> None:
    changes = {
        "virtual_mailbox_maps": maps,
        "smtpd_recipient_restrictions": "reject_unverified_recipient",
    }
    found = examine(Postfix({**GOOD, **changes}, SERVICES), replace(OURS, is_dry_run=True))
    assert [it.what for it in found] == [f"main.cf: {it}" for it in words]
    assert {it.gravity for it in found} <= {Gravity.WARNING}


@pytest.mark.parametrize("listed", ["/etc/postfix/alias-domains", "hash:/etc/postfix/virtual"])
def test_a_domain_that_only_has_aliases_may_be_in_a_table_or_a_file(listed: str) -> None:
    ours = replace(OURS, domains=OURS.domains | {"b.test"}, has_aliases=True)
    theirs = Postfix({**GOOD, "virtual_alias_domains": listed}, SERVICES)
    assert examine(theirs, ours) == []


def test_delimiters_must_match_where_aliases_are_looked_up() -> None:
    changed = Postfix({**GOOD, "recipient_delimiter": ""}, SERVICES)
    assert examine(changed, OURS) == []
    (found,) = examine(changed, replace(OURS, has_aliases=True))
    assert (found.gravity, found.what) == (
        Gravity.WARNING,
        "main.cf: recipient_delimiter is '', milter.recipient_delimiter is '+'",
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
def test_the_origin_of_names_without_a_domain_must_match_postfix(
    origins: set[str], changes: dict[str, str], others: str | None
) -> None:
    ours = replace(OURS, has_aliases=True, alias_origins=frozenset(origins))
    found = examine(Postfix({**GOOD, "myorigin": "example.org", **changes}, SERVICES), ours)
    told = f"main.cf: myorigin is 'example.org', the origin of alias tables in autocreate.toml: {others}"
    assert [it.what for it in found] == ([told] if others else [])


def test_only_delimiters_that_cyrus_knows_are_recommended() -> None:
    # Ours may agree with Postfix's, as it must for aliases.
    ours = replace(OURS, has_aliases=True, delimiters="-+")
    (found,) = examine(Postfix({**GOOD, "recipient_delimiter": "+-"}, SERVICES), ours)
    assert found.gravity is Gravity.WARNING
    assert "user-detail never reaches user" in found.why
    assert found.remedy.startswith("main.cf: recipient_delimiter = +,")


def test_the_unix_sockets_to_which_our_mail_is_delivered_are_found() -> None:
    theirs = {
        "virtual_transport": "lmtp:unix:private/lmtp",
        "relay_domains": "elsewhere.test",
        "relay_transport": "lmtp:unix:/run/relay",
    }
    lmtp = Service("lmtp", "unix", False, "lmtp")
    settings = Postfix({**GOOD, **theirs}, (*SERVICES[:2], lmtp))
    assert list(deliveries(settings, routes_of(settings))) == [
        Delivery(
            settings.setting("virtual_transport"),
            lmtp,
            "private/lmtp",
            "/var/spool/postfix/private/lmtp",
        )
    ]
    without = Postfix({**GOOD, **theirs, "virtual_transport": "gone:unix:/run/x"}, (lmtp,))
    assert list(deliveries(without, routes_of(without))) == []


@pytest.mark.parametrize(
    ("socket", "is_chrooted", "written", "first"),
    [
        (
            "unix:/var/spool/postfix/autocreate/milter.sock",
            True,
            "unix:/autocreate/milter.sock",
            "",
        ),
        (
            "unix:/var/spool/postfix/autocreate/milter.sock",
            False,
            "unix:autocreate/milter.sock",
            "",
        ),
        ("unix:/run/autocreate/milter.sock", False, "unix:/run/autocreate/milter.sock", ""),
        (
            "unix:/run/autocreate/milter.sock",
            True,
            "unix:autocreate/milter.sock",
            "install -d -o autocreate -g postfix -m 2750 /var/spool/postfix/autocreate; "
            'autocreate.toml: milter.socket = "unix:/var/spool/postfix/autocreate/milter.sock"; ',
        ),
        ("inet:127.0.0.1:8891", True, "inet:127.0.0.1:8891", ""),
        ("fd:3", True, "", ""),
    ],
)
def test_the_remedy_names_the_socket_as_the_service_sees_it(
    socket: str, is_chrooted: bool, written: str, first: str
) -> None:
    asking = (replace(it, is_chrooted=is_chrooted) for it in SERVICES[:2])
    theirs = Postfix({**GOOD, "smtpd_milters": ""}, (*asking, *SERVICES[2:]))
    found = examine(theirs, replace(OURS, socket=socket))
    assert found[0].what == "no smtpd of this Postfix asks the milter"
    assert found[0].remedy == (
        f"{first}main.cf: smtpd_milters = {{ {written}, default_action=tempfail }}; "
        "main.cf: non_smtpd_milters = $smtpd_milters"
        if written
        else "main.cf: smtpd_milters with the milter's socket"
    )


def test_a_chrooted_cleanup_that_cannot_see_the_socket_is_a_warning() -> None:
    (found,) = postfix(non_smtpd_milters=SOCKET)
    assert found.gravity is Gravity.WARNING
    assert found.what.startswith("master.cf, cleanup unix: cleanup is chrooted to ")
    assert found.remedy == (
        "main.cf: smtpd_milters = { unix:/autocreate/milter.sock, default_action=tempfail }; "
        "main.cf: non_smtpd_milters = $smtpd_milters"
    )


def test_a_service_of_master_cf_without_milters_is_a_warning() -> None:
    submission = Service("submission", "inet", True, "smtpd")
    overrides = {("submission/inet", "smtpd_milters"): ""}
    found = examine(Postfix(GOOD, (*SERVICES, submission), overrides), OURS)
    assert [(it.gravity, it.what) for it in found] == [
        (
            Gravity.WARNING,
            f"master.cf, submission inet: its smtpd_milters do not name the milter's socket {SOCKET}",
        )
    ]


def found_in(overrides: dict[tuple[str, str], str], **changes: str) -> list[str]:
    """What is found where master.cf has two smtpds and something of its own."""
    submission = Service("submission", "inet", True, "smtpd")
    both = Postfix({**GOOD, **changes}, (*SERVICES, submission), overrides)
    return [it.what for it in examine(both, OURS)]


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
def test_a_finding_names_the_service_or_main_cf_once_for_all_services(
    name: str, value: str, words: str
) -> None:
    assert found_in({("submission/inet", name): value}) == [f"master.cf, submission inet: {words}"]
    assert found_in({}, **{name: value}) == [f"main.cf: {words}"]
    good = GOOD.get(name, "")
    assert found_in({("submission/inet", name): good}, **{name: value}) == [f"main.cf: {words}"]
    everywhere = {(f"{it}/inet", name): good for it in ("smtp", "submission")}
    assert found_in(everywhere, **{name: value}) == []


def test_reject_unverified_recipient_is_found_in_every_list_that_comes_before_the_milter() -> None:
    verifies = "permit_mynetworks, reject_unverified_recipient"
    for name in ("client", "helo", "sender", "relay", "recipient"):
        (found,) = postfix(**{f"smtpd_{name}_restrictions": verifies})
        assert found.what == f"main.cf: smtpd_{name}_restrictions has reject_unverified_recipient"
    assert postfix(smtpd_helo_restrictions=verifies, smtpd_delay_reject="no") == []
    # Postfix has asked the milter by then.
    assert postfix(smtpd_data_restrictions=verifies) == []


def test_macros_of_a_service_that_does_not_ask_the_milter_do_not_matter() -> None:
    overrides = {
        ("submission/inet", "milter_rcpt_macros"): "i",
        ("submission/inet", "smtpd_milters"): "inet:127.0.0.1:8891",
    }
    (found,) = found_in(overrides)
    assert "its smtpd_milters do not name the milter's socket" in found


def test_a_milter_that_listens_at_every_address_is_found_by_postfix() -> None:
    ours = replace(OURS, socket="inet:0.0.0.0:8894")
    milter = dict.fromkeys(("smtpd_milters", "non_smtpd_milters"), "inet:localhost:8894")
    assert examine(Postfix({**GOOD, **milter}, SERVICES), ours) == []
