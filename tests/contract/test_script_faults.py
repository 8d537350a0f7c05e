"""What goes wrong between us and timsieved: the mailbox stands all the same, and the script is tried again."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autocreate.errors import Temporary
from autocreate.mailstore.sieve.managesieve import ManageSieve
from autocreate.tree.actions import CreateMailbox, InstallScript
from autocreate.tree.plan import ApplyResult, Plan
from autocreate.tree.values import Folder, Script, Tree
from tests.contract.script_stores import FILING, server_of, store_of
from tests.servers.common import free_port
from tests.servers.cyrus import Cyrus
from tests.servers.relay import Relay
from tests.servers.sieve import kept
from tests.servers.tls import make_certificate

SCRIPT = Script("default.sieve", FILING % b"/")
_numbers = itertools.count()


@pytest.fixture(scope="module")
def secured() -> Iterator[Cyrus]:
    with Cyrus(tls=True) as server:
        yield server


@pytest.fixture
def user() -> str:
    """Somebody new."""
    return f"faulty-{next(_numbers)}"


@contextlib.contextmanager
def silence() -> Iterator[int]:
    """A port where connections are accepted and hear nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def apply(cyrus: Cyrus, scripts: ManageSieve, user: str) -> ApplyResult:
    with store_of(cyrus, scripts) as store:
        actions = (CreateMailbox(()), CreateMailbox(("Lists",)), InstallScript(SCRIPT))
        return store.apply(Plan(user, "all", actions))


def the_failure(report: ApplyResult) -> str:
    """Only the script failed, and is worth another attempt."""
    assert report.usable
    assert report.skipped == ()
    ((action, error),) = report.failed
    assert action == InstallScript(SCRIPT)
    return error


def test_a_service_that_is_down(cyrus: Cyrus, user: str) -> None:
    port = free_port()
    error = the_failure(apply(cyrus, ManageSieve(server_of(cyrus, port)), user))
    assert error == (
        f"Cyrus at 127.0.0.1:{port} cannot be reached (connecting): [Errno 111] Connection refused"
    )
    assert cyrus.mailboxes(f"user/{user}*") == {f"user/{user}", f"user/{user}/Lists"}


def test_a_service_that_is_silent(cyrus: Cyrus, user: str) -> None:
    with silence() as port:
        scripts = ManageSieve(server_of(cyrus, port, timeout=0.5))
        error = the_failure(apply(cyrus, scripts, user))
    assert error == f"Cyrus at 127.0.0.1:{port} did not finish within 0.5 s (reading)"
    assert cyrus.mailboxes(f"user/{user}*") == {f"user/{user}", f"user/{user}/Lists"}


def test_a_wrong_password(cyrus: Cyrus, user: str) -> None:
    scripts = ManageSieve(server_of(cyrus, cyrus.sieve_port, password="guess"))
    error = the_failure(apply(cyrus, scripts, user))
    assert f"does not let 'cyrus' act for '{user}'" in error
    assert "[cyrus] admin and password_file" in error
    assert "guess" not in error
    assert cyrus.scripts(user) == {}


def test_what_is_down_now_is_installed_by_the_next_attempt(cyrus: Cyrus, user: str) -> None:
    the_failure(apply(cyrus, ManageSieve(server_of(cyrus, free_port())), user))
    report = apply(cyrus, ManageSieve(server_of(cyrus, cyrus.sieve_port)), user)
    assert (report.failed, report.skipped) == ((), ())
    assert cyrus.scripts(user) == {"default.sieve": (kept(SCRIPT.text), True)}


def test_whether_there_is_a_script_is_no_question_that_stops_a_look_at_the_tree(
    cyrus: Cyrus, user: str
) -> None:
    cyrus.create(f"user/{user}")
    with store_of(cyrus, ManageSieve(server_of(cyrus, free_port()))) as store:
        observed = store.observe(user, Tree((Folder(),), script=SCRIPT))
        assert [folder.path for folder in observed.folders] == [()]
        assert observed.script is None


def test_a_check_by_a_service_that_is_down_decides_nothing(cyrus: Cyrus) -> None:
    with pytest.raises(Temporary, match="cannot be reached"):
        ManageSieve(server_of(cyrus, free_port())).check(SCRIPT)


def test_over_tls(secured: Cyrus, user: str) -> None:
    report = apply(secured, ManageSieve(server_of(secured, secured.sieve_port)), user)
    assert (report.failed, report.skipped) == ((), ())
    with store_of(secured, ManageSieve(server_of(secured, secured.sieve_port))) as store:
        observed = store.observe(user, Tree((Folder(),), script=SCRIPT))
        assert observed.script == Script("default.sieve")


def test_a_certificate_of_an_authority_that_is_not_trusted(
    secured: Cyrus, user: str, tmp_path: Path
) -> None:
    stranger = str(make_certificate(tmp_path).ca_file)
    server = replace(server_of(secured, secured.sieve_port), ca_file=stranger)
    error = the_failure(apply(secured, ManageSieve(server), user))
    assert "has a certificate that is not trusted" in error
    assert "[cyrus] ca_file and host" in error


def test_a_certificate_of_another_host(secured: Cyrus, user: str) -> None:
    with Relay(secured.sieve_port, "127.0.0.2") as relay:
        server = replace(server_of(secured, relay.port), host="127.0.0.2")
        error = the_failure(apply(secured, ManageSieve(server), user))
    assert "has a certificate that is not trusted" in error
    assert b"AUTHENTICATE" not in relay.written


@pytest.mark.parametrize(
    "command", [b"AUTHENTICATE", b"LISTSCRIPTS", b"CHECKSCRIPT", b"PUTSCRIPT", b"SETACTIVE"]
)
def test_a_service_that_falls_silent_half_way_and_is_back_for_the_next_attempt(
    cyrus: Cyrus, user: str, command: bytes
) -> None:
    with Relay(cyrus.sieve_port) as relay:
        relay.pause_before(command)
        scripts = ManageSieve(server_of(cyrus, relay.port, timeout=1.0))
        assert "did not finish within 1 s" in the_failure(apply(cyrus, scripts, user))
    report = apply(cyrus, ManageSieve(server_of(cyrus, cyrus.sieve_port)), user)
    assert (report.failed, report.skipped) == ((), ())
    assert cyrus.scripts(user) == {"default.sieve": (kept(SCRIPT.text), True)}


def test_a_server_without_tls_never_hears_the_password(cyrus: Cyrus, user: str) -> None:
    server = replace(server_of(cyrus, cyrus.sieve_port), tls="starttls")
    error = the_failure(apply(cyrus, ManageSieve(server), user))
    assert "offers no STARTTLS" in error
