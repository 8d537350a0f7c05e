"""Which of the languages that a policy has names for an account prefers (RFC 2798, RFC 4647)."""

import re
from collections.abc import Iterable, Sequence

_RANGE = re.compile(
    r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?"
)


def is_tag(text: str) -> bool:
    """Is it a language tag, such as `de` or `pt-br`?"""
    return re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", text) is not None


def chosen(preferred: Iterable[str], offered: Sequence[str], default: str) -> str:
    """The offered language that comes first among the preferred ones; the default if none does.

    `de-AT` finds `de-AT`, else `de` (the lookup of RFC 4647, section 3.4). What is no language, such
    as `*`, is passed over.

    Args:
        preferred: as in preferredLanguage or Accept-Language (`de-AT, en;q=0.5`), or as in a locale
            (`de_AT.UTF-8`).
        offered: language tags, in lower case.
    """
    for wanted in _in_order(preferred):
        subtags = wanted.split("-")
        for length in range(len(subtags), 0, -1):
            tag = "-".join(subtags[:length])
            if tag in offered:
                return tag
    return default


def _in_order(preferred: Iterable[str]) -> list[str]:
    """Language tags in lower case, the most wanted first. A quality of 0 means: not this one."""
    ranges: list[tuple[float, str]] = []
    for item in ",".join(preferred).split(","):
        tag, semicolon, quality = item.partition(";")
        tag = re.sub(r"[.@].*", "", tag).strip().replace("_", "-")
        if found := _RANGE.fullmatch(f"{tag}{semicolon}{quality.rstrip()}"):
            ranges.append((-float(found[2] or 1), found[1].lower()))
    return [tag for negative, tag in sorted(ranges, key=lambda it: it[0]) if negative]
