"""A Postfix whose configuration matches the milter's: tests change one thing of it."""

from __future__ import annotations

from collections.abc import Mapping

from autocreate.doctor import postfix as postfix_rules
from autocreate.doctor.findings import Finding, MilterSettings
from autocreate.doctor.postconf import Postfix, Service
from autocreate.doctor.postfix_domains import Tables
from autocreate.doctor.postfix_routes import Route, routes

SOCKET = "unix:/var/spool/postfix/autocreate/milter.sock"
OURS = MilterSettings(
    SOCKET,
    8.0,
    frozenset({"example.org"}),
    frozenset({"lmtp", "local"}),
    "+",
    lmtp="unix:/run/cyrus/socket/lmtp",
)
SERVICES = (
    Service("smtp", "inet", True, "smtpd"),
    Service("cleanup", "unix", True, "cleanup"),
    Service("lmtp", "unix", True, "lmtp"),
    Service("local", "unix", False, "local"),
    Service("virtual", "unix", False, "virtual"),
)
GOOD = {
    "queue_directory": "/var/spool/postfix",
    "smtpd_milters": "{ unix:/autocreate/milter.sock, default_action=tempfail, command_timeout=30s }",
    "non_smtpd_milters": "unix:/autocreate/milter.sock",
    "milter_default_action": "tempfail",
    "milter_command_timeout": "30s",
    "milter_rcpt_macros": "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
    "virtual_mailbox_domains": "example.org",
    "virtual_mailbox_maps": "",
    "virtual_transport": "lmtp:unix:/run/cyrus/socket/lmtp",
    "recipient_delimiter": "+",
    "lmtp_quote_rfc821_envelope": "yes",
    "internal_mail_filter_classes": "bounce, notify",
}


def routes_of(
    postfix: Postfix,
    ours: MilterSettings = OURS,
    tables: Mapping[str, Mapping[str, str]] | None = None,
    files: Mapping[str, str] | None = None,
) -> list[Route]:
    """How a Postfix delivers mail in our domains.

    Args:
        tables: the entries of its tables; a table that is not among them has none.
        files: the texts of files of items.
    """

    return routes(postfix, ours, tables_of(tables, files))


def tables_of(
    tables: Mapping[str, Mapping[str, str]] | None = None, files: Mapping[str, str] | None = None
) -> Tables:
    """Tables by their names, with their entries, and the texts of files."""

    def find(table: str, key: str) -> str | None:
        return (tables or {}).get(table, {}).get(key)

    return Tables(find, (files or {}).__getitem__)


def examine(
    postfix: Postfix,
    ours: MilterSettings = OURS,
    tables: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Finding]:
    """What is wrong with a Postfix."""
    routes = routes_of(postfix, ours, tables)
    return postfix_rules.examine(postfix, ours, routes, tables_of(tables))
