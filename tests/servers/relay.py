"""A way to a server that can fall silent: connections are taken, and from then on nothing more comes through."""

from __future__ import annotations

import contextlib
import socket
import threading

from .common import HOST
from .scripted import ScriptedServer


class Relay(ScriptedServer):
    """Passes everything on between `port` and the server's, until told otherwise.

    `altered` is a pair of words of one length: all that passes has the second for the first. `written` is what
    clients have sent so far, in `writes` pieces, and `said` what the server has; `connections` how many have come;
    `open` are there now. A change of `server_port` counts for who comes from then on.

    Args:
        delay: seconds that each piece takes on its way, in each direction.
    """

    def __init__(
        self,
        server_port: int,
        host: str = HOST,
        port: int = 0,
        server_host: str = HOST,
        delay: float = 0.0,
    ) -> None:
        """Listens on `host` and `port`, 0 for any."""
        super().__init__(socket.create_server((host, port)))
        self.host = host
        self.server_port = server_port
        self._server_host = server_host
        self._delay = delay
        # Several connections add to them at once, each in one step.
        self.written, self.said = bytearray(), bytearray()
        self.writes = 0
        self.altered = (b"", b"")
        self.open = 0
        self._passes = threading.Event()
        self._passes.set()
        self._resumed = threading.Event()
        self._halt = b""
        self._held = b""
        self._allowance: int | None = None

    def close(self) -> None:
        self.resume()
        super().close()

    def pause(self) -> None:
        """Nothing comes through any more, on no connection."""
        self._passes.clear()

    def pause_before(self, words: bytes) -> None:
        """Pauses as soon as a client writes something with these words in it, which is held back."""
        self._halt = words

    def hold(self, words: bytes) -> None:
        """What a client writes with these words in it is held back, and that connection with it. Others go on."""
        self._resumed.clear()
        self._held = words

    def pause_after(self, size: int) -> None:
        """Lets so many bytes more through of what the server says, and then pauses."""
        self._allowance = size

    def resume(self) -> None:
        self._halt = self._held = b""
        self._allowance = None
        self._passes.set()
        self._resumed.set()

    @property
    def is_paused(self) -> bool:
        return not self._passes.is_set()

    def serve(self, client: socket.socket) -> None:
        self.open += 1
        with contextlib.closing(
            socket.create_connection((self._server_host, self.server_port))
        ) as server:
            self._clients.append(server)
            for it in (client, server):
                it.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            self._pass(client, server, from_client=True)
            back.join()

    def _pass(
        self, source: socket.socket, target: socket.socket, from_client: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if from_client:
                    self.written += data
                    self.writes += 1
                else:
                    self.said += data
                data = data.replace(*self.altered) if self.altered[0] else data
                if self._halt and self._halt in data:
                    self.pause()
                if not from_client and self._allowance is not None:
                    target.sendall(data[: self._allowance])
                    data = data[self._allowance :]
                    self._allowance = 0
                    self.pause()
                if self._held and self._held in data and from_client:
                    self._resumed.wait()
                self._passes.wait()
                if self._delay:
                    self._is_over.wait(self._delay)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        if from_client:
            self.open -= 1
