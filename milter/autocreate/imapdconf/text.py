"""What was taken from imapd.conf, for an administrator to read: `autocreate config check` shows it."""

from autocreate.core.policy import Policy
from autocreate.imapdconf.settings import ImapdConf


def as_text(conf: ImapdConf) -> list[str]:
    """What was taken, in words for an administrator."""
    domains = f"virtdomains {conf.virtdomains}"
    if conf.virtdomains != "off":
        domains += f", defaultdomain {conf.defaultdomain}"
    lines = [
        f"administrators, who get no mailbox: {', '.join(conf.admins) or 'it names none'}",
        f"user ids: {domains}; mail {_folded(conf.lmtp_downcase_rcpt)}, "
        f"logins {_folded(conf.username_tolower)}",
    ]
    if conf.postuser:
        lines.append(f"mail to {conf.postuser}+FOLDER is for shared folders")
    if not conf.policies:
        lines.append("creates nothing by itself: it has no autocreate option")
    return lines + [_policy_as_text(policy) for policy in conf.policies]


def _folded(to_lower: bool) -> str:
    return "in lower case" if to_lower else "as written"


def _policy_as_text(policy: Policy) -> str:
    by = " and ".join(sorted(policy.services)) or "every service"
    if not policy.create:
        return f"by {by}: creates nothing: {policy.why}"
    users = [*sorted(policy.users), *(f"group {group}" for group in sorted(policy.groups))]
    created = ", ".join(
        folder.name + (f" as {folder.special_use}" if folder.special_use else "")
        for folder in policy.tree.folders
    )
    return (
        f"by {by}: creates {created}; quota {policy.tree.quota.description}; "
        f"for {', '.join(users) or 'everyone'}"
    )
