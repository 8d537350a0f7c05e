"""Normal forms: what Python's own function makes, without its quadratic time."""

from __future__ import annotations

import time
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocreate.core.unicode import normalized

MARKS = "a\u0301\u0327\u0344\u0f71\u0f73\u0f75\u0f81é\u212bﬁ가\u1100\u1161\ufdfa"


@pytest.mark.parametrize("form", ["NFC", "NFKC", "NFKD"])
@given(st.text(st.sampled_from(MARKS), min_size=1, max_size=40))
def test_a_long_text_has_the_same_normal_form(
    form: Literal["NFC", "NFKC", "NFKD"], text: str
) -> None:
    text *= 300
    assert normalized(form, text[:400]) == unicodedata.normalize(form, text[:400])


def test_marks_in_the_wrong_order_take_no_quadratic_time() -> None:
    begun = time.thread_time()
    normalized("NFC", "a" + 100_000 * "\u0301" + 100_000 * "\u0327")
    assert time.thread_time() - begun < 10
