"""Checks of imapd.conf and cyrus.conf. They follow the manual pages of Cyrus 3.6."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autocreate.core.naming import Users
from autocreate.doctor.cyrus_services import CyrusService, of_kind, reached, services_of
from autocreate.doctor.findings import Cause, Finding, critical, warning
from autocreate.imapdconf.parser import Options
from autocreate.imapdconf.settings import CyrusFiles

# libsasl's default for sasl_saslauthd_path.
_USUAL_SASLAUTHD = "/run/saslauthd/mux"
_USUAL_METHOD = "auxprop"  # of libsasl2

# The options that Cyrus's native autocreate needs: policies._why_not() in imapdconf reads them.
_TURNS_NATIVE_ON = r"(^|_)(autocreate_quota|autocreatequota|autocreate_post|createonpost)$"

# From these releases of their series on, and in every later series, STARTTLS is off unless
# `allowstarttls` says otherwise (Cyrus's release notes, CVE-2025-49812).
_STARTTLS_OFF = {(3, 8): 6, (3, 10): 2, (3, 12): 1}


@dataclass(frozen=True, slots=True)
class Expected:
    """What Cyrus's configuration has to match.

    Args:
        admin: the user that the milter logs in as.
        users: how autocreate.toml says that addresses become user ids.
        imap, sieve: where the milter logs in: "inet:HOST:PORT"; "" if unknown.
        login_socket: where Cyrus has to send passwords; "" if nowhere.
        notify_socket: where Cyrus has to send notifications; "" if nowhere.
        managesieve: some policy has a script, and ManageSieve installs it.
        written: the keys of [cyrus] that autocreate.toml has.
    """

    admin: str
    users: Users
    imap: str = ""
    sieve: str = ""
    login_socket: str = ""
    notify_socket: str = ""
    managesieve: bool = False
    written: frozenset[str] = frozenset()


def examine(
    files: CyrusFiles, expected: Expected, others: Mapping[str, Options] | None = None
) -> list[Finding]:
    """Check imapd.conf and cyrus.conf. What several services have in common is found once.

    Args:
        others: the options of each other imapd.conf that a service reads, by its path.
    """
    conf, services = files.conf, services_of(files, others)
    found = (
        *_administrator(services, expected),
        *_mechanisms(reached(services, "imap", expected.imap)),
        *_names(files, expected),
        *_capitals(files),
        *_native(files),
        *_ids(files),
        *_passwords(of_kind(services, "imap", "pop3", "sieve"), expected.login_socket),
        *_notifications(of_kind(services, "imap", "pop3"), expected.notify_socket),
        *(_managesieve(files, expected.sieve) if expected.managesieve else ()),
        *(
            warning(notice, "Cyrus does not do what this line seems to say", "correct or remove it")
            for notice in conf.notices
        ),
    )
    return list(dict.fromkeys(found))


def starttls_remedy(says: str, *, is_sieve: bool) -> str:
    """What to configure so that a Cyrus without STARTTLS offers TLS.

    Args:
        says: its greeting, or ManageSieve's IMPLEMENTATION. They contain its version, if
            `serverinfo` in imapd.conf allows it.
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


def _administrator(services: Sequence[CyrusService], expected: Expected) -> Iterator[Finding]:
    """Is the milter's user an administrator of the services that it logs in to?"""
    admin = expected.admin
    asked = [("imap", expected.imap)]
    if expected.managesieve:
        asked.append(("sieve", expected.sieve))
    for kind, place in asked:
        for service in reached(services, kind, place):
            option = service.find("admins")
            key = option.key if option else "admins"
            names = option.value.split() if option else []
            if admin in names:
                continue
            groups = [name for name in names if name.startswith("group:")]
            finding = warning if groups else critical
            yield finding(
                f"{service.place(option)}: {admin!r} (cyrus.admin) is not in {key}"
                + (f", except perhaps through {', '.join(groups)}" if groups else ""),
                "it may neither create mailboxes nor act for users"
                if kind == "imap"
                else "it may not act for users, so new users get no Sieve script",
                f"{service.path}: {key}: {' '.join([*names, admin])}",
                Cause.ADMINISTRATOR,
            )


