"""Bodies that must be refused, each with a documented code, no echo, and nothing written anywhere."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import Request

from shared.errors import DomainError
from shared.web import strict_json
from tests.shared.web.client import OPERATOR, Client, bearer, note

CANARY = "kanarienvogel"


def changed(**changes: object) -> bytes:
    return json.dumps(note(**changes)).encode()


def with_raw(field: str, raw: str) -> bytes:
    """A good body in which one member has exactly this text as its value."""
    return changed(**{field: "@@"}).replace(b'"@@"', raw.encode())


MEMBERS = json.dumps(note())[1:-1]
BODIES: list[tuple[str, bytes, int, str]] = [
    ("dose-negative", changed(dose_mg=-5), 422, "out-of-range"),
    ("dose-zero", changed(dose_mg=0), 422, "out-of-range"),
    ("dose-too-large", changed(dose_mg=950), 422, "out-of-range"),
    ("dose-boolean", changed(dose_mg=True), 422, "type"),
    ("dose-text", changed(dose_mg="35"), 422, "type"),
    ("dose-list", changed(dose_mg=[35]), 422, "type"),
    ("dose-object", changed(dose_mg={}), 422, "type"),
    ("dose-null", changed(dose_mg=None), 422, "type"),
    ("dose-nan-text", changed(dose_mg="nan"), 422, "type"),
    ("dose-nan", with_raw("dose_mg", "NaN"), 400, "json-non-finite"),
    ("dose-infinity", with_raw("dose_mg", "-Infinity"), 400, "json-non-finite"),
    ("dose-1e999", with_raw("dose_mg", "1e999"), 400, "json-non-finite"),
    ("dose-long", with_raw("dose_mg", "0." + "1" * 40), 400, "json-number-too-long"),
    ("count-huge", with_raw("count", "9" * 32), 422, "out-of-range"),
    ("duplicate", f'{{{MEMBERS}, "dose_mg": 150}}'.encode(), 400, "json-duplicate-key"),
    ("unknown-admin", changed(is_admin=True), 422, "unknown-field"),
    ("unknown-clinic", changed(clinic_id=str(uuid4())), 422, "unknown-field"),
    ("unknown-below", changed(places=[{"room": 1, CANARY: 1}]), 422, "unknown-field"),
    ("missing", json.dumps({name: value for name, value in note().items() if name != "title"}).encode(), 422, "required"),
    ("time-naive", changed(seen_at="2026-05-04T10:00:00"), 422, "time-format"),
    ("time-date", changed(seen_at="2026-05-04"), 422, "time-format"),
    ("time-epoch", changed(seen_at=1780000000), 422, "time-format"),
    ("time-february", changed(seen_at="2026-02-30T10:00:00Z"), 422, "time-format"),
    ("time-second-60", changed(seen_at="2026-06-30T23:59:60Z"), 422, "time-format"),
    ("time-year-1", changed(seen_at="0001-01-01T00:00:00+14:00"), 422, "time-format"),
    ("time-1899", changed(seen_at="1899-01-01T00:00:00Z"), 422, "time-out-of-range"),
    ("id-not-uuid", changed(patient_id=CANARY), 422, "format"),
    ("id-number", changed(patient_id=5), 422, "type"),
    ("not-one-of", changed(mood=CANARY), 422, "not-one-of"),
    ("text-zero", changed(title=f"{CANARY}\x00"), 422, "text-not-allowed"),
    ("text-zero-plain", changed(remark=f"{CANARY}\x00"), 422, "text-not-allowed"),
    ("text-surrogate", with_raw("title", '"\\ud800"'), 422, "text-not-allowed"),
    ("text-bidi", changed(title=f"{CANARY}\u202e"), 422, "text-not-allowed"),
    ("text-marks", changed(remark=CANARY + "\u0301" * 10_000), 422, "text-not-allowed"),
    ("text-unseen", changed(title="\u200b\u200d"), 422, "text-not-allowed"),
    ("text-long", changed(title=CANARY * 10), 422, "too-long"),
    ("text-empty", changed(title=""), 422, "too-short"),
    ("key-surrogate", f'{{{MEMBERS}, "\\udc00": 1}}'.encode(), 422, "text-not-allowed"),
    ("key-made-up", changed(scores={CANARY: "x"}), 422, "type"),
    ("not-utf8", changed(title=CANARY).replace(b"kana", b"k\xffna"), 400, "not-utf8"),
    ("utf16", changed().decode().encode("utf-16"), 400, "not-utf8"),
    ("bom", b"\xef\xbb\xbf" + changed(), 400, "not-utf8"),
    ("truncated", changed()[:-1], 400, "json-malformed"),
    ("two-documents", changed() + changed(), 400, "json-malformed"),
    ("deep", b"[" * 60_000, 400, "json-too-deep"),
    ("empty", b"", 400, "body-required"),
    ("null", b"null", 422, "type"),
    ("list", b"[]", 422, "type"),
    ("list-of-one", b"[" + changed() + b"]", 422, "type"),
    ("text", b'"x"', 422, "type"),
    ("large", changed(remark=CANARY * 10_000), 413, "body-too-large"),
    ("beyond-the-net", changed(remark=CANARY * 100_000), 413, "body-too-large"),
]


async def refused(client: Client, answer: Any, status: int, code: str, before: dict[str, int]) -> None:
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"].endswith(f"/{code}")
    assert problem["instance"].startswith("urn:uuid:")
    assert CANARY not in answer.text
    assert await client.counts() == before


@pytest.mark.parametrize(("body", "status", "code"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
async def test_a_bad_body_is_refused_and_nothing_is_written(client: Client, body: bytes, status: int, code: str) -> None:
    before = await client.counts()
    await refused(client, await client.send(body), status, code, before)


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/problem+json",
        "application/json; charset=utf-16",
    ],
)
async def test_a_body_of_another_media_type_is_refused(client: Client, media_type: str) -> None:
    before = await client.counts()
    await refused(client, await client.send(changed(), Content_Type=media_type), 415, "media-type-not-supported", before)


async def test_a_charset_of_utf8_may_be_named(client: Client) -> None:
    assert (await client.send(changed(), Content_Type="application/json; charset=UTF-8")).status_code == 201


async def test_a_compressed_body_is_refused_before_it_is_read(client: Client) -> None:
    before = await client.counts()
    bomb = gzip.compress(b" " * 10_000_000)
    await refused(client, await client.send(bomb, Content_Encoding="gzip"), 415, "encoding-not-supported", before)


async def test_a_chunked_body_is_counted_while_it_arrives(client: Client) -> None:
    before = await client.counts()
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1024
            yield b" " * 1024

    headers = [(b"content-type", b"application/json"), *((k.lower().encode(), v.encode()) for k, v in client.headers().items())]
    status = await _streamed(client, headers, endless())
    assert status == 413
    assert read == strict_json.MAX_BODY_BYTES + 1024
    assert await client.counts() == before


async def _streamed(client: Client, headers: list[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]) -> int:
    """Send a body piece by piece past the HTTP client, which would gather it first; returns the status."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(chunks), "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    path = "/tiny/v1/notes"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
    await client.app({**scope, "scheme": "http", "server": ("127.0.0.1", 8000), "http_version": "1.1", "root_path": ""}, receive, send)
    return statuses[0]


