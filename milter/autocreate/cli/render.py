"""Verdicts as text for people and as JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from autocreate.core.printable import printable
from autocreate.model import Verdict
from autocreate.tree.base import Action
from autocreate.tree.plan import as_json


def text_lines(address: str, verdict: Verdict, verb: str) -> list[str]:
    """A verdict as indented lines. No name in it can begin a line of its own.

    Args:
        verb: "would" or "did": what became of the plan. A suppressed verdict always says "would". Empty for
            a plan that is only shown: `+` for what is created, `~` for what is changed.
    """
    lines = (f"{address}: {verdict.answer.value}", *(f"  {it}" for it in _facts(verdict, verb)))
    return [printable(line) for line in lines]


def json_line(address: str, verdict: Verdict) -> str:
    """A verdict as one JSON object."""
    return json.dumps(as_data(address, verdict))


def plan_count(verdicts: Sequence[Verdict]) -> str:
    """The count at the end of plans: `Plan: 4 to create, 2 to change.`"""
    actions = [action for it in verdicts for plan in it.plans for action in plan.actions]
    created = sum(it.adds for it in actions)
    if not actions:
        return "Plan: nothing to do."
    return f"Plan: {created} to create, {len(actions) - created} to change."


def _mark(action: Action) -> str:
    return "+" if action.adds else "~"


def as_data(address: str, verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain data for json.dumps."""
    return {
        "address": address,
        "answer": verdict.answer.value,
        "reply": " ".join(verdict.reply) if verdict.reply else None,
        "reason": verdict.reason,
        "user": verdict.user or None,
        "source": verdict.source or None,
        "policy": verdict.policy or None,
        "created": verdict.created,
        "withheld": verdict.suppressed or None,
        "plan": as_json(verdict.plan)["actions"] if verdict.plan else [],
        "undone": _undone(verdict),
        "notes": list(verdict.notes),
        "aliases": list(verdict.aliases),
        "parts": [_part_as_json(part) for part in verdict.parts],
    }


def _part_as_json(part: Verdict) -> dict[str, Any]:
    """The verdict about one user of several."""
    return {
        "user": part.user or None,
        "answer": part.answer.value,
        "reason": part.reason,
        "source": part.source or None,
        "policy": part.policy or None,
        "created": part.created,
        "plan": as_json(part.plan)["actions"] if part.plan else [],
        "undone": _undone(part),
        "notes": list(part.notes),
    }


def _undone(verdict: Verdict) -> list[dict[str, str]]:
    """What of the plan could not be done, and why."""
    undone = (*verdict.report.failed, *verdict.report.skipped) if verdict.report else ()
    return [{"action": action.description, "error": error} for action, error in undone]


def _facts(verdict: Verdict, verb: str) -> Iterator[str]:
    for step in verdict.aliases:
        yield f"alias:    {step}"
    yield f"reason:   {verdict.reason}"
    for name, value in (
        ("user", verdict.user),
        ("account", verdict.source),
        ("policy", verdict.policy),
        ("reply", " ".join(verdict.reply) if verdict.reply else ""),
        ("withheld", verdict.suppressed),
    ):
        if value:
            yield f"{name + ':':9} {value}"
    for action in verdict.done:
        became = f"{'would' if verdict.suppressed else verb}:" if verb else _mark(action)
        yield f"{became:9} {action.description}"
    for note in verdict.notes:
        yield f"note:     {note}"
    for part in verdict.parts:
        yield f"{part.user or 'nobody'}: {part.answer.value}"
        facts = _facts(replace(part, suppressed=verdict.suppressed), verb)
        yield from (f"  {line}" for line in facts)
