"""What goes wrong between us and Cyrus: an error that says so, in time, and no harm afterwards."""

from __future__ import annotations

import base64
import itertools
import logging
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from autocreate.errors import AutocreateError, ServerTimeout, Temporary, Unreachable
from autocreate.mailstore.cyrus import Cyrus as Store
from autocreate.mailstore.ports import Tls
from autocreate.mailstore.server import Server
from autocreate.tree.actions import CreateMailbox, SetQuota, Subscribe
from autocreate.tree.plan import Plan
from autocreate.tree.values import Quota
from tests.servers.common import wait_until
from tests.servers.cyrus import Cyrus
from tests.servers.relay import Relay
from tests.servers.tls import make_certificate

from .liar import Liar, drip

# Longer than a busy machine takes to answer, shorter than any test's patience.
PATIENCE = 20.0


@pytest.fixture(scope="module")
def frail() -> Iterator[Cyrus]:
    """A Cyrus of these tests' own. Each leaves it running."""
    with Cyrus(users={"kim": "kim's word"}) as server:
        yield server


@pytest.fixture(scope="module")
def secured() -> Iterator[Cyrus]:
    with Cyrus(tls=True) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_password_in_any_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    words = "\n".join(record.getMessage() for record in caplog.records)
    assert not _secrets_in(words)


def _secrets_in(words: str) -> list[str]:
    plain = f"\0{Cyrus.admin}\0{Cyrus.admin_password}".encode()
    return [
        secret
        for secret in (Cyrus.admin_password, "kim's word", base64.b64encode(plain).decode())
        if secret in words
    ]


def _error(work: Callable[[], object]) -> AutocreateError:
    """What the work raises, free of secrets to its last cause."""
    with pytest.raises(AutocreateError) as raised:
        work()
    assert not _secrets_in("".join(traceback.format_exception(raised.value)))
    assert not _secrets_in(repr(raised.value))
    return raised.value


def _server(port: int, timeout: float = PATIENCE, password: str = Cyrus.admin_password) -> Server:
    return Server(Cyrus.host, port, "none", Cyrus.admin, password, timeout=timeout)


def _stands(store: Store) -> bool:
    try:
        return store.exists("joe") is False
    except Temporary:
        return False


def _is_asked_no_more(store: Store) -> None:
    error = _error(lambda: store.exists("joe"))
    assert "is not retried yet" in str(error)


def test_a_stopped_server_is_a_doubt_and_is_used_again_once_it_is_back(frail: Cyrus) -> None:
    store = Store(_server(frail.imap_port), 2)
    assert _stands(store)
    frail.stop()
    try:
        assert isinstance(_error(lambda: store.exists("joe")), Unreachable)
        _is_asked_no_more(store)
        report = store.apply(Plan("joe", "", (CreateMailbox(()), Subscribe(()))))
        assert len(report.failed) == 2
    finally:
        frail.start()
    wait_until(lambda: _stands(store), 30, "the store's recovery")


def test_a_silent_server_is_a_doubt_in_time_and_is_used_again_once_it_speaks(frail: Cyrus) -> None:
    store = Store(_server(frail.imap_port, timeout=1.0), 2)
    wait_until(lambda: _stands(store), 30, "the first answer")
    frail.pause()
    try:
        began = time.monotonic()
        assert isinstance(_error(lambda: store.exists("joe")), ServerTimeout)
        assert time.monotonic() - began < 10
        _is_asked_no_more(store)
    finally:
        frail.resume()
    wait_until(lambda: _stands(store), 30, "the store's recovery")


def test_idle_connections_that_a_restart_has_dropped_cost_no_error(frail: Cyrus) -> None:
    store = Store(_server(frail.imap_port), 3)
    with ThreadPoolExecutor(3) as threads:
        assert set(threads.map(store.exists, ["joe"] * 12)) == {False}
    frail.stop()
    frail.start()
    with ThreadPoolExecutor(3) as threads:
        assert set(threads.map(store.exists, ["joe"] * 12)) == {False}


def test_a_server_process_that_is_killed_amid_a_command_is_replaced(frail: Cyrus) -> None:
    with Relay(frail.imap_port) as relay, ThreadPoolExecutor(1) as threads:
        store = Store(_server(relay.port), 1)
        store.apply(Plan("max", "", (CreateMailbox(()),)))
        relay.pause_before(b"MYRIGHTS")
        answer = threads.submit(store.exists, "max")
        wait_until(lambda: relay.is_paused, 30, "the command")
        frail.kill_busy()
        relay.resume()
        assert answer.result(timeout=60) is True


def test_a_plan_that_a_killed_server_process_broke_off_is_completed_later(frail: Cyrus) -> None:
    plan = Plan(
        "ida",
        "",
        (CreateMailbox(()), SetQuota(Quota(5)), CreateMailbox(("Sent",)), Subscribe(("Sent",))),
    )
    with Relay(frail.imap_port) as relay, ThreadPoolExecutor(1) as threads:
        store = Store(_server(relay.port), 1)
        relay.pause_before(b"SETQUOTA")
        report = threads.submit(store.apply, plan)
        wait_until(lambda: relay.is_paused, 30, "the command")
        frail.kill_busy()
        relay.resume()
        broken = report.result(timeout=60)
        assert not broken.usable
        assert {action for action, _ in broken.failed} == set(plan.actions)

        def is_completed() -> bool:
            return store.apply(plan).failed == ()

        wait_until(is_completed, 30, "the rest of the plan")
    assert frail.mailboxes("user/ida*") == {"user/ida", "user/ida/Sent"}
    assert frail.quota("user/ida") == {"STORAGE": 5}


