"""No reader takes more than in proportion: ten times the worst input costs about ten times the time.

A quadratic reader lets whoever owns a file, or a server that lies, stop the mail: 100 times for ten.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from .reader import Reader
from .readers import READERS

SMALL, LARGE = 100_000, 1_000_000
MOST = 30.0  # times the time, for ten times the input
SOON = 0.25  # seconds: below this nobody minds, and the clock's own noise would count

CASES = [
    pytest.param(reader, worst, id=f"{name}-{number}")
    for name, reader in READERS.items()
    for number, worst in enumerate(reader.worst)
]


@pytest.mark.parametrize(("reader", "worst"), CASES)
def test_ten_times_the_worst_input_costs_about_ten_times_the_time(
    reader: Reader, worst: Callable[[int], bytes]
) -> None:
    large = _seconds(reader, worst(LARGE))
    if large < SOON:
        return
    assert large < MOST * max(_seconds(reader, worst(SMALL)) for _ in range(3))


def _seconds(reader: Reader, data: bytes) -> float:
    # The garbage collector looks at all that other tests have left, too, which is not the reader's.
    gc.collect()
    gc.disable()
    try:
        begun = time.thread_time()
        reader(data)
        return time.thread_time() - begun
    finally:
        gc.enable()
