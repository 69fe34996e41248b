"""What happened before a course ended or a patient left is entered afterwards, judged by how things stood at its time."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from shared.events import Event
from shared.events import intake as facts
from shared.events import sessions as events
from tests.sessions.clinic import CALM, COORDINATOR, Clinic, Json, Person

LONG_AGO = timedelta(days=-60)
ENDED = timedelta(minutes=-20)
"""When things changed: after the discharge of the visit that is entered late, which began 150 minutes ago."""


def until(clinic: Clinic, end: timedelta | None) -> list[facts.Span]:
    now = clinic.clock.now()
    return [facts.Span(since=now + LONG_AGO, until=None if end is None else now + end)]


def course(status: str) -> Callable[[Clinic, Person, timedelta], list[Event]]:
    return lambda clinic, person, end: [person.course(version=2, status=status, ran=until(clinic, end))]


def patient(status: str) -> Callable[[Clinic, Person, timedelta], list[Event]]:
    return lambda clinic, person, end: [person.described(version=2, status=status, active=until(clinic, end))]


CHANGES = {
    "course-completed": course("completed"),
    "course-stopped": course("stopped"),
    "course-on-hold": course("on-hold"),
    "patient-withdrawn": patient("withdrawn"),
    "patient-deceased": patient("deceased"),
}


@pytest.mark.parametrize("code", CHANGES)
async def test_a_whole_visit_before_the_change_is_entered_after_it_and_says_what_is_otherwise_today(clinic: Clinic, code: str) -> None:
    person = await clinic.patient()
    await clinic.tell(*CHANGES[code](clinic, person, ENDED))
    infusion_id = await clinic.scheduled(person, at=clinic.clock.now() - timedelta(minutes=150))
    since = (clinic.clock.now() + ENDED).isoformat().replace("+00:00", "Z")
    expected = [{"code": code, "since": since}]
    assert clinic.last is not None
    assert clinic.last.json()["differs_today"] == expected
    steps: list[tuple[str, Json]] = [
        ("check-in", {"arrived_at": clinic.at(-150)}),
        ("start", clinic.start_body()),
        ("pump-end", clinic.pump_body()),
        ("complete", {"discharged_at": clinic.at(-20)}),
    ]
    for step, body in steps:
        if step == "start":
            await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-125), **CALM})
        assert (await clinic.step(infusion_id, step, body))["differs_today"] == expected, step
    amended = await clinic.correct(infusion_id, "amend", {"reason": "Log read", "pump_ended_at": clinic.at(-85)})
    assert amended["differs_today"] == expected
    assert [type(event) for event in await clinic.told(infusion_id)][-2:] == [events.InfusionCompleted, events.InfusionAmended]


@pytest.mark.parametrize("code", CHANGES)
async def test_a_start_after_the_change_stays_refused_however_late_it_is_entered(clinic: Clinic, code: str) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.arrived(person)
    await clinic.tell(*CHANGES[code](clinic, person, timedelta(minutes=-120)))
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body())
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    earlier = await clinic.step(infusion_id, "start", clinic.start_body(pump_started_at=clinic.at(-120.1)))
    assert [difference["code"] for difference in earlier["differs_today"]] == [code]


@pytest.mark.parametrize("code", CHANGES)
async def test_a_start_corrected_to_after_the_change_stands_and_is_marked_for_review(clinic: Clinic, code: str) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.completed(person)
    await clinic.tell(*CHANGES[code](clinic, person, timedelta(minutes=-110)))
    inside = await clinic.correct(infusion_id, "amend", {"reason": "Log read", "pump_started_at": clinic.at(-111)})
    assert not inside["needs_review"]
    moved = await clinic.correct(infusion_id, "amend", {"reason": "Log read", "pump_started_at": clinic.at(-110)})
    assert (moved["needs_review"], moved["clinical"]["reviews"][0]["rules"]) == (True, [code])
    amended, needed = (await clinic.told(infusion_id))[-2:]
    assert isinstance(amended, events.InfusionAmended)
    assert isinstance(needed, events.InfusionReviewNeeded)
    assert needed.code == "start-barred"


async def test_a_start_corrected_to_before_the_signature_is_marked_for_review(clinic: Clinic) -> None:
    person = await clinic.patient(consented=False)
    await clinic.tell(person.consent(signed=timedelta(minutes=-121)))
    infusion_id = await clinic.completed(person)
    moved = await clinic.correct(infusion_id, "amend", {"reason": "Log read", "pump_started_at": clinic.at(-122)})
    assert moved["clinical"]["reviews"][0]["rules"] == ["consent-missing"]


@pytest.mark.parametrize("code", [code for code in CHANGES if code != "course-on-hold"])
async def test_a_visit_now_or_later_is_judged_by_now(clinic: Clinic, code: str) -> None:
    person = await clinic.patient()
    await clinic.tell(*CHANGES[code](clinic, person, ENDED))
    for minutes in (0, 60):
        booking = {"patient_id": str(person.patient_id), "course_id": str(person.course_id), "scheduled_at": clinic.at(minutes)}
        answer = await clinic.post("/infusions", booking, acting=COORDINATOR)
        assert (answer.status_code, answer.json()["code"]) == (409, code)


@pytest.mark.parametrize(
    ("code", "now_known"),
    [
        ("course-did-not-run", lambda clinic, person, spans: person.course(version=2, ran=spans)),
        ("patient-was-not-active", lambda clinic, person, spans: person.described(version=2, active=spans)),
    ],
)
async def test_a_start_in_a_time_in_which_things_did_not_stand_is_refused_though_they_stand_today(
    clinic: Clinic, code: str, now_known: Callable[[Clinic, Person, list[facts.Span]], Event]
) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.arrived(person)
    back: datetime = clinic.clock.now() - timedelta(minutes=119)
    await clinic.tell(now_known(clinic, person, [*until(clinic, timedelta(minutes=-200)), facts.Span(since=back)]))
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body())
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    started = await clinic.step(infusion_id, "start", clinic.start_body(pump_started_at=clinic.at(-119)))
    assert started["differs_today"] == []


async def test_where_nothing_is_known_of_the_past_today_counts(clinic: Clinic) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.arrived(person)
    await clinic.tell(person.course(version=2, status="completed"))
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body())
    assert (answer.status_code, answer.json()["code"]) == (409, "course-completed")


async def test_consent_revoked_since_is_told_and_holds_nothing_up(clinic: Clinic) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.arrived(person)
    await clinic.tell(person.revoked(at=ENDED))
    started = await clinic.step(infusion_id, "start", clinic.start_body())
    assert started["differs_today"] == [{"code": "consent-missing", "since": None}]


async def test_a_no_show_by_mistake_is_taken_back_after_the_course_ended(clinic: Clinic) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.scheduled(person, at=clinic.clock.now() - timedelta(minutes=150))
    await clinic.step(infusion_id, "no-show")
    await clinic.tell(*CHANGES["course-completed"](clinic, person, ENDED))
    assert (await clinic.correct(infusion_id, "restore", {"reason": "Came after all"}))["state"] == "scheduled"


async def test_a_read_record_does_not_say_what_is_otherwise_today(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    assert (await clinic.get(f"/infusions/{infusion_id}")).json()["differs_today"] is None