def test_a_wrong_password_is_a_doubt_that_names_the_keys(frail: Cyrus) -> None:
    store = Store(_server(frail.imap_port, password="wrong"), 1)
    error = _error(lambda: store.exists("joe"))
    assert isinstance(error, Unreachable)
    assert "compare [cyrus] admin and password_file" in str(error)
    assert "wrong" not in str(error)


def test_an_administrator_who_may_not_act_for_users_is_told_so(frail: Cyrus) -> None:
    right = Store(_server(frail.imap_port), 1)
    right.apply(Plan("eva", "", (CreateMailbox(()),)))
    store = Store(replace(_server(frail.imap_port), admin="kim", password="kim's word"), 1)
    report = store.apply(Plan("eva", "", (Subscribe(()),)))
    assert [action for action, _ in report.failed] == [Subscribe(())]
    assert "does not let 'kim' act for 'eva'" in report.failed[0].error
    assert not _secrets_in(report.failed[0].error)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_of_a_stranger_is_not_trusted(
    secured: Cyrus, tls: Tls, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = make_certificate(tmp_path_factory.mktemp("stranger"))
    port = secured.imaps_port if tls == "implicit" else secured.imap_port
    with Relay(port) as relay:
        settings = replace(_server(relay.port), tls=tls, ca_file=str(stranger.ca_file))
        error = _error(lambda: Store(settings, 1).exists("joe"))
        assert isinstance(error, Unreachable)
        assert "certificate that is not trusted" in str(error)
        assert "[cyrus] ca_file" in str(error)
        assert b"AUTHENTICATE" not in relay.written


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_for_another_host_is_not_trusted(secured: Cyrus, tls: Tls) -> None:
    port = secured.imaps_port if tls == "implicit" else secured.imap_port
    with Relay(port, host="127.0.0.2") as relay:
        settings = replace(
            _server(relay.port), host="127.0.0.2", tls=tls, ca_file=str(secured.ca_file)
        )
        error = _error(lambda: Store(settings, 1).exists("joe"))
        assert isinstance(error, Unreachable)
        assert "certificate that is not trusted" in str(error)
        assert b"AUTHENTICATE" not in relay.written


@pytest.mark.parametrize("tls", ["starttls", "auto"])
def test_a_server_without_starttls_never_sees_the_password(frail: Cyrus, tls: Tls) -> None:
    with Relay(frail.imap_port) as relay:
        error = _error(lambda: Store(replace(_server(relay.port), tls=tls), 1).exists("joe"))
        assert isinstance(error, Unreachable)
        assert "STARTTLS" in str(error)
        assert b"AUTHENTICATE" not in relay.written


def test_no_more_connections_than_configured_are_open_at_once(frail: Cyrus) -> None:
    with Relay(frail.imap_port) as relay, ThreadPoolExecutor(12) as threads:
        store = Store(_server(relay.port), 3)
        relay.pause()
        answers = [threads.submit(store.exists, f"user{number}") for number in range(12)]
        wait_until(lambda: relay.connections == 3, 30, "three connections")
        relay.resume()
        assert {answer.result(timeout=60) for answer in answers} == {False}
        assert relay.connections == 3
        store.close()
        wait_until(lambda: relay.open == 0, 30, "the end of all connections")


def test_existence_is_asked_with_one_command_about_one_mailbox(frail: Cyrus) -> None:
    with Relay(frail.imap_port) as relay:
        store = Store(_server(relay.port), 1)
        store.exists("joe")
        before = len(relay.written)
        store.exists("ann.lee")
        (command,) = relay.written[before:].splitlines()
        assert command.split(b" ", 1)[1] == b'MYRIGHTS "user/ann.lee"'


NONSENSE: dict[str, Callable[[], Iterator[bytes]]] = {
    "nonsense": lambda: iter([b"HTTP/1.1 400 Bad Request\r\n\r\n"]),
    "bytes that are no text": lambda: iter([bytes(range(256)) * 4 + b"\r\n"]),
    "nothing": lambda: iter([]),
    "half a line": lambda: iter([b"* OK hel"]),
    "an answer to somebody else": lambda: iter([b"XX99 OK done\r\n"]),
    "a line without end": lambda: itertools.repeat(b"x" * 65536),
    "lines without end": lambda: itertools.repeat(b"* OK [ALERT] hello\r\n" * 4096),
    "answers without end": lambda: itertools.repeat(b"* MYRIGHTS x lr\r\n" * 4096),
    "a literal of 2 GB": lambda: itertools.chain(
        [b"* MYRIGHTS {2000000000}\r\n"], itertools.repeat(b"x" * 65536)
    ),
}


@pytest.mark.parametrize("hang_up", [False, True], ids=["and stays", "and hangs up"])
@pytest.mark.parametrize("polite", [False, True], ids=["at once", "after the login"])
@pytest.mark.parametrize("words", NONSENSE.values(), ids=NONSENSE)
def test_a_server_that_talks_nonsense_is_a_doubt_in_time_and_fills_no_memory(
    words: Callable[[], Iterator[bytes]], polite: bool, hang_up: bool
) -> None:
    with Liar(words, polite, hang_up) as liar:
        _ends_in_time_and_memory(liar)


@pytest.mark.parametrize("polite", [False, True], ids=["at once", "after the login"])
def test_a_server_that_drips_is_a_doubt_in_time(polite: bool) -> None:
    with Liar(drip, polite, hang_up=False) as liar:
        assert isinstance(_ends_in_time_and_memory(liar), ServerTimeout)


def _ends_in_time_and_memory(liar: Liar) -> AutocreateError:
    store = Store(_server(liar.port, timeout=0.5), 1)
    began = time.monotonic()
    tracemalloc.start()
    try:
        error = _error(lambda: store.exists("joe"))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert isinstance(error, Unreachable)
    assert time.monotonic() - began < 20
    return error
