"""Which Cyrus is installed."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Final

from .common import run

MASTER: Final = Path("/usr/lib/cyrus/bin/master")


@functools.cache
def version() -> tuple[int, int]:
    """Of the Cyrus that is installed: (3, 6)."""
    said = run([MASTER, "-V"])
    found = re.search(r"(\d+)\.(\d+)", said)
    assert found, said
    return int(found[1]), int(found[2])
