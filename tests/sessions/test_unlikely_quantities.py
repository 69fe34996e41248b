"""Weights and doses that are possible and unlike the patient's last ones: pounds entered as kilograms, a slipped point, a doubled dose."""

from datetime import timedelta

import pytest

from tests.sessions.clinic import NURSE, PRESCRIBER, Clinic, Json, Person, kg, mg

REASON = {"reason": "Weighed twice, in kilograms"}


async def second_visit(clinic: Clinic, *, weight: float = 80, **first: object) -> tuple[Person, str]:
    """A patient with one infusion at this weight, who is here for the next."""
    person = await clinic.patient()
    infusion_id = await clinic.in_progress(person, weight=kg(weight), **first)
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(20))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    clinic.clock.advance(timedelta(days=3))
    return person, await clinic.arrived(person)


async def asked(clinic: Clinic, infusion_id: str, body: Json, *, step: str = "start", acting: str = NURSE) -> Json:
    """The 409 of a step that must change nothing."""
    before, told = await clinic.counts(), await clinic.told()
    answer = await clinic.post(f"/infusions/{infusion_id}/{step}", body, acting=acting, **await clinic.seen(infusion_id))
    assert (answer.status_code, answer.json()["code"]) == (409, "needs-override"), answer.text
    assert (await clinic.counts(), await clinic.told()) == (before, told)
    return answer.json()  # type: ignore[no-any-return]  # JSON is Any


async def test_pounds_entered_as_kilograms_are_asked_about_and_never_repeated(clinic: Clinic) -> None:
    _, infusion_id = await second_visit(clinic)
    problem = await asked(clinic, infusion_id, clinic.start_body(weight=kg(176.4)))
    assert (problem["override"], [found["rule"] for found in problem["rules"]]) == ("weight_override", ["weight-unlike-last"])
    assert problem["source"]
    assert "176.4" not in str(problem)
    assert "80" not in problem["detail"]


@pytest.mark.parametrize(("weight", "status"), [(88, 200), (88.001, 409), (72, 200), (71.999, 409)])
async def test_a_weight_may_change_by_a_tenth(clinic: Clinic, weight: float, status: int) -> None:
    _, infusion_id = await second_visit(clinic)
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body(weight=kg(weight), dose_ordered=mg(30)))
    assert answer.status_code == status, answer.text


async def test_the_lower_weight_counts_for_the_dose_until_a_prescriber_says_that_the_weight_is_right(clinic: Clinic) -> None:
    _, infusion_id = await second_visit(clinic)
    body = clinic.start_body(weight=kg(176), dose_ordered=mg(61), weight_override=REASON)
    assert (await asked(clinic, infusion_id, body))["override"] == "dose_override"
    impossible = await clinic.post(f"/infusions/{infusion_id}/start", {**body, "dose_ordered": mg(361)})
    assert (impossible.status_code, impossible.json()["code"]) == (422, "dose-over-hard-limit")
    started = await clinic.step(infusion_id, "start", {**body, "dose_ordered": mg(60)})
    assert [entry["rule"] for entry in started["clinical"]["overrides"]] == ["weight-unlike-last"]
    assert (await asked(clinic, infusion_id, clinic.pump_body(61), step="pump-end"))["override"] == "dose_override"
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(60))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    assert (await asked(clinic, infusion_id, {"reason": "Log", "dose_given": mg(70)}, step="amend"))["override"] == "dose_override"
    settled = {"reason": "Weighed again", "weight": kg(176), "weight_override": REASON, "dose_given": mg(70)}
    amended = await clinic.correct(infusion_id, "amend", settled, acting=PRESCRIBER)
    assert amended["clinical"]["dose_given"]["value"] == 70


async def test_a_prescriber_who_gives_the_reason_settles_it_at_once(clinic: Clinic) -> None:
    _, infusion_id = await second_visit(clinic)
    body = clinic.start_body(weight=kg(160), dose_ordered=mg(75), weight_override=REASON)
    await clinic.step(infusion_id, "start", body, acting=PRESCRIBER)


async def test_a_prescriber_settles_a_weight_afterwards_without_changing_anything_else(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress(weight=kg(160), weight_override=REASON)
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(40))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    settled = await clinic.correct(
        infusion_id, "amend", {"reason": "Weighed again", "weight": kg(160), "weight_override": REASON}, acting=PRESCRIBER
    )
    assert [entry["rule"] for entry in settled["clinical"]["overrides"]] == ["weight-unusual", "weight-unlike-last"]


@pytest.mark.parametrize(("spoke", "speaks"), [(NURSE, NURSE), (PRESCRIBER, PRESCRIBER), (PRESCRIBER, NURSE)])
async def test_what_was_said_of_a_weight_is_not_said_again(clinic: Clinic, spoke: str, speaks: str) -> None:
    _, infusion_id = await second_visit(clinic)
    await clinic.step(infusion_id, "start", clinic.start_body(weight=kg(160), weight_override=REASON), acting=spoke)
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(40))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    again = {"reason": "Weighed again", "weight": kg(160), "weight_override": REASON}
    answer = await clinic.post(f"/infusions/{infusion_id}/amend", again, acting=speaks)
    assert (answer.status_code, answer.json()["code"]) == (422, "nothing-to-amend")
    corrected = await clinic.correct(infusion_id, "amend", {**again, "dose_given": mg(39)}, acting=speaks)
    assert [entry["rule"] for entry in corrected["clinical"]["overrides"]] == ["weight-unlike-last"]


