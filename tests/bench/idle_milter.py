"""A pymilter with our callbacks that does nothing: the floor of every milter in Python.

python -m tests.bench.idle_milter unix:/path|inet:port@host
"""

from __future__ import annotations

import sys
from typing import Any

import Milter


class Idle(Milter.Base):  # type: ignore[misc]
    """Sees what ours sees, and lets it pass."""

    def negotiate(self, options: list[int]) -> int:
        answer: int = super().negotiate(options)
        options[0] = 0
        return answer

    def connect(self, _hostname: str, _family: int, _address: Any) -> int:
        return int(Milter.CONTINUE)

    def envfrom(self, *_arguments: str) -> int:
        return int(Milter.CONTINUE)

    def envrcpt(self, *_arguments: str) -> int:
        return int(Milter.CONTINUE)

    def data(self) -> int:
        return int(Milter.CONTINUE)


if __name__ == "__main__":
    Milter.factory = Idle
    Milter.runmilter("idle", sys.argv[1], 0)
