"""What a Cyrus says about itself, and the lines that it needs before an administrator can log in."""

import re
from collections.abc import Iterator

from autocreate.doctor.cyrus_services import services_of
from autocreate.imapdconf.services import ServiceEntry
from autocreate.setup import edit
from autocreate.setup.values import Change, Connection, Seen, SeenCyrus, Step

_PORTS = {"imap": 143, "imaps": 993, "sieve": 4190, "lmtp": 24}
_EVERYWHERE = ("", "*", "0.0.0.0", "::")


def entries(cyrus: SeenCyrus, kind: str) -> list[ServiceEntry]:
    """The services of a kind, in the order of cyrus.conf."""
    return [it.entry for it in services_of(cyrus.files) if it.entry.kind == kind]


def listens(entry: ServiceEntry) -> tuple[str, int]:
    """The host and the port where a service listens; 127.0.0.1 if that is everywhere."""
    host, _, port = entry.listen.rpartition(":")
    host = host.strip("[]")
    number = int(port) if port.isdecimal() else _PORTS.get(port, 0)
    return ("127.0.0.1" if host in _EVERYWHERE else host), number


def admin(cyrus: SeenCyrus) -> str:
    """The first of `admins` that is a user; "" if there is none."""
    option = cyrus.files.options.find("admins")
    names = option.value.split() if option else ()
    return next((it for it in names if not it.startswith("group:")), "")


def has_certificate(cyrus: SeenCyrus) -> bool:
    """Has imapd.conf a certificate? Then Cyrus offers TLS."""
    options = cyrus.files.options
    return any(options.find(it) for it in ("tls_server_cert", "tls_cert_file"))


def allows_plaintext(cyrus: SeenCyrus) -> bool:
    """May a password be sent without TLS?"""
    option = cyrus.files.options.find("allowplaintext")
    return option is not None and option.value.lower().startswith(("1", "y", "on", "t"))


def connection_keys(cyrus: SeenCyrus) -> Iterator[tuple[str, object]]:
    """The keys of [cyrus] that say where IMAP and ManageSieve are, and how to get in."""
    imap = [it for it in entries(cyrus, "imap") if not it.listen.startswith("/")]
    secured = [it for it in imap if it.name == "imaps" or listens(it)[1] == 993]
    plain = [it for it in imap if it not in secured]
    first = next(iter([*plain, *secured]), None)
    if first:
        host, port = listens(first)
        yield "host", "localhost" if host == "127.0.0.1" and has_certificate(cyrus) else host
        if port not in (143, 993):
            yield "port", port
    if not has_certificate(cyrus):
        yield "tls", "none"
    elif first and first in secured and listens(first)[1] != 993:
        yield "tls", "implicit"
    sieve = next(iter(entries(cyrus, "sieve")), None)
    if sieve and (port := listens(sieve)[1]) not in (0, 4190):
        yield "sieve_port", port


def lmtp_address(cyrus: SeenCyrus) -> str:
    """Where lmtpd takes mail without a password: a Unix socket, or TCP with `lmtpd -a`; "" if nowhere.

    As main.cf has it: "unix:/path" or "inet:HOST:PORT".
    """
    found = entries(cyrus, "lmtp")
    for entry in found:
        if entry.listen.startswith("/"):
            return f"unix:{entry.listen}"
    for entry in found:
        if entry.is_preauthorized:
            host, port = listens(entry)
            return f"inet:[{host}]:{port}" if ":" in host else f"inet:{host}:{port}"
    return ""


def step(seen: Seen, connection: Connection) -> Step | None:
    """What to change in imapd.conf; None without a Cyrus on this machine."""
    cyrus = seen.cyrus
    if cyrus is None:
        return None
    text, why = cyrus.imapd_conf.text, []
    names = cyrus.files.conf.admins
    if connection.admin not in names and not _group(names):
        why.append(f"admins: {connection.admin} creates mailboxes")
        if option := cyrus.files.options.find("admins"):
            if option.place.startswith(f"{cyrus.imapd_conf.path}, "):
                text = edit.add_to_option(text, "admins", connection.admin)
        else:
            text = edit.append_option(text, "admins", connection.admin, "creates mailboxes")
    if text == cyrus.imapd_conf.text:
        return Step("Cyrus")
    return Step(
        "Cyrus has an administrator",
        (Change(cyrus.imapd_conf.path, cyrus.imapd_conf.text, text, tuple(why), True),),
        after=("systemctl restart cyrus-imapd",),
        undo=("systemctl restart cyrus-imapd",),
    )


def remarks(seen: Seen, name: str) -> Iterator[str]:
    """What the administrator has to do in Cyrus.

    Args:
        name: of the administrator of Cyrus.
    """
    cyrus = seen.cyrus
    if cyrus is None:
        yield "There is no imapd.conf on this machine: check host, tls and admin in [cyrus]."
        return
    options = cyrus.files.options
    if not has_certificate(cyrus) and not allows_plaintext(cyrus):
        yield (
            f"{cyrus.imapd_conf.path} has no tls_server_cert, and allowplaintext is off: nobody can log "
            "in. Write tls_server_cert and tls_server_key, restart Cyrus, and remove tls in [cyrus]."
        )
    elif not has_certificate(cyrus):
        yield (
            "Cyrus has no certificate (tls_server_cert), so the password goes unencrypted, on this "
            'machine only. With a certificate remove tls = "none".'
        )
    method = options.find("sasl_pwcheck_method")
    words = method.value.lower().split() if method else ["auxprop"]
    if "auxprop" in words:
        yield f"The password of {name} is in Cyrus SASL's own database: saslpasswd2 -c {name}"
    if re.search(r"\bsaslauthd\b", " ".join(words)):
        yield f"The password of {name} is checked by saslauthd: {name} must be able to log in there."


def _group(names: tuple[str, ...]) -> bool:
    return any(it.startswith("group:") for it in names)
