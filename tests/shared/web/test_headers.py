"""What is on every answer, whoever made it."""

import io
from contextlib import redirect_stderr
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from starlette.types import Message, Receive, Scope, Send

from shared import telemetry
from shared.telemetry import Metrics
from shared.web.headers import MAX_URL_BYTES, NET_BODY_BYTES, ONCE, SAFE_HEADERS, Outermost
from tests.shared.web.client import Client

A_UUID = "2f1d0e62-6ad0-4b8e-9d34-1f8f0d6f7a11"
NO_IDS = (
    "",
    "abc-123",
    "Jane.Doe.1980",
    "078-05-1120",
    "+12125550123",
    "a" * 33,
    f"{{{A_UUID}}}",
    f"urn:uuid:{A_UUID}",
    "<script>",
    "a\u00e9",
)


@pytest.mark.parametrize("path", ["/tiny/v1/hello", "/tiny/v1/notes", "/nowhere", "/tiny/v1/clinics", f"/{'x' * MAX_URL_BYTES}"])
async def test_every_answer_is_safe_to_hold(client: Client, path: str) -> None:
    answer = await client.http.get(path)
    assert {name: answer.headers[name] for name in SAFE_HEADERS} == dict(SAFE_HEADERS)
    assert str(UUID(answer.headers["x-request-id"])) == answer.headers["x-request-id"]
    assert "server" not in answer.headers


async def test_a_defect_is_a_500_with_the_same_headers_and_nothing_else(client: Client) -> None:
    given = str(uuid4())
    answer = await client.post("/tiny/v1/failures", X_Request_Id=given)
    assert answer.status_code == 500
    assert {name: answer.headers[name] for name in SAFE_HEADERS} == dict(SAFE_HEADERS)
    assert answer.headers["x-request-id"] == given
    assert answer.json()["detail"] == "Something failed on our side; nothing was changed."


