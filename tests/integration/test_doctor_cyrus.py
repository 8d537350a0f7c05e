"""`autocreate doctor` and Cyrus: what it finds when it logs in, and in Cyrus's files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.doctor import findings, no_mta
from tests.servers.common import free_port, fresh_folder, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.logins import Site
from tests.servers.product import POLICY, Product


@pytest.fixture
def nowhere() -> Iterator[Path]:
    with fresh_folder("doctor") as folder:
        yield folder


@pytest.fixture
def script(nowhere: Path) -> dict[str, Any]:
    """A policy with a script."""
    (nowhere / "junk.sieve").write_text("keep;\n")
    return {**POLICY, "sieve": f"{nowhere}/junk.sieve"}


def said(product: Product, nowhere: Path) -> list[str]:
    """Critical findings and warnings, except that there is no MTA."""
    _status, found = findings(product, *no_mta(nowhere))
    return [it["what"] for it in found][1:]


def test_nothing_is_found_where_the_administrator_may_act_for_users(
    nowhere: Path, script: dict[str, Any]
) -> None:
    with Cyrus() as cyrus, Product(cyrus, policies=[script]) as product:
        product.start()
        assert said(product, nowhere) == []
        cyrus.create("user/joe")
        assert said(product, nowhere) == []
        assert cyrus.mailboxes() == {"user/joe"}


@pytest.mark.parametrize("imapd_conf", [{}, {"proxyservers": "clerk"}], ids=["clerk", "proxy"])
def test_a_user_who_is_not_an_administrator_is_critical(
    imapd_conf: Mapping[str, str], nowhere: Path
) -> None:
    with (
        Cyrus(users={"clerk": Cyrus.admin_password}, imapd_conf=imapd_conf) as cyrus,
        Product(cyrus, settings={"cyrus": {"admin": "clerk"}}) as product,
    ):
        product.start()
        conf = cyrus.imapd_conf_file
        assert said(product, nowhere) == [f"{conf}: 'clerk' (cyrus.admin) is not in admins"]
        # Of the files of another Cyrus, what a login shows is left.
        other = nowhere / "imapd.conf"
        other.write_text(conf.read_text().replace("admins: cyrus", "admins: clerk"))
        done = product.run("doctor", "--json", "--only", "cyrus", "--imapd-conf", str(other))
    (live, _files) = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 2
    assert live["what"] == (
        f"Cyrus at 127.0.0.1:{cyrus.imap_port}: 'clerk' is not an administrator"
    )
    assert live["remedy"] == "imapd.conf: admins: clerk; proxyservers is not enough"


@pytest.mark.parametrize(
    ("imapd_conf", "words"),
    [({"sasl_mech_list": "CRAM-MD5"}, "no mechanism"), ({"allowplaintext": "no"}, "encryption")],
    ids=["no plain", "plain with TLS only"],
)
def test_a_server_that_offers_no_plain_is_critical_and_the_remedy_names_the_option(
    imapd_conf: Mapping[str, str], words: str, nowhere: Path
) -> None:
    with Cyrus(imapd_conf=imapd_conf) as cyrus, Product(cyrus) as product:
        _status, found = findings(product, *no_mta(nowhere))
    (login,) = [it for it in found if "does not let the administrator" in it["what"]]
    assert words in login["what"]
    assert login["remedy"] == (
        "imapd.conf: sasl_mech_list: PLAIN, and allowplaintext: yes; or autocreate.toml: "
        'cyrus.tls = "auto"'
    )


def test_a_server_that_cannot_check_passwords_is_not_said_to_refuse_ours(nowhere: Path) -> None:
    asks_nobody = {
        "sasl_pwcheck_method": "saslauthd",
        "sasl_saslauthd_path": f"{nowhere}/mux",
    }
    with Cyrus(imapd_conf=asks_nobody) as cyrus, Product(cyrus) as product:
        _status, found = findings(product, *no_mta(nowhere))
    (login,) = [it for it in found if "could not check the password" in it["what"]]
    assert "systemctl status saslauthd" in login["remedy"]


def test_a_wrong_password_and_a_server_without_tls_have_remedies_of_their_own(
    cyrus: Cyrus, nowhere: Path
) -> None:
    with Product(cyrus) as product:
        (product.folder / "cyrus.secret").write_text("wrong\n")
        _status, found = findings(product, *no_mta(nowhere))
        (login,) = [it for it in found if "does not let the administrator" in it["what"]]
        assert "the first line of cyrus.password_file" in login["remedy"]

        product.configure({"cyrus": {"tls": "auto"}})
        _status, found = findings(product, *no_mta(nowhere))
        (tls,) = [it for it in found if "STARTTLS" in it["what"]]
        assert tls["what"] == f"Cyrus at 127.0.0.1:{cyrus.imap_port} offers no STARTTLS"
        assert tls["remedy"].startswith("imapd.conf: tls_server_cert and tls_server_key")
        assert ("allowstarttls: yes" in tls["remedy"]) == cyrus.has_option("allowstarttls")


def test_managesieve_without_starttls_has_the_option_of_its_version_as_remedy(
    nowhere: Path, script: dict[str, Any]
) -> None:
    """Each release understands this; by default it is so from 3.8.6, 3.10.2 and 3.12.1 on."""
    with Cyrus(tls=True, imapd_conf={"sieve_tls_server_cert": "disabled"}) as cyrus:
        settings = {"cyrus": {"tls": "auto", "ca_file": str(cyrus.ca_file)}}
        with Product(cyrus, settings=settings, policies=[script]) as product:
            product.start()
            _status, found = findings(product, *no_mta(nowhere))
        has_allowstarttls = cyrus.has_option("allowstarttls")
    (sieve,) = [it for it in found if "offers no STARTTLS" in it["what"]]
    assert sieve["what"].startswith("ManageSieve: ")
    assert ("sieve_allowstarttls: yes" in sieve["remedy"]) == has_allowstarttls


def test_a_certificate_that_is_about_to_expire_is_a_warning(nowhere: Path) -> None:
    with Cyrus(tls=True, certificate_days=2) as cyrus:
        settings = {"cyrus": {"tls": "starttls", "ca_file": str(cyrus.ca_file)}}
        with Product(cyrus, settings=settings) as product:
            product.start()
            status, found = findings(product, *no_mta(nowhere))
    assert status == 1
    certificate = found[1]["what"]
    assert certificate.startswith(
        f"the certificate of Cyrus at 127.0.0.1:{cyrus.imap_port} expires"
    )


def test_a_certificate_that_has_expired_is_critical_and_may_be_the_clocks_fault(
    nowhere: Path,
) -> None:
    with Cyrus(tls=True, certificate_days=0) as cyrus:
        settings = {"cyrus": {"tls": "starttls", "ca_file": str(cyrus.ca_file)}}
        with Product(cyrus, settings=settings) as product:
            product.start()

            def expired() -> list[dict[str, str]]:
                _status, found = findings(product, *no_mta(nowhere))
                return [it for it in found if "certificate has expired" in it["what"]]

            (finding,) = wait_until(expired, 10.0, "a certificate's end")
    assert finding["gravity"] == "critical"
    assert "set this machine's clock: it says 2" in finding["remedy"]


def test_managesieve_that_is_not_there_is_critical_if_a_policy_has_a_script(
    cyrus: Cyrus, nowhere: Path, script: dict[str, Any]
) -> None:
    port = free_port()
    with Product(cyrus, settings={"cyrus": {"sieve_port": port}}) as product:
        product.start()
        assert said(product, nowhere) == []
    with Product(cyrus, settings={"cyrus": {"sieve_port": port}}, policies=[script]) as product:
        product.start()
        status, found = findings(product, *no_mta(nowhere))
        assert status == 2
        assert found[1]["what"].startswith(
            f"ManageSieve: Cyrus at 127.0.0.1:{port} cannot be reached"
        )
        assert found[1]["remedy"].startswith("cyrus.conf: a service that runs timsieved")

        product.configure({"cyrus": {"sieve_port": port, "sieve": "off"}})
        assert said(product, nowhere) == []


def test_managesieve_without_plain_is_critical(nowhere: Path, script: dict[str, Any]) -> None:
    imapd_conf = {"sieve_sasl_mech_list": "CRAM-MD5"}
    with Cyrus(imapd_conf=imapd_conf) as cyrus, Product(cyrus, policies=[script]) as product:
        product.start()
        (what,) = said(product, nowhere)
        assert what.startswith("ManageSieve of Cyrus at 127.0.0.1:")
        assert what.endswith("offers no SASL PLAIN, only CRAM-MD5")


def test_managesieve_with_other_administrators_is_critical(
    nowhere: Path, script: dict[str, Any]
) -> None:
    imapd_conf = {"sieve_admins": "somebody"}
    with (
        Cyrus(imapd_conf=imapd_conf) as cyrus,
        Product(cyrus, accounts=["joe"], policies=[script]) as product,
    ):
        product.start()
        assert said(product, nowhere) == [
            f"{cyrus.imapd_conf_file}: 'cyrus' (cyrus.admin) is not in sieve_admins"
        ]
        done = product.run("provision", "joe@example.org")
        assert "does not let 'cyrus' act for 'joe'" in done.stdout


def test_a_cyrus_conf_without_timsieved_is_critical(
    cyrus: Cyrus, nowhere: Path, script: dict[str, Any]
) -> None:
    conf = nowhere / "cyrus.conf"
    lines = cyrus.cyrus_conf_file.read_text().splitlines()
    conf.write_text("\n".join(line for line in lines if "timsieved" not in line))
    with Product(cyrus, policies=[script]) as product:
        product.start()
        product.configure(
            {"cyrus": {"imapd_conf": str(cyrus.imapd_conf_file), "cyrus_conf": str(conf)}}
        )
        done = product.run("doctor", *no_mta(nowhere))
    assert done.returncode == 2
    assert f"CRITICAL: {conf}: no service runs timsieved" in done.stdout.splitlines()


def test_logins_that_ask_us_have_no_findings(nowhere: Path) -> None:
    with Site(["joe"]) as site:
        assert [it for it in said(site.product, nowhere) if "login" in it] == []


def test_logins_that_do_not_ask_us_are_critical(nowhere: Path) -> None:
    with Site(["joe"], is_direct=True, imapd_conf={"event_groups": "message"}) as site:
        found = said(site.product, nowhere)
    conf = site.cyrus.imapd_conf_file
    assert found[-2:] == [
        f"{conf}: sasl_saslauthd_path is {site.saslauthd.socket}, login.socket is {site.socket}",
        f"{conf}: event_groups lacks access and mailbox",
    ]


def test_a_login_socket_that_keeps_cyrus_out_or_is_not_there_is_critical(nowhere: Path) -> None:
    with Site(["joe"], is_direct=True, login={"socket_mode": "0600"}) as site:
        mode = [it for it in said(site.product, nowhere) if "has mode" in it]
        assert mode == [
            f"{socket} has mode 0600: user cyrus may not write to that socket"
            for socket in (site.socket, site.notify_socket)
        ]
        site.product.stop()
        nobody = [it for it in said(site.product, nowhere) if "nobody listens" in it]
        assert [it.partition(" (")[0] for it in nobody] == [
            "nobody listens at milter.socket",
            "nobody listens at login.socket",
            "nobody listens at login.notify_socket",
        ]


def test_a_folder_of_a_policy_that_this_cyrus_cannot_have_is_a_warning(nowhere: Path) -> None:
    """Our configuration names no imapd.conf here, so that `config check` cannot know."""
    policy = {"name": "all", "folders": [{"name": "INBOX.Sent"}, {"name": "Drafts"}]}
    with Cyrus(unixhierarchysep=False) as cyrus, Product(cyrus, policies=[policy]) as product:
        product.start()
        (what,) = said(product, nowhere)
    assert what.startswith("policy 'all': folders: folder 'INBOX.Sent' cannot exist here")


def test_two_lmtp_services_that_differ_are_a_warning_until_one_is_named(nowhere: Path) -> None:
    options = {"mailin_autocreate_users": "ann", "autocreate_quota": "-1"}
    services = {"mailin": ("lmtpd -a", f"127.0.0.1:{free_port()}")}
    with Cyrus(imapd_conf=options, services=services) as cyrus, Product(cyrus) as product:
        product.start()
        (what,) = said(product, nowhere)
        assert "autocreate_users is not set for lmtp and 'ann' for mailin" in what
        product.configure({"cyrus": {"lmtp_service": "mailin"}})
        assert said(product, nowhere) == []


def test_an_imapd_conf_that_cyrus_does_not_start_on_is_critical(
    cyrus: Cyrus, nowhere: Path
) -> None:
    conf = nowhere / "imapd.conf"
    conf.write_text("admins: cyrus\naltnamespace: perhaps\n")
    with Product(cyrus) as product:
        product.start()
        done = product.run("doctor", *no_mta(nowhere), "--imapd-conf", str(conf))
    assert done.returncode == 2
    assert (
        f"CRITICAL: {conf}, line 2: altnamespace: 'perhaps' is not a switch; write yes or no"
        in done.stdout.splitlines()
    )


def test_of_two_imap_services_the_one_that_the_milter_logs_in_to_is_judged(nowhere: Path) -> None:
    port = free_port()
    services = {"imappublic": ("imapd", f"127.0.0.1:{port}")}
    options = {"imappublic_admins": "somebody"}
    with Cyrus(services=services, imapd_conf=options) as cyrus, Product(cyrus) as product:
        product.start()
        assert said(product, nowhere) == []
        product.configure({"cyrus": {"port": port}})
        assert said(product, nowhere) == [
            f"{cyrus.imapd_conf_file}: 'cyrus' (cyrus.admin) is not in imappublic_admins",
        ]
