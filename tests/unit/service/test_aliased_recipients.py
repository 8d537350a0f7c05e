"""One verdict for a recipient whose aliases lead to several users; and what it costs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from autocreate.aliases.keys import Style
from autocreate.aliases.resolver import Aliases
from autocreate.aliases.stages import Found, Table
from autocreate.aliases.tables import InstrumentedTable
from autocreate.core.address import parse
from autocreate.core.policy import Policy
from autocreate.lmtp.delivery_check import DeliveryCheck
from autocreate.lmtp.replies import Forecast, Outcome
from autocreate.model import Answer, Envelope, Reply
from autocreate.resilience.single_flight import SingleFlight
from autocreate.tree.values import Folder, Tree
from tests.unit.clock import Clock
from tests.unit.house import House


class Site(House):
    """A service with aliases, over memory. It is itself the table, and lmtpd."""

    name = "it"

    def __init__(
        self,
        folder: Path,
        entries: Mapping[str, str],
        *,
        dry_run: bool = False,
        asks_lmtpd: bool = False,
    ) -> None:
        self.entries = dict(entries)
        self.uncertainty = ""
        self.questions: list[str] = []
        self.clock = Clock()
        self.forecasts: dict[str, Forecast] = {}
        self.asked_of_lmtpd: list[str] = []
        table = InstrumentedTable(self)
        aliases = Aliases(
            SingleFlight(4),
            [Table("it", Style.ALIASES, table.find, alias_domains=frozenset(["brand.test"]))],
            frozenset(["example.org"]),
            "+",
            stats={"it": table.stats},
            clock=self.clock,
        )
        super().__init__(
            folder,
            (Policy("ours", Tree((Folder(),)), domains=frozenset(["example.org"])),),
            accounts={"joe": (), "kim": (), "lee": ()},
            dry_run=dry_run,
            aliases=aliases,
            delivery=DeliveryCheck(self, 0.0, 100) if asks_lmtpd else None,
        )

    # -- as the server that is asked before mail is accepted

    longest = 3.0

    def ask(self, recipient: str, _envelope: Envelope) -> Forecast:
        self.asked_of_lmtpd.append(recipient)
        return self.forecasts.get(recipient, Forecast(Outcome.TAKEN))

    def snapshot(self) -> dict[str, int]:
        return {}

    # -- as the table

    def find(self, keys: Sequence[str]) -> Found:
        self.questions += keys
        for position, key in enumerate(keys):
            if key in self.entries:
                return Found(position, self.entries[key], self.uncertainty if position else "")
        return Found(uncertainty=self.uncertainty)

    def close(self) -> None:
        pass


Build = Callable[..., Site]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return lambda *entries, **named: Site(tmp_path, *entries, **named)


def test_every_user_behind_an_alias_gets_a_tree_and_is_told(build: Build) -> None:
    house = build({"sales": "joe, kim"})
    verdict = house.verify("sales@example.org")
    assert verdict.answer is Answer.ACCEPT
    assert (verdict.user, verdict.created) == ("joe, kim", True)
    assert verdict.reason == "joe: created; kim: created"
    assert [(part.user, part.created) for part in verdict.parts] == [("joe", True), ("kim", True)]
    assert verdict.aliases == ("sales@example.org -> joe, kim (aliases.it)",)
    assert set(house.store.trees) == {"joe", "kim"}


def test_an_alias_of_one_user_reads_like_that_user(build: Build) -> None:
    verdict = build({"info": "joe"}).verify("info@example.org")
    assert (verdict.answer, verdict.user, verdict.reason) == (Answer.ACCEPT, "joe", "created")
    assert verdict.parts == ()


def test_an_address_that_only_an_alias_could_make_is_unknown_whoever_has_an_account(
    build: Build,
) -> None:
    house = build({"gone": "joe@brand.test", "list": "joe@brand.test, kim"})
    refused = house.verify("gone@example.org")
    assert (refused.answer, refused.user) == (Answer.UNKNOWN, "joe@brand.test")
    assert refused.reason == "has no alias, and its domain has only aliases"
    assert house.verify("list@example.org").reason == (
        "joe@brand.test: has no alias, and its domain has only aliases; kim: created"
    )
    assert set(house.store.trees) == {"kim"}


def test_the_users_behind_an_alias_are_looked_at_at_the_same_time(build: Build) -> None:
    house = build({"sales": "joe, kim"})
    together = threading.Barrier(2)
    exists = house.store.exists

    def at_once(user: str) -> bool:
        together.wait(30.0)
        return exists(user)

    house.store.exists = at_once  # type: ignore[method-assign]
    assert house.verify("sales@example.org").reason == "joe: created; kim: created"


def test_an_unknown_user_among_others_refuses_nobody(build: Build) -> None:
    verdict = build({"list": "joe, gone"}).verify("list@example.org")
    assert verdict.answer is Answer.ACCEPT
    assert verdict.reason == "gone: no account source knows this user; joe: created"


def test_an_alias_whose_users_are_all_unknown_is_unknown(build: Build) -> None:
    assert build({"list": "gone, away"}).verify("list@example.org").answer is Answer.UNKNOWN


def test_a_failed_lookup_of_one_user_defers_the_alias(build: Build) -> None:
    house = build({"list": "joe, kim, gone"})
    house.accounts.fails_for = {"kim"}
    verdict = house.verify("list@example.org")
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason.startswith("kim: accounts.staff: the database is away; gone: no account")


@pytest.mark.parametrize("target", ["x@far.test", "|/bin/cat", "/dev/null", "gone, x@far.test", ""])
def test_what_needs_no_mailbox_of_ours_passes(build: Build, target: str) -> None:
    assert build({"away": target}).verify("away@example.org").answer is Answer.PASS


def test_a_table_that_cannot_tell_refuses_nobody_and_lets_known_users_in(build: Build) -> None:
    house = build({})
    house.uncertainty = "line 3 has no name, colon and value"
    verdict = house.verify("gone@example.org")
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason == (
        "no alias was found, but one may exist: aliases.it: line 3 has no name, colon and value"
    )
    assert house.verify("joe@example.org").answer is Answer.ACCEPT


@pytest.mark.parametrize("target", ["gone", ""])
def test_an_alias_that_may_not_be_the_right_one_refuses_nobody_and_passes_no_empty_list(
    build: Build, target: str
) -> None:
    house = build({"list": target, "info": "joe"})
    house.uncertainty = "written just now"
    verdict = house.verify("list+x@example.org")  # there may be an alias `list+x`
    assert verdict.answer is Answer.TEMPORARY
    assert verdict.reason.startswith(
        "an alias was found, but another may exist: aliases.it: written"
    )
    assert house.verify("info+x@example.org").answer is Answer.ACCEPT


def test_a_bare_name_behind_an_alias_gets_the_policy_of_the_recipients_domain(
    build: Build,
) -> None:
    assert build({"info": "joe"}).verify("info@example.org").policy == "ours"


def test_two_spellings_of_a_user_are_one(build: Build) -> None:
    house = build({"info": "joe, Joe+x@example.org, joe@example.org"})
    verdict = house.verify("info@example.org")
    assert (verdict.user, verdict.parts) == ("joe", ())
    assert house.accounts.questions == ["joe"]


def test_an_alias_whose_users_are_ready_costs_no_look_up(build: Build) -> None:
    house = build({"sales": "joe, kim"})
    house.verify("sales@example.org")
    house.questions.clear()
    house.accounts.questions.clear()
    assert (
        house.verify("sales@example.org").reason
        == "joe: mailbox known to exist; kim: mailbox known to exist"
    )
    assert (house.questions, house.accounts.questions) == ([], [])


def test_a_changed_alias_is_seen_when_the_memory_of_it_is_over(build: Build) -> None:
    house = build({"sales": "joe"})
    assert house.verify("sales@example.org").user == "joe"
    house.entries["sales"] = "kim"
    house.clock.now += 9.0
    assert house.verify("sales@example.org").user == "joe"
    house.clock.now += 2.0
    assert house.verify("sales@example.org").user == "kim"


def test_an_alias_that_is_added_for_an_unknown_name_is_seen_at_once(build: Build) -> None:
    house = build({})
    assert house.verify("new@example.org").answer is Answer.UNKNOWN
    house.entries["new"] = "joe"
    assert house.verify("new@example.org").answer is Answer.ACCEPT


def test_an_alias_in_the_place_of_a_user_who_was_renamed_is_seen_at_once(build: Build) -> None:
    house = build({})
    assert house.verify("joe@example.org").user == "joe"
    house.accounts.users = {"kim": frozenset()}
    house.entries["joe"] = "kim"
    house.service.invalidate("joe")  # Cyrus told us of the renaming
    assert house.verify("joe@example.org").user == "kim"
    house.questions.clear()
    assert house.verify("joe@example.org").user == "kim"
    assert house.questions == []


def test_an_alias_whose_user_is_gone_is_looked_up_anew_before_it_is_refused(build: Build) -> None:
    house = build({"info": "joe"})
    assert house.verify("info@example.org").user == "joe"
    house.accounts.users = {"kim": frozenset()}
    house.service.invalidate("joe")
    house.questions.clear()
    verdict = house.verify("info@example.org")
    assert verdict.answer is Answer.UNKNOWN
    assert [it.source for it in verdict.asked] == ["aliases.it"]
    assert house.questions == ["info", "joe"]
    house.entries["info"] = "kim"
    assert house.verify("info@example.org").user == "kim"


@pytest.mark.parametrize("mailer", ["error", "smtp"])  # "error" is that of virtual_alias_domains
def test_with_another_mailer_only_aliases_are_ours(build: Build, mailer: str) -> None:
    house = build({"info": "joe", "list": "gone"})
    assert house.verify("info@example.org", mailer).answer is Answer.ACCEPT
    assert house.verify("list@example.org", mailer).answer is Answer.UNKNOWN
    assert house.verify("kim@example.org", mailer).answer is Answer.PASS
    assert house.verify("gone@example.org", mailer).answer is Answer.PASS
    assert house.verify("a b@example.org", mailer).answer is Answer.PASS
    assert house.verify("info@elsewhere.test", mailer).answer is Answer.PASS
    assert set(house.store.trees) == {"joe"}


def test_what_tables_are_asked_is_told_and_what_is_remembered_can_be_forgotten(
    build: Build,
) -> None:
    house = build({"info": "joe"})
    assert [it.source for it in house.verify("info@example.org").asked] == ["aliases.it"]
    assert house.verify("info@example.org").asked == ()
    stats = house.service.stats()["aliases"]
    assert stats["remembered"] == {"addresses": 1, "size": 10_000, "seconds": 10.0}
    assert stats["tables"]["it"]["lookups"] == 2
    house.entries["info"] = "kim"
    house.service.invalidate_accounts()
    assert house.verify("info@example.org").user == "kim"


def test_a_user_who_is_provisioned_is_no_alias(build: Build) -> None:
    house = build({"joe": "kim"})
    joe = parse("joe@example.org")
    assert house.service.provision(joe, is_user=True).user == "joe"
    assert house.service.provision(joe).user == "kim"


def test_dry_run_records_the_plans_of_all_users(build: Build) -> None:
    house = build({"sales": "joe, kim"}, dry_run=True)
    verdict = house.verify("sales@example.org")
    assert [plan.user for plan in verdict.plans] == ["joe", "kim"]
    assert house.store.trees == {}
    [row] = house.journal.seen()
    assert row["user"] == "joe, kim"
    assert '"user": "joe"' in row["plan"]
    assert '"user": "kim"' in row["plan"]


def test_postmaster_as_an_alias_is_never_refused(build: Build) -> None:
    assert build({"postmaster": "gone"}).verify("postmaster@example.org").answer is Answer.PASS


# -- what Cyrus will not take ----------------------------------------------------------------

FULL = Forecast(Outcome.REFUSED, "452 4.2.2 Over quota", Reply("452", "4.2.2", "Mailbox full"))
DENIED = Forecast(Outcome.REFUSED, "550 5.7.1 no", Reply("550", "5.7.1", "Delivery not authorized"))
UNKNOWN = Forecast(Outcome.UNKNOWN, "550 5.1.1 User unknown")


def test_every_user_and_shared_folder_behind_an_alias_is_asked_about_as_the_mta_writes_it(
    build: Build,
) -> None:
    targets = "Joe+Offers@example.org, kim@example.org, +Sales@example.org, +Old@example.org"
    house = build({"sales": targets}, asks_lmtpd=True)
    assert house.verify("sales@example.org").answer is Answer.ACCEPT
    assert sorted(house.asked_of_lmtpd) == [
        "+Old@example.org",
        "+Sales@example.org",
        "Joe+Offers@example.org",
        "kim@example.org",
    ]


def test_a_full_mailbox_stops_no_list_and_is_told(build: Build) -> None:
    house = build({"sales": "joe, kim"}, asks_lmtpd=True)
    house.forecasts["kim@example.org"] = FULL
    verdict = house.verify("sales@example.org")
    assert (verdict.answer, verdict.reply) == (Answer.ACCEPT, None)
    assert "kim: Cyrus refuses the mail: 452 4.2.2 Over quota" in verdict.reason


def test_an_alias_of_one_full_mailbox_is_answered_like_it(build: Build) -> None:
    house = build({"info": "kim"}, asks_lmtpd=True)
    house.forecasts["kim@example.org"] = FULL
    assert house.verify("info@example.org").reply == FULL.reply


def test_where_nobody_can_take_it_the_reply_that_may_end_comes_first(build: Build) -> None:
    house = build({"sales": "joe, kim, gone"}, asks_lmtpd=True)
    house.forecasts |= {"joe@example.org": DENIED, "kim@example.org": FULL}
    verdict = house.verify("sales@example.org")
    assert (verdict.answer, verdict.reply) == (Answer.REFUSED, FULL.reply)
    house.forecasts["kim@example.org"] = DENIED
    assert house.verify("sales@example.org").reply == DENIED.reply


def test_a_shared_folder_that_is_not_there_stops_no_list(build: Build) -> None:
    house = build({"sales": "joe, +nope@example.org", "only": "+nope@example.org"}, asks_lmtpd=True)
    house.forecasts["+nope@example.org"] = UNKNOWN
    assert house.verify("sales@example.org").answer is Answer.ACCEPT
    assert house.verify("only@example.org").answer is Answer.UNKNOWN


def test_what_goes_elsewhere_as_well_is_not_refused_here(build: Build) -> None:
    house = build({"sales": "joe, x@far.test"}, asks_lmtpd=True)
    house.forecasts["joe@example.org"] = FULL
    assert house.verify("sales@example.org").answer is Answer.PASS


def test_a_refusal_is_deferred_while_another_alias_may_exist(build: Build) -> None:
    house = build({"list": "joe"}, asks_lmtpd=True)
    house.uncertainty = "written just now"
    house.forecasts["joe@example.org"] = DENIED
    assert house.verify("list+x@example.org").answer is Answer.TEMPORARY
