"""Clinical documents of a clinic, lived through at the limits of vital signs: written, signed, from a time on, and what they change."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.sessions.vitals.limits import VITAL_SIGNS
from shared.documents.in_force import Documents
from shared.errors import Unavailable
from shared.events import intake as facts
from tests.sessions.clinic import CALM, COORDINATOR, DIRECTOR, NURSE, PRESCRIBER, Clinic, Json

Opened = Callable[[], Awaitable[Clinic]]
OWN = VITAL_SIGNS.default_text.replace("version: 2\n", "")
LOW_PRESSURE = OWN.replace("reading: systolic_mmhg, above: 140", "reading: systolic_mmhg, above: 120")
"""CALM's 122 mmHg hold a start by these."""
HIGH_PRESSURE = OWN.replace("reading: systolic_mmhg, above: 140", "reading: systolic_mmhg, above: 200")


async def write(clinic: Clinic, content: str = LOW_PRESSURE, *, by: str | UUID = PRESCRIBER, **body: object) -> httpx.Response:
    return await clinic.post("/documents", {"code": "vital-signs", "content": content, **body}, acting=by)


async def sign(clinic: Clinic, version: int, *, by: str | UUID = DIRECTOR, active_from: datetime | None = None) -> httpx.Response:
    return await step(clinic, version, "sign-off", by=by, active_from=active_from)


async def step(
    clinic: Clinic, version: int, name: str, *, by: str | UUID = DIRECTOR, active_from: datetime | None = None
) -> httpx.Response:
    body = {"active_from": active_from.isoformat()} if active_from else {}
    return await clinic.post(f"/documents/vital-signs/versions/{version}/{name}", body, acting=by)


async def own(clinic: Clinic, content: str = LOW_PRESSURE, *, active_from: datetime | None = None) -> int:
    """A version of the clinic's own, signed."""
    written = await write(clinic, content)
    assert written.status_code == 201, written.text
    version = int(written.json()["version"])
    signed = await sign(clinic, version, active_from=active_from)
    assert signed.is_success, signed.text
    return version


async def in_force(clinic: Clinic) -> Json:
    (document,) = (one for one in (await clinic.get("/documents")).json()["items"] if one["code"] == "vital-signs")
    return dict(document)


async def another_director(clinic: Clinic) -> UUID:
    one = uuid4()
    now = clinic.clock.now()
    await clinic.tell(
        facts.PractitionerChanged(occurred_at=now, practitioner_id=one, practitioner_version=1, roles=[DIRECTOR], active=True)
    )
    return one


async def start_now(clinic: Clinic, *, systolic: int = 122) -> httpx.Response:
    """Ask to start an infusion at this moment, after readings that were just taken."""
    infusion_id = await clinic.scheduled()
    await clinic.step(infusion_id, "check-in", {"arrived_at": clinic.at(-15)})
    await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-5), **CALM, "systolic_mmhg": systolic})
    return await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body(pump_started_at=clinic.at(0)))


async def test_a_default_that_nobody_has_signed_is_marked_and_counts(clinic: Clinic) -> None:
    assert await in_force(clinic) == {
        "code": "vital-signs",
        "title": "Limits of vital signs",
        "version": VITAL_SIGNS.default.version,
        "default": True,
        "standing": "unsigned-default",
        "active_from": None,
        "newest_default": VITAL_SIGNS.default.version,
        "next": [],
    }
    assert (await start_now(clinic)).is_success
    shown = (await clinic.get("/documents/vital-signs/versions/2")).json()
    assert (shown["content"], shown["standing"], shown["signed_by"]) == (VITAL_SIGNS.default_text, "unsigned-default", None)


async def test_two_clinics_on_one_installation_are_judged_by_their_own_limits(open_clinic: Opened) -> None:
    ours, theirs, neither = await open_clinic(), await open_clinic(), await open_clinic()
    await own(ours, LOW_PRESSURE)
    await own(theirs, HIGH_PRESSURE)
    by_122 = [(await start_now(clinic)).status_code for clinic in (ours, theirs, neither)]
    by_150 = [(await start_now(clinic, systolic=150)).status_code for clinic in (ours, theirs, neither)]
    assert (by_122, by_150) == ([409, 200, 200], [409, 200, 409])


