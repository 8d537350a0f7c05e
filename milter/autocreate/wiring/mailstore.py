"""Cyrus: its mailboxes, its scripts, and what its lmtpd accepts."""

from collections.abc import Callable
from dataclasses import replace

from autocreate.backends.password_file import password
from autocreate.config.murder import Murder as MurderSettings
from autocreate.config.sections import Config
from autocreate.lmtp.client import Lmtpd
from autocreate.lmtp.delivery_check import DeliveryCheck
from autocreate.mailstore import MailStore, ScriptStore
from autocreate.mailstore.cyrus import Cyrus
from autocreate.mailstore.mailbox_ids import SiteIds
from autocreate.mailstore.ports import default_port
from autocreate.mailstore.server import Server
from autocreate.mailstore.sieve.files import SieveFiles
from autocreate.mailstore.sieve.managesieve import ManageSieve
from autocreate.murder.frontend import Frontend
from autocreate.murder.master import Master
from autocreate.murder.store import Murder
from autocreate.murder.wire import MupdateServer
from autocreate.statistics.recorder import Statistics


def store_of(config: Config, doubted: Callable[[str], None]) -> MailStore:
    """Cyrus as the mail store: one server, or a Murder.

    Args:
        doubted: told of users whose mail must not be accepted any more: see `SiteIds`.
    """
    server, connections = server_of(config), config.cyrus.connections
    # A delivery waits for the disk, other than a question at RCPT.
    lmtpd = _lmtpd(config, config.cyrus.timeout) if config.lmtp else None
    replication = config.cyrus.replication_commands == "auto"
    ids = SiteIds(doubted)

    def cyrus(at: Server, name: str) -> Cyrus:
        scripts = _scripts(config, at)
        return Cyrus(at, connections, scripts, lmtpd, replication=replication, ids=ids.at(name))

    murder = config.cyrus.murder
    if murder is None:
        return cyrus(server, server.host)
    backends = {
        name: cyrus(replace(server, host=host), name) for name, host in murder.backends.items()
    }
    master = Master(mupdate_server_of(config, murder), murder.connections)
    own_list = Master(slave_of(config, murder), connections)
    frontend = Frontend(server, connections, own_list)
    return Murder(master, frontend, backends, murder.place, ids)


def delivery_of(config: Config, statistics: Statistics) -> DeliveryCheck | None:
    """Who asks lmtpd before mail is accepted; None if nobody does."""
    lmtp = config.lmtp
    if lmtp is None:
        return None
    stats = statistics.stats("lmtp")
    return DeliveryCheck(
        _lmtpd(config, lmtp.timeout), lmtp.cache_seconds, config.milter.cache_size, stats
    )


def _lmtpd(config: Config, timeout: float) -> Lmtpd:
    lmtp, cyrus = config.lmtp, config.cyrus
    assert lmtp is not None
    default_domain = cyrus.defaultdomain if cyrus.virtdomains != "off" else ""
    return Lmtpd(lmtp.address, lmtp.connections, timeout, default_domain)


def server_of(config: Config) -> Server:
    """Where Cyrus is and how to log in. Raises ConfigurationError if the password cannot be read."""
    cyrus = config.cyrus
    return Server(
        host=cyrus.host,
        port=cyrus.port or default_port(cyrus.tls),
        tls=cyrus.tls,
        admin=cyrus.admin,
        password=password("cyrus", cyrus.password_file),
        ca_file=str(cyrus.ca_file) if cyrus.ca_file else None,
        timeout=cyrus.timeout,
    )


def mupdate_server_of(config: Config, murder: MurderSettings) -> MupdateServer:
    """The MUPDATE master. Raises ConfigurationError if the password cannot be read."""
    cyrus = config.cyrus
    ca_file = murder.ca_file or cyrus.ca_file
    return MupdateServer(
        host=murder.mupdate,
        port=murder.port,
        tls=murder.tls,
        admin=murder.admin or cyrus.admin,
        password=password("cyrus.murder", murder.password_file or cyrus.password_file),
        ca_file=str(ca_file) if ca_file else None,
        timeout=murder.timeout,
    )


def slave_of(config: Config, murder: MurderSettings) -> MupdateServer:
    """The MUPDATE slave of the frontend, where `cyrus.admin` is an administrator. Raises as `mupdate_server_of`."""
    cyrus = config.cyrus
    return replace(
        mupdate_server_of(config, murder),
        host=cyrus.host,
        admin=cyrus.admin,
        password=password("cyrus", cyrus.password_file),
        is_slave=True,
    )


def sieve_server_of(config: Config, server: Server) -> Server:
    """The ManageSieve of a Cyrus."""
    cyrus = config.cyrus
    # The script must leave time for the verdict.
    timeout = min(cyrus.timeout, config.milter.deadline / 2)
    return replace(server, port=cyrus.sieve_port, timeout=timeout)


def _scripts(config: Config, server: Server) -> ScriptStore | None:
    cyrus = config.cyrus
    match cyrus.sieve:
        case "managesieve":
            return ManageSieve(sieve_server_of(config, server), cyrus.connections)
        case "files":
            assert cyrus.imapd_conf is not None  # the configuration was checked
            timeout = sieve_server_of(config, server).timeout
            return SieveFiles(cyrus.imapd_conf.path, cyrus.sievedir, timeout)
        case "off":
            return None
