"""Many users at once: which accounts are meant, and the work on them, as much of it in parallel as pays.

A run that is killed is begun again: who has a mailbox by then is not looked at twice, and what was
left half made stands in the journal.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from autocreate.accounts.directory import Directory
from autocreate.admin.census import Census
from autocreate.core.address import domain_of
from autocreate.errors import AutocreateError, Refused
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
        domain: of `joe@other.test`; or where virtual domains are off, the one that policies go by.
        users: these and no others; None for all that the sources list.
    """

    sources: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    domain: str = ""
    users: tuple[str, ...] | None = None


class Roster:
    """The accounts of a selection.

    Args:
        directory: who exists.
        virtual_domains: a user id says its domain.
    """

    def __init__(self, directory: Directory, virtual_domains: bool) -> None:
        self._directory = directory
        self.virtual_domains = virtual_domains

    def users(self, selection: Selection) -> Iterator[str]:
        """Their user ids; one that several sources know comes several times.

        Raises:
            Temporary: a source did not answer, or cannot list.
            ConfigurationError: no source has that name.
        """
        named = selection.users
        listed = self._directory.names(selection.sources) if named is None else iter(named)
        for user in listed:
            if self._is_in_domain(user, selection) and self._is_in_groups(user, selection):
                yield user

    def address(self, user: str, selection: Selection) -> Address:
        """The address by which a policy is chosen for a user."""
        local, _, domain = user.partition("@")
        return Address(local, domain or ("" if self.virtual_domains else selection.domain))

    def _is_in_domain(self, user: str, selection: Selection) -> bool:
        if not selection.domain or not self.virtual_domains:
            return True
        return domain_of(user) == selection.domain

    def _is_in_groups(self, user: str, selection: Selection) -> bool:
        if not selection.groups:
            return True
        account = self._directory.find(user)
        return account is not None and bool(self._directory.groups(account) & set(selection.groups))


def survey(census: Census, roster: Roster, store: MailStore, selection: Selection) -> None:
    """Take down who of a selection has an account, and who at all has a mailbox.

    Raises:
        Temporary, ConfigurationError: as for `Roster.users` and `MailStore.users`.
    """
    census.add_accounts(roster.users(selection))
    census.add_mailboxes(store.users())
    if roster.virtual_domains:
        # There LIST leaves some out, such as user/joe beside user/joe@other.test (Cyrus 3.6).
        census.add_mailboxes([user for user in census.without_mailbox() if _exists(store, user)])


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
