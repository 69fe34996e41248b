from datetime import timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from services.intake.clinics.queries import own_clinic
from services.intake.consents.models import Consent
from services.intake.consents.queries import get_consent
from services.intake.consents.rules import valid_until
from services.intake.consents.schemas import RevokeConsent, SignConsent
from services.intake.patients.queries import get_patient
from services.intake.policy import Policy, Validity
from services.intake.refusals import refused
from shared.errors import FieldError
from shared.outbox import emit
from shared.web import CallContext


async def sign(call: CallContext, patient_id: UUID, body: SignConsent, policy: Policy) -> Consent:
    """Record a signed consent. Raises NotFound, 409 after death, 422 for a signature in the future or one that has expired already."""
    call.patient(patient_id)
    patient = await get_patient(call.db, patient_id, lock=True)
    patient.require_alive()
    validity: Validity = getattr(policy.consent_validity, body.consent_type)
    zone = ZoneInfo((await own_clinic(call.db)).time_zone)
    until = valid_until(body.signed_at, validity.months, zone)
    if not call.now <= until or body.signed_at > call.now + timedelta(minutes=policy.clock_skew.minutes):
        allowed = f"Allowed: from {validity.months} months ago to now."
        raise refused(FieldError("/signed_at", "time-out-of-range", allowed))
    consent = Consent(
        clinic_id=call.clinic_id,
        consent_id=uuid4(),
        patient_id=patient_id,
        valid_until=until,
        recorded_at=call.now,
        recorded_by=call.caller.actor,
        **body.model_dump(),
    )
    call.db.add(consent)
    emit(call.db, consent.signed())
    return consent


async def revoke(call: CallContext, consent_id: UUID, body: RevokeConsent) -> Consent:
    """Take a consent back. Raises NotFound, 409 when that was done already."""
    consent = await get_consent(call.db, consent_id, lock=True)
    call.patient(consent.patient_id)
    emit(call.db, consent.revoke(body.requested_by, call.now, call.caller.actor))
    return consent
