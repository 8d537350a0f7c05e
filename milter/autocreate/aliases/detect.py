"""The tables for [aliases] that correspond to the configuration of Postfix or Sendmail.

See postconf(5) and the Sendmail Operations Guide. What [aliases] cannot express becomes a comment.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from autocreate.core.address import normal_domain
from autocreate.errors import Malformed

_CANONICAL = ("recipient_canonical_maps", "canonical_maps")

# Reads a file, for Sendmail's F lines and Debian's /etc/mailname; None if it cannot be read.
Read = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A table of [aliases].

    Args:
        keys: its keys and values.
        remarks: what the administrator should know about it.
    """

    name: str
    keys: Mapping[str, str | Sequence[str]]
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class _Names:
    """Gives each table its own name."""

    given: dict[str, int] = field(default_factory=dict)

    def next(self, name: str) -> str:
        self.given[name] = number = self.given.get(name, 0) + 1
        return name if number == 1 else f"{name}{number}"


def from_postfix(parameters: Mapping[str, str], folder: str, read: Read) -> list[Proposal]:
    """Tables for the maps of a Postfix.

    Args:
        parameters: main.cf and the defaults, expanded (`postconf -x`).
        folder: the directory of main.cf.
    """
    names = _Names()
    found = []
    for style, parameter in (
        *(("canonical", parameter) for parameter in _CANONICAL),
        ("virtual", "virtual_alias_maps"),
        ("aliases", "alias_maps"),
    ):
        where, inexpressible = _where(style, parameters, read)
        if style == "aliases" and not _delivers_locally(parameters, where):
            continue
        for table in _words(parameters.get(parameter, "")):
            keys, remarks = _of_map(table, style, folder, parameters)
            name = "local" if style == "aliases" else style
            comments = (f"{parameter} = {table}", *remarks, *inexpressible)
            found.append(Proposal(names.next(name), {**keys, **where}, comments))
    return found


def _where(
    style: str, parameters: Mapping[str, str], read: Read
) -> tuple[dict[str, str | Sequence[str]], list[str]]:
    """The keys that say for which addresses tables of a style are, and remarks about the rest."""
    local, others = _domains(_words(parameters.get("mydestination", "")), read)
    remarks = [f"mydestination also has {it}, which cannot be written here" for it in others]
    origin = _origin(parameters.get("myorigin", ""), read)
    is_appended = parameters.get("append_at_myorigin", "yes") == "yes"
    if origin and not is_appended and style != "aliases" and origin not in local:
        local.append(origin)  # a key of virtual(5) applies to myorigin all the same
    where: dict[str, str | Sequence[str]] = {}
    if local:
        where["domains"] = local
    if not is_appended and style == "aliases":
        origin = _origin(
            parameters.get("myhostname", ""), read
        )  # as trivial-rewrite(8) resolves it
    if origin and (is_appended or style == "aliases"):
        where["origin"] = origin
        if origin not in local:
            remarks.append(
                f"a name without a domain in a value is in {origin} (myorigin): if its mailbox is in "
                "Cyrus, add that to milter.domains"
            )
    if parameters.get("append_dot_mydomain") == "yes":
        remarks.append(
            "Postfix reads joe@host in a value as joe@host.$mydomain: write it like that"
        )
    if style != "aliases" and (only := alias_domains(parameters)):
        where["alias_domains"] = only
    return where, remarks


def _delivers_locally(parameters: Mapping[str, str], where: Mapping[str, object]) -> bool:
    """Does local(8) deliver anything? Only local(8) uses alias_maps."""
    transport = parameters.get("local_transport", "local").partition(":")[0]
    return "domains" in where and transport == "local"


def alias_domains(parameters: Mapping[str, str]) -> list[str]:
    """Domains of a Postfix that have only aliases, as far as main.cf lists them."""
    domains, _ = _domains(_words(parameters.get("virtual_alias_domains", "")), lambda _: None)
    return domains


def from_sendmail(text: str, read: Read) -> list[Proposal]:
    """Tables for the alias files and the virtusertable of a sendmail.cf."""
    names = _Names()
    found = []
    for path in _virtusertables(text):
        found.append(
            Proposal(
                names.next("virtusertable"),
                {"type": "virtusertable", "path": path},
                (
                    f"Kvirtuser ... {path}",
                    "Sendmail applies it before the milter; it is needed by `autocreate check` and for aliases",
                ),
            )
        )
    local, _ = _domains(_class_w(text, read), read)
    style, why = _sendmail_style(text)
    for files in re.findall(r"(?m)^O\s*AliasFile\s*=\s*(.*)$", text) if style else ():
        for entry in filter(None, map(str.strip, files.split(","))):
            path = entry.split()[-1].rpartition(":")[2]
            keys: dict[str, str | Sequence[str]] = {"type": "aliases", "path": path, "style": style}
            if local:
                keys["domains"] = local
            remarks = [f"O AliasFile={entry}", why]
            if not path.startswith("/"):
                remarks.append("this is not a file; export it to one, or use another type")
            found.append(Proposal(names.next("local"), keys, tuple(remarks)))
    return found


