"""Recipients whose verdict is known without judging them: recalled only while judging would say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.model import Answer, Recipient, Verdict
from autocreate.service import recipients
from tests.unit.house import House
from tests.unit.service.test_aliased_recipients import Site

JOE = ("<joe@example.org>", "joe@example.org", "lmtp")


def verified(house: House, argument: str, rewritten: str | None, mailer: str | None) -> Verdict:
    return house.service.verify(Recipient(argument, rewritten, mailer))


def known(house: House, *said: str | None) -> House:
    """The house, after a recipient was asked about until its mailbox was known to exist."""
    for _ in range(3):
        verified(house, *(said or JOE))  # type: ignore[arg-type]
    return house


@pytest.fixture
def house(tmp_path: Path) -> House:
    return known(House(tmp_path, accounts={"joe": ()}))


def test_a_recipient_that_was_judged_by_memory_alone_is_recalled_as_it_was_judged(
    house: House,
) -> None:
    recalled = house.service.recall(*JOE)
    assert recalled == verified(house, *JOE)
    assert recalled
    assert (recalled.answer, recalled.user) == (Answer.ACCEPT, "joe")


@pytest.mark.parametrize(
    "said",
    [
        ("<joe@example.org>", "joe@example.org", "smtp"),
        ("<joe@example.org>", "joe@example.org", None),
        ("<joe@example.org>", None, "lmtp"),
        ("<joe@example.org>", "kim@example.org", "lmtp"),
        ("<joe@other.test>", "joe@example.org", "lmtp"),
    ],
)
def test_whatever_the_mta_says_otherwise_is_another_recipient(
    house: House, said: tuple[str, str | None, str | None]
) -> None:
    assert house.service.recall(*said) is None


def test_nobody_is_recalled_whose_mailbox_may_be_gone(house: House) -> None:
    house.service.invalidate("joe")
    assert house.service.recall(*JOE) is None
    known(house)
    house.service.invalidate_accounts()
    assert house.service.recall(*JOE) is None
    known(house)
    assert house.service.recall(*JOE)


def test_nobody_is_recalled_who_was_not_accepted(house: House) -> None:
    for said in (
        ("<nobody@example.org>", "nobody@example.org", "lmtp"),
        ("<joe@other.test>", "joe@other.test", "lmtp"),
        ("<joe joe@example.org>", None, "lmtp"),
    ):
        known(house, *said)
        assert house.service.recall(*said) is None


def test_in_dry_run_each_recipient_is_judged_and_recorded(tmp_path: Path) -> None:
    known(House(tmp_path, accounts={"joe": ()}))
    dry = known(House(tmp_path, accounts={"joe": ()}, dry_run=True))
    assert dry.service.recall(*JOE) is None


def test_with_lmtpd_each_message_is_asked_about(tmp_path: Path) -> None:
    site = known(Site(tmp_path, {}, asks_lmtpd=True))
    assert site.service.recall(*JOE) is None


def test_an_alias_is_recalled_while_the_aliases_remember_it(tmp_path: Path) -> None:
    site = Site(tmp_path, {"info": "joe"})
    info = ("<info@example.org>", "info@example.org", "lmtp")
    known(site, *info)
    recalled = site.service.recall(*info)
    assert recalled == verified(site, *info)
    assert recalled
    assert recalled.aliases == ("info@example.org -> joe (aliases.it)",)
    site.entries["info"] = "kim"
    site.clock.now += 11.0
    assert site.service.recall(*info) is None
    assert verified(site, *info).user == "kim"


def test_an_alias_that_leads_elsewhere_since_is_not_recalled_as_what_it_was(tmp_path: Path) -> None:
    site = Site(tmp_path, {"info": "joe"})
    info = ("<info@example.org>", "info@example.org", "lmtp")
    known(site, *info)
    site.entries["info"] = "lee"
    site.clock.now += 11.0
    known(site, *info)
    recalled = site.service.recall(*info)
    assert recalled
    assert recalled.user == "lee"


def test_countless_spellings_fill_no_memory(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipients, "_MOST_RECALLABLE", 5)
    for number in range(50):
        spelling = (f"<joe+{number}@example.org>", f"joe+{number}@example.org", "lmtp")
        known(house, *spelling)
        assert house.service.recall(*spelling)
    assert len(house.service._recipients._recallable) <= 5


NAMES = st.sampled_from(["joe", "Joe", "kim", "joe+x", "info", "a..b", ""])
DOMAINS = st.sampled_from(["@example.org", "@EXAMPLE.org", "@other.test", ""])
ADDRESSES = st.tuples(NAMES, DOMAINS).map("".join)
SAID = st.tuples(
    ADDRESSES.map("<{}>".format),
    st.none() | ADDRESSES,
    st.none() | st.sampled_from(["lmtp", "smtp"]),
)


@given(st.lists(st.tuples(SAID, st.sampled_from(["ask", "ask", "ask", "remove"])), max_size=12))
def test_what_is_recalled_is_what_would_be_judged(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[tuple[str, str | None, str | None], str]],
) -> None:
    site = Site(tmp_path_factory.mktemp("site"), {"info": "kim"})
    try:
        for said, event in events:
            if event == "remove":
                site.service.invalidate("joe")
            elif recalled := site.service.recall(*said):
                assert recalled == verified(site, *said)
            else:
                verified(site, *said)
    finally:
        site.service.close()
