"""The source for NSS in a process with an /etc of its own, since the C library reads no other.

libnss_wrapper would not do: where the C library answers "no such user" it answers with an error.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autocreate.accounts import AccountSource
from autocreate.errors import Temporary
from autocreate.model import Account
from tests.configured import account_source


@contextlib.contextmanager
def private_etc(
    folder: Path, kind: str = "nss", services: str = "files", libraries: Path | None = None
) -> Iterator[AccountSource]:
    """An `NssSource` or `ShadowSource` named `it` in whose world the folder is /etc.

    `services` is what its nsswitch.conf(5) names; `libraries` is where they are besides the usual places.
    """
    configure(folder, *(f"{database}: {services}" for database in ("passwd", "group", "shadow")))
    environment = {"LD_LIBRARY_PATH": str(libraries)} if libraries else {}
    serve = [sys.executable, "-m", __name__, kind]
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', folder, *serve],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as process:
        yield _Elsewhere(process)
        assert process.stdin is not None
        process.stdin.close()


def configure(folder: Path, *lines: str) -> None:
    """Write an nsswitch.conf(5) of these lines."""
    (folder / "nsswitch.conf").write_text("".join(f"{line}\n" for line in lines))


class _Elsewhere:
    """Passes questions on to `_serve` in another process, and its answers back."""

    name = "it"
    has_groups = True

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.Lock()

    def lookup(self, user: str) -> Account | None:
        found = self._ask("lookup", user)
        return Account(found[0], found[1], name=found[2]) if found else None

    def groups(self, account: Account) -> frozenset[str]:
        return frozenset(self._ask("groups", account.user))

    def names(self) -> Iterator[str]:
        return iter(self._ask("names", ""))

    def close(self) -> None:
        """Whoever started the process ends it."""

    def _ask(self, question: str, user: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps([question, user]).encode() + b"\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if "temporary" in answer:
            raise Temporary(answer["temporary"])
        return answer["result"]


def _serve() -> None:
    source = account_source(sys.argv[1])
    for line in sys.stdin:
        question, user = json.loads(line)
        try:
            if question == "lookup":
                found = source.lookup(user)
                answer: dict[str, Any] = {
                    "result": found and [found.user, found.source, found.name]
                }
            elif question == "names":
                answer = {"result": list(source.names() or ())}
            else:
                answer = {"result": sorted(source.groups(Account(user, source.name)))}
        except Temporary as error:
            answer = {"temporary": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
