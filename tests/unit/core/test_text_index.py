"""Texts are found by key, however many there are, and take a few bytes each."""

from __future__ import annotations

import tracemalloc
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from autocreate.core.text_index import TextIndex, TextIndexBuilder

# No line feeds, and bytes that were not UTF-8.
TEXTS = st.text(st.characters(exclude_characters="\n") | st.just("\udcff"), max_size=5)


def index(*batches: list[tuple[str, str]]) -> TextIndex:
    builder = TextIndexBuilder()
    for batch in batches:
        builder.add([key for key, _ in batch], [text for _, text in batch])
    return builder.built()


@given(st.lists(st.lists(st.tuples(TEXTS, TEXTS), max_size=5), max_size=5))
def test_each_text_is_found_by_its_key_in_the_order_of_the_texts(
    batches: list[list[tuple[str, str]]],
) -> None:
    pairs = [pair for batch in batches for pair in batch]
    made = index(*batches)
    assert bool(made) == bool(pairs)
    assert list(made) == [text for _, text in pairs]
    for key, _ in pairs:
        found = [text for text, _ in groupby(made.find(key))]
        assert found == [text for text, _ in groupby(text for it, text in pairs if it == key)]


def test_a_text_that_is_repeated_a_thousand_times_is_found_once() -> None:
    assert index([("joe", "Joe")] * 1000 + [("joe", "JOE")]).find("joe") == ["Joe", "JOE"]


def test_what_was_not_added_is_not_found() -> None:
    assert index().find("joe") == []
    assert list(index()) == []
    assert index([("ann", "Ann")]).find("joe") == []


def test_a_hundred_thousand_names_take_few_bytes_each() -> None:
    batches = ([f"{batch}name{number}" for number in range(1000)] for batch in range(100))
    builder = TextIndexBuilder()
    tracemalloc.start()
    for names in batches:
        builder.add(names, names)
    made = builder.built()
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000 * 25  # a name has up to 9 characters, and an entry 8 bytes
    assert most < 100_000 * 40
    assert len(made) == 100_000
    for number in range(0, 100_000, 997):
        name = f"{number // 1000}name{number % 1000}"
        assert name in made.find(name)  # the hash of another key may be the same
