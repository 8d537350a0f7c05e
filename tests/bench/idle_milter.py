"""A pymilter with our callbacks and steps that does nothing: the floor of every milter in Python.

python -m tests.bench.idle_milter unix:/path|inet:port@host [refuse]    with "refuse" it knows no recipient
"""

from __future__ import annotations

import sys
from typing import Any

import Milter


class Idle(Milter.Base):  # type: ignore[misc]
    """Sees what ours sees, and lets it pass."""

    is_local = False
    silent = 0

    def negotiate(self, options: list[int]) -> int:
        offered = options[1]
        answer: int = super().negotiate(options)
        options[0] = 0
        if self.is_local:
            self.silent = offered & (Milter.P_NR_CONN | Milter.P_NR_MAIL)
            options[1] |= self.silent | (offered & Milter.P_NODATA)
        return answer

    def connect(self, _hostname: str, _family: int, _address: Any) -> int:
        return int(Milter.NOREPLY if self.silent & Milter.P_NR_CONN else Milter.CONTINUE)

    def envfrom(self, *_arguments: str) -> int:
        return int(Milter.NOREPLY if self.silent & Milter.P_NR_MAIL else Milter.CONTINUE)

    def envrcpt(self, *_arguments: str) -> int:
        return int(Milter.CONTINUE)

    def data(self) -> int:
        return int(Milter.CONTINUE)


class Refusing(Idle):
    """Refuses every recipient as ours refuses an unknown one."""

    def envrcpt(self, *_arguments: str) -> int:
        self.setreply("550", "5.1.1", "User unknown")
        return int(Milter.REJECT)


if __name__ == "__main__":
    Idle.is_local = sys.argv[1].startswith("unix:")
    Milter.factory = Refusing if sys.argv[2:] == ["refuse"] else Idle
    Milter.runmilter("idle", sys.argv[1], 0)
