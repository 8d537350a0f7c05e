"""What is added up of verdicts, and what keeps it small."""

from __future__ import annotations

import json

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
