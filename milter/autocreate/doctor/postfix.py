"""Checks of Postfix's main.cf and master.cf: one module for each topic, here in their order."""

from collections.abc import Sequence

from autocreate.doctor import (
    lmtp,
    postfix_addresses,
    postfix_milter,
    postfix_recipients,
    postfix_restrictions,
    postfix_socketmap,
    postfix_transport,
    postfix_unseen,
)
from autocreate.doctor.findings import Finding, MilterSettings
from autocreate.doctor.postconf import Postfix
from autocreate.doctor.postfix_domains import Tables
from autocreate.doctor.postfix_routes import Route


def examine(
    postfix: Postfix, ours: MilterSettings, routes: Sequence[Route], tables: Tables
) -> list[Finding]:
    """Check Postfix's configuration, its connection to the milter first.

    Args:
        routes: of mail in our domains.
        tables: of its lists and restrictions.
    """
    return [
        *postfix_milter.examine(postfix, ours),
        *postfix_recipients.examine(postfix, ours, routes),
        *postfix_restrictions.examine(postfix, ours, routes, tables),
        *postfix_socketmap.examine(postfix, ours),
        *postfix_addresses.examine(postfix, ours, routes),
        *postfix_transport.examine(postfix, ours, routes),
        *postfix_unseen.examine(postfix, ours),
        *lmtp.examine_postfix(postfix, ours, routes),
    ]
