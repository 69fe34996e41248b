"""The audit row of a request: in its transaction where it is done, in one of its own where it is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from fastapi import Request

from shared import telemetry
from shared.errors import DomainError, Forbidden, Unauthorized
from shared.security.access import Access
from shared.security.audit import AuditEvent, append, append_about
from shared.security.caller import KINDS, Caller
from shared.web import asked
from shared.web.asked import Asked
from shared.web.call import CallContext, Ground
from shared.web.marks import marks_of

_SAY_SOMETHING = frozenset({404, 409, 412, 422})
"""Not found, a state, a version, a reference: nothing was looked up for what is refused by its form alone."""


@dataclass(slots=True)
class SoFar:
    """How far a request has come, for the record if it is refused."""

    caller: Caller | None = None
    what: Asked | None = None
    call: CallContext | None = None
    patient_id: UUID | None = None
    """Whom the credential named."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Makes the rows of one operation."""

    operation: str
    access: Access
    path_format: str

    def row(self, request: Request, caller: Caller, clinic_id: UUID, outcome: int, call: CallContext | None = None) -> AuditEvent:
        """What the trail says of a request; ``call`` where it came as far as that."""
        return AuditEvent(
            clinic_id=clinic_id,
            client_id=caller.client_id,
            practitioner_id=caller.practitioner_id,
            operation=self.operation,
            action=self.access.action,
            phi=self.access.phi,
            patient_id=call.patient_id if call else None,
            patient_ids=call.patient_ids if call else (),
            subject=(call.location or call.subject if call else None) or _subject(self.path_format, request.path_params),
            outcome=outcome,
            request_id=marks_of(request.scope).request_id,
            purpose=call.purpose if call else None,
        )

    async def refusal(self, request: Request, ground: Ground, refused: DomainError, so_far: SoFar) -> None:
        """In a transaction of its own, for the request's was rolled back, with the person who was named, whoever that is.

        A refusal that cannot be recorded stays a refusal.
        """
        caller = so_far.caller or getattr(refused, "caller", None)
        if caller is None or not self._leaves_a_trail(refused, so_far):
            return
        try:
            clinic_id = asked.clinic_of(request, caller)
            if caller.kind in KINDS:
                caller = replace(caller, practitioner_id=asked.named_practitioner(request))
            row = self.row(request, caller, clinic_id, refused.status, so_far.call)
            named = row.patient_id or so_far.patient_id or asked.patient_of(request, so_far.what.document if so_far.what else None)
            record = asked.record_of(request, ground.records) if named is None else None
            row = replace(row, patient_id=named, patient_ids={*row.patient_ids, *refused.showed})
            async with ground.database.transaction(clinic_id) as db:
                await (append(db, row) if record is None else append_about(db, row, record))
        except DomainError as error:
            log = telemetry.logger("audit")
            log.error("audit.refusal_not_recorded", code=error.code, operation=self.operation, client_id=caller.client_id)

    def _leaves_a_trail(self, refused: DomainError, so_far: SoFar) -> bool:
        """Who may not is always recorded; of the other refusals those that may say something of a patient, or of there being none."""
        if isinstance(refused, Unauthorized | Forbidden):
            return True
        return so_far.call is not None and self.access.phi != "none" and refused.status in _SAY_SOMETHING


def _subject(path_format: str, parameters: Mapping[str, object]) -> str:
    """The path with its ids; whatever is not an id stays a placeholder, for a caller may have typed anything there."""
    subject = path_format
    for name, value in parameters.items():
        try:
            subject = subject.replace(f"{{{name}}}", str(UUID(str(value))))
        except ValueError:
            continue
    return subject
