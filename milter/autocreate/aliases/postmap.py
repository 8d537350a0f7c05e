"""Aliases in any type of table that Postfix can read, by postmap(1).

One process answers all lookups of one address, or of all members of a list. A warning of Postfix is an
uncertainty: the line of a regexp table that it skips may be the one that is looked up.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from autocreate.aliases.stages import Found
from autocreate.errors import ServerTimeout, Temporary
from autocreate.resilience.breaker import Breaker

# Where Postfix installs it: these are in root's PATH only.
_PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin:/opt/postfix/sbin"

# These do not concern the content of a table. Postfix 3.11 has two lines for each hash: or btree: table.
_HARMLESS = re.compile(
    r"overriding earlier entry|is older than source file|unused parameter"
    r"|support is deprecated|warning: See \S+ for more info"
)


class PostmapTable:
    """A table by its type and name, as in main.cf.

    Args:
        name: what the configuration calls this table.
        map: such as `hash:/etc/postfix/virtual`.
        config_directory: where main.cf is, if not in Postfix's own place.
        timeout: seconds for an answer.
    """

    def __init__(
        self, name: str, *, map: str, config_directory: Path | None, timeout: float
    ) -> None:
        self.name = name
        self._map = map
        self._config = ("-c", str(config_directory)) if config_directory else ()
        self._timeout = timeout
        self._breaker = Breaker(f"postmap {map}")

    def find(self, keys: Sequence[str]) -> Found:
        """See `AliasTable.find`."""
        return self.find_many([keys])[0]

    def find_many(self, questions: Sequence[Sequence[str]]) -> list[Found]:
        """See `AsksAtOnce.find_many`: one process answers everything."""
        distinct = dict.fromkeys(key for keys in questions for key in keys)
        asked = "".join(f"{key}\n" for key in distinct).encode()
        done = self._breaker.call(lambda: self._ask(asked))
        warnings = _warnings(done.stderr)
        if done.returncode not in (0, 1) or any("fatal:" in line for line in warnings):
            reason = "; ".join(warnings) or f"ended with status {done.returncode}"
            raise Temporary(f"postmap {self._map}: {reason}")
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        entries = {key: text for key, _, text in (line.partition("\t") for line in lines)}
        if not entries.keys() <= distinct.keys() or bool(entries) != (done.returncode == 0):
            raise Temporary(f"postmap {self._map} answered {done.stdout[:100]!r}")
        uncertainty = "; ".join(warnings)
        return [_first(keys, entries, uncertainty) for keys in questions]

    def close(self) -> None:
        """Nothing is open."""

    def _ask(self, keys: bytes) -> "subprocess.CompletedProcess[bytes]":
        program = shutil.which("postmap", path=_PLACES)
        if program is None:
            raise Temporary("postmap is not installed")
        try:
            return subprocess.run(
                [program, *self._config, "-q", "-", self._map],
                input=keys,
                capture_output=True,
                timeout=self._timeout,
                env={"LC_ALL": "C", "PATH": _PLACES},
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ServerTimeout(
                f"postmap {self._map}: no answer within {self._timeout:g} s"
            ) from error
        except OSError as error:
            raise Temporary(f"postmap cannot be started: {error}") from error


def _first(keys: Sequence[str], entries: Mapping[str, str], uncertainty: str) -> Found:
    for position, key in enumerate(keys):
        if key in entries:
            return Found(position, entries[key], uncertainty if position else "")
    return Found(uncertainty=uncertainty)


def _warnings(stderr: bytes) -> list[str]:
    """The warnings and errors of postmap, without its name."""
    lines = stderr.decode("utf-8", "replace").splitlines()
    found = [line.removeprefix("postmap: ") for line in lines if not _HARMLESS.search(line)]
    return list(dict.fromkeys(found))
