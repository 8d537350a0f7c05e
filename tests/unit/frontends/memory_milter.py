"""A milter over memory, as a process of its own: `python -m tests.unit.frontends.memory_milter SOCKET FOLDER`.

joe and ann have accounts, limbo's account is in doubt, defect's breaks the source. It ends when its input does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from autocreate import logs
from autocreate.errors import Temporary
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import listening
from autocreate.frontends.milter import Milter
from autocreate.model import Account
from tests.unit.house import Accounts, House


class Moody(Accounts):
    def lookup(self, user: str) -> Account | None:
        if user == "limbo":
            raise Temporary("the database is away")
        if user == "defect":
            raise SystemExit("a source that wants to end the program")
        return super().lookup(user)


def main(place: str, folder: str) -> None:
    logs.configure("text", "debug")
    house = House(Path(folder), accounts={})
    accounts = Moody({"joe": (), "ann": ()})
    house.accounts.lookup = accounts.lookup  # type: ignore[method-assign]
    with listening("milter.socket", place, 0o600, None) as listener:
        Milter(listener).serve(
            ServiceGate(house.service), lambda error: print(error, file=sys.stderr)
        )
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