async def test_a_refused_body_closes_the_connection_unless_it_can_be_dropped(client: Client) -> None:
    for size, connection in ((70_000, None), (strict_json.MAX_DROPPED_BYTES, "close")):
        answer = await client.send(changed(remark="x" * size))
        assert (answer.status_code, answer.headers.get("connection")) == (413, connection)


@pytest.mark.parametrize(("method", "path"), [("PATCH", f"/tiny/v1/notes/{UUID(int=1)}"), ("POST", "/tiny/v1/clinics")])
async def test_every_operation_with_a_body_is_as_strict(client: Client, method: str, path: str) -> None:
    headers = client.headers(Content_Type="application/json", If_Match='W/"1"')
    headers |= bearer(**OPERATOR) if "clinics" in path else {}
    answer = await client.http.request(method, path, content=b'{"title": "a", "title": "b"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "json-duplicate-key")


async def test_an_operation_without_a_body_takes_none(client: Client) -> None:
    written = await client.write_note()
    path = f"{written.headers['location']}/sign"
    before = await client.counts()
    await refused(client, await client.post(path, {"title": CANARY}), 400, "body-not-expected", before)
    assert (await client.post(path, {})).status_code == 200


async def test_all_mistakes_are_named_at_once(client: Client) -> None:
    answer = await client.send(changed(dose_mg="x", title="", places=[{"room": 1}, {"floor": 10}]))
    assert answer.json()["code"] == "invalid"
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
        ("/title", "too-short"),
        ("/dose_mg", "type"),
        ("/places/1/room", "required"),
        ("/places/1/floor", "out-of-range"),
    ]


async def test_the_allowed_range_is_told(client: Client) -> None:
    answer = await client.send(changed(dose_mg=950))
    assert answer.json()["errors"] == [{"pointer": "/dose_mg", "code": "out-of-range", "detail": "At most 200."}]


class Slow:
    """A connection on which the body never ends."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if self.asked == 1:
            return {"type": "http.request", "body": b"{", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class Gone(Slow):
    """A connection that ends within the body."""

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        return {"type": "http.request", "body": b"{", "more_body": True} if self.asked == 1 else {"type": "http.disconnect"}


@pytest.mark.parametrize(("connection", "code"), [(Slow, "body-too-slow"), (Gone, "body-incomplete")])
async def test_a_body_that_does_not_arrive_is_refused(connection: type[Slow], code: str) -> None:
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"application/json")]}
    with pytest.raises(DomainError) as refusal:
        await strict_json.read_body(Request(scope, connection()), seconds=0.05)
    assert refusal.value.code == code
    assert refusal.value.status == (408 if code == "body-too-slow" else 400)
