"""The listening socket of a front end: made here, owned by one process, handed on as a descriptor.

Creating it here gives exact messages, the right mode and group before the first connection, and a way
to stop listening without libmilter.
"""

import contextlib
import errno
import fcntl
import grp
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from autocreate.backends.owner_rights import owner_of, rights_of
from autocreate.errors import ConfigurationError, Temporary
from autocreate.frontends.activation import InheritedSockets

_BACKLOG = 128
_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7)


class Listener:
    """A listening socket.

    Args:
        is_ours: made here, so that it can be shut; one that was inherited belongs to systemd, which
            keeps it for the next instance.
    """

    def __init__(self, listener: socket.socket, is_ours: bool) -> None:
        self._socket = listener
        self._is_ours = is_ours
        self._is_shared = False

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def socket(self) -> socket.socket:
        """The socket itself, for a front end that accepts on it."""
        return self._socket

    def share(self) -> int:
        """The descriptor, for other processes that are to accept on the socket, too."""
        self._is_shared = True
        return self._socket.fileno()

    def stop(self) -> None:
        """Take no new connections. Threads that accept on the descriptor are not disturbed."""
        with contextlib.suppress(OSError):
            if self._is_ours and self._socket.family == socket.AF_UNIX:
                os.unlink(self._socket.getsockname())
        if self._is_shared or not self._is_ours:
            self._detach()
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _detach(self) -> None:
        """Leave new connections to other processes: the next instance, which gets the same socket, or those
        that share it.

        The socket must not be shut down, and libmilter does not stop accepting. So the descriptor is
        made that of another socket, where nobody connects.
        """
        with socket.socket(self._socket.family, self._socket.type) as elsewhere:
            elsewhere.bind("" if elsewhere.family == socket.AF_UNIX else ("", 0))
            if elsewhere.type == socket.SOCK_STREAM:
                elsewhere.listen()
            os.dup2(elsewhere.fileno(), self._socket.fileno(), inheritable=False)


def peer_uid(connection: socket.socket) -> int:
    """The id of the user at the other end of a Unix socket, as of when it connected."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(credentials)
    return int(uid)


@contextlib.contextmanager
def listening(
    key: str,
    place: str,
    mode: int,
    group: str | None,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    handed_over: InheritedSockets | None = None,
) -> Iterator[Listener]:
    """A socket that listens at `place`, for as long as the context lasts.

    If systemd holds a socket there it is used, with its mode and group.

    Args:
        key: what the configuration calls it, for messages.
        place: "unix:/path", "inet:HOST:PORT", or "fd:N" for one inherited (sd_listen_fds(3)).
        mode: of a Unix socket.
        group: that a Unix socket belongs to, or None for the process's.
        kind: SOCK_STREAM for connections, or SOCK_DGRAM for datagrams to a Unix socket.
        handed_over: the sockets that systemd has passed to this process.

    Raises:
        Temporary: another instance listens there.
        ConfigurationError: it is impossible to listen there.
    """
    family, _, rest = place.partition(":")
    with contextlib.ExitStack() as held:
        try:
            held_by_systemd = handed_over.take(place, kind) if handed_over else None
            if held_by_systemd:
                opened = held.enter_context(_listens(held_by_systemd, kind))
            elif family == "unix":
                opened = held.enter_context(_unix(key, Path(rest), mode, group, kind))
            elif family == "fd":
                opened = held.enter_context(_listens(socket.socket(fileno=int(rest)), kind))
            else:
                opened = held.enter_context(_inet(rest))
        except OSError as error:
            raise ConfigurationError(
                key, [f"cannot listen at {place}: {error.strerror or error}"]
            ) from error
        yield Listener(opened, is_ours=family != "fd" and held_by_systemd is None)


@contextlib.contextmanager
def _unix(
    key: str, path: Path, mode: int, group: str | None, kind: socket.SocketKind
) -> Iterator[socket.socket]:
    with _locked(key, path), socket.socket(socket.AF_UNIX, kind) as listener:
        with rights_of(owner_of(path)):
            _remove_left_behind(path)
            listener.bind(str(path))
        # Nobody can connect before listen(), so nobody sees the socket with another mode. A datagram
        # could come earlier, but its sender's credentials are looked at.
        with _pinned(path) as socket_file:
            os.chmod(socket_file, mode)
            if group is not None:
                os.chown(socket_file, -1, grp.getgrnam(group).gr_gid)
        if kind == socket.SOCK_STREAM:
            listener.listen(_BACKLOG)
        yield listener


def _remove_left_behind(path: Path) -> None:
    """Remove the socket of a killed instance: we hold its lock. Nothing else is removed."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError("a file that is not a socket is in the way")
        path.unlink()


@contextlib.contextmanager
def _pinned(path: Path) -> Iterator[str]:
    """A name of the socket at the path that leads to nothing else, though the folder's owner replaces it."""
    found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise OSError("another program replaces the socket")
        yield f"/proc/self/fd/{found}"
    finally:
        os.close(found)


@contextlib.contextmanager
def _locked(key: str, path: Path) -> Iterator[None]:
    """Hold the lock beside a socket. The file stays: to remove it would let two hold one lock."""
    lock = _lock_file(f"{path}.lock")
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Temporary(
                f"another instance listens at {path}: stop it, or give this one another {key}"
            ) from error
        yield
    finally:
        os.close(lock)


def _lock_file(path: str) -> int:
    """A descriptor of the lock, which is made if it is missing. No link is followed: it would not be our lock."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            with rights_of(owner_of(path)):
                return os.open(path, flags | os.O_CREAT, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, f"{path} is a link; remove it") from error
        raise


def _inet(place: str) -> socket.socket:
    host, _, port = place.rpartition(":")
    host = host.strip("[]")
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _listens(listener: socket.socket, kind: socket.SocketKind) -> socket.socket:
    listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if listener.type != kind or listens != (kind == socket.SOCK_STREAM):
        raise OSError(f"descriptor {listener.fileno()} is not a listening socket of this kind")
    return listener
