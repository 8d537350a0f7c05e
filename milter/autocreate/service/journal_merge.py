"""What becomes of statistics that two journals have of one day, and of a recipient that both have seen.

Merging the same rows again changes nothing, so a copy can be repeated. No I/O.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from autocreate.statistics.tally import Tally

# The hours of a day, by (beginning, writer), each a tally as JSON text.
Hours = Mapping[tuple[int, str], str]

# The writer of a row that has the sum of a day.
DAY_WRITER = "day"

# The key of a day's tally that names, by their hashes, the days that were added up to it.
_MERGED = "merged"


def merged_hours(ours: Hours, theirs: Hours) -> Hours | None:
    """What one journal has of a day after another one's hours were added; None if that changes nothing.

    - Hours of a process count once: of two states of the same hour, the one with more in it.
    - A day that only the other one has added up is added up here too, and to it.
    - Two days that were added up separately are added. The sum keeps what it is made of, so the same day is not added
      again.
    - Hours that come after the day was added up do not count, as ever: see docs/decisions/0060.

    Args:
        ours: of the journal that is written.
        theirs: of the same day, in the journal that is read.
    """
    our_days = {key: text for key, text in ours.items() if key[1] == DAY_WRITER}
    their_days = {key: text for key, text in theirs.items() if key[1] == DAY_WRITER}
    if not ours:
        return theirs or None
    if their_days:
        ((key, their_text),) = their_days.items()
        our_text = our_days.get(key) or _summed(ours)
        summed = our_text and _added(our_text, their_text)
        return {key: summed} if summed else None
    if our_days:
        return None
    better = {
        key: text
        for key, text in theirs.items()
        if key not in ours or _verdicts(text) > _verdicts(ours[key])
    }
    return {**ours, **better} if better else None


def merged_seen(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A recipient that both have seen, by whoever saw it later; None if that is ours."""
    if theirs["last_seen"] <= ours["last_seen"]:
        return None
    return {
        **theirs,
        "times": max(ours["times"], theirs["times"]),
        "first_seen": min(ours["first_seen"], theirs["first_seen"]),
    }


def _added(ours: str, theirs: str) -> str | None:
    """The sum of two days; None if one is in the other already, or is not valid."""
    our_parts, their_parts = _parts(ours), _parts(theirs)
    if their_parts <= our_parts:
        return None
    try:
        total = Tally.from_text(theirs)
        if not our_parts <= their_parts:
            if our_parts & their_parts:
                return None  # what is in both cannot be taken out again
            total.merge(Tally.from_text(ours))
    except ValueError:
        return None
    return json.dumps({**total.as_json(), _MERGED: sorted(our_parts | their_parts)})


def _parts(text: str) -> frozenset[str]:
    """The days that a day is the sum of, by hashes of what was counted: itself, if it was not merged."""
    try:
        data = json.loads(text)
        if _MERGED in data:
            return frozenset(map(str, data[_MERGED]))
        # The order of the hours that were added up shows in the order of words, and in the last digits of sums.
        times = sorted([*words, round(total, 3), counts] for *words, total, counts in data["times"])
        text = json.dumps([sorted(data["kinds"]), sorted(data["created"]), times])
    except (KeyError, RecursionError, TypeError, ValueError):
        pass  # not valid: the same only if the text is
    return frozenset((hashlib.sha256(text.encode()).hexdigest()[:16],))


def _summed(hours: Hours) -> str | None:
    """The day that its hours make, as the journal adds it up; None if some are not valid."""
    total = Tally()
    try:
        for _, text in sorted(hours.items()):
            total.merge(Tally.from_text(text))
    except ValueError:
        return None
    return total.as_text()


def _verdicts(text: str) -> int:
    """How many verdicts a tally has; -1 if it is not valid."""
    try:
        return sum(Tally.from_text(text).kinds.values())
    except ValueError:
        return -1
