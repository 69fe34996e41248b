"""Vital signs over HTTP: saved one by one, bounded, never changed; struck where they were never this patient's (test_struck_readings)."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from tests.sessions.clinic import CALM, COORDINATOR, NURSE, Clinic, Json


async def test_readings_are_saved_one_by_one_and_listed_by_the_moment_they_were_taken(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    later = await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-100), "spo2_percent": 96})
    await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-110), "moaa_s_score": 4, "heart_rate_per_min": 81})
    listed = (await clinic.get(f"/infusions/{infusion_id}/vital-signs")).json()["items"]
    assert [(signs["spo2_percent"], signs["moaa_s_score"]) for signs in listed] == [(98, 5), (None, 4), (96, None)]
    assert listed[-1] == later
    assert later["actor"] == f"Practitioner/{clinic.people[NURSE]}"
    assert later["measured_at"].endswith("Z")


@pytest.mark.parametrize(
    ("changed", "code", "pointer"),
    [
        ({"systolic_mmhg": 1200}, "vital-out-of-range", "/systolic_mmhg"),
        ({"spo2_percent": 140}, "vital-out-of-range", "/spo2_percent"),
        ({"heart_rate_per_min": 0}, "vital-out-of-range", "/heart_rate_per_min"),
        ({"systolic_mmhg": 80, "diastolic_mmhg": 120}, "pressure-swapped", "/diastolic_mmhg"),
        ({"diastolic_mmhg": None}, "required", "/diastolic_mmhg"),
        ({"spo2_percent": "98"}, "type", "/spo2_percent"),
        ({"spo2_percent": True}, "type", "/spo2_percent"),
        ({"spo2_percent": 98.5}, "type", "/spo2_percent"),
        ({"temperature_c": 37}, "unknown-field", ""),
        ({"systolic": 120}, "unknown-field", ""),
        ({"measured_at": "2026-11-24T14:00:00Z"}, "time-out-of-range", "/measured_at"),
        ({"measured_at": "1900-01-01T00:00:00Z"}, "time-out-of-range", "/measured_at"),
        ({"measured_at": "9999-12-31T23:59:59Z"}, "time-out-of-range", "/measured_at"),
        ({"measured_at": "2026-11-23T13:00:00"}, "time-format", "/measured_at"),
    ],
)
async def test_an_impossible_reading_is_refused_and_saves_nothing(clinic: Clinic, changed: Json, code: str, pointer: str) -> None:
    infusion_id = await clinic.in_progress()
    before = await clinic.counts()
    answer = await clinic.post(f"/infusions/{infusion_id}/vital-signs", {"measured_at": clinic.at(-100), **CALM, **changed})
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == (code, pointer)
    assert "1200" not in answer.text
    assert await clinic.counts() == before


async def test_an_unlikely_reading_is_saved_and_marked_in_the_answer_and_in_the_list(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    saved = await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-100), **CALM, "heart_rate_per_min": 22})
    assert [(mark["rule"], mark["reading"]) for mark in saved["unlikely"]] == [("heart-rate-very-low", "heart_rate_per_min")]
    assert saved["unlikely"][0]["source"]
    calm, low = (await clinic.get(f"/infusions/{infusion_id}/vital-signs")).json()["items"]
    assert (calm["unlikely"], low["unlikely"]) == ([], saved["unlikely"])


async def test_no_reading_at_all_is_refused(clinic: Clinic) -> None:
    answer = await clinic.post(f"/infusions/{await clinic.in_progress()}/vital-signs", {"measured_at": clinic.at(-100)})
    assert (answer.status_code, answer.json()["code"]) == (422, "required")


async def test_five_minutes_between_two_clocks_are_forgiven(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    for minutes, status in ((5, 201), (5.1, 422)):
        answer = await clinic.post(f"/infusions/{infusion_id}/vital-signs", {"measured_at": clinic.at(minutes), **CALM})
        assert answer.status_code == status


async def test_readings_are_no_version_of_the_record_and_are_told_to_nobody(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    version, told = (await clinic.get(f"/infusions/{infusion_id}")).json()["version"], await clinic.told()
    await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-100), **CALM})
    assert (await clinic.get(f"/infusions/{infusion_id}")).json()["version"] == version
    assert await clinic.told() == told


async def test_coordinators_neither_save_nor_see_readings(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    saved = await clinic.post(f"/infusions/{infusion_id}/vital-signs", {"measured_at": clinic.at(-100), **CALM}, acting=COORDINATOR)
    seen = await clinic.get(f"/infusions/{infusion_id}/vital-signs", acting=COORDINATOR)
    assert (saved.status_code, seen.status_code) == (403, 403)
    assert saved.json()["code"] == seen.json()["code"] == "role-missing"


@pytest.mark.parametrize("table", ["vital_signs", "infusion_version"])
@pytest.mark.parametrize("change", ["UPDATE {} SET recorded_at = now()", "DELETE FROM {}"])
async def test_the_service_itself_cannot_change_what_was_recorded(clinic: Clinic, table: str, change: str) -> None:
    await clinic.in_progress()
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with clinic.service.database.transaction(clinic.clinic_id) as db:
            await db.execute(text(change.format(table)))
