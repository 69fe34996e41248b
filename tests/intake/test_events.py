import json
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.intake.patients.queries import get_patient
from services.intake.retelling import Retelling
from shared.clock import FrozenClock
from shared.errors import Conflict
from shared.outbox import emit
from tests.intake.conftest import Caller, Intake, Json, assert_refused, practitioner, registered_patient, signed_consent, started_course

CANARIES = {
    "given_name": "Zyxgiven",
    "family_name": "Zyxfamily",
    "preferred_name": "Zyxpreferred",
    "birth_date": "1971-02-03",
    "email": "zyxmail@example.org",
    "phone": "+12125550177",
    "emergency_contact": {"name": "Zyxcontact", "relationship": "Zyxsister", "phone": "+12125550178"},
}


async def test_no_name_contact_birth_date_or_reason_ever_reaches_an_event(intake: Intake, operator: Caller, clinic: Caller) -> None:
    patient = await registered_patient(clinic, **CANARIES)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    therapist = await practitioner(clinic, "therapist")
    await clinic.patch(path, {"given_name": "Zyxchanged"}, 1)
    consent = await signed_consent(clinic, patient)
    course = await started_course(clinic, patient, therapist_id=therapist["practitioner_id"])
    await clinic.post(f"/intake/v1/courses/{course['course_id']}/hold", {"reason": "Zyxreason"})
    await clinic.post(f"/intake/v1/consents/{consent['consent_id']}/revoke", {"requested_by": "patient"})
    await clinic.post(f"{path}/message-opt-out", {"requested_by": "patient", "reason": "Zyxreason"})
    await clinic.post(f"{path}/withdrawal", {"requested_by": "patient", "reason": "Zyxreason"})
    await clinic.post(f"{path}/death", {"died_on": "2026-11-22"})
    async with intake.service.database.transaction() as db:
        statement = text("SELECT type, subject, key, convert_from(data, 'UTF8') FROM platform.event_log WHERE clinic_id = :clinic_id")
        rows = [tuple(row) for row in await db.execute(statement, {"clinic_id": clinic.clinic_id})]
    assert len(rows) > 10
    written = json.dumps(rows)
    for canary in ("Zyx", "zyxmail", "2125550177", "2125550178", "1971-02-03", "Ines", "Okafor", "Harbor", "2026-11-22"):
        assert canary not in written


