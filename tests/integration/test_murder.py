"""A Cyrus Murder behind an MTA: every step at the server that owns it."""

from __future__ import annotations

import imaplib
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.integration.conftest import WHOLE_TREE
from tests.integration.doctor import findings, no_mta
from tests.integration.murder import settings, site, tree
from tests.servers.common import HOST, free_port, wait_until
from tests.servers.murder import Murder
from tests.servers.product import POLICY, Product
from tests.servers.saslauthd import Pam, Saslauthd

from autocreate.mailstore.mailbox_ids import is_of_libuuid
from autocreate.murder.placement import Rule

SCRIPT = 'require "fileinto";\nif header :contains "subject" "junk" { fileinto "INBOX.Sent"; }\n'
PASSWORD = "open sesame"


def listed(product: Product) -> dict[str, Any]:
    """An account source that can list its users, and say which are new."""
    return {
        "staff": {
            "type": "sql",
            "url": f"sqlite:///{product.database}",
            "query": "SELECT userid FROM accounts WHERE userid = :user",
            "list_query": "SELECT userid FROM accounts",
            "cache_negative_seconds": 0,
        }
    }


@contextmanager
def commands(murder: Murder, *accounts: str, **section: Any) -> Iterator[Product]:
    """A product whose commands are run, and no milter."""
    with Product(murder.frontends[0], accounts=accounts) as product:
        product.configure({**settings(murder, **section), "accounts": listed(product)})
        yield product


# -- the main job ------------------------------------------------------------------------------


def test_a_first_delivery_makes_the_whole_tree_at_one_backend(
    murder: Murder, tmp_path: Path
) -> None:
    script = tmp_path / "default.sieve"
    script.write_text(SCRIPT)
    policy = {**POLICY, "sieve": str(script)}
    first, second = murder.backends
    policies = [
        {**policy, "name": "first", "users": ["j.one"], "server": first.host},
        {**policy, "name": "two", "users": ["two"], "server": second.host, "partition": "archive"},
        policy,
    ]
    with site(murder, policies=policies) as begun:
        here = begun.with_suffix("")
        here.add("j.one", "two", "free")
        for user in ("j.one", "two", "free"):
            assert here.deliver(user) == 250
            here.wait_for_messages(user)
            backend = here.owner(user)
            assert set(WHOLE_TREE) <= set(tree(backend, user))
            assert backend.quota(f"user/{user}")["STORAGE"] == 2097152
            assert {"INBOX/Sent"} <= here.product.cyrus.subscriptions(user)
            assert backend.special_use(user)["INBOX/Sent"] == "\\Sent"
            (installed,) = backend.scripts(user).values()
            assert installed.is_active
        assert here.owner("j.one") is first
        assert here.owner("two") is second
        assert second.partition("user/two") == "archive"
        assert here.codes("nobody") == [550]
        assert here.product.unfinished() == {}


@pytest.mark.parametrize("place", ["freest", "fewest"])
def test_a_rule_chooses_the_backend_and_explain_says_why(murder: Murder, place: str) -> None:
    with site(murder, place=place) as here:
        here.add("placed")
        user = here.name("placed")
        told = here.product.run("explain", f"{user}@example.org").stdout
        words = {"freest": "it has the most free space", "fewest": "it has the fewest users"}
        assert words[place] in told
        assert here.deliver("placed") == 250
        server = here.owner("placed").host
        told = here.product.run("explain", f"{user}@example.org").stdout
        assert f"INBOX exists (active at {server}, by the MUPDATE master)" in told
        here.product.wait_for_log(f"{user}: done: create INBOX at {server} \\({words[place]}")


def test_a_user_without_a_mailbox_is_refused_by_the_masters_no_alone(murder: Murder) -> None:
    with site(murder) as here:
        here.add("guest", groups=["guests"])
        assert here.codes("guest") == [550]


