"""One connection to an LDAP server: secured, bound, and searched, each within a time limit.

By default python-ldap follows referrals and does not verify names in certificates; the options for that are
here. A result is complete, or an error.
"""

import os
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import ldap
import ldap.sasl
from ldap.controls import RequestControl, SimplePagedResultsControl

from autocreate.backends.ldap_errors import ERRORS, Attempt
from autocreate.backends.ldap_tls import shake_hands
from autocreate.backends.options import LdapOptions
from autocreate.backends.password_file import Password
from autocreate.errors import ServerTimeout, Temporary, Unreachable
from autocreate.resilience import socket_timeout
from autocreate.resilience.answer_limit import ReceivedLimit
from autocreate.resilience.exception_map import map_exceptions

_SCOPES = {"base": ldap.SCOPE_BASE, "one": ldap.SCOPE_ONELEVEL, "sub": ldap.SCOPE_SUBTREE}
_TLS_1_2 = 0x303
_PAGE = 500
_MOMENT = 0.02  # seconds
_RANGE = re.compile(r"(?P<name>[^;]+);range=(?P<first>[0-9]+)-(?P<last>[0-9]+|\*)")
_DIGITS = 18  # of a number that makes sense
# By default python-ldap decodes every control that it knows, whether it was asked for or not.
_CONTROLS = {SimplePagedResultsControl.controlType: SimplePagedResultsControl}


class Entry(NamedTuple):
    """An entry: its DN, and its values by attribute, in lower case. Values that are not UTF-8 are left out."""

    dn: str
    values: Mapping[str, tuple[str, ...]]


