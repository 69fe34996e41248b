"""Between clinics, roles and credentials."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from services.sessions.infusions.states import InfusionState, Step
from services.sessions.roles import CHAIR, CLINICAL, DECIDES, DESK, DOCUMENTS, RECORD
from shared.security.access import census
from shared.service import Service
from shared.web import application
from tests.sessions.clinic import CALM, COORDINATOR, DIRECTOR, NURSE, THERAPIST, Clinic
from tests.sessions.test_steps import bodies

READS = ("", "/versions", "/vital-signs")


async def test_another_clinics_infusion_is_as_unknown_as_a_random_one(
    open_clinic: Callable[[], Awaitable[Clinic]],
) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    infusion_id = await theirs.completed()
    before = await theirs.counts()
    for known in (infusion_id, str(uuid4())):
        for read in READS:
            answer = await ours.get(f"/infusions/{known}{read}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        for step, body in bodies(ours, InfusionState.COMPLETED).items():
            answer = await ours.post(f"/infusions/{known}/{step}", body, acting="prescriber", **{"If-Match": 'W/"1"'})
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), step
    assert (await ours.get("/infusions")).json()["items"] == []
    assert await theirs.counts() == before


async def test_another_clinics_patient_and_course_are_unknown_to_a_booking(open_clinic: Callable[[], Awaitable[Clinic]]) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    stranger, own = await theirs.patient(), await ours.patient()
    for patient, course in ((stranger.patient_id, stranger.course_id), (own.patient_id, stranger.course_id)):
        booking = {"patient_id": str(patient), "course_id": str(course), "scheduled_at": ours.at(0)}
        answer = await ours.post("/infusions", booking)
        assert (answer.status_code, answer.json()["code"]) == (422, "reference-not-found")


async def test_coordinators_see_when_and_not_what(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    for role in (COORDINATOR, THERAPIST):
        seen = (await clinic.get(f"/infusions/{infusion_id}", acting=role)).json()
        assert (seen["state"], seen["drug_given"], seen["clinical"]) == ("completed", True, None)
        (listed,) = (await clinic.get("/infusions", acting=role)).json()["items"]
        assert listed == seen
        assert (await clinic.get(f"/infusions/{infusion_id}/versions", acting=role)).status_code == 403
    for sees in (NURSE, DIRECTOR, None):
        assert (await clinic.get(f"/infusions/{infusion_id}", acting=sees)).json()["clinical"]["dose_given"]["value"] == 40


async def test_what_a_coordinator_does_shows_them_no_clinical_content(clinic: Clinic) -> None:
    infusion_id = await clinic.scheduled()
    moved = await clinic.step(infusion_id, "reschedule", {"scheduled_at": clinic.at(30)}, acting=COORDINATOR)
    assert moved["clinical"] is None


@pytest.mark.parametrize("step", ["start", "pump-end", "stop-early", "complete", "not-done", "vital-signs", "transfer", "amend"])
async def test_coordinators_run_no_infusion(clinic: Clinic, step: str) -> None:
    infusion_id = await clinic.arrived()
    sent = {str(one): body for one, body in bodies(clinic, InfusionState.ARRIVED).items()}
    answer = await clinic.post(f"/infusions/{infusion_id}/{step}", sent[step], acting=COORDINATOR)
    assert (answer.status_code, answer.json()["code"]) == (403, "role-missing")


async def test_an_unknown_practitioner_does_nothing(clinic: Clinic) -> None:
    infusion_id = await clinic.scheduled()
    for acting in (uuid4(), None):
        assert (await clinic.post(f"/infusions/{infusion_id}/no-show", acting=acting)).status_code == 403


def test_every_operation_says_who_may_call_it(service: Service) -> None:
    app = application(service)
    operators = "/sessions/v1/pipeline"  # the same in every service: tests/pipeline
    found = census(app, also=[str(app.openapi_url)])
    operations = {name: declared for name, declared in found.items() if operators not in name}
    steps = {f"POST /sessions/v1/infusions/{{infusion_id}}/{step}" for step in Step}
    assert operations.keys() - steps == {
        "POST /sessions/v1/infusions",
        "GET /sessions/v1/infusions",
        "GET /sessions/v1/infusions/{infusion_id}",
        "GET /sessions/v1/infusions/{infusion_id}/versions",
        "GET /sessions/v1/infusions/{infusion_id}/vital-signs",
        "POST /sessions/v1/infusions/{infusion_id}/vital-signs/{vital_signs_id}/entered-in-error",
        "POST /sessions/v1/infusions/{infusion_id}/review",
        "GET /sessions/v1/ended-infusions",
        "GET /sessions/v1/audit-events",
        "GET /sessions/v1/documents",
        "POST /sessions/v1/documents",
        "GET /sessions/v1/documents/versions",
        "GET /sessions/v1/documents/{code}/versions/{version}",
        "POST /sessions/v1/documents/{code}/versions/{version}/sign-off",
        "POST /sessions/v1/documents/{code}/versions/{version}/activate",
    }
    assert steps <= operations.keys()
    assert all(declared.phi in ("read", "write") for name, declared in operations.items() if "/documents" not in name)
    for name, declared in operations.items():
        if name.startswith("POST "):
            assert (declared.naming, declared.roles in (DESK, CHAIR, RECORD, DECIDES, DOCUMENTS.write, DOCUMENTS.sign)) == (
                "required",
                True,
            ), name
    assert CLINICAL.isdisjoint({"coordinator", "therapist", "clinic-admin", "auditor"})


async def test_readings_of_one_infusion_stay_with_it(clinic: Clinic) -> None:
    one, other = await clinic.arrived(), await clinic.arrived()
    await clinic.step(one, "vital-signs", {"measured_at": clinic.at(-1), **CALM})
    counts = [len((await clinic.get(f"/infusions/{infusion_id}/vital-signs")).json()["items"]) for infusion_id in (one, other)]
    assert counts == [2, 1]
