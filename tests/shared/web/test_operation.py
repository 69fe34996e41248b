"""What every operation does around its endpoint: one transaction, one audit row, and no answer before the commit."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import event, text

from shared.db import Database
from shared.security.access import Undeclared, access
from shared.service import Service
from shared.telemetry import Metrics
from shared.web import Call, Router, application
from shared.web.call import surroundings_of
from tests.shared.web.client import CLINIC, NURSE, OPERATOR, ORIGIN, OTHER_CLINIC, TABLES, Client, bearer, note
from tests.support.databases import Databases

OUTSIDE = UUID(int=0)


async def test_a_write_leaves_its_row_its_answer_and_its_trail(client: Client) -> None:
    body, request_id = note(), str(uuid4())
    answer = await client.write_note(body, X_Request_Id=request_id)
    assert answer.status_code == 201
    (written,) = [row for row in await client.rows("public.note") if str(row["patient_id"]) == body["patient_id"]]
    (audited,) = [row for row in await client.rows("public.audit_event") if row["request_id"] == request_id]
    del audited["audit_event_id"], audited["recorded_at"]
    assert audited == {
        "clinic_id": CLINIC,
        "client_id": "clinic-a",
        "practitioner_id": NURSE,
        "operation": "write_note",
        "action": "C",
        "phi": "write",
        "patient_id": written["patient_id"],
        "patient_ids": None,
        "subject": f"/tiny/v1/notes/{written['note_id']}",
        "outcome": 201,
        "request_id": request_id,
        "purpose": None,
    }


async def test_a_read_of_phi_leaves_a_trail_and_other_reads_do_not(client: Client) -> None:
    location = (await client.write_note()).headers["location"]
    reads = (str(uuid4()), str(uuid4()))
    await client.get(location, X_Request_Id=reads[0])
    await client.get("/tiny/v1/counts", X_Request_Id=reads[1])
    rows = [row for row in await client.rows("public.audit_event") if row["request_id"] in reads]
    assert [(row["operation"], row["action"], row["phi"], row["subject"]) for row in rows] == [("read_note", "R", "read", location)]
    assert rows[0]["patient_id"] is not None


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("refusals", 403, "not-today"), ("failures", 500, "internal-error"), ("promises", 409, "collision")],
)
async def test_whatever_fails_leaves_nothing_behind(client: Client, path: str, status: int, code: str) -> None:
    before = {table: len(await client.rows(table)) for table in TABLES if table not in ("public.promise", "public.audit_event")}
    answer = await client.post(f"/tiny/v1/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "Jane" not in answer.text
    assert before == {table: len(await client.rows(table)) for table in before}


async def test_a_failed_commit_is_not_answered_as_done(client: Client) -> None:
    key = str(uuid4())
    first = await client.post("/tiny/v1/promises", Idempotency_Key=key)
    second = await client.post("/tiny/v1/promises", Idempotency_Key=key)
    assert first.status_code == second.status_code == 409
    assert "idempotency-replayed" not in second.headers


async def test_an_endpoints_refusal_is_recorded(client: Client) -> None:
    request_id = str(uuid4())
    await client.post("/tiny/v1/refusals", X_Request_Id=request_id)
    (row,) = [row for row in await client.rows("public.audit_event") if row["request_id"] == request_id]
    assert (row["operation"], row["outcome"]) == ("refuse", 403)


async def test_without_a_trail_there_is_no_answer(client: Client, databases: Databases) -> None:
    location = (await client.write_note()).headers["location"]
    before = await client.counts()
    owner = await databases.server.admin(client.database.url.rpartition("/")[2].partition("?")[0])
    await owner.execute("REVOKE INSERT ON public.audit_event FROM tiny")
    try:
        for answer in (await client.get(location), await client.get("/tiny/v1/notes"), await client.write_note()):
            assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
            assert "First infusion" not in answer.text
        denied = await client.get(location, **bearer(scope=""))
        assert denied.status_code == 403
    finally:
        await owner.execute("GRANT INSERT ON public.audit_event TO tiny")
        await owner.close()
    assert await client.counts() == before


async def test_a_database_that_is_away_is_a_503(client: Client, service: Service) -> None:
    away = Database("postgresql+asyncpg://tiny:x@/tiny?host=/nowhere", name="tiny")
    app = application(service)
    app.state.surroundings = replace(surroundings_of(app), database=away)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as http:
        elsewhere = Client(http, client.database, app)
        for answer in (await elsewhere.get("/tiny/v1/notes"), await elsewhere.write_note()):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await away.close()


async def test_an_operators_deed_in_a_clinic_is_on_that_clinics_trail(client: Client) -> None:
    key = str(uuid4())
    for replayed in (None, "true"):
        answer = await client.post("/tiny/v1/clinics", {"clinic_id": str(OTHER_CLINIC)}, Idempotency_Key=key, **bearer(**OPERATOR))
        assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (201, replayed)
    assert [row["operation"] for row in await client.rows("public.audit_event", OTHER_CLINIC)] == ["open_clinic"]
    assert len(await client.rows("public.note", OTHER_CLINIC)) == 1
    assert len(await client.rows("public.idempotency_key", OUTSIDE)) == 1


async def test_an_operators_refusal_is_on_the_trail_outside_of_clinics(client: Client) -> None:
    answer = await client.post("/tiny/v1/clinics", {"clinic_id": str(OTHER_CLINIC)}, **bearer(**{**OPERATOR, "scope": "x/y.r"}))
    assert answer.status_code == 403
    assert [row["outcome"] for row in await client.rows("public.audit_event", OUTSIDE) if row["operation"] == "open_clinic"][-1] == 403


async def test_a_public_operation_needs_nothing(client: Client) -> None:
    request_id = str(uuid4())
    answer = await client.http.get("/tiny/v1/hello", headers={"X-Request-Id": request_id})
    assert answer.json() == request_id


@pytest.mark.parametrize(
    "query", ["titel=x", "title=a&title=b", "limit=5&limit=6", "title=a%00", "title=%E2%80%AE", "limit=0", "limit=201"]
)
async def test_a_query_that_would_be_misread_is_refused(client: Client, query: str) -> None:
    answer = await client.get(f"/tiny/v1/notes?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] in ("unknown-parameter", "text-not-allowed", "out-of-range")


@pytest.mark.parametrize(
    "path", ["/tiny/v1/notes/1", "/tiny/v1/notes/%00", "/tiny/v1/notes/", "/tiny//v1/notes", "/tiny/v1/%2e%2e/v1/notes", "/"]
)
async def test_an_address_that_leads_nowhere_is_not_found(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_head_is_answered_as_its_get_without_the_body(client: Client) -> None:
    for headers in (client.headers(), {}):
        got = await client.http.get("/tiny/v1/notes", headers=headers)
        head = await client.http.head("/tiny/v1/notes", headers=headers)
        same = {name: value for name, value in got.headers.items() if name != "x-request-id"}
        assert (head.status_code, {name: head.headers[name] for name in same}) == (got.status_code, same)
        assert (head.content, len(got.content)) == (b"", int(head.headers["content-length"]))


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "DELETE", "CONNECT", "PATCH"])
async def test_a_method_that_is_not_declared_is_not_allowed(client: Client, method: str) -> None:
    answer = await client.http.request(method, "/tiny/v1/notes", headers=client.headers(X_HTTP_Method_Override="GET"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


async def test_statements_around_an_endpoint_are_few(client: Client) -> None:
    """Beside its own statements a POST costs two, a read of PHI two, any other read one; and all a BEGIN and a COMMIT."""
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(" ".join(statement.split())[:40])

    event.listen(client.database.engine.sync_engine, "before_cursor_execute", count)
    try:
        location = (await client.write_note()).headers["location"]
        assert [statement.partition(" ")[0] for statement in statements] == ["WITH", "INSERT", "WITH"]
        statements.clear()
        await client.get(location)
        assert [statement.partition(" ")[0] for statement in statements] == ["WITH", "SELECT", "INSERT"]
        statements.clear()
        await client.get("/tiny/v1/counts")
        assert [statement.partition(" ")[0] for statement in statements] == ["WITH", "SELECT"]
    finally:
        event.remove(client.database.engine.sync_engine, "before_cursor_execute", count)


async def test_the_service_runs_as_long_as_its_app(client: Client, service: Service) -> None:
    own = replace(service, metrics=Metrics("tiny"), database=Database(client.database.url, name="tiny"))
    app = application(own)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as http:
        assert await own.ready() == []
        assert (await Client(http, own.database, app).get("/tiny/v1/counts")).status_code == 200
    assert own.stopping
    assert not own.broken.is_set()


def test_an_endpoint_without_declared_access_cannot_be_routed() -> None:
    router = Router()
    with pytest.raises(Undeclared):

        @router.get("/open")
        async def open_door(call: Call) -> None:
            """Nobody said who may."""


async def test_a_route_that_is_no_operation_stops_the_start(service: Service) -> None:
    plain = APIRouter()

    @plain.get("/plain")
    @access("system/Note.r", system_or_person=("nurse",))
    async def plain_door() -> None:
        """Declared, but nobody would look at it."""

    with pytest.raises(Undeclared, match="/plain"):
        application(replace(service, metrics=Metrics("tiny"), routers=[*service.routers, plain]))


async def test_the_endpoint_runs_inside_its_clinic(client: Client) -> None:
    async with client.database.transaction() as db:
        shown = (await db.execute(text("SELECT current_setting('app.clinic_id', true)"))).scalar_one()
    assert shown in (None, ""), "the clinic must not outlive its transaction"
