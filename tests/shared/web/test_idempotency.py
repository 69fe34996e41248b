"""A POST that is repeated has one effect and one answer, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from shared.db import Database
from shared.service import Service
from shared.telemetry import Metrics
from shared.web import Call, Router, access, application, idempotency
from shared.web.call import surroundings_of
from shared.web.idempotency import AnswerSeal
from tests.shared.web.client import CLIENT, CLINIC, ORIGIN, OTHER_CLINIC, SECOND_NURSE, Client, bearer, note
from tests.shared.web.tiny import Note
from tests.support.databases import Databases

SLOW_PATIENT = uuid4()


def written(client_rows: list[dict[str, Any]], body: dict[str, Any]) -> int:
    """How many notes a body has made; its patient is nobody else's."""
    return len([row for row in client_rows if str(row["patient_id"]) == body["patient_id"]])


async def test_a_repeated_request_gets_the_first_answer(client: Client) -> None:
    body, key = note(), str(uuid4())
    first = await client.write_note(body, Idempotency_Key=key)
    again = await client.write_note(body, Idempotency_Key=key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    for name in ("location", "etag", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert written(await client.rows("public.note"), body) == 1


async def test_a_replay_is_on_the_trail_too(client: Client) -> None:
    body, key, replays = note(), str(uuid4()), (str(uuid4()), str(uuid4()))
    for request_id in replays:
        await client.write_note(body, Idempotency_Key=key, X_Request_Id=request_id)
    rows = [row for row in await client.rows("public.audit_event") if row["request_id"] in replays]
    assert [row["outcome"] for row in rows] == [201, 201]


async def test_a_key_may_be_a_structured_string(client: Client) -> None:
    body, key = note(), str(uuid4())
    await client.write_note(body, Idempotency_Key=f'"{key}"')
    assert (await client.write_note(body, Idempotency_Key=key)).headers["idempotency-replayed"] == "true"


async def test_a_post_needs_a_key(client: Client) -> None:
    answer = await client.write_note(Idempotency_Key="")
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-required")


@pytest.mark.parametrize("key", ["a b", "\u00e9", "a\tb", "x" * 256, '""', '"', '"a b"'])
async def test_a_key_is_visible_ascii(client: Client, key: str) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in client.headers(Idempotency_Key=key).items()]
    answer = await client.http.post("/tiny/v1/notes", json=note(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-malformed")


async def test_a_key_stands_for_one_request(client: Client) -> None:
    body, key = note(), str(uuid4())
    first = await client.write_note(body, Idempotency_Key=key)
    others = [
        await client.write_note({**body, "dose_mg": 36}, Idempotency_Key=key),
        await client.post(f"{first.headers['location']}/sign", Idempotency_Key=key),
        await client.write_note(body, Idempotency_Key=key, If_Match='W/"1"'),
        await client.write_note(body, Idempotency_Key=key, Afterglow_Practitioner=str(SECOND_NURSE)),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in others] == [(422, "idempotency-key-reused")] * 4
    assert written(await client.rows("public.note"), body) == 1


async def test_a_key_belongs_to_its_client_and_clinic(client: Client) -> None:
    body, key = note(), str(uuid4())
    path = "/tiny/v1/notes/{}/sign".format((await client.write_note(body)).headers["location"].rpartition("/")[2])
    mine = await client.post(path, Idempotency_Key=key)
    other_client = await client.post(path, Idempotency_Key=key, Afterglow_Practitioner="", **bearer(sub="second"))
    elsewhere = bearer(sub="clinic-b", clinic_id=str(OTHER_CLINIC))
    other_clinic = await client.post(path, Idempotency_Key=key, Afterglow_Practitioner="", **elsewhere)
    assert [mine.status_code, other_client.status_code, other_clinic.status_code] == [200, 409, 404]


async def test_a_refused_request_does_not_use_its_key_up(client: Client) -> None:
    body, key = note(), str(uuid4())
    assert (await client.write_note({**body, "dose_mg": 0}, Idempotency_Key=key)).status_code == 422
    assert (await client.write_note(body, Idempotency_Key=key)).status_code == 201


async def test_a_role_is_asked_for_before_a_replay(client: Client) -> None:
    body, key = note(), str(uuid4())
    await client.write_note(body, Idempotency_Key=key)
    assert (await client.write_note(body, Idempotency_Key=key, Afterglow_Practitioner=str(uuid4()))).status_code == 403


async def test_two_at_once_have_one_effect(client: Client) -> None:
    for _ in range(10):
        body, key = note(), str(uuid4())
        answers = await asyncio.gather(*(client.write_note(body, Idempotency_Key=key) for _ in range(6)))
        assert written(await client.rows("public.note"), body) == 1
        by_status = {status: [one for one in answers if one.status_code == status] for status in (201, 409)}
        assert sum(map(len, by_status.values())) == 6
        assert len({answer.content for answer in by_status[201]}) == 1
        assert all(answer.json()["code"] == "idempotency-key-in-flight" for answer in by_status[409])
        assert all(answer.headers["retry-after"] == "1" for answer in by_status[409])


class Slow:
    """The tiny service with one more operation, which waits within its transaction until it is told to go on."""

    def __init__(self, client: Client, service: Service) -> None:
        self.inside, self.go_on = asyncio.Event(), asyncio.Event()
        router = Router(prefix="/tiny/v1")

        @router.post("/slow", response_model=None)
        @access("system/Note.c", system_or_person=("nurse",))
        async def write_slowly(call: Call) -> None:
            """Write a note after a while."""
            self.inside.set()
            await self.go_on.wait()
            call.db.add(Note(clinic_id=call.clinic_id, patient_id=SLOW_PATIENT, title="x", dose_mg=Decimal(1), seen_at=call.now))

        app = application(replace(service, metrics=Metrics("tiny"), routers=[router]))
        self.client = Client(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN), client.database, app)

    async def write(self, key: str) -> httpx.Response:
        return await self.client.post("/tiny/v1/slow", Idempotency_Key=key)

    async def written(self) -> int:
        return written(await self.client.rows("public.note"), {"patient_id": str(SLOW_PATIENT)})


@pytest_asyncio.fixture(loop_scope="session")
async def slow(client: Client, service: Service) -> AsyncIterator[Slow]:
    slow = Slow(client, service)
    before = await slow.written()
    yield slow
    assert await slow.written() - before <= 1
    await slow.client.http.aclose()


async def test_a_request_in_flight_is_a_conflict_until_it_ends(slow: Slow) -> None:
    key, before = str(uuid4()), await slow.written()
    first = asyncio.create_task(slow.write(key))
    await slow.inside.wait()
    during = await slow.write(key)
    slow.go_on.set()
    after = [await first, await slow.write(key)]
    assert (during.status_code, during.json()["code"], during.headers["retry-after"]) == (409, "idempotency-key-in-flight", "1")
    assert [(answer.status_code, answer.headers.get("idempotency-replayed")) for answer in after] == [(200, None), (200, "true")]
    assert await slow.written() == before + 1


async def test_a_request_that_was_overtaken_has_no_effect(slow: Slow) -> None:
    """The other one may end between this one's look at the table and its claim: the primary key decides then."""
    key, before = str(uuid4()), await slow.written()
    late = asyncio.create_task(slow.write(key))
    await slow.inside.wait()
    async with slow.client.database.transaction(CLINIC) as db:
        await db.execute(_STORED_BY_ANOTHER, {"clinic": CLINIC, "client": CLIENT, "key": key})
    slow.go_on.set()
    answer = await late
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-key-in-flight")
    assert await slow.written() == before


_STORED_BY_ANOTHER = text(
    "INSERT INTO public.idempotency_key (clinic_id, client_id, key, route, request_hash, status, headers, body) "
    "VALUES (:clinic, :client, :key, 'POST /tiny/v1/notes', 'x', 201, '{}', '{}')"
)


async def test_a_stored_answer_cannot_be_read_in_the_database(client: Client) -> None:
    body, key = note(title="Chest pain at night"), str(uuid4())
    await client.write_note(body, Idempotency_Key=key)
    (stored,) = [row for row in await client.rows("public.idempotency_key") if row["key"] == key]
    kept = {name: value for name, value in stored.items() if name != "patient_id"}
    for said in (body["title"], str(body["dose_mg"]), body["patient_id"]):
        assert said not in repr(kept)
    assert (stored["body"], len(stored["sealed"]) > 50) == (b"", True)


async def test_an_answer_that_an_older_release_stored_in_the_clear_is_still_given(client: Client, databases: Databases) -> None:
    body, key = note(), str(uuid4())
    first = await client.write_note(body, Idempotency_Key=key)
    await _change(client, databases, key, "sealed = NULL, body = :value", first.content)
    again = await client.write_note(body, Idempotency_Key=key)
    assert (again.status_code, again.content) == (201, first.content)


async def test_an_answer_moved_to_another_key_is_not_given_there(client: Client, databases: Databases) -> None:
    """Whoever can write into the database cannot have one request answered with what was said of another."""
    body, key, other = note(), str(uuid4()), str(uuid4())
    await client.write_note(note(), Idempotency_Key=other)
    await client.write_note(body, Idempotency_Key=key)
    (moved,) = [row["sealed"] for row in await client.rows("public.idempotency_key") if row["key"] == other]
    await _change(client, databases, key, "sealed = :value", moved)
    answer = await client.write_note(body, Idempotency_Key=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-answer-lost")


async def test_after_the_secret_was_renewed_nothing_is_done_twice(client: Client) -> None:
    body, key = note(), str(uuid4())
    await client.write_note(body, Idempotency_Key=key)
    surroundings = surroundings_of(client.app)
    client.app.state.surroundings = replace(surroundings, answers=AnswerSeal("another secret"))
    try:
        answer = await client.write_note(body, Idempotency_Key=key)
    finally:
        client.app.state.surroundings = surroundings
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-answer-lost")
    assert written(await client.rows("public.note"), body) == 1


async def _change(client: Client, databases: Databases, key: str, change: str, value: bytes) -> None:
    """As no service may: with the rights of the database's owner."""
    owner = await databases.server.admin(client.database.url.rpartition("/")[2].partition("?")[0])
    await owner.execute(f"UPDATE public.idempotency_key SET {change.replace(':value', '$2')} WHERE key = $1", key, value)  # noqa: S608 - ours
    await owner.close()


async def test_old_answers_are_forgotten(client: Client) -> None:
    body, key = note(), str(uuid4())
    await client.write_note(body, Idempotency_Key=key)
    assert await idempotency.forget_old(client.database) == 0
    assert await idempotency.forget_old(client.database, older_than=timedelta(0)) > 0
    assert await client.rows("public.idempotency_key") == []
    assert (await client.write_note(body, Idempotency_Key=key)).status_code == 201


async def test_old_answers_are_forgotten_while_the_service_runs(client: Client, service: Service) -> None:
    await client.write_note()
    stop = asyncio.Event()
    forgetting = asyncio.create_task(idempotency.keep_forgetting(client.database, stop, older_than=timedelta(0)))
    stop.set()
    await forgetting
    assert await client.rows("public.idempotency_key") == []


async def test_a_database_that_is_away_does_not_end_the_forgetting() -> None:
    away = Database("postgresql+asyncpg://tiny:x@/tiny?host=/nowhere", name="tiny")
    stop = asyncio.Event()
    stop.set()
    await idempotency.keep_forgetting(away, stop)
    await away.close()
