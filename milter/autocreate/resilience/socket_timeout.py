"""Time limits on sockets that the kernel keeps (socket(7)), where Python's own do not reach.

Python keeps a time limit by making the socket non-blocking. That changes what connect(2) does, and a
library that reads from the socket by itself does not expect it.
"""

import math
import socket
import struct


def limit(connection: socket.socket, seconds: float, *, receiving: bool = True) -> None:
    """Let no call on a blocking socket, nor on another descriptor of it, wait any longer.

    Args:
        receiving: for what is received; else for connecting and sending.
    """
    option = socket.SO_RCVTIMEO if receiving else socket.SO_SNDTIMEO
    fraction, whole = math.modf(seconds)
    timeval = struct.pack("@ll", int(whole), math.ceil(fraction * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, option, timeval)
