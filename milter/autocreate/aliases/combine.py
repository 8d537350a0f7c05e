"""One verdict for a recipient whose aliases lead to several users, or to none."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from autocreate.aliases.syntax import abbreviate
from autocreate.model import Answer, Reply, Resolution, Verdict

# The order of several reasons. Accepted users are the rule and come last.
_ORDER = (
    Answer.TEMPORARY,
    Answer.REFUSED,
    Answer.UNKNOWN,
    Answer.MALFORMED,
    Answer.PASS,
    Answer.ACCEPT,
)


def combined(resolution: Resolution, parts: Sequence[Verdict]) -> Verdict:
    """The verdict about an address.

    If the lookup of one user failed, the whole address is deferred: a message that was accepted for a
    list cannot be taken back for that user. If one of several users is unknown, or Cyrus refuses the
    mail for one, that is only reported: a full mailbox must not stop a list, and the MTA bounces that
    one copy. A target that needs no mailbox of ours is the MTA's business, and never unknown.

    Args:
        parts: the verdicts about `resolution.users` and `resolution.unknown`.
    """
    answer = _answer(resolution, parts)
    leads_to_nobody = not parts and not resolution.others
    is_no = answer in (Answer.UNKNOWN, Answer.REFUSED)
    if resolution.uncertainties and (is_no or leads_to_nobody):
        found = (
            "an alias was found, but another" if resolution.steps else "no alias was found, but one"
        )
        reason = f"{found} may exist: {abbreviate(resolution.uncertainties, '; ')}"
        verdict = Verdict(Answer.TEMPORARY, reason, parts=tuple(parts))
    elif len(parts) == 1 and answer is parts[0].answer:
        verdict = replace(parts[0], reason="; ".join([parts[0].reason, *_not_ours(resolution)]))
    else:
        verdict = _several(answer, resolution, sorted(parts, key=_rank))
    asked = (*resolution.asked, *verdict.asked)
    return replace(verdict, aliases=resolution.steps, asked=asked)


def _answer(resolution: Resolution, parts: Sequence[Verdict]) -> Answer:
    answers = {part.answer for part in parts}
    for answer in (Answer.TEMPORARY, Answer.ACCEPT):
        if answer in answers:
            return answer
    if resolution.others or Answer.PASS in answers:
        return Answer.PASS
    for answer in (Answer.REFUSED, Answer.UNKNOWN):
        if answer in answers:
            return answer
    return Answer.PASS


def _several(answer: Answer, resolution: Resolution, parts: Sequence[Verdict]) -> Verdict:
    reasons = [f"{part.user or part.address}: {part.reason}" for part in parts]
    reasons += _not_ours(resolution)
    return Verdict(
        answer,
        abbreviate(reasons, "; ") or "the alias leads to nobody",
        abbreviate(_distinct(part.user for part in parts)),
        abbreviate(_distinct(part.source for part in parts)),
        abbreviate(_distinct(part.policy for part in parts)),
        created=any(part.created for part in parts),
        refusal=_refusal(parts) if answer is Answer.REFUSED else None,
        parts=tuple(parts),
        limited=any(part.limited for part in parts),
    )


def _refusal(parts: Sequence[Verdict]) -> Reply | None:
    """One reply for several refusals: a temporary one if there is one, because that mail may pass later."""
    refusals = sorted(part.refusal for part in parts if part.refusal)
    return refusals[0] if refusals else None


def _not_ours(resolution: Resolution) -> list[str]:
    return [f"not ours: {abbreviate(resolution.others)}"] if resolution.others else []


def _rank(part: Verdict) -> int:
    return _ORDER.index(part.answer)


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, words)))
