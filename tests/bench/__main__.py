"""script/bench: runs the benchmarks that are named, one after the other, and prints their tables.

At the end it prints each target and whether it was met, a line each. A benchmark that did not measure what it says ends
the run with an AssertionError; a target that was missed does not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from tests.bench.contest import Effort, Result, table

# Each module has `run(effort) -> list[Result]`; the text is what it compares.
BENCHES = {
    "accounts": "one look-up in each kind of account source: against SQLite, the embedded default",
    "audit": "`audit` of up to a million accounts: against the time and the memory that were promised",
    "bulk": "`provision --all`: against a hand-written loop over raw IMAP with the same commands",
    "existence": "a check that no cache answers: 10,000 and 100,000 mailboxes against 1,000",
    "files": "accounts, groups and aliases in files of millions of lines: against what was promised",
    "first": "the first delivery to a new user: against Cyrus's native autocreate",
    "flood": "recipients that are unknown, and good mail beside them: against Postfix's own maps",
    "journal": "queries at a journal of 5,000,000 rows and three years: against 50,000",
    "lmtp": "recipients that are known, with lmtpd asked: against the same without [lmtp]",
    "login": "logins through us: against a Cyrus that asks saslauthd itself",
    "memory": "resident size: against a do-nothing pymilter",
    "million": "one look-up among a million accounts: against one among a thousand",
    "murder": "a Cyrus Murder: FIND against MYRIGHTS, one server, and all names by UPDATE against LIST",
    "processes": "two milters behind one descriptor: against one",
    "report": "a report over a year of six processes: against reading every hour of it with sqlite3",
    "start": "from the shell until a command has ended: against `python -c pass`",
    "verify": "look-ups in account sources: against the bare driver",
    "watch": "an account that appears: against the interval of rounds, and against listing everybody",
    "warm": "recipients that are known, through Postfix: against a do-nothing pymilter, and none",
}


def main(arguments: Sequence[str]) -> int:
    names = "\n".join(f"  {name:12} {text}" for name, text in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="script/bench", epilog=names, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=[*BENCHES, "all"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument(
        "--short",
        action="store_true",
        help="one round of little: to see that it works, not for figures",
    )
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args(arguments)
    effort = Effort(1 if options.short else options.rounds, options.short)

    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    results: dict[str, list[Result]] = {}
    for name in list(BENCHES) if "all" in options.names else options.names:
        run: Callable[[Effort], list[Result]] = import_module(f"tests.bench.{name}").run
        begun = time.monotonic()
        results[name] = run(effort)
        print(f"\n{name}: {BENCHES[name]} ({time.monotonic() - begun:.0f} s)\n")
        print("\n".join(table(results[name])), flush=True)
        if options.json:  # each time: the next one may fail
            found = {it: [one.as_json() for one in list_] for it, list_ in results.items()}
            options.json.write_text(json.dumps(found, indent=2) + "\n")
    outcomes = [it.against_target(name) for name, list_ in results.items() for it in list_]
    print("", *filter(None, outcomes), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