class Connection:
    """A connection that is secured and bound.

    Args:
        options: of the directory.
        password: of its `bind_dn`; "" if it has none.
        url: the one of its servers to connect to.

    Raises:
        Unreachable: there is no connection, no security, or no bind; `ServerTimeout` if for want of an answer.
    """

    is_spent = False

    def __init__(self, options: LdapOptions, password: Password, url: str) -> None:
        self.url = url
        self.timeout = options.timeout
        start_tls = url.startswith("ldap://") and options.tls == "starttls"
        shake_hands(url, start_tls, options.ca_file, options.timeout)
        self._ldap = ldap.initialize(url, bytes_mode=False)
        self._socket: socket.socket | None = None  # libldap's, once it is bound
        self._set_options(options)
        _within(options.timeout * 2, lambda: self._open(options, password, start_tls), url)

    def _open(self, options: LdapOptions, password: Password, start_tls: bool) -> None:
        try:
            if start_tls:
                with self.mapped("cannot start TLS"):
                    self._ldap.start_tls_s()
            with self.mapped(f"cannot bind as {options.bind_dn or 'nobody'}"):
                if options.external:
                    self._ldap.sasl_interactive_bind_s("", ldap.sasl.external())
                else:
                    self._ldap.simple_bind_s(options.bind_dn, password)
            self._limit_reading()
        except Temporary as error:
            self.discard()
            if isinstance(error, Unreachable):
                raise
            raise Unreachable(str(error)) from error

    def search(
        self, base: str, scope: str, filter_: str, attributes: Sequence[str], is_for_one: bool
    ) -> list[Entry]:
        limit = self._limit()
        with self.mapped(f"cannot search {base!r} for {filter_}"):
            found, _ = self._found(
                limit,
                base,
                _SCOPES[scope],
                filter_,
                list(attributes),
                sizelimit=2 if is_for_one else 0,
            )
        entries, elsewhere = _split(found)
        if is_for_one and len(entries) > 1:
            raise Temporary(f"{self.url}: {filter_} finds more than one entry")
        # One entry is an answer wherever others may be; a set of entries must be complete.
        if elsewhere and not (is_for_one and entries):
            raise self._partial(base, elsewhere)
        return [self._with_all_values(entry, limit) for entry in entries]

    def pages(self, base: str, scope: str, filter_: str, attribute: str) -> Iterator[Entry]:
        page = SimplePagedResultsControl(criticality=True, size=_PAGE, cookie="")
        while True:
            with self.mapped(f"cannot search {base!r} for {filter_}"):
                found, controls = self._found(
                    self._limit(), base, _SCOPES[scope], filter_, [attribute], serverctrls=[page]
                )
            entries, elsewhere = _split(found)
            if elsewhere:
                raise self._partial(base, elsewhere)
            yield from (self._with_all_values(it, self._limit()) for it in entries)
            page.cookie = next(
                (it.cookie for it in controls if it.controlType == page.controlType), b""
            )
            if not page.cookie:
                return

    def search_open(
        self, base: str, scope: str, filter_: str, attribute: str, control: RequestControl
    ) -> int:
        """Begin a search that the server keeps open. Take what it answers by `answer`."""
        id_: int = self._ldap.search_ext(
            base, _SCOPES[scope], filter_, [attribute], serverctrls=[control]
        )
        return id_

    def answer(self, asked: int, seconds: float) -> tuple[int, Any, int, Any, str | None, Any]:
        """The next message of a search. Raises python-ldap's errors; `ldap.TIMEOUT` if there is none yet."""
        found: tuple[int, Any, int, Any, str | None, Any] = self._ldap.result4(
            asked,
            all=0,
            timeout=seconds,
            add_ctrls=1,
            add_intermediates=1,
            resp_ctrl_classes=_CONTROLS,
        )
        return found

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._ldap.unbind_ext_s()

    def discard(self) -> None:
        # libldap's unbind does not wait for an answer.
        self.close()

    def _limit(self) -> ReceivedLimit:
        """The limit of an answer, however many searches it takes."""
        assert self._socket is not None  # an open connection has it
        return ReceivedLimit(self._socket, self.timeout)

    def _found(
        self, limit: ReceivedLimit, *search: Any, **options: Any
    ) -> tuple[list[Any], list[Any]]:
        """What a search finds, and the controls of its result.

        libldap knows no limit for the bytes of an answer, not even for one value: so it reads for a moment
        at a time.
        """
        asked = self._ldap.search_ext(*search, timeout=self.timeout, **options)
        found: list[Any] = []
        while True:
            moment = min(_MOMENT, limit.seconds_left())
            try:
                kind, data, _, controls = self._ldap.result3(
                    asked, all=0, timeout=moment, resp_ctrl_classes=_CONTROLS
                )
            except ldap.TIMEOUT:
                continue
            limit.handed_over(sum(map(_size, data)))
            found += data
            if kind == ldap.RES_SEARCH_RESULT:
                return found, controls

    def _with_all_values(self, entry: Entry, limit: ReceivedLimit) -> Entry:
        """An entry with all its values: those that the server has left out are asked for.

        Active Directory returns 1,500 values at once, and calls them `memberOf;range=0-1499` ("Range
        Retrieval of Attribute Values" of [MS-ADTS] 3.1.1.3.1.3.3).
        """
        ranged = [found for name in entry.values if (found := _RANGE.fullmatch(name))]
        if not ranged:
            return entry
        values = {name: it for name, it in entry.values.items() if not _RANGE.fullmatch(name)}
        for found in ranged:
            first = entry.values[found[0]]
            rest = self._rest(entry.dn, found, limit)
            values[found["name"]] = (*values.get(found["name"], ()), *first, *rest)
        return Entry(entry.dn, values)

    def _rest(self, dn: str, ranged: re.Match[str], limit: ReceivedLimit) -> Iterator[str]:
        """The values after a range.

        Raises:
            Temporary: the server does not return all of them.
        """
        if not _continues(ranged, 0):
            raise Temporary(f"{self.url}: answered {ranged[0]:.100} of {dn!r}")
        while ranged["last"] != "*":
            following = int(ranged["last"]) + 1
            asked = f"{ranged['name']};range={following}-*"
            with self.mapped(f"cannot read {asked} of {dn!r}"):
                found, _ = self._found(limit, dn, ldap.SCOPE_BASE, "(objectClass=*)", [asked])
            values = {name: it for entry in _split(found)[0] for name, it in entry.values.items()}
            answers = (_RANGE.fullmatch(name) for name in values)
            answered = next((it for it in answers if it and it["name"] == ranged["name"]), None)
            if answered is None or not _continues(answered, following):
                instead = f"{[*values]}"
                raise Temporary(f"{self.url}: did not answer {asked} of {dn!r}, but {instead:.200}")
            ranged = answered
            yield from values[ranged[0]]

    def _partial(self, base: str, elsewhere: Sequence[str]) -> Temporary:
        return Temporary(
            f"{self.url}: has only part of {base!r}, and refers to {elsewhere[0]}: choose a "
            "base that this server has completely"
        )

    def mapped(self, failed: str) -> AbstractContextManager[None]:
        """python-ldap's errors as ours, each naming the server and what could not be done."""
        return map_exceptions(ERRORS, Attempt(self.url, failed, self.timeout, time.monotonic()))

    def _set_options(self, options: LdapOptions) -> None:
        values = {
            ldap.OPT_PROTOCOL_VERSION: 3,
            ldap.OPT_REFERRALS: 0,
            ldap.OPT_NETWORK_TIMEOUT: options.timeout,
            ldap.OPT_TIMEOUT: options.timeout,
            ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_DEMAND,
            ldap.OPT_X_TLS_PROTOCOL_MIN: _TLS_1_2,
            **_authorities(options.ca_file),
        }
        for option, value in values.items():
            self._ldap.set_option(option, value)
        # The TLS options count only for a context that is made after them.
        self._ldap.set_option(ldap.OPT_X_TLS_NEWCTX, 0)

    def _limit_reading(self) -> None:
        """libldap waits for the rest of an answer without a time limit: set one for the socket."""
        self._socket = socket.socket(fileno=os.dup(self._ldap.get_option(ldap.OPT_DESC)))
        socket_timeout.limit(self._socket, self.timeout)


