"""What is added up of verdicts, and what keeps it small."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.model import Answer, Verdict
from autocreate.statistics.tally import BOUNDS, OTHERS, Histogram, Tally, TopK, VerdictKey

CREATED = Verdict(Answer.ACCEPT, "created", "joe", "staff", "everyone", created=True)
UNKNOWN = Verdict(Answer.UNKNOWN, "no account source knows this user", "nobody")


def test_verdicts_are_told_apart_by_what_was_decided_and_about_whose_mail() -> None:
    tally = Tally()
    tally.add("milter", CREATED, 44.0, "<joe@Example.ORG>", "192.0.2.1")
    tally.add("milter", UNKNOWN, 1.0, "<nobody@example.org>", "192.0.2.1")
    tally.add("milter", UNKNOWN, 1.0, "<nobody@example.org>", "192.0.2.2")
    tally.add("milter", Verdict(Answer.PASS, "domain 'x.test' is not ours"), 0.1, "<a@x.test>")
    assert tally.kinds == {
        VerdictKey("milter", "accept", "created", "everyone", "example.org"): 1,
        VerdictKey("milter", "unknown", UNKNOWN.reason, "", "example.org"): 2,
        VerdictKey("milter", "pass"): 1,
    }
    assert tally.unknown.most() == [("nobody@example.org", 2)]
    assert tally.clients.most() == [("192.0.2.1", 1), ("192.0.2.2", 1)]
    assert {key: it.total for key, it in tally.times.items()} == {
        ("milter", "created"): 1,
        ("milter", "unknown"): 2,
        ("milter", "pass"): 1,
    }


def test_reasons_that_differ_in_names_and_numbers_only_are_one() -> None:
    tally = Tally()
    for reason in ("'joe' had no result within 7.9 s", "'ann' had no result within 8.0 s"):
        tally.add("milter", Verdict(Answer.TEMPORARY, reason), 8000.0, "<joe@example.org>")
    assert [kind.reason for kind in tally.kinds] == ["... had no result within N s"]


def test_a_flood_of_domains_is_counted_without_their_names() -> None:
    tally = Tally()
    for number in range(2000):
        tally.add("milter", UNKNOWN, 1.0, f"<x@{number}.test>")
    assert len(tally.kinds) == 501
    assert sum(tally.kinds.values()) == 2000
    assert tally.kinds[VerdictKey("milter", "unknown", OTHERS, "", OTHERS)] == 1500


def test_who_comes_often_is_found_in_a_flood_of_those_who_come_once() -> None:
    busiest = TopK()
    for number in range(20_000):
        busiest.add(f"guess{number}")
        if number % 10 == 0:
            busiest.add("info@example.org")
    assert busiest.most(1) == [("info@example.org", 2000)]
    assert len(busiest.most()) == 100


def test_what_is_no_text_is_kept_as_text() -> None:
    tally = Tally()
    tally.add("milter", UNKNOWN, 1.0, "<jos\udce9\n@example.org>", "192.0.2.1")
    assert tally.unknown.most() == [("jos\\udce9\\n@example.org", 1)]
    json.dumps(tally.as_json()).encode()


def test_a_tally_comes_back_from_json() -> None:
    tally = Tally()
    tally.add("milter", CREATED, 44.0, "<joe@example.org>", "192.0.2.1")
    tally.add("milter", UNKNOWN, 1.5, "<nobody@example.org>", "192.0.2.1")
    tally.create("everyone", "example.org")
    text = json.dumps(tally.as_json())
    assert json.dumps(Tally.from_json(json.loads(text)).as_json()) == text


@given(st.lists(st.sampled_from(["created", "accept", "unknown"]), max_size=30), st.integers(0, 30))
def test_two_tallies_make_the_one_that_saw_it_all(outcomes: list[str], cut: int) -> None:
    whole, first, second = Tally(), Tally(), Tally()
    for position, outcome in enumerate(outcomes):
        verdict = UNKNOWN if outcome == "unknown" else CREATED
        for tally in (whole, first if position < cut else second):
            tally.add("milter", verdict, position, f"<user{position % 3}@example.org>", "192.0.2.1")
            tally.create("everyone", "example.org")
    first.merge(second)
    assert first.kinds == whole.kinds
    assert first.created == whole.created
    assert dict(first.unknown.most()) == dict(whole.unknown.most())
    assert {k: (t.counts, t.sum) for k, t in first.times.items()} == {
        k: (t.counts, t.sum) for k, t in whole.times.items()
    }


def test_a_time_is_counted_below_the_bound_that_it_does_not_exceed() -> None:
    times = Histogram()
    for milliseconds in (0.1, 1.0, 1.1, 10_001.0):
        times.add(milliseconds)
    expected = [0] * (len(BOUNDS) + 1)
    expected[BOUNDS.index(0.1)] = expected[BOUNDS.index(1)] = expected[BOUNDS.index(2)] = 1
    expected[-1] = 1
    assert times.counts == expected
    assert round(times.sum, 1) == 10_003.2


def test_a_quantile_lies_within_the_bounds_of_its_time() -> None:
    times = Histogram()
    for _ in range(99):
        times.add(1.5)
    times.add(150.0)
    assert 1 < times.quantile(0.5) < 2
    assert 100 < times.quantile(1.0) <= 200
    assert Histogram().quantile(0.5) == 0.0


def test_a_status_code_is_no_number_that_differs() -> None:
    tally = Tally()
    for seconds in ("7.9", "8.0"):
        reason = f"Cyrus refuses the mail: 452 4.2.2 Over quota, after {seconds} s"
        tally.add("milter", Verdict(Answer.REFUSED, reason), 1.0, "<joe@example.org>")
    (kind,) = tally.kinds
    assert kind.reason == "Cyrus refuses the mail: 452 4.2.2 Over quota, after N s"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kinds": None},
        {"kinds": [["milter", "accept", "", "", "", ""]]},  # without a count
        {"kinds": [["milter", "perhaps", "", "", "", "", 1]]},
        {"kinds": [["milter", 1, "", "", "", "", 1]]},
        {"kinds": [["milter", "accept", "", "", "", "", "", 1]]},
        {"kinds": [["milter", "accept", "", "", "", "", -1]]},
        {"kinds": [["milter", "accept", "", "", "", "", 1.0]]},
        {"kinds": [["milter", "accept", "", "", "", "", True]]},
        {"kinds": [["milter", "accept", "", "", "", "", 2**63]]},
        {"created": [["everyone", "example.org"]]},
        {"created": [[None, "example.org", 1]]},
        {"times": [["milter", "perhaps", 1.0, [0] * 17]]},
        {"times": [["milter", "accept", 1.0, [0] * 16]]},
        {"times": [["milter", "accept", 10**400, [0] * 17]]},
        {"times": [["milter", "accept", "long", [0] * 17]]},
        {"times": [["milter", "accept", 1.0, [-1] * 17]]},
        {"unknown": ["joe"]},
        {"clients": {"192.0.2.1": "often"}},
    ],
)
def test_what_another_version_or_an_accident_wrote_is_no_tally(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a tally of this version"):
        Tally.from_json(Tally().as_json() | wrong)


@pytest.mark.parametrize("nothing", [{}, [], None, "", 5])
def test_what_is_no_object_of_all_parts_is_no_tally(nothing: Any) -> None:
    with pytest.raises(ValueError, match="not a tally of this version"):
        Tally.from_json(nothing)


def test_the_greatest_count_that_a_database_has_comes_back() -> None:
    kinds = [["milter", "accept", "", "", "", "", 2**63 - 1], ["pam", "accept", "", "", "", "", 0]]
    assert Tally.from_json(Tally().as_json() | {"kinds": kinds}).as_json()["kinds"] == kinds


def test_a_flood_of_domains_with_new_mailboxes_is_counted_by_policy() -> None:
    tally = Tally()
    for number in range(600):
        tally.create("everyone", f"{number}.test")
    tally.create("everyone", "0.test", 2)  # one that is known is still counted by its name
    assert len(tally.created) == 501
    assert tally.created["everyone", OTHERS] == 100
    assert tally.created["everyone", "0.test"] == 3


def test_an_alias_of_several_users_has_one_reason() -> None:
    tally = Tally()
    for user in ("ann", "joe"):
        verdict = Verdict(Answer.ACCEPT, f"{user}: INBOX exists", parts=(CREATED, UNKNOWN))
        tally.add("milter", verdict, 1.0, "<staff@example.org>")
    assert [(kind.reason, count) for kind, count in tally.kinds.items()] == [
        ("an alias of several", 2)
    ]


def test_a_time_beyond_the_last_bound_has_no_quantile() -> None:
    times = Histogram()
    times.add(BOUNDS[-1] + 1)
    assert times.quantile(0.5) == float("inf")


def test_within_two_bounds_times_lie_evenly() -> None:
    times = Histogram()
    for _ in range(4):
        times.add(15.0)  # between 10 and 20
    assert [times.quantile(part) for part in (0.25, 0.5, 1.0)] == [12.5, 15.0, 20.0]
    first = Histogram()
    first.add(0.05)
    assert first.quantile(0.5) == 0.05


def test_a_name_without_end_is_cut() -> None:
    busiest = TopK()
    busiest.add("x" * 1000)
    assert busiest.most() == [("x" * 200, 1)]