async def test_what_is_held_names_the_rule_and_what_is_overridden_names_the_version(clinic: Clinic) -> None:
    version = await own(clinic)
    held = await start_now(clinic)
    assert held.json()["code"] == "hold-criteria-met"
    infusion_id = held.request.url.path.split("/")[4]
    body = clinic.start_body(pump_started_at=clinic.at(0), hold_override={"reason": "Usual for this patient"})
    assert (await clinic.post(f"/infusions/{infusion_id}/start", body, acting=PRESCRIBER)).is_success
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        kept = (await db.execute(text("SELECT overrides FROM infusion WHERE infusion_id = :id"), {"id": UUID(infusion_id)})).scalar_one()
    assert [entry["limits_version"] for entry in kept] == [version]


async def test_a_version_counts_from_its_time_by_the_clock_and_not_before(clinic: Clinic) -> None:
    tomorrow = clinic.clock.now() + timedelta(days=1)
    version = await own(clinic, active_from=tomorrow)
    standing = await in_force(clinic)
    assert (standing["version"], standing["standing"]) == (2, "unsigned-default")
    assert [(one["version"], one["active_from"]) for one in standing["next"]] == [(version, tomorrow.isoformat().replace("+00:00", "Z"))]
    clinic.clock.set(tomorrow - timedelta(seconds=1))
    assert (await start_now(clinic)).is_success
    clinic.clock.set(tomorrow)
    assert (await start_now(clinic)).json()["code"] == "hold-criteria-met"
    standing = await in_force(clinic)
    assert (standing["version"], standing["standing"], standing["default"], standing["next"]) == (version, "signed", False, [])


async def test_a_start_entered_later_is_judged_by_the_limits_of_its_own_time(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    await own(clinic)  # since now; the pump started two hours ago
    assert (await clinic.post(f"/infusions/{infusion_id}/start", clinic.start_body())).is_success


async def test_what_was_judged_stays_judged_by_its_version(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    unlikely = {"measured_at": clinic.at(-100), **CALM, "heart_rate_per_min": 22}
    saved = await clinic.step(infusion_id, "vital-signs", unlikely)
    stricter = OWN.replace("heart_rate_per_min, below: 35", "heart_rate_per_min, below: 80").replace("above: 180", "above: 190")
    version = await own(clinic, stricter)
    clinic.clock.advance(timedelta(minutes=10))
    calm = await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(0), **CALM})
    listed = (await clinic.get(f"/infusions/{infusion_id}/vital-signs")).json()["items"]
    assert [(one["limits_version"], len(one["unlikely"])) for one in listed] == [(2, 0), (2, 1), (version, 1)]
    assert listed[1:] == [saved, calm]


async def test_readings_of_a_release_before_are_marked_by_the_default_that_it_knew(clinic: Clinic) -> None:
    infusion_id = await clinic.in_progress()
    await clinic.step(infusion_id, "vital-signs", {"measured_at": clinic.at(-100), **CALM, "heart_rate_per_min": 22})
    await _as_the_release_before_wrote_them(clinic)
    await own(clinic, OWN.replace("heart_rate_per_min, below: 35", "heart_rate_per_min, below: 10"))
    listed = (await clinic.get(f"/infusions/{infusion_id}/vital-signs")).json()["items"]
    assert [(one["limits_version"], [mark["rule"] for mark in one["unlikely"]]) for one in listed] == [
        (None, []),
        (None, ["heart-rate-very-low"]),
    ]


async def _as_the_release_before_wrote_them(clinic: Clinic) -> None:
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        await db.execute(text(_COPIED))
        await db.execute(text(_WITHOUT_THE_FIRST))


_COPIED = """
    INSERT INTO vital_signs
        (vital_signs_id, clinic_id, infusion_id, measured_at, recorded_at, actor, systolic_mmhg, diastolic_mmhg, heart_rate_per_min)
    SELECT gen_random_uuid(), clinic_id, infusion_id, measured_at, recorded_at, actor, systolic_mmhg, diastolic_mmhg, heart_rate_per_min
    FROM vital_signs
"""
"""Without the columns that are new."""
_WITHOUT_THE_FIRST = "UPDATE vital_signs SET struck_at = now(), struck_by = 'x', struck_reason = 'x' WHERE limits_version IS NOT NULL"


async def test_struck_readings_are_judged_again_by_the_limits_that_counted_at_the_start(clinic: Clinic) -> None:
    infusion_id = await clinic.arrived()
    low = await clinic.read(infusion_id, minutes=-121, **{**CALM, "systolic_mmhg": 118})
    await clinic.step(infusion_id, "start", clinic.start_body())
    await own(clinic)  # 122 mmHg, which are what is left before the start, would hold it from now on
    assert (await clinic.strike(infusion_id, low)).is_success
    assert (await clinic.get(f"/infusions/{infusion_id}")).json()["needs_review"] is False


