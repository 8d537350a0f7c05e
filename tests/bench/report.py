"""A report over a year of three MTAs with two processes each, whose older hours have become days.

Against the least that Python must do where every hour is kept: read the rows with sqlite3, parse their JSON, and add up
one number of each. Both are processes of their own, in processor time, from their start.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from autocreate.model import Answer, Verdict
from autocreate.service.journal import Journal
from autocreate.service.journal_hours import DAY, HOUR, HOURLY_DAYS
from autocreate.statistics.tally import Tally
from tests.bench.contest import Effort, Result, in_turn
from tests.servers.product import COMMAND

# 2 s where the bare program takes 2.4 s.
TARGET = 1.2

PROCESSES = [f"mx{host}:{pid}:0a1b2c3d" for host in (1, 2, 3) for pid in (100, 200)]

BARE = """
import json, sqlite3, sys
total = 0
for tally, in sqlite3.connect(sys.argv[1]).execute("SELECT tally FROM hours ORDER BY hour"):
    total += sum(kind[-1] for kind in json.loads(tally)["kinds"])
print(total)
"""


def run(effort: Effort) -> list[Result]:
    """Measures reports of the year in days, and of nothing."""
    with tempfile.TemporaryDirectory(prefix="autocreate-bench-") as made:
        folder = Path(made)
        hours, days = folder / "hours.db", folder / "days.db"
        year = effort.of(363)
        expected = _fill(hours, year)
        shutil.copy(hours, days)
        spent = _fold(days, year)
        values = in_turn(
            {
                "bare": _bare(hours, sum(expected.values())),
                "days": _report(folder, days, expected),
                "nothing": _report(folder, folder / "new.db", Counter()),
            },
            effort.rounds,
        )
    folded = [spent] * effort.rounds
    return [
        Result("report --since 52w", "ms", values["days"], values["bare"], True, TARGET),
        Result("report, nothing in it", "ms", values["nothing"], values["bare"], True),
        Result("adding up one day", "ms", folded, values["bare"], True),
    ]


def _fill(path: Path, days: int) -> Counter[str]:
    """All hours of the processes until now. Tells how many recipients had which answer."""
    Journal(f"sqlite:///{path}", time.time).close()
    chance = random.Random(1)
    tallies = [_tally(chance) for _ in range(100)]
    texts = [it.as_text() for it in tallies]
    now = int(time.time()) // HOUR * HOUR
    expected: Counter[str] = Counter()

    def rows() -> Iterator[tuple[int, str, str]]:
        for hour in range((now // DAY - days + 1) * DAY, now, HOUR):
            for process in PROCESSES:
                number = chance.randrange(len(tallies))
                for kind, count in tallies[number].kinds.items():
                    expected[kind.answer] += count
                yield hour, process, texts[number]

    with closing(sqlite3.connect(path)) as database, database:
        database.executemany("INSERT INTO hours VALUES (?, ?, ?)", rows())
    return expected


def _tally(chance: random.Random) -> Tally:
    """A busy hour: three domains, a dozen reasons, many who guess."""
    made = Tally()
    for _ in range(600):
        domain = chance.choice(("example.org", "students.example.org", "lists.example.org"))
        recipient = f"<user{chance.randrange(5000)}@{domain}>"
        verdict = chance.choices(VERDICTS, (60, 2, 4, 30, 1, 1, 2))[0]
        client = f"192.0.2.{chance.randrange(250)}"
        made.add("milter", verdict, chance.lognormvariate(1, 2), recipient, client)
        if verdict.created:
            made.create(verdict.policy, domain)
    return made


VERDICTS = [
    Verdict(Answer.ACCEPT, "mailbox known to exist", "joe"),
    Verdict(Answer.ACCEPT, "created", "joe", "staff", "students", created=True),
    Verdict(Answer.ACCEPT, "INBOX exists", "joe", "staff"),
    Verdict(Answer.UNKNOWN, "no account source knows this user"),
    Verdict(Answer.TEMPORARY, "accounts.staff had no result within 7.9 s"),
    Verdict(Answer.REFUSED, "Cyrus refuses the mail: 452 4.2.2 Over quota"),
    Verdict(Answer.PASS, "domain is not ours"),
]


def _fold(path: Path, days: int) -> float:
    """Makes days of the hours as a process does, and tells the milliseconds of processor a day."""
    with closing(Journal(f"sqlite:///{path}", time.time)) as journal:
        begun, today = time.process_time(), int(time.time()) // DAY * DAY
        for number in range(days):
            # A new row each time, by the one process that has the lease for this.
            journal.tally(today + number, "folder:1:0", Tally().as_text())
        spent = (time.process_time() - begun) * 1000
    with closing(sqlite3.connect(path)) as database:
        (folded,) = database.execute("SELECT count(*) FROM hours WHERE writer = 'day'").fetchone()
    assert folded == max(0, days - HOURLY_DAYS), f"{folded} of {days} days have been added up"
    return spent / max(1, int(folded))


def _bare(path: Path, expected: int) -> Callable[[], float]:
    return lambda: _once(
        [sys.executable, "-c", BARE, str(path)], lambda said: int(said) == expected
    )


def _report(folder: Path, path: Path, expected: Counter[str]) -> Callable[[], float]:
    config = _configured(folder, path)

    def is_right(said: str) -> bool:
        counted: Counter[str] = Counter()
        for reason in json.loads(said)["reasons"]:
            counted[reason["answer"]] += reason["count"]
        return counted == expected

    command = [str(COMMAND), "report", "--config", str(config), "--since", "52w", "--json"]
    return lambda: _once(command, is_right)


def _once(command: list[str], is_right: Callable[[str], bool]) -> float:
    """The processor time of a command in milliseconds, which must print what is right."""
    environment = {key: it for key, it in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert is_right(done.stdout), done.stdout[:1000]
    return float(spent * 1000)


def _configured(folder: Path, journal: Path) -> Path:
    (folder / "users").write_text("joe\n")
    secret = folder / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    config = folder / f"{journal.stem}.toml"
    config.write_text(
        'milter.domains = ["example.org"]\n'
        f'cyrus.password_file = "{secret}"\n'
        f'journal.url = "sqlite:///{journal}"\n'
        f'accounts.staff = {{ type = "file", path = "{folder}/users" }}\n'
    )
    return config
