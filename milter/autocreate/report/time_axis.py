"""The labels of a time axis: at midnights, Mondays or the first of a month, and at most some 14."""

import time
from collections.abc import Sequence

from autocreate.report.gather import Slot
from autocreate.service.journal_hours import DAY, HOUR

_MOST = 14


def labels(slots: Sequence[Slot]) -> list[str]:
    """The label of each slot; "" for most."""
    if not slots:
        return []
    if slots[0].seconds == HOUR:
        every = next((it for it in (1, 2, 3, 6, 12) if len(slots) <= it * _MOST), 24)
        return [_hour(slot.begins, every) for slot in slots]
    if slots[0].seconds == DAY and len(slots) <= 10 * 7:
        every = 1 if len(slots) <= _MOST else 7
        return [_day(slot.begins, every) for slot in slots]
    months = 1 if len(slots) * slots[0].seconds <= _MOST * 31 * DAY else 3
    return [_month(slot, months) for slot in slots]


def _hour(begins: int, every: int) -> str:
    # In a zone that is half an hour off, midnight is in the middle of an hour.
    at = time.localtime(begins + HOUR // 2)
    if at.tm_hour % every:
        return ""
    return time.strftime("%a %d" if at.tm_hour == 0 else "%H:00", at)


def _day(begins: int, every: int) -> str:
    """Of UTC, as the slot is."""
    at = time.gmtime(begins)
    return time.strftime("%b %d", at) if every == 1 or at.tm_wday == 0 else ""


def _month(slot: Slot, every: int) -> str:
    """The first day of a month, or the week that has it; January as the year."""
    first, last = time.gmtime(slot.begins), time.gmtime(slot.begins + slot.seconds - DAY)
    begins_month = first.tm_mday == 1 or last.tm_mday < first.tm_mday
    if not begins_month or (last.tm_mon - 1) % every:
        return ""
    return time.strftime("%Y" if last.tm_mon == 1 else "%b", last)
