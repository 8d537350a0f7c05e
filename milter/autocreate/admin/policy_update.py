"""`autocreate apply`: bring existing mailboxes to what their policy says today, as it was reviewed."""

from contextlib import closing
from functools import partial

from autocreate.admin.bulk import Outcomes, Run, in_parallel
from autocreate.admin.components import Components
from autocreate.admin.outcomes import State, Summary, outcome_of
from autocreate.admin.plans import Plans
from autocreate.admin.selection import Selection
from autocreate.admin.survey import Survey
from autocreate.admin.surveying import failed_lookups, require_known, survey_accounts
from autocreate.model import Verdict


class PolicyUpdate:
    """Compares the trees of a selection with a policy, and carries out the plans that were reviewed.

    `compare` comes first and is run to its end, then `apply`.

    Args:
        survey, plans: empty ones, open until the work is over.
        policy: only users whose policy has this name.
        restore: bring back what users have removed, too.
        reviewed: the checksum of the plans that were reviewed; "" only compares.

    Raises:
        ConfigurationError, Temporary: see `require_known` and `survey_accounts`.
    """

    def __init__(
        self,
        components: Components,
        survey: Survey,
        plans: Plans,
        selection: Selection,
        policy: str,
        restore: bool = False,
        reviewed: str = "",
    ) -> None:
        require_known(components, selection, policy)
        survey_accounts(survey, components, selection)
        self._components = components
        self._survey = survey
        self._plans = plans
        self._selection = selection
        self._policy = policy
        self._restore = restore
        self._reviewed = reviewed
        self.is_applied = bool(reviewed) and not components.dry_run

    def compare(self) -> Run:
        """Plan for each user, and keep the plans. Changes nothing.

        Users who are named one by one are all looked at; of a list, those who have a mailbox.
        """
        survey = self._survey
        is_list = self._selection.users is None
        total = survey.count_with_both() if is_list else survey.accounts
        total += survey.count_failed_lookups()
        run = Run(survey.accounts, total, False, self._compare(is_list))
        if is_list:
            run.summary.counts[State.NO_MAILBOX] = survey.count_without_mailbox()
        return run

    def apply(self, compared: Summary) -> Run | None:
        """Carry out the plans that `compare` kept; None if they are not to be carried out.

        Args:
            compared: the summary of `compare`, whose problems count here as well.

        Raises:
            Changed: they are not the plans that were reviewed.
        """
        if self._reviewed:
            self._plans.require(self._reviewed)
        if not self.is_applied:
            return None
        count = len(self._plans)
        return Run(count, count, True, self._apply(), compared.problems())

    @property
    def checksum(self) -> str:
        """What to repeat the command with to carry out these plans; "" if there is nothing to carry out."""
        return self._plans.checksum() if self._plans and not self._reviewed else ""

    def _compare(self, is_list: bool) -> Outcomes:
        yield from failed_lookups(self._survey)
        users = self._survey.with_both() if is_list else self._survey.everyone()
        plan = partial(self._components.plan_update, self._selection, self._restore)
        plans = ((user, partial(plan, user)) for user in users)
        with closing(in_parallel(plans, self._components.parallel)) as verdicts:
            for user, verdict in verdicts:
                if verdict.policy in (self._policy, ""):
                    self._plans.add(user, verdict)
                    yield outcome_of(user, verdict, is_applied=False)

    def _apply(self) -> Outcomes:
        # The plans are read here, in their one thread; only what they say is done in others.
        updates = (
            (user, partial(self._carry_out, user, verdict))
            for user, verdict in self._plans.verdicts()
        )
        with closing(in_parallel(updates, self._components.parallel)) as verdicts:
            for user, verdict in verdicts:
                yield outcome_of(user, verdict, is_applied=True)

    def _carry_out(self, user: str, verdict: Verdict) -> Verdict:
        address = self._components.accounts.address(user, self._selection)
        return self._components.provisioner.apply(address, verdict)
