"""Whoever asks the trail who saw or tried to see a patient finds every operation of the three services that did."""

from uuid import uuid4

from tests.support.operations import PLACE
from tests.trust.world import World


async def test_every_read_leaves_one_row_that_names_who_was_shown(world: World) -> None:
    silent = []
    for op in world.of_patients():
        if op.method != "GET" or op.path in _NOBODY_SHOWN:
            continue
        answer, rows = await world.ask(op, world.somebody_for(op), world.ids)
        assert answer.status_code == 200, (str(op), answer.text)
        if len(rows) != 1 or not (rows[0]["patient_id"] or rows[0]["patient_ids"]):
            silent.append((str(op), len(rows)))
    assert silent == []


async def test_every_refusal_leaves_one_row_that_names_whose_record_it_was(world: World) -> None:
    silent, stranger = [], str(uuid4())
    for op in world.of_patients():
        answer, rows = await world.ask(op, stranger, world.ids)
        assert answer.status_code == 403
        about = [bool(row["patient_id"]) or "{" not in op.path for row in rows]
        if [str(row["practitioner_id"]) for row in rows] != [stranger] or about != [True]:
            silent.append((str(op), rows))
    assert silent == []


async def test_every_record_that_is_not_there_leaves_one_row_with_its_id(world: World) -> None:
    silent = []
    for op in world.of_patients():
        (name,) = PLACE.findall(op.path)[:1] or [""]
        if not name:
            continue
        asked = str(uuid4())
        answer, rows = await world.ask(op, world.somebody_for(op), {name: [asked]})
        if answer.status_code == 404 and [(row["outcome"], asked in str(row["subject"])) for row in rows] != [(404, True)]:
            silent.append((str(op), rows))
        assert answer.status_code in {404, 422, 428}, (str(op), answer.text)
    assert silent == []


async def test_an_auditor_reads_a_patients_trail_in_each_service(world: World) -> None:
    clinic, patient_id = world.clinic, world.ids["patient_id"][0]
    auditor, stranger = await clinic.hire_one("auditor", "auditor"), uuid4()
    await clinic.known()
    asked = {
        "intake": ("list_patients", "/intake/v1/patients"),
        "sessions": ("list_infusions", "/sessions/v1/infusions"),
        "followup": ("list_tasks", "/followup/v1/tasks"),
    }
    for service, (operation, path) in asked.items():
        await clinic.system.get(path, acting=clinic.staff["prescriber"])
        named = {"Authorization": f"Bearer {await clinic.system.access_token()}", "Afterglow-Practitioner": str(stranger)}
        assert (await world.house.http.get(f"{path}?patient_id={patient_id}", headers=named)).status_code in {403, 422}
        trail = await clinic.system.get(f"/{service}/v1/audit-events", acting=auditor, patient_id=patient_id)
        seen = [(one["operation"], one["practitioner_id"]) for one in trail["items"] if one["outcome"] == 200]
        assert (operation, str(clinic.staff["prescriber"])) in seen
        moments = [one["recorded_at"] for one in trail["items"]]
        assert moments == sorted(moments, reverse=True)
        other = await clinic.system.get(f"/{service}/v1/audit-events", acting=auditor, patient_id=str(uuid4()))
        assert other["items"] == []


_NOBODY_SHOWN = {"/followup/v1/tasks/counts", "/followup/v1/completeness"}
"""Counts without a patient to filter by, and a list that is empty where nothing is missing."""
