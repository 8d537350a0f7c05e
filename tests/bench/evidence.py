"""Proof that a benchmark measured what it says: what the program logged meanwhile, and what it counted.

The log has one line a recipient, so it shows each verdict and how it was reached. The statistics are the program's
second account: when it ends it writes them to the journal, and both must agree, reason by reason.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from autocreate.service.journal import Journal
from autocreate.statistics.tally import Tally
from tests.bench.contest import Contestant
from tests.servers.product import Product

# [log], for a bench of unknown recipients: each has its line, to prove each. By default some do not have one, and the
# program has less to do.
EVERY_LINE: Mapping[str, Any] = {"unknown_per_minute": 0}


class Kind(NamedTuple):
    """What was decided about a recipient, why, and who was asked: "staff", or "staff:cache" where a cache knew."""

    answer: str
    reason: str
    asked: str = ""


REMEMBERED = Kind("accept", "mailbox known to exist")
CREATED = Kind("accept", "created", "staff")
UNKNOWN = Kind("unknown", "no account source knows this user", "staff")

_LINE = re.compile(
    r"^\w+ (?:recipient|login) .*?\banswer=(?P<answer>\w+)(?:.*? asked=(?P<asked>'[^']*'|\S+))?"
    r".*? reason=(?P<reason>.*)$"
)
_MILLISECONDS = re.compile(r":[\d.]+")


class Evidence:
    """Counts what a milter decides, by its log, which is written as in production.

    Args:
        product: runs, or has run; it logs recipients at the level "info".
    """

    def __init__(self, product: Product) -> None:
        self._product = product
        self._log = product.log_file.open(encoding="utf-8", errors="replace")
        self._seen: Counter[Kind] = Counter()
        self._read()

    @contextlib.contextmanager
    def expects(self) -> Iterator[Counter[Kind]]:
        """What was put into the counter, and nothing else, must have been decided meanwhile.

        Raises:
            AssertionError: other verdicts were logged, more of them, or fewer.
        """
        found = self._read()
        assert not found, f"verdicts that were not asked for: {_shown(found)}"
        expected: Counter[Kind] = Counter()
        yield expected
        found = self._read()
        assert found == +expected, f"expected {_shown(expected)}; the log has {_shown(found)}"

    def proves(self, measure: Contestant, kinds: Mapping[Kind, int]) -> Contestant:
        """A contestant each of whose measurements must lead to these verdicts."""

        def proved() -> float:
            with self.expects() as expected:
                expected.update(kinds)
                return measure()

        return proved

    def finish(self) -> None:
        """Ends the program, and compares what it counted with its log.

        Raises:
            AssertionError: they differ.
        """
        self._product.stop()
        self._read()
        self._log.close()
        counted = counted_by_reason(self._product.journal)
        logged: Counter[tuple[str, str]] = Counter()
        for kind, count in self._seen.items():
            logged[kind.answer, kind.reason] += count
        assert counted == logged, (
            f"the statistics have {_shown(counted)}, the log has {_shown(logged)}"
        )

    def _read(self) -> Counter[Kind]:
        """What was logged since the last time."""
        kinds: Counter[Kind] = Counter()
        for line in self._log:
            if found := _LINE.match(line):
                asked = _MILLISECONDS.sub("", _unquoted(found["asked"] or ""))
                kinds[Kind(found["answer"], _unquoted(found["reason"]), asked)] += 1
        self._seen += kinds
        return kinds


@contextlib.contextmanager
def evidence(product: Product) -> Iterator[Evidence]:
    """The evidence of a program that runs; at the end its statistics must agree with its log."""
    found = Evidence(product)
    yield found
    found.finish()


def counted_by_reason(journal: Path) -> Counter[tuple[str, str]]:
    """The statistics that ended processes have left in a journal: verdicts by answer and reason."""
    with contextlib.closing(Journal(f"sqlite:///{journal}", time.time)) as opened:
        verdicts: Counter[tuple[str, str]] = Counter()
        for counted in opened.tallies(0):
            for kind, count in Tally.from_text(counted.tally).kinds.items():
                verdicts[kind.answer, kind.reason] += count
        return verdicts


def processor_seconds(pids: Iterable[int]) -> float:
    """Processor time of processes and of their children that have ended."""
    return sum(processor_by_program(pids).values())


def processor_by_program(pids: Iterable[int]) -> dict[str, float]:
    """Seconds of processor time by program; "ended" are children that have ended, whichever they were (proc(5)).

    Of a program a process of which ends between two looks the difference is too small, and that of "ended" too large.
    Their sum is right.
    """
    spent: dict[str, float] = {"ended": 0.0}
    tick = 1 / os.sysconf("SC_CLK_TCK")
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
            own_user, own_system, ended_user, ended_system = map(int, tail.split()[11:15])
            name = head.partition("(")[2]
            spent[name] = spent.get(name, 0.0) + (own_user + own_system) * tick
            spent["ended"] += (ended_user + ended_system) * tick
    return spent


def _unquoted(word: str) -> str:
    return str(ast.literal_eval(word)) if word[:1] in ("'", '"') else word


def _shown(counted: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {' | '.join(kind)!r}" for kind, count in counted.items()) or "none"
