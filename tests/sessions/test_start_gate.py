"""What holds a start: consent, patient, course, readings, dose and a record that looks like the same infusion."""

from datetime import timedelta

import pytest

from shared.events import intake as facts
from tests.sessions.clinic import CALM, NURSE, PRESCRIBER, Clinic, Json, Person, mg


async def refused(clinic: Clinic, infusion_id: str, body: Json, *, acting: str = NURSE) -> Json:
    """The 409 of a start that must change nothing."""
    before, told = await clinic.counts(), await clinic.told()
    answer = await clinic.post(f"/infusions/{infusion_id}/start", body, acting=acting)
    assert answer.status_code == 409, answer.text
    assert (await clinic.counts(), await clinic.told()) == (before, told)
    return answer.json()  # type: ignore[no-any-return]  # JSON is Any


async def test_nothing_starts_without_consent(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(await clinic.patient(consented=False))
    problem = await refused(clinic, infusion_id, clinic.start_body())
    assert (problem["code"], problem["state"]) == ("consent-missing", "arrived")
    assert problem["allowed"] == ["not-done", "vital-signs", "start", "restore", "entered-in-error"]


@pytest.mark.parametrize(
    ("signed", "valid", "allowed"),
    [
        (timedelta(minutes=-120), timedelta(days=1), True),
        (timedelta(minutes=-119), timedelta(days=1), False),
        (timedelta(days=-90), timedelta(minutes=-120), True),
        (timedelta(days=-90), timedelta(minutes=-121), False),
    ],
)
async def test_consent_counts_from_its_signature_to_its_last_moment(
    clinic: Clinic, signed: timedelta, valid: timedelta, allowed: bool
) -> None:
    person = await clinic.patient(consented=False)
    await clinic.tell(person.consent(signed=signed, valid=valid))
    infusion_id = await clinic.arrived(person)
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body())
    assert answer.status_code == (200 if allowed else 409)


@pytest.mark.parametrize("kind", ["messaging", "disclosure"])
async def test_another_consent_is_no_consent_to_treatment(clinic: Clinic, kind: str) -> None:
    person = await clinic.patient(consented=False)
    await clinic.tell(person.consent(kind=kind))
    problem = await refused(clinic, await clinic.arrived(person), clinic.start_body())
    assert problem["code"] == "consent-missing"


async def test_a_revoked_consent_counts_no_more_whichever_came_first(clinic: Clinic) -> None:
    for order in (0, 1):
        person = await clinic.patient(consented=False)
        told = [person.consent(), person.revoked(at=timedelta(minutes=-121))]
        await clinic.tell(*(told[::-1] if order else told))
        problem = await refused(clinic, await clinic.arrived(person), clinic.start_body())
        assert problem["code"] == "consent-missing"


async def test_what_intake_decided_of_consent_counts_and_not_the_signatures(clinic: Clinic) -> None:
    person = await clinic.patient()
    await clinic.tell(person.standing("revoked", person.span(until=timedelta(minutes=-121))))
    problem = await refused(clinic, await clinic.arrived(person), clinic.start_body())
    assert problem["code"] == "consent-missing"


async def test_consent_that_stood_at_the_start_is_enough_though_it_was_taken_back_since(clinic: Clinic) -> None:
    person = await clinic.patient(consented=False)
    await clinic.tell(person.standing("revoked", person.span(until=timedelta(minutes=-60))))
    await clinic.step(await clinic.arrived(person), "start", clinic.start_body())


async def test_an_older_decision_on_consent_changes_nothing(clinic: Clinic) -> None:
    person = await clinic.patient(consented=False)
    revoked, active = person.standing("revoked", version=2), person.standing("active", person.span(until=timedelta(days=90)), version=1)
    await clinic.tell(revoked, active)
    problem = await refused(clinic, await clinic.arrived(person), clinic.start_body())
    assert problem["code"] == "consent-missing"


async def test_a_signature_of_the_release_before_that_arrives_late_changes_nothing_any_more(clinic: Clinic) -> None:
    person = await clinic.patient(consented=False)
    await clinic.tell(person.standing("revoked"), person.consent(), person.standing("active", person.span(), version=1, kind="messaging"))
    problem = await refused(clinic, await clinic.arrived(person), clinic.start_body())
    assert problem["code"] == "consent-missing"


