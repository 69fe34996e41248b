"""The outermost layer of a service: marks every request, guards its size, sets safe headers, counts, and hides failures."""

import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import telemetry
from shared.web.answers import AnswerCodec, Refusal
from shared.web.marks import Marks, mark
from shared.web.problems import PROBLEMS, problem
from shared.web.strict_json import MAX_BODY_BYTES, too_large

MAX_URL_BYTES = 4096

SAFE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
}
"""Set on every answer that does not set them itself."""


ONCE = frozenset(
    {
        b"authorization",
        b"afterglow-practitioner",
        b"afterglow-clinic",
        b"idempotency-key",
        b"if-match",
        b"if-none-match",
        b"content-type",
        b"content-encoding",
        b"origin",
        b"sec-fetch-site",
    }
)
"""Headers that decide something. Where one comes twice, a proxy or a program has added its own, and either could be the right one."""

NET_BODY_BYTES = 2 * MAX_BODY_BYTES
"""The net under the limit of ``strict_json``, for whatever would read a body by another way."""


class Outermost:
    """Pure ASGI middleware. An exception that nobody refused with becomes a 500 without content; only its class and place are logged.

    A HEAD is answered as its GET is, checks, audit and all, without the body.
    """

    def __init__(self, app: ASGIApp, *, metrics: telemetry.Metrics, https: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._log = telemetry.logger("http", service=metrics.service)
        self._safe = {**SAFE_HEADERS, **({"Strict-Transport-Security": "max-age=31536000"} if https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        marks = mark(scope, headers.get("x-request-id"))
        trace = telemetry.Trace(telemetry.child_traceparent(headers.get("traceparent")), marks.correlation_id)
        with telemetry.tracing(trace):
            method = scope["method"]
            if method == "HEAD":
                scope = {**scope, "method": "GET"}
            await self._observed(scope, receive, _Answer(send, marks, self._safe, bare=method == "HEAD"), marks, method)

    async def _observed(self, scope: Scope, receive: Receive, answer: "_Answer", marks: Marks, method: str) -> None:
        began = time.perf_counter()
        try:
            await self._answered(scope, receive, answer, marks)
        finally:
            seconds = time.perf_counter() - began
            operation = getattr(scope.get("route"), "name", None) or "unmatched"
            self._metrics.requests.labels(operation, str(answer.status)).inc()
            self._metrics.request_seconds.labels(operation).observe(seconds)
            named = {"operation": operation, "method": method, "request_id": marks.request_id}
            self._log.info("http.answered", status=answer.status, duration_ms=round(seconds * 1000, 1), **named)

    async def _answered(self, scope: Scope, receive: Receive, answer: "_Answer", marks: Marks) -> None:
        try:
            if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
                await _too_long(marks)(scope, receive, answer)
            elif (repeated := _repeated(scope)) is not None:
                await problem(marks, 400, "header-malformed", f"The header {repeated} may be there once.")(scope, receive, answer)
            else:
                await self._app(scope, _limited(receive), answer)
        except Exception as error:  # whatever the product did not foresee: the caller gets a 500 that says nothing of it
            place = telemetry.place_of(error)
            self._log.error("http.failed", error_class=type(error).__name__, error_place=place, request_id=marks.request_id)
            if answer.status is not None:
                raise
            await _failed(scope, marks)(scope, receive, answer)


class _Answer:
    """The ``send`` of one request: adds the headers, remembers the status. ``bare`` sends the headers alone, as for HEAD."""

    def __init__(self, send: Send, marks: Marks, safe: Mapping[str, str], *, bare: bool) -> None:
        self._send = send
        self._marks = marks
        self._safe = safe
        self._bare = bare
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._marks.request_id
            for name, value in self._safe.items():
                headers.setdefault(name, value)
        elif self._bare and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


def _repeated(scope: Scope) -> str | None:
    """The name of a header that comes twice and may not."""
    names = [name for name, _ in scope["headers"] if name in ONCE]
    return next((name.decode().title() for name in names if names.count(name) > 1), None)


def _too_long(marks: Marks) -> Response:
    return problem(marks, 414, "uri-too-long", f"An address has at most {MAX_URL_BYTES} bytes.")


def _limited(receive: Receive) -> Receive:
    """The framework has a limit of its own, but answers with plain text and without our headers."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > NET_BODY_BYTES:
            raise too_large()
        return message

    return counted


def _failed(scope: Scope, marks: Marks) -> Response:
    """In the language of the operation, where there was one."""
    answers: AnswerCodec = getattr(scope.get("route"), "answer_codec", PROBLEMS)
    return answers.refused(marks, Refusal(500, "internal-error", "Something failed on our side; nothing was changed."))
