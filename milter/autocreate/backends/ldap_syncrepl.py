"""A search that an LDAP server keeps open and adds changes to: RFC 4533, in mode refreshAndPersist."""

import threading
from collections.abc import Iterator

import ldap
from ldap.syncrepl import SyncInfoMessage, SyncRequestControl

from autocreate.backends.ldap_connection import Connection, Entry, entry_of
from autocreate.resilience.answer_limit import AnswerTooLong

# Seconds. So soon a stop is noticed.
_MOMENT = 0.5
# Bytes of one entry, of which only one attribute is asked for.
_LONGEST_ENTRY = 1 << 20


def follow(
    connection: Connection,
    base: str,
    scope: str,
    filter_: str,
    attribute: str,
    stopping: threading.Event,
) -> Iterator[Entry | None]:
    """The entries that a filter finds, and from then on each that is added or changed so that it finds it.

    Ends when `stopping` is set, or at once if the server does not offer this.

    Yields:
        An entry; or None when all entries of before have come.

    Raises:
        Temporary: the server does not answer, or the connection is lost.
    """
    control = SyncRequestControl(criticality=True, mode="refreshAndPersist")
    with connection.mapped(f"cannot follow {base!r} for {filter_}"):
        asked = connection.search_open(base, scope, filter_, attribute, control)
        while not stopping.is_set():
            try:
                kind, data, _, _, _, _ = connection.answer(asked, _MOMENT)
            except ldap.TIMEOUT:
                continue
            except ldap.UNAVAILABLE_CRITICAL_EXTENSION:
                return
            if kind == ldap.RES_SEARCH_ENTRY:
                for dn, values, _ in data:
                    if sum(map(len, values.get(attribute, ()))) > _LONGEST_ENTRY:
                        raise AnswerTooLong(_LONGEST_ENTRY)
                    yield entry_of(dn, values)
            elif kind == ldap.RES_INTERMEDIATE:
                if any(map(_is_refreshed, data)):
                    yield None
            elif kind == ldap.RES_SEARCH_RESULT:
                raise ldap.SERVER_DOWN({"desc": "the server has ended the search"})


def _is_refreshed(message: tuple[str, bytes, object]) -> bool:
    """Does a message say that all entries of before have come?"""
    name, value, *_ = message
    if name != SyncInfoMessage.responseName:
        return False
    info = SyncInfoMessage(value)
    done = info.refreshDelete or info.refreshPresent
    return bool(done and done["refreshDone"])
