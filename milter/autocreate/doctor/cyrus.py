"""A Cyrus behind us: what of its imapd.conf and cyrus.conf would bite. Follows their manual pages, of Cyrus 3.6."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from autocreate.core.naming import Users
from autocreate.doctor.findings import Finding, critical, warning
from autocreate.imapdconf.settings import USUAL_SERVICES, CyrusFiles, ImapdConf

# What libsasl asks if sasl_saslauthd_path is not there.
_USUAL_SASLAUTHD = "/run/saslauthd/mux"

# From these releases of their series on, and in every later series, STARTTLS is off unless
# `allowstarttls` says otherwise (Cyrus's release notes, CVE-2025-49812).
_STARTTLS_OFF = {(3, 8): 6, (3, 10): 2, (3, 12): 1}


@dataclass(frozen=True, slots=True)
class Expected:
    """What Cyrus's configuration has to fit.

    Args:
        admin: whom we log in as.
        users: how our configuration says that addresses become user ids.
        login_socket: where Cyrus is to ask for passwords; "" if it need not ask us.
        notify_socket: where it is to tell of logins; "" if it need not tell us.
        managesieve: some policy has a script, and it gets there by ManageSieve.
    """

    admin: str
    users: Users
    login_socket: str = ""
    notify_socket: str = ""
    managesieve: bool = False


def examine(files: CyrusFiles, expected: Expected) -> list[Finding]:
    """Everything found. What services have in common is found once."""
    conf = files.conf
    return [
        *dict.fromkeys(_administrator(files, expected)),
        *_mechanisms(files),
        *_names(conf, expected.users),
        *_capitals(conf),
        *_native(conf),
        *dict.fromkeys(_passwords(files, expected.login_socket)),
        *_notifications(files, expected.notify_socket),
        *(_managesieve(files) if expected.managesieve else ()),
        *(
            warning(notice, "Cyrus does not do what this line seems to say", "mend or remove it")
            for notice in conf.notices
        ),
    ]


def starttls_remedy(says: str, *, is_sieve: bool) -> str:
    """What makes a Cyrus offer TLS to us that does not offer STARTTLS.

    Args:
        says: its greeting, or ManageSieve's IMPLEMENTATION: these name its version, if `serverinfo` of
            imapd.conf lets them.
        is_sieve: it is timsieved.
    """
    certificate = "imapd.conf: tls_server_cert and tls_server_key"
    if is_sieve:
        allow = "sieve_allowstarttls: yes, for the service that cyrus.conf calls sieve"
    else:
        allow = (
            "allowstarttls: yes; or leave that off, and cyrus.conf: "
            'imaps cmd="imapd -s" listen="imaps" prefork=0, with cyrus.tls = "auto" in autocreate.toml'
        )
    version = re.search(r"\bCyrus \w+ v?(\d+)\.(\d+)\.(\d+)", says)
    if version is None:
        return (
            f"{certificate}; if it is Cyrus 3.8.6, 3.10.2, 3.12.1 or later (this one does not say) "
            f"also {allow}"
        )
    major, minor, release = map(int, version.groups())
    first = _STARTTLS_OFF.get((major, minor))
    is_off = (major, minor) > max(_STARTTLS_OFF) if first is None else release >= first
    return f"{certificate}, and {allow}" if is_off else certificate


def _administrator(files: CyrusFiles, expected: Expected) -> Iterator[Finding]:
    """A service's own list counts instead of the general one, not besides it."""
    path, admin = files.conf.path, expected.admin
    for kind in ("imap", "sieve") if expected.managesieve else ("imap",):
        option = files.options.find("admins", _services(files, kind))
        key = option.key if option else "admins"
        names = option.value.split() if option else []
        if admin not in names:
            groups = [name for name in names if name.startswith("group:")]
            finding = warning if groups else critical
            yield finding(
                f"{path}: {admin!r} (cyrus.admin) is not among {key}"
                + (f", unless by {', '.join(groups)}" if groups else ""),
                "it may neither create mailboxes nor act for users"
                if kind == "imap"
                else "it may not act for users, and new ones get no Sieve script",
                f"{path}: {key}: {' '.join([*names, admin])}",
            )


