"""Create on login: the mailbox of someone whose password was right, by the rules that mail has and by its own."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from autocreate.core.naming import Users
from autocreate.errors import Temporary
from autocreate.model import Address, Answer, Login, Recipient, Verdict
from autocreate.service.journal import Entry
from autocreate.tree.values import Folder, Tree
from tests.unit.clock import Clock
from tests.unit.house import EVERYONE, TREE, Build, House


def paths(house: House, user: str) -> list[tuple[str, ...]]:
    return [folder.path for folder in house.store.trees[user].folders]


def test_a_first_login_makes_the_tree(build: Build) -> None:
    house = build()
    verdict = house.service.log_in(Login("joe", "imap"))
    assert (verdict.answer, verdict.user, verdict.created) == (Answer.ACCEPT, "joe", True)
    assert paths(house, "joe") == [(), ("Sent",)]
    assert house.journal.entry("joe") is None


def test_a_later_login_leaves_what_the_user_deleted_alone(build: Build) -> None:
    house = build()
    house.store.trees["joe"] = Tree((Folder(),))
    assert house.service.log_in(Login("joe", "imap")).reason == "INBOX exists"
    assert paths(house, "joe") == [()]


@pytest.mark.parametrize("name", ["cyrus", "proxy", "anonymous"])
def test_administrators_pass_though_nothing_answers(build: Build, name: str) -> None:
    house = build()
    house.store.failure = Temporary("nothing may be asked")
    assert house.service.log_in(Login(name, "imap")).answer is Answer.PASS


def test_a_service_that_is_not_named_makes_nothing(build: Build) -> None:
    house = build()
    assert house.service.log_in(Login("joe", "smtp")).answer is Answer.PASS
    assert house.store.trees == {}


def test_a_policy_can_be_for_logins_to_one_service_only(build: Build) -> None:
    house = build((replace(EVERYONE, services=frozenset(["imap"])),), accounts={"joe": ()})
    assert house.service.log_in(Login("joe", "pop3")).answer is Answer.UNKNOWN
    assert house.service.verify(Recipient("joe@example.org")).answer is Answer.UNKNOWN
    assert house.store.trees == {}
    assert house.service.log_in(Login("joe", "imap")).created


def test_a_policy_for_a_group_asks_the_account_sources(build: Build) -> None:
    students = replace(EVERYONE, groups=frozenset(["students"]))
    house = build((students,), accounts={"joe": ["students"], "ann": ["staff"]})
    assert house.service.log_in(Login("joe", "imap")).created
    assert not house.service.log_in(Login("ann", "imap")).created
    assert not house.service.log_in(Login("guest", "imap")).created


def test_who_is_in_no_account_source_exists_all_the_same(build: Build) -> None:
    house = build()
    assert house.service.log_in(Login("guest", "imap")).created


def test_failed_lookups_do_not_matter_to_a_mailbox_that_exists(build: Build) -> None:
    house = build()
    house.accounts.fails = True
    house.store.trees["joe"] = TREE
    assert house.service.log_in(Login("joe", "imap")).answer is Answer.ACCEPT


def test_a_login_leaves_a_tree_alone_that_another_process_is_at(build: Build) -> None:
    clock = Clock()
    house = build(clock=clock)
    house.store.trees["joe"] = Tree((Folder(),))
    house.journal.begin(Entry("joe", "joe@example.org", next_try=clock.now + 60.0))
    verdict = house.service.log_in(Login("joe", "imap"))
    assert (verdict.answer, verdict.reason) == (
        Answer.ACCEPT,
        "INBOX exists, the rest is being created",
    )
    assert paths(house, "joe") == [()]

    clock.now += 61.0  # it must have died
    assert house.service.log_in(Login("joe", "imap")).reason == "completed"
    assert paths(house, "joe") == [(), ("Sent",)]


def test_what_a_login_could_not_wait_for_is_done_afterwards(build: Build) -> None:
    house = build()
    house.store.failure = Temporary("Cyrus is away")
    assert house.service.log_in(Login("joe", "imap")).answer is Answer.TEMPORARY
    house.service.schedule_retry(Login("joe", "imap"))
    house.store.failure = None
    (entry,) = house.service.unfinished(everything=False)
    assert (entry.user, entry.service, entry.begun) == ("joe", "imap", False)
    assert house.service.complete(entry).created
    assert house.service.unfinished(everything=True) == []


@pytest.mark.parametrize("is_removed", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_an_account_that_was_removed_since_the_login_gets_no_mailbox_later(
    build: Build, is_removed: bool, begun: bool
) -> None:
    clock = Clock()
    house = build(accounts={"joe": ()}, clock=clock)
    house.service.schedule_retry(Login("joe", "imap"))
    (entry,) = house.service.unfinished(everything=False)
    house.journal.fail(replace(entry, begun=begun))
    if is_removed:
        del house.accounts.users["joe"]
    clock.now += 3601.0
    (entry,) = house.service.unfinished(everything=False)
    assert house.service.complete(entry).created is not is_removed
    assert house.service.unfinished(everything=True) == []


def test_who_is_in_no_account_source_gets_a_mailbox_within_the_hour_and_by_each_login(
    build: Build,
) -> None:
    clock = Clock()
    house = build(clock=clock)
    house.store.failure = Temporary("Cyrus is away")
    house.service.schedule_retry(Login("guest", "imap"))

    def try_again() -> Verdict:
        (entry,) = house.service.unfinished(everything=True)
        clock.now = max(clock.now, entry.next_try)
        return house.service.complete(entry)

    for _ in range(6):  # 63 minutes
        assert try_again().answer is Answer.TEMPORARY
    house.service.schedule_retry(Login("guest", "imap"))
    for _ in range(5):  # 31 more
        try_again()
    house.store.failure = None
    assert try_again().created

    del house.store.trees["guest"]
    house.service.invalidate("guest")
    house.service.schedule_retry(Login("guest", "imap"))
    house.store.failure = Temporary("Cyrus is away")
    for _ in range(6):
        try_again()
    house.store.failure = None
    assert try_again().answer is Answer.UNKNOWN
    assert house.service.unfinished(everything=True) == []
    assert house.service.log_in(Login("guest", "imap")).created


def test_failed_lookups_do_not_end_what_is_to_be_done_for_a_login(build: Build) -> None:
    clock = Clock()
    house = build(clock=clock)
    house.service.schedule_retry(Login("joe", "imap"))
    house.accounts.fails = True
    clock.now += 3601.0
    (entry,) = house.service.unfinished(everything=False)
    assert house.service.complete(entry).answer is Answer.TEMPORARY
    assert [it.user for it in house.service.unfinished(everything=True)] == ["joe"]


def test_afterwards_a_mailbox_that_stood_is_left_as_it_is(build: Build) -> None:
    house = build()
    house.service.schedule_retry(Login("joe", "imap"))
    house.store.trees["joe"] = Tree((Folder(),))
    (entry,) = house.service.unfinished(everything=False)
    assert house.service.complete(entry).reason == "INBOX exists"
    assert paths(house, "joe") == [()]
    assert house.service.unfinished(everything=True) == []


def test_mail_that_begins_a_tree_meanwhile_makes_the_entry_one_of_a_tree_begun(
    build: Build,
) -> None:
    house = build()
    house.service.schedule_retry(Login("joe", "imap"))
    (entry,) = house.service.unfinished(everything=False)
    house.journal.begin(replace(entry, service="lmtp", begun=True))
    house.store.trees["joe"] = Tree((Folder(),))
    (begun,) = house.service.unfinished(everything=False)
    house.service.complete(begun)
    assert paths(house, "joe") == [(), ("Sent",)]


def test_a_login_does_not_wait_longer_than_its_timeout(build: Build) -> None:
    house = build()
    let_go = threading.Event()

    def slow(user: str) -> bool:
        return let_go.wait(60.0)

    house.store.exists = slow  # type: ignore[method-assign]
    try:
        verdict = house.service.log_in(Login("joe", "imap"), timeout=0.05)
        assert verdict.answer is Answer.TEMPORARY
    finally:
        let_go.set()


def test_the_no_of_a_login_under_way_is_not_the_answer_to_mail(build: Build) -> None:
    house = build((replace(EVERYONE, services=frozenset(["lmtp"])),), accounts={"joe": ()})
    asked, let_go = threading.Event(), threading.Event()

    def slow(user: str) -> bool:
        asked.set()
        let_go.wait(60.0)
        return user in house.store.trees

    house.store.exists = slow  # type: ignore[method-assign]
    answers: dict[str, Verdict] = {}

    def log_in() -> None:
        answers["login"] = house.service.log_in(Login("joe", "imap"))

    def mail() -> None:
        answers["mail"] = house.service.verify(Recipient("joe@example.org"))

    threads = [threading.Thread(target=log_in), threading.Thread(target=mail)]
    threads[0].start()
    assert asked.wait(60.0)
    threads[1].start()
    let_go.set()
    for thread in threads:
        thread.join(60.0)
    assert answers["login"].answer is Answer.UNKNOWN
    assert answers["mail"].answer is Answer.ACCEPT


def test_dry_run_records_a_login_and_makes_nothing(build: Build) -> None:
    house = build(dry_run=True)
    verdict = house.service.log_in(Login("joe", "imap"))
    assert (verdict.suppressed, verdict.created) == ("dry run", False)
    assert house.store.trees == {}
    assert [row["recipient"] for row in house.journal.seen()] == ["joe"]


def test_a_mailbox_that_was_removed_is_made_again_once_it_is_forgotten(build: Build) -> None:
    house = build(accounts={"joe": ()})
    house.service.log_in(Login("joe", "imap"))
    del house.store.trees["joe"]
    house.service.invalidate("joe")
    assert house.service.verify(Recipient("joe@example.org")).created


def test_a_mailbox_that_goes_while_it_is_looked_for_is_not_taken_to_exist(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build(accounts={"joe": ()})
    house.service.log_in(Login("joe", "imap"))
    house.service.invalidate("joe")
    exists = house.store.exists

    def gone_meanwhile(user: str) -> bool:
        stood = exists(user)
        del house.store.trees[user]
        house.service.invalidate(user)
        return stood

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(house.store, "exists", gone_meanwhile)
        house.service.log_in(Login("joe", "imap"))
    assert house.service.verify(Recipient("joe@example.org")).created


PLAIN = Users()
VIRTUAL = Users(virtual_domains=True, default_domain="example.org")


@pytest.mark.parametrize(
    ("users", "name", "realm", "user"),
    [
        (PLAIN, "Joe", "", "joe"),
        (Users(logins_to_lower=False), "Joe", "", "Joe"),
        (PLAIN, "joe+lists", "", "joe+lists"),
        (PLAIN, "joe", "elsewhere.test", ""),
        (PLAIN, "joe@elsewhere.test", "", ""),
        (PLAIN, "jöe", "", ""),
        (PLAIN, "", "", ""),
        (VIRTUAL, "joe", "", "joe"),
        (VIRTUAL, "joe", "Example.ORG", "joe"),
        (VIRTUAL, "joe", "Other.Test", "joe@other.test"),
        (VIRTUAL, "Joe@Other.Test", "", "joe@other.test"),
        (VIRTUAL, "joe@x", "other.test", ""),
    ],
)
def test_the_user_id_of_a_login(users: Users, name: str, realm: str, user: str) -> None:
    assert users.login_id(users.login(name, realm)) == user


def test_a_login_is_an_address_for_the_policies(build: Build) -> None:
    other = replace(EVERYONE, name="other", domains=frozenset(["other.test"]))
    house = build((other, EVERYONE), VIRTUAL)
    assert house.service.log_in(Login("joe", "imap", "other.test")).policy == "other"
    assert house.service.log_in(Login("joe", "imap")).policy == "everyone"
    assert VIRTUAL.login("joe", "other.test") == Address("joe", "other.test")
