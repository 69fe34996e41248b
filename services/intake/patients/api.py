from uuid import UUID

from sqlmodel import col, select

from services.intake.patients import commands
from services.intake.patients.models import Patient
from services.intake.patients.queries import get_patient
from services.intake.patients.rules import Change
from services.intake.patients.schemas import (
    ChangePatient,
    EnteredInError,
    OptIn,
    OptOut,
    PatientOut,
    RecordDeath,
    RecordWithdrawal,
    RegisterPatient,
)
from services.intake.policy import PolicyInForce
from services.intake.roles import CARE, CORRECTING, DESK, SEARCH
from shared.web import Call, CallContext, Listing, Page, Router, access, page_of


def routes(policy: PolicyInForce) -> Router:
    """Patients, registered under the policy's rules."""
    router = Router(prefix="/intake/v1/patients", tags=["Patient"])

    @router.post("", status_code=201)
    @access("system/Patient.c", system_or_person=DESK, phi="write")
    async def register_patient(body: RegisterPatient, call: Call) -> PatientOut:
        """Register a patient; the clinic's next patient number is given."""
        patient, alike = await commands.register(call.db, call.actor, call.now, body, await policy.at(call.db, call.now))
        call.saw(alike)
        call.created(f"/intake/v1/patients/{patient.patient_id}")
        return _shown(call, patient)

    @router.get("")
    @access("system/Patient.r", system_or_person=SEARCH, phi="read")
    async def list_patients(call: Call, page: Page) -> Listing[PatientOut]:
        """All patients of the clinic by number."""
        statement = select(Patient).where(Patient.clinic_id == call.clinic_id).order_by(col(Patient.patient_number))
        return (await page_of(call, statement, page)).listing(PatientOut.of)

    @router.get("/{patient_id}")
    @access("system/Patient.r", system_or_person=CARE, phi="read")
    async def read_patient(patient_id: UUID, call: Call) -> PatientOut:
        """One patient."""
        return _shown(call, await get_patient(call.db, patient_id))

    @router.patch("/{patient_id}")
    @access("system/Patient.u", system_or_person=DESK, phi="write")
    async def change_patient(patient_id: UUID, body: ChangePatient, call: Call) -> PatientOut:
        """Correct names, contact details, zone, language or channel."""
        patient, alike = await commands.change(call.db, call.actor, call.now, patient_id, body, await policy.at(call.db, call.now))
        call.saw(alike)
        return _shown(call, patient)

    _changes(router)
    return router


def _changes(router: Router) -> None:
    """What may happen to a patient besides corrections of the record."""

    @router.post("/{patient_id}/death")
    @access("system/Patient.u", system_or_person=CARE, phi="write")
    async def record_death(patient_id: UUID, body: RecordDeath, call: Call) -> PatientOut:
        """Record that the patient has died: all that was planned or queued for sending is stopped, and the chart is read-only."""
        return _shown(call, await commands.record_death(call.db, call.actor, call.now, patient_id, body))

    @router.post("/{patient_id}/death/entered-in-error")
    @access("system/Patient.u", person=CORRECTING, corrects=True, phi="write")
    async def take_back_death(patient_id: UUID, body: EnteredInError, call: Call) -> PatientOut:
        """The patient is alive: the death was entered in error. Care goes on; what was missed meanwhile becomes one call by a person."""
        return _shown(call, await commands.take_back(call.db, call.actor, call.now, patient_id, Change.DEATH_ENTERED_IN_ERROR, body))

    @router.post("/{patient_id}/withdrawal")
    @access("system/Patient.u", system_or_person=CARE, phi="write")
    async def record_withdrawal(patient_id: UUID, body: RecordWithdrawal, call: Call) -> PatientOut:
        """Record that the patient leaves the programme."""
        return _shown(call, await commands.record_withdrawal(call.db, call.actor, call.now, patient_id, body))

    @router.post("/{patient_id}/withdrawal/entered-in-error")
    @access("system/Patient.u", person=CORRECTING, corrects=True, phi="write")
    async def take_back_withdrawal(patient_id: UUID, body: EnteredInError, call: Call) -> PatientOut:
        """The patient never left: the withdrawal was entered in error. What was missed meanwhile becomes one call by a person."""
        return _shown(call, await commands.take_back(call.db, call.actor, call.now, patient_id, Change.WITHDRAWAL_ENTERED_IN_ERROR, body))

    @router.post("/{patient_id}/message-opt-out")
    @access("system/Patient.u", system_or_person=CARE, phi="write")
    async def opt_out_of_messages(patient_id: UUID, body: OptOut, call: Call) -> PatientOut:
        """No more messages by machine. Not a withdrawal: care goes on, by staff."""
        return _shown(call, await commands.opt_out(call.db, call.actor, call.now, patient_id, body))

    @router.post("/{patient_id}/message-opt-in")
    @access("system/Patient.u", system_or_person=DESK, phi="write")
    async def opt_in_to_messages(patient_id: UUID, body: OptIn, call: Call) -> PatientOut:
        """Take an opt-out back. A valid messaging consent is still needed."""
        return _shown(call, await commands.opt_in(call.db, call.actor, call.now, patient_id, body))


def _shown(call: CallContext, patient: Patient) -> PatientOut:
    call.patient(patient.patient_id)
    call.etag(patient.version)
    return PatientOut.of(patient)
