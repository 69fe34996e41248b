"""A death, a withdrawal or a revoked consent calls off what is open and lists it, in whatever order things are heard of."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.events import Event
from shared.events import intake as people
from shared.events import sessions as infusions
from tests.followup.clinic import NURSE, Clinic, Visit, at
from tests.followup.test_walls import link_to


def death(visit: Visit, version: int = 2) -> Event:
    return people.PatientDeceased(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=version)


def withdrawal(visit: Visit, version: int = 2) -> Event:
    return people.PatientWithdrawn(occurred_at=visit.clock.now(), patient_id=visit.patient_id, patient_version=version)


def consent_gone(visit: Visit, version: int = 2, consent_type: str = "treatment") -> Event:
    """What intake decided after a revocation."""
    now = visit.clock.now()
    return people.ConsentChanged(
        occurred_at=now,
        patient_id=visit.patient_id,
        consent_type=consent_type,
        consent_standing=version,
        standing="revoked",
        since=now,
        until=None,
        stood=[people.Span(since=now - timedelta(days=60), until=now)],
    )


def revocation(visit: Visit, consent_type: str = "treatment") -> Event:
    """As an intake of the release before tells it."""
    return people.ConsentRevoked(occurred_at=visit.clock.now(), consent_id=uuid4(), patient_id=visit.patient_id, consent_type=consent_type)


async def offers_to(clinic: Clinic, visit: Visit) -> list[str]:
    """How the offers of a safety call to a patient stand."""
    made = "SELECT status FROM care_task WHERE kind = 'safety-offer-call' AND patient_id = :id ORDER BY created_at"
    return [row["status"] for row in await clinic.rows(made, id=visit.patient_id)]


async def about_patient(clinic: Clinic, visit: Visit) -> dict[str, str]:
    """Tasks of a patient that stand on no infusion, by kind."""
    rows = await clinic.rows("SELECT kind, status FROM care_task WHERE patient_id = :id AND infusion_id IS NULL", id=visit.patient_id)
    return {row["kind"]: row["status"] for row in rows}


async def test_a_death_cancels_everything_that_is_open_and_lists_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.patient(visit)
    await clinic.tell(visit.told(infusions.InfusionLeftAgainstAdvice))
    await clinic.tell(death(visit))
    assert set((await clinic.states(visit)).values()) == {"cancelled"}
    assert await about_patient(clinic, visit) == {"cancellation-review": "requested"}
    [review] = await clinic.rows("SELECT details, reason, facts, patient_number FROM care_task WHERE kind = 'cancellation-review'")
    assert {entry["code"] for entry in review["details"]["items"]} == {"integration-session", "left-against-advice", "C24", "C72"}
    assert review["patient_number"] == "P-0007"
    assert (review["reason"], review["facts"]["cause"]) == ("called-off", "patient-deceased")
    [plan] = await clinic.rows("SELECT status, status_reason FROM plan")
    assert plan == {"status": "revoked", "status_reason": "patient-deceased"}


async def test_a_death_that_is_known_before_the_plan_makes_one_with_everything_cancelled(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(death(visit), visit.told())
    assert await clinic.states(visit) == dict.fromkeys(("integration-session", "C24", "C72"), "cancelled")
    assert await about_patient(clinic, visit) == {"cancellation-review": "requested"}
    armed = await clinic.rows("SELECT kind FROM platform.timer WHERE clinic_id = :id AND state = 'armed'", id=clinic.clinic_id)
    assert {row["kind"] for row in armed} <= {"task-clock", "plan-wake"}


async def test_a_death_and_an_infusion_at_the_same_moment_leave_nothing_open(clinic: Clinic) -> None:
    visits = [clinic.visit() for _ in range(4)]
    await asyncio.gather(*(clinic.tell(event) for visit in visits for event in (visit.told(), death(visit))))
    for visit in visits:
        states = await clinic.states(visit)
        assert {states[code] for code in ("integration-session", "C24", "C72")} == {"cancelled"}


async def test_the_dead_stay_dead_whatever_is_told_later(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(death(visit, version=2))
    await clinic.patient(visit, version=9, status="active")
    await clinic.tell(visit.told())
    assert (await clinic.states(visit))["C24"] == "cancelled"


async def test_a_description_that_says_deceased_counts_as_much_as_the_death_itself(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told())
    await clinic.patient(visit, version=3, status="deceased")
    await clinic.tell(death(visit, version=3))
    assert (await clinic.states(visit))["C72"] == "cancelled"
    assert await about_patient(clinic, visit) == {"cancellation-review": "requested"}


@pytest.mark.parametrize(("hours", "offered"), [(2, True), (72, True), (73, False)])
async def test_who_leaves_within_72_hours_of_an_infusion_is_offered_a_safety_call(clinic: Clinic, hours: int, offered: bool) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now() - timedelta(hours=hours)))
    await clinic.tell(withdrawal(visit))
    left = await about_patient(clinic, visit)
    assert ("safety-offer-call" in left) == offered
    assert "requested" not in {(await clinic.states(visit))[code] for code in ("integration-session", "C24", "C72")}


async def test_a_withdrawal_leaves_a_clinicians_urgent_work_alone(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionLeftAgainstAdvice), withdrawal(visit))
    assert (await clinic.states(visit))["left-against-advice"] == "requested"


async def test_a_withdrawal_that_is_known_before_the_plan_offers_the_call_with_it(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(withdrawal(visit), visit.told())
    assert (await clinic.states(visit))["C24"] == "cancelled"
    assert await about_patient(clinic, visit) == {"safety-offer-call": "requested", "cancellation-review": "requested"}


LEAVING = {"withdrawn": withdrawal, "consent revoked": consent_gone, "consent revoked, as told before": revocation}
"""Who revokes consent is asked by C24 and C72 still, and so is offered nothing."""


@pytest.mark.parametrize("leaving", LEAVING.values(), ids=LEAVING)
@pytest.mark.parametrize("ended_first", [True, False], ids=["ended first", "left first"])
async def test_who_has_left_is_offered_one_call_however_often_the_infusion_is_told_of(
    clinic: Clinic, leaving: Callable[[Visit], Event], ended_first: bool
) -> None:
    visit = clinic.visit()
    at_eleven = clinic.clock.now() - timedelta(hours=1)
    ended = visit.told(pump_ended_at=at_eleven)
    await clinic.tell(*((ended, leaving(visit)) if ended_first else (leaving(visit), ended)))
    await clinic.tell(ended, ended)
    for version in (5, 6, 7):
        await clinic.tell(visit.told(infusions.InfusionAmended, version, pump_ended_at=at_eleven))
    await clinic.tell(visit.told(infusions.InfusionAmended, 8, pump_ended_at=at_eleven - timedelta(minutes=5), outcome="stopped-early"))
    assert await offers_to(clinic, visit) == (["requested"] if leaving is withdrawal else [])


async def test_an_offer_that_was_made_and_done_is_not_made_again_for_the_same_infusion(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), withdrawal(visit))
    [offer] = await clinic.rows("SELECT task_id FROM care_task WHERE kind = 'safety-offer-call'")
    await clinic.post(f"tasks/{offer['task_id']}/claim", role=NURSE)
    await clinic.post(f"tasks/{offer['task_id']}/complete", {"outcome": "reached"}, role=NURSE)
    await clinic.tell(visit.told(infusions.InfusionAmended, 5))
    assert await offers_to(clinic, visit) == ["completed"]


async def test_an_earlier_infusion_that_is_amended_adds_no_offer_to_that_of_the_last(clinic: Clinic) -> None:
    earlier = clinic.visit()
    last = clinic.visit(patient_id=earlier.patient_id, course_id=earlier.course_id)
    two_days_ago = clinic.clock.now() - timedelta(hours=48)
    await clinic.tell(earlier.told(pump_ended_at=two_days_ago), last.told(first_of_course=False), withdrawal(last))
    await clinic.tell(earlier.told(infusions.InfusionAmended, 5, pump_ended_at=two_days_ago))
    assert await offers_to(clinic, earlier) == ["requested"]


async def test_who_comes_back_and_leaves_again_after_another_infusion_is_offered_another_call(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), withdrawal(visit))
    [offer] = await clinic.rows("SELECT task_id FROM care_task WHERE kind = 'safety-offer-call'")
    await clinic.post(f"tasks/{offer['task_id']}/claim", role=NURSE)
    await clinic.post(f"tasks/{offer['task_id']}/complete", {"outcome": "reached"}, role=NURSE)
    await clinic.patient(visit, version=3, status="active")
    again = clinic.visit(patient_id=visit.patient_id)
    clinic.clock.advance(timedelta(days=7))
    await clinic.tell(again.told(), withdrawal(again, version=4))
    assert await offers_to(clinic, visit) == ["completed", "requested"]


@pytest.mark.parametrize("revoked", [consent_gone, revocation], ids=["decided", "as told before"])
async def test_without_treatment_consent_integration_is_offered_and_not_chased(clinic: Clinic, revoked: Callable[[Visit], Event]) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), revoked(visit))
    items = await clinic.items(visit)
    assert (items["C24"]["status"], items["C72"]["status"]) == ("planned", "planned"), "they ask after an infusion that was given"
    integration = items["integration-session"]
    assert (integration["status"], integration["business_status"]) == ("requested", "offered")
    await clinic.pass_time(timedelta(days=20))
    assert (await clinic.items(visit))["integration-session"]["business_status"] == "offered"
    shown = (await clinic.get(f"tasks/{integration['task_id']}")).json()
    assert shown["overdue"] is False
    assert "safety-offer-call" not in await about_patient(clinic, visit)


async def offered(clinic: Clinic, visit: Visit) -> bool:
    """Whether the session is on offer and not chased, as without consent to treatment."""
    return bool((await clinic.items(visit))["integration-session"]["business_status"] == "offered")


def signature(visit: Visit) -> Event:
    """As an intake of the release before tells it."""
    now = visit.clock.now()
    return people.ConsentSigned(
        occurred_at=now,
        consent_id=uuid4(),
        patient_id=visit.patient_id,
        consent_type="treatment",
        consent_version="2026-03",
        signed_at=now,
        valid_until=now + timedelta(days=365),
    )


def signed_now(visit: Visit, version: int = 1) -> Event:
    """What intake decided of a signature of this moment."""
    now, until = visit.clock.now(), visit.clock.now() + timedelta(days=365)
    return people.ConsentChanged(
        occurred_at=now,
        patient_id=visit.patient_id,
        consent_type="treatment",
        consent_standing=version,
        standing="active",
        since=now,
        until=until,
        stood=[people.Span(since=now, until=until)],
    )


@pytest.mark.parametrize("decided", [True, False], ids=["decided", "as told before"])
async def test_a_new_signature_brings_follow_up_back_for_later_infusions(clinic: Clinic, decided: bool) -> None:
    visit = clinic.visit()
    await clinic.tell(consent_gone(visit) if decided else revocation(visit))
    clinic.clock.advance(timedelta(hours=2))
    await clinic.tell(clinic.consent(visit, "active", version=3) if decided else signature(visit), visit.told())
    assert (await clinic.states(visit))["C24"] == "planned"


async def test_a_revoked_messaging_consent_calls_nothing_off_here(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), consent_gone(visit, consent_type="messaging"), revocation(visit, "messaging"))
    assert (await clinic.states(visit))["C24"] == "planned"


async def test_what_intake_decided_counts_in_whatever_order_it_is_heard(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), clinic.consent(visit, "active", version=3), consent_gone(visit, version=2))
    assert not await offered(clinic, visit)
    await clinic.tell(consent_gone(visit, version=4), clinic.consent(visit, "active", version=3))
    assert await offered(clinic, visit)


async def test_a_single_signature_changes_nothing_once_the_decision_was_told(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(consent_gone(visit), signature(visit), visit.told())
    assert await offered(clinic, visit)


async def test_a_revocation_that_the_decision_did_not_know_counts(clinic: Clinic) -> None:
    """An intake of the release before, beside the new one or after it was put back, tells the revocation and decides nothing."""
    visit = clinic.visit()
    later = clinic.visit(patient_id=visit.patient_id)
    await clinic.tell(visit.told(), clinic.consent(visit, "active"), revocation(visit))
    assert await offered(clinic, visit)
    await clinic.tell(revocation(visit), consent_gone(visit, version=2), later.told())
    assert await offered(clinic, later)


async def test_follow_up_goes_on_when_consent_was_signed_after_such_a_revocation(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(clinic.consent(visit, "active"), revocation(visit))
    clinic.clock.advance(timedelta(minutes=1))
    await clinic.tell(signed_now(visit, version=2), visit.told())
    assert (await clinic.states(visit))["C24"] == "planned"


async def test_an_old_revocation_that_is_heard_late_leaves_what_was_signed_since(clinic: Clinic) -> None:
    visit = clinic.visit()
    late = revocation(visit)
    clinic.clock.advance(timedelta(minutes=1))
    await clinic.tell(signed_now(visit), late, visit.told())
    assert (await clinic.states(visit))["C24"] == "planned"


async def test_who_revoked_by_an_intake_of_the_release_before_stands_the_same_after_the_upgrade(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(), revocation(visit))
    before = await clinic.items(visit)
    await clinic.tell(consent_gone(visit, version=1))
    assert await clinic.items(visit) == before


async def test_the_upgrade_calls_off_who_was_followed_up_by_a_wrong_reading(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(revocation(visit))
    clinic.clock.advance(timedelta(hours=1))
    await clinic.tell(signature(visit), visit.told())
    assert not await offered(clinic, visit)
    await clinic.tell(consent_gone(visit, version=1))
    assert await offered(clinic, visit)


async def test_a_clinic_takes_part_until_it_is_told_that_it_does_not(clinic: Clinic) -> None:
    closed = people.ClinicChanged(
        occurred_at=clinic.clock.now(), clinic_id=clinic.clinic_id, clinic_version=2, time_zone="America/New_York", active=False
    )
    await clinic.tell(closed)
    assert await clinic.rows("SELECT active FROM clinic") == [{"active": False}]


async def test_what_is_done_stays_done_when_a_patient_leaves(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(infusions.InfusionStoppedEarly))
    call_id = (await clinic.items(visit))["same-evening-call"]["task_id"]
    await clinic.post(f"tasks/{call_id}/claim", role=NURSE)
    await clinic.post(f"tasks/{call_id}/complete", {"outcome": "reached"}, role=NURSE)
    await clinic.tell(withdrawal(visit))
    call = (await clinic.items(visit))["same-evening-call"]
    assert (call["status"], call["outcome"]) == ("completed", "reached")


async def test_a_task_that_is_called_off_on_hold_has_waited_until_then(clinic: Clinic) -> None:
    visit = clinic.visit()
    task = await clinic.task("rebook", visit)
    path = f"tasks/{task['task_id']}"
    assert (await clinic.post(f"{path}/claim")).status_code == 200
    until = (clinic.clock.now() + timedelta(hours=5)).isoformat()
    assert (await clinic.post(f"{path}/hold", {"until": until, "reason": "waiting-for-patient"})).status_code == 200
    clinic.clock.advance(timedelta(hours=2))
    await clinic.tell(death(visit))
    kept = "SELECT status, held_seconds, held_since, held_until FROM care_task WHERE task_id = :id"
    assert await clinic.rows(kept, id=task["task_id"]) == [
        {"status": "cancelled", "held_seconds": 2 * 60 * 60, "held_since": None, "held_until": None}
    ]


async def test_no_new_visit_is_booked_for_who_has_left(clinic: Clinic) -> None:
    visit = clinic.visit()
    await clinic.tell(withdrawal(visit), visit.told(infusions.InfusionNoShow))
    assert await clinic.states(visit) == {}


async def test_the_offer_is_due_at_least_a_day_after_the_infusion(clinic: Clinic) -> None:
    visit = clinic.visit()
    ended_at = clinic.clock.now() - timedelta(hours=1)
    await clinic.tell(visit.told(pump_ended_at=ended_at), withdrawal(visit))
    [offer] = await clinic.rows("SELECT due_at FROM care_task WHERE kind = 'safety-offer-call'")
    assert at(offer, "due_at") == ended_at + timedelta(hours=24)


NEWS: dict[str, tuple[Callable[[Visit], Event], str]] = {
    "withdrawal": (withdrawal, "dead"),
    "entered in error": (lambda visit: visit.told(infusions.InfusionEnteredInError, 9), "dead"),
    "nothing given": (lambda visit: visit.told(infusions.InfusionAmended, 9, outcome="stopped-early", drug_given=False), "dead"),
    "revoked consent, after which it is still asked": (consent_gone, "open"),
    "another version of the same": (lambda visit: visit.told(infusions.InfusionAmended, 9), "open"),
}


@pytest.mark.parametrize("news", NEWS)
async def test_no_late_answer_comes_through_the_link_of_who_has_left(clinic: Clinic, news: str) -> None:
    event, status = NEWS[news]
    visit = clinic.visit()
    await clinic.tell(visit.told())
    check_in = (await clinic.items(visit))["C24"]
    await clinic.pass_time(at(check_in, "expires_at") - clinic.clock.now() + timedelta(minutes=1))
    assert (await clinic.items(visit))["C24"]["status"] == "expired"
    async with clinic.database.transaction(clinic.clinic_id) as db:
        db.add(link_to(clinic.clinic_id, check_in["check_in_id"], b"a token", clinic.clock.now()))
    await clinic.tell(event(visit))
    found = await clinic.rows("SELECT status FROM patient_link WHERE check_in_id = :id", id=check_in["check_in_id"])
    assert ([row["status"] for row in found], (await clinic.items(visit))["C24"]["status"]) == ([status], "expired")


@pytest.mark.parametrize(("days", "status"), [(9, "revoked"), (11, "active")])
async def test_a_departure_ends_the_records_that_go_on_and_no_others(clinic: Clinic, days: int, status: str) -> None:
    visit = clinic.visit()
    await clinic.tell(visit.told(pump_ended_at=clinic.clock.now()))
    await clinic.pass_time(timedelta(days=days))
    await clinic.tell(withdrawal(visit))
    [plan] = await clinic.rows("SELECT status FROM plan WHERE infusion_id = :id", id=visit.infusion_id)
    assert plan["status"] == status
