"""Do Postfix and autocreate.toml read an address the same way? Aliases, origin and details."""

from collections.abc import Iterator, Sequence

from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Postfix
from autocreate.doctor.postfix_domains import LOCAL
from autocreate.doctor.postfix_routes import Route


def examine(postfix: Postfix, ours: MilterSettings, routes: Sequence[Route]) -> Iterator[Finding]:
    """Check aliases, recipient_delimiter and myorigin."""
    yield from _aliases(postfix, ours, routes)
    yield from _delimiter(postfix, ours)
    yield from _origin(postfix, ours)


def _aliases(postfix: Postfix, ours: MilterSettings, routes: Sequence[Route]) -> Iterator[Finding]:
    if ours.has_aliases:
        return
    parameters = ["virtual_alias_maps"]
    if any(it.address_class == LOCAL for it in routes):
        parameters.append("alias_maps")
    for parameter in parameters:
        if value := (setting := postfix.setting(parameter)).value:
            yield critical(
                f"{setting.where} = {value}, and autocreate.toml has no [aliases]",
                "no account source knows an alias, so mail to aliases in our domains is refused",
                "autocreate.toml: what `autocreate aliases detect` prints",
            )


def _delimiter(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    setting = postfix.setting("recipient_delimiter")
    theirs = setting.value
    if ours.has_aliases and set(theirs) != set(ours.delimiters):
        yield warning(
            f"{setting.where} is {theirs!r}, milter.recipient_delimiter is {ours.delimiters!r}",
            "Postfix and the milter find different aliases for alias+detail",
            f'autocreate.toml: milter.recipient_delimiter = "{theirs}"',
        )
    if others := "".join(it for it in dict.fromkeys(theirs) if it != "+"):
        example = f"user{others[0]}detail"
        yield warning(
            f"{setting.where} has {others!r}, which Cyrus's lmtpd does not know",
            f"unless it is an alias, mail to {example} never reaches user: Postfix passes the address "
            "on unchanged, and Cyrus splits only at +",
            f"main.cf: recipient_delimiter = +, unless {example} is always an alias",
        )


def _origin(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    setting = postfix.setting("myorigin")
    origin = setting.value.lower()
    is_known = bool(origin) and not origin.startswith("/")
    if is_known and ours.alias_origins - {origin} and postfix.get("append_at_myorigin") != "no":
        others = ", ".join(sorted(it or "none" for it in ours.alias_origins - {origin}))
        yield warning(
            f"{setting.where} is {origin!r}, the origin of alias tables in autocreate.toml: {others}",
            "a name without a domain in them is a different address to Postfix and to the milter",
            "autocreate.toml: the origin that `autocreate aliases detect` prints",
        )
