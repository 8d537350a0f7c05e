"""An answer has its time and its bytes, however it comes in."""

from __future__ import annotations

import collections
import contextlib
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from autocreate.resilience.answer_limit import (
    MOST,
    AnswerTooLong,
    LimitedStream,
    ReceivedLimit,
    limited_rows,
)

READS: dict[str, Callable[[LimitedStream], bytes]] = {
    "a line": LimitedStream.readline,
    "a piece": lambda stream: stream.read(MOST),
}


@contextlib.contextmanager
def server(*pieces: bytes, pause: float = 0.0, repeat: bool = False) -> Iterator[socket.socket]:
    """A connection to somebody who says the pieces, once or for ever, and then nothing."""
    ours, theirs = socket.socketpair()
    is_over = threading.Event()

    def speak() -> None:
        with contextlib.suppress(OSError):
            while not is_over.is_set():
                for piece in pieces:
                    theirs.sendall(piece)
                    is_over.wait(pause)
                if not repeat:
                    return

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield ours
    finally:
        is_over.set()
        for end in (ours, theirs):
            end.close()
        thread.join(10.0)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_an_answer_that_drips_has_no_more_time_than_any_other(
    read: Callable[[LimitedStream], bytes],
) -> None:
    with server(b"x", pause=0.02, repeat=True) as connection:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            read(LimitedStream(connection, 0.3))
        assert time.monotonic() - began < 10.0


def test_a_line_without_end_fills_no_memory() -> None:
    with server(b"x" * 65536, repeat=True) as connection:
        tracemalloc.start()
        try:
            with pytest.raises(AnswerTooLong):
                LimitedStream(connection, 60.0).readline()
            assert tracemalloc.get_traced_memory()[1] < 4 * MOST
        finally:
            tracemalloc.stop()


def test_lines_without_end_have_one_limit_together_until_the_next_answer() -> None:
    with server(b"x" * 99 + b"\n", repeat=True) as connection:
        stream = LimitedStream(connection, 60.0, most=100_000)
        for _ in range(2):
            with pytest.raises(AnswerTooLong):
                collections.deque(iter(stream.readline, b""))
            stream.allow(60.0)
            assert stream.readline().endswith(b"x\n")


def test_an_announced_length_is_not_waited_for_if_it_is_too_long() -> None:
    with server() as connection, pytest.raises(AnswerTooLong):
        LimitedStream(connection, 60.0).read(MOST + 1)


def test_a_server_that_does_not_read_stops_nobody_who_writes() -> None:
    with server() as connection:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            LimitedStream(connection, 0.2).send(b"x" * (16 << 20))
        assert time.monotonic() - began < 10.0


def test_the_end_of_the_connection_ends_a_line_and_a_piece() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"one\ntwo")
        theirs.shutdown(socket.SHUT_WR)
        stream = LimitedStream(ours, 10.0)
        assert (stream.readline(), stream.readline(), stream.read(5)) == (b"one\n", b"two", b"")


def test_nothing_that_came_before_tls_is_read_within() -> None:
    with server(b"OK\nand more\n") as connection:
        stream = LimitedStream(connection, 10.0)
        assert stream.readline() == b"OK\n"
        with pytest.raises(ConnectionError, match="spoke before TLS"):
            stream.secure(ssl.create_default_context(), "localhost")


def test_what_a_library_reads_from_a_unix_socket_counts_at_each_look() -> None:
    with server(b"x" * 1000, repeat=True) as connection:
        limit = ReceivedLimit(connection, 60.0, most=100_000, reads_all=True)

        def read_all() -> None:
            while limit.seconds_left():
                connection.recv(1 << 20)

        with pytest.raises(AnswerTooLong):
            read_all()


def test_what_a_library_hands_over_counts_where_the_kernel_does_not_count() -> None:
    with server(b"x" * 1000) as connection:
        limit = ReceivedLimit(connection, 60.0, most=100)
        limit.handed_over(100)
        assert limit.seconds_left()  # what waits may be waiting since the last look
        with pytest.raises(AnswerTooLong):
            limit.handed_over(1)


@pytest.mark.parametrize("row", [("x" * 1000,), (b"x" * 1000, None), (1, 2)], ids=str)
def test_rows_have_one_limit_together(row: tuple[object, ...]) -> None:
    def rows() -> Iterator[tuple[object, ...]]:
        for _ in range(MOST):
            yield row
        raise AssertionError("all of them were asked for")

    with pytest.raises(AnswerTooLong):
        collections.deque(limited_rows(rows()), maxlen=0)
