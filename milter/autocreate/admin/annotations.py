"""Annotations of policies that Cyrus may not know: it would refuse them, and they would be left out."""

import re
from collections.abc import Iterable, Iterator, Sequence

from autocreate.backends.regular_file import read_settings
from autocreate.core.annotations import SHARED, VENDOR, defined_in, is_defined, parts
from autocreate.core.policy import Policy
from autocreate.imapdconf.settings import CyrusFiles, ImapdConf


def notices(policies: Iterable[Policy], conf: ImapdConf | None) -> Iterator[str]:
    """What an administrator should know of the annotations of policies, a line each.

    Args:
        conf: the Cyrus's configuration; None if it is not known.
    """
    asked = (
        (policy.name, folder.name, entry)
        for policy in policies
        for folder in policy.tree.folders
        for entry, _value in folder.annotations
        if not is_defined(entry)
    )
    for policy, folder, entry in dict.fromkeys(asked):
        if why := _why_unknown(entry, conf):
            yield f"policy {policy!r}: folder {folder}: annotations: {entry}: {why}"


def problems(policies: Sequence[Policy], files: CyrusFiles) -> Iterator[str]:
    """The same for a Cyrus whose files were read; and whether its master runs cyr_expire where it is needed."""
    yield from notices(policies, files.conf)
    expiring = [policy.name for policy in policies if _expires(policy)]
    if not (expiring and files.cyrus_conf):
        return
    try:
        lines = read_settings(files.cyrus_conf).decode("utf-8", "replace").splitlines()
    except OSError:
        return
    commands = [line for line in lines if re.match(r"[^#]*\bcyr_expire\b", line)]
    if not commands:
        yield (
            f"{files.cyrus_conf} runs no cyr_expire, which expires messages by the annotations of policy "
            f"{expiring[0]!r} (unless cron runs it)"
        )
    for line in commands:
        if re.search(r"\bcyr_expire\b[^\"#]*\s-[A-Za-z]*a", line):
            yield f"{files.cyrus_conf}: cyr_expire -a ignores the annotations of policy {expiring[0]!r}"


def _expires(policy: Policy) -> bool:
    entries = (entry for folder in policy.tree.folders for entry, _ in folder.annotations)
    return f"{SHARED}{VENDOR}expire" in entries


def _why_unknown(entry: str, conf: ImapdConf | None) -> str:
    name = parts(entry)[1]
    if name.startswith(VENDOR):
        return "no release of Cyrus that this program knows has it; one that has not leaves it out"
    if conf is None:
        return (
            "Cyrus itself does not define it, and leaves it out unless annotation_definitions or "
            "annotation_allow_undefined of imapd.conf allows it"
        )
    if conf.annotation_allow_undefined or name in _definitions(conf):
        return ""
    return (
        f"{conf.path} neither defines it (annotation_definitions) nor allows what is not defined "
        "(annotation_allow_undefined), so Cyrus leaves it out"
    )


def _definitions(conf: ImapdConf) -> frozenset[str]:
    if not conf.annotation_definitions:
        return frozenset()
    try:
        text = read_settings(conf.annotation_definitions).decode("utf-8", "replace")
    except OSError:
        return (
            frozenset()
        )  # nor does Cyrus know it then (init_annotation_definitions() of annotate.c)
    return frozenset(defined_in(text.splitlines()))