def _mechanisms(files: CyrusFiles) -> Iterator[Finding]:
    option = files.options.find("sasl_mech_list", _services(files, "imap"))
    if option and "PLAIN" not in option.value.upper().split():
        yield critical(
            f"{option.place}: {option.key} lacks PLAIN",
            "we log in by SASL PLAIN, the only way to act for a user",
            f"{files.conf.path}: {option.key}: {option.value} PLAIN",
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


def _capitals(conf: ImapdConf) -> Iterator[Finding]:
    if conf.username_tolower == conf.lmtp_downcase_rcpt:
        return
    off = "lmtp_downcase_rcpt" if conf.username_tolower else "username_tolower"
    yield warning(
        f"{conf.path}: {off} is off, so Cyrus lower-cases {'logins' if conf.username_tolower else 'mail'} only",
        "mail to an account whose name has capitals, as it is spelled, is for another mailbox than its "
        "user logs in to, and is deferred (451)",
        f"{conf.path}: {off}: yes",
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


def _passwords(files: CyrusFiles, socket: str) -> Iterator[Finding]:
    if not socket:
        return
    why = "logins that do not ask us make no mailboxes"
    path = files.conf.path
    for kind in ("imap", "pop3", "sieve"):
        services = _services(files, kind)
        if not services:
            continue
        method = files.options.find("sasl_pwcheck_method", services)
        if method is None or "saslauthd" not in method.value.split():
            key = method.key if method else "sasl_pwcheck_method"
            said = f"says {method.value!r}" if method else "is missing"
            yield critical(f"{path}: {key} {said}", why, f"{path}: {key}: saslauthd")
            continue
        place = files.options.find("sasl_saslauthd_path", services)
        if _plain(place.value if place else _USUAL_SASLAUTHD) != _plain(socket):
            key = place.key if place else "sasl_saslauthd_path"
            said = f"is {place.value}" if place else "is missing"
            yield critical(
                f"{path}: {key} {said}, our login.socket {socket}", why, f"{path}: {key}: {socket}"
            )


def _notifications(files: CyrusFiles, socket: str) -> Iterator[Finding]:
    if not socket:
        return
    path = files.conf.path
    why = "we are told neither of logins by other ways than passwords nor of mailboxes that go"
    if not files.options.find("event_notifier"):
        yield warning(
            f"{path}: event_notifier is missing", why, f"{path}: event_notifier: external"
        )
    groups = files.options.find("event_groups")
    told = groups.value.split() if groups else []
    if missing := [name for name in ("access", "mailbox") if name not in told]:
        yield warning(
            f"{path}: event_groups lacks {' and '.join(missing)}",
            why,
            f"{path}: event_groups: {' '.join([*told, *missing])}",
        )
    place = files.options.find("notifysocket")
    if place is None or _plain(place.value) != _plain(socket):
        said = f"is {place.value}" if place else "is missing"
        yield warning(
            f"{path}: notifysocket {said}, our login.notify_socket {socket}",
            why,
            f"{path}: notifysocket: {socket}",
        )


def _managesieve(files: CyrusFiles) -> Iterator[Finding]:
    if files.services is not None and not files.services["sieve"]:
        yield critical(
            f"{files.cyrus_conf}: no service runs timsieved",
            "new users get no Sieve script, and their first mail is not filtered",
            f'{files.cyrus_conf}, in SERVICES: sieve cmd="timsieved" listen="localhost:sieve" '
            'prefork=0 (or autocreate.toml: cyrus.sieve = "off")',
        )


def _services(files: CyrusFiles, kind: str) -> tuple[str, ...]:
    """What services of a kind are called; none if cyrus.conf says that there is none."""
    return (USUAL_SERVICES if files.services is None else files.services)[kind]


def _plain(path: str) -> str:
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _shown(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else repr(value)
