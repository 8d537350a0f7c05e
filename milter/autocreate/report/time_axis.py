"""The ticks of a time axis: at midnights, Mondays or the first of a month, and few of them."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from autocreate.report.chart import Tick
from autocreate.report.gather import WEEK, Slot
from autocreate.service.journal_hours import DAY, HOUR

_MOST = 15
_MOST_ON_A_PHONE = 6

# How many of these are between two ticks. Each is a multiple of the one before, so that the ticks of a
# narrow screen are among those of a wide one.
_HOURS = (1, 2, 6, 12, 24, 48)
_DAYS = (1, 7, 14)
_MONTHS = (1, 3, 6, 12)

_MONDAY = 4  # 1970-01-05, in days since the epoch


def ticks(slots: Sequence[Slot]) -> list[Tick | None]:
    """The tick of each slot; None for most."""
    if not slots:
        return []
    rules = _rules(slots)
    wide, narrow = (_fitting(slots, rules, most) for most in (_MOST, _MOST_ON_A_PHONE))
    return [
        Tick(label, _midst(slot), is_minor=not few) if label else None
        for slot, label, few in zip(slots, wide, narrow, strict=True)
    ]


_Rule = Callable[[Slot], str]


def _rules(slots: Sequence[Slot]) -> list[_Rule]:
    """What may label the slots, the closest ticks first."""
    if slots[0].seconds == HOUR:
        return [partial(_hour, every=it) for it in _HOURS]
    if len(slots) * slots[0].seconds <= 10 * WEEK:
        return [partial(_day, every=it) for it in _DAYS]
    return [partial(_month, every=it) for it in _MONTHS]


def _fitting(slots: Sequence[Slot], rules: Sequence[_Rule], most: int) -> list[str]:
    """The labels by the first rule that gives no more than this; "" for slots without one."""
    for rule in rules:
        labels = [rule(slot) for slot in slots]
        if sum(map(bool, labels)) <= most:
            break
    return labels


def _midst(slot: Slot) -> float:
    """Where in its column a slot has its tick: the full hour where it begins, a day in the middle."""
    if slot.seconds != HOUR:
        return 0.5
    # In a zone that is half an hour off, midnight is in the middle of an hour of UTC.
    return -time.localtime(slot.begins).tm_gmtoff % HOUR / HOUR


def _hour(slot: Slot, every: int) -> str:
    at = time.localtime(slot.begins + _midst(slot) * HOUR)
    hours = at.tm_hour
    if every > DAY // HOUR:
        hours += 24 * ((slot.begins + at.tm_gmtoff) // DAY)
    if hours % every:
        return ""
    return time.strftime("%a %d" if at.tm_hour == 0 else "%H:00", at)


def _day(slot: Slot, every: int) -> str:
    """Of UTC, as the slot is."""
    if (slot.begins // DAY - _MONDAY) % every:
        return ""
    return time.strftime("%b %d", time.gmtime(slot.begins))


def _month(slot: Slot, every: int) -> str:
    """The first day of a month, or the week that has it; January as the year."""
    first, last = time.gmtime(slot.begins), time.gmtime(slot.begins + slot.seconds - DAY)
    begins_month = first.tm_mday == 1 or last.tm_mday < first.tm_mday
    if not begins_month or (last.tm_mon - 1) % every:
        return ""
    return time.strftime("%Y" if last.tm_mon == 1 else "%b", last)
