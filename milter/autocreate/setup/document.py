"""The text of a first autocreate.toml, with comments."""

import json
from collections.abc import Iterator, Mapping, Sequence

from autocreate.model import LMTP
from autocreate.setup import cyrus
from autocreate.setup.values import Answers, Connection, Seen, Table

_HEAD = """\
# autocreate-milter, as `autocreate config init` found this machine.
# autocreate.toml(5) describes every key. After a change:
#   autocreate config check && systemctl reload autocreate-milter
"""
_POLICY = """\
# What new users get. The first policy that matches a user counts.
[[policy]]
name = "everyone"
quota = "2G"
folders = [
  { name = "Sent", special_use = "\\\\Sent", subscribe = true },
  { name = "Drafts", special_use = "\\\\Drafts", subscribe = true },
  { name = "Trash", special_use = "\\\\Trash", subscribe = true },
  { name = "Junk", special_use = "\\\\Junk" },
]
"""


def document(
    seen: Seen,
    answers: Answers,
    connection: Connection,
    domains: Sequence[str],
    tables: Sequence[Table],
) -> str:
    """The whole file, in dry run.

    Args:
        domains: those that are written into `milter.domains`.
        tables: account sources and tables of domains.
    """
    parts = [
        _HEAD,
        _milter(seen, connection, domains),
        _cyrus(seen, answers, connection),
        *(_table(it) for it in tables),
    ]
    if seen.aliases:
        parts.append("\n".join(seen.aliases) + "\n")
    if connection.lmtp:
        parts.append(_lmtp(seen, connection))
    if _has_own_policy(seen):
        parts.append("# What new users get is in imapd.conf: its autocreate options.\n")
    else:
        parts.append(_POLICY)
    return "\n".join(parts)


def _milter(seen: Seen, connection: Connection, domains: Sequence[str]) -> str:
    lines = ["[milter]"]
    if seen.postfix:
        lines.append("# Below Postfix's queue directory, where a chrooted smtpd finds it, too.")
    lines += _keys(
        {
            "socket": connection.socket,
            "socket_mode": "0660",
            "socket_group": "postfix" if seen.postfix else "mail",
        }
    )
    lines += [
        "# A dry run: all mail passes, nothing is created, and the log says what would have been done.",
        "# To go live see contrib/postfix/README.md or contrib/sendmail/README.md.",
        'mode = "dry-run"',
        "# Recipients in other domains pass unchecked.",
        *_keys({"domains": list(domains)}),
    ]
    delimiter = seen.postfix.conf.get("recipient_delimiter") if seen.postfix else ""
    if delimiter not in ("", "+"):
        lines.append("# As in main.cf. It counts for aliases; Cyrus knows no other than +.")
        lines += _keys({"recipient_delimiter": delimiter})
    if seen.postfix and seen.postfix.conf.get("lmtp_quote_rfc821_envelope") == "no":
        lines.append("lmtp_quote_rfc821_envelope = false    # as in main.cf")
    return "\n".join(lines) + "\n"


def _cyrus(seen: Seen, answers: Answers, connection: Connection) -> str:
    keys: dict[str, object] = {"host": "localhost"}
    if seen.cyrus:
        keys |= dict(cyrus.connection_keys(seen.cyrus))
    keys |= {"admin": connection.admin, "password_file": f"{answers.folder}/cyrus.secret"}
    lines = ["[cyrus]"]
    if keys.get("tls") == "none":
        lines.append(
            "# imapd.conf has no certificate. The password goes unencrypted, on this machine only."
        )
    else:
        lines.append("# Cyrus's certificate must be for this name.")
    lines += _keys(keys)
    if seen.cyrus and seen.cyrus.is_public:
        lines.append("# Virtual domains, administrators and autocreate options are read from here.")
        if seen.cyrus.cyrus_conf:
            lines += _keys({"cyrus_conf": seen.cyrus.cyrus_conf.path})
        lines += _keys({"imapd_conf": seen.cyrus.imapd_conf.path})
    elif seen.cyrus:
        conf = seen.cyrus.files.conf
        lines.append("# As in imapd.conf, which this program may not read.")
        lines += _keys({"admins": list(conf.admins), "virtdomains": conf.virtdomains})
        if conf.virtdomains != "off":
            lines += _keys({"defaultdomain": conf.defaultdomain})
    return "\n".join(lines) + "\n"


def _lmtp(seen: Seen, connection: Connection) -> str:
    lines = [
        "# Ask Cyrus's lmtpd at RCPT whether it will take the mail. See docs/lmtp.md.",
        "[lmtp]",
        *_keys({"address": connection.lmtp.removeprefix("inet:")}),
    ]
    if seen.postfix and seen.cyrus and seen.cyrus.files.conf.virtdomains != "off":
        lines.append("lowercase_domains = true    # by lmtp_generic_maps in main.cf")
    return "\n".join(lines) + "\n"


def _table(table: Table) -> str:
    comments = [f"# {it}" for it in table.remarks]
    return "\n".join([*comments, f"[{table.head}]", *_keys(table.keys)]) + "\n"


def _keys(keys: Mapping[str, object]) -> Iterator[str]:
    """Keys and values. A JSON string, number or list of strings is a TOML one."""
    return (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items())


def _has_own_policy(seen: Seen) -> bool:
    """Do imapd.conf's autocreate options create mailboxes for mail?"""
    if seen.cyrus is None or not seen.cyrus.is_public:
        return False
    policies = seen.cyrus.files.conf.policies
    return any(it.create and (not it.services or LMTP in it.services) for it in policies)
