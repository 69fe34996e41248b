"""What one connection may ask of a process: bounds on a real socket, with others served meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NamedTuple

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared import connections
from shared.connections import MAX_CONNECTIONS, MAX_HEADER_BYTES, MAX_HEADERS
from shared.listeners import bound
from shared.serve import server_of
from tests.support.waiting import eventually

GET = b"GET / HTTP/1.1\r\nHost: here\r\n"
POST = b"POST / HTTP/1.1\r\nHost: here\r\n"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> object:
        return json.loads(self.body)["code"]


class Line:
    """One connection of a client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with suppress(ConnectionError):  # the other side has said what it had to say
            await self.writer.drain()

    async def answer(self) -> Answer:
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        return Answer(int(status.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"])))

    async def ended(self) -> bool:
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.close()


Connect = Callable[[], Awaitable[Line]]


async def answer(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def is_started(server: uvicorn.Server) -> bool:
    return server.started


class Gate:
    """Where requests to ``/work`` wait until the test lets them go."""

    def __init__(self) -> None:
        self.at_work = 0
        self.open = asyncio.Event()

    async def passed(self) -> None:
        self.at_work += 1
        await self.open.wait()

    async def count(self) -> int:
        return self.at_work


@asynccontextmanager
async def listening(gate: Gate | None = None) -> AsyncIterator[Connect]:
    async def work(_request: Request) -> Response:
        assert gate is not None
        await gate.passed()
        return PlainTextResponse("worked")

    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"]), Route("/work", work)])
    server, lines = server_of(app), []
    with bound("127.0.0.1", 0, "127.0.0.1", 0) as listeners:
        serving = asyncio.create_task(server.serve(sockets=[listeners.public]))

        async def connect() -> Line:
            line = Line(*await asyncio.open_connection("127.0.0.1", listeners.port))
            lines.append(line)
            return line

        await eventually(partial(is_started, server))
        try:
            yield connect
        finally:
            for line in lines:
                await line.close()
            server.should_exit = True
            await serving


async def test_a_request_within_the_bounds_is_answered_and_the_connection_stays() -> None:
    async with listening() as connect:
        line = await connect()
        await line.send(GET + b"X-Long: " + b"a" * (MAX_HEADER_BYTES // 2) + b"\r\n\r\n")
        assert (await line.answer()).status == 200
        await line.send(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert (await line.answer()).body == b"3"
        await line.send(POST + b"Content-Length: 200000\r\n\r\n" + b"b" * 200000)
        assert (await line.answer()).body == b"200000"


@pytest.mark.parametrize("step", [500, 4096, 1 << 20], ids=["in small pieces", "in pieces", "at once"])
async def test_headers_without_an_end_are_refused_where_they_pass_the_bound(step: int) -> None:
    async with listening() as connect:
        line = await connect()
        await line.send(GET + b"X-Long: ")
        sent = 0
        while sent < 2 * MAX_HEADER_BYTES and not line.reader.at_eof():
            await line.send(b"a" * step)
            sent += step
        refused = await line.answer()
        assert (refused.status, refused.code) == (431, "headers-too-large")
        assert refused.headers["cache-control"] == "no-store"
        assert await line.ended()


async def test_too_many_headers_are_refused() -> None:
    async with listening() as connect:
        line = await connect()
        await line.send(GET + b"".join(b"X-%d: 1\r\n" % number for number in range(MAX_HEADERS)) + b"\r\n")
        refused = await line.answer()
        assert (refused.status, refused.code) == (431, "too-many-headers")
        assert await line.ended()


async def test_a_connection_takes_request_after_request_however_many_bytes_they_have_together() -> None:
    async with listening() as connect:
        line = await connect()
        for _ in range(2 * MAX_HEADER_BYTES // len(POST)):
            await line.send(POST + b"Content-Length: 3\r\n\r\nabc")
            assert (await line.answer()).body == b"3"


async def test_who_does_not_end_the_headers_in_time_is_told_so_and_who_said_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    async with listening() as connect:
        silent, between, slow = await connect(), await connect(), await connect()
        await between.send(POST + b"Content-Length: 3\r\n\r\nabc")
        assert (await between.answer()).status == 200
        await slow.send(GET + b"X-Slow: a")
        refused = await slow.answer()
        assert (refused.status, refused.code) == (408, "headers-too-slow")
        assert await slow.ended()
        assert await silent.ended()
        await between.send(GET + b"\r\n")
        assert (await between.answer()).status == 200


async def test_a_further_request_has_its_own_time_from_its_first_byte_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    async with listening() as connect:
        line = await connect()
        await line.send(GET + b"\r\n")
        assert (await line.answer()).status == 200
        await line.send(GET)
        assert (await line.answer()).status == 408


@pytest.mark.parametrize(
    ("coding", "status"),
    [
        (b"Transfer-Encoding: gzip\r\n", 501),
        (b"Transfer-Encoding: identity\r\n", 501),
        (b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"Transfer-Encoding: chunked, gzip\r\n", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        (b"Transfer-Encoding: chunked, chunked\r\n", 501),
        (b"Transfer-Encoding: xchunked\r\n", 501),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", 400),
        (b"Content-Length: +3\r\n", 400),
        (b"Transfer-Encoding : chunked\r\n", 400),
    ],
)
async def test_a_body_coded_in_another_way_or_in_two_is_refused_and_never_read(coding: bytes, status: int) -> None:
    async with listening() as connect:
        line = await connect()
        await line.send(POST + coding + b"\r\n3\r\nabc\r\n0\r\n\r\n" + GET + b"\r\n")
        refused = await line.answer()
        assert refused.status == status
        assert await line.ended()


async def test_the_name_of_the_coding_is_read_in_any_case() -> None:
    async with listening() as connect:
        line = await connect()
        await line.send(POST + b"transfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert (await line.answer()).body == b"3"


async def test_an_offer_of_another_protocol_is_answered_as_if_it_were_not_there() -> None:
    async with listening() as connect:
        line = await connect()
        await line.send(GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n")
        assert (await line.answer()).status == 200


async def test_idle_connections_give_way_the_oldest_first_and_who_works_goes_on() -> None:
    gate = Gate()
    async with listening(gate) as connect:
        working = await connect()
        await working.send(b"GET /work HTTP/1.1\r\nHost: here\r\n\r\n")
        await eventually(gate.count)
        idle = [await connect() for _ in range(MAX_CONNECTIONS)]
        newest = await connect()
        await newest.send(GET + b"\r\n")
        assert (await newest.answer()).status == 200
        assert await idle[0].ended()
        await idle[-1].send(GET + b"\r\n")
        assert (await idle[-1].answer()).status == 200
        gate.open.set()
        assert (await working.answer()).body == b"worked"


async def test_where_all_connections_work_a_new_one_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    gate = Gate()
    async with listening(gate) as connect:
        working = [await connect() for _ in range(3)]
        for line in working:
            await line.send(b"GET /work HTTP/1.1\r\nHost: here\r\n\r\n")
        await eventually(gate.count, lambda count: count == 3)
        refused = await (await connect()).answer()
        assert (refused.status, refused.code) == (503, "too-many-connections")
        gate.open.set()
        assert [(await line.answer()).body for line in working] == [b"worked"] * 3


async def test_of_a_burst_no_more_stay_than_the_bound_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are accepted in one turn of the loop have to give way each for another."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 8)
    monkeypatch.setattr(connections, "HEADER_SECONDS", 60)
    async with listening() as connect:
        burst = await asyncio.gather(*(connect() for _ in range(100)))

        async def left() -> int:
            return sum(not line.reader.at_eof() for line in burst)

        await eventually(left, lambda count: count <= 8)
        newest = await connect()
        await newest.send(GET + b"\r\n")
        assert (await newest.answer()).status == 200


async def test_what_is_answered_before_its_body_has_come_is_not_kept_open_by_a_byte_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    async with listening() as connect:
        line = await connect()
        await line.send(b"POST /nowhere HTTP/1.1\r\nHost: here\r\nContent-Length: 60000\r\n\r\na")
        assert (await line.answer()).status == 404
        dripping = asyncio.create_task(drip(line))
        assert await line.ended()
        dripping.cancel()


async def test_a_body_that_comes_in_time_after_its_answer_leaves_the_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    async with listening() as connect:
        line = await connect()
        await line.send(b"POST /nowhere HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\na")
        assert (await line.answer()).status == 404
        await line.send(b"bc" + GET)
        refused = await line.answer()
        assert (refused.status, refused.code) == (408, "headers-too-slow"), "its own time had begun"


async def drip(line: Line) -> None:
    while True:
        await line.send(b"a")
        await asyncio.sleep(0.01)
