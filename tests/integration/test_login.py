"""Create on login, as Cyrus's own clients see it: IMAP, POP3 and ManageSieve, on an unmodified Cyrus."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.servers.common import wait_until
from tests.servers.logins import PASSWORD, PROXY, LoginRefused, Site
from tests.servers.product import POLICY

MANY = [f"many{number}" for number in range(50)]
USERS = [
    *("ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal", "ivy", "jim", "kay", "leo", "meg"),
    *MANY,
]

STANDING = {"INBOX", "INBOX/Sent", "INBOX/Entw&APw-rfe", "INBOX/Archive", "INBOX/Archive/2026"}
NOBODY = {"name": "nobody", "groups": ["guests"], "create": False}
SCRIPT = 'require "fileinto";\nif header :contains "subject" "junk" { fileinto "INBOX.Sent"; }\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    script = tmp_path_factory.mktemp("scripts") / "default.sieve"
    script.write_text(SCRIPT)
    policies = [NOBODY, {**POLICY, "sieve": str(script)}]
    # A machine that is busy with other tests is not what these are about.
    patient = {"milter": {"deadline": 60.0}, "cyrus": {"timeout": 30.0}}
    with Site(USERS, policies=policies, login={"deadline": 60.0}, settings=patient) as running:
        yield running


def tree(site: Site, user: str) -> set[str]:
    return site.cyrus.mailboxes(f"user/{user}*")


def whole_tree(user: str) -> set[str]:
    # timsieved keeps scripts in a mailbox
    folders = ("", "/Sent", "/Entwürfe", "/Archive", "/Archive/2026", "/#sieve")
    return {f"user/{user}{folder}" for folder in folders}


def test_a_first_imap_login_finds_its_whole_tree_at_its_first_command(site: Site) -> None:
    assert site.imap_folders("ann") == STANDING
    assert site.cyrus.subscriptions("ann") == {"INBOX/Sent", "INBOX/Entwürfe"}
    assert site.cyrus.special_use("ann") == {"INBOX/Sent": "\\Sent", "INBOX/Entwürfe": "\\Drafts"}
    assert site.cyrus.quota("user/ann") == {"STORAGE": 2 << 20}
    assert "ACTIVE" in site.sieve("ann")


def test_a_first_pop3_login_finds_its_whole_tree(site: Site) -> None:
    site.pop3("bob")
    assert tree(site, "bob") == whole_tree("bob")
    assert site.cyrus.quota("user/bob") == {"STORAGE": 2 << 20}
    assert "ACTIVE" in site.sieve("bob")


def test_a_first_managesieve_login_finds_its_whole_tree(site: Site) -> None:
    assert "ACTIVE" in site.sieve("cat")
    assert tree(site, "cat") == whole_tree("cat")


def test_a_wrong_password_is_refused_and_creates_nothing(site: Site) -> None:
    for log_in in (site.imap, site.pop3, site.sieve):
        with pytest.raises(LoginRefused):
            log_in("dan", "wrong")
    assert tree(site, "dan") == set()


def test_a_member_of_an_excluded_group_logs_in_and_gets_nothing(site: Site) -> None:
    site.product.add_account("eve", "guests")
    assert site.imap_folders("eve") == set()
    assert tree(site, "eve") == set()


def test_fifty_users_log_in_for_the_first_time_at_once(site: Site) -> None:
    with ThreadPoolExecutor(len(MANY)) as clients:
        assert list(clients.map(site.imap_folders, MANY)) == [STANDING] * len(MANY)
    assert site.product.unfinished() == {}


def test_one_user_logs_in_on_four_connections_at_once(site: Site) -> None:
    with ThreadPoolExecutor(4) as clients:
        assert list(clients.map(site.imap_folders, ["fay"] * 4)) == [STANDING] * 4
    assert site.product.unfinished() == {}


def test_the_administrator_logs_in_for_someone_who_finds_inbox(site: Site) -> None:
    session = site.imap(site.cyrus.admin, site.cyrus.admin_password, authorize="gus")
    wait_until(lambda: tree(site, "gus") == whole_tree("gus"), 15.0, "the tree", site.product.log)
    assert session.select()[0] == "OK"
    session.logout()


def test_a_proxy_server_logs_in_for_someone_who_finds_inbox(site: Site) -> None:
    session = site.imap(PROXY, authorize="hal")
    wait_until(lambda: tree(site, "hal") == whole_tree("hal"), 15.0, "the tree", site.product.log)
    assert session.select()[0] == "OK"
    session.logout()
    assert tree(site, PROXY) == set()


def test_a_folder_that_the_user_deleted_does_not_come_back(site: Site) -> None:
    session = site.imap("ivy")
    assert session.delete("INBOX/Archive/2026")[0] == "OK"
    session.logout()
    assert site.imap_folders("ivy") == STANDING - {"INBOX/Archive/2026"}


def test_no_password_is_written_anywhere(site: Site) -> None:
    site.imap("jim").logout()
    with pytest.raises(LoginRefused):
        site.imap("jim", "a wrong one")
    said = site.product.log()
    assert "login=jim" in said
    for secret in (PASSWORD, "a wrong one", site.cyrus.admin_password):
        assert secret not in said
        assert secret.encode() not in site.product.journal.read_bytes()


def test_upstream_stopped_is_a_failure_and_never_a_wrong_password(site: Site) -> None:
    site.saslauthd.stop()
    try:
        with pytest.raises(LoginRefused, match="generic failure"):
            site.imap("kay")
    finally:
        site.saslauthd.start()
    assert "login not answered: saslauthd at" in site.product.log()
    assert site.imap_folders("kay") == STANDING


def test_cyrus_and_root_alone_may_ask() -> None:
    with Site(["ann"], login={"peers": ["root"]}) as site:
        with pytest.raises(LoginRefused, match="generic failure"):
            site.imap("ann")
        assert "may not use the login socket: see login.peers" in site.product.log()
