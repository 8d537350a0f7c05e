"""Many users at once: which accounts are meant, and the work on them, as much of it in parallel as pays.

A run that is killed is begun again: who has a mailbox by then is not looked at twice, and what was
left half made stands in the journal.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from autocreate.accounts.directory import Directory
from autocreate.admin.survey import Survey
from autocreate.core.address import domain_of
from autocreate.core.naming import Users
from autocreate.core.spelling import shared_groups
from autocreate.domains.syntax import ANY_DOMAIN
from autocreate.errors import AutocreateError, Refused, Temporary
from autocreate.mailstore import MailStore
from autocreate.model import Address, Answer, Verdict

# What an outcome is called that leaves nothing to do.
SATISFIED = "as it should be"

# Fewer new mailboxes than this are never too many, whatever their share.
_ALWAYS_ALLOWED = 10


class TooMany(AutocreateError):
    """A plan so large that it can hardly be meant."""

    exit_status = 77  # EX_NOPERM


@dataclass(frozen=True, slots=True)
class Selection:
    """Which accounts are meant; all that fit everything given.

    Args:
        sources: names of account sources; empty for all that can list.
        groups: groups, one of which an account is in.
        domain: of `joe@other.test`, as a lower-case A-label; or where virtual domains are off, the one that
            policies go by.
        users: these and no others; None for all that the sources list.
    """

    sources: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    domain: str = ""
    users: tuple[str, ...] | None = None


class AccountSelector:
    """The accounts of a selection.

    Args:
        directory: who exists.
        users: how names become user ids.
        domains: ours, as in milter.domains.
    """

    def __init__(self, directory: Directory, users: Users, domains: Collection[str] = ()) -> None:
        self._directory = directory
        self._users = users
        self._domains = domains

    @property
    def virtual_domains(self) -> bool:
        """Does a user id say its domain?"""
        return self._users.virtual_domains

    def users(self, selection: Selection, doubt: Callable[[str, Temporary], None]) -> Iterator[str]:
        """Their user ids; one that several sources know comes several times.

        Args:
            doubt: is told of a user of whom it cannot be told whether the selection has it.

        Raises:
            Temporary: a source did not answer, or cannot list.
            ConfigurationError: no source has that name.
        """
        named = selection.users
        listed = self._directory.names(selection.sources) if named is None else iter(named)
        for name in listed:
            user = self._users.of_account(name)
            try:
                if self._is_in_domain(user, selection) and self._is_in_groups(user, selection):
                    yield user
            except Temporary as error:
                doubt(user, error)

    def address(self, user: str, selection: Selection) -> Address:
        """The address by which a policy is chosen for a user.

        Where a user id says no domain, it is the one of the selection, else the only one that is ours.
        """
        local, _, domain = user.partition("@")
        if self.virtual_domains:
            return Address(local, domain)
        return Address(local, domain or selection.domain or self._sole_domain)

    def knows_domain(self, selection: Selection) -> bool:
        """Is it clear by which domain a policy is chosen for a user?"""
        return self.virtual_domains or bool(selection.domain or self._sole_domain)

    @property
    def _sole_domain(self) -> str:
        """The domain that is ours, if there is but one."""
        (first, *others) = self._domains or ("",)
        return "" if others or first == ANY_DOMAIN else first

    def _is_in_domain(self, user: str, selection: Selection) -> bool:
        if not selection.domain or not self.virtual_domains:
            return True
        return (domain_of(user) or self._users.default_domain) == selection.domain

    def _is_in_groups(self, user: str, selection: Selection) -> bool:
        if not selection.groups:
            return True
        account = self._directory.find(user)
        return account is not None and bool(
            shared_groups(selection.groups, self._directory.groups(account))
        )


def survey(
    census: Survey,
    roster: AccountSelector,
    store: MailStore,
    selection: Selection,
    is_exempt: Callable[[str], bool],
) -> None:
    """Take down who of a selection has an account, and who at all has a mailbox.

    Args:
        is_exempt: is an account, which has no mailbox, to have none? A doubt is no.

    Raises:
        Temporary, ConfigurationError: as for `Roster.users` and `MailStore.users`.
    """
    census.add_accounts(roster.users(selection, census.add_doubt))
    census.add_mailboxes(store.users())
    if roster.virtual_domains:
        # There LIST leaves some out, such as user/joe beside user/joe@other.test (Cyrus 3.6).
        census.add_mailboxes([user for user in census.without_mailbox() if _exists(store, user)])
    census.exclude([user for user in census.without_mailbox() if is_exempt(user)])


def _exists(store: MailStore, user: str) -> bool:
    try:
        return store.exists(user)
    except Refused:
        return False


def require_sane(new: int, accounts: int, most: int) -> None:
    """Refuse to create an absurd share of mailboxes: a wrong query or an empty server looks like that.

    Args:
        new: how many would be created.
        accounts: of how many accounts.
        most: per cent that are allowed.

    Raises:
        TooMany: they are more.
    """
    if new > _ALWAYS_ALLOWED and new * 100 > accounts * most:
        raise TooMany(
            f"{new} of {accounts} accounts have no mailbox, which is more than {most} per cent: if "
            "that is meant, say --max-new 100; else look at the account sources and at Cyrus"
        )


def each(
    work: Callable[[str], Verdict],
    users: Iterable[str],
    parallel: int,
    note: Callable[[str, Verdict], None],
) -> None:
    """Do something for each user, several at once.

    Args:
        work: what to do. An error of its own becomes a temporary verdict.
        parallel: how many at once; no more than that are taken from `users` ahead of time.
        note: is told each outcome, in the caller's thread, as it comes.
    """

    def safely(user: str) -> tuple[str, Verdict]:
        try:
            return user, work(user)
        except AutocreateError as error:
            return user, Verdict(Answer.TEMPORARY, str(error), user)

    with ThreadPoolExecutor(parallel, thread_name_prefix="bulk") as executor:
        pending: set[Future[tuple[str, Verdict]]] = set()
        try:
            for user in users:
                pending.add(executor.submit(safely, user))
                if len(pending) >= 2 * parallel:
                    pending -= _noted(pending, note)
            while pending:
                pending -= _noted(pending, note)
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def outcome(verdict: Verdict, is_applied: bool) -> str:
    """What became of a user, in words for the summary.

    Args:
        is_applied: plans were carried out, and not only made.
    """
    if verdict.answer is Answer.ACCEPT and verdict.plan and verdict.plan.actions:
        if verdict.report and verdict.report.exit_status:
            return "unfinished"
        if verdict.created:
            return "created"
        return "completed" if is_applied else "to be done"
    return {
        Answer.ACCEPT: SATISFIED,
        Answer.PASS: "left alone",
        Answer.UNKNOWN: "without a mailbox",
        Answer.MALFORMED: "malformed",
        Answer.TEMPORARY: "failed",
    }[verdict.answer]


def _noted(
    pending: set[Future[tuple[str, Verdict]]],
    note: Callable[[str, Verdict], None],
) -> set[Future[tuple[str, Verdict]]]:
    done, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        user, verdict = future.result()
        note(user, verdict)
    return done
