"""Doses, weights, units and times that cannot be: each gets its own code, says what is allowed, repeats nothing and writes nothing."""

import pytest

from tests.sessions.clinic import NURSE, Clinic, Json, kg, mg

START = {"weight": kg(80), "dose_ordered": mg(40)}


async def refused(clinic: Clinic, infusion_id: str, step: str, body: Json, *, status: int = 422) -> Json:
    """The problem of a step that must change nothing."""
    before, told = await clinic.counts(), await clinic.told()
    answer = await clinic.post(f"/infusions/{infusion_id}/{step}", body, acting=NURSE)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await clinic.counts(), await clinic.told()) == (before, told)
    return answer.json()  # type: ignore[no-any-return]  # JSON is Any


@pytest.mark.parametrize(
    ("changed", "code", "pointer"),
    [
        ({"dose_ordered": mg(-5)}, "dose-not-positive", "/dose_ordered"),
        ({"dose_ordered": mg(0)}, "dose-not-positive", "/dose_ordered"),
        ({"dose_ordered": mg(950)}, "dose-over-hard-limit", "/dose_ordered"),
        ({"dose_ordered": 40}, "unit-required", "/dose_ordered"),
        ({"dose_ordered": 40.5}, "unit-required", "/dose_ordered"),
        ({"dose_ordered": {"value": 40}}, "unit-required", "/dose_ordered"),
        ({"dose_ordered": {"value": 40, "unit": None}}, "unit-required", "/dose_ordered"),
        ({"dose_ordered": {"value": 40, "unit": "mcg"}}, "unit-not-allowed", "/dose_ordered"),
        ({"dose_ordered": {"value": 40, "unit": "ml"}}, "unit-not-allowed", "/dose_ordered"),
        ({"dose_ordered": {"value": 0.5, "unit": "mg/kg"}}, "unit-not-allowed", "/dose_ordered"),
        ({"dose_ordered": {"value": 40, "unit": "MG"}}, "unit-not-allowed", "/dose_ordered"),
        ({"dose_ordered": {"value": "40", "unit": "mg"}}, "type", "/dose_ordered"),
        ({"dose_ordered": {"value": True, "unit": "mg"}}, "type", "/dose_ordered"),
        ({"dose_ordered": {"value": [40], "unit": "mg"}}, "type", "/dose_ordered"),
        ({"dose_ordered": {"unit": "mg"}}, "type", "/dose_ordered"),
        ({"dose_ordered": True}, "type", "/dose_ordered"),
        ({"dose_ordered": "40 mg"}, "type", "/dose_ordered"),
        ({"dose_ordered": None}, "type", "/dose_ordered"),
        ({"dose_ordered": {"value": 40, "unit": "mg", "route": "iv"}}, "unknown-field", "/dose_ordered"),
        ({"dose_ordered": {"value": 40.0005, "unit": "mg"}}, "out-of-range", "/dose_ordered"),
        ({"dose_ordered": {"value": 10**30, "unit": "mg"}}, "out-of-range", "/dose_ordered"),
        ({"weight": kg(8)}, "weight-out-of-range", "/weight"),
        ({"weight": kg(800)}, "weight-out-of-range", "/weight"),
        ({"weight": {"value": 176, "unit": "lb"}}, "unit-not-allowed", "/weight"),
        ({"weight": 80}, "unit-required", "/weight"),
    ],
)
async def test_a_start_with_an_impossible_quantity_is_refused(clinic: Clinic, changed: Json, code: str, pointer: str) -> None:
    infusion_id = await clinic.arrived()
    problem = await refused(clinic, infusion_id, "start", clinic.start_body(**changed))
    assert problem["code"] == code
    assert problem["errors"][0]["pointer"] == pointer
    assert (await clinic.get(f"/infusions/{infusion_id}")).json()["state"] == "arrived"


async def test_a_refusal_shows_the_limit_and_never_the_value(clinic: Clinic) -> None:
    problem = await refused(clinic, await clinic.arrived(), "start", clinic.start_body(dose_ordered=mg(957.25), weight=kg(81.5)))
    assert "4.5 mg/kg" in problem["detail"]
    assert "957" not in str(problem)
    assert "81.5" not in str(problem)


async def test_everything_that_is_wrong_is_named_at_once(clinic: Clinic) -> None:
    body = clinic.start_body(dose_ordered=mg(-5), weight=kg(8), pump_started_at=clinic.at(10))
    problem = await refused(clinic, await clinic.arrived(), "start", body)
    assert [error["code"] for error in problem["errors"]] == ["weight-out-of-range", "dose-not-positive", "time-out-of-range"]


