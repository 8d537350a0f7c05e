"""Policies as the configuration has them, as values."""

import logging
from dataclasses import replace
from pathlib import Path

from autocreate.backends.message_file import read_message
from autocreate.backends.regular_file import read_settings
from autocreate.config.policy import Policy as PolicySettings
from autocreate.config.sections import Config
from autocreate.core.message import MessageTemplate
from autocreate.core.naming import Users
from autocreate.core.policy import AttributeOverrides, Policy, scripts_of
from autocreate.errors import MalformedValue
from autocreate.imapdconf.settings import Sieve
from autocreate.mailstore.sieve.script import script_name
from autocreate.tree.values import Hook, Script
from autocreate.wiring.users import users_of

log = logging.getLogger(__name__)


# With no policy in the file, every account gets an INBOX.
_INBOX_FOR_ALL = PolicySettings(name="default")


def scripts(config: Config) -> tuple[tuple[str, Script], ...]:
    """The Sieve scripts of a configuration, each with its policy's name."""
    return scripts_of(policies_of(config))


def policies_of(config: Config) -> tuple[Policy, ...]:
    """The file's own, and imapd.conf's after them."""
    imapd = config.cyrus.imapd_conf
    users = users_of(config)
    policies = [
        _with_extras(_with_script(_policy(settings, users), _script_of(settings)), settings)
        for settings in config.policy
    ]
    if not policies and not (imapd and imapd.policies):
        policies = [_policy(_INBOX_FOR_ALL, users)]
    if imapd:
        script = _default_script(imapd.sieve)
        policies += [_with_script(policy, script) for policy in imapd.policies]
    if (murder := config.cyrus.murder) and murder.place_attribute:
        policies = [_with_server_of(policy, murder.place_attribute) for policy in policies]
    if config.cyrus.sieve == "off":
        policies = [_with_script(policy, None) for policy in policies]
    return tuple(policies)


def _with_server_of(policy: Policy, attribute: str) -> Policy:
    return replace(policy, entry=replace(policy.entry, server=attribute))


def _with_script(policy: Policy, script: Script | None) -> Policy:
    return replace(policy, tree=replace(policy.tree, script=script))


def _with_extras(policy: Policy, settings: PolicySettings) -> Policy:
    """A policy with what only new mailboxes get."""
    hook = Hook(settings.on_created, settings.on_created_timeout) if settings.on_created else None
    welcome = _welcome(settings.welcome) if settings.welcome else None
    return replace(policy, welcome=welcome, hook=hook)


def _welcome(path: Path) -> MessageTemplate | None:
    """The message in a file. Without it users still get their mail."""
    try:
        return read_message(path)
    except OSError as error:
        log.error("welcome message %s cannot be used, so nobody gets it: %s", path, error.strerror)
    except MalformedValue as error:
        log.error("welcome message %s cannot be used, so nobody gets it: %s", path, error)
    return None


def _script_of(settings: PolicySettings) -> Script | None:
    if not settings.sieve:
        return None
    script = _script(
        str(settings.sieve), str(settings.sieve_compiled or ""), settings.sieve_keep_compiled
    )
    return script and replace(script, is_template=settings.sieve_placeholders)


def _default_script(sieve: Sieve) -> Script | None:
    return _script(sieve.script, sieve.compiled, sieve.compile) if sieve.script else None


def _script(path: str, compiled: str, keep: bool) -> Script | None:
    """The script in a file. Without it users still get their mail, unfiltered."""
    try:
        return Script(script_name(path), read_settings(path), path, compiled, keep)
    except OSError as error:
        log.error("Sieve script %s cannot be used, so nobody gets it: %s", path, error.strerror)
    except ValueError as error:  # MalformedValue, or a NUL in the path
        log.error("Sieve script %s cannot be used, so nobody gets it: %s", path, error)
    return None


def _policy(settings: PolicySettings, users: Users) -> Policy:
    return Policy(
        name=settings.name,
        tree=settings.tree(),
        users=frozenset(map(users.of_account, settings.users)),
        groups=frozenset(settings.groups),
        domains=frozenset(settings.domains),
        services=frozenset(settings.services),
        create=settings.create,
        entry=AttributeOverrides(
            quota=settings.quota_attribute or "",
            quota_unit=settings.quota_unit,
            partition=settings.partition_attribute or "",
            language=settings.language_attribute or "",
            default_language=settings.language,
        ),
    )
