"""What is missing of a tree, in the order in which it is added, and what became of it."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from autocreate.tree.actions import KINDS, CreateMailbox
from autocreate.tree.base import Action, Lane
from autocreate.tree.values import Hook, Tree


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for a user, in the order in which it is to be done.

    `hook` is run afterwards, outside of it: no mail waits for it.
    """

    user: str
    policy: str
    actions: tuple[Action, ...] = ()
    hook: Hook | None = None

    @property
    def essential(self) -> tuple[Action, ...]:
        """INBOX and its quota: without these the mail is not accepted."""
        return tuple(action for action in self.actions if action.is_essential)

    @property
    def creates_inbox(self) -> bool:
        """Does INBOX not exist yet?"""
        return CreateMailbox in map(type, self.essential)


class Failure(NamedTuple):
    action: Action
    error: str


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What became of a plan. `skipped` was impossible and is not worth another attempt."""

    plan: Plan
    failed: tuple[Failure, ...] = ()
    skipped: tuple[Failure, ...] = ()

    @property
    def done(self) -> tuple[Action, ...]:
        """What was planned and exists now."""
        amiss = {failure.action for failure in (*self.failed, *self.skipped)}
        return tuple(action for action in self.plan.actions if action not in amiss)

    @property
    def impossible(self) -> tuple[Failure, ...]:
        """What was skipped though the policy wants it for everybody."""
        return tuple(it for it in self.skipped if not it.action.is_optional)

    @property
    def exit_status(self) -> int:
        """Of a command that this came out of (sysexits(3)).

        75 if something is left for another attempt, 78 if something of the policy is impossible.
        """
        if self.impossible:
            return 78
        return 75 if self.failed else 0

    @property
    def usable(self) -> bool:
        """Do INBOX and its quota exist, whatever else is missing?"""
        return not any(failure.action.is_essential for failure in self.failed)


def difference(user: str, policy: str, wanted: Tree, observed: Tree) -> Plan:
    """The actions that turn `observed` into `wanted`. Nothing is ever taken away.

    INBOX comes first and the quota right after it, while the quota root holds one mailbox and
    setting it is cheap; then the rest of the administrator's work, then the script, then what is done
    in the user's name. Parents precede their children: Cyrus makes a missing parent itself, without
    its special use.
    """
    position = {folder.path: number for number, folder in enumerate(wanted.folders)}

    def order(action: Action) -> tuple[int, int, int]:
        path = action.folder
        if path is None:
            return action.lane.value, 0, len(position)
        depth = len(path) if action.lane is Lane.ADMINISTRATOR else 0
        return action.lane.value, depth, position[path]

    actions = [action for kind in KINDS for action in kind.missing(wanted, observed)]
    return Plan(user, policy, tuple(sorted(actions, key=order)))


def removable(actions: Iterable[Action]) -> frozenset[str]:
    """What their user may remove: see `Action.user_removable`."""
    return frozenset(filter(None, (action.user_removable for action in actions)))


def without_user_removed(plan: Plan, provisioned: frozenset[str]) -> Plan:
    """A plan without what its user was given once and has removed since.

    Args:
        provisioned: what the user was given, as `Action.user_removable` names it.
    """
    kept = [action for action in plan.actions if not action.user_removed_as & provisioned]
    missing = {
        action.path
        for action in plan.actions
        if isinstance(action, CreateMailbox) and action not in kept
    }
    # Nothing can be set on a folder that is not created again.
    return replace(plan, actions=tuple(action for action in kept if action.folder not in missing))


def checksum(lines: Iterable[str]) -> str:
    """Of plans, a JSON text each: what was reviewed is what is applied. 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:12]


def as_text(plan: Plan) -> list[str]:
    """A plan as lines for a person."""
    lines = [action.description for action in plan.actions]
    return [*lines, f"then run {plan.hook.argv[0]}"] if plan.hook else lines


def as_json(plan: Plan, *others: Plan) -> dict[str, Any]:
    """A plan as plain data for json.dumps, and the plans of further users behind it."""
    data: dict[str, Any] = {
        "user": plan.user,
        "policy": plan.policy,
        "actions": [action.as_json() for action in plan.actions],
    }
    if plan.hook:
        data["on_created"] = list(plan.hook.argv)
    return data | {"others": [as_json(other) for other in others]} if others else data


def by_error(failures: Sequence[Failure]) -> Iterator[tuple[str, str]]:
    """What was not done, and why; all that has one reason, such as a lost server, in one pair."""
    for error in dict.fromkeys(failure.error for failure in failures):
        what = (it.action.description for it in failures if it.error == error)
        yield ", ".join(what), error


def notes_of(failures: Sequence[Failure]) -> tuple[str, ...]:
    """What was not done, and why, a sentence each."""
    return tuple(f"could not {action.description}: {error}" for action, error in failures)
