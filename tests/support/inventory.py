"""What there is in a clinic at work, by the names that addresses and bodies give its ids."""

import re

from tests.support.house import Clinic
from tests.support.waiting import eventually

DOCUMENTS = {"intake": "intake-policy", "sessions": "vital-signs", "followup": "task-policy"}
"""One clinical document of each service."""


async def inventory(clinic: Clinic, *, documents: bool = False) -> dict[str, list[str]]:
    """Fill a clinic: patients, and visits of which one is booked, one under way, and one over with its follow-up. All ids by name.

    ``documents``: it has written its own version of one in each service; otherwise there are the defaults.
    """
    patients = [await clinic.admit() for _ in range(5)]
    await patients[0].complete()
    await patients[1].infuse()
    await patients[2].book()
    await eventually(patients[0].tasks)
    consents = [await clinic.system.get(f"/intake/v1/patients/{one.patient_id}/consents") for one in patients]
    rows = {what: await _of_followup(clinic, what) for what in ("task_id", "plan_id", "check_in_id")}
    of_the_first = "SELECT vital_signs_id FROM vital_signs ORDER BY infusion_id <> :first"
    readings = await clinic.house.rows("sessions", clinic.clinic_id, of_the_first, first=patients[0].infusion_id)
    return (
        rows
        | await _documents(clinic, written=documents)
        | {
            "clinic_id": [clinic.clinic_id],
            "practitioner_id": [str(one) for one in clinic.staff.values()],
            "patient_id": [one.patient_id for one in patients],
            "course_id": [one.course_id for one in patients],
            "infusion_id": [one.infusion_id for one in patients if one.infusion_id],
            "vital_signs_id": [str(row["vital_signs_id"]) for row in readings],
            "consent_id": [consent["consent_id"] for listed in consents for consent in listed["items"]],
        }
    )


async def _documents(clinic: Clinic, *, written: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for service, code in DOCUMENTS.items():
        (document,) = (one for one in (await clinic.system.get(f"/{service}/v1/documents"))["items"] if one["code"] == code)
        version = document["version"]
        if written:
            default = await clinic.system.get(f"/{service}/v1/documents/{code}/versions/{version}")
            content = re.sub("^version: .*\n", "", default["content"], flags=re.MULTILINE)
            body = {"code": code, "content": content}
            version = (await clinic.system.post(f"/{service}/v1/documents", body, acting=clinic.staff["prescriber"]))["version"]
        found |= {f"{service}.code": [code], f"{service}.version": [str(version)]}
    return found


async def _of_followup(clinic: Clinic, column: str) -> list[str]:
    table = {"task_id": "care_task", "plan_id": "plan", "check_in_id": "check_in"}[column]
    found = await clinic.house.rows("followup", clinic.clinic_id, f"SELECT {column} FROM {table}")  # noqa: S608 - our own names
    return [str(row[column]) for row in found]
