from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.consents.models import Consent
from services.intake.consents.rules import ConsentType
from shared.db import clinic_of
from shared.errors import NotFound


async def get_consent(db: AsyncSession, consent_id: UUID, *, lock: bool = False) -> Consent:
    """One consent of this clinic. Raises NotFound."""
    consent = await db.get(Consent, (clinic_of(db), consent_id), with_for_update=lock or None)
    if consent is None:
        raise NotFound
    return consent


async def whose_consent(db: AsyncSession, consent_id: UUID) -> UUID:
    """The patient who gave a consent, to be locked before it. Raises NotFound."""
    statement = select(Consent.patient_id).where(Consent.clinic_id == clinic_of(db), Consent.consent_id == consent_id)
    patient_id = (await db.exec(statement)).first()
    if patient_id is None:
        raise NotFound
    return patient_id


async def consents_of(db: AsyncSession, patient_id: UUID, consent_type: ConsentType | None = None) -> Sequence[Consent]:
    """A patient's consents, of one type or all, oldest signature first."""
    statement = (
        select(Consent)
        .where(Consent.clinic_id == clinic_of(db), Consent.patient_id == patient_id)
        .order_by(col(Consent.signed_at), col(Consent.consent_id))
    )
    if consent_type is not None:
        statement = statement.where(Consent.consent_type == consent_type)
    return (await db.exec(statement)).all()
