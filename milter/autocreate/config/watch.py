"""[watch]: mailboxes for accounts as they appear."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from autocreate.config.types import Duration, Section, Whole


class AtMost(Section):
    """[watch.at_most]: the brake. If more new mailboxes are wanted, the watch creates none of them and stops. It
    says so in the log, in the metrics and at the control socket. `autocreate watch --plan` then shows the plans,
    and `autocreate watch --resume CHECKSUM` carries them out."""

    count: Annotated[Whole, Field(ge=0)] = 500
    """The greatest number of mailboxes that the watch creates within an hour."""
    percent: Annotated[Whole, Field(ge=0, le=100)] = 10
    """The greatest number created at once, in per cent of the mailboxes that exist. It does not apply to ten or
    fewer."""


class Watch(Section):
    """[watch]: create mailboxes when accounts appear: `autocreate watch`, or a part of `autocreate run`. Times are
    written like `"90s"`, `"5m"` or `"1h"`. Default: accounts are not watched. Needs a restart if it is added."""

    every: Annotated[Duration, Field(ge=5, le=86400)] = 60.0
    """How often sources that know what changed are asked: type `sql` with `changed_query`, type `ldap`, and
    files and sasldb, which are listed after a change. LDAP servers that offer syncrepl (RFC 4533) also report each
    change at once."""
    list_every: Annotated[Duration, Field(ge=60, le=30 * 86400)] = 3600.0
    """How often all other sources are listed and compared with the mailboxes of Cyrus. While syncrepl is in use,
    LDAP is searched for changes this often."""
    overlap: Annotated[Duration, Field(ge=1, le=86400)] = 300.0
    """How far a search for changes reaches back before the last one. It must be longer than the longest
    transaction in a database, and than the difference between the clocks of the servers."""
    at_most: AtMost = AtMost()
    """The brake, a table of its own: `at_most = { count = 500, percent = 10 }`."""
    control: Path | None = None
    """A Unix socket where root's commands reach `autocreate watch`. With `autocreate run` it has no effect.
    Default: `watch.control` in the folder of `milter.socket`; none if that is not a path."""

    @model_validator(mode="after")
    def _possible(self) -> "Watch":
        if self.overlap < self.every:
            raise ValueError(f"overlap: must be at least `every` ({self.every:g} s)")
        if self.list_every < self.every:
            raise ValueError(f"list_every: must be at least `every` ({self.every:g} s)")
        return self
