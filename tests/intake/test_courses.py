import asyncio
from uuid import UUID, uuid4

import pytest

from services.intake.courses.rules import OPEN, STEPS, CourseStatus, CourseStep
from tests.intake.conftest import Caller, Intake, Json, assert_refused, course_body, practitioner, registered_patient, started_course

# Rules


def test_a_stopped_or_completed_course_is_final() -> None:
    assert {CourseStatus.ACTIVE, CourseStatus.ON_HOLD} == OPEN
    assert not STEPS[CourseStatus.STOPPED]
    assert not STEPS[CourseStatus.COMPLETED]


def test_a_held_course_is_resumed_or_stopped_and_never_just_completed() -> None:
    assert set(STEPS[CourseStatus.ON_HOLD]) == {CourseStep.RESUME, CourseStep.STOP}


# Start


async def test_a_started_course_can_be_read_back_and_found_by_patient(clinic: Caller) -> None:
    patient, somebody_else = await registered_patient(clinic), await registered_patient(clinic)
    therapist, coordinator = await practitioner(clinic, "therapist"), await practitioner(clinic, "coordinator")
    team = {"therapist_id": therapist["practitioner_id"], "coordinator_id": coordinator["practitioner_id"]}
    course = await started_course(clinic, patient, **team)
    await started_course(clinic, somebody_else)
    assert (course["status"], course["therapist_id"]) == ("active", therapist["practitioner_id"])
    assert (await clinic.get(f"/intake/v1/courses/{course['course_id']}")).json() == course
    found = (await clinic.get(f"/intake/v1/courses?patient_id={patient['patient_id']}")).json()
    assert found["items"] == [course]
    assert len((await clinic.get("/intake/v1/courses")).json()["items"]) == 2


@pytest.mark.parametrize(
    ("changes", "pointer", "known"),
    [
        ({"protocol_code": "defualt"}, "/protocol_code", "default"),
        ({"protocol_code": "house-rules", "protocol_version": 3}, "/protocol_code", "default"),
        ({"protocol_version": 2}, "/protocol_version", "1"),
    ],
)
async def test_a_protocol_that_is_unknown_is_refused_with_what_is_known(
    intake: Intake, clinic: Caller, changes: Json, pointer: str, known: str
) -> None:
    patient = await registered_patient(clinic)
    answer = await clinic.post("/intake/v1/courses", course_body(clinic, patient, **changes))
    assert_refused(answer, 422, "protocol-unknown", pointer)
    assert known in answer.json()["errors"][0]["detail"]
    assert clinic.clinic_id is not None
    assert await intake.count("course", clinic.clinic_id) == 0


@pytest.mark.parametrize("planned", [0, -6, 13, 999])
async def test_too_many_or_no_infusions_cannot_be_planned(clinic: Caller, planned: int) -> None:
    patient = await registered_patient(clinic)
    answer = await clinic.post("/intake/v1/courses", course_body(clinic, patient, planned_infusions=planned))
    assert answer.status_code == 422
    assert answer.json()["code"] in {"planned-infusions-out-of-range", "out-of-range"}
    assert answer.json()["errors"][0]["pointer"] == "/planned_infusions"


@pytest.mark.parametrize("planned", [True, "6", 6.5, [6], {}, None])
async def test_a_number_of_infusions_that_is_no_whole_number_is_refused(clinic: Caller, planned: object) -> None:
    patient = await registered_patient(clinic)
    answer = await clinic.post("/intake/v1/courses", course_body(clinic, patient, planned_infusions=planned))
    assert_refused(answer, 422, "type", "/planned_infusions")


