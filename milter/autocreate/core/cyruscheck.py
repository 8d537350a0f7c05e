"""A Cyrus behind us: what of its imapd.conf would bite."""

from collections.abc import Iterator

from autocreate.core.findings import Finding, critical, warning
from autocreate.core.imapd import ImapdConf
from autocreate.core.naming import Users


def examine(conf: ImapdConf, admin: str, users: Users) -> list[Finding]:
    """Everything found.

    Args:
        admin: whom we log in as.
        users: how our configuration says that addresses become user ids.
    """
    return [
        *_administrator(conf, admin),
        *_names(conf, users),
        *_native(conf),
        *(
            warning(notice, "Cyrus does not do what this line seems to say", "mend or remove it")
            for notice in conf.notices
        ),
    ]


def _administrator(conf: ImapdConf, admin: str) -> Iterator[Finding]:
    if admin not in conf.admins:
        groups = [name for name in conf.admins if name.startswith("group:")]
        finding = warning if groups else critical
        yield finding(
            f"{conf.path}: {admin!r} (cyrus.admin) is not among admins"
            + (f", unless by {', '.join(groups)}" if groups else ""),
            "it may neither create mailboxes nor act for users",
            f"{conf.path}: admins: {admin}",
        )


def _names(conf: ImapdConf, users: Users) -> Iterator[Finding]:
    theirs: dict[str, object] = {
        "virtdomains": conf.virtdomains != "off",
        "username_tolower": conf.username_tolower,
        "lmtp_downcase_rcpt": conf.lmtp_downcase_rcpt,
    }
    ours: dict[str, object] = {
        "virtdomains": users.virtual_domains,
        "username_tolower": users.logins_to_lower,
        "lmtp_downcase_rcpt": users.to_lower,
    }
    if conf.virtdomains != "off":
        theirs["defaultdomain"], ours["defaultdomain"] = conf.defaultdomain, users.default_domain
    for key in [key for key in theirs if theirs[key] != ours[key]]:
        yield critical(
            f"{conf.path}: {key} says {_shown(theirs[key])}, our cyrus.{key} {_shown(ours[key])}",
            "we create another mailbox than the one that mail is delivered to",
            f'autocreate.toml: remove cyrus.{key} and write cyrus.imapd_conf = "{conf.path}"',
        )


def _native(conf: ImapdConf) -> Iterator[Finding]:
    for policy in conf.policies:
        if policy.create:
            by = ", ".join(sorted(policy.services)) or "every service"
            yield warning(
                f"{conf.path}: Cyrus's own autocreate is on as well, for {by}",
                "it makes a mailbox for whoever reaches Cyrus another way than by us, and repairs none",
                f"{conf.path}: remove autocreate_quota and autocreate_post, once our own policies "
                "say what they said",
            )


def _shown(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else repr(value)
