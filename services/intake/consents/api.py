from uuid import UUID

from sqlmodel import col, select

from services.intake.consents import commands
from services.intake.consents.models import Consent
from services.intake.consents.queries import consents_of, get_consent
from services.intake.consents.schemas import ConsentOut, RevokeConsent, SignConsent
from services.intake.patients.queries import get_patient
from services.intake.policy import PolicyInForce
from services.intake.roles import CARE, DESK
from shared.web import Call, CallContext, Listing, Page, Router, access, page_of


def routes(policy: PolicyInForce) -> Router:
    """Consents, valid for as long as the policy says."""
    router = Router(prefix="/intake/v1", tags=["Consent"])

    @router.post("/patients/{patient_id}/consents", status_code=201)
    @access("system/Consent.c", system_or_person=DESK, phi="write")
    async def sign_consent(patient_id: UUID, body: SignConsent, call: Call) -> ConsentOut:
        """Record a consent that the patient has signed. The answer says whether it stands: not if consent was taken back since."""
        consent = await commands.sign(call.db, call.actor, call.now, patient_id, body, await policy.at(call.db, call.now))
        call.created(f"/intake/v1/consents/{consent.consent_id}")
        return await _shown(call, consent)

    @router.get("/patients/{patient_id}/consents")
    @access("system/Consent.r", system_or_person=CARE, phi="read")
    async def list_consents(patient_id: UUID, call: Call, page: Page) -> Listing[ConsentOut]:
        """A patient's consents, oldest signature first."""
        call.patient(patient_id)
        await get_patient(call.db, patient_id)
        statement = (
            select(Consent)
            .where(Consent.clinic_id == call.clinic_id, Consent.patient_id == patient_id)
            .order_by(col(Consent.signed_at), col(Consent.consent_id))
        )
        of_patient = await consents_of(call.db, patient_id)
        return (await page_of(call, statement, page)).listing(lambda consent: ConsentOut.of(consent, of_patient, call.now))

    @router.get("/consents/{consent_id}")
    @access("system/Consent.r", system_or_person=CARE, phi="read")
    async def read_consent(consent_id: UUID, call: Call) -> ConsentOut:
        """One consent."""
        return await _shown(call, await get_consent(call.db, consent_id))

    @router.post("/consents/{consent_id}/revoke")
    @access("system/Consent.u", system_or_person=CARE, phi="write")
    async def revoke_consent(consent_id: UUID, body: RevokeConsent, call: Call) -> ConsentOut:
        """Take a consent back, from now on, and with it every one of its type that was signed up to now."""
        return await _shown(call, await commands.revoke(call.db, call.actor, call.now, consent_id, body))

    return router


async def _shown(call: CallContext, consent: Consent) -> ConsentOut:
    call.patient(consent.patient_id)
    call.etag(consent.version)
    return ConsentOut.of(consent, await consents_of(call.db, consent.patient_id, consent.consent_type), call.now)
