"""[limits]: brakes on what mail and logins can create."""

from typing import Annotated

from pydantic import Field

from autocreate.config.types import Section, Whole


class Limits(Section):
    """[limits]: how many mailboxes mail and logins may create. Each serving process counts for itself, those of
    `milter.processes` each for its part, and a reload keeps the counts. `provision`, `apply` and logins by
    `pam_exec` have no limit."""

    creations_per_minute: Annotated[Whole, Field(ge=1)] | None = None
    """The greatest number of mailboxes created in a minute. After a minute without any, as many may be created
    at once. Beyond it, recipients without a mailbox get 451 and nothing is written to the journal; one line a
    minute says so. Logins succeed, and their mailboxes are created later. Recipients with a mailbox are
    not affected. Default: no limit."""
    creations_per_minute_per_domain: Annotated[Whole, Field(ge=1)] | None = None
    """The same for each domain of recipients. A mailbox must be within both limits. Default: no limit."""
