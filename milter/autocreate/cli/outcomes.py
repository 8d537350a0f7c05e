"""What became of many users: a line each, beside a bar, and the sum of them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from autocreate.admin.survey import Survey
    from autocreate.cli.progress import Progress
    from autocreate.model import Verdict

# Outcomes that a second look, or no look, leaves as they are.
_LASTING = {"failed", "malformed", "without a mailbox"}


class Outcomes:
    """Prints what became of each user, and sums it up."""

    def __init__(self, bar: "Progress", as_json: bool, is_applied: bool, is_silent: bool) -> None:
        self._bar = bar
        self._as_json = as_json
        self._is_applied = is_applied
        self._is_silent = is_silent
        self._words: Counter[str] = Counter()
        self._status = 0
        self.done = 0  # users

    def note(self, user: str, verdict: "Verdict") -> None:
        """One more user is done."""
        self.done += 1
        self._bar.step()
        self._tell(user, verdict)

    def _tell(self, user: str, verdict: "Verdict") -> None:
        from autocreate.admin.bulk import SATISFIED, outcome
        from autocreate.cli.render import json_line
        from autocreate.core.printable import printable

        word = outcome(verdict, self._is_applied)
        self._words[word] += 1
        self._status = max(self._status, verdict.exit_status)
        if self._is_silent and word not in _LASTING:
            return
        if self._as_json:
            self._bar.say(json_line(user, verdict))
        elif verdict.plan and verdict.plan.actions:
            told = [action.description for action in verdict.done]
            told += verdict.notes if verdict.report else ()
            self._bar.say(printable(f"{user}: {word}: {'; '.join(told)}"))
        elif word != SATISFIED:
            self._bar.say(printable(f"{user}: {word}: {verdict.reason}"))

    def add(self, count: int, word: str) -> None:
        """So many more, about whom nothing was asked."""
        self._words[word] += count

    def note_doubts(self, census: "Survey") -> None:
        """Of whom it could not be told whether they are meant."""
        from autocreate.model import Answer, Verdict

        for user, why in census.doubts():
            self._tell(user, Verdict(Answer.TEMPORARY, why, user))

    def go_on_from(self, before: "Outcomes") -> None:
        """What failed before counts here as well."""
        self._status = before._status
        self._words = Counter({word: before._words[word] for word in _LASTING & {*before._words}})

    def conclude(self, accounts: int) -> int:
        """Tell the sum on stderr; the exit status by the gravest outcome."""
        counts = ", ".join(
            f"{count} {word}" for word, count in sorted(self._words.items()) if count
        )
        changed = "" if self._is_applied else "; nothing was changed"
        click.echo(f"{accounts} accounts: {counts or 'nothing to do'}{changed}", err=True)
        return self._status


@contextmanager
def telling(
    what: str, total: int, as_json: bool, is_applied: bool, is_silent: bool = False
) -> Iterator[Outcomes]:
    """Show how far some work is, and what becomes of each user.

    Args:
        what: is being done, in a word.
        total: how many users there are.
        is_applied: plans are carried out, and not only made.
        is_silent: only what fails is told.
    """
    from autocreate.cli.progress import progress

    outcomes = None
    try:
        with progress(what, total) as bar:
            outcomes = Outcomes(bar, as_json, is_applied, is_silent)
            yield outcomes
    except KeyboardInterrupt:
        done = outcomes.done if outcomes else 0
        click.echo(f"interrupted: {done} of {total} are done", err=True)
        raise
