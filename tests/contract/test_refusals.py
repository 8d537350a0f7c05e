"""A real Cyrus's NO: what is final is skipped, and what may pass is failed and done by the next attempt."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from autocreate.mailstore.cyrus import Cyrus as Store
from autocreate.mailstore.sieve.managesieve import ManageSieve
from autocreate.tree.actions import (
    CreateMailbox,
    InstallScript,
    SetQuota,
    Subscribe,
    SubscribeShared,
)
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Folder, Quota, Script
from tests.contract.script_stores import FILING, server_of
from tests.contract.stores import tree
from tests.servers.cyrus import Cyrus
from tests.servers.sieve import kept

QUOTA = Path("/usr/lib/cyrus/bin/quota")
SCRIPT = Script("default.sieve", FILING % b"/")
_numbers = itertools.count()


@pytest.fixture(scope="module")
def ill() -> Iterator[Cyrus]:
    """A Cyrus of these tests' own, whose disk fails at times. Each leaves it in order."""
    # Of this database a quota root is a file, which a test can put there by itself.
    with Cyrus(imapd_conf={"quota_db": "quotalegacy"}) as server:
        server.create("News")
        yield server


@pytest.fixture
def user(ill: Cyrus) -> str:
    """Somebody new, with an INBOX and a subscription."""
    name = f"ill{next(_numbers)}"
    ill.create(f"user/{name}")
    with ill.session(name) as imap:
        assert imap.subscribe("INBOX")[0] == "OK"
    return name


def apply(cyrus: Cyrus, user: str, *actions: Action) -> ApplyResult:
    scripts = ManageSieve(server_of(cyrus, cyrus.sieve_port))
    with contextlib.closing(Store(server_of(cyrus), 1, scripts)) as store:
        return store.apply(Plan(user, "", actions))


@pytest.mark.parametrize("action", [SubscribeShared("News"), Subscribe(())], ids=["shared", "own"])
def test_a_subscription_that_a_disk_refuses_is_made_by_the_next_attempt(
    ill: Cyrus, user: str, action: Action
) -> None:
    with ill.without_writing("conf/user"):
        report = apply(ill, user, action)
    assert [failure.action for failure in report.failed] == [action]
    assert report.skipped == ()
    report = apply(ill, user, action)
    assert (report.failed, report.skipped) == ((), ())


def test_a_script_that_a_disk_refuses_is_installed_by_the_next_attempt(
    ill: Cyrus, user: str
) -> None:
    apply(ill, user, CreateMailbox(("Lists",)))
    assert ill.scripts(user) == {}  # the first login makes a folder for scripts
    with ill.without_writing("sieve"):
        report = apply(ill, user, InstallScript(SCRIPT))
    assert [failure.action for failure in report.failed] == [InstallScript(SCRIPT)]
    assert report.skipped == ()
    report = apply(ill, user, InstallScript(SCRIPT))
    assert (report.failed, report.skipped) == ((), ())
    assert ill.scripts(user) == {"default.sieve": (kept(SCRIPT.text), True)}


def test_a_script_that_is_too_long_for_the_server_is_skipped(ill: Cyrus, user: str) -> None:
    script = Script("long.sieve", b"keep;\r\n" * 10_000)
    report = apply(ill, user, InstallScript(script))
    assert [failure.action for failure in report.skipped] == [InstallScript(script)]
    assert report.failed == ()


def test_a_user_with_as_many_scripts_as_may_be_keeps_them(ill: Cyrus, user: str) -> None:
    with ill.sieve_session(user) as session:
        for number in range(5):
            session.put(f"own{number}", b"keep;\r\n", activate=False)
    report = apply(ill, user, InstallScript(SCRIPT))
    assert [failure.action for failure in report.skipped] == [InstallScript(SCRIPT)]
    assert report.failed == ()


def _take_root_from(cyrus: Cyrus, user: str) -> None:
    """The state that a full disk leaves: a quota root that no mailbox knows of."""
    cyrus.create(f"user/{user}-model")
    with cyrus.admin_session() as imap:
        assert imap.setquota(f"user/{user}-model", "(STORAGE 5)")[0] == "OK"
    (model,) = (cyrus.folder / "conf/quota").rglob(f"user.{user}-model")
    shutil.copy(model, model.with_name(f"user.{user}"))
    shutil.chown(model.with_name(f"user.{user}"), "cyrus", "mail")


def test_a_quota_root_that_inbox_knows_nothing_of_is_no_finished_quota(
    ill: Cyrus, user: str
) -> None:
    _take_root_from(ill, user)
    with contextlib.closing(Store(server_of(ill), 1)) as store:
        assert store.observe(user, tree(quota=Quota(5))).quota == Quota()
    report = apply(ill, user, SetQuota(Quota(5)), CreateMailbox(("Sent",)))
    assert not report.usable
    assert [action for action, _ in report.failed] == [SetQuota(Quota(5)), CreateMailbox(("Sent",))]
    assert f"run its quota -f user/{user}" in report.failed[0].error
    assert report.skipped == ()


def test_a_quota_is_finished_once_the_administrator_did_what_the_log_says(
    ill: Cyrus, user: str
) -> None:
    _take_root_from(ill, user)
    assert not apply(ill, user, SetQuota(Quota(5))).usable
    command: list[str | Path] = [QUOTA, "-C", ill.imapd_conf_file, "-f", f"user/{user}"]
    subprocess.run(["runuser", "-u", "cyrus", "--", *command], check=True, capture_output=True)
    assert apply(ill, user, SetQuota(Quota(5))).failed == ()
    assert ill.quota(f"user/{user}") == {"STORAGE": 5}


@pytest.mark.parametrize("name", ["Other Users", "Shared Folders"])
def test_a_folder_that_its_owner_cannot_name_costs_no_second_attempt(name: str) -> None:
    with Cyrus(imapd_conf={"altnamespace": "yes"}) as server:
        folder = Folder((name,), subscribe=True)
        report = apply(
            server,
            "joe",
            CreateMailbox(()),
            CreateMailbox((name,)),
            Subscribe((name,)),
            Subscribe(()),
        )
        assert [failure.action for failure in report.skipped] == [Subscribe((name,))]
        assert report.failed == ()
        with contextlib.closing(Store(server_of(server), 1)) as store:
            observed = store.observe("joe", tree(folder))
        assert [it.path for it in observed.folders] == [(), (name,)]