async def test_a_patients_events_carry_the_whole_state_in_order(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    await clinic.patch(path, {"time_zone": "America/Denver", "language": "es"}, 1)
    await clinic.post(f"{path}/message-opt-out", {"requested_by": "patient"})
    await clinic.post(f"{path}/message-opt-in", {"requested_by": "patient"})
    await clinic.post(f"{path}/withdrawal", {"requested_by": "patient"})
    await clinic.post(f"{path}/death")
    events = await intake.events(of=patient["patient_id"])
    assert [(kind, data["patient_version"], data.get("status"), data.get("messages_allowed")) for kind, data in events] == [
        ("patient.changed", 1, "active", True),
        ("patient.changed", 2, "active", True),
        ("patient.changed", 3, "active", False),
        ("patient.changed", 4, "active", True),
        ("patient.withdrawn", 5, None, None),
        ("patient.changed", 5, "withdrawn", False),
        ("patient.deceased", 6, None, None),
        ("patient.changed", 6, "deceased", False),
    ]
    assert events[1][1] == {
        "occurred_at": "2026-11-23T14:00:00Z",
        "patient_id": patient["patient_id"],
        "patient_version": 2,
        "patient_number": patient["patient_number"],
        "time_zone": "America/Denver",
        "language": "es",
        "status": "active",
        "messages_allowed": True,
        "contact_version": 1,
        "active": [{"since": "1900-01-01T00:00:00Z", "until": None}],
        "death_corrected": None,
    }


@pytest.mark.parametrize(
    ("died_on", "until"),
    [
        (None, "2026-11-23T14:00:00Z"),
        ("2026-11-20", "2026-11-21T05:00:00Z"),
        ("2026-11-23", "2026-11-23T14:00:00Z"),
    ],
)
async def test_a_death_ends_the_patients_time_with_its_day_and_never_later_than_it_is_recorded(
    intake: Intake, clinic: Caller, died_on: str | None, until: str
) -> None:
    patient = await registered_patient(clinic)
    await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/death", {"died_on": died_on})
    kind, told = (await intake.events(of=patient["patient_id"]))[-1]
    assert (kind, told["active"]) == ("patient.changed", [{"since": "1900-01-01T00:00:00Z", "until": until}])


async def test_who_left_and_died_later_was_in_the_programme_until_they_left(intake: Intake, clinic: Caller, clock: FrozenClock) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    await clinic.post(f"{path}/withdrawal", {"requested_by": "patient"})
    clock.advance(timedelta(days=3))
    await clinic.post(f"{path}/death", {"died_on": "2026-11-25"})
    assert (await intake.events(of=patient["patient_id"]))[-1][1]["active"][0]["until"] == "2026-11-23T14:00:00Z"


async def test_a_course_tells_when_it_ran(intake: Intake, clinic: Caller, clock: FrozenClock) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    path = f"/intake/v1/courses/{course['course_id']}"
    for step in ("hold", "resume", "complete"):
        clock.advance(timedelta(days=1))
        await clinic.post(f"{path}/{step}", {"reason": "Holiday"})
    told = [data["ran"] for _, data in await intake.events(of=course["course_id"])]
    assert told[0] == [{"since": "1900-01-01T00:00:00Z", "until": None}]
    assert told[-1] == [
        {"since": "1900-01-01T00:00:00Z", "until": "2026-11-24T14:00:00Z"},
        {"since": "2026-11-25T14:00:00Z", "until": "2026-11-26T14:00:00Z"},
    ]


async def test_a_change_of_the_care_team_tells_when_the_course_ran_too(intake: Intake, clinic: Caller) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    path = f"/intake/v1/courses/{course['course_id']}"
    await clinic.post(f"{path}/hold", {"reason": "Holiday"})
    await clinic.patch(path, {"planned_infusions": 5}, 2)
    assert (await intake.events(of=course["course_id"]))[-1][1]["ran"] == [
        {"since": "1900-01-01T00:00:00Z", "until": "2026-11-23T14:00:00Z"}
    ]


@pytest.mark.parametrize(
    ("changes", "ways"),
    [
        ({"email": "right.one@example.org"}, 2),
        ({"preferred_channel": "sms"}, 2),
        ({"preferred_channel": "post", "email": None}, 2),
        ({"email": "marisol@example.org", "preferred_channel": "email"}, 1),
        ({"phone": "+12125550124"}, 1),
        ({"birth_date": "1988-07-14", "given_name": "Mari", "time_zone": "Asia/Tokyo"}, 1),
    ],
)
async def test_the_others_learn_that_messages_go_another_way_and_not_which(
    intake: Intake, clinic: Caller, changes: Json, ways: int
) -> None:
    patient = await registered_patient(clinic)
    assert (await clinic.patch(f"/intake/v1/patients/{patient['patient_id']}", changes, 1)).status_code == 200
    told = [data for _, data in await intake.events(of=patient["patient_id"])]
    assert [data["contact_version"] for data in told] == [1, ways]
    assert "example.org" not in str(told)


async def test_who_asks_for_the_contact_learns_under_which_count_it_stands(intake: Intake, followup: Caller, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    await signed_consent(clinic, patient)
    await clinic.patch(f"/intake/v1/patients/{patient['patient_id']}", {"email": "right.one@example.org"}, 1)
    asked = {"patient_id": patient["patient_id"]}
    contact = (await followup.post("/intake/v1/directory/contact", asked, Afterglow_Clinic=str(clinic.clinic_id))).json()
    assert (contact["address"], contact["contact_version"]) == ("right.one@example.org", 2)


async def test_the_upgrade_tells_once_when_those_who_died_or_left_were_active(intake: Intake, clinic: Caller, retelling: Retelling) -> None:
    patients = [await registered_patient(clinic) for _ in range(3)]
    for patient in patients[:2]:
        await clinic.post(f"/intake/v1/patients/{patient['patient_id']}/withdrawal", {"requested_by": "patient"})
    await retelling.tell_all()
    await intake.by_release_before(clinic, "UPDATE patient SET told_version = NULL WHERE status <> 'active'")
    assert [await retelling.tell_all(), await retelling.tell_all()] == [2, 0]
    told = [(await intake.events(of=patient["patient_id"]))[-1][1] for patient in patients]
    assert [(one["patient_version"], one["status"]) for one in told] == [(3, "withdrawn"), (3, "withdrawn"), (1, "active")]
    assert told[0]["active"] == [{"since": "1900-01-01T00:00:00Z", "until": "2026-11-23T14:00:00Z"}]


async def test_the_upgrade_tells_once_when_courses_ran_that_took_a_step_before_it(
    intake: Intake, clinic: Caller, retelling: Retelling
) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    await clinic.post(f"/intake/v1/courses/{course['course_id']}/hold", {"reason": "Holiday"})
    await retelling.tell_all()
    await intake.by_release_before(clinic, "UPDATE course SET told_version = NULL")
    assert [await retelling.tell_all(), await retelling.tell_all()] == [1, 0]
    told = (await intake.events(of=course["course_id"]))[-1][1]
    assert (told["course_version"], told["status"]) == (3, "on-hold")
    assert told["ran"] == [{"since": "1900-01-01T00:00:00Z", "until": "2026-11-23T14:00:00Z"}]


LEAVES = "UPDATE patient SET status = 'withdrawn', status_changed_at = :now, version = version + 1 WHERE patient_id = :id"
MOVES = "UPDATE patient SET email = 'right.one@example.org', version = version + 1 WHERE patient_id = :id"


@pytest.mark.parametrize(("change", "until"), [(LEAVES, "2026-11-23T14:00:00Z"), (MOVES, None)], ids=["leaves", "moves"])
async def test_what_a_replica_of_the_release_before_makes_of_a_patient_is_told_again(
    intake: Intake, clinic: Caller, retelling: Retelling, change: str, until: str | None
) -> None:
    patient = await registered_patient(clinic)
    await retelling.tell_all()
    await intake.by_release_before(clinic, change, id=patient["patient_id"])
    assert [await retelling.tell_all(), await retelling.tell_all()] == [1, 0]
    told = (await intake.events(of=patient["patient_id"]))[-1][1]
    assert (told["patient_version"], told["active"]) == (3, [{"since": "1900-01-01T00:00:00Z", "until": until}])
    assert told["contact_version"] == 2, "it may have been the address, which such a replica does not count"


async def test_what_a_replica_of_the_release_before_makes_of_a_course_is_told_again(
    intake: Intake, clinic: Caller, retelling: Retelling
) -> None:
    course = await started_course(clinic, await registered_patient(clinic))
    await retelling.tell_all()
    held = "UPDATE course SET status = 'on-hold', version = version + 1 WHERE course_id = :id"
    await intake.by_release_before(clinic, held, _STEP, id=course["course_id"], clinic_id=clinic.clinic_id)
    assert [await retelling.tell_all(), await retelling.tell_all()] == [1, 0]
    told = (await intake.events(of=course["course_id"]))[-1][1]
    assert (told["course_version"], told["status"]) == (3, "on-hold")
    assert told["ran"] == [{"since": "1900-01-01T00:00:00Z", "until": "2026-11-23T14:00:00Z"}]


async def test_what_this_release_tells_is_not_told_again(intake: Intake, clinic: Caller, retelling: Retelling) -> None:
    patient, other = await registered_patient(clinic), await registered_patient(clinic)
    course = await started_course(clinic, patient)
    await retelling.tell_all()
    of_patient, of_other = (f"/intake/v1/patients/{one['patient_id']}" for one in (patient, other))
    of_course = f"/intake/v1/courses/{course['course_id']}"
    for path, body in (
        (f"{of_course}/hold", {"reason": "Holiday"}),
        (f"{of_course}/resume", {}),
        (f"{of_patient}/message-opt-out", {"requested_by": "patient"}),
        (f"{of_patient}/withdrawal", {"requested_by": "patient"}),
        (f"{of_other}/death", {}),
    ):
        assert (await clinic.post(path, body)).status_code == 200
    assert (await clinic.patch(of_course, {"planned_infusions": 5}, 3)).status_code == 200
    assert (await clinic.patch(of_patient, {"language": "es"}, 3)).status_code == 200
    assert (await clinic.post(f"{of_other}/death/entered-in-error", {"reason": "Wrong person"}, If_Match='W/"2"')).status_code == 200
    assert await retelling.tell_all() == 0


_STEP = """
    INSERT INTO course_change (clinic_id, course_change_id, course_id, step, changed_at, changed_by)
    VALUES (CAST(:clinic_id AS uuid), gen_random_uuid(), CAST(:id AS uuid), 'hold', :now, 'Test')
"""


async def test_a_change_that_is_refused_leaves_no_event(intake: Intake, clinic: Caller) -> None:
    patient = await registered_patient(clinic)
    path = f"/intake/v1/patients/{patient['patient_id']}"
    assert_refused(await clinic.post(f"{path}/death", {"died_on": "2027-01-01"}), 422, "time-out-of-range")
    assert_refused(await clinic.patch(path, {"language": "es"}, 7), 412, "version-stale")
    assert [kind for kind, _ in await intake.events(of=patient["patient_id"])] == ["patient.changed"]


async def test_when_the_transaction_fails_neither_the_change_nor_its_event_is_there(intake: Intake, clinic: Caller) -> None:
    patient_id = (await registered_patient(clinic))["patient_id"]

    async def die_and_fail() -> None:
        async with intake.service.database.transaction(clinic.clinic_id) as db:
            loaded = await get_patient(db, patient_id, lock=True)
            emit(db, loaded.die(None, intake.service.clock.now(), "Test"))
            await db.flush()
            raise Conflict("state", "Something else refuses afterwards.")

    with pytest.raises(Conflict):
        await die_and_fail()
    assert (await clinic.get(f"/intake/v1/patients/{patient_id}")).json()["status"] == "active"
    assert [kind for kind, _ in await intake.events(of=patient_id)] == ["patient.changed"]


async def test_an_events_request_can_be_traced_back(intake: Intake, clinic: Caller) -> None:
    request_id = str(uuid4())
    answer = await clinic.post("/intake/v1/practitioners", {"given_name": "A", "family_name": "B", "roles": []}, X_Request_Id=request_id)
    statement = text("SELECT correlation_id FROM platform.event_log WHERE subject = :subject")
    async with intake.service.database.transaction() as db:
        found = await db.execute(statement, {"subject": f"Practitioner/{answer.json()['practitioner_id']}"})
        assert str(found.scalar_one()) == request_id
