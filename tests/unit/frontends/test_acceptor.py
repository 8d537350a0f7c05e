"""What local users can cost a front end: connections, threads, log and processor time, each with a bound."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from autocreate.frontends.acceptor import Acceptor, Converse, in_a_thread
from autocreate.frontends.events import Events
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.listener import Listener, listening
from autocreate.frontends.login import LoginServer
from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience.steps import BLOCKING, LATER, Readable, Steps
from tests.servers.common import wait_until, wait_until_disconnected
from tests.unit.house import House

US = os.getuid()
SOMEBODY_ELSE = US + 1
MANY = 2000


class Server:
    """An acceptor whose clients are held until `let_go`, and then told `done`."""

    acceptor: Acceptor

    def __init__(self, path: Path) -> None:
        self.path = path
        self.let_go = threading.Event()
        self.inside = 0
        self.most_inside = 0
        self.lock = threading.Lock()

    def handle(self, connection: socket.socket) -> None:
        with self.lock:
            self.inside += 1
            self.most_inside = max(self.inside, self.most_inside)
        self.let_go.wait(30.0)
        connection.sendall(b"done")
        with self.lock:
            self.inside -= 1

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.path))  # and wait in its queue
        client.settimeout(20.0)
        return client


Start = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @contextmanager
    def started(
        most: int = 4, converse: Converse | None = None, **options: Any
    ) -> Iterator[Server]:
        server = Server(tmp_path / "s")
        with listening("login.socket", f"unix:{server.path}", 0o600, None) as listener:
            acceptor = server.acceptor = Acceptor("test socket", listener, most, **options)
            acceptor.start(converse or in_a_thread(server.handle), lambda error: None)
            try:
                yield server
            finally:
                server.let_go.set()
                acceptor.stop()

    return started


def test_so_many_connections_are_handled_at_once_and_the_others_wait(start: Start) -> None:
    with start(most=4) as server, ExitStack() as held:
        clients = [held.enter_context(server.connect()) for _ in range(40)]
        wait_until(lambda: server.inside == 4, 10.0, "four clients")
        server.let_go.set()
        assert [client.recv(9) for client in clients] == [b"done"] * 40
        assert server.most_inside == 4


def test_one_user_leaves_room_for_another(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with start(most=4, peers=[US], most_per_peer=2) as server, ExitStack() as held:
        clients = [held.enter_context(server.connect()) for _ in range(40)]
        for client in clients[2:]:
            assert client.recv(9) == b""
        server.let_go.set()
        assert [client.recv(9) for client in clients[:2]] == [b"done"] * 2
    assert caplog.messages == [f"uid {US} has too many connections to the test socket"]


def echo(connection: socket.socket, seconds: float = 60.0) -> Steps[None]:
    """Send back the first line of a client, however it comes."""
    line = b""
    while not line.endswith(b"\n"):
        yield Readable(connection, time.monotonic() + seconds, is_idle=True)
        received = connection.recv(9)
        if not received:
            return
        line += received
    connection.sendall(line)


def test_clients_without_a_whole_request_take_no_thread_and_no_turn(start: Start) -> None:
    with start(most=2, converse=echo) as server, ExitStack() as held:
        silent = [held.enter_context(server.connect()) for _ in range(300)]
        for client in silent[298:]:
            client.sendall(b"hel")
        with server.connect() as client:
            client.settimeout(2.0)  # an idle one lasts 60 s
            client.sendall(b"hello\n")
            assert client.recv(9) == b"hello\n"
        assert [it.recv(9) for it in silent[:298]] == [b""] * 298, "the oldest make room"
        silent[299].sendall(b"lo\n")
        assert silent[299].recv(9) == b"hello\n"
        assert not [it for it in threading.enumerate() if it.name.startswith("test-socket")]


def test_an_idle_client_is_disconnected_in_time(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def listen(connection: socket.socket) -> Steps[None]:
        try:
            yield Readable(connection, time.monotonic() + 0.2, is_idle=True)
        except TimeoutError:
            raise TimeoutError("it sent nothing") from None

    with start(converse=listen) as server:
        for _ in range(2):
            with server.connect() as client:
                assert client.recv(9) == b""
    assert caplog.messages == ["a connection to the test socket was closed: it sent nothing"]


def test_an_idle_client_may_leave(start: Start) -> None:
    left = threading.Event()

    def converse(connection: socket.socket) -> Steps[None]:
        yield from echo(connection)
        left.set()

    with start(converse=converse) as server:
        server.connect().close()
        assert left.wait(20.0)


def test_clients_that_are_idle_at_the_end_are_disconnected(start: Start) -> None:
    wiped = threading.Event()

    def converse(connection: socket.socket) -> Steps[None]:
        try:
            yield from echo(connection)
        finally:
            wiped.set()

    with start(converse=converse) as server, server.connect() as idle:
        wait_until(lambda: server.acceptor._waiting, 10.0, "the idle client")
        server.acceptor.stop()
        assert idle.recv(9) == b""
        assert wiped.wait(10.0), "what the conversation held is let go"


def test_a_conversation_goes_on_in_the_thread_that_may_block_and_then_without_one(
    start: Start,
) -> None:
    places: list[str] = []

    def is_here() -> None:
        places.append(threading.current_thread().name.rstrip("0123"))  # the pool has four threads

    def converse(connection: socket.socket) -> Steps[None]:
        for turn in range(2):
            yield from echo(connection)
            is_here()
            yield BLOCKING
            is_here()
            connection.sendall(b"%d" % turn)

    with start(converse=converse) as server, server.connect() as client:
        for turn in (b"0", b"1"):
            client.sendall(b"go\n")
            assert client.recv(3, socket.MSG_WAITALL) == b"go\n"
            assert client.recv(1) == turn
    assert places == ["test socket", "test-socket_"] * 2


def test_a_conversation_that_has_disconnected_its_client_goes_on_in_its_place(start: Start) -> None:
    go_on = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.close()
        go_on.wait(30.0)

    with start(most=1, converse=in_a_thread(answer)) as server, server.connect() as client:
        assert client.recv(9) == b""
        assert len(server.acceptor._clients) == 1
        with server.connect() as other:
            go_on.set()
            assert other.recv(9) == b""
        wait_until(lambda: not server.acceptor._clients, 10.0, "the end of both")


def test_who_waits_for_a_turn_goes_on_when_another_has_ended(start: Start) -> None:
    turns = threading.BoundedSemaphore(2)
    order: list[bytes] = []

    def converse(connection: socket.socket) -> Steps[None]:
        yield Readable(connection, time.monotonic() + 60.0)
        name = connection.recv(2)
        while not turns.acquire(blocking=False):
            yield LATER
        order.append(name)
        connection.sendall(b"?")
        yield Readable(connection, time.monotonic() + 60.0)
        turns.release()

    with start(most=30, converse=converse) as server, ExitStack() as held:
        clients = [held.enter_context(server.connect()) for _ in range(30)]
        wait_until(lambda: len(server.acceptor._waiting) == 30, 10.0, "thirty clients")
        for number, client in enumerate(clients):
            client.sendall(b"%02d" % number)
            wait_until(
                lambda number=number: len(order) + len(server.acceptor._later) > number,  # type: ignore[misc]
                10.0,
                "its place in the queue",
            )
        for client in clients:
            assert client.recv(1) == b"?"
            client.close()
    assert order == [b"%02d" % number for number in range(30)]


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_the_conversation_says(
    start: Start,
) -> None:
    silent, _other_end = socket.socketpair()

    def converse(connection: socket.socket) -> Steps[None]:
        try:
            yield Readable(silent, time.monotonic() + 0.1)
        except TimeoutError:
            connection.sendall(b"no answer")

    with silent, _other_end, start(converse=converse) as server, server.connect() as client:
        assert client.recv(9) == b"no answer"


def test_conversations_are_had_to_their_end_though_no_more_are_accepted(start: Start) -> None:
    with start() as server, server.connect() as client:
        wait_until(lambda: server.inside == 1, 10.0, "the client")
        server.acceptor.stop()
        server.let_go.set()
        assert client.recv(9) == b"done"


def test_a_connection_ends_at_its_deadline_however_busy_it_is(start: Start) -> None:
    def read(connection: socket.socket) -> None:
        while connection.recv(1):
            pass

    with start(converse=in_a_thread(read), seconds=0.5) as server, server.connect() as client:
        wait_until_disconnected(client, b"x")


def test_defects_at_the_will_of_clients_have_one_traceback(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_connection: socket.socket) -> None:
        raise RuntimeError("a defect")

    with start(converse=in_a_thread(fail)) as server:
        for _ in range(100):
            with server.connect() as client:
                assert client.recv(9) == b""
    assert caplog.messages == ["a defect of this program, at the test socket"]


class Short:
    """A listening socket of a process that has no descriptor left."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.is_short = True
        self.asked = 0

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> Any:
        self.asked += 1
        if self.is_short:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.socket.accept()