def test_the_metrics_tell_of_each_server(murder: Murder) -> None:
    port = free_port()
    with site(murder, more={"metrics": {"listen": f":{port}"}}) as here:
        here.add("measured")
        here.accepted("measured")
        here.product.wait_for_log("MUPDATE stream: in step with the master")
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=20) as response:
            told = response.read().decode().splitlines()
        assert "autocreate_murder_in_step 1.0" in told
        for server in ("mupdate", here.owner("measured").host):
            assert f'autocreate_murder_up{{server="{server}"}} 1.0' in told


def test_all_shared_folders_are_those_of_all_backends(murder: Murder) -> None:
    names = {f"Board{number}" for number in range(2)}
    for name, backend in zip(sorted(names), murder.backends, strict=True):
        backend.create(name)
        backend.set_acl(name, "anyone", "lrs")
    murder.wait_until_in_step()
    with site(murder, policies=[{**POLICY, "subscribe_shared": ["*"]}]) as here:
        here.add("reader")
        here.accepted("reader")
        user = here.name("reader")
        assert names <= here.owner("reader").subscriptions(user)
        (told,) = here.product.json("plan", user)
        assert told["plan"] == []


# -- logins ------------------------------------------------------------------------------------


def test_a_first_login_at_a_frontend_finds_its_whole_tree(murder: Murder) -> None:
    frontend = murder.frontends[0]
    with Pam({"logged-in": PASSWORD}) as pam, Saslauthd(pam) as saslauthd:
        login = {
            "socket": f"unix:{murder.login_socket}",
            "socket_mode": "0660",
            "socket_group": "mail",
            "upstream": {"type": "saslauthd", "path": str(saslauthd.socket), "timeout": 60.0},
            "deadline": 30.0,
        }
        product = Product(
            frontend,
            settings={**settings(murder), "login": login},
            command="login",
            contained=pam.contained,
        )
        with product:
            product.start()
            with imaplib.IMAP4(frontend.host, frontend.imap_port, 60.0) as client:
                with pytest.raises(imaplib.IMAP4.error):
                    client.login("logged-in", "wrong")
                assert murder.home("logged-in") == []
                client.login("logged-in", PASSWORD)
                assert client.select("INBOX/Sent")[0] == "OK"
                assert client.select("INBOX")[0] == "OK"
            assert tree(murder.owner("logged-in"), "logged-in") == WHOLE_TREE
            assert product.unfinished() == {}


@pytest.mark.parametrize("place", get_args(Rule))
def test_users_who_are_created_at_once_have_mailboxes_of_their_own(
    murder: Murder, place: Rule
) -> None:
    """docs/mailbox-ids.md: with Debian's Cyrus they may otherwise share one."""
    users = [f"at-once-{number}" for number in range(8)]
    with site(murder, place=place) as here:
        here.add(*users)
        with ThreadPoolExecutor(len(users)) as threads:
            assert set(threads.map(here.deliver, users)) <= {250, 451}
        here.accepted(*users)
        ids = []
        for user in users:
            here.wait_for_messages(user)
            here.wait_for_tree(user)
            owner = here.owner(user)
            names = [f"user/{here.name(user)}{folder}" for folder in WHOLE_TREE]
            ids += [(owner.host, owner.unique_id(name)) for name in names]
        assert len(set(ids)) == len(ids)


# -- many users --------------------------------------------------------------------------------


def test_audit_provision_and_apply_see_every_backend(murder: Murder) -> None:
    strangers = ["stranger1", "stranger2"]
    for user, backend in zip(strangers, murder.backends, strict=True):
        backend.create(f"user/{user}")
    bare = murder.backends[0]
    bare.create("user/bare")
    with commands(murder, "absent", "bare") as product:
        done = product.run("audit")
        assert all(user in done.stdout for user in ("absent", *strangers)), done
        (told,) = product.json("plan", "absent")
        (create,) = (it for it in told["plan"] if it.get("folder") == "INBOX")
        assert create["why"] == "chosen at random"
        done = product.run("provision", "--all", "--yes")
        assert done.returncode == 0, done
        assert tree(murder.owner("absent"), "absent") == WHOLE_TREE
        # It had an INBOX alone, and is brought to its policy where it is.
        selected = ("apply", "--policy", "everyone", "--all")
        checksum = product.run(*selected).stdout.split()[-1]
        done = product.run(*selected, "--yes", checksum)
        assert done.returncode == 0, done
        assert tree(bare, "bare") == WHOLE_TREE
        assert murder.home("bare") == [bare.host]