async def test_consent_that_was_told_to_stand_expires_by_the_time_of_the_start(clinic: Clinic) -> None:
    """Nobody tells that it has: the last moment was told with it."""
    for until, status in ((timedelta(minutes=-120), 409), (timedelta(minutes=-119), 200)):
        person = await clinic.patient(consented=False)
        stands = person.span(until=until)
        await clinic.tell(person.standing("active", stands, since=stands.since))
        answer = await clinic.post(f"/infusions/{await clinic.arrived(person)}/start", clinic.start_body())
        assert answer.status_code == status


async def test_a_revocation_that_the_decision_did_not_know_ends_what_stood(clinic: Clinic) -> None:
    """An intake of the release before, beside the new one or after it was put back, tells the revocation and decides nothing."""
    person = await clinic.patient()
    stands = person.span(until=timedelta(days=300))
    await clinic.tell(person.standing("active", stands, since=stands.since), person.revoked(at=timedelta(minutes=-121)))
    problem = await refused(clinic, await clinic.arrived(person), clinic.start_body())
    assert problem["code"] == "consent-missing"


async def test_what_was_started_before_such_a_revocation_was_consented(clinic: Clinic) -> None:
    person = await clinic.patient()
    stands = person.span(until=timedelta(days=300))
    await clinic.tell(person.standing("active", stands, since=stands.since), person.revoked(at=timedelta(minutes=-60)))
    started = await clinic.step(await clinic.arrived(person), "start", clinic.start_body())
    assert started["differs_today"] == [{"code": "consent-missing", "since": None}]


async def test_such_a_revocation_counts_until_consent_was_signed_again(clinic: Clinic) -> None:
    person = await clinic.patient()
    stood, again = person.span(until=timedelta(days=-20)), person.span(timedelta(days=-10), timedelta(days=300))
    await clinic.tell(
        person.standing("active", person.span(until=timedelta(days=300)), since=stood.since),
        person.revoked(at=timedelta(days=-20)),
        person.standing("active", stood, again, since=again.since, version=2),
    )
    await clinic.step(await clinic.arrived(person), "start", clinic.start_body())


async def test_an_old_revocation_that_is_heard_late_leaves_what_was_signed_since(clinic: Clinic) -> None:
    person = await clinic.patient()
    again = person.span(timedelta(days=-10), timedelta(days=300))
    await clinic.tell(person.standing("active", again, since=again.since), person.revoked(at=timedelta(days=-20)))
    await clinic.step(await clinic.arrived(person), "start", clinic.start_body())


async def test_such_a_revocation_counts_though_a_clock_ahead_dated_the_signature_after_it(clinic: Clinic) -> None:
    person = await clinic.patient()
    ahead = person.span(timedelta(minutes=3), timedelta(days=300))
    await clinic.tell(person.standing("active", ahead, since=ahead.since), person.revoked(at=timedelta(minutes=1)))
    infusion_id = await clinic.arrived(person)
    clinic.clock.advance(timedelta(minutes=10))
    problem = await refused(clinic, infusion_id, clinic.start_body() | {"pump_started_at": clinic.clock.now().isoformat()})
    assert problem["code"] == "consent-missing"


@pytest.mark.parametrize("status", ["on-hold", "stopped", "completed"])
async def test_nothing_starts_on_a_course_that_does_not_run(clinic: Clinic, status: str) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.arrived(person)
    await clinic.tell(person.course(version=2, status=status))
    problem = await refused(clinic, infusion_id, clinic.start_body())
    assert (problem["code"], problem["state"]) == (f"course-{status}", "arrived")


async def test_nothing_starts_for_the_dead_or_those_who_left(clinic: Clinic) -> None:
    for code, kind in (("patient-deceased", facts.PatientDeceased), ("patient-withdrawn", facts.PatientWithdrawn)):
        person = await clinic.patient()
        infusion_id = await clinic.arrived(person)
        await clinic.tell(kind(occurred_at=clinic.clock.now(), patient_id=person.patient_id, patient_version=2))
        problem = await refused(clinic, infusion_id, clinic.start_body())
        assert (problem["code"], problem["state"]) == (code, "arrived")


