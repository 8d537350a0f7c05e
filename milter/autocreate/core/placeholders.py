"""`{name}` in a text: what is filled in for one account.

Only a word in braces is a placeholder. Any other brace, as in a style sheet, is text.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping

from autocreate.model import Account, Address

# What is known of every account.
OWN = frozenset({"user", "address", "domain"})

# A column's name, or an LDAP attribute with its options (RFC 4512, 2.5).
_PLACEHOLDER = re.compile(r"\{([A-Za-z][A-Za-z0-9_;-]*)\}")


def names_in(text: str) -> list[str]:
    """The names in a text, in lower case, each once."""
    return list(dict.fromkeys(name.lower() for name in _PLACEHOLDER.findall(text)))


def filled(text: str, values: Mapping[str, str], treated: Callable[[str], str] = str) -> str:
    """A text with the values of its names. A name without a value leaves nothing.

    Args:
        values: by names in lower case.
        treated: makes a value fit for where the text goes.
    """
    return _PLACEHOLDER.sub(lambda found: treated(values.get(found[1].lower(), "")), text)


def values_of(account: Account) -> dict[str, str]:
    """What each name in a policy's tree stands for. Of several values of an attribute, the first.

    The address is not among them: a user may have several, and has one tree.
    """
    values: dict[str, str] = {}
    for name, value in account.attributes:
        values.setdefault(name.lower(), unicodedata.normalize("NFC", value))
    return values | {"user": account.user}


def values_for(account: Account, address: Address, default_domain: str) -> dict[str, str]:
    """What each name in a message to an account's address stands for: `OWN` too."""
    domain = address.domain or default_domain
    whole = str(Address(address.local, domain))
    return values_of(account) | {"address": whole, "domain": domain}
