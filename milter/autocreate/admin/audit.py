"""`autocreate audit`: inconsistencies between accounts, mailboxes, the journal and policies."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import NamedTuple

from autocreate.admin.bulk import in_parallel
from autocreate.admin.components import Components
from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.admin.surveying import require_known, survey_accounts
from autocreate.model import Answer, Verdict
from autocreate.service.journal import Entry
from autocreate.service.journal_creations import DueHook
from autocreate.tree.actions import SetQuota

NO_MAILBOX = "no-mailbox"
NO_ACCOUNT = "no-account"
UNFINISHED = "unfinished"
TREE = "tree"
QUOTA = "quota"
UNCLEAR = "unclear"


class Discrepancy(NamedTuple):
    """One thing about one user that is not as it should be."""

    kind: str
    user: str
    detail: str


class Audit:
    """Looks at the accounts of a selection. Changes nothing.

    Args:
        survey: an empty one, open until the audit is over.
        restore: folders and subscriptions that users have removed count as missing.

    Raises:
        ConfigurationError, Temporary: see `require_known` and `survey_accounts`.
    """

    def __init__(
        self, components: Components, survey: Survey, selection: Selection, restore: bool = False
    ) -> None:
        require_known(components, selection)
        survey_accounts(survey, components, selection)
        self._components = components
        self._survey = survey
        self._selection = selection
        self._restore = restore
        self.accounts = survey.accounts
        self.mailboxes = survey.mailboxes

    def users(self) -> Iterator[Discrepancy]:
        """What accounts, mailboxes and the journal say, without a look at any tree."""
        survey = self._survey
        # Of a part of the accounts, the mailboxes of all others would have no account.
        is_whole = self._components.accounts.selects_all(self._selection)
        yield from mismatches(survey, is_whole)
        entries = self._components.journal.all_unfinished()
        yield from unfinished_trees(it for it in entries if is_whole or survey.has_account(it.user))
        hooks = self._components.journal.creations.all_hooks()
        yield from unfinished_hooks(it for it in hooks if is_whole or survey.has_account(it.user))

    def count_trees(self) -> int:
        """How many trees `trees` compares."""
        return self._survey.count_with_both()

    def trees(self) -> Generator[tuple[Discrepancy, ...], None, None]:
        """What differs from its policy, for each user who has an account and a mailbox."""
        plan = partial(self._components.plan_update, self._selection, self._restore)
        plans = ((user, partial(plan, user)) for user in self._survey.with_both())
        with closing(in_parallel(plans, self._components.parallel)) as verdicts:
            for user, verdict in verdicts:
                yield tuple(differences(user, verdict))


def mismatches(survey: Survey, is_whole: bool) -> Iterator[Discrepancy]:
    """Accounts without a mailbox, mailboxes without an account, and users that could not be looked up.

    Args:
        is_whole: the survey has every account, so that a mailbox without one is a discrepancy.
    """
    for user, error in survey.failed_lookups():
        yield Discrepancy(UNCLEAR, user, error)
    for user in survey.without_mailbox():
        yield Discrepancy(NO_MAILBOX, user, "has an account and no mailbox")
    for user in survey.without_account() if is_whole else ():
        yield Discrepancy(NO_ACCOUNT, user, "has a mailbox, and no account source knows the user")


def unfinished_trees(entries: Iterable[Entry]) -> Iterator[Discrepancy]:
    """Trees that were begun and not finished, by the journal."""
    for entry in entries:
        detail = entry.error or "the first attempt was interrupted, or is still running"
        yield Discrepancy(UNFINISHED, entry.user, detail)


def unfinished_hooks(hooks: Iterable[DueHook]) -> Iterator[Discrepancy]:
    """Hooks that are still to run, by the journal."""
    for hook in hooks:
        detail = hook.error or "not run yet, or still running"
        yield Discrepancy(UNFINISHED, hook.user, f"hook of policy {hook.policy}: {detail}")


def differences(user: str, verdict: Verdict) -> Iterator[Discrepancy]:
    """Where a tree differs from today's policy.

    Args:
        verdict: with the plan that would bring the tree to its policy.
    """
    if verdict.answer is Answer.TEMPORARY:
        yield Discrepancy(UNCLEAR, user, verdict.reason)
    if verdict.answer is Answer.UNKNOWN:
        yield Discrepancy(
            UNCLEAR,
            user,
            "a source lists the user, but no source finds it: mail for it is refused (550)",
        )
    for note in verdict.notes:
        yield Discrepancy(TREE, user, note)
    for action in verdict.plan.actions if verdict.plan else ():
        kind = QUOTA if isinstance(action, SetQuota) else TREE
        yield Discrepancy(kind, user, f"policy {verdict.policy}: {action.description}")
