"""What `config init` shows: steps with their reasons, and what changes as a diff."""

import difflib
from collections.abc import Iterator, Sequence

from autocreate.setup.values import Change, Step


def as_lines(steps: Sequence[Step]) -> Iterator[str]:
    """Steps that are not done, in their order."""
    open_steps = [it for it in steps if not it.is_done]
    for number, step in enumerate(open_steps, 1):
        yield f"{number}. {step.title}"
        for folder in step.folders:
            yield (
                f"   install -d -o {folder.owner} -g {folder.group} -m {folder.mode:o} {folder.path}"
            )
        for change in step.changes:
            yield from (f"   {why}" for why in change.why)
            yield from diff(change)
        if step.check:
            yield f"   check: {' '.join(step.check)}"
        yield from (f"   then: {command}" for command in step.after)
        yield ""


def diff(change: Change) -> Iterator[str]:
    """A change as `diff -u` shows it."""
    before, after = change.before.splitlines(), change.after.splitlines()
    around = 0 if change.is_confidential else 2
    return difflib.unified_diff(
        before, after, change.path, f"{change.path} (proposed)", lineterm="", n=around
    )
