"""Mail of a Postfix that no milter sees: recipients that it adds, and messages that it writes itself.

Follows MILTER_README, postconf(5) and cleanup(8): milters are told the recipients of the client, not
those that always_bcc and bcc maps add behind them.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from autocreate.doctor.findings import Finding, MilterSettings, warning
from autocreate.doctor.postconf import Postfix
from autocreate.doctor.postfix import asks_us

_MAPS = ("recipient_bcc_maps", "sender_bcc_maps")
_WANTED = ("bounce", "notify")


class Copies(NamedTuple):
    """Where recipients of copies are named.

    Args:
        place: what names them: `main.cf: always_bcc`.
        address: the one, or "" if there is a map.
        map: a map of them, such as `hash:/etc/postfix/bcc`; "" if there is one address.
    """

    place: str
    address: str = ""
    map: str = ""


def examine(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    """Are the messages shown to us that Postfix writes itself?"""
    cleanups = [it for it in postfix.services if it.command == "cleanup"]
    if not any(asks_us(postfix, "non_smtpd_milters", it, ours) for it in cleanups):
        return  # which is found elsewhere
    name = "internal_mail_filter_classes"
    for place, value in postfix.values(name, cleanups).items():
        classes = re.split(r"[\s,]+", value)
        if missing := [it for it in _WANTED if it not in classes]:
            yield warning(
                f"{place}: {name} lacks {' and '.join(missing)}",
                "a bounce to a user of ours who has no mailbox yet creates none, and is lost",
                f"{place}: {name} = {', '.join(_WANTED)}",
            )


def copies(postfix: Postfix) -> Iterator[Copies]:
    """Where Postfix is told to send copies."""
    cleanups = [it for it in postfix.services if it.command == "cleanup"]
    for place, value in postfix.values("always_bcc", cleanups).items():
        if value:
            yield Copies(f"{place}: always_bcc", value)
    for name in _MAPS:
        for place, value in postfix.values(name, cleanups).items():
            # A map may have commas and blanks within braces: inline:{ a=b, c=d }
            for map_ in re.findall(r"[^\s,{]+(?:\{[^}]*\})?", value):
                yield Copies(f"{place}: {name}", map=map_)


def recipients(listed: str) -> list[str]:
    """The values of a map as `postmap -s` lists it: a key and its value in each line."""
    values = (line.split(None, 1)[1:] for line in listed.splitlines())
    return list(dict.fromkeys(value[0].strip() for value in values if value))