def _mechanisms(services: Sequence[CyrusService]) -> Iterator[Finding]:
    for service in services:
        option = service.find("sasl_mech_list")
        if option and "PLAIN" not in option.value.upper().split():
            yield critical(
                f"{option.place}: {option.key} lacks PLAIN",
                "the milter logs in with SASL PLAIN, the only way to act for a user",
                f"{service.path}: {option.key}: {option.value} PLAIN",
            )


def _names(files: CyrusFiles, expected: Expected) -> Iterator[Finding]:
    """Do both files say the same about how user names are spelled?"""
    conf, users = files.conf, expected.users
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
    if different := [key for key in theirs if theirs[key] != ours[key]]:
        written = "; ".join(_as_written(files, key) for key in different)
        own = ", ".join(f"cyrus.{key} is {_as_toml(key, ours[key])}" for key in different)
        removed = [f"cyrus.{key}" for key in different if key in expected.written]
        yield critical(
            f"{written}; autocreate.toml: {own}",
            "the milter creates a different mailbox from the one that mail is delivered to",
            (f"autocreate.toml: remove {' and '.join(removed)}; " if removed else "")
            + f'autocreate.toml: cyrus.imapd_conf = "{conf.path}"',
        )


def _capitals(files: CyrusFiles) -> Iterator[Finding]:
    conf = files.conf
    if conf.username_tolower == conf.lmtp_downcase_rcpt:
        return
    off = "lmtp_downcase_rcpt" if conf.username_tolower else "username_tolower"
    yield warning(
        f"{_as_written(files, off)}, so Cyrus lower-cases "
        f"{'logins' if conf.username_tolower else 'mail'} only",
        "mail to an account with capitals in its name, spelled that way, is for a different mailbox "
        "from the one that its user logs in to, and is deferred (451)",
        f"{conf.path}: {off}: yes",
    )


def _native(files: CyrusFiles) -> Iterator[Finding]:
    written = [it for it in files.options.every if re.search(_TURNS_NATIVE_ON, it.key)]
    for policy in files.conf.policies:
        if policy.create:
            by = ", ".join(sorted(policy.services)) or "every service"
            keys = " and ".join(dict.fromkeys(option.key for option in written))
            place = written[0].place if written else files.conf.path
            yield warning(
                f"{place}: Cyrus's native autocreate is on as well, for {by}",
                "it creates mailboxes for users who reach Cyrus without this program, and repairs none",
                f"{files.conf.path}: remove {keys}, once the policies in autocreate.toml do the same",
            )


def _ids(files: CyrusFiles) -> Iterator[Finding]:
    """May two mailboxes get one id? Where Cyrus chooses a partition or a backend by its free space."""
    path, options = files.conf.path, files.options
    why = (
        "a Cyrus that is built without libuuid, as Debian's is, may give one id to mailboxes that are "
        "created at the same time: they share their files, and mail is lost (docs/mailbox-ids.md)"
    )
    partition = next((it for it in options.every if it.key.startswith("partition-")), None)
    if partition and not options.find("defaultpartition"):
        name = partition.key.removeprefix("partition-")
        yield critical(
            f"{partition.place}: {partition.key}, but there is no defaultpartition, so Cyrus chooses one",
            why,
            f"{path}: defaultpartition: {name}",
        )
    mode = options.find("serverlist_select_mode")
    if (servers := options.find("serverlist")) and not (mode and mode.value == "random"):
        yield critical(
            f"{(mode or servers).place}: serverlist_select_mode is {mode.value if mode else 'missing'}, "
            "so this frontend chooses backends by their free space",
            why,
            f"{path}: serverlist_select_mode: random",
        )