@pytest.mark.parametrize("given", [A_UUID, A_UUID.upper(), "4bf92f3577b34da6a3ce929d0e0e4736"])
async def test_a_request_id_that_can_be_nothing_else_is_kept(client: Client, given: str) -> None:
    assert (await client.http.get("/tiny/v1/hello", headers={"X-Request-Id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize("given", NO_IDS)
async def test_any_other_request_id_is_replaced(client: Client, given: str) -> None:
    sent = [(b"X-Request-Id", given.encode("latin-1"))]
    with structlog.testing.capture_logs() as lines:
        answer = await client.http.get("/tiny/v1/hello", headers=sent)
    replaced = answer.headers["x-request-id"]
    assert str(UUID(replaced)) == replaced
    assert replaced != given
    assert [line["request_id"] for line in lines if "request_id" in line] == [replaced]


async def test_a_problem_names_the_request(client: Client) -> None:
    given = "2f1d0e62-6ad0-4b8e-9d34-1f8f0d6f7a11"
    answer = await client.http.get("/nowhere", headers={"X-Request-Id": given})
    assert answer.json()["instance"] == f"urn:uuid:{given}"


@pytest.mark.parametrize("path", [f"/{'x' * MAX_URL_BYTES}", f"/tiny/v1/hello?{'x' * MAX_URL_BYTES}"])
async def test_an_address_has_a_length(client: Client, path: str) -> None:
    answer = await client.http.get(path)
    assert (answer.status_code, answer.json()["code"], answer.json()["title"]) == (414, "uri-too-long", "Uri too long")


@pytest.mark.parametrize("name", sorted(ONCE))
async def test_a_header_that_decides_something_is_there_once_since_either_could_be_the_right_one(client: Client, name: bytes) -> None:
    answer = await client.http.get("/tiny/v1/hello", headers=[(name, A_UUID.encode()), (name, str(uuid4()).encode())])
    assert (answer.status_code, answer.json()["code"]) == (400, "header-malformed")
    assert answer.json()["detail"] == f"The header {name.decode().title()} may be there once."


async def test_a_header_of_proxies_may_be_there_several_times(client: Client) -> None:
    answer = await client.http.get("/tiny/v1/hello", headers=[(b"X-Forwarded-For", b"192.0.2.1"), (b"X-Forwarded-For", b"192.0.2.2")])
    assert answer.status_code == 200


class Recorded:
    """The layer around an app of a test's own, and what came out of it."""

    def __init__(self, app: Any, *, https: bool = False) -> None:
        self.metrics = Metrics("tiny")
        self.layer = Outermost(app, metrics=self.metrics, https=https)
        self.messages: list[Message] = []

    async def ask(self, *headers: tuple[bytes, bytes], kind: str = "http") -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            self.messages.append(message)

        await self.layer({"type": kind, "method": "GET", "path": "/x", "query_string": b"", "headers": headers}, receive, send)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])


async def answers(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
    await send({"type": "http.response.body", "body": telemetry.current_trace().traceparent.encode()})  # type: ignore[union-attr] # set


async def test_an_answer_may_set_a_header_itself() -> None:
    recorded = Recorded(answers)
    await recorded.ask()
    assert recorded.headers[b"cache-control"] == b"max-age=60"
    assert b"strict-transport-security" not in recorded.headers


async def test_https_is_insisted_on_where_it_is_used() -> None:
    recorded = Recorded(answers, https=True)
    await recorded.ask()
    assert recorded.headers[b"strict-transport-security"] == b"max-age=31536000"


async def test_a_callers_trace_is_continued() -> None:
    recorded = Recorded(answers)
    await recorded.ask((b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    assert recorded.messages[1]["body"].startswith(b"00-0af7651916cd43dd8448eb211c80319c-")
    assert telemetry.current_trace().traceparent is None, "a trace must not outlive its request"


async def test_a_malformed_trace_begins_a_new_one() -> None:
    recorded = Recorded(answers)
    await recorded.ask((b"traceparent", b"Jane Doe"))
    assert b"Jane" not in recorded.messages[1]["body"]


async def breaks_off(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("Jane Doe")


async def test_an_answer_that_breaks_off_is_not_given_another_end() -> None:
    recorded = Recorded(breaks_off)
    with pytest.raises(RuntimeError):
        await recorded.ask()
    assert [message["type"] for message in recorded.messages] == ["http.response.start"]


async def test_nothing_reads_a_body_without_limit() -> None:
    read = 0

    async def reads(_scope: Scope, receive: Receive, _send: Send) -> None:
        nonlocal read
        while True:
            read += len((await receive())["body"])

    async def endless() -> Message:
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    async def send(_message: Message) -> None: ...

    layer = Outermost(reads, metrics=Metrics("tiny"), https=False)
    await layer({"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": []}, endless, send)
    assert NET_BODY_BYTES - 1000 <= read <= NET_BODY_BYTES


async def test_what_is_not_http_passes_by() -> None:
    async def lifespan(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": scope["type"]})

    recorded = Recorded(lifespan)
    await recorded.ask(kind="lifespan")
    assert recorded.messages == [{"type": "lifespan"}]


async def test_requests_are_counted_by_operation_and_status(client: Client) -> None:
    recorded = Recorded(client.app)
    await recorded.ask()
    sample = recorded.metrics.registry.get_sample_value("afterglow_http_requests_total", {"operation": "unmatched", "status": "404"})
    assert sample == 1


async def test_a_log_line_holds_no_address_and_no_text_of_a_failure() -> None:
    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("Jane Doe")

    shown = io.StringIO()
    with redirect_stderr(shown):
        telemetry.configure_logs(level="DEBUG")
        await Recorded(fails).ask()
    assert '"error_class": "RuntimeError"' in shown.getvalue()
    assert "test_headers.py:fails" in shown.getvalue()
    assert "Jane" not in shown.getvalue()
    assert '"/x"' not in shown.getvalue()
