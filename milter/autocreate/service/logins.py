"""Which logins create a mailbox. No I/O."""

from autocreate.core.naming import ANONYMOUS
from autocreate.model import Answer, Login, Verdict
from autocreate.service.recipients import RecipientRules
from autocreate.service.work import DecisionRequest


def begin_login(rules: RecipientRules, login: Login) -> Verdict | DecisionRequest:
    """Why a login creates no mailbox, or what is to be decided about it."""
    address = rules.users.login(login.name, login.realm)
    user = rules.users.login_id(address)
    if login.service not in rules.services:
        return Verdict(Answer.PASS, f"logins to {login.service!r} create no mailbox", user)
    if user in rules.exempt or user == ANONYMOUS:
        return Verdict(Answer.PASS, "administrators get no mailbox", user)
    if not user:
        return Verdict(Answer.PASS, "not a possible Cyrus user id")
    return DecisionRequest(address, user, not rules.dry_run, login.service)