def test_the_watch_creates_mailboxes_in_a_murder(murder: Murder) -> None:
    watch = {
        "every": "5s",
        "list_every": "1m",
        "overlap": "1m",
        "at_most": {"count": 50, "percent": 100},
    }
    with Product(murder.frontends[0], command="watch") as product:
        staff = listed(product)["staff"] | {
            "changed_query": "SELECT userid FROM accounts WHERE :since >= 0"
        }
        product.configure({**settings(murder), "accounts": {"staff": staff}, "watch": watch})
        product.start()
        product.add_account("watched")
        product.wait_for_log("watched: mailbox created, by policy 'everyone'", 30.0)
        wait_until(lambda: not product.unfinished(), 10.0, "the end", product.log)
        assert tree(murder.owner("watched"), "watched") == WHOLE_TREE


# -- doctor ------------------------------------------------------------------------------------


def said(murder: Murder, folder: Path, **section: Any) -> list[str]:
    """What doctor finds about a Murder, besides that there is no MTA."""
    with Product(murder.frontends[0], settings=settings(murder, **section)) as product:
        product.start()
        _status, found = findings(product, *no_mta(folder))
    return [it["what"] for it in found][1:]


def test_doctor_finds_nothing_wrong_with_a_murder_that_works(
    murder: Murder, tmp_path: Path
) -> None:
    murder.backends[0].create("user/doctored")
    assert said(murder, tmp_path) == []


def test_doctor_names_what_does_not_fit_in_a_murder(murder: Murder, tmp_path: Path) -> None:
    first, second = (it.host for it in murder.backends)
    frontend = murder.frontends[0].host
    murder.backends[0].create("user/fit")
    murder.backends[1].create("user/elsewhere")
    (unknown,) = said(murder, tmp_path, backends={first: first})
    assert f"users at '{second}'" in unknown
    (slave,) = said(murder, tmp_path, mupdate=frontend)
    assert "is no master but a slave of" in slave
    (itself,) = said(murder, tmp_path, backends={first: first, second: second, "f": frontend})
    assert itself == f"cyrus.host {frontend} is the backend 'f'"


@pytest.mark.parametrize("place", ["frontend", "freest"])
def test_doctor_warns_of_a_choice_after_which_users_may_share_a_mailbox(
    murder: Murder, tmp_path: Path, place: str
) -> None:
    """With Cyrus as Debian builds it."""
    backend = murder.backends[0]
    backend.create(f"user/identified-{place}")
    found = said(murder, tmp_path, place=place)
    if is_of_libuuid(backend.unique_id(f"user/identified-{place}")):
        assert found == []
    else:
        (warned,) = found
        assert f"cyrus.murder.place is '{place}', and Cyrus is built without libuuid" in warned


def test_doctor_asks_for_the_section_where_it_is_missing(murder: Murder, tmp_path: Path) -> None:
    def found(policy: Mapping[str, Any]) -> list[str]:
        with Product(murder.frontends[0], policies=[policy]) as product:
            product.start()
            _status, found = findings(product, *no_mta(tmp_path))
        return [it["what"] for it in found[1:]]

    (member,) = found(POLICY)
    assert "is a member of a Murder" in member
    _member, partition = found({**POLICY, "partition": "archive"})
    assert "policy 'everyone' has a partition and no server" in partition


def test_doctor_tells_a_backend_from_a_frontend(murder: Murder, tmp_path: Path) -> None:
    """So it does with a frontend that has proxyservers: Cyrus takes it for a backend."""
    backend, other = murder.backends
    with Product(backend, settings=settings(murder, backends={other.host: other.host})) as product:
        product.start()
        _status, found = findings(product, *no_mta(tmp_path))
    assert any(it["what"].endswith("works as a backend") for it in found)