@pytest.mark.parametrize(
    ("reading", "value", "rule"),
    [("systolic_mmhg", 141, "systolic-high"), ("diastolic_mmhg", 91, "diastolic-high"), ("spo2_percent", 94, "spo2-low")],
)
async def test_readings_over_a_limit_hold_the_start_until_a_prescriber_decides(clinic: Clinic, reading: str, value: int, rule: str) -> None:
    infusion_id = await clinic.arrived(readings={**CALM, reading: value})
    problem = await refused(clinic, infusion_id, clinic.start_body())
    assert (problem["code"], problem["override"]) == ("hold-criteria-met", "hold_override")
    assert [met["rule"] for met in problem["rules"]] == [rule]
    decided = clinic.start_body(hold_override={"reason": "Known white-coat effect, home readings normal"})
    by_nurse = await clinic.post(f"/infusions/{infusion_id}/start", decided, acting=NURSE)
    assert (by_nurse.status_code, by_nurse.json()["code"]) == (403, "prescriber-needed")
    started = await clinic.step(infusion_id, "start", decided, acting=PRESCRIBER)
    kept = started["clinical"]["overrides"]
    assert [(entry["rule"], entry["reason"]) for entry in kept] == [("hold-criteria-met", "Known white-coat effect, home readings normal")]


async def test_the_last_reading_counts(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings={**CALM, "systolic_mmhg": 170})
    await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-121), "systolic_mmhg": 138, "diastolic_mmhg": 85})
    await clinic.step(infusion_id, "start", clinic.start_body())


async def test_a_start_without_a_fresh_pressure_is_held(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived(readings={"spo2_percent": 98})
    await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-119), **CALM})
    problem = await refused(clinic, infusion_id, clinic.start_body())
    assert [met["rule"] for met in problem["rules"]] == ["pressure-not-taken"]


@pytest.mark.parametrize(("minutes", "status"), [(-180, 200), (-180.1, 409)])
async def test_a_pressure_older_than_an_hour_is_no_fresh_one(clinic: Clinic, minutes: float, status: int) -> None:
    infusion_id = await clinic.scheduled()
    await clinic.step(infusion_id, "check-in", {"arrived_at": clinic.at(-200)})
    await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(minutes), **CALM})
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body())
    assert answer.status_code == status
    if status == 409:
        assert "60 min before the start" in answer.json()["detail"]
        assert "in the 60 min before the start, and an older one is too old" in answer.json()["rules"][0]["source"]


async def test_an_unusual_dose_needs_a_prescribers_reason_once(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    unusual = clinic.start_body(dose_ordered=mg(96))
    problem = await refused(clinic, infusion_id, unusual)
    assert (problem["code"], problem["override"]) == ("needs-override", "dose_override")
    assert "96" not in problem["detail"]
    decided = {**unusual, "dose_override": {"reason": "Tolerated 1.1 mg/kg before"}}
    by_nurse = await clinic.post(f"/infusions/{infusion_id}/start", decided, acting=NURSE)
    assert by_nurse.status_code == 403
    await clinic.step(infusion_id, "start", decided, acting=PRESCRIBER)
    more = await clinic.post(f"/infusions/{infusion_id}/pump-end", clinic.pump_body(96.001))
    assert (more.status_code, more.json()["code"]) == (409, "needs-override")
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(96))


