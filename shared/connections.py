"""One client's connection to a process, with bounds: uvicorn's own takes headers of any size, for ever, from everybody.

The gateway has the same bounds in front of the services (``deploy/gateway/Caddyfile``); the one process has nobody in front of it.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared import telemetry
from shared.web.headers import SAFE_HEADERS
from shared.web.marks import mark
from shared.web.problems import problem

MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100
HEADER_SECONDS = 10.0
"""From the connection, or from the first byte of a further request, to the end of the headers."""
MAX_CONNECTIONS = 512
"""Well below the 1,024 files that a process may have open by default: databases and Kafka need some."""
ACCEPTED_AT_ONCE = 64
"""As many are accepted in one turn of the loop, and two turns go by before one that has to give way has freed its file."""

Refusal = tuple[int, str, str]
"""Status, code and detail."""
_TOO_LARGE: Refusal = (431, "headers-too-large", f"The headers have at most {MAX_HEADER_BYTES} bytes.")
_TOO_MANY: Refusal = (431, "too-many-headers", f"A request has at most {MAX_HEADERS} headers.")
_TOO_SLOW: Refusal = (408, "headers-too-slow", f"The headers come within {HEADER_SECONDS:g} seconds.")
_NOT_HTTP: Refusal = (400, "not-http", "This is not a request that HTTP/1.1 knows.")
_CODING: Refusal = (501, "transfer-coding", "A body is sent as it is, or chunked.")
_FULL: Refusal = (503, "too-many-connections", "Too many connections are at work. Try again in a moment.")


class BoundedConnection(HttpToolsProtocol):
    """Ends a connection whose headers are too large, too many or too slow, or whose body has a transfer coding other than chunked.

    Where there are too many connections, the one that has been idle the longest gives way; where all are at work, the new one is refused.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # Any: handed on as uvicorn gives them
        super().__init__(*arguments, **options)
        self.headers = []
        self._in_headers = True
        self._headers_ended = False
        self._head = bytearray()
        self._refusal: Refusal | None = None
        self.idle_since = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        """For the headers, or after an early answer for the rest of its body: there is never more than one of them to wait for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._start_timer(self._too_slow)
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """In slices, so that no more of a header is read than it may have."""
        self._unset_keepalive_if_required()
        for start in range(0, len(data), MAX_HEADER_BYTES):
            self._read(data[start : start + MAX_HEADER_BYTES])
            if self._refusal is not None:
                self._refuse(self._refusal)
            if self.transport.is_closing():
                return
        if self._in_headers and self._head and self._timer is None:
            self._start_timer(self._too_slow)

    def _read(self, piece: bytes) -> None:
        self._headers_ended = False
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # an offer of another protocol, which nobody has to take
        except httptools.HttpParserError:
            self._refusal = self._refusal or (_CODING if _names_other_coding(bytes(self._head) + piece) else _NOT_HTTP)
        if self._in_headers and not self._headers_ended:
            self._head += piece
        if len(self._head) > MAX_HEADER_BYTES:
            self._refusal = self._refusal or _TOO_LARGE

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            self._refusal = self._refusal or _TOO_MANY

    def on_headers_complete(self) -> None:
        self._in_headers, self._headers_ended = False, True
        self._head.clear()
        self._stop_timer()
        if any(name == b"transfer-encoding" and value.strip().lower() != b"chunked" for name, value in self.headers):
            self._refusal = self._refusal or _CODING
        if self._refusal is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._refusal is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = True
        self._stop_timer()
        if self._refusal is None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """What is answered before its body has come, as what leads nowhere, has no longer for the rest than headers have."""
        self.idle_since = self.loop.time()
        super().on_response_complete()
        if not self._in_headers:
            self._start_timer(self.transport.close)

    @property
    def idle(self) -> bool:
        """Whether no request is at work on it."""
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # none before the first request

    def _make_room(self) -> None:
        """One that is closing leaves ``connections`` in a later turn of the loop: it neither counts nor can it give way again."""
        held = [one for one in self.connections if isinstance(one, BoundedConnection) and not one.transport.is_closing()]
        if len(held) <= MAX_CONNECTIONS:
            return
        others = [one for one in held if one.idle and one is not self]
        if others:
            min(others, key=lambda one: one.idle_since).transport.close()
        else:
            self._refuse(_FULL)

    def _start_timer(self, end: Callable[[], None]) -> None:
        self._timer = self.loop.call_later(HEADER_SECONDS, end)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        """Who has said nothing yet, as browsers that connect ahead, is told nothing either."""
        if self._head:
            self._refuse(_TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Say why and end the connection; what is just being answered on it is cut off, for nobody reads two answers at once."""
        status, code, detail = refusal
        telemetry.logger("http").info("http.refused", status=status, code=code)
        if self.idle and not self.transport.is_closing():
            response = problem(mark({"type": "http"}, None), status, code, detail)
            response.headers.update({**SAFE_HEADERS, "Connection": "close"})
            lines = [STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in response.raw_headers), b"\r\n"]
            self.transport.write(b"".join(lines) + bytes(response.body))
        self.transport.close()


def _names_other_coding(head: bytes) -> bool:
    """Whether what the parser refused is the transfer coding: it ends at the header, before it hands it over."""
    return _CODED.search(head) is not None and _SIZED.search(head) is None


_CODED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_SIZED = re.compile(rb"\r\ncontent-length:", re.IGNORECASE)
