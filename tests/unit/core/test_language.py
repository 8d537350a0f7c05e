"""Which language of those on offer an account prefers."""

from __future__ import annotations

import pytest

from autocreate.core.language import chosen, is_tag

OFFERED = ("en", "de", "pt-br", "el")


@pytest.mark.parametrize(
    ("preferred", "language"),
    [
        ("de", "de"),
        ("DE-at", "de"),
        ("de-AT, en;q=0.5", "de"),
        ("fr, en;q=0.5, de;q=0.8", "de"),
        ("en;q=0.3,el ; q=0.9", "el"),
        ("de;q=0, el;q=0.1", "el"),
        ("pt-BR-x-home", "pt-br"),
        ("el_GR.UTF-8", "el"),
        ("de_DE@euro", "de"),
        ("fr, *;q=0.1", "en"),
        ("pt", "en"),
        ("", "en"),
        (",;q=,=;\x00de", "en"),
        ("de;q=7, el", "el"),
        ("de ; q=0.2 , en", "en"),
    ],
)
def test_the_first_that_is_on_offer_counts(preferred: str, language: str) -> None:
    assert chosen([preferred], OFFERED, "en") == language


def test_several_values_are_asked_in_turn() -> None:
    assert chosen(["fr", "el", "de"], OFFERED, "en") == "el"


def test_of_equal_ones_the_first_counts() -> None:
    assert chosen(["el, de"], OFFERED, "en") == "el"


@pytest.mark.parametrize(
    ("text", "good"), [("de", True), ("pt-BR", True), ("d", False), ("", False)]
)
def test_a_tag_is_letters_and_subtags(text: str, good: bool) -> None:
    assert is_tag(text) is good
