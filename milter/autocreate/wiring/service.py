"""The service, and what many users at once need besides: everything but the front ends."""

import logging
import time
from typing import Any, NamedTuple

from autocreate.accounts.directory import Directory
from autocreate.admin.bulk import AccountSelector
from autocreate.config.login import Login
from autocreate.config.sections import Config
from autocreate.mailstore import MailStore
from autocreate.resilience.single_flight import SingleFlight
from autocreate.service import recipients
from autocreate.service.journal import Journal
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.policies import AccountRules
from autocreate.service.provisioner import Provisioner
from autocreate.service.service import Service
from autocreate.service.unfinished import Unfinished
from autocreate.statistics.recorder import Statistics
from autocreate.wiring.mailstore import delivery_of, store_of
from autocreate.wiring.policies import policies_of
from autocreate.wiring.sources import aliases_of, domains_of, sources_of
from autocreate.wiring.users import users_of

log = logging.getLogger(__name__)


class Components(NamedTuple):
    """What is needed for many users at once: the service, and what it stands on."""

    service: Service
    provisioner: Provisioner
    accounts: AccountSelector
    store: MailStore
    journal: Journal
    parallel: int


def build_service(
    config: Config,
    dry_run: bool = False,
    statistics: Statistics | None = None,
    before: Service | None = None,
) -> Service:
    """Everything that a front end or a command needs, connected to nothing yet but the journal.

    Args:
        dry_run: decide everything and do nothing, whatever the file says.
        statistics: where to count what is counted here, if anybody wants to know.
        before: the service that this one takes over from: nobody whom it works on is worked on twice.

    Raises:
        ConfigurationError: an account source lacks its library.
        Temporary: the journal cannot be opened.
    """
    return build_components(config, dry_run, statistics, before).service


def build_components(
    config: Config,
    dry_run: bool = False,
    statistics: Statistics | None = None,
    before: Service | None = None,
) -> Components:
    """As `build_service`. Closing the service closes all of it."""
    for notice in config.cyrus.imapd_conf.notices if config.cyrus.imapd_conf else ():
        log.warning("%s", notice)
    statistics = statistics or Statistics()
    directory = Directory(sources_of(config, statistics))
    domains = domains_of(config, statistics)
    aliases = aliases_of(config, statistics, domains)
    store = store_of(config)
    journal = Journal(config.journal.url, time.time)
    mailboxes = MailboxCache(config.milter.cache_size, config.milter.cache_seconds)
    users = users_of(config)
    cyrus = config.cyrus
    without_mailbox = frozenset((cyrus.admin, *cyrus.admins))

    def release() -> None:
        directory.close()
        store.close()
        journal.close()

    unfinished = Unfinished(journal)
    provisioner = Provisioner(
        AccountRules(users, policies_of(config), without_mailbox),
        directory,
        store,
        unfinished,
        mailboxes,
        created=statistics.created,
    )
    service_ = Service(
        recipients.RecipientRules(
            domains=frozenset(config.milter.domains),
            mailers=frozenset(config.milter.mailers),
            users=users,
            deadline=config.milter.deadline,
            **_login_rules(config.login),
            exempt=without_mailbox,
            dry_run=dry_run or config.milter.mode == "dry-run",
            quotes_dots=config.milter.lmtp_quote_rfc821_envelope,
            lowers_domains=config.lmtp is not None and config.lmtp.lowercase_domains,
        ),
        provisioner,
        journal,
        unfinished,
        SingleFlight(config.milter.workers, before.flights if before else None),
        mailboxes,
        release,
        aliases,
        domains,
        delivery_of(config, statistics),
    )
    return Components(
        service_,
        provisioner,
        # What is in tables may be any domain.
        AccountSelector(directory, users, () if config.domains else config.milter.domains),
        store,
        journal,
        config.cyrus.connections,
    )


def _login_rules(settings: Login | None) -> dict[str, Any]:
    if settings is None:
        return {}
    return {"login_timeout": settings.deadline, "services": frozenset(settings.services)}
