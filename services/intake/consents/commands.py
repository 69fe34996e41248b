from datetime import datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.intake.clinics.queries import own_clinic
from services.intake.consents.models import Consent, consent_changed
from services.intake.consents.queries import consents_of, get_consent, whose_consent
from services.intake.consents.rules import ConsentType, standing, valid_until
from services.intake.consents.schemas import RevokeConsent, SignConsent
from services.intake.patients.queries import get_patient
from services.intake.policy import Policy, Validity
from services.intake.refusals import refused
from shared.db import clinic_of
from shared.errors import FieldError
from shared.outbox import emit
from shared.security.caller import Actor


async def sign(db: AsyncSession, actor: Actor, now: datetime, patient_id: UUID, body: SignConsent, policy: Policy) -> Consent:
    """Record a signed consent, also one that was taken back before it is entered: that it does not stand is said in the answer.

    Raises NotFound, 409 after death, 422 for a signature in the future or one that has expired already.
    """
    patient = await get_patient(db, patient_id, lock=True)
    patient.require_alive()
    validity: Validity = getattr(policy.consent_validity, body.consent_type)
    zone = ZoneInfo((await own_clinic(db)).time_zone)
    until = valid_until(body.signed_at, validity.months, zone)
    if not now <= until or body.signed_at > now + timedelta(minutes=policy.clock_skew.minutes):
        allowed = f"Allowed: from {validity.months} months ago to now."
        raise refused(FieldError("/signed_at", "time-out-of-range", allowed))
    consent = Consent(
        clinic_id=clinic_of(db),
        consent_id=uuid4(),
        patient_id=patient_id,
        valid_until=until,
        recorded_at=now,
        recorded_by=actor.name,
        **body.model_dump(),
    )
    db.add(consent)
    await tell(db, patient_id, body.consent_type, now)
    emit(db, consent.signed())
    return consent


async def revoke(db: AsyncSession, actor: Actor, now: datetime, consent_id: UUID, body: RevokeConsent) -> Consent:
    """Take a consent back, and with it every one of the type that was signed up to now. Raises NotFound, 409 when that was done already.

    The patient is locked first, as for a signature, so that of two changes at once the later is judged with the earlier.
    """
    patient_id = await whose_consent(db, consent_id)
    await get_patient(db, patient_id, lock=True)
    consent = await get_consent(db, consent_id, lock=True)
    actor.expect_version(consent.version)
    revoked = consent.revoke(body.requested_by, now, actor.name)
    await tell(db, patient_id, consent.consent_type, now)
    emit(db, revoked)
    return consent


async def tell(db: AsyncSession, patient_id: UUID, consent_type: ConsentType, now: datetime) -> bool:
    """Tell how a patient's consents of one type stand, unless that was told of just these. The patient is locked before.

    ``consent.signed`` and ``consent.revoked`` follow it for one more release, for consumers that decided by them.
    """
    await db.flush()
    known = await consents_of(db, patient_id, consent_type)
    decided = standing(known, now)
    if decided is None:
        return False
    facts = len(known) + sum(consent.revoked_at is not None for consent in known)
    parameters = {"clinic_id": clinic_of(db), "patient_id": patient_id, "consent_type": consent_type.value, "facts": facts}
    version = (await db.execute(_NEXT_STANDING, parameters)).scalar_one_or_none()
    if version is None:
        return False
    emit(db, consent_changed(patient_id, consent_type, version, decided, now))
    return True


async def tell_untold(db: AsyncSession, now: datetime, limit: int) -> int:
    """Tell how consent stands where that was not told of all that is there; returns how many were found."""
    found = [*await db.execute(_UNTOLD, {"clinic_id": clinic_of(db), "limit": limit})]
    for patient_id, consent_type in found:
        await get_patient(db, patient_id, lock=True)
        await tell(db, patient_id, ConsentType(consent_type), now)
    return len(found)


_UNTOLD = text(
    """
    SELECT c.patient_id, c.consent_type FROM consent c
    LEFT JOIN consent_standing s ON s.clinic_id = c.clinic_id AND s.patient_id = c.patient_id AND s.consent_type = c.consent_type
    WHERE c.clinic_id = CAST(:clinic_id AS uuid)
    GROUP BY c.patient_id, c.consent_type, s.facts
    HAVING count(*) + count(c.revoked_at) IS DISTINCT FROM s.facts
    ORDER BY c.patient_id, c.consent_type LIMIT :limit
    """
)
_NEXT_STANDING = text(
    """
    INSERT INTO consent_standing AS known (clinic_id, patient_id, consent_type, version, facts)
    VALUES (CAST(:clinic_id AS uuid), CAST(:patient_id AS uuid), :consent_type, 1, :facts)
    ON CONFLICT (clinic_id, patient_id, consent_type) DO UPDATE SET version = known.version + 1, facts = EXCLUDED.facts
    WHERE known.facts <> EXCLUDED.facts
    RETURNING version
    """
)
