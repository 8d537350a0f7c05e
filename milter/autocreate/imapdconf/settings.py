"""What this program takes from imapd.conf: how Cyrus names users, who administers it, what it creates.

Defaults are those of Cyrus 3.6. The autocreate options become policies: see
`autocreate.imapdconf.policies`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from autocreate.core.naming import Mailboxes
from autocreate.core.policy import Policy
from autocreate.errors import ConfigurationError
from autocreate.imapdconf.parser import Options
from autocreate.imapdconf.policies import FAMILY, policies, unknown_options
from autocreate.imapdconf.reading import Reading
from autocreate.imapdconf.services import USUAL_SERVICES, ServiceEntry

# What besides the autocreate options lmtpd may have of its own.
_OF_LMTP = ("lmtp_downcase_rcpt", "postuser")

_VIRTDOMAINS: Mapping[str, Literal["off", "userid", "on"]] = {
    **dict.fromkeys(("1", "yes", "t", "true", "on"), "on"),
    **dict.fromkeys(("0", "no", "f", "false", "off"), "off"),
    "userid": "userid",
}


@dataclass(frozen=True, slots=True)
class Sieve:
    """The default script of new users, and where Cyrus keeps scripts.

    Args:
        script: the script's file; "" for none.
        compiled: the file of its bytecode; "" for none.
        compile: keep what was compiled in the file `compiled`.
        folders: what Cyrus makes when a script files into it (`autocreate_sieve_folders`).
        directory: `sievedir`.
        use_home: `sieveusehomedir`: scripts lie in the users' home directories instead.
    """

    script: str = ""
    compiled: str = ""
    compile: bool = False
    folders: tuple[str, ...] = ()
    directory: str = "/usr/sieve"
    use_home: bool = False


@dataclass(frozen=True, slots=True)
class ImapdConf:
    """imapd.conf, as far as this program has a use for it. Defaults are those of Cyrus 3.6.

    Args:
        path: the file.
        admins: `admins` and `proxyservers` of every service; `group:NAME` among them.
        policies: what the autocreate options say, one policy for services that say the same; none
            if the file has no such option.
        notices: what an administrator should know, each with file and line.
    """

    path: str
    admins: tuple[str, ...] = ()
    unixhierarchysep: bool = True
    altnamespace: bool = True
    virtdomains: Literal["off", "userid", "on"] = "off"
    defaultdomain: str = "internal"
    username_tolower: bool = True
    lmtp_downcase_rcpt: bool = True
    postuser: str = ""
    userprefix: str = "Other Users"
    sharedprefix: str = "Shared Folders"
    annotation_definitions: str = ""
    annotation_allow_undefined: bool = False
    sieve: Sieve = Sieve()
    policies: tuple[Policy, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def mailboxes(self) -> Mailboxes:
        """How a user of this Cyrus names mailboxes."""
        separator = "/" if self.unixhierarchysep else "."
        if not self.altnamespace:
            return Mailboxes(separator, f"INBOX{separator}", "", f"user{separator}")
        shared, others = (f"{it}{separator}" for it in (self.sharedprefix, self.userprefix))
        return Mailboxes(separator, "", shared, others)


@dataclass(frozen=True, slots=True)
class CyrusFiles:
    """Cyrus's files, read.

    Args:
        conf: what this program takes from imapd.conf.
        options: all that is in it.
        cyrus_conf: the path of cyrus.conf, or "" if it was not read.
        entries: the services that cyrus.conf runs; None if it was not read.
    """

    conf: ImapdConf
    options: Options
    cyrus_conf: str = ""
    entries: tuple[ServiceEntry, ...] | None = None


def interpret(
    path: str,
    options: Options,
    services: Mapping[str, tuple[str, ...]] | None = None,
    lmtp_service: str = "",
) -> ImapdConf:
    """Understand the options of an imapd.conf.

    Args:
        path: the file's name, for messages.
        services: the names of the services that create mailboxes, by their kind, as
            `names_by_kind` finds them; None if cyrus.conf was not read.
        lmtp_service: the one that mail comes by; "" for the first of its kind.

    Raises:
        ConfigurationError: Cyrus would not start on it, or not take the mail for its users; every
            problem names its file and line.
    """
    reading = Reading(options)
    ordered = _ordered(reading, services, lmtp_service.lower())
    reading.check([name for names in ordered.values() for name in names])
    for kind, names in ordered.items():
        known = [name for name in names if services is not None or _has_own(reading, name)]
        if not (kind == "lmtp" and lmtp_service):
            _notice_differences(reading, kind, known)
    lmtp, virtdomains = ordered["lmtp"][:1], _virtdomains(reading)
    conf = ImapdConf(
        path=path,
        admins=_admins(options),
        unixhierarchysep=reading.switch("unixhierarchysep", True),
        altnamespace=reading.switch("altnamespace", True),
        virtdomains=virtdomains,
        defaultdomain=_defaultdomain(reading, virtdomains),
        username_tolower=reading.switch("username_tolower", True),
        lmtp_downcase_rcpt=reading.switch("lmtp_downcase_rcpt", True, lmtp),
        postuser=reading.text("postuser", "", lmtp),
        userprefix=reading.text("userprefix", "Other Users"),
        sharedprefix=reading.text("sharedprefix", "Shared Folders"),
        annotation_definitions=reading.text("annotation_definitions", ""),
        annotation_allow_undefined=reading.switch("annotation_allow_undefined", False),
        sieve=_sieve(reading, lmtp),
    )
    conf = replace(
        conf,
        policies=policies(reading, ordered, conf.mailboxes),
        notices=(*reading.notices, *unknown_options(options, ordered)),
    )
    if reading.problems:
        raise ConfigurationError(path, tuple(reading.problems))
    return conf


def _ordered(
    reading: Reading, services: Mapping[str, tuple[str, ...]] | None, lmtp_service: str
) -> dict[str, tuple[str, ...]]:
    """The names of services, of each kind the one first that counts.

    Without cyrus.conf those of the usual names count that have options of their own.
    """
    found = dict(services or USUAL_SERVICES)
    if services is None:
        for kind, names in found.items():
            found[kind] = tuple(sorted(names, key=lambda it: not _has_own(reading, it)))
    if lmtp_service:
        if services is not None and lmtp_service not in found["lmtp"]:
            reading.problem(
                f"cyrus.lmtp_service is {lmtp_service!r}, and cyrus.conf has no service of that name "
                f"that runs lmtpd, only {', '.join(found['lmtp']) or 'none at all'}"
            )
        others = (name for name in found["lmtp"] if name != lmtp_service)
        found["lmtp"] = (lmtp_service, *others)
    return found


def _has_own(reading: Reading, service: str) -> bool:
    return any(reading.options.has_own(name, service) for name in (*FAMILY, *_OF_LMTP))


def _notice_differences(reading: Reading, kind: str, names: Sequence[str]) -> None:
    """Services of one kind for which different values count, though only one can be meant here."""
    for other in names[1:]:
        for name in (*FAMILY, *(_OF_LMTP if kind == "lmtp" else ())):
            options = [reading.options.find(name, (service,)) for service in (names[0], other)]
            values = [option.value if option else None for option in options]
            if values[0] == values[1]:
                continue
            what = "mail" if kind == "lmtp" else "a login"
            remedy = "; cyrus.lmtp_service names another" if kind == "lmtp" else ""
            place = next(it for it in reversed(options) if it)
            first, second = ("not set" if it is None else repr(it) for it in values)
            reading.notice(
                f"{place.place}: {name} is {first} for {names[0]} and {second} for {other}; "
                f"{what} counts as coming by {names[0]}{remedy}"
            )


def _defaultdomain(reading: Reading, virtdomains: str) -> str:
    """lmtpd compares it as it is written with a domain in lower case, imapd does not (measured)."""
    option = reading.options.find("defaultdomain")
    domain = reading.text("defaultdomain", "internal")
    if option and virtdomains != "off" and domain != domain.lower():
        reading.problem(
            option.wrong(
                f"{domain!r} has capitals, so Cyrus finds no mailbox for mail to "
                f"joe@{domain.lower()}; write {domain.lower()}"
            )
        )
    return domain.lower()


def _admins(options: Options) -> tuple[str, ...]:
    """Who administers any service. Cyrus itself knows `imap_admins` in a service named imap only."""
    names = [
        name
        for option in options.every
        if re.fullmatch(r"(\w+_)?(admins|proxyservers)", option.key)
        for name in option.value.split()
    ]
    return tuple(dict.fromkeys(names))


def _virtdomains(reading: Reading) -> Literal["off", "userid", "on"]:
    option = reading.options.find("virtdomains")
    if option is None:
        return "off"
    if option.value not in _VIRTDOMAINS:
        reading.problem(option.wrong(f"{option.value!r} is not one of off, userid, on"))
    mode = _VIRTDOMAINS.get(option.value, "off")
    folding = reading.options.find("lmtp_downcase_rcpt")
    if mode != "off" and folding and not reading.switch("lmtp_downcase_rcpt", True):
        reading.notice(
            folding.wrong(
                "off, so to Cyrus joe@EX.TEST and joe@ex.test are different users; have the MTA write "
                "domains in lower case"
            )
        )
    return mode


def _sieve(reading: Reading, services: Sequence[str]) -> Sieve:
    return Sieve(
        script=reading.text("autocreate_sieve_script", "", services),
        compiled=reading.text("autocreate_sieve_script_compiled", "", services),
        compile=reading.switch("autocreate_sieve_script_compile", False, services),
        folders=tuple(reading.names("autocreate_sieve_folders", services)),
        directory=reading.text("sievedir", "/usr/sieve"),
        use_home=reading.switch("sieveusehomedir", False),
    )
