"""The keys of [lmtp]: Cyrus's lmtpd, asked before mail is accepted."""

from typing import Annotated

from pydantic import Field

from autocreate.config.types import Cached, LmtpAddress, Seconds, Section, Switch, Whole


class Lmtp(Section):
    """[lmtp]: Cyrus's lmtpd, which is asked whether it will take the mail. Nobody is asked without it.

    Who is over quota, denied (cyr_deny), or not allowed to post to a shared folder is then told so by the
    MTA at RCPT, and a mailbox that an administrator deleted is missed at once. See docs/lmtp.md.
    """

    address: LmtpAddress
    """Where lmtpd listens: `unix:/run/cyrus/socket/lmtp`, or `HOST:PORT` of an lmtpd that asks for no
    password (`lmtpd -a`): what the MTA's transport to Cyrus names."""
    timeout: Seconds = 1.0
    """Seconds to wait for a free connection, for connecting, and for an answer, each. When they are over
    the mail is accepted as if nobody had been asked. Three times this must be less than
    `milter.deadline`."""
    connections: Annotated[Whole, Field(ge=1, le=100)] = 2
    """How many connections may be open at once. Each keeps a process of lmtpd's, of which `maxchild` in
    cyrus.conf may be the limit."""
    cache_seconds: Cached = 60.0
    """How long an answer is remembered. For so long a mailbox that was filled or deleted is still
    accepted, and one that was emptied still refused. 0 asks for every recipient."""
    lowercase_domains: Switch = False
    """`true`: the MTA writes our domains in lower case when it delivers, by Postfix's
    `lmtp_generic_maps` as in contrib/postfix/main.cf. With virtual domains lmtpd up to Cyrus 3.10 dies of
    the default domain in another case; such recipients are deferred (451) unless this is set."""
