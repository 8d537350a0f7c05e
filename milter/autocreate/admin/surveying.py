"""Compare the accounts of a selection with the mailboxes of the server."""

from collections.abc import Iterator
from functools import partial

from autocreate.admin.bulk import filter_in_parallel
from autocreate.admin.components import Components
from autocreate.admin.outcomes import Outcome, outcome_of
from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.errors import AutocreateError, ConfigurationError, Refused
from autocreate.mailstore import MailStore
from autocreate.model import Answer, Verdict


def survey_accounts(survey: Survey, components: Components, selection: Selection) -> None:
    """Fill a survey: who of a selection has an account, who at all has a mailbox, who is to have none.

    Raises:
        Temporary, ConfigurationError: see `AccountSelector.users` and `MailStore.users`.
    """
    accounts, store = components.accounts, components.store
    survey.add_accounts(accounts.users(selection, survey.add_failed_lookup))
    survey.add_mailboxes(store.users())
    if accounts.virtual_domains:
        # There LIST leaves some out, such as user/joe beside user/joe@other.test (Cyrus 3.6).
        exists = partial(_exists, store)
        survey.add_mailboxes(
            filter_in_parallel(survey.without_mailbox(), exists, components.parallel)
        )
    add_exempt(survey, components, selection)


def failed_lookups(survey: Survey) -> Iterator[Outcome]:
    """The users of whom it is not known whether they belong to the selection."""
    for user, error in survey.failed_lookups():
        yield outcome_of(user, Verdict(Answer.TEMPORARY, error, user), is_applied=False)


def require_known(components: Components, selection: Selection, policy: str | None = None) -> None:
    """Refuse names that nobody has: they would select no account, or another policy, without a word.

    Raises:
        ConfigurationError: the selection's domain is not ours, or none is given and policies need one;
            or no policy has that name.
        Temporary: a table of domains did not answer.
    """
    policies = components.provisioner.policies
    domain = selection.domain
    if domain and not components.service.has_domain(domain):
        raise ConfigurationError(
            "--domain", [f"{domain} is not in milter.domains, nor in any table of [domains]"]
        )
    if any(it.domains for it in policies) and not components.accounts.knows_domain(selection):
        raise ConfigurationError(
            "--domain",
            [
                "policies depend on the domain, and user ids have none (virtdomains is off): name the "
                "domain for which to evaluate them"
            ],
        )
    names = [it.name for it in policies]
    if policy is not None and policy not in names:
        raise ConfigurationError(
            "--policy", [f"there is no policy {policy!r}; the policies are {', '.join(names)}"]
        )


def add_exempt(survey: Survey, components: Components, selection: Selection) -> None:
    """Mark who is to have no mailbox.

    Whoever a source has just listed has an account. Another lookup of each would take most of the
    time of an audit, so only those are looked up whose groups decide. Users who were named one by one
    may have no account.
    """
    accounts, provisioner = components.accounts, components.provisioner
    is_list = selection.users is None
    needs_lookup = not is_list

    def gives_mailbox(user: str) -> bool | None:
        address = accounts.address(user, selection)
        return provisioner.gives_mailbox(address, user) if is_list else None

    def exempt_by_name() -> Iterator[str]:
        nonlocal needs_lookup
        for user in survey.without_mailbox():
            gives = gives_mailbox(user)
            needs_lookup |= gives is None
            if gives is False:
                yield user

    survey.add_exempt(exempt_by_name())
    if needs_lookup:
        unclear = (user for user in survey.without_mailbox() if gives_mailbox(user) is None)
        is_exempt = partial(_is_exempt, components, selection)
        survey.add_exempt(filter_in_parallel(unclear, is_exempt, components.parallel))


def _is_exempt(components: Components, selection: Selection, user: str) -> bool:
    """Is a user who has an account to have no mailbox? If that lookup fails, the work on the user says so."""
    try:
        return components.provisioner.is_exempt(components.accounts.address(user, selection), user)
    except AutocreateError:
        return False


def _exists(store: MailStore, user: str) -> bool:
    try:
        return store.exists(user)
    except Refused:
        return False
