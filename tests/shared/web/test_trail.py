"""The trail answers who saw or tried to see a patient: one row for each request, whatever came of it."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from tests.shared.web.client import NURSE, Client, bearer, note

Row = dict[str, Any]  # Any: column values


async def rows(client: Client, request_id: str) -> list[Row]:
    return [row for row in await client.rows("public.audit_event") if row["request_id"] == request_id]


async def test_a_list_names_the_patients_that_it_showed_and_no_others(client: Client) -> None:
    patients = sorted(str(uuid4()) for _ in range(3))
    title, request_id = uuid4().hex, str(uuid4())
    for number, patient_id in enumerate(patients):
        await client.write_note(note(patient_id=patient_id, title=title, seen_at=f"2026-11-23T09:0{number}:00-05:00"))
    await client.get(f"/tiny/v1/notes?title={title}&limit=2", X_Request_Id=request_id)
    (row,) = await rows(client, request_id)
    assert row["patient_ids"] == [UUID(patient_id) for patient_id in patients[:2]]


async def test_a_list_that_shows_nobody_names_nobody(client: Client) -> None:
    request_id = str(uuid4())
    await client.get(f"/tiny/v1/notes?title={uuid4().hex}", X_Request_Id=request_id)
    assert [row["patient_ids"] for row in await rows(client, request_id)] == [None]


async def test_what_was_not_found_is_recorded_with_the_id_that_was_asked_for(client: Client) -> None:
    asked, request_id = uuid4(), str(uuid4())
    assert (await client.get(f"/tiny/v1/notes/{asked}", X_Request_Id=request_id)).status_code == 404
    (row,) = await rows(client, request_id)
    assert (row["outcome"], row["practitioner_id"], row["subject"], row["patient_id"]) == (404, NURSE, f"/tiny/v1/notes/{asked}", None)


@pytest.mark.parametrize("named", [NURSE, uuid4()])
async def test_who_was_refused_is_recorded_with_the_patient_whose_record_it_is(client: Client, named: UUID) -> None:
    body, request_id = note(), str(uuid4())
    location = (await client.write_note(body)).headers["location"]
    refused = bearer(scope="system/Other.r") if named == NURSE else {}
    answer = await client.get(location, Afterglow_Practitioner=str(named), X_Request_Id=request_id, **refused)
    assert answer.status_code == 403
    (row,) = await rows(client, request_id)
    assert (row["outcome"], row["practitioner_id"], str(row["patient_id"])) == (403, named, body["patient_id"])


async def test_a_state_that_refuses_is_recorded_with_the_patient(client: Client) -> None:
    body, request_id = note(), str(uuid4())
    location = (await client.write_note(body)).headers["location"]
    await client.post(f"{location}/sign")
    assert (await client.post(f"{location}/sign", X_Request_Id=request_id)).status_code == 409
    assert [(row["outcome"], str(row["patient_id"])) for row in await rows(client, request_id)] == [(409, body["patient_id"])]


async def test_a_collision_is_recorded(client: Client) -> None:
    request_id = str(uuid4())
    assert (await client.post("/tiny/v1/promises", X_Request_Id=request_id)).json()["code"] == "collision"
    assert [(row["operation"], row["outcome"]) for row in await rows(client, request_id)] == [("break_a_promise", 409)]


async def test_what_was_refused_for_its_form_alone_leaves_no_row(client: Client) -> None:
    request_id = str(uuid4())
    assert (await client.write_note(note(), X_Request_Id=request_id, Idempotency_Key="")).status_code == 400
    assert await rows(client, request_id) == []


async def test_an_answer_that_is_given_again_names_its_patient_again(client: Client) -> None:
    body, key = note(), str(uuid4())
    requests = [str(uuid4()), str(uuid4())]
    for request_id in requests:
        await client.write_note(body, Idempotency_Key=key, X_Request_Id=request_id)
    first, again = [(await rows(client, request_id))[0] for request_id in requests]
    assert (str(again["patient_id"]), again["subject"]) == (body["patient_id"], first["subject"])


async def test_a_refusal_costs_one_statement_more_than_its_lookup(client: Client) -> None:
    body = note()
    location = (await client.write_note(body)).headers["location"]
    sent: list[str] = []
    engine = client.database.engine.sync_engine

    def note_statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note_statement)
    try:
        await client.get(location, Afterglow_Practitioner=str(uuid4()))
    finally:
        event.remove(engine, "before_cursor_execute", note_statement)
    written = [statement for statement in sent if "audit_event" in statement]
    assert len(written) == 1
    assert len(sent) <= 3, sent  # the frame; the clinic of the second transaction; the row
