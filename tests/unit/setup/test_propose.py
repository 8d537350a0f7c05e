"""What is proposed for the machines that administrators have."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from autocreate.doctor import postconf
from autocreate.doctor.postconf import Postfix
from autocreate.imapdconf import parser, settings
from autocreate.imapdconf.services import read_entries
from autocreate.imapdconf.settings import CyrusFiles
from autocreate.setup import propose
from autocreate.setup.text import as_lines
from autocreate.setup.values import (
    Answers,
    Connection,
    File,
    Seen,
    SeenCyrus,
    SeenPostfix,
    SeenSendmail,
    Step,
)

NOTHING_SAID = Answers()
MASTER_CF = """\
smtp inet n - y - - smtpd
cleanup unix n - y - 0 cleanup
lmtp unix - - y - - lmtp
local unix - n n - - local
virtual unix - n n - - virtual
"""
DEFAULTS = {
    "queue_directory": "/var/spool/postfix",
    "recipient_delimiter": "+",
    "local_transport": "local:$myhostname",
    "virtual_transport": "virtual",
    "relay_transport": "relay",
    "smtputf8_enable": "yes",
    "local_recipient_maps": "proxy:unix:passwd.byname",
    "mail_owner": "postfix",
}
DEBIAN_IMAPD_CONF = "altnamespace: no\nautocreate_quota: 0\nallowplaintext: yes\n#admins: cyrus\n"
DEBIAN_CYRUS_CONF = """\
SERVICES {
  imap cmd="imapd -U 30" listen="imap" prefork=0
  lmtpunix cmd="lmtpd" listen="/run/cyrus/socket/lmtp" prefork=0
  sieve cmd="timsieved" listen="localhost:sieve" prefork=0
}
"""


def a_postfix(**parameters: str) -> SeenPostfix:
    conf = Postfix({**DEFAULTS, **parameters}, postconf.read_services(MASTER_CF, "3.6"))
    main = "".join(f"{name} = {value}\n" for name, value in parameters.items())
    return SeenPostfix(
        "/etc/postfix",
        conf,
        File("/etc/postfix/main.cf", main),
        File("/etc/postfix/master.cf", MASTER_CF),
    )


def a_cyrus(imapd_conf: str = DEBIAN_IMAPD_CONF, cyrus_conf: str = DEBIAN_CYRUS_CONF) -> SeenCyrus:
    options = parser.read("/etc/imapd.conf", imapd_conf, lambda _: "")
    conf = settings.interpret("/etc/imapd.conf", options)
    files = CyrusFiles(conf, options, "/etc/cyrus.conf", read_entries(cyrus_conf))
    return SeenCyrus(
        File("/etc/imapd.conf", imapd_conf), files, File("/etc/cyrus.conf", cyrus_conf)
    )


def toml(seen: Seen, answers: Answers = NOTHING_SAID) -> dict[str, Any]:
    return tomllib.loads(propose.propose(seen, answers).toml)


def steps(seen: Seen, answers: Answers = NOTHING_SAID) -> list[Step]:
    return propose.steps(seen, propose.propose(seen, answers).connection)


DEBIAN = Seen(
    a_postfix(mydestination="mail.example.org, localhost.example.org, localhost"),
    cyrus=a_cyrus(),
    has_people=True,
)


def test_a_debian_of_local_users_is_connected_with_its_own_domain() -> None:
    found = toml(DEBIAN)
    assert found["milter"] == {
        "socket": "unix:/var/spool/postfix/autocreate/milter.sock",
        "socket_mode": "0660",
        "socket_group": "postfix",
        "mode": "dry-run",
        "domains": ["mail.example.org"],
    }
    assert found["accounts"] == {"system": {"type": "nss"}}
    assert found["lmtp"] == {"address": "unix:/run/cyrus/socket/lmtp"}
    assert found["cyrus"]["tls"] == "none"
    # autocreate_quota alone has Cyrus create at logins, not for mail.
    assert found["policy"][0]["name"] == "everyone"


def test_steps_come_in_the_order_in_which_nothing_is_deferred() -> None:
    admin, start, postfix = steps(DEBIAN)
    assert "\nadmins: cyrus\n" in admin.changes[0].after
    assert start.folders[0].path == "/var/spool/postfix/autocreate"
    assert start.starts_milter
    assert postfix.needs_milter
    main, master = postfix.changes
    assert "mailbox_transport = lmtp:unix:/run/cyrus/socket/lmtp\n" in main.after
    assert "smtpd_milters = { unix:autocreate/milter.sock, default_action=tempfail" in main.after
    assert master.after == MASTER_CF.replace("lmtp unix - - y", "lmtp unix - - n")
    assert "1. Cyrus has an administrator" in as_lines(steps(DEBIAN))


def test_postfix_joins_the_group_of_a_socket_that_is_closed_to_it() -> None:
    seen = Seen(
        DEBIAN.postfix, cyrus=a_cyrus(), closed_sockets=frozenset({"/run/cyrus/socket/lmtp"})
    )
    (joined,) = [it for it in steps(seen, Answers(accounts="nss")) if "LMTP socket" in it.title]
    assert joined.after[0] == "adduser postfix mail"
    assert joined.undo[0] == "deluser postfix mail"


def test_what_is_as_it_should_be_stays() -> None:
    parameters = {
        "virtual_mailbox_domains": "example.org",
        "virtual_transport": "lmtp:inet:127.0.0.1:24",
        "smtpd_milters": "inet:127.0.0.1:11332, { unix:/autocreate/milter.sock, default_action=x }",
        "non_smtpd_milters": "$smtpd_milters",
        "internal_mail_filter_classes": "notify, bounce",
        "smtputf8_enable": "no",
    }
    seen = Seen(a_postfix(**parameters), cyrus=a_cyrus("admins: root cyrus\n"))
    done = steps(seen, Answers(accounts="nss"))
    assert [it.title for it in done if not it.is_done] == [
        "The milter runs, before an MTA points at it"
    ]


def test_other_milters_stay_behind_ours_as_they_are_written() -> None:
    seen = Seen(a_postfix(virtual_mailbox_domains="example.org", smtpd_milters="$rspamd"))
    (postfix,) = [it for it in steps(seen, Answers(accounts="nss")) if it.needs_milter]
    line = next(it for it in postfix.changes[0].after.splitlines() if it.startswith("smtpd_milt"))
    assert line.endswith("command_timeout=30s }, $rspamd")


def test_a_class_whose_mail_goes_to_lmtp_comes_first() -> None:
    seen = Seen(
        a_postfix(
            virtual_mailbox_domains="other.test",
            mydestination="example.org",
            mailbox_transport="lmtp:unix:/run/cyrus/socket/lmtp",
        )
    )
    assert propose.questions(seen).domains == ("example.org",)


def test_a_second_class_of_domains_that_goes_to_lmtp_is_remarked() -> None:
    transport = "lmtp:unix:/run/cyrus/socket/lmtp"
    postfix = a_postfix(
        virtual_mailbox_domains="other.test",
        virtual_transport=transport,
        mydestination="example.org",
        mailbox_transport=transport,
    )
    proposal = propose.propose(Seen(postfix, has_people=True), NOTHING_SAID)
    assert proposal.connection.domains == ("other.test",)
    assert any("also delivers for example.org (mydestination)" in it for it in proposal.remarks)


def test_virtual_domains_are_written_in_lower_case_by_postfix() -> None:
    cyrus = a_cyrus("admins: cyrus\nvirtdomains: userid\ndefaultdomain: example.org\n")
    seen = Seen(a_postfix(virtual_mailbox_domains="example.org other.test"), cyrus=cyrus)
    (postfix,) = [it for it in steps(seen, Answers(accounts="nss")) if it.needs_milter]
    assert (
        "lmtp_generic_maps = inline:{ @example.org=@example.org, @other.test=@other.test }\n"
        in postfix.changes[0].after
    )
    assert toml(seen, Answers(accounts="nss"))["lmtp"]["lowercase_domains"]


@pytest.mark.parametrize(
    ("imapd_conf", "cyrus_conf", "wanted"),
    [
        (
            "tls_server_cert: /x\n",
            'SERVICES {\n imap cmd="imapd" listen="imap"\n}\n',
            {"host": "localhost"},
        ),
        (
            "tls_server_cert: /x\n",
            'SERVICES {\n imaps cmd="imapd -s" listen="127.0.0.1:1993"\n}\n',
            {"host": "localhost", "port": 1993, "tls": "implicit"},
        ),
        (
            "allowplaintext: 1\n",
            'SERVICES {\n imap cmd="imapd" listen="[::1]:1143"\n sieve cmd="timsieved" listen="2000"\n}\n',
            {"host": "::1", "port": 1143, "tls": "none", "sieve_port": 2000},
        ),
    ],
)
def test_cyrus_is_asked_where_cyrus_conf_has_it(
    imapd_conf: str, cyrus_conf: str, wanted: dict[str, object]
) -> None:
    seen = Seen(a_postfix(virtual_mailbox_domains="a.test"), cyrus=a_cyrus(imapd_conf, cyrus_conf))
    found = toml(seen, Answers(accounts="nss"))["cyrus"]
    names = ("host", "port", "tls", "sieve_port")
    assert {name: found[name] for name in names if name in found} == wanted


def test_no_password_of_imapd_conf_is_shown() -> None:
    cyrus = a_cyrus("a: 1\nldap_password: secret\n#admins: x\nsasl_sql_passwd: secret\n")
    seen = Seen(a_postfix(virtual_mailbox_domains="a.test"), cyrus=cyrus, has_people=True)
    shown = "\n".join(as_lines(steps(seen)))
    assert "+admins: cyrus" in shown
    assert "secret" not in shown


def test_the_administrator_is_one_of_imapd_conf() -> None:
    cyrus = a_cyrus("admins: group:staff root\n")
    seen = Seen(a_postfix(virtual_mailbox_domains="a.test"), cyrus=cyrus)
    assert toml(seen, Answers(accounts="nss"))["cyrus"]["admin"] == "root"
    assert toml(seen, Answers(accounts="nss", admin="ann"))["cyrus"]["admin"] == "ann"


def test_what_only_the_administrator_knows_is_asked_for() -> None:
    problems = propose.unknown(Seen(a_postfix(mydestination="localhost")), Answers())
    assert [it.partition(":")[0] for it in problems] == [
        "no domain was found for which this MTA delivers",
        "no account source was found",
    ]
    assert propose.unknown(DEBIAN, Answers()) == []


def test_a_cyrus_that_lets_nobody_in_is_remarked() -> None:
    seen = Seen(a_postfix(mydestination="a.test"), cyrus=a_cyrus("admins: cyrus\n"))
    remarks = " ".join(propose.propose(seen, Answers()).remarks)
    assert "has no tls_server_cert, and allowplaintext is off: nobody can log in" in remarks
    assert "saslpasswd2 -c cyrus" in remarks


def test_sendmail_gets_its_lines_before_its_mailers() -> None:
    mc = "OSTYPE(`debian')dnl\nMAILER(`local')dnl\n"
    seen = Seen(
        sendmail=SeenSendmail(
            File("/etc/mail/sendmail.cf", "Cwlocalhost\nCwmail.example.org\n"),
            File("/etc/mail/sendmail.mc", mc),
        ),
        cyrus=a_cyrus("admins: cyrus\n"),
        has_people=True,
    )
    assert propose.questions(seen).domains == ("mail.example.org",)
    found = toml(seen)
    assert found["milter"]["domains"] == ["mail.example.org"]
    assert found["milter"]["socket"] == "unix:/run/autocreate/milter.sock"
    (sendmail,) = [it for it in steps(seen) if it.needs_milter]
    assert sendmail.changes[0].after == (
        "OSTYPE(`debian')dnl\n"
        "INPUT_MAIL_FILTER(`autocreate', `S=local:/run/autocreate/milter.sock, F=T, "
        "T=C:30s;S:10s;R:10s;E:1m')dnl\n"
        "define(`confLOCAL_MAILER', `cyrusv2')dnl\n"
        "define(`CYRUSV2_MAILER_ARGS', `FILE /run/cyrus/socket/lmtp')dnl\n"
        "MAILER(`local')dnl\n"
        "MAILER(`cyrusv2')dnl\n"
    )


def test_an_autocreate_toml_that_is_there_decides_what_the_mta_gets() -> None:
    said = Connection("inet:127.0.0.1:8894", ("a.test",), "root", "")
    found = propose.connection_of(DEBIAN, said)
    assert found.lmtp == "unix:/run/cyrus/socket/lmtp"
    (postfix,) = [it for it in propose.steps(DEBIAN, found) if it.needs_milter]
    assert "smtpd_milters = { inet:127.0.0.1:8894, default" in postfix.changes[0].after
    assert "virtual_mailbox_domains = a.test\n" in postfix.changes[0].after