async def test_what_was_given_above_the_order_needs_a_reason_too(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    answer = await clinic.post(f"/infusions/{infusion_id}/pump-end", clinic.pump_body(96))
    assert (answer.status_code, answer.json()["code"]) == (409, "needs-override")
    assert answer.json()["state"] == "in-progress"


async def book(clinic: Clinic, person: Person, minutes: float, **body: object) -> tuple[int, Json]:
    booking = {"patient_id": str(person.patient_id), "course_id": str(person.course_id), "scheduled_at": clinic.at(minutes), **body}
    answer = await clinic.post("/infusions", booking, acting="coordinator")
    return answer.status_code, answer.json()


@pytest.mark.parametrize(("minutes", "status"), [(360, 409), (-360, 409), (0, 409), (360.1, 201), (-360.1, 201)])
async def test_a_second_record_within_six_hours_inclusive_is_held_as_a_duplicate(clinic: Clinic, minutes: float, status: int) -> None:
    person = await clinic.patient()
    first = await clinic.scheduled(person)
    got, answer = await book(clinic, person, minutes)
    assert got == status
    if status == 409:
        assert (answer["code"], answer["infusion_ids"]) == ("possible-duplicate", [first])


async def test_two_visits_that_somebody_says_are_two_go_on_as_two(clinic: Clinic) -> None:
    person = await clinic.patient()
    first = await clinic.arrived(person)
    status, second = await book(clinic, person, 60, duplicate_confirmation={"reason": "Two sessions that day, agreed with the prescriber"})
    assert status == 201
    await clinic.step(first, "start", clinic.start_body())
    await clinic.step(second["infusion_id"], "check-in", {"arrived_at": clinic.at(-150)})
    await clinic.step(second["infusion_id"], "vital-signs", {"measured_at": clinic.at(-125), **CALM})
    await clinic.step(second["infusion_id"], "start", clinic.start_body())


@pytest.mark.parametrize("state", ["cancelled", "no-show", "not-done", "entered-in-error"])
async def test_a_visit_that_did_not_take_place_is_nobodys_duplicate(clinic: Clinic, state: str) -> None:
    person = await clinic.patient()
    first = await clinic.arrived(person) if state in ("not-done", "entered-in-error") else await clinic.scheduled(person)
    steps: dict[str, Json] = {"cancelled": {"cancelled_by": "clinic"}, "no-show": {}, "not-done": {"reason": "Fever"}}
    steps |= {"entered-in-error": {"reason": "Twice"}}
    await clinic.step(first, "cancel" if state == "cancelled" else state, steps[state])
    if state == "entered-in-error":
        await clinic.step(first, "entered-in-error/confirm", {}, acting=PRESCRIBER)
    assert (await book(clinic, person, 0))[0] == 201


async def test_a_start_moved_next_to_another_infusion_is_held_as_a_duplicate(clinic: Clinic) -> None:
    person = await clinic.patient()
    done = await clinic.completed(person)
    later = await clinic.scheduled(person, at=clinic.clock.now() + timedelta(days=2))
    await clinic.step(later, "check-in", {"arrived_at": clinic.at(-150), "time_override": {"reason": "Came two days early"}})
    await clinic.step(later, "vital-signs", {"measured_at": clinic.at(-125), **CALM})
    problem = await refused(clinic, later, clinic.start_body())
    assert (problem["code"], problem["infusion_ids"]) == ("possible-duplicate", [done])
    await clinic.step(later, "start", clinic.start_body(duplicate_confirmation={"reason": "Given twice by plan"}))


async def test_another_patients_visit_is_no_duplicate(clinic: Clinic) -> None:
    await clinic.scheduled()
    assert (await book(clinic, await clinic.patient(), 0))[0] == 201


@pytest.mark.parametrize(
    ("status", "course", "code"),
    [
        ("deceased", "active", "patient-deceased"),
        ("withdrawn", "active", "patient-withdrawn"),
        ("active", "stopped", "course-stopped"),
        ("active", "completed", "course-completed"),
        ("active", "on-hold", None),
    ],
)
async def test_nothing_is_booked_for_those_who_cannot_come(clinic: Clinic, status: str, course: str, code: str | None) -> None:
    person = await clinic.patient(status=status)
    await clinic.tell(person.course(version=2, status=course))
    got, answer = await book(clinic, person, 60)
    assert (got, answer.get("code")) == ((409, code) if code else (201, None))


@pytest.mark.parametrize(("minutes", "status"), [(60 * 24 * 732, 422), (-60 * 24 * 367, 422), (-60 * 24 * 10, 201)])
async def test_a_booking_lies_within_reason_and_may_be_entered_late(clinic: Clinic, minutes: float, status: int) -> None:
    got, answer = await book(clinic, await clinic.patient(), minutes)
    assert got == status
    if status == 422:
        assert answer["code"] == "time-out-of-range"


async def test_an_infusion_does_not_start_before_its_patient_came(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body(pump_started_at=clinic.at(-151)))
    assert (answer.status_code, answer.json()["code"]) == (422, "interval-invalid")