def _authorities(ca_file: Path | None) -> dict[int, str]:
    """The certificates to trust. The context of one connection ignores those of ldap.conf(5)."""
    system = ssl.get_default_verify_paths()
    if trusted := ca_file or system.cafile:
        return {ldap.OPT_X_TLS_CACERTFILE: str(trusted)}
    return {ldap.OPT_X_TLS_CACERTDIR: system.capath} if system.capath else {}


def _continues(ranged: re.Match[str], following: int) -> bool:
    """Does a range begin at this value, and have at least one?"""
    first, last = ranged["first"], ranged["last"]
    if max(len(first), len(last)) > _DIGITS:
        return False
    return int(first) == following and (last == "*" or int(last) >= following)


def _within(seconds: float, work: Callable[[], None], url: str) -> None:
    """Run something in libldap that may never return if the server stops answering.

    In that case the thread stays, until the server answers or the connection ends.
    """
    done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)

    threading.Thread(target=run, name="ldap connection", daemon=True).start()
    try:
        error = done.get(timeout=seconds)
    except queue.Empty:
        raise ServerTimeout(f"{url}: cannot connect: no answer within {seconds:g} s") from None
    if error:
        raise error


def _split(found: Sequence[tuple[str | None, Any]]) -> tuple[list[Entry], list[str]]:
    """The entries of an answer, and the servers to which it refers for others."""
    entries = [entry_of(dn, values) for dn, values in found if dn is not None]
    return entries, [urls[0] for dn, urls in found if dn is None]


def entry_of(dn: str, values: Mapping[str, Sequence[bytes]]) -> Entry:
    """An entry as python-ldap has it, as ours."""
    return Entry(
        dn,
        {
            name.lower(): tuple(it.decode("utf-8") for it in found if _is_text(it))
            for name, found in values.items()
        },
    )


def _size(answer: tuple[str | None, Any]) -> int:
    """The bytes of an entry, about; of a reference to another server, its URLs'."""
    dn, values = answer
    named = values.items() if isinstance(values, dict) else [("", values)]
    return len(dn or "") + sum(len(name) + sum(map(len, them)) for name, them in named)


def _is_text(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
