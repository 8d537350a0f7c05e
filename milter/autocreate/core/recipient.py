"""A recipient as the MTA sees it, and as it will write it to Cyrus."""

from contextlib import suppress

from autocreate.core.address import parse
from autocreate.errors import Malformed
from autocreate.model import Address, Recipient


def is_mapped_by(recipient: Recipient) -> bool:
    """Has the MTA mapped the address to a local name? Then Sendmail's virtusertable was applied."""
    return bool(recipient.rewritten) and "@" not in str(recipient.rewritten)


def as_the_mta_sees_it(recipient: Recipient) -> str:
    """The address that the MTA will deliver, in the client's spelling where that is only a spelling.

    Postfix's `{rcpt_addr}` is rewritten (source routes, bare local parts) and in lower case, by full
    case folding (`straße` becomes `strasse`). Sendmail's is the local part alone, for a local mailer.
    """
    argument, rewritten = recipient.argument.strip(), recipient.rewritten
    if not rewritten:
        return argument
    if argument.strip("<>").casefold() == rewritten.strip("<>").casefold():
        return argument
    if "@" in rewritten:
        return rewritten
    try:
        domain = parse(argument).domain
    except Malformed:
        # Sendmail forgives blanks and comments, and has found a domain of its own in it.
        domain = ""
    return f"{rewritten}@{domain}" if domain else rewritten


def as_delivered(recipient: Recipient, address: Address, lowers_domains: bool) -> str:
    """A recipient's own address as the MTA will send it to lmtpd.

    Postfix sends the client's spelling, though it tells milters lower case. Sendmail's local mailers send
    what `{rcpt_addr}` says, the local part alone.

    Args:
        address: what was made of it.
        lowers_domains: the MTA writes our domains in lower case.
    """
    rewritten = (recipient.rewritten or "").strip("<> ")
    plain = recipient.argument.strip("<> ")
    local, _, domain = plain.rpartition("@")
    # Nearly always the MTA has changed nothing but the case, which costs no second parsing.
    if plain.lower() == rewritten and domain.lower() == address.domain:
        return f"{local}@{address.domain}" if lowers_domains else plain
    if is_mapped_by(recipient):
        return rewritten
    local, domain = address.local, address.domain
    with suppress(Malformed):
        spelt = parse(recipient.argument).local
        local = spelt if spelt.casefold() == local.casefold() else local
    said = recipient.argument.rstrip(" >").rpartition("@")[2].removesuffix(".")
    meant = rewritten.rpartition("@")[2] or said
    if domain and said.casefold() == meant.casefold():
        domain = said.lower() if lowers_domains else said
    return f"{local}@{domain}" if domain else local
