"""Do Postfix's restrictions refuse new users before it asks the milter? See SMTPD_ACCESS_README, access(5).

Lists of restrictions, the classes that they name (RESTRICTION_CLASS_README), and tables of recipients
count. Each table is asked what it would do with a new user.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from autocreate.doctor.findings import Finding, MilterSettings, warning
from autocreate.doctor.postconf import Postfix, Setting, items, words
from autocreate.doctor.postfix_domains import Tables, has_parents, is_table, keys
from autocreate.doctor.postfix_routes import Route
from autocreate.doctor.source_report import NOBODY

# What Postfix evaluates before it asks milters about a recipient. The first three only if it delays
# them until RCPT (smtpd_delay_reject).
_DELAYED = ("smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions")
_AT_RECIPIENT = (*_DELAYED, "smtpd_relay_restrictions", "smtpd_recipient_restrictions")

_ASKS = "reject_unverified_recipient"
_LOOKS_UP = "check_recipient_access"
# With these Postfix looks only whole addresses up.
_PATTERNS = ("regexp:", "pcre:")


class _Step(NamedTuple):
    """A restriction, or the action of a table.

    Args:
        by: the classes and tables that lead to it, the last one last.
        domain: whose recipients a table has it for; "" if it is for all.
    """

    name: str
    by: tuple[str, ...] = ()
    domain: str = ""


def examine(
    postfix: Postfix, ours: MilterSettings, routes: Sequence[Route], tables: Tables
) -> Iterator[Finding]:
    """Check the restrictions of every smtpd. In dry run they are the site's own, as they were."""
    if ours.is_dry_run:
        return
    domains = sorted({it for route in routes for it in route.domains if not is_table(it)})
    smtpds = postfix.running("smtpd")
    delaying = [it for it in smtpds if postfix.get("smtpd_delay_reject", it) != "no"]
    for name in _AT_RECIPIENT:
        for restrictions in postfix.settings(name, delaying if name in _DELAYED else smtpds):
            walk = _Walk(postfix, domains, tables)
            found: dict[tuple[str, ...], list[_Step]] = {}
            for step in walk.steps(restrictions.value):
                found.setdefault((step.name, *step.by), []).append(step)
            for steps in found.values():
                yield from _judged(postfix, restrictions, steps)


def _judged(postfix: Postfix, restrictions: Setting, steps: Sequence[_Step]) -> Iterator[Finding]:
    """What is wrong with the same step, for each domain that has it."""
    step = steps[0]
    domains = ", ".join(dict.fromkeys(it.domain for it in steps if it.domain))
    through = f" ({', '.join(step.by)})" if step.by else ""
    if step.name == _ASKS:
        yield warning(
            f"{restrictions.where}{through} has {_ASKS}" + (f" for {domains}" if domains else ""),
            "Postfix asks Cyrus before it asks the milter, and refuses new users",
            f"{_place(postfix, restrictions, step)}"
            + (f" the entry of {domains}" if domains else "")
            + "; for our domains the milter verifies them",
        )
    elif domains and _refuses(step.name):
        yield warning(
            f"{restrictions.where}{through} refuses recipients in {domains} that are not listed",
            "new users are refused before any milter is asked",
            f"{restrictions.file}: remove {_LOOKS_UP} {step.by[-1]} from {restrictions.name}, unless it lists "
            "all accounts",
        )


def _place(postfix: Postfix, restrictions: Setting, step: _Step) -> str:
    """Where to remove what asks Cyrus: the list itself, a class or a table."""
    last = step.by[-1] if step.by else ""
    if is_table(last):
        return f"{last}: remove"
    return (
        f"{postfix.setting(last).file}: remove {_ASKS} from {last}"
        if last
        else f"{restrictions.file}: remove {_ASKS} from {restrictions.name}"
    )


def _refuses(action: str) -> bool:
    """Is it an action of access(5) that refuses a recipient permanently?"""
    return action.upper() == "REJECT" or (
        len(action) == 3 and action.isdigit() and action[0] == "5"
    )


class _Walk:
    """The steps of a list of restrictions, of the classes in it, and of its tables."""

    def __init__(self, postfix: Postfix, domains: Sequence[str], tables: Tables) -> None:
        self._postfix = postfix
        self._domains = domains
        self._tables = tables
        self._classes = words(postfix.get("smtpd_restriction_classes"))
        self._parents = has_parents(postfix, "smtpd_access_maps")

    def steps(self, value: str, by: tuple[str, ...] = (), domain: str = "") -> Iterator[_Step]:
        """The steps in their order. A class within itself is left out, as is what Postfix only logs."""
        before = ""
        for name in items(value):
            if before == _LOOKS_UP:
                yield from self._found(name, by)
            elif before != "warn_if_reject":
                if name.lower() in self._classes and name not in by:
                    yield from self.steps(self._postfix.get(name), (*by, name), domain)
                else:
                    yield _Step(name, by, domain)
            before = name

    def _found(self, table: str, by: tuple[str, ...]) -> Iterator[_Step]:
        """What a table does with a new user in each of our domains."""
        for domain in self._domains:
            wanted = [f"{NOBODY}@{domain}"]
            if not table.removeprefix("proxy:").startswith(_PATTERNS):
                wanted += keys(domain, self._parents)
            found = (self._tables.find(table, key) for key in wanted)
            action = next((it for it in found if it is not None), "")
            if _refuses(action.partition(" ")[0]):
                # What follows is the text of the reply.
                action = action.partition(" ")[0]
            yield from self.steps(action, (*by, table), domain)
