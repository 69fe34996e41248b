"""A task in FHIR: valid R4 in every state, never more than its twin in JSON, and refused as that is."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import jsonschema
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.task import Task

from shared.events import sessions as infusions
from tests.followup.clinic import ADMIN, COORDINATOR, DIRECTOR, NURSE, PRESCRIBER, THERAPIST, Clinic, Json
from tests.support.fhir_r4 import ROOT, invalid

VIEWS = ("unassigned", "mine", "on-hold", "done", "open", "cancelled")


async def read(clinic: Clinic, task_id: object, role: Any = COORDINATOR, **query: str) -> httpx.Response:  # Any: as clinic.headers takes it
    return await clinic.http.get(f"/fhir/Task/{task_id}", params=query or None, headers=clinic.headers(role))


async def tasks_in_every_state(clinic: Clinic) -> list[Json]:
    """Tasks of all views and several kinds, as a prescriber reads them."""
    for kind in ("integration-session", "same-evening-call", "left-against-advice", "rebook", "rebook", "rebook"):
        await clinic.task(kind)
    rebook = (await clinic.get("tasks", view="unassigned", kind="rebook")).json()["items"]
    for task in rebook[:3]:
        await clinic.post(f"tasks/{task['task_id']}/claim")
    until = (clinic.clock.now() + timedelta(hours=2)).isoformat()
    await clinic.post(f"tasks/{rebook[0]['task_id']}/hold", {"until": until, "reason": "waiting-for-record"})
    await clinic.post(f"tasks/{rebook[1]['task_id']}/complete", {"outcome": "done", "note": "She said: call me <b>later</b>."})
    gone = clinic.visit()
    await clinic.tell(gone.told(), gone.told(infusions.InfusionEnteredInError, 5))
    clinic.clock.advance(timedelta(hours=30))
    found = [task for view in VIEWS for task in (await clinic.get("tasks", view=view)).json()["items"]]
    return list({task["task_id"]: task for task in found}.values())


async def test_every_task_is_valid_for_both_readings_of_the_standard(clinic: Clinic) -> None:
    resources = [(await read(clinic, task["task_id"], PRESCRIBER)).json() for task in await tasks_in_every_state(clinic)]
    assert {one["status"] for one in resources} == {"requested", "accepted", "on-hold", "completed", "entered-in-error"}
    for one in resources:
        Task.model_validate(one)
    assert invalid(resources) == []


async def test_the_description_of_the_answer_fits_every_task(clinic: Clinic) -> None:
    described = json.loads((ROOT / "docs/api/followup.openapi.json").read_text())["paths"]["/fhir/Task/{task_id}"]["get"]
    (content,) = described["responses"]["200"]["content"].items()
    assert content[0] == "application/fhir+json"
    for task in await tasks_in_every_state(clinic):
        jsonschema.validate((await read(clinic, task["task_id"])).json(), content[1]["schema"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate("a text", content[1]["schema"])


def test_the_validator_finds_what_is_wrong() -> None:
    (found,) = invalid([{"resourceType": "Task", "status": "nonsense", "intent": "order"}])
    assert "nonsense" in found


async def test_a_task_says_in_fhir_what_it_says_in_json(clinic: Clinic) -> None:
    visit = clinic.visit()
    task = await clinic.task("same-evening-call", visit)
    await clinic.post(f"tasks/{task['task_id']}/claim", role=NURSE)
    answer = await read(clinic, task["task_id"], NURSE)
    twin = await clinic.get(f"tasks/{task['task_id']}", NURSE)
    said, known = answer.json(), twin.json()
    assert answer.headers["content-type"] == "application/fhir+json; fhirVersion=4.0"
    assert answer.headers["etag"] == twin.headers["etag"] == f'W/"{said["meta"]["versionId"]}"'
    assert said["for"]["reference"] == f"Patient/{visit.patient_id}"
    assert said["owner"]["reference"] == f"Practitioner/{clinic.people[NURSE]}"
    assert said["focus"]["reference"] == f"Procedure/{visit.infusion_id}"
    assert (said["code"]["text"], said["reasonCode"]["text"]) == (known["title"], known["why"])
    assert (said["status"], said["priority"]) == ("accepted", known["priority"])
    assert said["restriction"]["period"]["end"] == known["due_at"]


def texts_of(value: object) -> list[str]:
    """Every text in a resource but those that the standard or the system of a code sets."""
    if isinstance(value, dict):
        return [text for name, member in value.items() if name not in ("system", "resourceType", "intent") for text in texts_of(member)]
    if isinstance(value, list):
        return [text for member in value for text in texts_of(member)]
    return [str(value)]


@pytest.mark.parametrize("role", [None, COORDINATOR, NURSE, PRESCRIBER, THERAPIST, DIRECTOR, ADMIN, "stranger"])
async def test_nobody_reads_in_fhir_what_json_refuses_them(clinic: Clinic, role: str | None) -> None:
    reader = uuid4() if role == "stranger" else role
    compared = 0
    for task in await tasks_in_every_state(clinic):
        answer, twin = await read(clinic, task["task_id"], reader), await clinic.get(f"tasks/{task['task_id']}", reader)
        assert answer.status_code == twin.status_code
        if twin.is_success:
            known = twin.text + twin.headers["etag"] + '"overdue"Outcome'
            untold = [text for text in texts_of(answer.json()) if text.rpartition("/")[2] not in unquoted(known)]
            assert untold == []
            assert ("call me" in answer.text) is (twin.json()["note"] is not None)
        else:
            code = answer.json()["issue"][0]["details"]["coding"][0]["code"]
            assert (code, twin.json()["title"]) == (twin.json()["code"], twin.json()["title"])
            OperationOutcome.model_validate(answer.json())
        compared += 1
    assert compared > 6


def unquoted(text: str) -> str:
    return text.replace('\\"', '"')


async def test_another_clinics_task_is_as_unknown_as_a_random_id(clinic: Clinic, open_clinic: Callable[[], Awaitable[Clinic]]) -> None:
    task, other = await clinic.task(), await open_clinic()
    theirs, random = await read(other, task["task_id"]), await read(other, uuid4())
    assert (theirs.status_code, theirs.json()) == (404, random.json())
    assert theirs.json()["issue"][0]["code"] == "not-found"


async def test_reading_in_fhir_leaves_the_trail_of_a_read(clinic: Clinic) -> None:
    visit = clinic.visit()
    task = await clinic.task("rebook", visit)
    await read(clinic, task["task_id"], NURSE)
    await read(clinic, task["task_id"], ADMIN)
    rows = await clinic.rows("SELECT patient_id, phi, action, outcome FROM audit_event WHERE operation = 'read_task' ORDER BY outcome")
    assert [tuple(row.values()) for row in rows] == [(visit.patient_id, "read", "R", 200), (visit.patient_id, "read", "R", 403)]


async def test_the_format_may_be_named_where_it_is_json(clinic: Clinic) -> None:
    task = await clinic.task()
    assert (await read(clinic, task["task_id"], _format="json")).status_code == 200
    refused = await read(clinic, task["task_id"], _format="xml")
    assert (refused.status_code, refused.json()["resourceType"]) == (422, "OperationOutcome")


async def test_where_there_is_no_resource_fhir_says_so_in_its_own_words(clinic: Clinic) -> None:
    for method, path, status in (("GET", "/fhir/Nothing/1", 404), ("POST", f"/fhir/Task/{uuid4()}", 405)):
        answer = await clinic.http.request(method, path, headers=clinic.headers(COORDINATOR))
        assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
        OperationOutcome.model_validate(answer.json())
