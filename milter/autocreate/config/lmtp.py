"""[lmtp]: Cyrus's lmtpd, asked before mail is accepted."""

from typing import Annotated

from pydantic import Field

from autocreate.config.types import Cached, LmtpAddress, Seconds, Section, Switch, Whole


class Lmtp(Section):
    """[lmtp]: Cyrus's lmtpd, which is asked at RCPT whether it will accept the mail. Optional.

    The MTA can then reject mail at RCPT for a user who is over quota or denied (cyr_deny), and to a shared
    folder that the sender may not post to. It also notices at once that an administrator deleted a mailbox.
    See docs/lmtp.md.
    """

    address: LmtpAddress
    """Where lmtpd listens, as in the MTA's transport to Cyrus: `unix:/run/cyrus/socket/lmtp`, or `HOST:PORT`
    of an lmtpd that needs no password (`lmtpd -a`)."""
    timeout: Seconds = 1.0
    """Seconds to wait for a free connection, for connecting, and for an answer, each. After a timeout the
    mail is accepted as without [lmtp]. Three times this value must be less than `milter.deadline`."""
    connections: Annotated[Whole, Field(ge=1, le=100)] = 2
    """The greatest number of open connections. Each occupies one lmtpd process; `maxchild` in cyrus.conf may
    limit those."""
    cache_seconds: Cached = 60.0
    """Seconds for which an answer is cached. For that long, mail is still accepted for a mailbox that was
    filled or deleted, and still refused for one that was emptied. 0 asks for every recipient."""
    lowercase_domains: Switch = False
    """`true` if the MTA writes your domains in lower case when it delivers, by `lmtp_generic_maps` of Postfix
    as in contrib/postfix/main.cf. With virtual domains, lmtpd up to Cyrus 3.10 crashes if the default
    domain is not in lower case; unless this is `true`, such recipients are deferred (451)."""
