"""Create on login when things go wrong, by other ways, and over the life of the process."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import textwrap
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers import smtp
from tests.servers.common import HOST, end, free_port, run, start, wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.logins import PASSWORD, LoginRefused, Site
from tests.servers.milterclient import MilterClient
from tests.servers.postfix import Postfix
from tests.servers.product import COMMAND, POLICY
from tests.servers.relay import Relay

FOLDERS = ("", "/Sent", "/Entwürfe", "/Archive", "/Archive/2026")


def wait_for_tree(site: Site, user: str, domain: str = "") -> None:
    whole = {f"user/{user}{folder}{domain}" for folder in FOLDERS}
    wait_until(
        lambda: site.cyrus.mailboxes(f"user/{user}*") == whole, 30.0, "the tree", site.product.log
    )


@contextlib.contextmanager
def relayed(**login: object) -> Iterator[tuple[Site, Relay]]:
    """A site whose program reaches Cyrus by a relay."""
    with (
        Site(["ann", "bob"], login=login, start=False) as site,
        Relay(site.cyrus.imap_port) as relay,
    ):
        # Longer than any of these tests is silent: what waits is to go on by itself.
        site.restart(cyrus={"port": relay.port, "timeout": 7.5})
        yield site, relay


def test_what_is_documented_works_as_it_is_pasted() -> None:
    document, readme = Path("docs/login.md").read_text(), Path("README.md").read_text()
    with Site(["ann"], start=False) as site:

        def pasted(text: str) -> str:
            for ours, there in (
                ("/run/autocreate/login.sock", site.socket),
                ("/run/autocreate/notify.sock", site.notify_socket),
                ("/run/saslauthd/mux", site.saslauthd.socket),
            ):
                text = text.replace(ours, str(there))
            return text

        lines = re.findall(r"^sasl_pwcheck_method.*(?:\n.*){4}\n```", document, re.MULTILINE)[0]
        assert textwrap.indent(lines, "   ") in readme
        imapd_conf = site.cyrus.imapd_conf_file.read_text().splitlines()
        assert set(pasted(lines).splitlines()[:-1]) <= set(imapd_conf)
        example = re.findall(r"^```toml\n(.*?)^```", document, re.DOTALL | re.MULTILINE)[0]
        site.restart(**tomllib.loads(pasted(example))["login"])
        assert "INBOX/Sent" in site.imap_folders("ann")


def test_a_login_succeeds_though_cyrus_is_silent_and_its_tree_follows() -> None:
    with relayed(deadline=0.5) as (site, relay):
        relay.pause()
        assert site.imap_folders("ann") == set()
        wait_until(site.product.unfinished, 15.0, "the journal's entry", site.product.log)
        relay.resume()
        wait_for_tree(site, "ann")
        wait_until(lambda: not site.product.unfinished(), 30.0, "the end", site.product.log)


def test_what_was_silent_at_a_kill_is_made_at_the_next_start() -> None:
    with relayed(deadline=0.5) as (site, relay):
        relay.pause()
        site.imap("ann").logout()
        wait_until(site.product.unfinished, 15.0, "the journal's entry", site.product.log)
        site.product.kill()
        relay.resume()
        site.product.start()
        wait_for_tree(site, "ann")


def test_a_tree_that_a_kill_left_half_made_is_completed_at_the_next_start() -> None:
    with relayed(deadline=0.5) as (site, relay):
        relay.pause_before(b"user/bob/Archive")
        site.imap("bob").logout()
        assert relay.is_paused
        site.product.kill()
        assert site.product.unfinished().keys() == {"bob"}
        relay.resume()
        site.product.start()
        wait_for_tree(site, "bob")
        wait_until(lambda: not site.product.unfinished(), 30.0, "the end", site.product.log)


def test_a_saslauthd_that_does_not_answer_is_a_failure_and_never_an_ok() -> None:
    upstream = {"type": "saslauthd", "timeout": 2.0}
    with Site(["ann"], start=False) as site:
        site.restart(upstream={**upstream, "path": str(site.saslauthd.socket)})
        site.saslauthd.pause()
        with pytest.raises(LoginRefused, match="generic failure"):
            site.imap("ann")
        site.saslauthd.resume()
        site.imap("ann").logout()


def test_mail_right_after_a_mailbox_was_deleted_makes_it_again() -> None:
    with (
        Site(["ann"], command="run") as site,
        Postfix(
            milter=site.product.socket, lmtp=(site.cyrus.host, site.cyrus.lmtp_port)
        ) as postfix,
    ):
        site.product.add_account("ann")

        def mail() -> list[int]:
            sent = smtp.send(
                postfix.host, postfix.port, "x@client.test", ["ann@example.org"], "Subject: hi\n\n"
            )
            return [reply.code for reply in sent]

        site.imap("ann").logout()
        assert mail() == [250, 250]
        site.cyrus.wait_for_messages("ann")
        site.cyrus.delete("user/ann")
        assert mail() == [250, 250]
        site.cyrus.wait_for_messages("ann")
        wait_for_tree(site, "ann")


def test_a_login_right_after_a_mailbox_was_renamed_or_deleted_makes_it_again() -> None:
    with Site(["ann"], imapd_conf={"allowusermoves": "yes"}) as site:
        site.imap("ann").logout()
        with site.cyrus.admin_session() as administrator:
            assert administrator.rename("user/ann", "user/old")[0] == "OK"
        assert "INBOX/Sent" in site.imap_folders("ann")
        site.cyrus.delete("user/ann")
        assert "INBOX/Sent" in site.imap_folders("ann")


@contextlib.contextmanager
def milter_beside(site: Site) -> Iterator[None]:
    """The milter in a process of its own."""
    log = site.folder / "milter.log"
    with log.open("ab") as output:
        milter = start([COMMAND, "milter", "--config", site.product.config_file], output)
    try:
        wait_until(lambda: "INFO ready" in log.read_text(), 30.0, "the milter", log.read_text)
        yield
    finally:
        end(milter)


def test_milter_and_logins_can_be_two_processes() -> None:
    with Site(["ann"]) as site, milter_beside(site):
        site.product.add_account("bob")
        site.imap("ann").logout()
        with Postfix(
            milter=site.product.socket, lmtp=(site.cyrus.host, site.cyrus.lmtp_port)
        ) as postfix:
            smtp.send(postfix.host, postfix.port, "x@client.test", ["bob@example.org"], "S: hi\n\n")
        wait_for_tree(site, "ann")
        wait_for_tree(site, "bob")


def test_a_milter_in_a_process_of_its_own_learns_of_a_mailbox_that_was_deleted() -> None:
    with Site(["ann"]) as site, milter_beside(site):
        site.product.add_account("ann")

        def accepts() -> bool:
            with MilterClient(site.product.socket) as client:
                client.connect()
                client.envfrom("<x@client.test>")
                return client.envrcpt("<ann@example.org>", {"{rcpt_mailer}": "lmtp"}).code == 0

        def believed() -> int:
            stats = {it["process"]: it for it in site.product.json("cache", "show")}
            return int(stats[f"{site.product.folder}/milter.sock.control"]["ready"]["users"])

        assert accepts()
        assert believed() == 1
        site.cyrus.delete("user/ann")
        wait_until(lambda: believed() == 0, 30.0, "the notification", site.product.log)
        assert accepts()
        wait_for_tree(site, "ann")


def test_a_site_whose_passwords_cyrus_checks_follows_its_notifications() -> None:
    own = {"sasl_pwcheck_method": "auxprop"}
    with Site(imapd_conf=own, cyrus_users={"ann": PASSWORD}, login={"upstream": None}) as site:
        session = site.imap("ann")
        wait_for_tree(site, "ann")
        assert session.select()[0] == "OK"
        session.logout()
        assert not site.socket.exists()


def test_saslauthd_before_auxprop_creates_at_login_and_lets_in_whom_only_cyrus_can_check() -> None:
    own = {"sasl_pwcheck_method": "saslauthd auxprop"}
    passwords = {"ann": PASSWORD, "bob": PASSWORD, "own": "another one"}
    with Site(["ann", "bob"], imapd_conf=own, cyrus_users=passwords) as site:
        assert "INBOX/Sent" in site.imap_folders("ann")
        session = site.imap("own", "another one")
        wait_for_tree(site, "own")
        session.logout()
        with pytest.raises(LoginRefused):
            site.imap("ann", "wrong")
        # While the program is down.
        site.product.stop()
        site.imap("bob").logout()


def test_pop3_by_notifications_finds_its_tree_at_the_second_login_at_the_latest() -> None:
    own = {"sasl_pwcheck_method": "auxprop", "pop3_autocreate_users": "nobody"}
    with Site(imapd_conf=own, cyrus_users={"ann": PASSWORD}, login={"upstream": None}) as site:
        with contextlib.suppress(LoginRefused):
            site.pop3("ann")
        wait_for_tree(site, "ann")
        site.pop3("ann")


def test_a_notifyd_hears_all_that_we_hear() -> None:
    with (
        Site(["ann"], start=False) as site,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifyd,
    ):
        place = site.folder / "notifyd"
        notifyd.bind(str(place))
        notifyd.settimeout(30.0)
        site.restart(notifyd=str(place))
        site.imap("ann").logout()
        assert notifyd.recv(8192).startswith(b'external\0EVENT\0\0\0\0000\0{"event":"')


def test_logins_are_counted_for_prometheus() -> None:
    port = free_port()

    def stats() -> str:
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=30.0) as answer:
            return str(answer.read(), "utf-8")

    with Site(["ann"], settings={"metrics": {"listen": f"{HOST}:{port}"}}) as site:
        site.imap("ann").logout()
        for figure in (
            'autocreate_recipients_total{answer="accept",frontend="login"} 1.0',
            'autocreate_mailboxes_created_total{policy="everyone"} 1.0',
        ):
            wait_until(lambda figure=figure: figure in stats(), 10.0, figure, stats)  # type: ignore[misc]


def test_dry_run_lets_everybody_in_and_makes_nothing() -> None:
    with Site(["ann"], settings={"milter": {"mode": "dry-run"}}) as site:
        assert site.imap_folders("ann") == set()
        assert site.cyrus.mailboxes("user/ann*") == set()
        assert "ann" in site.product.seen()


def test_a_reload_brings_new_rules_and_a_stop_is_clean() -> None:
    with Site(["ann", "bob"]) as site:
        nobody = [{"name": "nobody", "create": False}, POLICY]
        site.product.configure({**site.settings(), "policy": nobody})
        assert site.product.reload().endswith("reloaded")
        assert site.imap_folders("ann") == set()
        site.product.config_file.write_text("nonsense")
        assert "not reloaded, the old configuration stays in use" in site.product.reload()
        assert site.imap_folders("bob") == set()
        assert site.product.stop() == 0
        assert site.product.log().endswith("INFO stopped\n")


def test_a_policy_can_be_for_pop3_alone() -> None:
    with Site(["ann"], policies=[{**POLICY, "services": ["pop3"]}]) as site:
        assert site.imap_folders("ann") == set()
        site.pop3("ann")
        wait_for_tree(site, "ann")


def test_a_user_of_a_virtual_domain_gets_its_mailbox_there() -> None:
    domains = {"virtdomains": "userid", "defaultdomain": "example.org"}
    with Site(["ann", "ann@other.test"], imapd_conf=domains, settings={"cyrus": domains}) as site:
        site.imap("ann@other.test").logout()
        wait_for_tree(site, "ann", "@other.test")


def test_pam_itself_can_know_the_passwords() -> None:
    with Site(["ann"], login={"upstream": {"type": "pam"}}) as site:
        with pytest.raises(LoginRefused, match="authentication failure"):
            site.imap("ann", "wrong")
        assert "INBOX/Sent" in site.imap_folders("ann")
        site.pam.configure("imap", "auth required no_such_module.so")
        with pytest.raises(LoginRefused, match="generic failure"):
            site.imap("ann")
        assert "PAM service 'imap' could not check the password" in site.product.log()


def test_a_pam_that_hangs_is_a_failure_and_holds_up_nobody_else() -> None:
    with Site(["ann"], login={"upstream": {"type": "pam", "timeout": 2.0}}) as site:
        assert "INBOX/Sent" in site.imap_folders("ann")
        site.pam.configure("imap", auth="auth required pam_exec.so quiet /bin/sleep 60")
        with pytest.raises(LoginRefused, match="generic failure"):
            site.imap("ann")
        assert "PAM did not answer within 2 s" in site.product.log()
        assert site.sieve("ann").startswith("OK")
        assert site.product.stop() == 0


def test_an_account_that_pam_has_expired_is_refused() -> None:
    with Site(["ann"], login={"upstream": {"type": "pam"}}) as site:
        site.pam.configure(
            "imap", "auth required pam_permit.so", account="account required pam_deny.so"
        )
        with pytest.raises(LoginRefused, match="authentication failure"):
            site.imap("ann")


def test_another_imap_server_can_know_the_passwords() -> None:
    with Cyrus(users={"ann": PASSWORD, "cyrus": Cyrus.admin_password}) as other:
        upstream = {"type": "imap", "host": other.host, "port": other.imap_port, "tls": "none"}
        with Site(login={"upstream": upstream}) as site:
            with pytest.raises(LoginRefused, match="authentication failure"):
                site.imap("ann", "wrong")
            assert "INBOX/Sent" in site.imap_folders("ann")
            other.stop()
            with pytest.raises(LoginRefused, match="generic failure"):
                site.imap("ann")


def test_an_imap_server_is_asked_by_tls_that_is_verified() -> None:
    with Cyrus(users={"ann": PASSWORD, "cyrus": Cyrus.admin_password}, tls=True) as other:
        upstream = {"type": "imap", "host": other.host, "port": other.imap_port}
        with Site(login={"upstream": upstream}) as site:
            with pytest.raises(LoginRefused, match="generic failure"):
                site.imap("ann")
            assert "certificate" in site.product.log()
            site.restart(upstream={**upstream, "ca_file": str(other.ca_file)})
            site.imap("ann").logout()


def test_pam_exec_makes_the_mailbox_and_never_fails_a_login() -> None:
    with Site(["ann", "bob"], is_direct=True, start=False) as site:
        site.pam.configure("imap", account=pam_lines(site, launcher(site)))
        assert "INBOX/Sent" in site.imap_folders("ann")
        site.product.config_file.write_text("nonsense")
        assert site.imap_folders("bob") == set()


# A caller of PAM that sets a variable of PAM's environment, as some modules do too (pam_env.so, for one).
CALLER = """
import ctypes, sys
pam, handle, conversation = ctypes.CDLL("libpam.so.0"), ctypes.c_void_p(), (ctypes.c_void_p * 2)()
pam.pam_start(b"imap", b"ann", conversation, ctypes.byref(handle))
pam.pam_putenv(handle, sys.argv[1].encode())
sys.exit(pam.pam_acct_mgmt(handle, 0))
"""
# What the variable can do to the command. Each leaves a file where {done} is.
ATTACKS = {
    "code in the place of a module": (
        *("PYTHONPATH={folder}", "sitecustomize.py", "open('{done}', 'x')"),
    ),
    "another configuration": ("AUTOCREATE_CONFIG={folder}/evil.toml", "evil.toml", "{config}"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("is_launched", [True, False])
def test_the_launcher_keeps_variables_of_pam_away(attack: str, is_launched: bool) -> None:
    with Site(["ann"], is_direct=True, start=False) as site:
        done = site.folder / "done"
        variable, name, text = ATTACKS[attack]
        config = site.product.config_file.read_text()
        config = config.replace(str(site.product.journal), str(done))
        (site.folder / name).write_text(text.format(done=done, config=config))
        command = launcher(site) if is_launched else f"{COMMAND} login --pam"
        site.pam.configure("imap", account=pam_lines(site, command))
        run(site.pam.contained(sys.executable, "-c", CALLER, variable.format(folder=site.folder)))
        # Without the launcher it works, so this test would see it.
        assert done.exists() is not is_launched
        assert bool(site.cyrus.mailboxes("user/ann")) or not is_launched


def pam_lines(site: Site, command: str) -> str:
    """The lines of contrib/pam, with this command."""
    lines = Path("contrib/pam/autocreate").read_text().splitlines()
    account = "\n".join(line for line in lines if line.startswith("account"))
    assert account.count("/opt/autocreate/bin/autocreate-pam") == 1
    return account.replace("/opt/autocreate/bin/autocreate-pam", command)


def launcher(site: Site) -> str:
    """contrib/pam/autocreate-pam, for the command and the configuration that are here."""
    path = site.folder / "autocreate-pam"
    text = Path("contrib/pam/autocreate-pam").read_text()
    path.write_text(text.replace("/opt/autocreate/bin", str(COMMAND.parent)))
    path.chmod(0o755)
    return f"{path} --config {site.product.config_file}"
