"""What sessions told of infusions, as plans need it, and the newest version known of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.models import Infusion, InfusionState
from services.followup.plans.slots import EndedInfusion, InfusionOutcome
from services.followup.tables import arrays_of, rows_of, types_of
from shared.db import clinic_of
from shared.events import Delivery
from shared.events.sessions import (
    EndedInfusionEvent,
    InfusionAmended,
    InfusionEvent,
    InfusionLeftAgainstAdvice,
    InfusionStoppedEarly,
    InfusionTransferred,
)

_OUTCOMES: Mapping[type[EndedInfusionEvent], InfusionOutcome] = {
    InfusionStoppedEarly: InfusionOutcome.STOPPED_EARLY,
    InfusionLeftAgainstAdvice: InfusionOutcome.LEFT_AGAINST_ADVICE,
    InfusionTransferred: InfusionOutcome.TRANSFERRED,
}


@dataclass(frozen=True, slots=True)
class Told:
    """One infusion that was started and has ended, and the event that told of it."""

    infusion: EndedInfusion
    version: int
    patient_id: UUID
    patient_number: str
    course_id: UUID
    protocol_code: str
    protocol_version: int
    first_of_course: bool
    event_id: UUID

    @classmethod
    def of(cls, delivery: Delivery[EndedInfusionEvent]) -> "Told":
        """Raises ValueError for an outcome or a zone that is not known here; the event is then parked for a person to look at."""
        event = delivery.event
        amended = isinstance(event, InfusionAmended)
        outcome = (
            InfusionOutcome(event.outcome) if isinstance(event, InfusionAmended) else _OUTCOMES.get(type(event), InfusionOutcome.COMPLETED)
        )
        return cls(
            infusion=EndedInfusion(
                infusion_id=event.infusion_id,
                zone=ZoneInfo(event.patient_time_zone),
                outcome=outcome,
                drug_given=event.drug_given,
                started_at=event.started_at,
                pump_ended_at=event.pump_ended_at,
                discharged_at=None if amended else event.occurred_at,
                therapist_id=event.therapist_id,
                coordinator_id=event.coordinator_id,
            ),
            version=event.infusion_version,
            patient_id=event.patient_id,
            patient_number=event.patient_number,
            course_id=event.course_id,
            protocol_code=event.protocol_code,
            protocol_version=event.protocol_version,
            first_of_course=event.first_of_course,
            event_id=delivery.event_id,
        )


def newest(events: Iterable[InfusionEvent]) -> list[InfusionEvent]:
    """The newest event of each infusion, in the order of ids."""
    of_infusion = {event.infusion_id: event for event in sorted(events, key=lambda event: event.infusion_version)}
    return [of_infusion[infusion_id] for infusion_id in sorted(of_infusion)]


async def note_infusions(db: AsyncSession, events: Sequence[InfusionEvent]) -> dict[UUID, bool | None]:
    """Take over what events say of infusions, in one statement; the patients are locked before.

    Returns those that are not older than what is known, with whether drug had been given as far as was known before: an event that
    is told again counts, for something of its follow-up may be missing.
    """
    rows = [_row_of(event) for event in newest(events)]
    noted = await db.execute(_NOTE, {**arrays_of(_GIVEN, rows), "clinic_id": clinic_of(db)})
    return {row.infusion_id: row.had_been_given for row in noted}


_GIVEN = types_of(
    Infusion, "infusion_id", "patient_id", "course_id", "version", "state", "scheduled_at", "drug_given", "pump_ended_at"
)  # fmt: skip


def _row_of(event: InfusionEvent) -> tuple[object, ...]:
    ended = event if isinstance(event, EndedInfusionEvent) else None
    scheduled_at: datetime | None = getattr(event, "scheduled_at", None)
    return (
        event.infusion_id,
        event.patient_id,
        event.course_id,
        event.infusion_version,
        state_of(event).value,
        scheduled_at,
        ended.drug_given if ended else None,
        ended.pump_ended_at if ended else None,
    )


def state_of(event: InfusionEvent) -> InfusionState:
    """The state that an event's own name says; a corrected record's is in the event."""
    return InfusionState(event.outcome if isinstance(event, InfusionAmended) else event.type.name.rpartition(".")[2])


_NOTE = text(
    f"""
    INSERT INTO infusion AS known (clinic_id, {", ".join(_GIVEN)})
    SELECT CAST(:clinic_id AS uuid), {", ".join(_GIVEN)} FROM {rows_of(_GIVEN)}
    ON CONFLICT (clinic_id, infusion_id) DO UPDATE
    SET version = EXCLUDED.version, state = EXCLUDED.state, scheduled_at = coalesce(EXCLUDED.scheduled_at, known.scheduled_at),
        drug_given = coalesce(EXCLUDED.drug_given, known.drug_given), pump_ended_at = coalesce(EXCLUDED.pump_ended_at, known.pump_ended_at)
    WHERE known.version <= EXCLUDED.version AND known.state <> 'entered-in-error'
    RETURNING infusion_id, OLD.drug_given AS had_been_given
    """  # noqa: S608 - column names of our own
)
