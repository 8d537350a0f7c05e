"""Report pages of sites that are made up, the same ones each time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from autocreate.model import DRY_RUN, DRY_RUN_REFUSED, Answer, Recipient, Verdict
from autocreate.report.gather import gather
from autocreate.report.page import page
from autocreate.service.journal import Journal
from autocreate.service.journal_hours import DAY, HOUR
from autocreate.statistics.tally import BOUNDS, Histogram, Tally, TopK, VerdictKey
from autocreate.tree.actions import CreateMailbox
from autocreate.tree.plan import Plan
from tests.servers.common import fresh_folder

ZONE = "Europe/Berlin"

# Of a month each hour is a transaction, and a disk would sync each.
_MEMORY = Path("/dev/shm")
NOW = int(datetime(2026, 11, 24, 15, tzinfo=UTC).timestamp())

# An outage of ten minutes in the middle of a month: so many recipients were deferred.
OUTAGE = NOW - 12 * DAY - 4 * HOUR
DEFERRED = 212

HOST = "mx1.faculty-of-mathematics.example.org"

# Names as long as they come.
_DOMAINS = ("example.org", "guests.example.org", "postgraduates.mathematics.university.example.org")
_POLICIES = ("students", "guests", "doctoral-candidates")

# In per cent of all that are unknown.
_UNKNOWN = {
    "info@example.org": 38,
    "no-reply-confirmation-4711@example.org": 12,
    "firstname.middlename.lastname-with-hyphen@postgraduates.mathematics.university.example.org": 4,
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@example.org": 2,
    "\\xc3\\xbcber@example.org": 1,
}
_CLIENTS = {
    "192.0.2.17": 41,
    "2001:0db8:85a3:0042:1000:8a2e:0370:7334": 11,
    "198.51.100.203": 3,
}


class _Site:
    """A journal of its own, with figures of some time."""

    def __init__(self, folder: Path) -> None:
        self.now = float(NOW)
        self.journal = Journal(f"sqlite:///{folder}/journal.db", lambda: self.now)

    def html(self, seconds: float) -> str:
        """The page about the time until NOW."""
        self.now = NOW
        with closing(self.journal):
            return page(gather(self.journal, NOW - seconds, NOW), HOST)

    def mail(self, begins: int, scale: float, seconds: int = HOUR) -> Tally:
        """Writes an hour, busy as such an hour is, or a day in one row."""
        self.now = begins + 1
        tally = Tally()
        if OUTAGE - seconds < begins <= OUTAGE:
            reason = "Cyrus at imap.example.org:143 cannot be reached (connecting): [Errno 111]"
            _add(tally, Answer.TEMPORARY, reason, DEFERRED, 10_000)
        at = time.gmtime(begins)
        busy = 1.2 - math.cos((at.tm_hour - 2) * math.pi / 12) if seconds == HOUR else 20.0
        count = int(scale * busy * (0.35 if at.tm_wday > 4 else 1.0))
        _add(tally, Answer.ACCEPT, "mailbox known to exist", count * 12, 0.1)
        _add(tally, Answer.ACCEPT, "an alias of several", count * 2, 0.5)
        _add(tally, Answer.UNKNOWN, "no account source knows this user", count * 5, 2)
        _add(tally, Answer.PASS, "", count, 0.1)
        _add(tally, Answer.REFUSED, "552 5.2.2 Over quota", count // 30, 5)
        _add(tally, Answer.MALFORMED, "an address without a domain", count // 60, 0.1)
        created = [count // 40, count // 100, count // 400]
        _add(tally, Answer.ACCEPT, "created", sum(created), 50, outcome="created")
        for policy, domain, number in zip(_POLICIES, _DOMAINS, created, strict=True):
            if number:
                tally.create(policy, domain, number)
        tally.unknown, tally.clients = (
            TopK({name: count * 5 * part // 100 for name, part in names.items()})
            for names in (_UNKNOWN, _CLIENTS)
        )
        self.journal.tally(begins // HOUR * HOUR, "mx1", tally.as_text())
        return tally


def _add(
    tally: Tally, answer: Answer, reason: str, count: int, bound: float, *, outcome: str = ""
) -> None:
    """Adds verdicts that took about as long as this bound of the histogram."""
    if not count:
        return
    tally.kinds[VerdictKey("milter", answer.value, reason, "students", "example.org")] += count
    times = tally.times.setdefault(("milter", outcome or answer.value), Histogram())
    place = BOUNDS.index(bound)
    for step, part in ((0, 0.6), (1, 0.3), (2, 0.1)):
        times.counts[min(place + step, len(BOUNDS))] += (
            count - int(count * 0.3) - int(count * 0.1) if part == 0.6 else int(count * part)
        )
    times.sum += count * bound


def _hours(site: _Site, days: int) -> str:
    for begins in range(NOW - days * DAY, NOW, HOUR):
        site.mail(begins, 80.0)
    return site.html(days * DAY)


def _years(site: _Site) -> str:
    for ago in range(699, -1, -1):
        site.mail(NOW - ago * DAY, 80.0, DAY)
    return site.html(700 * DAY)


def _dry(site: _Site) -> str:
    plan = Plan("joe", "students", (CreateMailbox(()),))
    site.now = NOW - HOUR
    for number in range(40):
        would = Verdict(Answer.ACCEPT, "has an account and no mailbox", "joe", "staff", plan=plan)
        site.journal.record(Recipient(f"<user{number}@{_DOMAINS[number % 3]}>"), would)
        gone = Verdict(Answer.UNKNOWN, "no account source knows this user", "nobody")
        site.journal.record(Recipient(f"<nobody{number}@example.org>"), gone)
    tally = Tally()
    for suppressed, answer, count in (
        (DRY_RUN, Answer.ACCEPT, 2_004),
        (DRY_RUN, Answer.UNKNOWN, 3),
        (DRY_RUN_REFUSED, Answer.ACCEPT, 17),
        (DRY_RUN_REFUSED, Answer.UNKNOWN, 911),
    ):
        kind = VerdictKey("milter", answer.value, "as it is", "", "example.org", suppressed)
        tally.kinds[kind] += count
        tally.times.setdefault(("milter", answer.value), Histogram()).counts[4] += count
    site.journal.tally((NOW - HOUR) // HOUR * HOUR, "mx1", tally.as_text())
    return site.html(2 * DAY)


PAGES: dict[str, Callable[[_Site], str]] = {
    "day": lambda site: _hours(site, 1),
    "week": lambda site: _hours(site, 7),
    "month": lambda site: _hours(site, 30),
    "years": _years,
    "dry-run": _dry,
    "nothing": lambda site: site.html(7 * DAY),
}


def make(name: str, folder: Path) -> Path:
    """Writes a page of PAGES to a folder, which it has for itself."""
    path = folder / f"{name}.html"
    with _zone(), fresh_folder("page", _MEMORY if _MEMORY.is_dir() else None) as journals:
        path.write_text(PAGES[name](_Site(journals)), encoding="utf-8")
    return path


@contextmanager
def _zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = ZONE
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
