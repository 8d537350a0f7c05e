"""The listening socket of a front end."""

from __future__ import annotations

import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from autocreate.errors import ConfigurationError, Temporary
from autocreate.frontends.listener import listening
from tests.servers.common import accepts, free_port

KEY = "milter.socket"


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@pytest.mark.parametrize("mode", [0o660, 0o600, 0o666])
def test_a_unix_socket_has_its_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        with listening(KEY, f"unix:{tmp_path}/s", mode, None):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
            assert connects(tmp_path / "s")
    finally:
        os.umask(before)


def test_a_unix_socket_belongs_to_its_group(tmp_path: Path) -> None:
    with listening(KEY, f"unix:{tmp_path}/s", 0o660, "nogroup"):
        assert (tmp_path / "s").stat().st_gid == grp.getgrnam("nogroup").gr_gid


def test_a_second_instance_is_told_of_the_first_and_leaves_it_alone(tmp_path: Path) -> None:
    with listening(KEY, f"unix:{tmp_path}/s", 0o660, None):
        with (
            pytest.raises(Temporary, match=f"another instance listens at {tmp_path}/s: stop it"),
            listening(KEY, f"unix:{tmp_path}/s", 0o660, None),
        ):
            pass
        assert connects(tmp_path / "s")


def test_a_socket_that_a_killed_instance_left_behind_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "s"))
    with listening(KEY, f"unix:{tmp_path}/s", 0o660, None):
        assert connects(tmp_path / "s")


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with (
        pytest.raises(ConfigurationError) as caught,
        listening(KEY, f"unix:{tmp_path}/s", 0o660, None),
    ):
        pass
    assert str(caught.value) == (
        f"milter.socket: cannot listen at unix:{tmp_path}/s: a file that is not a socket is in the way"
    )
    assert (tmp_path / "s").read_text() == "precious"


def test_stopping_refuses_new_connections_and_removes_the_socket(tmp_path: Path) -> None:
    with listening(KEY, f"unix:{tmp_path}/s", 0o660, None) as listener:
        listener.stop()
        assert not (tmp_path / "s").exists()
    port = free_port()
    with listening(KEY, f"inet:127.0.0.1:{port}", 0, None) as listener:
        assert accepts(port)
        listener.stop()
        assert not accepts(port)


def test_an_inet_socket_listens_as_long_as_it_is_wanted() -> None:
    port = free_port()
    with listening(KEY, f"inet:127.0.0.1:{port}", 0, None):
        assert accepts(port)
    assert not accepts(port)


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    place = f"inet:127.0.0.1:{free_port()}"
    with (
        listening(KEY, place, 0, None),
        pytest.raises(ConfigurationError, match=f"cannot listen at {place}: Address already in"),
        listening(KEY, place, 0, None),
    ):
        pass


def test_an_inherited_socket_is_used_and_left_open(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(str(tmp_path / "s"))
        ours.listen()
        with listening(KEY, f"fd:{os.dup(ours.fileno())}", 0, None) as listener:
            listener.stop()
            assert connects(tmp_path / "s")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("unix:{}/nowhere/s", "No such file or directory"),
        ("unix:{}/" + "s" * 200, "AF_UNIX path too long"),
        ("inet:192.0.2.1:8894", "Cannot assign requested address"),
        ("fd:999", "Bad file descriptor"),
    ],
)
def test_a_place_where_nobody_can_listen_is_a_mistake_in_the_configuration(
    tmp_path: Path, place: str, reason: str
) -> None:
    with (
        pytest.raises(ConfigurationError, match=f"^milter.socket: cannot listen at .*: {reason}"),
        listening(KEY, place.format(tmp_path), 0o660, None),
    ):
        pass


def test_a_descriptor_that_does_not_listen_is_refused() -> None:
    with (
        socket.socket() as plain,
        pytest.raises(ConfigurationError, match="is not a listening socket"),
        listening(KEY, f"fd:{os.dup(plain.fileno())}", 0, None),
    ):
        pass


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "s.lock").symlink_to(tmp_path / "made")
    with (
        pytest.raises(ConfigurationError, match=r"s\.lock is a link; remove it"),
        listening(KEY, f"unix:{tmp_path}/s", 0o660, None),
    ):
        pass
    assert not (tmp_path / "made").exists()


def test_a_fifo_in_the_place_of_the_lock_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.lock")
    with listening(KEY, f"unix:{tmp_path}/s", 0o660, None):
        assert connects(tmp_path / "s")
