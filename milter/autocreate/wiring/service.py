"""The service and its parts: everything but the front ends."""

import logging
import time
from functools import partial
from typing import Any

from autocreate.accounts.directory import Directory
from autocreate.admin.components import Components
from autocreate.admin.selection import AccountSelector
from autocreate.config.login import Login
from autocreate.config.sections import Config
from autocreate.murder.store import Murder
from autocreate.resilience.single_flight import SingleFlight
from autocreate.service import recipients
from autocreate.service.creation_limit import CreationLimit
from autocreate.service.creations import Creations
from autocreate.service.hooks import Hooks
from autocreate.service.journal import Journal
from autocreate.service.mailbox_cache import MailboxCache
from autocreate.service.message import Kind
from autocreate.service.policies import AccountRules
from autocreate.service.provisioner import Provisioner
from autocreate.service.service import Service
from autocreate.service.turns import Turns
from autocreate.service.unfinished import Unfinished
from autocreate.statistics.recorder import Statistics
from autocreate.wiring.loading import Loader
from autocreate.wiring.mailstore import delivery_of, store_of
from autocreate.wiring.policies import policies_of
from autocreate.wiring.sources import aliases_of, domains_of, sources_of
from autocreate.wiring.users import users_of

log = logging.getLogger(__name__)


def build_service(
    config: Config,
    dry_run: bool = False,
    statistics: Statistics | None = None,
    before: Service | None = None,
    serves: bool = False,
) -> Service:
    """The service by a configuration. So far it is connected to the journal only.

    Args:
        dry_run: decide and change nothing, whatever the configuration says.
        statistics: where to count; None if nobody reads the statistics.
        before: the service that this one replaces: a user whom it works on is not worked on twice.
        serves: it is for mail and logins, to which `[limits]` applies. Files that are kept in memory are read
            now, so that nobody waits for them.

    Raises:
        ConfigurationError: an account source lacks its library.
        Temporary: the journal cannot be opened.
    """
    return build_components(config, dry_run, statistics, before, serves).service


def build_components(
    config: Config,
    dry_run: bool = False,
    statistics: Statistics | None = None,
    before: Service | None = None,
    serves: bool = False,
    bulk: bool = False,
) -> Components:
    """The service and its parts: see `build_service`. Closing the service closes all of them.

    Args:
        bulk: it is for many users in turn. Whoever asks works, too, and waits longer than mail can.
    """
    for notice in config.cyrus.imapd_conf.notices if config.cyrus.imapd_conf else ():
        log.warning("%s", notice)
    return components_of(config, dry_run, statistics, before, serves, bulk)


def components_of(
    config: Config,
    dry_run: bool = False,
    statistics: Statistics | None = None,
    before: Service | None = None,
    serves: bool = False,
    bulk: bool = False,
) -> Components:
    """`build_components` without a word about the configuration."""
    statistics = statistics or Statistics()
    loader = Loader()
    directory = Directory(sources_of(config, statistics, loader))
    domains = domains_of(config, statistics, loader)
    aliases = aliases_of(config, statistics, domains, loader)
    mailboxes = MailboxCache(config.milter.cache_size, config.milter.cache_seconds)
    store = store_of(config, mailboxes.discard)
    journal = journal_of(config)
    if serves:
        loader.load()  # before anything is taken over from the service that goes on meanwhile
    users = users_of(config)

    def release() -> None:
        directory.close()
        store.close()
        journal.close()

    unfinished = Unfinished(journal)
    policies = policies_of(config)
    rules = _recipient_rules(config, dry_run)
    provisioner = Provisioner(
        AccountRules(users, policies, _without_mailbox(config)),
        directory,
        store,
        unfinished,
        Creations(journal),
        mailboxes,
        created=statistics.created,
        limit=_limit_of(config, before) if serves else CreationLimit(),
        # Then half of the time is left to work without another process that hangs.
        turns=Turns(journal.locks, config.milter.deadline / 2),
        news=partial(journal.news.tell, Kind.CREATED),
    )
    service_ = Service(
        rules,
        provisioner,
        journal,
        unfinished,
        Hooks(journal, policies, is_active=not rules.dry_run),
        SingleFlight(
            0 if bulk else config.milter.workers, before.single_flight if before else None
        ),
        mailboxes,
        release,
        aliases,
        domains,
        delivery_of(config, statistics),
    )
    if serves and isinstance(store, Murder):
        store.follow(service_.invalidate, mailboxes.clear)
    # With tables of domains, any domain may be ours.
    selector = AccountSelector(directory, users, () if config.domains else config.milter.domains)
    return Components(service_, provisioner, selector, store, journal, config.cyrus.connections)


def journal_of(config: Config) -> Journal:
    """The journal. Raises Temporary if it cannot be opened."""
    settings = config.journal
    is_shared = config.milter.processes > 1
    return Journal(settings.url, time.time, settings.password_file, is_shared)


def _recipient_rules(config: Config, dry_run: bool) -> recipients.RecipientRules:
    return recipients.RecipientRules(
        domains=frozenset(config.milter.domains),
        mailers=frozenset(config.milter.mailers),
        users=users_of(config),
        deadline=config.milter.deadline,
        **_login_rules(config.login),
        exempt=_without_mailbox(config),
        dry_run=dry_run or config.milter.mode == "dry-run",
        quotes_dots=config.milter.lmtp_quote_rfc821_envelope,
        lowers_domains=config.lmtp is not None and config.lmtp.lowercase_domains,
    )


def _without_mailbox(config: Config) -> frozenset[str]:
    """Users who never get a mailbox: Cyrus's administrators."""
    return frozenset((config.cyrus.admin, *config.cyrus.admins))


def _limit_of(config: Config, before: Service | None) -> CreationLimit:
    limits, share = config.limits, config.milter.share
    return CreationLimit(
        share(limits.creations_per_minute),
        share(limits.creations_per_minute_per_domain),
        before.creation_limit if before else None,
    )


def _login_rules(settings: Login | None) -> dict[str, Any]:
    if settings is None:
        return {}
    return {"login_timeout": settings.deadline, "services": frozenset(settings.services)}