def _as_written(files: CyrusFiles, key: str) -> str:
    """An option as its file has it: `/etc/imapd.conf, line 3: virtdomains: userid`."""
    option = files.options.find(key)
    if option is None:
        return f"{files.conf.path}: {key} is not set"
    return f"{option.place}: {option.key}: {option.value}"


def _asked_first(methods: str) -> str:
    """What to write in place of these `sasl_pwcheck_method`. saslauthd alone may not know the passwords."""
    if "auxprop" not in methods.split():
        return "saslauthd"
    return (
        "saslauthd auxprop, if saslauthd knows the passwords that Cyrus checks itself; otherwise "
        "autocreate.toml: leave out [login.upstream] (docs/login.md)"
    )


def _passwords(services: Sequence[CyrusService], socket: str) -> Iterator[Finding]:
    """Does every service that users log in to ask us for passwords?"""
    if not socket:
        return
    why = "logins there do not reach this program, so they create no mailboxes"
    for service in services:
        path = service.path
        method = service.find("sasl_pwcheck_method")
        # Only the first one is asked about every password: the next one if it does not say yes.
        if method is None or method.value.split()[:1] != ["saslauthd"]:
            key = method.key if method else "sasl_pwcheck_method"
            state = f"is {method.value!r}" if method else "is missing"
            yield critical(
                f"{service.place(method)}: {key} {state}",
                why,
                f"{path}: {key}: {_asked_first(method.value if method else _USUAL_METHOD)}",
            )
            continue
        place = service.find("sasl_saslauthd_path")
        if _plain(place.value if place else _USUAL_SASLAUTHD) != _plain(socket):
            key = place.key if place else "sasl_saslauthd_path"
            state = f"is {place.value}" if place else "is missing"
            yield critical(
                f"{service.place(place)}: {key} {state}, login.socket is {socket}",
                why,
                f"{path}: {key}: {socket}",
            )


def _notifications(services: Sequence[CyrusService], socket: str) -> Iterator[Finding]:
    """Does every service that users log in to notify us?"""
    if not socket:
        return
    why = "this program is not notified of logins without a password, nor of deleted mailboxes"
    for service in services:
        path = service.path
        if not service.find("event_notifier"):
            yield warning(
                f"{path}: event_notifier is missing", why, f"{path}: event_notifier: external"
            )
        groups = service.find("event_groups")
        key, names = (groups.key, groups.value.split()) if groups else ("event_groups", [])
        if missing := [name for name in ("access", "mailbox") if name not in names]:
            yield warning(
                f"{service.place(groups)}: {key} lacks {' and '.join(missing)}",
                why,
                f"{path}: {key}: {' '.join([*names, *missing])}",
            )
        place = service.find("notifysocket")
        if place is None or _plain(place.value) != _plain(socket):
            key = place.key if place else "notifysocket"
            state = f"is {place.value}" if place else "is missing"
            yield warning(
                f"{service.place(place)}: {key} {state}, login.notify_socket is {socket}",
                why,
                f"{path}: {key}: {socket}",
            )


def _managesieve(files: CyrusFiles, place: str) -> Iterator[Finding]:
    """Does a service run timsieved?

    Args:
        place: where the milter looks for it: "inet:HOST:PORT"; "" if unknown.
    """
    if files.entries is not None and not any(it.kind == "sieve" for it in files.entries):
        listen = place.removeprefix("inet:") or "localhost:sieve"
        is_named = any(it.config == files.conf.path for it in files.entries)
        own = f" -C {files.conf.path}" if is_named else ""
        yield critical(
            f"{files.cyrus_conf}: no service runs timsieved",
            "new users get no Sieve script, and their first mail is not filtered",
            f'{files.cyrus_conf}, in SERVICES: sieve cmd="timsieved{own}" listen="{listen}" '
            'prefork=0; or autocreate.toml: cyrus.sieve = "off"',
            Cause.MANAGESIEVE,
        )


def _plain(path: str) -> str:
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def _as_toml(key: str, value: object) -> str:
    if key == "virtdomains":
        return 'not "off"' if value else '"off"'
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'