@pytest.mark.parametrize("step", ["pump-end", "stop-early"])
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"dose_given": mg(-5)}, "dose-not-positive"),
        ({"dose_given": mg(950)}, "dose-over-hard-limit"),
        ({"dose_given": 40}, "unit-required"),
        ({"dose_given": {"value": 40, "unit": "ml"}}, "unit-not-allowed"),
        ({"volume_given": {"value": 4, "unit": "mL"}, "concentration": {"value": 100, "unit": "mg/mL"}}, "dose-volume-mismatch"),
        ({"volume_given": {"value": 4, "unit": "mL"}}, "required"),
        ({"concentration": {"value": 10, "unit": "mg/mL"}}, "required"),
        ({"volume_given": {"value": 4, "unit": "ml"}}, "unit-not-allowed"),
        ({"pump_ended_at": "2026-11-23T11:59:59Z"}, "interval-invalid"),
        ({"pump_ended_at": "2026-11-23T12:00:00Z"}, "interval-invalid"),
        ({"pump_ended_at": "2026-11-24T14:00:00Z"}, "time-out-of-range"),
        ({"pump_ended_at": "1900-01-01T00:00:00Z"}, "time-out-of-range"),
        ({"pump_ended_at": "1899-12-31T23:59:59Z"}, "time-out-of-range"),
        ({"pump_ended_at": "9999-12-31T23:59:59Z"}, "time-out-of-range"),
        ({"pump_ended_at": "2026-11-23T12:40:00"}, "time-format"),
        ({"pump_ended_at": "2026-11-23"}, "time-format"),
        ({"pump_ended_at": 1795437600}, "time-format"),
        ({"pump_ended_at": "2026-02-30T12:40:00Z"}, "time-format"),
        ({"pump_ended_at": "2026-11-23T12:40:60Z"}, "time-format"),
    ],
)
async def test_a_pump_end_that_cannot_be_is_refused(clinic: Clinic, step: str, changed: Json, code: str) -> None:
    infusion_id = await clinic.in_progress()
    whole = clinic.pump_body() if step == "pump-end" else clinic.stop_body(40)
    problem = await refused(clinic, infusion_id, step, {**whole, **changed})
    assert problem["code"] == code


async def test_a_pump_that_ran_to_its_end_gave_something(clinic: Clinic) -> None:
    problem = await refused(clinic, await clinic.in_progress(), "pump-end", clinic.pump_body(0))
    assert problem["code"] == "dose-not-positive"


async def test_an_infusion_of_nine_hours_is_refused(clinic: Clinic) -> None:
    person = await clinic.patient()
    infusion_id = await clinic.scheduled(person)
    await clinic.step(infusion_id, "check-in", {"arrived_at": clinic.at(-700)})
    await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-650), "systolic_mmhg": 120, "diastolic_mmhg": 80})
    await clinic.step(infusion_id, "start", clinic.start_body(pump_started_at=clinic.at(-640)))
    problem = await refused(clinic, infusion_id, "pump-end", clinic.pump_body(pump_ended_at=clinic.at(-100)))
    assert problem["code"] == "interval-invalid"
    await clinic.step(infusion_id, "pump-end", clinic.pump_body(pump_ended_at=clinic.at(-101)))


async def test_volume_and_concentration_that_agree_are_kept(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    agreed = {"volume_given": {"value": 4, "unit": "mL"}, "concentration": {"value": 10, "unit": "mg/mL"}}
    recovered = await clinic.step(infusion_id, "pump-end", clinic.pump_body(40, **agreed))
    assert recovered["clinical"]["volume_given"] == {"value": 4, "unit": "mL"}
    assert recovered["clinical"]["concentration"] == {"value": 10, "unit": "mg/mL"}


@pytest.mark.parametrize(
    ("step", "time"), [("complete", "discharged_at"), ("leave-against-advice", "left_at"), ("transfer", "transferred_at")]
)
@pytest.mark.parametrize(("minutes", "code"), [(-81, "interval-invalid"), (6, "time-out-of-range"), (60 * 24, "time-out-of-range")])
async def test_nobody_departs_before_the_pump_ended_or_tomorrow(clinic: Clinic, step: str, time: str, minutes: int, code: str) -> None:
    infusion_id = await clinic.recovery()
    reason = {} if step == "complete" else {"reason": "Went"}
    problem = await refused(clinic, infusion_id, step, {time: clinic.at(minutes), **reason})
    assert problem["code"] == code


@pytest.mark.parametrize(
    "member", ["clinic_id", "state", "version", "infusion_id", "is_admin", "drug_given", "first_of_course", "error_confirmed_by"]
)
async def test_a_body_cannot_reach_past_its_members(clinic: Clinic, member: str) -> None:
    problem = await refused(clinic, await clinic.in_progress(), "pump-end", {**clinic.pump_body(), member: "x"})
    assert problem["code"] == "unknown-field"


@pytest.mark.parametrize("reason", ["", "a\u0000b", "\u202egnorw", "\u200b", "x" * 501, "=CMD()\u0007"])
async def test_a_reason_is_a_readable_text(clinic: Clinic, reason: str) -> None:
    await refused(clinic, await clinic.in_progress(), "stop-early", clinic.stop_body(10, reason=reason))


async def test_a_script_in_a_reason_is_a_text_like_any_other(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    text = "<script>alert(1)</script> =HYPERLINK()"
    stopped = await clinic.step(infusion_id, "stop-early", clinic.stop_body(10, reason=text))
    assert stopped["clinical"]["reason"] == text
