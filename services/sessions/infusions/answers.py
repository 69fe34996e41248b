"""What is answered of an infusion: the record as a caller may see it, and what the completeness audit compares."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Self
from uuid import UUID

from services.sessions.infusions.models import Infusion
from services.sessions.infusions.states import InfusionState, Step, allowed_steps
from services.sessions.infusions.steps import Taken
from services.sessions.roles import sees_clinical
from shared.web import CallContext
from shared.web.schemas import Answer


class Amount(Answer):
    """A number in its unit."""

    value: Decimal
    unit: Literal["mg", "kg", "mL", "mg/mL"]


class OverrideMade(Answer):
    """A decision against a rule, as it was kept."""

    rule: str
    actor: str
    reason: str
    at: datetime


class ReviewSettled(Answer):
    """Who has looked at it, when, and what came of it."""

    actor: str
    reason: str
    at: datetime


class Review(Answer):
    """What was found out later and must be looked at: its code, the rules that it is about, and since when."""

    code: str
    rules: list[str]
    at: datetime
    settled: ReviewSettled | None


class Clinical(Answer):
    """What only clinical roles see: weight, drug, reasons and decisions."""

    weight: Amount | None
    dose_ordered: Amount | None
    dose_given: Amount | None
    volume_given: Amount | None
    concentration: Amount | None
    reason_code: str | None
    reason: str | None
    overrides: list[OverrideMade]
    reviews: list[Review]


class ErrorRequest(Answer):
    """Who says that the record should never have existed, and who agreed."""

    requested_by: UUID
    requested_at: datetime
    confirmed_by: UUID | None


class DiffersToday(Answer):
    """What is otherwise today than at the time of the visit: a code, and since when, where that is known."""

    code: str
    since: datetime | None


class InfusionOut(Answer):
    """The record as it stands. ``clinical`` is null for a named practitioner without a clinical role.

    A visit of the past is judged by how patient and course stood at its time; ``differs_today`` says, after a step, what would forbid it
    today. It is null where a record is only read.
    """

    infusion_id: UUID
    version: int
    patient_id: UUID
    course_id: UUID
    state: InfusionState
    allowed: list[Step]
    scheduled_at: datetime
    arrived_at: datetime | None
    pump_started_at: datetime | None
    pump_ended_at: datetime | None
    departed_at: datetime | None
    ended_at: datetime | None
    changed_at: datetime
    aborted: bool
    cancelled_by: str | None
    drug_given: bool | None
    first_of_course: bool
    needs_review: bool
    """Whether somebody must look at this record again, as with readings struck after they had allowed the start."""
    entered_in_error: ErrorRequest | None
    differs_today: list[DiffersToday] | None
    clinical: Clinical | None

    @classmethod
    def of(
        cls,
        record: Mapping[str, Any],  # Any: the columns of a record, live or from a snapshot
        *,
        clinical: bool,
        differs_today: Sequence[Mapping[str, Any]] | None = None,  # Any: values of two types
    ) -> Self:
        """From a record's columns by name."""
        dose = record["dose_given_mg"]
        plain = {name: record[name] for name in cls.model_fields if name in record}
        return cls.model_validate(
            {
                **plain,
                "needs_review": record.get("needs_review", False),  # older snapshots do not say so
                "allowed": allowed_steps(InfusionState(record["state"]), error_requested=record["error_requested_by"] is not None),
                "drug_given": None if dose is None else Decimal(dose) > 0,
                "entered_in_error": _error_request(record),
                "differs_today": differs_today,
                "clinical": _clinical(record) if clinical else None,
            }
        )


class EndedInfusion(Answer):
    """One ended infusion, as the completeness audit compares it. ``version`` is the one that the last event told of.

    ``pump_ended_at`` is when the drug stopped; ``ended_at`` when the record was closed or last corrected.
    """

    infusion_id: UUID
    patient_id: UUID
    version: int
    outcome: Literal["completed", "stopped-early", "left-against-advice", "transferred", "entered-in-error"]
    drug_given: bool
    pump_ended_at: datetime
    ended_at: datetime

    @classmethod
    def of(cls, infusion: Infusion) -> Self:
        """From an infusion that has ended."""
        return cls.model_validate(
            {
                "infusion_id": infusion.infusion_id,
                "patient_id": infusion.patient_id,
                "version": infusion.told_version,
                "outcome": infusion.state.value,
                "drug_given": infusion.drug_given,
                "pump_ended_at": infusion.pump_ended_at,
                "ended_at": infusion.ended_at,
            }
        )


def shown(call: CallContext, infusion: Infusion) -> InfusionOut:
    """The record as this caller may see it."""
    return InfusionOut.of(infusion.model_dump(), clinical=sees_clinical(call.caller))


def taken(call: CallContext, step: Taken) -> InfusionOut:
    """The record after a step, as this caller may see it, with what is otherwise today, and its version."""
    call.patient(step.infusion.patient_id)
    call.etag(step.infusion.version)
    today = [difference._asdict() for difference in step.differs_today]
    return InfusionOut.of(step.infusion.model_dump(), clinical=sees_clinical(call.caller), differs_today=today)


def _clinical(record: Mapping[str, Any]) -> dict[str, Any]:  # Any: as above
    return {
        "weight": _amount(record["weight_kg"], "kg"),
        "dose_ordered": _amount(record["dose_ordered_mg"], "mg"),
        "dose_given": _amount(record["dose_given_mg"], "mg"),
        "volume_given": _amount(record["volume_given_ml"], "mL"),
        "concentration": _amount(record["concentration_mg_per_ml"], "mg/mL"),
        "reason_code": record["reason_code"],
        "reason": record["reason"],
        "overrides": [{name: entry[name] for name in OverrideMade.model_fields} for entry in record["overrides"]],
        "reviews": record.get("reviews", []),
    }


def _amount(value: Decimal | str | None, unit: str) -> dict[str, object] | None:
    return None if value is None else {"value": value, "unit": unit}


def _error_request(record: Mapping[str, Any]) -> dict[str, Any] | None:  # Any: as above
    if record["error_requested_by"] is None:
        return None
    return {
        "requested_by": record["error_requested_by"],
        "requested_at": record["error_requested_at"],
        "confirmed_by": record["error_confirmed_by"],
    }
