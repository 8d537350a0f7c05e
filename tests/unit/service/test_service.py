"""The verdict about one recipient: what the account, the mailbox, the journal and the policy have to say in it."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.core.naming import Users
from autocreate.core.policy import Policy
from autocreate.errors import Refused, Temporary
from autocreate.model import Account, Address, Answer, Recipient, Verdict
from autocreate.service.journal import Entry
from autocreate.service.journal_creations import DueHook
from autocreate.tree.actions import CreateMailbox, SetQuota, SubscribeShared
from autocreate.tree.base import Action
from autocreate.tree.plan import ApplyResult, Failure, Plan
from autocreate.tree.values import Folder, Quota, Tree
from tests.servers.common import wait_until
from tests.unit.clock import Clock
from tests.unit.house import EVERYONE, TREE, Build, House

NOBODY = Policy("nobody", Tree(), create=False)
STUDENTS = replace(EVERYONE, name="students", groups=frozenset(["students"]))
LONG = 30.0


@pytest.fixture
def build(tmp_path: Path, clock: Clock) -> Build:
    def build(*arguments: object, **named: object) -> House:
        named = {"accounts": {"joe": ["staff"], "cyrus": ()}, "clock": clock, **named}
        return House(tmp_path, *arguments, **named)  # type: ignore[arg-type]

    return build


def mail(house: House, argument: str = "<joe@example.org>", **said: object) -> Verdict:
    return house.service.verify(Recipient(argument, **said))  # type: ignore[arg-type]


def fail_at(house: House, *failing: Action) -> None:
    """Have the store refuse some actions, and do the others."""
    apply = house.store.apply

    def partly(plan: Plan) -> ApplyResult:
        failed = tuple(Failure(it, "over quota") for it in plan.actions if it in failing)
        report = apply(replace(plan, actions=tuple(it for it in plan.actions if it not in failing)))
        return ApplyResult(plan, failed, report.skipped)

    house.store.apply = partly  # type: ignore[method-assign]


def break_journal(house: House, folder: Path) -> None:
    house.journal.close()
    for file in folder.glob("journal.db*"):
        file.write_bytes(b"overwritten by an accident" * 1000)


# -- the table -------------------------------------------------------------------------------


def test_an_account_without_a_mailbox_gets_its_tree_and_then_its_mail(build: Build) -> None:
    house = build()
    verdict = mail(house)
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "created")
    assert (verdict.user, verdict.source, verdict.policy) == ("joe", "staff", "everyone")
    assert verdict.created
    assert [it.path for it in house.store.trees["joe"].folders] == [(), ("Sent",)]
    assert house.journal.entry("joe") is None


def test_a_mailbox_that_exists_is_left_alone(build: Build) -> None:
    house = build()
    house.store.trees["joe"] = Tree((Folder(),))
    verdict = mail(house)
    assert (verdict.answer, verdict.reason) == (Answer.ACCEPT, "INBOX exists")
    assert not verdict.created
    assert house.store.trees["joe"] == Tree((Folder(),))


def test_nobody_knows_the_user(build: Build) -> None:
    verdict = mail(build(), "<ann@example.org>")
    assert (verdict.answer, verdict.reply and verdict.reply.code) == (Answer.UNKNOWN, "550")


def test_a_mailbox_without_an_account_gets_no_mail(build: Build) -> None:
    house = build()
    house.store.trees["ann"] = TREE
    assert mail(house, "<ann@example.org>").answer is Answer.UNKNOWN


@pytest.mark.parametrize("stands", [True, False])
def test_a_failed_lookup_of_the_account_is_temporary(build: Build, stands: bool) -> None:
    house = build()
    house.accounts.fails = True
    if stands:
        house.store.trees["joe"] = TREE
    verdict = mail(house)
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason == "accounts.staff: the database is away"


def test_a_failed_lookup_of_the_mailbox_is_temporary(build: Build) -> None:
    house = build()
    house.store.failure = Temporary("Cyrus is away")
    assert (mail(house).answer, mail(house).reason) == (Answer.TEMPORARY, "Cyrus is away")


def test_a_user_that_cyrus_cannot_have_is_temporary_and_the_reason_is_logged(build: Build) -> None:
    house = build()
    house.store.failure = Refused("user id 'joe' cannot be a Cyrus user")
    verdict = mail(house)
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason == "user id 'joe' cannot be a Cyrus user"


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        ((STUDENTS,), "no mailbox for this user: no policy matches"),
        ((NOBODY, EVERYONE), "no mailbox for this user: policy 'nobody' creates none"),
    ],
)
def test_who_gets_no_mailbox_by_policy_is_unknown_until_one_exists(
    build: Build, policies: tuple[Policy, ...], reason: str
) -> None:
    house = build(policies)
    verdict = mail(house)
    assert (verdict.answer, verdict.reason) == (Answer.UNKNOWN, reason)
    assert house.store.trees == {}
    house.store.trees["joe"] = TREE
    assert mail(house).answer is Answer.ACCEPT


def test_administrators_get_no_mailbox(build: Build) -> None:
    house = build()
    verdict = mail(house, "<cyrus@example.org>")
    assert (verdict.answer, verdict.reason) == (Answer.UNKNOWN, "administrators get no mailbox")
    house.store.trees["cyrus"] = TREE
    assert mail(house, "<cyrus@example.org>").answer is Answer.ACCEPT


def test_anonymous_gets_no_mailbox_though_it_has_an_account(build: Build) -> None:
    house = build(accounts={"anonymous": ()})
    assert mail(house, "<anonymous@example.org>").answer is Answer.UNKNOWN


def test_a_broken_journal_stops_creation_and_not_the_mail_of_those_who_have_a_mailbox(
    build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = build(accounts={"joe": (), "ann": ()})
    house.store.trees["ann"] = TREE
    break_journal(house, tmp_path)
    assert mail(house).answer is Answer.TEMPORARY
    assert "joe" not in house.store.trees
    assert mail(house, "<ann@example.org>").answer is Answer.ACCEPT
    (told,) = [it.message for it in caplog.records if it.levelname == "ERROR"]
    assert "meanwhile new users get 451, and mail to existing mailboxes is accepted" in told


def test_a_journal_that_fails_when_all_is_done_costs_nothing_but_a_line(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    house = build()

    def fail(user: str, given: Collection[str] = (), hook: DueHook | None = None) -> None:
        raise Temporary("journal is away")

    house.journal.finish = fail  # type: ignore[method-assign]
    assert mail(house).reason == "created"
    assert "joe: tree complete, but its journal entry remains: journal is away" in caplog.text


# -- what is unfinished ------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [CreateMailbox(()), SetQuota(Quota(5))])
def test_mail_waits_for_inbox_and_its_quota(build: Build, missing: Action) -> None:
    house = build((replace(EVERYONE, tree=replace(TREE, quota=Quota(5))),))
    fail_at(house, missing)
    verdict = mail(house)
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason.endswith(": over quota")
    entry = house.journal.entry("joe")
    assert entry is not None
    assert (entry.usable, entry.attempts) == (False, 1)


def test_what_fails_for_one_reason_is_one_line_of_the_log(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    house = build((replace(EVERYONE, tree=replace(TREE, quota=Quota(5))),))
    fail_at(house, CreateMailbox(()), SetQuota(Quota(5)))
    mail(house)
    assert "joe: could not create INBOX, set quota 5 KiB: over quota" in caplog.messages


def test_what_can_never_be_is_one_line_of_the_log_and_is_not_tried_again(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Folder(("x" * 600,), subscribe=True, acl=(("anyone", "lr"),))
    house = build((replace(EVERYONE, tree=replace(TREE, folders=(Folder(), folder))),))
    verdict = mail(house)
    assert (verdict.answer, verdict.created) == (Answer.ACCEPT, True)
    assert house.journal.entry("joe") is None
    (line,) = [it for it in caplog.messages if "could not" in it]
    assert line.startswith("joe: could not create xxx")
    assert ", subscribe to xxx" in line
    assert "will not retry: folder 'xxx" in line


def test_mail_does_not_wait_for_the_rest(build: Build, clock: Clock) -> None:
    house = build()
    fail_at(house, CreateMailbox(("Sent",)))
    verdict = mail(house)
    assert (verdict.answer, verdict.created) == (Answer.ACCEPT, True)
    assert verdict.notes == ("could not create Sent: over quota",)
    assert house.journal.entry("joe") == Entry(
        "joe",
        "joe@example.org",
        usable=True,
        attempts=1,
        next_try=clock.now + 60.0,
        error="could not create Sent: over quota",
    )


def test_a_usable_tree_is_not_tried_again_before_its_time(build: Build, clock: Clock) -> None:
    house = build()
    house.store.trees["joe"] = Tree((Folder(),))
    house.journal.begin(Entry("joe", "joe", usable=True, next_try=clock.now + 60, error="why"))
    assert mail(house).reason == "INBOX exists, the rest is retried later: why"
    assert house.store.trees["joe"] == Tree((Folder(),))
    clock.now += 60.0
    assert mail(house).reason == "completed"
    assert [it.path for it in house.store.trees["joe"].folders] == [(), ("Sent",)]


def test_a_clock_that_was_ahead_and_was_set_back_delays_nothing(build: Build, clock: Clock) -> None:
    house = build(accounts={"joe": (), "ann": ()})
    for user in ("joe", "ann"):
        house.store.trees[user] = Tree((Folder(),))
        noted = clock.now + 365 * 86400.0 + 60.0
        house.journal.begin(Entry(user, f"{user}@example.org", usable=True, next_try=noted))
    assert {it.user for it in house.service.unfinished(everything=False)} == {"ann", "joe"}
    assert mail(house).reason == "completed"
    (left,) = house.service.unfinished(everything=False)
    assert house.service.complete(left).reason == "completed"
    assert house.service.unfinished(everything=True) == []


def test_the_longest_pause_is_not_taken_for_a_clock_that_was_ahead(
    build: Build, clock: Clock
) -> None:
    house = build()
    house.store.trees["joe"] = Tree((Folder(),))
    noted = clock.now + 6 * 3600.0 + 30.0  # by another MTA, whose clock is ahead a little
    house.journal.begin(Entry("joe", "joe", usable=True, next_try=noted, error="why"))
    assert house.service.unfinished(everything=False) == []
    assert mail(house).reason == "INBOX exists, the rest is retried later: why"


def test_a_tree_that_was_killed_half_made_is_completed_at_once(build: Build, clock: Clock) -> None:
    house = build()
    house.store.trees["joe"] = Tree((Folder(),))
    house.journal.begin(Entry("joe", "joe@example.org", next_try=clock.now + 60.0))
    verdict = mail(house)
    assert (verdict.answer, verdict.reason, verdict.created) == (
        Answer.ACCEPT,
        "completed",
        False,
    )
    assert house.journal.entry("joe") is None


def test_each_failed_attempt_doubles_the_pause_up_to_six_hours(build: Build, clock: Clock) -> None:
    house = build()
    fail_at(house, CreateMailbox(("Sent",)))
    mail(house)
    pauses = []
    for _ in range(11):
        (entry,) = house.service.unfinished(everything=True)
        pauses.append(entry.next_try - clock.now)
        clock.now = entry.next_try
        house.service.complete(entry)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600]


def test_what_is_due_is_completed(build: Build, clock: Clock) -> None:
    house = build()
    house.store.trees["joe"] = Tree((Folder(),))
    house.journal.begin(Entry("joe", "joe@example.org", usable=True, next_try=clock.now + 60.0))
    assert house.service.unfinished(everything=False) == []
    (entry,) = house.service.unfinished(everything=True)
    assert house.service.complete(entry).reason == "completed"
    assert house.service.unfinished(everything=True) == []


@pytest.mark.parametrize("user", ["gone", "cyrus"])
def test_a_tree_that_is_no_longer_needed_is_struck_out(
    build: Build, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    house = build()
    house.journal.begin(Entry(user, user))
    house.service.complete(house.service.unfinished(everything=True)[0])
    assert house.service.unfinished(everything=True) == []
    assert f"{user}: unfinished tree dropped from the journal" in caplog.text


def test_an_attempt_that_comes_to_no_decision_is_retried_later(build: Build, clock: Clock) -> None:
    house = build()
    house.journal.begin(Entry("joe", "joe@example.org"))
    house.store.failure = Temporary("Cyrus is away")
    house.service.complete(house.service.unfinished(everything=True)[0])
    entry = house.journal.entry("joe")
    assert entry is not None
    assert (entry.attempts, entry.next_try, entry.error) == (1, clock.now + 60, "Cyrus is away")


def test_however_often_an_attempt_failed_the_next_one_is_noted(build: Build, clock: Clock) -> None:
    house = build()
    house.store.failure = Temporary("Cyrus is away")
    entry = Entry("joe", "joe@example.org", attempts=2000, next_try=clock.now)
    house.journal.begin(entry)
    house.service.complete(entry)
    noted = house.journal.entry("joe")
    assert noted is not None
    assert noted.next_try == clock.now + 6 * 3600


def test_an_entry_is_not_struck_out_for_what_a_recipient_meanwhile_was_told(
    build: Build, clock: Clock
) -> None:
    house = build()
    house.store.trees["joe"] = Tree((Folder(),))
    entry = Entry("joe", "joe@example.org", usable=True, next_try=clock.now + 60.0)
    house.journal.begin(entry)
    inside, go_on = threading.Event(), threading.Event()
    exists = house.store.exists

    def slow(user: str) -> bool:
        inside.set()
        assert go_on.wait(LONG)
        return exists(user)

    house.store.exists = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as threads:
        recipient = threads.submit(mail, house)
        assert inside.wait(LONG)
        attempt = threads.submit(house.service.complete, entry)
        key = ("joe", True)
        wait_until(lambda: house.service.single_flight.waiting(key) == 2, LONG, "both")
        go_on.set()
        assert attempt.result(LONG).reason == recipient.result(LONG).reason
    assert house.journal.entry("joe") == entry


def test_a_shared_folder_that_is_not_there_is_left_out_for_good(build: Build) -> None:
    house = build((replace(EVERYONE, tree=replace(TREE, shared=("News",))),))
    verdict = mail(house)
    assert verdict.notes == ("could not subscribe to shared folder News: Mailbox does not exist",)
    assert verdict.answer is Answer.ACCEPT
    assert house.journal.entry("joe") is None
    assert SubscribeShared("News") in (verdict.plan.actions if verdict.plan else ())


# -- whose business it is -----------------------------------------------------------------------


@pytest.mark.parametrize("mailer", ["smtp", "error", "relay"])
def test_another_mailer_is_none_of_our_business(build: Build, mailer: str) -> None:
    verdict = mail(build(), "<nobody@example.org>", mailer=mailer)
    assert verdict.answer is Answer.PASS


@pytest.mark.parametrize("argument", ["<joe@other.test>", "<jo e@other.test>", "<x@a.[>"])
def test_another_domain_is_none_of_our_business_however_broken(build: Build, argument: str) -> None:
    assert mail(build(), argument, mailer="lmtp").answer is Answer.PASS


def test_a_malformed_address_of_ours_is_refused(build: Build) -> None:
    verdict = mail(build(), "<jo e@example.org>")
    assert verdict.reply == ("553", "5.1.3", "Bad recipient address syntax")


@pytest.mark.parametrize(
    "argument",
    ["<joe>", "<Joe@EXAMPLE.org>", "<joe+lists@example.org>", '<"joe"@example.org>',
     "<@relay.test:joe@example.org>", "joe@example.org."],
)  # fmt: skip
def test_every_spelling_leads_to_the_user(build: Build, argument: str) -> None:
    assert mail(build(), argument).user == "joe"


@pytest.mark.parametrize(
    ("quotes_dots", "rewritten", "answer"),
    [
        (True, "a..b@example.org", Answer.UNKNOWN),
        (False, "a..b@example.org", Answer.ACCEPT),
        (True, "a..b", Answer.ACCEPT),  # a local name of Sendmail's, which quotes nothing
    ],
)
def test_whether_the_mta_quotes_it_decides_about_dots_in_a_row(
    build: Build, quotes_dots: bool, rewritten: str, answer: Answer
) -> None:
    house = build(accounts={"a..b": []}, quotes_dots=quotes_dots)
    verdict = mail(house, "<a..b@example.org>", rewritten=rewritten)
    assert verdict.answer is answer
    assert ("milter.lmtp_quote_rfc821_envelope" in verdict.reason) is (answer is Answer.UNKNOWN)


@pytest.mark.parametrize("quotes_dots", [True, False])
def test_a_blank_that_is_quoted_gets_no_mailbox_however_the_mta_quotes(
    build: Build, quotes_dots: bool
) -> None:
    house = build(accounts={"blaise pascal": []}, quotes_dots=quotes_dots)
    for rewritten in ('"blaise pascal"@example.org', '"blaise pascal"'):
        verdict = mail(house, '<"blaise pascal"@example.org>', rewritten=rewritten)
        assert verdict.answer is Answer.UNKNOWN
        assert "lmtp_quote" not in verdict.reason
    assert house.store.trees == {}


@pytest.mark.parametrize("argument", ["<postmaster>", "<PostMaster@example.org>"])
def test_postmaster_is_never_refused(build: Build, argument: str) -> None:
    house = build()
    assert mail(house, argument).answer is Answer.PASS
    house.accounts.fails = True
    assert mail(house, argument).answer is Answer.TEMPORARY


def test_a_shared_folder_is_cyruss_to_judge(build: Build) -> None:
    house = build()
    house.accounts.fails = True
    assert mail(house, "<+folder@example.org>").answer is Answer.PASS


@pytest.mark.parametrize(
    ("argument", "rewritten", "user"),
    [
        ("<Joe@Example.org>", "joe@example.org", "Joe"),
        ("<Joe>", "joe@example.org", "joe"),
        ("<@relay.test:Joe@example.org>", "joe@example.org", "joe"),
        ("<Joe@example.org>", "joe", "joe"),
        ("<Joe>", "ann", "ann"),
        ("<Joe@example.org>", "", "Joe"),
        # Postfix folds case: these are the names of others.
        ("<straße@example.org>", "strasse@example.org", "straße"),
        ("<τάκης@example.org>", "τάκησ@example.org", "τάκης"),
        # Sendmail forgives blanks and comments; to us the domain would be somebody else's.
        ("<ann@ example.org>", "ann", "ann"),
        ("<ann@example.org(there)>", "ann", "ann"),
    ],
)
def test_the_clients_spelling_counts_unless_the_mta_has_another_address(
    build: Build, argument: str, rewritten: str, user: str
) -> None:
    house = build(users=Users(to_lower=False))
    assert mail(house, argument, rewritten=rewritten).user == user


@pytest.mark.parametrize(
    ("users", "answer"),
    [
        (Users(), Answer.ACCEPT),
        (Users(virtual_domains=True, default_domain="xn--kln-sna.test"), Answer.UNKNOWN),
    ],
)
def test_with_virtual_domains_nobody_is_in_a_domain_that_is_written_beyond_ascii(
    build: Build, users: Users, answer: Answer
) -> None:
    house = build(users=users, domains=["example.org", "xn--kln-sna.test"])
    assert mail(house, "<joe@xn--kln-sna.test>").answer is Answer.ACCEPT
    assert mail(house, "<joe@Köln.test>", rewritten="joe@köln.test").answer is answer


def test_what_did_not_come_by_smtp_is_provisioned_and_never_refused(build: Build) -> None:
    house = build()
    assert mail(house, refusable=False).created
    verdict = mail(house, "<ann@example.org>", refusable=False)
    assert (verdict.answer, verdict.suppressed, verdict.reply) == (
        Answer.UNKNOWN,
        "not by SMTP",
        None,
    )


# -- known, looked at, dry ------------------------------------------------------------------------


def test_a_mailbox_known_to_exist_costs_no_look(build: Build) -> None:
    house = build()
    mail(house)
    house.accounts.fails = True
    house.store.failure = Temporary("Cyrus is away")
    assert mail(house).reason == "mailbox known to exist"


def test_a_preview_has_the_plan_and_changes_nothing(build: Build) -> None:
    house = build()
    verdict = house.service.preview(Recipient("joe@example.org"))
    assert verdict.answer is Answer.ACCEPT
    assert verdict.plan == Plan("joe", "everyone", (CreateMailbox(()), CreateMailbox(("Sent",))))
    assert (house.store.trees, house.service.unfinished(True)) == ({}, [])


def test_dry_run_lets_everything_pass_changes_nothing_and_records_it(build: Build) -> None:
    house = build(dry_run=True)
    for argument in ("<joe@example.org>", "<ann@example.org>", "<x y@example.org>", "<a@b.test>"):
        verdict = mail(house, argument)
        assert (verdict.reply, verdict.suppressed) == (None, "dry run")
    assert {row["recipient"]: row["answer"] for row in house.journal.seen()} == {
        "<joe@example.org>": "accept",
        "<ann@example.org>": "unknown",
        "<x y@example.org>": "malformed",
    }
    assert house.store.trees == {}
    house.journal.begin(Entry("joe", "joe"))
    assert house.service.unfinished(everything=True) == []


def test_dry_run_goes_on_though_nothing_can_be_recorded(
    build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = build(dry_run=True)
    break_journal(house, tmp_path)
    assert mail(house).reply is None
    assert "dry run: not recorded: journal" in caplog.text


@pytest.mark.parametrize("dry_run", [False, True])
def test_provisioning_works_for_any_domain_and_only_when_it_may(
    build: Build, dry_run: bool
) -> None:
    house = build(dry_run=dry_run)
    address = Address("joe", "other.test")
    assert not house.service.provision(address, apply=False).created
    assert house.service.provision(address).created is not dry_run
    assert ("joe" in house.store.trees) is not dry_run


@pytest.mark.parametrize("is_user", [False, True])
def test_provisioning_makes_no_mailbox_for_a_local_part_that_must_be_quoted(
    build: Build, is_user: bool
) -> None:
    house = build(accounts={"john doe": []})
    verdict = house.service.provision(Address("john doe", "example.org"), is_user=is_user)
    assert verdict.answer is Answer.UNKNOWN
    assert house.store.trees == {}


# -- whatever happens ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("a defect"), KeyError("joe"), sqlite3.Error("away"), TimeoutError()]
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_defect_of_a_source_is_temporary_and_logged(
    build: Build, error: Exception, dry_run: bool, caplog: pytest.LogCaptureFixture
) -> None:
    house = build(dry_run=dry_run)

    def lookup(user: str) -> Account | None:
        raise error

    house.accounts.lookup = lookup  # type: ignore[method-assign]
    verdict = mail(house)
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason == f"internal error: {error!r}"
    (record,) = [it for it in caplog.records if "a defect of this program" in it.message]
    assert (record.levelno, record.exc_info and record.exc_info[1]) == (logging.ERROR, error)


def test_a_defect_of_the_journal_does_not_escape_from_dry_run(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    house = build(dry_run=True)

    def record(recipient: Recipient, verdict: Verdict) -> None:
        raise ValueError("a defect")

    house.journal.record = record  # type: ignore[method-assign]
    assert mail(house).reply is None
    assert "dry run: not recorded: a defect of this program" in caplog.text


def test_the_deadline_is_kept_while_the_work_goes_on(build: Build) -> None:
    house = build(deadline=0.05)
    go_on = threading.Event()
    exists = house.store.exists

    def slow(user: str) -> bool:
        assert go_on.wait(LONG)
        return exists(user)

    house.store.exists = slow  # type: ignore[method-assign]
    verdict = mail(house)
    assert verdict.answer is Answer.TEMPORARY
    assert "the work continues" in verdict.reason
    assert house.store.trees == {}
    go_on.set()
    wait_until(lambda: "joe" in house.mailboxes, LONG, "the end of the work")
    assert mail(house).answer is Answer.ACCEPT


def test_many_sessions_for_one_new_user_make_one_tree(build: Build) -> None:
    house = build()
    applied: list[Plan] = []
    apply = house.store.apply
    together = threading.Barrier(20)

    def counting(plan: Plan) -> ApplyResult:
        applied.append(plan)
        return apply(plan)

    def send(_: int) -> Verdict:
        together.wait(LONG)
        return mail(house)

    house.store.apply = counting  # type: ignore[method-assign]
    with ThreadPoolExecutor(20) as threads:
        answers = {it.answer for it in threads.map(send, range(20))}
    assert answers == {Answer.ACCEPT}
    assert len(applied) == 1


def test_a_closed_service_is_temporary(build: Build) -> None:
    house = build()
    house.service.close()
    assert (mail(house).answer, mail(house).reason) == (Answer.TEMPORARY, "shutting down")


def test_who_is_forgotten_may_be_spelled_as_the_account_source_does(build: Build) -> None:
    house = build(accounts={"klee": ()})
    assert mail(house, "<klee@example.org>").answer is Answer.ACCEPT
    assert mail(house, "<klee@example.org>").reason == "mailbox known to exist"
    house.service.invalidate_accounts("KLee")
    assert mail(house, "<klee@example.org>").reason == "INBOX exists"


# -- the socket map ----------------------------------------------------------------------------


def test_a_check_decides_as_mail_will_be_and_changes_nothing(build: Build) -> None:
    house = build()
    verdict = house.service.check(Recipient("joe@example.org"))
    assert (verdict.answer, verdict.user, verdict.suppressed) == (Answer.ACCEPT, "joe", "")
    assert house.service.check(Recipient("who@example.org")).answer is Answer.UNKNOWN
    assert house.service.check(Recipient("joe@elsewhere.test")).foreign
    assert not house.store.trees
    assert list(house.journal.all_unfinished()) == []
    assert mail(house).created


def test_a_check_in_dry_run_is_recorded(build: Build) -> None:
    house = build(dry_run=True)
    assert house.service.check(Recipient("joe@example.org")).suppressed == "dry run"
    assert [it["recipient"] for it in house.journal.seen()] == ["joe@example.org"]


def test_a_mailbox_is_found_in_cyrus_whatever_the_account_sources_know(build: Build) -> None:
    house = build()
    house.store.trees["old"] = TREE
    house.accounts.fails = True

    def answer(argument: str) -> Answer:
        return house.service.find_mailbox(Recipient(argument)).answer

    assert answer("old+detail@elsewhere.test") is Answer.ACCEPT
    assert answer("joe@example.org") is Answer.UNKNOWN
    assert answer("+shared@example.org") is Answer.PASS
    assert answer("a b@example.org") is Answer.MALFORMED
    house.store.failure = Temporary("Cyrus is away")
    assert answer("old@example.org") is Answer.TEMPORARY
    # An account is not proved by a mailbox, so mail asks for it all the same.
    house.store.failure = None
    assert mail(house, "<old@example.org>").answer is Answer.TEMPORARY
