"""What doctor found, as text for people and as JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from autocreate.core.printable import printable
from autocreate.doctor.findings import Checked, Finding, first


def as_lines(checked: Sequence[Checked]) -> Iterator[str]:
    """Lines for a person: each finding, what was checked, and what to do first."""
    for check in checked:
        for finding in check.findings:
            yield from map(printable, _block(finding))
            yield ""
    named = [it for it in checked if it.subject]
    width = max((len(it.gravity) for it in named), default=0)
    for check in named:
        yield printable(f"{check.gravity:{width}}  {check.subject}")
    if begin_with := first(checked):
        yield ""
        yield printable(f"Do this first: {begin_with.remedy}")
    elif not any(check.findings for check in checked):
        yield "No problems found."


def as_json_lines(checked: Sequence[Checked]) -> Iterator[str]:
    """A JSON object for each finding, and for each check that found nothing."""
    for check in checked:
        for finding in check.findings:
            data = {**asdict(finding), "gravity": finding.gravity.name.lower()}
            del data["cause"]
            yield json.dumps({"part": check.part, **data})
        if check.gravity == "ok":
            yield json.dumps({"part": check.part, "what": check.subject, "gravity": "ok"})


def _block(finding: Finding) -> tuple[str, ...]:
    return (
        f"{finding.gravity.name}: {finding.what}",
        f"  why:    {finding.why}",
        f"  remedy: {finding.remedy}",
    )
