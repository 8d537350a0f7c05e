"""Mail that Postfix does not show to milters: recipients that it adds, and messages that it generates.

See MILTER_README, postconf(5) and cleanup(8): milters see the recipients of the client, not those that
always_bcc and bcc maps add later.
"""

from collections.abc import Iterator
from typing import NamedTuple

from autocreate.doctor.findings import Finding, MilterSettings, warning
from autocreate.doctor.postconf import Postfix, items, words
from autocreate.doctor.postfix_milter import asks_us

_MAPS = ("recipient_bcc_maps", "sender_bcc_maps")
_WANTED = ("bounce", "notify")


class Copies(NamedTuple):
    """A parameter that adds recipients.

    Args:
        place: where the parameter is set: `main.cf, line 7: always_bcc`.
        address: the recipient; "" if there is a map.
        map: a map with recipients, such as `hash:/etc/postfix/bcc`; "" if there is one address.
    """

    place: str
    address: str = ""
    map: str = ""


def examine(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    """Does the milter see the messages that Postfix generates?"""
    cleanups = postfix.running("cleanup")
    if not any(asks_us(postfix, "non_smtpd_milters", it, ours) for it in cleanups):
        return  # postfix_milter reports that
    name = "internal_mail_filter_classes"
    for classes in postfix.settings(name, cleanups):
        if missing := [it for it in _WANTED if it not in words(classes.value)]:
            yield warning(
                f"{classes.where} lacks {' and '.join(missing)}",
                "a bounce to one of our users without a mailbox creates none, and is lost",
                f"{classes.file}: {name} = {', '.join(_WANTED)}",
            )


def copies(postfix: Postfix) -> Iterator[Copies]:
    """Where the configuration makes Postfix send copies."""
    cleanups = postfix.running("cleanup")
    for always in postfix.settings("always_bcc", cleanups):
        if always.value:
            yield Copies(always.where, always.value)
    for name in _MAPS:
        for maps in postfix.settings(name, cleanups):
            for map_ in items(maps.value):
                yield Copies(maps.where, map=map_)


def recipients(listed: str) -> list[str]:
    """The values of a map as `postmap -s` lists it: a key and its value in each line."""
    values = (line.split(None, 1)[1:] for line in listed.splitlines())
    return list(dict.fromkeys(value[0].strip() for value in values if value))
