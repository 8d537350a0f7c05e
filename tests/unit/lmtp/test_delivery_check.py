"""lmtpd's answer about a recipient: when it is asked for, how long it is remembered, what becomes of the verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from autocreate.core.naming import Users
from autocreate.errors import Unreachable
from autocreate.lmtp.delivery_check import DeliveryCheck
from autocreate.lmtp.replies import Forecast, Outcome
from autocreate.model import Address, Answer, Envelope, Login, Recipient, Reply, Verdict
from autocreate.tree.values import Folder, Tree
from tests.unit.clock import Clock
from tests.unit.house import TREE, House

FULL = Forecast(Outcome.REFUSED, "452 4.2.2 Over quota", Reply("452", "4.2.2", "Mailbox full"))
DENIED = Forecast(Outcome.REFUSED, "550 5.7.1 no", Reply("550", "5.7.1", "Delivery not authorized"))
TAKEN = Forecast(Outcome.TAKEN, "250 2.1.5 ok")
UNKNOWN = Forecast(Outcome.UNKNOWN, "550 5.1.1 User unknown")


@dataclass
class FakeLmtpd:
    """Says what `answers` has for an address, at `limit` bytes or more; else takes it. `asked` is what it was asked."""

    answers: dict[str, Forecast] = field(default_factory=dict)
    limit: int = 0
    error: str = ""
    longest: float = 3.0
    asked: list[str] = field(default_factory=list)
    on_ask: Callable[[str], None] = lambda _recipient: None

    def ask(self, recipient: str, envelope: Envelope) -> Forecast:
        self.asked.append(recipient)
        self.on_ask(recipient)
        if self.error:
            raise Unreachable(self.error)
        told = self.answers.get(recipient, TAKEN)
        return told if envelope.size >= self.limit else TAKEN

    def snapshot(self) -> dict[str, int]:
        return {"busy": 0, "idle": 0, "size": 2}

    def close(self) -> None:
        self.error = "closed"


class Site:
    """A service that asks a fake lmtpd. `joe` and `kim` have accounts and mailboxes, `new` an account."""

    def __init__(self, folder: Path, seconds: float = 60.0, **details: object) -> None:
        self.lmtpd = FakeLmtpd()
        self.check = DeliveryCheck(self.lmtpd, seconds, 100)
        accounts = {"joe": (), "kim": (), "new": ()}
        self.house = House(folder, accounts=accounts, delivery=self.check, **details)  # type: ignore[arg-type]
        self.house.store.trees |= {"joe": TREE, "kim": TREE}

    def mail(self, argument: str, **envelope: object) -> Verdict:
        said = Envelope(**envelope)  # type: ignore[arg-type]
        return self.house.service.verify(Recipient(argument, mailer="lmtp", envelope=said))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# -- what becomes of the verdict -------------------------------------------------------------


def test_who_is_taken_is_accepted_and_the_reason_stays(site: Site) -> None:
    verdict = site.mail("<joe@example.org>")
    assert (verdict.answer, verdict.reason, verdict.reply) == (Answer.ACCEPT, "INBOX exists", None)
    assert site.lmtpd.asked == ["joe@example.org"]


def test_a_refusal_of_cyrus_reaches_the_sender_with_its_codes(site: Site) -> None:
    site.lmtpd.answers["joe@example.org"] = FULL
    verdict = site.mail("<joe@example.org>")
    assert verdict.answer is Answer.REFUSED
    assert verdict.reply == Reply("452", "4.2.2", "Mailbox full")
    assert verdict.reason == "Cyrus refuses the mail: 452 4.2.2 Over quota"
    assert verdict.exit_status == 75
    site.lmtpd.answers["kim@example.org"] = DENIED
    assert site.mail("<kim@example.org>").exit_status == 69


def test_a_mailbox_is_created_before_lmtpd_is_asked(site: Site) -> None:
    site.lmtpd.on_ask = lambda _recipient: created.append("new" in site.house.store.trees)
    created: list[bool] = []
    assert site.mail("<new@example.org>").created
    assert created == [True]


@pytest.mark.parametrize(
    "argument", ["<nobody@example.org>", "<joe@elsewhere.test>", "<x y@example.org>"]
)
def test_who_is_not_accepted_is_not_asked_about(site: Site, argument: str) -> None:
    site.mail(argument)
    assert site.lmtpd.asked == []


def test_a_temporary_verdict_is_not_asked_about(site: Site) -> None:
    site.house.accounts.fails = True
    assert site.mail("<joe@example.org>").answer is Answer.TEMPORARY
    assert site.lmtpd.asked == []


def test_a_shared_folder_is_cyrus_s_to_judge_and_it_is_asked(site: Site) -> None:
    site.lmtpd.answers |= {"+closed@example.org": DENIED, "+Nope@example.org": UNKNOWN}
    assert site.mail("<+open@example.org>").answer is Answer.PASS
    assert site.mail("<+closed@example.org>").reply == DENIED.reply
    verdict = site.mail("<+Nope@example.org>")
    assert (verdict.answer, verdict.reply and verdict.reply[:2]) == (
        Answer.UNKNOWN,
        ("550", "5.1.1"),
    )


def test_the_address_is_the_one_that_the_mta_will_send(site: Site) -> None:
    recipient = Recipient("<Joe+News@EXAMPLE.org>", "joe+news@example.org", "lmtp")
    site.house.service.verify(recipient)
    assert site.lmtpd.asked == ["Joe+News@EXAMPLE.org"]


def test_sendmail_sends_the_local_part_alone(tmp_path: Path) -> None:
    users = Users(virtual_domains=True, default_domain="example.org")
    site = Site(tmp_path, users=users)
    site.house.service.verify(Recipient("<Joe@example.org>", "joe", "lmtp"))
    assert site.lmtpd.asked == ["joe"]


def test_a_danger_is_deferred_and_not_asked_about_again(site: Site) -> None:
    site.lmtpd.answers["joe@example.org"] = Forecast(Outcome.CRASH, "lmtpd crashes on it")
    for _ in range(2):
        verdict = site.mail("<joe@example.org>")
        assert (verdict.answer, verdict.reason) == (Answer.TEMPORARY, "lmtpd crashes on it")
    assert site.lmtpd.asked == ["joe@example.org"]


def test_mail_that_was_submitted_here_is_not_refused(site: Site) -> None:
    site.lmtpd.answers["joe@example.org"] = FULL
    verdict = site.house.service.verify(Recipient("<joe@example.org>", refusable=False))
    assert (verdict.answer, verdict.reply, verdict.suppressed) == (
        Answer.REFUSED,
        None,
        "not by SMTP",
    )


def test_a_login_asks_nobody(site: Site) -> None:
    site.house.service.log_in(Login("joe", "imap"))
    assert site.lmtpd.asked == []


def test_provisioning_many_users_asks_nobody(site: Site) -> None:
    site.house.service.provision(Address("joe", "example.org"))
    assert site.lmtpd.asked == []


# -- a mailbox that is gone ------------------------------------------------------------------


def unless_there(site: Site, user: str) -> Callable[[str], None]:
    """lmtpd knows a user as long as the store does."""

    def look(recipient: str) -> None:
        site.lmtpd.answers[recipient] = TAKEN if user in site.house.store.trees else UNKNOWN

    return look


def test_a_mailbox_that_was_deleted_while_it_was_remembered_is_made_again(tmp_path: Path) -> None:
    site = Site(tmp_path, seconds=0.0)
    site.lmtpd.on_ask = unless_there(site, "joe")
    assert site.mail("<joe@example.org>").answer is Answer.ACCEPT
    del site.house.store.trees["joe"]
    verdict = site.mail("<joe@example.org>")
    assert (verdict.answer, verdict.created) == (Answer.ACCEPT, True)
    assert site.lmtpd.asked == ["joe@example.org"] * 3
    assert [it.path for it in site.house.store.trees["joe"].folders] == [(), ("Sent",)]


def test_a_user_who_is_gone_with_the_mailbox_is_unknown(tmp_path: Path) -> None:
    site = Site(tmp_path, seconds=0.0)
    site.lmtpd.on_ask = unless_there(site, "joe")
    site.mail("<joe@example.org>")
    del site.house.store.trees["joe"], site.house.accounts.users["joe"]
    assert site.mail("<joe@example.org>").answer is Answer.UNKNOWN
    assert "joe" not in site.house.store.trees


def test_a_mailbox_that_only_lmtpd_does_not_know_is_deferred(site: Site) -> None:
    site.lmtpd.answers["joe@example.org"] = UNKNOWN
    verdict = site.mail("<joe@example.org>")
    assert (verdict.answer, verdict.reply and verdict.reply.code) == (Answer.TEMPORARY, "451")
    assert verdict.reason.startswith("INBOX exists, but lmtpd does not know it")
    site.lmtpd.answers.clear()
    assert site.mail("<joe@example.org>").answer is Answer.ACCEPT  # it was not remembered


# -- dry run ---------------------------------------------------------------------------------


def test_dry_run_asks_about_mailboxes_that_exist_and_withholds_the_answer(tmp_path: Path) -> None:
    site = Site(tmp_path, dry_run=True)
    site.lmtpd.answers["joe@example.org"] = FULL
    verdict = site.mail("<joe@example.org>")
    assert (verdict.answer, verdict.reply, verdict.suppressed) == (Answer.REFUSED, None, "dry run")
    assert site.mail("<new@example.org>").answer is Answer.ACCEPT
    # lmtpd's own autocreate would make a mailbox on being asked.
    assert site.lmtpd.asked == ["joe@example.org"]


def test_a_preview_tells_what_lmtpd_said(site: Site) -> None:
    verdict = site.house.service.preview(Recipient("joe@example.org"))
    assert verdict.notes == ("lmtpd says 250 2.1.5 ok",)
    assert [it.source for it in verdict.asked] == ["lmtp"]


# -- lmtpd is away ---------------------------------------------------------------------------


def test_without_lmtpd_what_we_knew_decides_and_it_is_logged_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "autocreate.lmtp.delivery_check")
    site.lmtpd.error = "connection refused"
    for _ in range(3):
        assert site.mail("<joe@example.org>").answer is Answer.ACCEPT
    assert site.mail("<nobody@example.org>").answer is Answer.UNKNOWN
    assert site.mail("<new@example.org>").created
    site.lmtpd.error = ""
    site.mail("<joe@example.org>")
    assert [record.getMessage() for record in caplog.records] == [
        "lmtpd cannot be asked, mail is accepted without its check: lmtpd was not asked: connection refused",
        "lmtpd answers again",
    ]
    told = site.check.snapshot()
    assert (told["lookups"], told["errors"]) == (5, 4)


def test_nobody_is_asked_when_the_deadline_leaves_no_time(tmp_path: Path) -> None:
    site = Site(tmp_path, deadline=2.0)
    assert site.mail("<joe@example.org>").answer is Answer.ACCEPT
    assert site.lmtpd.asked == []


# -- what is remembered ----------------------------------------------------------------------


@dataclass
class Memory:
    """A check by itself, with a clock that a test moves."""

    clock: Clock = field(default_factory=lambda: Clock(0.0))
    lmtpd: FakeLmtpd = field(default_factory=FakeLmtpd)

    def __post_init__(self) -> None:
        self.check = DeliveryCheck(self.lmtpd, 60.0, 3, clock=self.clock)

    def ask(self, user: str = "joe", size: int = 0, detail: str = "") -> Answer:
        verdict = Verdict(Answer.ACCEPT, "INBOX exists", user)
        recipient = f"{user}{detail}@example.org"
        until = self.clock() + 8.0
        envelope = Envelope(size=size)
        return self.check.confirm(
            verdict, recipient, envelope, until, lambda: replace(verdict, created=True)
        ).answer


@pytest.mark.parametrize("told", [TAKEN, FULL])
def test_an_answer_is_remembered_for_a_short_while(told: Forecast) -> None:
    memory = Memory()
    memory.lmtpd.answers["joe@example.org"] = told
    first = memory.ask()
    memory.clock.now = 59.9
    assert memory.ask() is first
    assert len(memory.lmtpd.asked) == 1
    memory.clock.now = 60.0
    memory.ask()
    assert len(memory.lmtpd.asked) == 2


def test_what_is_taken_at_one_size_is_taken_at_a_smaller_one_and_asked_for_at_a_greater() -> None:
    memory = Memory()
    memory.ask(size=5000)
    memory.ask(size=5000)
    memory.ask(size=10)
    assert len(memory.lmtpd.asked) == 1
    memory.ask(size=5001)
    assert len(memory.lmtpd.asked) == 2


def test_what_is_refused_at_one_size_is_refused_at_a_greater_one_and_asked_for_at_a_smaller() -> (
    None
):
    memory = Memory()
    memory.lmtpd.answers["joe@example.org"] = FULL
    memory.lmtpd.limit = 1000
    assert memory.ask(size=5000) is Answer.REFUSED
    assert memory.ask(size=9000) is Answer.REFUSED
    assert len(memory.lmtpd.asked) == 1
    assert memory.ask(size=10) is Answer.ACCEPT
    assert memory.ask(size=5) is Answer.ACCEPT
    assert memory.ask(size=5000) is Answer.REFUSED
    assert len(memory.lmtpd.asked) == 2


def test_a_later_answer_ends_an_earlier_one_that_it_contradicts() -> None:
    memory = Memory()
    memory.ask(size=5000)
    memory.clock.now = 30.0
    memory.lmtpd.answers["joe@example.org"] = FULL
    assert memory.ask(size=6000) is Answer.REFUSED
    assert memory.ask(size=5000) is Answer.ACCEPT
    memory.clock.now = 61.0  # what was taken is not believed any longer, what was refused is
    assert memory.ask(size=5000) is Answer.REFUSED
    assert memory.ask(size=6000) is Answer.REFUSED
    assert len(memory.lmtpd.asked) == 3


def test_each_address_of_a_user_is_asked_about_and_forgotten_with_the_user() -> None:
    memory = Memory()
    memory.ask()
    memory.ask(detail="+News")
    memory.ask("kim")
    memory.check.invalidate("joe")
    memory.ask()
    memory.ask(detail="+News")
    memory.ask("kim")
    assert memory.lmtpd.asked == [
        "joe@example.org",
        "joe+News@example.org",
        "kim@example.org",
        "joe@example.org",
        "joe+News@example.org",
    ]


def test_an_answer_that_was_asked_for_before_something_was_forgotten_is_not_remembered() -> None:
    memory = Memory()
    memory.lmtpd.on_ask = lambda _recipient: memory.check.invalidate("joe")
    memory.ask()
    memory.ask()
    assert len(memory.lmtpd.asked) == 2


def test_memory_has_an_end() -> None:
    memory = Memory()
    for user in ("a", "b", "c", "d"):
        memory.ask(user)
    for number in range(40):
        memory.ask("d", detail=f"+{number}")
    assert memory.check.snapshot()["remembered"] == {"users": 3, "size": 3, "seconds": 60.0}
    memory.ask("b")
    before = len(memory.lmtpd.asked)
    memory.ask("a")
    assert len(memory.lmtpd.asked) == before + 1


def test_a_cache_that_is_cleared_asks_everybody_anew(site: Site) -> None:
    site.mail("<joe@example.org>")
    site.mail("<joe@example.org>")
    assert len(site.lmtpd.asked) == 1
    site.house.service.invalidate_accounts()
    site.mail("<joe@example.org>")
    assert len(site.lmtpd.asked) == 2
    site.house.service.invalidate("joe")  # Cyrus told that the mailbox was removed
    site.mail("<joe@example.org>")
    assert len(site.lmtpd.asked) == 3


def test_a_tree_that_is_incomplete_is_asked_about_all_the_same(tmp_path: Path) -> None:
    site = Site(tmp_path, seconds=0.0)
    site.house.store.trees["joe"] = Tree((Folder(),))
    site.house.service.preview(Recipient("joe@example.org"))
    assert site.lmtpd.asked == ["joe@example.org"]
