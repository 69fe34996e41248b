"""The limits of the infusion record as a clinic's own document: doses, weights and times, judged clinic by clinic."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from services.sessions.infusions.limits import INFUSION_RECORD
from shared.documents.checking import checked
from shared.documents.kinds import FIRST_OF_A_CLINIC
from shared.errors import Invalid
from tests.sessions.clinic import DIRECTOR, PRESCRIBER, Clinic, mg

Opened = Callable[[], Awaitable[Clinic]]
OWN = INFUSION_RECORD.default_text.replace("version: 2\n", "")
CAREFUL = OWN.replace("override_above_mg_per_kg: {value: 0.75", "override_above_mg_per_kg: {value: 0.5")
"""40 mg for 80 kg are inside, 41 mg want a reason."""
HOURS = timedelta(hours=4)
LONGER = OWN.replace("observation_minutes: {value: 60", "observation_minutes: {value: 120")


async def own(clinic: Clinic, content: str) -> int:
    written = await clinic.post("/documents", {"code": "infusion-record", "content": content}, acting=PRESCRIBER)
    assert written.status_code == 201, written.text
    version = int(written.json()["version"])
    signed = await clinic.post(f"/documents/infusion-record/versions/{version}/sign-off", {}, acting=DIRECTOR)
    assert signed.is_success, signed.text
    return version


async def test_a_dose_is_judged_by_the_limits_of_its_clinic(open_clinic: Opened) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    version = await own(ours, CAREFUL)
    ours.clock.advance(HOURS)  # the pump starts after the version counts
    asked = {clinic.clinic_id: await _start(clinic, 41) for clinic in (ours, theirs)}
    assert {clinic_id: answer for clinic_id, (answer, _) in asked.items()} == {ours.clinic_id: "needs-override", theirs.clinic_id: ""}
    assert version == FIRST_OF_A_CLINIC


async def _start(clinic: Clinic, dose: float) -> tuple[str, str]:
    infusion_id = await clinic.arrived()
    answer = await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body(dose_ordered=mg(dose)))
    return ("" if answer.is_success else answer.json()["code"]), infusion_id


async def test_a_discharge_is_judged_by_the_limits_that_count_when_it_is_recorded(open_clinic: Opened) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    standing = [await clinic.recovery() for clinic in (ours, theirs)]
    await own(ours, LONGER)
    answers = [
        await clinic.post(f"/infusions/{one}/complete", {"discharged_at": clinic.at(0)})
        for clinic, one in zip((ours, theirs), standing, strict=True)
    ]
    assert [answer.status_code for answer in answers] == [409, 200]
    assert answers[0].json()["code"] == "observation-not-over"


@pytest.mark.parametrize(
    ("written", "instead", "code"),
    [
        ("highest_mg_per_kg: {value: 4.5", "highest_mg_per_kg: {value: 0.6", "out-of-order"),
        ("lowest: {value: 30", "lowest: {value: 60", "out-of-order"),
        ("usual_mg_per_kg: {value: 0.5", "usual_mg_per_kg: {value: 0", "out-of-order"),
        ("rise_percent: {value: 100", "rise_percent: {value: -1", "out-of-range"),
        ("rise_percent: {value: 100, source", "rise_percent: {value: 100, origin", "required"),
        ("observation_minutes: {value: 60", "observation_minutes: {value: an hour", "type"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused_by_line(written: str, instead: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked(INFUSION_RECORD, OWN.replace(written, instead), FIRST_OF_A_CLINIC)
    assert code in [error.code for error in refused.value.errors]
    assert all(error.detail.startswith("Line ") for error in refused.value.errors)
