"""Which domains a Postfix delivers for. See ADDRESS_CLASS_README and postconf(5)."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from autocreate.doctor.findings import MilterSettings
from autocreate.doctor.postconf import Postfix, items
from autocreate.domains.syntax import ANY_DOMAIN


class AddressClass(NamedTuple):
    """Domains that Postfix delivers for.

    Args:
        domains: the parameter that names them.
        recipients: the parameter that names their recipients.
        transport: the parameter that names their transport.
        has_parents: a domain in the list may stand for those below it (parent_domain_matches_subdomains).
    """

    domains: str
    recipients: str
    transport: str
    has_parents: bool = False


# In the order in which Postfix looks for a domain: resolve_addr() in trivial-rewrite/resolve.c.
LOCAL = AddressClass("mydestination", "local_recipient_maps", "local_transport")
VIRTUAL = AddressClass("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_transport")
RELAY = AddressClass("relay_domains", "relay_recipient_maps", "relay_transport", has_parents=True)
ADDRESS_CLASSES = (LOCAL, VIRTUAL, RELAY)


class Tables(NamedTuple):
    """How to look into what lists refer to. Neither raises anything.

    Args:
        find: the value of a key in a table such as `hash:/etc/postfix/domains`; None if it has none.
        read: the text of a file of items.
    """

    find: Callable[[str, str], str | None]
    read: Callable[[str], str]


def our_domains(
    postfix: Postfix, address_class: AddressClass, ours: MilterSettings, tables: Tables
) -> list[str]:
    """Our domains among those of a class, sorted: by their names, or as the table that has them.

    A table counts by its name where autocreate.toml has tables of domains, too: it may be the same one.
    """
    listed = list(_flat(postfix.get(address_class.domains), tables))
    found = {
        it.lower()
        for it in listed
        if not it.startswith("!")
        and (
            (ours.has_domain_tables and is_table(it))
            or (ANY_DOMAIN in ours.domains and not is_table(it))
        )
    }
    parents = address_class.has_parents and has_parents(postfix, address_class.domains)
    found |= {it for it in ours.domains - {ANY_DOMAIN} if _matches(it, listed, parents, tables)}
    return sorted(found)


def is_table(word: str) -> bool:
    """Does an item of a list name a table, or a file with more of the list?"""
    return ":" in word or word.startswith("/")


def has_parents(postfix: Postfix, parameter: str) -> bool:
    """Does an item of a parameter stand for the domains below it, too?"""
    return parameter in items(postfix.get("parent_domain_matches_subdomains"))


def keys(domain: str, parents: bool) -> list[str]:
    """What Postfix looks up for a domain in a list or a table: match_hostname() in global/match_ops.c.

    Args:
        parents: a domain stands for those below it; else `.domain` does.
    """
    labels = domain.split(".")
    above = [".".join(labels[i:]) for i in range(1, len(labels))]
    return [domain, *(it if parents else f".{it}" for it in above)]


def _matches(domain: str, listed: Sequence[str], parents: bool, tables: Tables) -> bool:
    """Is a domain in a list? The first item that has it counts, and `!` before it means that it is not."""
    wanted = keys(domain, parents)
    for item in listed:
        pattern = item.lstrip("!")
        if is_table(pattern):
            found = any(tables.find(pattern, key) is not None for key in wanted)
        else:
            found = pattern.lower() in wanted
        if found:
            return (len(item) - len(pattern)) % 2 == 0
    return False


def _flat(value: str, tables: Tables) -> Iterator[str]:
    """The items of a list, with those of the files that it names."""
    for item in items(value):
        pattern = item.lstrip("!")
        if pattern.startswith("/"):
            lines = tables.read(pattern).splitlines()
            text = "\n".join(it for it in lines if not it.lstrip().startswith("#"))
            yield from (item.replace(pattern, it) for it in _flat(text, tables))
        else:
            yield item
