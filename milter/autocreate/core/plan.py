"""What is missing: the tree that should stand less the tree that stands, and how to say it."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from autocreate.model import (
    ALL_SHARED,
    UNLIMITED,
    Action,
    CreateMailbox,
    Failure,
    Folder,
    InstallScript,
    Plan,
    Quota,
    SetAcl,
    SetQuota,
    SetSpecialUse,
    Subscribe,
    SubscribeShared,
    Tree,
    folder_name,
)

# The rights that RFC 4314 (section 2.1.1) has divided into others. Cyrus shows one beside each part of
# it, and grants all of its parts.
_OBSOLETE = frozenset("cd")


def difference(user: str, policy: str, wanted: Tree, observed: Tree) -> Plan:
    """The actions that make `wanted` stand where `observed` stands. Nothing is ever taken away.

    INBOX comes first and the quota right after it, while the quota root holds one mailbox and
    setting it is cheap; then the administrator's work, then what is done in the user's name: the
    script before all else, since the mail that is waiting wants to be filtered.
    Parents precede their children: Cyrus makes a missing parent itself, without its special-use.
    """
    standing = {folder.path: folder for folder in observed.folders}
    actions: list[Action] = []
    for folder in sorted(wanted.folders, key=lambda folder: len(folder.path)):
        if folder.path not in standing:
            actions.append(CreateMailbox(folder.path, folder.special_use, folder.partition))
        if not folder.path and _lacks(wanted.quota, observed.quota):
            actions.append(SetQuota(wanted.quota))
        actions += _missing_rights(folder, standing.get(folder.path))
    if wanted.script and not observed.script:
        actions.append(InstallScript(wanted.script))
    for folder in wanted.folders:
        actions += _user_actions(folder, standing.get(folder.path))
    actions += [SubscribeShared(name) for name in wanted.shared if name not in observed.shared]
    return Plan(user, policy, tuple(actions))


def _lacks(wanted: Quota, observed: Quota) -> bool:
    """Does a limit differ from the wanted one, or is the root missing? Limits not given may stay.

    Who is to have no limit needs a root too: without its own, that of a parent would count.
    """
    kept = wanted.keeping(observed)
    needs_root = wanted.root or UNLIMITED in (wanted.storage, wanted.messages)
    return (kept.storage, kept.messages) != (observed.storage, observed.messages) or (
        needs_root and observed == Quota()
    )


def _missing_rights(folder: Folder, standing: Folder | None) -> Iterator[Action]:
    present = dict(standing.acl) if standing else {}
    for identifier, rights in folder.acl:
        if _exact(rights) != set(present.get(identifier, "")) - _OBSOLETE:
            yield SetAcl(folder.path, identifier, rights)


def _exact(rights: str) -> set[str]:
    return set(rights.replace("c", "kx").replace("d", "te"))


def _user_actions(folder: Folder, standing: Folder | None) -> Iterator[Action]:
    if standing and folder.special_use and not standing.special_use:
        yield SetSpecialUse(folder.path, folder.special_use)
    if folder.subscribe and not (standing and standing.subscribe):
        yield Subscribe(folder.path)


def user_removable(action: Action) -> str:
    """What an action gives a user that the user may do away with again; empty if it is no such thing.

    INBOX is none: mail needs it. Neither are limits and rights, which are the administrator's.
    """
    match action:
        case CreateMailbox(path) if path:
            return f"folder {folder_name(path)}"
        case Subscribe(path):
            return f"subscription {folder_name(path)}"
        case SubscribeShared(name):
            return f"subscription to shared {name}"
        case InstallScript():
            return "sieve script"
        case _:
            return ""


def without_user_removed(plan: Plan, given: frozenset[str]) -> Plan:
    """A plan without what its user was given once and has done away with since.

    Args:
        given: the user's gifts, as `user_removable` names them.
    """
    kept = [action for action in plan.actions if user_removable(action) not in given]
    missing = {
        action.path
        for action in plan.actions
        if isinstance(action, CreateMailbox) and action not in kept
    }
    # On a folder that is not to come back there is nothing to set either.
    rest = tuple(action for action in kept if getattr(action, "path", None) not in missing)
    return replace(plan, actions=rest)


def checksum(lines: Iterable[str]) -> str:
    """Of plans, a JSON text each: what was reviewed is what is applied. 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:12]


