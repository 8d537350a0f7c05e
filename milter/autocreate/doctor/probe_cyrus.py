"""Tries Cyrus and its ManageSieve as this program uses them: log in, be an administrator, act for a user.

Nothing is changed. It acts only for a user who already has an INBOX: the first login of another user
could create a mailbox.
"""

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from autocreate.doctor.cyrus import starttls_remedy
from autocreate.doctor.findings import Cause, Finding, critical, warning
from autocreate.errors import AutocreateError, CannotCheck, NotLetIn, PlainNotOffered, Refused
from autocreate.imapdconf.parser import Option
from autocreate.mailstore.cyrus import Cyrus
from autocreate.mailstore.imap import Session
from autocreate.mailstore.server import Server
from autocreate.mailstore.sieve import managesieve
from autocreate.mailstore.wire import AllPortsFailed, NoStarttls

_DAYS_BEFORE_EXPIRY = 14
_DEFERRED = "mailboxes can neither be found nor created, and mail is deferred (451)"
_UNFILTERED = "new users get no Sieve script, and their first mail is not filtered"

# X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED (x509_vfy.h)
_WRONG_TIME = {9, 10}
_SELF_SIGNED = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT


class _Asked(NamedTuple):
    """A server, and what helps to say how to mend it."""

    server: Server
    clock: Callable[[], float]
    certificate: Callable[[], Option | None]

    @property
    def renewal(self) -> str:
        """What to do about a certificate that has expired."""
        option = self.certificate()
        written = f" ({option.place}: {option.key}: {option.value})" if option else ""
        return f"renew the certificate on the server{written}"


def examine(
    server: Server,
    sieve: Server | None,
    clock: Callable[[], float],
    certificate: Callable[[], Option | None] = lambda: None,
) -> Iterator[Finding]:
    """Check Cyrus by logging in.

    Args:
        sieve: ManageSieve; None if it installs no scripts.
        clock: the time in seconds since the epoch.
        certificate: looks for the option of imapd.conf that names the server's; None if nobody can tell.
    """
    at = _Asked(server, clock, certificate)
    try:
        with contextlib.closing(Session(server)) as session:
            expiring = list(_certificate(session, at))
            is_admin = _is_admin(session, server)
    except AutocreateError as error:
        yield critical(str(error), _DEFERRED, _way_in(error, at))
    else:
        yield from expiring
        if is_admin:
            yield from _acting(at)
        else:
            yield critical(
                f"{server}: {server.admin!r} is not an administrator",
                "it may neither create mailboxes nor act for users",
                f"imapd.conf: admins: {server.admin}; proxyservers is not enough",
                Cause.ADMINISTRATOR,
            )
    if sieve:
        yield from _scripts(at._replace(server=sieve))


def _is_admin(session: Session, server: Server) -> bool:
    """Is the session an administrator's? Cyrus answers only those about a quota root, of any name."""
    try:
        session.quota(session.mailboxes().of_user(server.admin))
    except Refused:
        return False
    return True


def _acting(at: _Asked) -> Iterator[Finding]:
    """May the administrator act for a user? The list of users is read up to the first."""
    server = at.server
    try:
        user = next(Cyrus(server, 1).users(), None)
        if user is not None:
            Session(server, user).close()
    except Refused as refusal:
        yield critical(
            str(refusal),
            "no subscription and no Sieve script can be made for new users",
            f"imapd.conf: admins: {server.admin}; a proxy between us must let it act for users too",
        )
    except AutocreateError as error:
        yield critical(str(error), _DEFERRED, _way_in(error, at))


def _certificate(session: Session, at: _Asked) -> Iterator[Finding]:
    if certificate := session.certificate():
        expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        days = (expires - at.clock()) / 86400
        if days < _DAYS_BEFORE_EXPIRY:
            yield warning(
                f"the certificate of {at.server} expires in {days:.0f} days",
                "after that the milter does not trust the server, and mail is deferred (451)",
                at.renewal,
            )


def _scripts(at: _Asked) -> Iterator[Finding]:
    """Does ManageSieve offer a login? Logging in for a user would create the folder `#sieve`."""
    server = at.server
    try:
        with contextlib.closing(managesieve.Session(server)) as session:
            mechanisms = session.mechanisms
    except AutocreateError as error:
        remedy = _way_in(error, at, is_sieve=True)
        cause = Cause.MANAGESIEVE if isinstance(_cause(error), ConnectionRefusedError) else None
        if not isinstance(_cause(error), NoStarttls):
            remedy = (
                "cyrus.conf: a service that runs timsieved; autocreate.toml: its port as "
                f'cyrus.sieve_port, or cyrus.sieve = "off". {remedy}'
            )
        yield critical(f"ManageSieve: {error}", _UNFILTERED, remedy, cause)
    else:
        if "PLAIN" not in mechanisms:
            yield critical(
                f"ManageSieve of {server} offers no SASL PLAIN, only "
                + (" ".join(sorted(mechanisms)) or "nothing"),
                _UNFILTERED,
                _plain_remedy(server),
            )


def _way_in(error: AutocreateError, at: _Asked, is_sieve: bool = False) -> str:
    """What lets us in where a server did not."""
    server = at.server
    match _cause(error):
        case ssl.SSLCertVerificationError(verify_code=code) if code in _WRONG_TIME:
            now = time.strftime("%Y-%m-%d %H:%M", time.gmtime(at.clock()))
            return f"{at.renewal}; or set this machine's clock: it says {now} UTC"
        case ssl.SSLCertVerificationError(verify_code=code) if code == _SELF_SIGNED and (
            option := at.certificate()
        ):
            return f'autocreate.toml: cyrus.ca_file = "{option.value}"'
        case ssl.SSLCertVerificationError():
            return (
                "autocreate.toml: cyrus.ca_file names the certificate (PEM) of who signed the server's, "
                "cyrus.host a name that is in it"
            )
        case ConnectionRefusedError():
            return "start Cyrus; or autocreate.toml: its host and port into [cyrus]"
        case NoStarttls(greeting=says):
            remedy = starttls_remedy(says, is_sieve=is_sieve)
            return f'{remedy}; or, on loopback only, autocreate.toml: cyrus.tls = "none"'
    match error:
        case PlainNotOffered():
            return _plain_remedy(server)
        case CannotCheck():
            return (
                "on the server: start what imapd.conf's sasl_pwcheck_method names (systemctl status "
                "saslauthd), let Cyrus's user in to its socket, and see Cyrus's own log"
            )
        case NotLetIn():
            return (
                f"the password of {server.admin!r} into the first line of cyrus.password_file, or "
                "another user into cyrus.admin"
            )
    return "autocreate.toml: compare [cyrus] with the server's cyrus.conf and imapd.conf"


def _cause(error: AutocreateError) -> BaseException | None:
    """What an error comes from. Where several ports failed, a server that answers tells most."""
    cause = error.__cause__
    if isinstance(cause, AllPortsFailed):
        return next((it for it in cause.errors if isinstance(it, NoStarttls)), cause.errors[0])
    return cause


def _plain_remedy(server: Server) -> str:
    if server.tls == "none":
        return (
            "imapd.conf: sasl_mech_list: PLAIN, and allowplaintext: yes; or autocreate.toml: "
            'cyrus.tls = "auto"'
        )
    return "imapd.conf: sasl_mech_list: PLAIN"
