from collections.abc import Collection
from datetime import datetime
from secrets import token_bytes
from typing import NamedTuple
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.clinics.queries import own_clinic
from services.intake.consents.queries import consents_of
from services.intake.consents.rules import ConsentType, standing
from services.intake.directory.rules import Standing, birth_date_hash, refusal
from services.intake.directory.schemas import Contact, Names, PageFacts
from services.intake.patients.models import Patient
from services.intake.patients.queries import find_patients, referenced_patient

_SALT_BYTES = 16


async def names_of(db: AsyncSession, patient_ids: Collection[UUID]) -> Names:
    """Display names, in one statement."""
    return Names(names={patient.patient_id: patient.display_name for patient in await find_patients(db, patient_ids)})


async def contact_of(db: AsyncSession, patient_id: UUID, now: datetime) -> Contact:
    """How to reach a patient at this moment, or why not. Raises Invalid for an id that is no patient of this clinic."""
    patient = await referenced_patient(db, patient_id)
    decided = standing(await consents_of(db, patient_id, ConsentType.MESSAGING), now)
    messaging = decided.status if decided else None
    clinic = await own_clinic(db)
    why_not = refusal(Standing(patient.status, clinic.active, patient.opted_out, messaging, patient.message_address))
    hashed = _hashed(patient)
    return Contact(
        may_send=why_not is None,
        reason=why_not,
        channel=None if why_not else patient.preferred_channel,
        address=None if why_not else patient.message_address,
        language=None if why_not else patient.language,
        time_zone=None if why_not else patient.time_zone,
        birth_date_salt=None if why_not else hashed.salt,
        birth_date_hash=None if why_not else hashed.value,
        clinic_name=clinic.name,
        sender_name=clinic.sender_name,
        clinic_phone=clinic.phone,
        crisis_line=clinic.crisis_line,
        clinic_active=clinic.active,
        contact_version=patient.contact_version,
    )


async def page_facts_of(db: AsyncSession, patient_id: UUID) -> PageFacts:
    """What a patient's page shows and checks at this moment. Raises Invalid for an id that is no patient of this clinic."""
    patient = await referenced_patient(db, patient_id)
    clinic = await own_clinic(db)
    hashed = _hashed(patient)
    return PageFacts(
        birth_date_salt=hashed.salt,
        birth_date_hash=hashed.value,
        language=patient.language,
        time_zone=patient.time_zone,
        sender_name=clinic.sender_name,
        clinic_phone=clinic.phone,
        crisis_line=clinic.crisis_line,
        clinic_active=clinic.active,
    )


class _Hashed(NamedTuple):
    salt: str
    value: str


def _hashed(patient: Patient) -> _Hashed:
    """The birth date under a new salt, both in hexadecimal."""
    salt = token_bytes(_SALT_BYTES)
    return _Hashed(salt.hex(), birth_date_hash(patient.birth_date, salt))