@pytest.mark.parametrize("by", [NURSE, COORDINATOR])
async def test_who_neither_prescribes_nor_directs_writes_no_version(clinic: Clinic, by: str) -> None:
    assert (await write(clinic, by=by)).json()["code"] == "role-missing"


async def test_a_broken_text_is_refused_by_line_and_the_old_version_stays(clinic: Clinic) -> None:
    version = await own(clinic)
    broken = await write(clinic, LOW_PRESSURE.replace("above: 120", "above: 1200"))
    assert (broken.status_code, broken.json()["code"]) == (422, "document-invalid")
    (found,) = broken.json()["errors"]
    assert (found["pointer"], found["code"]) == ("/content", "out-of-reach")
    assert found["detail"].startswith("Line 29: ")
    assert "1200" not in broken.text
    assert (await in_force(clinic))["version"] == version
    assert (await clinic.get("/documents/versions")).json()["items"][0]["version"] == version


async def test_a_dry_run_says_what_is_wrong_and_saves_nothing(clinic: Clinic) -> None:
    assert (await write(clinic, "a: [", dry_run=True)).json()["code"] == "document-invalid"
    tried = await write(clinic, dry_run=True)
    assert (tried.status_code, "Location" in tried.headers) == (201, False)
    assert (await clinic.get("/documents/versions")).json()["items"] == []


async def test_who_wrote_a_version_does_not_sign_it_and_another_director_may(clinic: Clinic) -> None:
    version = (await write(clinic, by=DIRECTOR)).json()["version"]
    refused = await sign(clinic, version, by=DIRECTOR)
    assert (refused.status_code, refused.json()["code"]) == (403, "signed-by-writer")
    assert (await in_force(clinic))["standing"] == "unsigned-default"
    assert (await sign(clinic, version, by=await another_director(clinic))).is_success


@pytest.mark.parametrize("by", [PRESCRIBER, NURSE, COORDINATOR])
async def test_only_a_medical_director_signs(clinic: Clinic, by: str) -> None:
    version = (await write(clinic, by=DIRECTOR)).json()["version"]
    assert (await sign(clinic, version, by=by)).json()["code"] == "role-missing"


async def test_another_clinics_director_cannot_sign_and_sees_no_version_of_ours(open_clinic: Opened) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    version = (await write(ours)).json()["version"]
    assert (await sign(ours, version, by=theirs.people[DIRECTOR])).json()["code"] == "practitioner-unknown"
    assert (await sign(theirs, version)).json()["code"] == "not-found"
    assert (await theirs.get(f"/documents/vital-signs/versions/{version}")).status_code == 404
    assert (await theirs.get("/documents/versions")).json()["items"] == []


async def test_a_version_that_nobody_has_signed_never_counts(clinic: Clinic) -> None:
    version = (await write(clinic)).json()["version"]
    assert (await step(clinic, version, "activate")).json()["code"] == "not-signed"
    assert (await start_now(clinic)).is_success


async def test_signing_twice_is_a_conflict(clinic: Clinic) -> None:
    version = await own(clinic)
    assert (await sign(clinic, version)).json()["code"] == "already-signed"


async def test_a_default_can_be_signed_and_is_kept_as_it_was_signed(clinic: Clinic) -> None:
    assert (await sign(clinic, 2)).is_success
    standing = await in_force(clinic)
    assert (standing["version"], standing["default"], standing["standing"]) == (2, True, "signed")
    (kept,) = (await clinic.get("/documents/versions")).json()["items"]
    assert (kept["version"], kept["written_by"]) == (2, "Product/afterglow")
    shown = (await clinic.get("/documents/vital-signs/versions/2")).json()
    assert (shown["content"], [one["version"] for one in shown["activations"]]) == (VITAL_SIGNS.default_text, [2])


async def test_a_director_goes_back_to_a_signed_version(clinic: Clinic) -> None:
    first = await own(clinic, HIGH_PRESSURE)
    clinic.clock.advance(timedelta(minutes=1))
    await own(clinic, LOW_PRESSURE)
    clinic.clock.advance(timedelta(minutes=1))
    assert (await start_now(clinic)).status_code == 409
    assert (await step(clinic, first, "activate")).is_success
    assert (await start_now(clinic)).is_success


async def test_of_two_with_one_moment_the_later_entry_counts_so_that_what_is_ahead_can_be_put_off(clinic: Clinic) -> None:
    today, tomorrow = await own(clinic, HIGH_PRESSURE), clinic.clock.now() + timedelta(days=1)
    await own(clinic, LOW_PRESSURE, active_from=tomorrow)
    assert (await step(clinic, today, "activate", active_from=tomorrow)).is_success
    clinic.clock.set(tomorrow + timedelta(hours=1))
    assert (await start_now(clinic)).is_success
    assert (await in_force(clinic))["version"] == today


