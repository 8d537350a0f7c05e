"""What bulk work asks of the provisioner: who is exempt, what differs, and the carrying out of it.

How it decides about one recipient or login is told by `test_service` and `test_logins`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autocreate.accounts.directory import Directory
from autocreate.core.naming import Users
from autocreate.core.policy import AttributeOverrides, Policy
from autocreate.errors import Refused, Temporary
from autocreate.mailstore.memory import Memory
from autocreate.model import Account, Address, Answer, Verdict
from autocreate.service.creations import Creations
from autocreate.service.journal import Entry, Journal
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.policies import AccountRules
from autocreate.service.provisioner import Provisioner
from autocreate.service.unfinished import Unfinished
from autocreate.service.work import DecisionRequest
from autocreate.tree.actions import CreateMailbox, SetAcl, SetQuota, Subscribe, SubscribeShared
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Folder, Quota, Script, Tree
from tests.unit.clock import Clock
from tests.unit.house import Accounts

JOE = Address("joe", "example.org")
SENT = Folder(("Sent",), subscribe=True)
TREE = Tree((Folder(), SENT), Quota(1024))
EVERYONE = Policy("everyone", TREE)
NOBODY = Policy("nobody", Tree(), create=False, why="they read mail elsewhere")
STUDENTS = replace(EVERYONE, name="students", groups=frozenset({"students"}))
INBOX_ALONE = Tree((Folder(),), Quota(1024))


class Entries(Accounts):
    """Accounts whose entries have attributes; `groups_fail` makes their groups unknown."""

    def __init__(self) -> None:
        super().__init__({"joe": ["staff"], "cyrus": [], "root": ["wheel"], "anonymous": []})
        self.attributes: tuple[tuple[str, str], ...] = ()
        self.groups_fail = False

    def lookup(self, user: str) -> Account | None:
        account = super().lookup(user)
        return account and replace(account, attributes=self.attributes)

    def groups(self, account: Account) -> frozenset[str]:
        if self.groups_fail:
            raise Temporary("no group file")
        return super().groups(account)


class Site:
    """A provisioner over memory, and all that it works with."""

    def __init__(
        self,
        folder: Path,
        *policies: Policy,
        default_domain: str = "",
        administrators: frozenset[str] = frozenset({"cyrus", "group:wheel"}),
    ) -> None:
        self.clock = Clock()
        self.accounts = Entries()
        self.store = Memory(shared=frozenset({"News"}))
        self.journal = Journal(f"sqlite:///{folder}/journal.db", self.clock)
        self.mailboxes = MailboxCache(100, 300.0)
        self.created: list[tuple[str, str]] = []
        self.provisioner = Provisioner(
            AccountRules(
                Users(default_domain=default_domain),
                policies or (EVERYONE,),
                administrators,
            ),
            Directory([self.accounts]),
            self.store,
            Unfinished(self.journal, self.clock),
            Creations(self.journal, self.clock),
            self.mailboxes,
            lambda policy, domain: self.created.append((policy, domain)),
        )

    def update(self, user: str = "joe", restore: bool = False, domain: str = "") -> Verdict:
        return self.provisioner.update(Address(user, domain), user, restore)

    def apply(self, verdict: Verdict) -> Verdict:
        return self.provisioner.apply(JOE, verdict)


Build = Callable[..., Site]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    sites: list[Site] = []

    def build(*policies: Policy, **said: Any) -> Site:
        sites.append(Site(tmp_path, *policies, **said))
        return sites[-1]

    yield build
    for site in sites:
        site.journal.close()


def actions(verdict: Verdict) -> tuple[object, ...]:
    assert verdict.plan is not None
    return verdict.plan.actions


def break_journal(site: Site) -> None:
    """Make every further use of the journal fail."""

    def fail(*_arguments: object, **_named: object) -> None:
        raise Temporary("the journal is unavailable: disk full")

    for method in ("begin", "entry", "given", "fail", "finish", "count_unfinished"):
        setattr(site.journal, method, fail)


# -- who is to have no mailbox ---------------------------------------------------------------


def test_a_user_of_a_policy_that_creates_mailboxes_is_not_exempt(build: Build) -> None:
    assert not build().provisioner.is_exempt(JOE, "joe")


def test_a_user_whose_policy_has_create_off_is_exempt(build: Build) -> None:
    assert build(NOBODY).provisioner.is_exempt(JOE, "joe")


def test_a_user_whom_no_policy_matches_is_exempt(build: Build) -> None:
    assert build(STUDENTS).provisioner.is_exempt(JOE, "joe")


@pytest.mark.parametrize("user", ["cyrus", "root", "anonymous"])
def test_administrators_are_exempt_by_name_and_by_group_and_so_is_anonymous(
    build: Build, user: str
) -> None:
    assert build().provisioner.is_exempt(Address(user), user)


class NotAlone(Memory):
    """A server beside others, which may have what it has not."""

    def confirm_missing(self, user: str) -> None:
        raise Temporary(f"another server may have {user}")


@pytest.fixture
def beside_others(build: Build) -> Callable[[Policy], Provisioner]:
    def begin(policy: Policy) -> Provisioner:
        site = build(policy)
        return Provisioner(
            AccountRules(Users(), (policy,), frozenset()),
            Directory([site.accounts]),
            NotAlone(),
            Unfinished(site.journal, site.clock),
            Creations(site.journal),
            site.mailboxes,
        )

    return begin


def test_a_no_that_the_store_does_not_confirm_refuses_nobody(
    beside_others: Callable[[Policy], Provisioner],
) -> None:
    provisioner = beside_others(NOBODY)
    with pytest.raises(Temporary, match="another server may have joe"):
        provisioner.decide(DecisionRequest(JOE, "joe", apply=True))
    for service, user, answer in (
        ("lmtp", "nobody", Answer.UNKNOWN),  # the account sources refuse this one
        ("imap", "joe", Answer.UNKNOWN),  # a login goes on whatever is said
    ):
        request = DecisionRequest(Address(user), user, apply=True, service=service)
        assert provisioner.decide(request).answer is answer


def test_a_creation_needs_no_confirmed_no(
    beside_others: Callable[[Policy], Provisioner],
) -> None:
    request = DecisionRequest(JOE, "joe", apply=True)
    assert beside_others(EVERYONE).decide(request).created


def test_a_user_without_an_account_is_not_exempt_but_unknown(build: Build) -> None:
    assert not build(NOBODY).provisioner.is_exempt(Address("nobody"), "nobody")


@pytest.mark.parametrize(
    ("address", "default_domain", "is_exempt"),
    [
        (Address("joe", "guests.test"), "", True),
        (Address("joe", "example.org"), "guests.test", False),
        (Address("joe"), "guests.test", True),
        (Address("joe"), "example.org", False),
    ],
)
def test_the_domain_of_the_address_or_else_the_default_domain_chooses_the_policy(
    build: Build, address: Address, default_domain: str, is_exempt: bool
) -> None:
    guests = replace(NOBODY, domains=frozenset({"guests.test"}))
    site = build(guests, EVERYONE, default_domain=default_domain)
    assert site.provisioner.is_exempt(address, "joe") is is_exempt


def test_a_failed_lookup_of_the_account_or_of_its_groups_exempts_nobody(build: Build) -> None:
    site = build(STUDENTS)
    site.accounts.groups_fail = True
    with pytest.raises(Temporary, match=r"accounts\.staff: no group file"):
        site.provisioner.is_exempt(JOE, "joe")
    site.accounts.fails = True
    with pytest.raises(Temporary, match=r"accounts\.staff: the database is away"):
        site.provisioner.is_exempt(JOE, "joe")


def test_groups_are_asked_for_only_where_administrators_or_policies_name_some(
    build: Build,
) -> None:
    site = build(administrators=frozenset({"cyrus"}))
    site.accounts.groups_fail = True
    assert not site.provisioner.is_exempt(JOE, "joe")
    assert site.provisioner.is_exempt(Address("cyrus"), "cyrus")


# -- what differs from today's policy --------------------------------------------------------


def test_a_tree_that_lacks_something_gets_a_plan_and_is_not_touched(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = Tree((Folder(),), Quota(512))
    verdict = site.update()
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "differs from its policy")
    assert (verdict.user, verdict.source, verdict.policy) == ("joe", "staff", "everyone")
    assert actions(verdict) == (
        SetQuota(Quota(1024)),
        CreateMailbox(("Sent",)),
        Subscribe(("Sent",)),
    )
    assert verdict.report is None
    assert site.store.trees == {"joe": Tree((Folder(),), Quota(512))}
    assert site.journal.count_unfinished() == 0


def test_a_tree_that_is_as_its_policy_says_gets_an_empty_plan(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = TREE
    verdict = site.update()
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "matches its policy")
    assert actions(verdict) == ()


def test_a_comparison_takes_one_observation_and_asks_the_journal_only_about_what_is_missing(
    build: Build,
) -> None:
    site = build()
    site.store.trees["joe"] = TREE
    break_journal(site)
    asked: list[str] = []
    observe = site.store.observe
    site.store.exists = lambda user: pytest.fail("one command too many")  # type: ignore[method-assign]
    site.store.observe = lambda user, wanted: (asked.append(user), observe(user, wanted))[1]  # type: ignore[method-assign,func-returns-value]
    assert site.update(restore=False).reason == "matches its policy"
    assert asked == ["joe"]


def test_what_the_user_was_given_once_and_removed_comes_back_only_with_restore(
    build: Build,
) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    site.journal.finish("joe", {"folder Sent", "subscription Sent"})
    assert actions(site.update(restore=False)) == ()
    assert site.update(restore=False).reason == "matches its policy"
    assert actions(site.update(restore=True)) == (CreateMailbox(("Sent",)), Subscribe(("Sent",)))


def test_what_another_user_was_given_is_no_reason_to_leave_it_out(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    site.journal.finish("ann", {"folder Sent", "subscription Sent"})
    assert actions(site.update()) == (CreateMailbox(("Sent",)), Subscribe(("Sent",)))


def test_a_user_without_an_account_is_unknown_though_a_mailbox_exists(build: Build) -> None:
    site = build()
    site.store.trees["gone"] = INBOX_ALONE
    verdict = site.update("gone")
    assert (verdict.answer, verdict.plan) == (Answer.UNKNOWN, None)
    assert verdict.reason == "no account source knows this user"


@pytest.mark.parametrize("user", ["cyrus", "root", "anonymous"])
def test_administrators_are_left_alone_though_they_have_a_mailbox(build: Build, user: str) -> None:
    site = build()
    site.store.trees[user] = INBOX_ALONE
    verdict = site.update(user)
    assert (verdict.answer, verdict.plan) == (Answer.PASS, None)
    assert verdict.reason == "has no mailbox to update"


def test_a_user_without_a_mailbox_gets_none(build: Build) -> None:
    site = build()
    verdict = site.update()
    assert (verdict.answer, verdict.plan) == (Answer.PASS, None)
    assert verdict.reason == "has no mailbox to update"
    assert site.store.trees == {}


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (NOBODY, "policy 'nobody' creates none: they read mail elsewhere"),
        (replace(NOBODY, why=""), "policy 'nobody' creates none"),
        (STUDENTS, "no policy matches"),
    ],
)
def test_a_mailbox_that_no_policy_asks_for_is_left_alone_and_the_reason_is_told(
    build: Build, policy: Policy, reason: str
) -> None:
    site = build(policy)
    site.store.trees["joe"] = INBOX_ALONE
    verdict = site.update()
    assert (verdict.answer, verdict.reason, verdict.plan) == (Answer.PASS, reason, None)


def test_the_domain_chooses_the_policy_of_an_update_too(build: Build) -> None:
    other = Policy("other", INBOX_ALONE, domains=frozenset({"other.test"}))
    site = build(other, EVERYONE)
    site.store.trees["joe"] = INBOX_ALONE
    assert site.update(domain="other.test").policy == "other"
    assert site.update(domain="example.org").policy == "everyone"


def test_a_value_of_the_entry_that_makes_no_sense_is_noted_and_the_policy_decides(
    build: Build,
) -> None:
    site = build(replace(EVERYONE, entry=AttributeOverrides(quota="mailquota")))
    site.store.trees["joe"] = TREE
    site.accounts.attributes = (("mailquota", "1"), ("mailquota", "2"))
    verdict = site.update()
    assert actions(verdict) == ()
    assert verdict.notes == ("attribute mailquota has several values; policy 'everyone' decides",)


def test_the_quota_of_the_entry_goes_before_that_of_the_policy(build: Build) -> None:
    site = build(replace(EVERYONE, entry=AttributeOverrides(quota="mailquota")))
    site.store.trees["joe"] = TREE
    site.accounts.attributes = (("mailquota", "2048"),)
    assert actions(site.update()) == (SetQuota(Quota(2048)),)


def test_an_update_is_temporary_where_the_account_the_mailbox_or_the_journal_is_unknown(
    build: Build,
) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    break_journal(site)
    with pytest.raises(Temporary, match="the journal is unavailable"):
        site.update()
    assert site.update(restore=True).answer is Answer.ACCEPT  # does not ask the journal
    site.store.failure = Temporary("connection refused")
    with pytest.raises(Temporary, match="connection refused"):
        site.update(restore=True)
    site.accounts.fails = True
    with pytest.raises(Temporary, match="the database is away"):
        site.update(restore=True)


def test_an_update_of_a_user_that_cyrus_cannot_have_is_refused(build: Build) -> None:
    site = build()
    site.accounts.users["jörg"] = frozenset()
    with pytest.raises(Refused, match="cannot be a Cyrus user"):
        site.update("jörg")


# -- the carrying out ------------------------------------------------------------------------


def test_an_update_is_carried_out_once_and_then_nothing_differs(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    verdict = site.apply(site.update())
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "completed")
    assert verdict.report is not None
    assert verdict.report.done == (CreateMailbox(("Sent",)), Subscribe(("Sent",)))
    assert actions(site.update(restore=True)) == ()
    assert site.journal.entry("joe") is None
    assert "joe" in site.mailboxes


def test_no_mailbox_counts_as_created_by_an_update(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    assert not site.apply(site.update()).created
    assert site.created == []


def test_what_an_update_gave_and_the_user_removes_does_not_come_back(build: Build) -> None:
    site = build(Policy("p", Tree((Folder(), SENT), shared=("News",), script=Script("main"))))
    site.store.trees["joe"] = Tree((Folder(),))
    site.apply(site.update())
    assert site.journal.given("joe") == {
        "folder Sent",
        "subscription Sent",
        "subscription to shared News",
        "sieve script",
    }
    site.store.trees["joe"] = Tree((Folder(),))
    assert actions(site.update()) == ()


def test_rights_that_cyrus_shows_with_their_obsolete_names_are_not_set_again(build: Build) -> None:
    acl = (("staff", "lrskxte"), ("kim", "lrc"), ("ann", "lrd"))
    site = build(Policy("p", Tree((Folder(acl=acl),))))
    site.store.trees["joe"] = Tree((Folder(),))
    verdict = site.update()
    assert actions(verdict) == tuple(SetAcl((), *entry) for entry in acl)
    site.apply(verdict)
    assert dict(site.store.trees["joe"].folders[0].acl)["staff"] == "lrskxtecd"
    assert actions(site.update()) == ()


def test_the_journal_has_an_entry_of_a_usable_tree_before_the_first_command(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    plan = site.update()
    noted: list[Entry | None] = []
    apply = site.store.apply

    def watched(plan: Plan) -> ApplyResult:
        noted.append(site.journal.entry("joe"))
        return apply(plan)

    site.store.apply = watched  # type: ignore[method-assign]
    site.apply(plan)
    next_try = site.clock() + 60.0
    assert noted == [Entry("joe", "joe@example.org", usable=True, next_try=next_try)]


def test_nothing_is_done_that_the_journal_cannot_note(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    plan = site.update()
    break_journal(site)
    with pytest.raises(Temporary, match="the journal is unavailable"):
        site.apply(plan)
    assert site.store.trees == {"joe": INBOX_ALONE}


def test_an_entry_that_cannot_be_removed_afterwards_is_logged_and_costs_nothing_else(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    plan, apply = site.update(), site.store.apply

    def break_behind(plan: Plan) -> ApplyResult:
        break_journal(site)
        return apply(plan)

    site.store.apply = break_behind  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        verdict = site.apply(plan)
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "completed")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "the journal is unavailable: disk full" in caplog.text
    assert "joe" in site.mailboxes


def test_what_failed_is_left_in_the_journal_for_another_attempt(build: Build) -> None:
    site = build(Policy("p", Tree((Folder(), Folder(("Sent",), partition="nowhere")))))
    site.store.trees["joe"] = Tree((Folder(),))
    verdict = site.apply(site.update())
    assert verdict.answer is Answer.ACCEPT  # INBOX is usable
    assert "could not create Sent on partition nowhere" in verdict.reason
    assert len(verdict.notes) == 1
    entry = site.journal.entry("joe")
    assert entry is not None
    assert (entry.begun, entry.usable, entry.attempts) == (True, True, 1)
    assert entry.next_try == site.clock() + 60.0
    assert entry.error.startswith("could not create Sent on partition nowhere: ")
    assert "joe" not in site.mailboxes


def test_what_was_given_is_noted_though_something_else_failed(build: Build) -> None:
    site = build(Policy("p", Tree((Folder(), Folder(("Bad",), partition="nowhere"), SENT))))
    site.store.trees["joe"] = Tree((Folder(),))
    site.apply(site.update())
    assert site.journal.given("joe") == {"folder Sent", "subscription Sent"}


def test_what_an_attempt_gave_whose_end_was_lost_is_noted_by_the_next(build: Build) -> None:
    """By a kill, or by a power failure: the entry is still there, and what was given is not noted."""
    site = build(Policy("p", Tree((Folder(), SENT), shared=("News",))))
    site.journal.begin(Entry("joe", "joe@example.org", next_try=site.clock() - 1.0))
    site.store.trees["joe"] = Tree((Folder(), SENT))
    verdict = site.provisioner.decide(DecisionRequest(JOE, "joe", True))
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "completed")
    assert site.journal.entry("joe") is None
    assert site.journal.given("joe") == {
        "folder Sent",
        "subscription Sent",
        "subscription to shared News",
    }


def test_of_several_failures_the_first_is_the_reason_and_all_are_noted(build: Build) -> None:
    site = build(
        Policy("p", Tree((Folder(), Folder(("A",), partition="x"), Folder(("B",), partition="y"))))
    )
    site.store.trees["joe"] = Tree((Folder(),))
    verdict = site.apply(site.update())
    assert "could not create A on partition x" in verdict.reason
    assert "create B" not in verdict.reason
    assert [note.partition(":")[0] for note in verdict.notes] == [
        "could not create A on partition x",
        "could not create B on partition y",
    ]


def test_a_quota_that_failed_leaves_no_usable_tree(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = Tree((Folder(), SENT))
    plan = site.update()
    site.store.failure = Temporary("connection refused")
    verdict = site.apply(plan)
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason == "could not set quota 1024 KiB: connection refused"
    entry = site.journal.entry("joe")
    assert entry is not None
    assert not entry.usable
    assert "joe" not in site.mailboxes


def test_each_failed_attempt_is_counted_in_the_entry_that_is_there_already(build: Build) -> None:
    site = build()
    site.store.trees["joe"] = INBOX_ALONE
    plan = site.update()
    site.store.failure = Temporary("connection refused")
    for attempts, pause in ((1, 60.0), (2, 120.0), (3, 240.0)):
        site.apply(plan)
        entry = site.journal.entry("joe")
        assert entry is not None
        assert (entry.attempts, entry.next_try) == (attempts, site.clock() + pause)


def test_what_is_impossible_is_noted_in_the_verdict_and_not_tried_again(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    site = build(Policy("p", Tree((Folder(),), shared=("Gone", "News"))))
    site.store.trees["joe"] = Tree((Folder(),))
    with caplog.at_level(logging.WARNING):
        verdict = site.apply(site.update())
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "completed")
    (note,) = verdict.notes
    assert note.startswith("could not subscribe to shared folder Gone: ")
    assert "could not subscribe to shared folder Gone, will not" in caplog.text
    assert site.journal.entry("joe") is None
    assert site.journal.given("joe") == {"subscription to shared News"}
    assert actions(site.update()) == (SubscribeShared("Gone"),)


def test_a_value_that_makes_no_sense_is_logged_when_a_mailbox_is_made(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    site = build(replace(EVERYONE, entry=AttributeOverrides(quota="mailquota")))
    site.accounts.attributes = (("mailquota", "much"),)
    with caplog.at_level(logging.ERROR):
        verdict = site.provisioner.decide(DecisionRequest(JOE, "joe", apply=True))
    assert (verdict.answer, verdict.created) == (Answer.ACCEPT, True)
    assert site.store.trees["joe"].quota == Quota(1024)
    assert "joe: attribute mailquota is not a size" in caplog.text


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        (JOE, "example.org"),
        (Address("joe"), "home.test"),
        (Address("joe", "other.test"), "other.test"),
    ],
)
def test_a_mailbox_that_is_created_is_told_with_its_policy_and_domain(
    build: Build, address: Address, domain: str
) -> None:
    site = build(default_domain="home.test")
    site.provisioner.decide(DecisionRequest(address, "joe", apply=True))
    assert site.created == [("everyone", domain)]


def test_what_was_wrong_with_the_entry_stays_in_the_notes(build: Build) -> None:
    site = build(replace(EVERYONE, entry=AttributeOverrides(quota="mailquota")))
    site.store.trees["joe"] = INBOX_ALONE
    site.accounts.attributes = (("mailquota", "much"),)
    noted = site.update().notes
    assert len(noted) == 1
    assert site.apply(site.update()).notes == noted


# -- looking and logging in ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("existing", "reason"),
    [
        (None, "has an account and no mailbox"),
        (INBOX_ALONE, "INBOX exists, its tree is incomplete"),
    ],
)
def test_a_look_says_whether_a_mailbox_exists_and_changes_nothing(
    build: Build, existing: Tree | None, reason: str
) -> None:
    site = build()
    if existing:
        site.store.trees["joe"] = existing
        site.journal.begin(Entry("joe", "joe@example.org"))
    verdict = site.provisioner.decide(DecisionRequest(JOE, "joe", apply=False))
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, reason)
    assert verdict.report is None
    assert site.store.trees == ({"joe": existing} if existing else {})
    assert (CreateMailbox(()) in actions(verdict)) is (existing is None)


@pytest.mark.parametrize(
    ("attempts", "seconds", "answer"),
    [
        (0, 3600.0, Answer.ACCEPT),
        (0, 3601.0, Answer.UNKNOWN),
        # The pauses so far, of 60, 120 and 240 seconds, count.
        (3, 3600.0 - 420.0, Answer.ACCEPT),
        (3, 3601.0 - 420.0, Answer.UNKNOWN),
    ],
)
def test_a_login_proves_an_account_that_no_source_knows_for_an_hour(
    build: Build, attempts: int, seconds: float, answer: Answer
) -> None:
    site = build()
    guest = Address("guest")
    entry = Entry("guest", "guest", "imap", attempts=attempts, next_try=site.clock())
    site.clock.now += seconds
    verdict = site.provisioner.decide(DecisionRequest(guest, "guest", True, "imap", entry))
    assert verdict.answer is answer
    assert ("guest" in site.store.trees) is (answer is Answer.ACCEPT)


# -- what it tells of itself -----------------------------------------------------------------


def test_the_number_of_unfinished_trees_is_none_while_the_journal_cannot_tell(
    build: Build,
) -> None:
    site = build()
    site.journal.begin(Entry("joe", "joe@example.org"))
    assert site.provisioner.stats()["unfinished"] == 1
    break_journal(site)
    assert site.provisioner.stats()["unfinished"] is None


def test_its_policies_are_those_of_the_administrator_in_their_order(build: Build) -> None:
    assert build(STUDENTS, EVERYONE).provisioner.policies == (STUDENTS, EVERYONE)