def describe(action: Action) -> str:
    """An action as one line of text."""
    match action:
        case CreateMailbox(path, special_use, partition):
            flag = f" as {special_use}" if special_use else ""
            place = f" on partition {partition}" if partition else ""
            return f"create {folder_name(path)}{flag}{place}"
        case SetQuota(quota):
            return f"set quota {describe_quota(quota)}"
        case SetAcl(path, identifier, rights):
            return f"grant {identifier} {rights or 'nothing'} on {folder_name(path)}"
        case InstallScript(script):
            return f"install the sieve script {script.name}"
        case SetSpecialUse(path, special_use):
            return f"mark {folder_name(path)} as {special_use}"
        case Subscribe(path):
            return f"subscribe to {folder_name(path)}"
        case SubscribeShared(name):
            what = "all shared folders" if name == ALL_SHARED else f"shared folder {name}"
            return f"subscribe to {what}"


def describe_quota(quota: Quota) -> str:
    """`2097152 KiB, unlimited messages, X-NUM-FOLDERS 50`, `without limits`, or `none`."""
    parts = []
    if quota.storage is not None:
        parts.append("unlimited storage" if quota.storage == UNLIMITED else f"{quota.storage} KiB")
    if quota.messages is not None:
        messages = "unlimited" if quota.messages == UNLIMITED else quota.messages
        parts.append(f"{messages} messages")
    parts += [f"{resource} {limit}" for resource, limit in quota.others]
    return ", ".join(parts) or ("without limits" if quota.root else "none")


def as_text(plan: Plan) -> list[str]:
    """A plan as lines for a person."""
    return [describe(action) for action in plan.actions]


def as_json(plan: Plan, *others: Plan) -> dict[str, Any]:
    """A plan as plain data for json.dumps, and the plans of further users behind it."""
    data: dict[str, Any] = {
        "user": plan.user,
        "policy": plan.policy,
        "actions": [_action_as_json(action) for action in plan.actions],
    }
    return data | {"others": [as_json(other) for other in others]} if others else data


def _action_as_json(action: Action) -> dict[str, Any]:
    match action:
        case CreateMailbox(path, special_use, partition):
            return {
                "action": "create",
                "folder": folder_name(path),
                "special_use": special_use,
                "partition": partition,
            }
        case SetQuota(quota):
            return {
                "action": "quota",
                "storage_kib": _as_written(quota.storage),
                "messages": _as_written(quota.messages),
            }
        case SetAcl(path, identifier, rights):
            return {
                "action": "acl",
                "folder": folder_name(path),
                "identifier": identifier,
                "rights": rights,
            }
        case InstallScript(script):
            return {"action": "sieve", "script": script.name}
        case SetSpecialUse(path, special_use):
            return {
                "action": "special_use",
                "folder": folder_name(path),
                "special_use": special_use,
            }
        case Subscribe(path):
            return {"action": "subscribe", "folder": folder_name(path)}
        case SubscribeShared(name):
            return {"action": "subscribe_shared", "folder": name}


def _as_written(limit: int | None) -> int | None:
    """A limit as policies have it: 0 is none."""
    return 0 if limit == UNLIMITED else limit


def by_error(failures: Sequence[Failure]) -> Iterator[tuple[str, str]]:
    """What was not done, and why; all that has one reason, such as a lost server, in one pair."""
    for error in dict.fromkeys(failure.error for failure in failures):
        yield ", ".join(describe(it.action) for it in failures if it.error == error), error


def notes_of(failures: Sequence[Failure]) -> tuple[str, ...]:
    """What was not done, and why, a sentence each."""
    return tuple(f"could not {describe(action)}: {error}" for action, error in failures)