@pytest.mark.parametrize("off", [timedelta(seconds=-1), timedelta(days=732)])
async def test_a_version_counts_from_no_time_that_has_passed_or_is_years_ahead(clinic: Clinic, off: timedelta) -> None:
    version = (await write(clinic)).json()["version"]
    refused = await sign(clinic, version, active_from=clinic.clock.now() + off)
    assert (refused.json()["code"], refused.json()["errors"][0]["pointer"]) == ("time-out-of-range", "/active_from")
    assert (await clinic.get(f"/documents/vital-signs/versions/{version}")).json()["standing"] == "unsigned"


async def test_versions_are_counted_apart_from_those_of_releases(open_clinic: Opened) -> None:
    ours, theirs = await open_clinic(), await open_clinic()
    found = [(await write(clinic)).json()["version"] for clinic in (ours, ours, theirs)]
    assert found == [1001, 1002, 1001]


async def test_an_unknown_document_or_version_is_refused(clinic: Clinic) -> None:
    unknown = await clinic.post("/documents", {"code": "moods", "content": OWN}, acting=PRESCRIBER)
    assert (unknown.json()["code"], unknown.json()["errors"][0]["pointer"]) == ("document-unknown", "/code")
    for path in ("/documents/moods/versions/1", "/documents/vital-signs/versions/1", "/documents/vital-signs/versions/1001"):
        assert (await clinic.get(path)).status_code == 404


async def test_what_is_done_with_a_document_is_in_the_trail_with_who_did_it(clinic: Clinic) -> None:
    version = await own(clinic)
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        found = "SELECT operation, practitioner_id, subject FROM audit_event WHERE operation LIKE '%document_version' ORDER BY recorded_at"
        rows = (await db.execute(text(found))).all()
    assert [(row.operation, row.practitioner_id) for row in rows] == [
        ("write_document_version", clinic.people[PRESCRIBER]),
        ("sign_document_version", clinic.people[DIRECTOR]),
    ]
    assert all(str(version) in row.subject for row in rows)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE clinic_document SET content = 'x'",
        "UPDATE clinic_document_activation SET active_from = now()",
        "DELETE FROM clinic_document_activation",
        "DELETE FROM clinic_document",
    ],
)
async def test_the_database_lets_nobody_edit_or_remove_a_version(clinic: Clinic, change: str) -> None:
    await own(clinic)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with clinic.service.database.transaction(clinic.clinic_id) as db:
            await db.execute(text(change))


async def test_a_process_that_knows_the_old_version_judges_by_the_new_one_in_its_next_transaction(clinic: Clinic) -> None:
    elsewhere = Documents([VITAL_SIGNS])  # what another process keeps in memory

    async def version() -> int:
        async with clinic.service.database.transaction(clinic.clinic_id) as db:
            return (await elsewhere.in_force(db, VITAL_SIGNS, clinic.clock.now())).version

    assert await version() == 2
    first = await own(clinic)
    assert await version() == first
    clinic.clock.advance(timedelta(seconds=1))
    second = await own(clinic)
    assert await version() == second


async def test_a_version_that_cannot_be_read_any_more_is_waited_for_and_no_other_takes_its_place(clinic: Clinic) -> None:
    await write(clinic)
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        for written in _UNREADABLE:
            await db.execute(text(written))
    assert (await start_now_refused(clinic)).status_code == 503
    with pytest.raises(Unavailable):
        async with clinic.service.database.transaction(clinic.clinic_id) as db:
            await Documents([VITAL_SIGNS]).in_force(db, VITAL_SIGNS, clinic.clock.now())


async def start_now_refused(clinic: Clinic) -> httpx.Response:
    return await clinic.post(f"/infusions/{uuid4()}/start", clinic.start_body(pump_started_at=clinic.at(0)))


_UNREADABLE = (
    "INSERT INTO clinic_document SELECT clinic_id, code, 1500, 'a: 1', written_by, written_at FROM clinic_document",
    """
    INSERT INTO clinic_document_activation SELECT clinic_id, code, 1, 1500, written_at, 'x', written_at
    FROM clinic_document WHERE version = 1500
    """,
    "INSERT INTO platform.document_stamp SELECT clinic_id, 1 FROM clinic_document WHERE version = 1500",
)
"""Version 1500, as a release that knew another form might have left it."""
