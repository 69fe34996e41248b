"""The two ports of a process, taken before anything else is started: one that somebody else has ends the start at once."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

EXIT_IN_USE = 75
"""Exit code when another process has the port or the data folder (EX_TEMPFAIL)."""


class PortTaken(Exception):
    """This process cannot listen on a port of its own. ``port`` is its number."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"port {port} of {host} cannot be listened on: {why}")
        self.port = port


class Listeners(NamedTuple):
    """Where requests come in, and where health and metrics are asked for; bound, and refusing connections until they are served."""

    public: socket.socket
    private: socket.socket

    @property
    def port(self) -> int:
        return int(self.public.getsockname()[1])

    @property
    def url(self) -> str:
        """Where this process itself is reached, by whatever stands in front of it."""
        host = self.public.getsockname()[0]
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@contextmanager
def bound(host: str, port: int, ops_host: str, ops_port: int) -> Iterator[Listeners]:
    """Both ports, until the block ends. Raises PortTaken."""
    with ExitStack() as stack:
        yield Listeners(stack.enter_context(_bound(host, port)), stack.enter_context(_bound(ops_host, ops_port)))


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as unknown:
        raise PortTaken(host, port, str(unknown.strerror)) from unknown
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as taken:
        listener.close()
        raise PortTaken(host, port, str(taken.strerror)) from taken
    return listener