async def test_an_unsettled_weight_is_nobodys_reference(clinic: Clinic) -> None:
    person, infusion_id = await second_visit(clinic)
    await clinic.step(infusion_id, "start", clinic.start_body(weight=kg(176), weight_override=REASON))
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(40))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    clinic.clock.advance(timedelta(days=3))
    third = await clinic.arrived(person)
    assert (await asked(clinic, third, clinic.start_body(weight=kg(176))))["override"] == "weight_override"
    await clinic.step(third, "start", clinic.start_body(weight=kg(80)))


@pytest.mark.parametrize(("weight", "status"), [(45, 200), (44.9, 409), (115, 200), (115.1, 409), (180, 409)])
async def test_a_first_weight_out_of_the_usual_is_asked_about(clinic: Clinic, weight: float, status: int) -> None:
    infusion_id = await clinic.arrived()
    body = clinic.start_body(weight=kg(weight), dose_ordered=mg(20))
    answer = await clinic.post(f"/infusions/{infusion_id}/start", body)
    assert answer.status_code == status
    if status == 409:
        assert [found["rule"] for found in answer.json()["rules"]] == ["weight-unusual"]
        await clinic.step(infusion_id, "start", {**body, "weight_override": REASON})


async def test_an_amendment_is_no_way_around_it(clinic: Clinic) -> None:
    _, infusion_id = await second_visit(clinic)
    await clinic.step(infusion_id, "start", clinic.start_body())
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(40))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    amendment = {"reason": "Typing mistake", "weight": kg(176)}
    assert (await asked(clinic, infusion_id, amendment, step="amend"))["override"] == "weight_override"
    with_dose = {**amendment, "weight_override": REASON, "dose_given": mg(70)}
    assert (await asked(clinic, infusion_id, with_dose, step="amend"))["override"] == "dose_override"


async def test_an_amendment_of_the_only_infusion_is_held_against_what_stood_there(clinic: Clinic) -> None:
    infusion_id = await clinic.completed()
    amendment = {"reason": "Typing mistake", "weight": kg(110)}
    assert [found["rule"] for found in (await asked(clinic, infusion_id, amendment, step="amend"))["rules"]] == ["weight-unlike-last"]


async def test_a_wrong_weight_is_amended_to_the_patients_own_without_a_question(clinic: Clinic) -> None:
    _, infusion_id = await second_visit(clinic)
    await clinic.step(infusion_id, "start", clinic.start_body(weight=kg(176), weight_override=REASON))
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(40))
    await clinic.step(infusion_id, "complete", {"discharged_at": clinic.at(0)})
    amended = await clinic.correct(infusion_id, "amend", {"reason": "Pounds", "weight": kg(80)})
    assert amended["clinical"]["weight"]["value"] == 80


async def test_a_weight_entered_in_error_is_nobodys_reference(clinic: Clinic) -> None:
    person = await clinic.patient()
    wrong = await clinic.in_progress(person, weight=kg(60))
    await clinic.step(wrong, "pump-end", clinic.pump_body(20))
    await clinic.correct(wrong, "entered-in-error", {"reason": "Another patient"})
    await clinic.correct(wrong, "entered-in-error/confirm", {}, acting=PRESCRIBER)
    clinic.clock.advance(timedelta(days=3))
    await clinic.step(await clinic.arrived(person), "start", clinic.start_body())


@pytest.mark.parametrize(("dose", "status"), [(30, 200), (30.001, 409)])
async def test_a_dose_above_twice_the_last_one_needs_a_prescribers_reason(clinic: Clinic, dose: float, status: int) -> None:
    _, infusion_id = await second_visit(clinic, dose_ordered=mg(15))
    body = clinic.start_body(dose_ordered=mg(dose))
    answer = await clinic.post(f"/infusions/{infusion_id}/start", body)
    assert answer.status_code == status
    if status == 409:
        assert [found["rule"] for found in answer.json()["rules"]] == ["dose-unlike-last"]
        decided = {**body, "dose_override": {"reason": "Tolerated well"}}
        assert (await clinic.post(f"/infusions/{infusion_id}/start", decided)).json()["code"] == "prescriber-needed"
        await clinic.step(infusion_id, "start", decided, acting=PRESCRIBER)
        await clinic.step(infusion_id, "pump-end", clinic.pump_body(dose))


async def test_a_dose_given_above_twice_the_order_needs_a_prescribers_reason(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress(dose_ordered=mg(20))
    problem = await asked(clinic, infusion_id, clinic.pump_body(40.001), step="pump-end")
    assert [found["rule"] for found in problem["rules"]] == ["dose-unlike-last"]
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(40))
