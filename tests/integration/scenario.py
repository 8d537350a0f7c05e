"""A scenario file: what there is, what is said, and what must stand afterwards.

scenarios/README.md describes the form. Here it is read, and mistakes in it are errors: a scenario that says nothing
would pass for ever.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("scenarios")

MTAS = ("postfix", "sendmail")

_KEYS = {"title", "site", "only", "why", "accounts", "policy", "before", "step"}
_DEEDS = {"smtp", "submit", "user_deletes", "milter", "account_added"}
_AFTER = {
    "mailboxes",
    "quota",
    "special_use",
    "subscriptions",
    "acl",
    "partition",
    "messages",
    "unfinished",
    "dry_run",
    "log",
}


@dataclass(frozen=True)
class Turn:
    """What the client sends, as one piece, and the reply to it that each MTA must give."""

    line: bytes
    expected: Mapping[str, str]


@dataclass(frozen=True)
class Step:
    deed: str
    details: Any
    after: Mapping[str, Any]

    def dialogue(self) -> list[Turn]:
        return _turns(self.details)


@dataclass(frozen=True)
class Scenario:
    """`accounts` maps users to their groups; `before` says what stands before the first step."""

    name: str
    title: str
    site: str
    mtas: Sequence[str]
    accounts: Mapping[str, Sequence[str]]
    policies: Sequence[Mapping[str, Any]]
    before: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[Step] = ()


def load(path: Path) -> Scenario:
    data = tomllib.loads(path.read_text("utf-8"))
    _only(path, data, _KEYS)
    if ("only" in data) != ("why" in data):
        raise ValueError(f"{path.name}: `only` and `why` come together")
    policies = data.get("policy", [])
    for policy in policies:
        # They are laid into one configuration: each may speak for its own users alone.
        if not {"users", "groups", "domains"} & set(policy):
            raise ValueError(f"{path.name}: policy {policy['name']!r} is for everyone")
    return Scenario(
        path.stem,
        data["title"],
        data.get("site", "plain"),
        [data["only"]] if "only" in data else MTAS,
        data.get("accounts", {}),
        policies,
        data.get("before", {}),
        [_step(path, step) for step in data["step"]],
    )


def load_all() -> list[Scenario]:
    scenarios = [load(path) for path in sorted(FOLDER.glob("*.toml"))]
    seen: set[tuple[str, str]] = set()
    for scenario in scenarios:
        for user in scenario.accounts:
            if (scenario.site, user) in seen:
                raise ValueError(f"{scenario.name}: user {user!r} is another scenario's too")
            seen.add((scenario.site, user))
    return scenarios


def _step(path: Path, data: Mapping[str, Any]) -> Step:
    deeds = _DEEDS & set(data)
    _only(path, data, {*_DEEDS, "after"})
    _only(path, data.get("after", {}), _AFTER)
    if len(deeds) != 1:
        raise ValueError(f"{path.name}: a step does one thing, this one {sorted(deeds)}")
    deed = deeds.pop()
    step = Step(deed, data[deed], data.get("after", {}))
    if deed == "smtp":
        step.dialogue()
    return step


def _only(path: Path, data: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(data) - known:
        raise ValueError(f"{path.name}: unknown {sorted(unknown)}")


def _turns(dialogue: str) -> list[Turn]:
    """`C:` lines that follow each other are sent in one piece; `S:`, or a line for each MTA, is the reply."""
    turns: list[Turn] = []
    sent: list[str] = []
    expected: dict[str, str] = {}
    is_explained = False
    for line in [*dialogue.strip().splitlines(), "C: "]:
        who, colon, words = line.partition(":")
        if line.startswith("#") or not line.strip():
            is_explained = is_explained or line.startswith("#")
            continue
        words = words.removeprefix(" ")
        if not colon or who not in ("C", "S", *MTAS):
            raise ValueError(f"not a line of a dialogue: {line!r}")
        if who == "C":
            if expected:
                turns.append(_turn(sent, expected))
                sent, expected = [], {}
            sent.append(words)
        elif who == "S":
            expected = dict.fromkeys(MTAS, words)
        else:
            if not is_explained:
                raise ValueError(f"a comment above must say why the MTAs differ: {line!r}")
            expected[who] = words
    return turns


def _turn(sent: Sequence[str], expected: Mapping[str, str]) -> Turn:
    if not sent:
        raise ValueError(f"a reply to nothing: {expected}")
    if missing := set(MTAS) - set(expected):
        raise ValueError(f"what does {missing} answer to {sent}?")
    return Turn(b"\r\n".join(map(_bytes, sent)), expected)


def _bytes(line: str) -> bytes:
    """UTF-8, with `{600 x}` for 600 times x and `{byte ff}` for a byte that is none."""
    repeated = re.sub(r"\{(\d+) ([^}]+)\}", lambda found: found[2] * int(found[1]), line)
    return re.sub(
        rb"\{byte ([0-9a-f]{2})\}",
        lambda found: bytes.fromhex(found[1].decode()),
        repeated.encode(),
    )