async def test_only_somebody_with_the_role_has_a_place_in_the_care_team(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    coordinator = (await practitioner(clinic, "coordinator"))["practitioner_id"]
    for place in ("responsible_clinician_id", "therapist_id"):
        answer = await clinic.post("/intake/v1/courses", course_body(clinic, patient, **{place: coordinator}))
        assert_refused(answer, 422, "practitioner-not-qualified", f"/{place}")


async def test_somebody_who_has_left_gets_no_place_in_the_care_team(clinic: Caller) -> None:
    patient, therapist = await registered_patient(clinic), await practitioner(clinic, "therapist")
    await clinic.patch(f"/intake/v1/practitioners/{therapist['practitioner_id']}", {"active": False}, 1)
    answer = await clinic.post("/intake/v1/courses", course_body(clinic, patient, therapist_id=therapist["practitioner_id"]))
    assert_refused(answer, 422, "practitioner-not-qualified", "/therapist_id")


async def test_a_patient_has_one_open_course_at_a_time(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    course = await started_course(clinic, patient)
    second = await clinic.post("/intake/v1/courses", course_body(clinic, patient))
    assert_refused(second, 409, "course-already-open")
    assert second.json()["course_id"] == course["course_id"]
    await clinic.post(f"/intake/v1/courses/{course['course_id']}/stop", {"reason": "Blood pressure."})
    await started_course(clinic, patient)


async def test_of_two_courses_started_at_the_same_moment_one_is_a_conflict(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    answers = await asyncio.gather(*(clinic.post("/intake/v1/courses", course_body(clinic, patient)) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_nothing_is_started_for_a_patient_who_has_withdrawn(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/withdrawal", {"requested_by": "patient"})
    answer = await clinic.post("/intake/v1/courses", course_body(clinic, patient))
    assert_refused(answer, 409, "patient-withdrawn")


# Steps


async def test_a_course_is_held_resumed_and_completed_with_reasons_kept(clinic: Caller) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    path = f"/intake/v1/courses/{course['course_id']}"
    held = (await clinic.post(f"{path}/hold", {"reason": "Pregnancy test pending."})).json()
    assert (held["status"], held["status_reason"]) == ("on-hold", "Pregnancy test pending.")
    resumed = (await clinic.post(f"{path}/resume")).json()
    assert (resumed["status"], resumed["status_reason"]) == ("active", None)
    assert (await clinic.post(f"{path}/complete")).json()["status"] == "completed"


@pytest.mark.parametrize(
    ("done", "refused", "state", "allowed"),
    [
        ([], "resume", "active", ["hold", "stop", "complete"]),
        (["hold"], "hold", "on-hold", ["resume", "stop"]),
        (["hold"], "complete", "on-hold", ["resume", "stop"]),
        (["stop"], "resume", "stopped", []),
        (["complete"], "stop", "completed", []),
        (["complete"], "complete", "completed", []),
    ],
)
async def test_a_step_out_of_order_is_a_conflict_naming_the_state_and_what_is_possible(
    clinic: Caller, done: list[str], refused: str, state: str, allowed: list[str]
) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    path = f"/intake/v1/courses/{course['course_id']}"
    for step in done:
        assert (await clinic.post(f"{path}/{step}", {"reason": "As agreed."})).status_code == 200
    answer = await clinic.post(f"{path}/{refused}", {"reason": "As agreed."})
    assert_refused(answer, 409, "state")
    assert (answer.json()["state"], answer.json()["allowed"]) == (state, allowed)


async def test_holding_and_stopping_need_a_reason(clinic: Caller) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    for step in ("hold", "stop"):
        assert_refused(await clinic.post(f"/intake/v1/courses/{course['course_id']}/{step}"), 422, "required", "/reason")


async def test_a_course_of_a_patient_who_has_died_can_be_stopped_and_not_resumed(clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    course = await started_course(clinic, patient)
    path = f"/intake/v1/courses/{course['course_id']}"
    await clinic.post(f"{path}/hold", {"reason": "In hospital."})
    await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/death")
    assert_refused(await clinic.post(f"{path}/resume"), 409, "patient-deceased")
    assert (await clinic.get(path)).json()["status"] == "on-hold"
    assert (await clinic.post(f"{path}/stop", {"reason": "The patient has died."})).json()["status"] == "stopped"


async def test_whoever_cares_for_the_patient_may_hold_and_only_a_clinician_resumes(clinic: Caller) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    coordinator = UUID((await practitioner(clinic, "coordinator"))["practitioner_id"])
    path = f"/intake/v1/courses/{course['course_id']}"
    assert (await clinic.post(f"{path}/hold", {"reason": "A call came in."}, acting=coordinator)).status_code == 200
    assert_refused(await clinic.post(f"{path}/resume", acting=coordinator), 403, "role-missing")
    assert_refused(await clinic.post(f"{path}/stop", {"reason": "x"}, acting=coordinator), 403, "role-missing")


# Plan and care team


async def test_a_coordinator_changes_the_care_team_and_not_the_plan(clinic: Caller) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    coordinator = (await practitioner(clinic, "coordinator"))["practitioner_id"]
    path = f"/intake/v1/courses/{course['course_id']}"
    changed = await clinic.patch(path, {"coordinator_id": coordinator}, 1, acting=UUID(coordinator))
    assert (changed.json()["coordinator_id"], changed.json()["version"]) == (coordinator, 2)
    assert_refused(await clinic.patch(path, {"planned_infusions": 8}, 2, acting=UUID(coordinator)), 403, "role-missing")
    assert (await clinic.patch(path, {"planned_infusions": 8}, 2)).json()["planned_infusions"] == 8


async def test_a_place_in_the_care_team_can_be_emptied_but_not_the_responsible_one(clinic: Caller) -> None:
    therapist = (await practitioner(clinic, "therapist"))["practitioner_id"]
    course = await started_course(clinic, await registered_patient(clinic), therapist_id=therapist)
    path = f"/intake/v1/courses/{course['course_id']}"
    assert (await clinic.patch(path, {"therapist_id": None}, 1)).json()["therapist_id"] is None
    assert_refused(await clinic.patch(path, {"responsible_clinician_id": None}, 2), 422, "type", "/responsible_clinician_id")


async def test_an_ended_course_is_not_replanned(clinic: Caller) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    path = f"/intake/v1/courses/{course['course_id']}"
    await clinic.post(f"{path}/complete")
    assert_refused(await clinic.patch(path, {"planned_infusions": 8}, 2), 409, "state")


async def test_the_protocol_of_a_course_cannot_be_changed(clinic: Caller) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    answer = await clinic.patch(f"/intake/v1/courses/{course['course_id']}", {"protocol_code": "other"}, 1)
    assert_refused(answer, 422, "unknown-field")


async def test_a_patient_that_does_not_exist_is_an_unknown_reference(clinic: Caller) -> None:
    answer = await clinic.post("/intake/v1/courses", course_body(clinic, {"patient_id": str(uuid4())}))
    assert_refused(answer, 422, "reference-not-found", "/patient_id")


async def test_every_step_tells_the_others_the_whole_state_without_the_reason(intake: Intake, clinic: Caller) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    await clinic.post(f"/intake/v1/courses/{course['course_id']}/hold", {"reason": "A private reason."})
    events = await intake.events(of=course["course_id"])
    assert [(kind, data["status"], data["course_version"]) for kind, data in events] == [
        ("course.changed", "active", 1),
        ("course.changed", "on-hold", 2),
    ]
    assert "private" not in str(events)
    assert (events[1][1]["planned_infusions"], events[1][1]["responsible_clinician_id"]) == (6, str(clinic.acting))