def test_without_descriptors_it_waits_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(tmp_path / "s")
    server.let_go.set()
    with listening("login.socket", f"unix:{server.path}", 0o600, None) as listener:
        short: Any = Short(listener)
        acceptor = Acceptor("test socket", Listener(short, is_ours=False), 4)
        acceptor.start(in_a_thread(server.handle), lambda error: None)
        begun, processor = time.monotonic(), time.process_time()
        with server.connect() as client:
            wait_until(lambda: short.asked >= 5, 20.0, "five attempts")
            took = time.monotonic() - begun
            assert short.asked <= took / 0.1 + 2
            assert time.process_time() - processor < 0.5 + took / 2
            short.is_short = False
            assert client.recv(9) == b"done"
        listener.stop()
    assert caplog.messages == [
        "cannot accept a connection at the test socket: [Errno 24] Too many open files"
    ]


class Checker:
    def check(self, _attempt: SaslauthdRequest) -> bytes:
        raise AssertionError("nobody may ask")


def test_a_flood_at_the_login_socket_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path, house = tmp_path / "mux", House(tmp_path)
    with listening("login.socket", f"unix:{path}", 0o600, None) as listener:
        server = LoginServer(listener, Checker(), [SOMEBODY_ELSE], 4)
        server.serve(ServiceGate(house.service), lambda error: None)
        for _ in range(MANY):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20.0)
                client.connect(str(path))
                assert client.recv(9) == b""
        threads = [it.name for it in threading.enumerate() if it.name.startswith("login")]
        server.stop()
    assert caplog.messages == [f"uid {US} may not use the login socket: see login.peers"]
    assert threads == ["login socket"]  # the one that accepts


