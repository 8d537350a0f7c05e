"""Checks of Postfix's main.cf and master.cf: one module for each topic, here in their order."""

from autocreate.doctor import (
    lmtp,
    postfix_addresses,
    postfix_milter,
    postfix_recipients,
    postfix_transport,
    postfix_unseen,
)
from autocreate.doctor.findings import Finding, MilterSettings
from autocreate.doctor.postconf import Postfix


def examine(postfix: Postfix, ours: MilterSettings) -> list[Finding]:
    """Check Postfix's configuration, its connection to the milter first."""
    return [
        *postfix_milter.examine(postfix, ours),
        *postfix_recipients.examine(postfix, ours),
        *postfix_addresses.examine(postfix, ours),
        *postfix_transport.examine(postfix, ours),
        *postfix_unseen.examine(postfix, ours),
        *lmtp.examine_postfix(postfix, ours),
    ]
