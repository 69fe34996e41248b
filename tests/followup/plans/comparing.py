"""What events left in the database beside what the comparison would want."""

from services.followup.plans.changes import codes_of
from services.followup.plans.entry_files import shipped_lists
from services.followup.plans.keeping_up import difference_of
from services.followup.plans.pinned import Pinned
from services.followup.plans.reading import read
from tests.followup.clinic import Clinic
from tests.followup.clinic import Visit as Infusion


async def differences(clinic: Clinic, infusion: Infusion) -> list[str]:
    """What the comparison would change for this patient now, by what is done to which item; nothing is written."""
    async with clinic.service.database.transaction(clinic.clinic_id) as db:
        known = (await read(db, [infusion.patient_id]))[infusion.patient_id]
    found = difference_of(known, Pinned(shipped_lists({"C24", "C72", "WK"})), clinic.clock.now(), None)
    return sorted(" ".join(codes_of(change)) for change in found.changes)
