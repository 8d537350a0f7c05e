"""A Postfix whose configuration matches the milter's: tests change one thing of it."""

from __future__ import annotations

from autocreate.doctor.findings import MilterSettings
from autocreate.doctor.postconf import Service

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