def test_a_flood_at_the_notification_socket_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify(tmp_path, SOMEBODY_ELSE, [b"x" * 100] * MANY)
    assert caplog.messages == [f"uid {US} may not send notifications: see login.peers"]


def test_malformed_notifications_of_a_peer_are_one_line_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify(tmp_path, US, [b"%d" % number for number in range(MANY)])
    assert len(caplog.messages) == 1


def notify(tmp_path: Path, peer: int, datagrams: list[bytes]) -> None:
    """Send notifications, and wait until all but the first are left out of the log."""
    path, house = tmp_path / "notify", House(tmp_path)
    kind = socket.SOCK_DGRAM
    with listening("login.notify_socket", f"unix:{path}", 0o600, None, kind) as listener:
        events = Events(listener, [peer], None)
        events.serve(ServiceGate(house.service), lambda error: None)
        with socket.socket(socket.AF_UNIX, kind) as client:
            for datagram in datagrams:
                client.sendto(datagram, str(path))
        left_out = len(datagrams) - 1
        wait_until(lambda: _left_out(events) == left_out, 20.0, "the count of the rest")
        events.stop()


def _left_out(events: Events) -> int:
    logs = (events._log, events._peers_log)
    return sum(cause.left_out for it in logs for cause in it._causes.values())