def as_toml(proposals: Iterable[Proposal]) -> Iterator[str]:
    """Proposals as lines to paste."""
    for number, proposal in enumerate(proposals):
        if number:
            yield ""
        yield from (f"# {remark}" for remark in proposal.remarks)
        yield f"[aliases.{proposal.name}]"
        width = max(map(len, proposal.keys))
        for key, value in proposal.keys.items():
            # A JSON string, or list of strings, is a TOML one.
            yield f"{key:{width}} = {json.dumps(value, ensure_ascii=False)}"


def _of_map(
    table: str, style: str, folder: str, parameters: Mapping[str, str]
) -> tuple[dict[str, str | Sequence[str]], list[str]]:
    """A map of Postfix's: its keys, and remarks."""
    remarks = []
    if table.startswith("proxy:"):
        table = table.removeprefix("proxy:")
        remarks.append("read without proxymap(8), so autocreate must be able to read its files")
    kind, colon, place = table.partition(":")
    if not colon or "/" in kind:  # a bare path
        kind, place = parameters.get("default_database_type", "hash"), table
    keys: dict[str, str | Sequence[str]]
    if kind == "texthash" and style != "aliases":
        keys = {"type": "file", "path": place}
    else:
        keys = {"type": "postmap", "map": f"{kind}:{place}"}
        if folder != "/etc/postfix":
            keys["config_directory"] = folder
    if style != "virtual":
        keys["style"] = style
    if kind in ("ldap", "mysql", "pgsql", "sqlite"):
        remarks.append(
            f"autocreate must be able to read {place}; a table of type sql or ldap is faster"
        )
    return keys, remarks


def sendmail_style(text: str) -> str:
    """How Sendmail looks up aliases by this sendmail.cf, as a style of [aliases]; "" if it does not.

    That depends on the flags of the mailer for local names: `A` enables aliases, `5` enables another lookup by
    ruleset 5, which removes the detail unless FEATURE(`preserve_local_plus_detail') is used.
    """
    return _sendmail_style(text)[0]


def _sendmail_style(text: str) -> tuple[str, str]:
    found = re.search(r"(?m)^R.*\$#(\w+)\s+\$: \$1\s+regular local name", text)
    mailer = found[1] if found else "local"
    equates = re.search(rf"(?m)^M{mailer},(?:.*[\s,])?F=([^,\s]*)", text)
    flags = equates[1] if equates else "A"
    if "A" not in flags:
        return "", f"mailer {mailer} has no flag A"
    takes_off = re.search(r"(?m)^R\$\+ \+ \*\s", text)
    if "5" in flags and takes_off:
        return "sendmail-5", f"mailer {mailer} has flag 5: sales+x is also looked up as sales"
    return "sendmail", f"mailer {mailer} has no flag 5: sales+x is looked up only as that"


def _virtusertables(text: str) -> Iterator[str]:
    for line in re.findall(r"(?m)^Kvirtuser[ \t]+(.*)$", text):
        *_, path = line.split() or [""]
        if path.startswith("/"):
            yield path


def _class_w(text: str, read: Read) -> list[str]:
    """The names of class w in a sendmail.cf, and in the files that it names."""
    words = " ".join(re.findall(r"(?m)^C\s*w\s*(.*)$", text)).split()
    for file in re.findall(r"(?m)^F\s*w\s*(?:-o\s*)?(\S+)", text):
        lines = (read(file) or "").splitlines()
        words += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return words


def _domains(words: Sequence[str], read: Read) -> tuple[list[str], list[str]]:
    """The words that are domains, and the others."""
    domains, others = [], []
    for word in words:
        if word.startswith("/"):
            inner, rest = _domains(_words(read(word) or ""), lambda _: None)
            domains += inner
            others += rest
            continue
        try:
            is_domain = not re.search(r"[:/!{}$\[\]@]", word) and bool(normal_domain(word))
        except Malformed:
            is_domain = False
        (domains if is_domain else others).append(word)
    return list(dict.fromkeys(map(normal_domain, domains))), others


def _origin(value: str, read: Read) -> str:
    """myorigin; on Debian it is in /etc/mailname."""
    text = (read(value) or "") if value.startswith("/") else value
    words = text.split()
    domains, _ = _domains(words[:1], lambda _: None)
    return domains[0] if domains else ""


def _words(value: str) -> list[str]:
    """The words of a list in Postfix: separated by commas and white space, except in braces."""
    words, begin, depth = [], 0, 0
    for token in re.finditer(r"[{},\s]", value):
        depth += (token[0] == "{") - (token[0] == "}")
        if depth <= 0 and token[0] not in "{}":
            words.append(value[begin : token.start()])
            begin = token.end()
    return [word for word in (*words, value[begin:]) if word]
