"""Which domains a Postfix delivers for, and how. See ADDRESS_CLASS_README."""

from typing import NamedTuple

from autocreate.doctor.findings import MilterSettings
from autocreate.doctor.postconf import Postfix, words
from autocreate.domains.syntax import ANY_DOMAIN


class AddressClass(NamedTuple):
    """Domains that Postfix delivers for: the parameters that name them, their recipients, their transport."""

    domains: str
    recipients: str
    transport: str


ADDRESS_CLASSES = (
    AddressClass("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_transport"),
    AddressClass("mydestination", "local_recipient_maps", "local_transport"),
    AddressClass("relay_domains", "relay_recipient_maps", "relay_transport"),
)


def our_domains(postfix: Postfix, parameter: str, ours: MilterSettings) -> list[str]:
    """Our domains in a list of domains, sorted.

    A table in the list counts where autocreate.toml has tables of domains: it may name the same.
    """
    return sorted(
        it
        for it in words(postfix.get(parameter))
        if ours.domains & {it, ANY_DOMAIN} or (ours.has_domain_tables and is_table(it))
    )


def is_table(word: str) -> bool:
    """Does an item of a list name a table or a file with more of the list?"""
    return ":" in word or word.startswith("/")
