"""What the record of an infusion holds, column by column, and what each version of it keeps. How it changes: ``models``."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Boolean, Column, Enum, ForeignKeyConstraint, Index, Numeric, literal_column
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.sessions.infusions.states import InfusionState, Step, allowed_steps
from services.sessions.tables import Table
from shared.db import utc_column


def _quantity() -> Any:  # Any: a fresh column, as sa_column takes it
    return Field(default=None, sa_column=Column(Numeric(9, 3), nullable=True))


def _moment() -> Any:  # Any: as above
    return Field(default=None, sa_column=utc_column(nullable=True))


def _state_column() -> Column[InfusionState]:
    values = Enum(InfusionState, native_enum=False, length=32, values_callable=lambda states: [state.value for state in states])
    return Column(values, nullable=False)


class InfusionRecord(Table):
    """The columns of an infusion, and what can be read off them. Changing them is the business of ``Infusion``."""

    clinic_id: UUID = Field(primary_key=True)
    infusion_id: UUID = Field(primary_key=True, default_factory=uuid4)
    patient_id: UUID
    course_id: UUID
    version: int = 0
    told_version: int = 0
    """The version that the last event told of."""
    state: InfusionState = Field(default=InfusionState.SCHEDULED, sa_column=_state_column())
    changed_at: datetime = Field(sa_column=utc_column())

    scheduled_at: datetime = Field(sa_column=utc_column())
    arrived_at: datetime | None = _moment()
    pump_started_at: datetime | None = _moment()
    pump_ended_at: datetime | None = _moment()
    departed_at: datetime | None = _moment()
    """When the patient was discharged, left or was taken over."""
    ended_at: datetime | None = _moment()
    """When the record was closed here: later than the departure where it was entered late."""
    ended_version: int | None = None

    weight_kg: Decimal | None = _quantity()
    dose_ordered_mg: Decimal | None = _quantity()
    dose_given_mg: Decimal | None = _quantity()
    volume_given_ml: Decimal | None = _quantity()
    concentration_mg_per_ml: Decimal | None = _quantity()
    aborted: bool = False
    first_of_course: bool = False

    cancelled_by: str | None = None
    reason_code: str | None = None
    reason: str | None = None
    """Why it was cancelled, not done or stopped, or why the patient left or was transferred."""
    overrides: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))  # Any: JSON
    """What was done against a rule: which rule and limits, who, when and why."""
    needs_review: bool = False
    """Whether somebody must look at this record again; why is in ``reviews``."""
    reviews: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))  # Any: JSON
    """What was found out later and must be looked at: code, rules, when; and once settled by whom, when and why."""
    error_requested_by: UUID | None = None
    error_requested_at: datetime | None = _moment()
    error_confirmed_by: UUID | None = None

    @property
    def drug_given(self) -> bool:
        """Whether more than 0 mg are recorded as given."""
        return self.dose_given_mg is not None and self.dose_given_mg > 0

    @property
    def approved_mg_per_kg(self) -> Decimal:
        """The highest dose for which a prescriber has given a reason on this record; 0 when none has."""
        return max((Decimal(entry["mg_per_kg"]) for entry in self.overrides if "mg_per_kg" in entry), default=Decimal(0))

    @property
    def taken_place_at(self) -> datetime:
        """When the visit took place or is to take place, as far as the record knows."""
        return self.pump_started_at or self.arrived_at or self.scheduled_at

    @property
    def counted_weight_kg(self) -> Decimal | None:
        """The weight by which a dose is judged: as recorded, or a lower one while an unlikely weight is not settled by a prescriber."""
        return None if self.weight_kg is None else self.counted_weight(self.weight_kg)

    def spoke_of(self, weight_kg: Decimal) -> bool:
        """Whether somebody has given a reason for just this weight."""
        return any("weight_kg" in entry and Decimal(entry["weight_kg"]) == weight_kg for entry in self.overrides)

    def spoke_of_times(self, rule: str, times: tuple[datetime, datetime]) -> bool:
        """Whether somebody has given a reason against this rule for just these two times. Older entries do not hold them."""
        said = [entry["times"] for entry in self.overrides if entry["rule"] == rule and "times" in entry]
        return any(times == tuple(datetime.fromisoformat(at) for at in two) for two in said)

    def counted_weight(self, weight_kg: Decimal) -> Decimal:
        """What counts of this weight by the last word on it; itself where nobody had to say anything."""
        said = [entry for entry in self.overrides if "weight_kg" in entry and Decimal(entry["weight_kg"]) == weight_kg]
        return Decimal(said[-1]["counts_kg"]) if said else weight_kg

    @property
    def decided_holds(self) -> frozenset[str]:
        """The rules of a held start that a prescriber has decided about on this record."""
        return frozenset(name for entry in self.overrides for name in entry.get("criteria", ()))

    def confirmed_beside(self, other: "InfusionRecord") -> bool:
        """Whether somebody has said, on either record, that these two are not one infusion entered twice."""
        mine = any(str(other.infusion_id) in entry.get("not_the_same_as", ()) for entry in self.overrides)
        return mine or any(str(self.infusion_id) in entry.get("not_the_same_as", ()) for entry in other.overrides)

    def differing(self, sent: Mapping[str, object]) -> dict[str, object]:
        """Those of the values sent, by column, that are not what is recorded."""
        return {column: value for column, value in sent.items() if getattr(self, column) != value}

    def note_override(self, rule: str, *, actor: str, reason: str, at: datetime, **details: object) -> None:
        """Keep who acted against a rule, and why. Becomes part of the version that the step makes."""
        entry = {"rule": rule, "actor": actor, "reason": reason, "at": at.isoformat(), **details}
        self.overrides = [*self.overrides, entry]

    @property
    def allowed(self) -> list[Step]:
        """The steps that are possible now."""
        return allowed_steps(self.state, error_requested=self.error_requested_by is not None)


IS_CORRECTION = literal_column("step IN ('amend', 'entered-in-error', 'entered-in-error/confirm', 'first-of-course')", Boolean)
"""Steps that change a record after its end, the last one because of another record's. As a literal: the same words in an index and in a
query, so that PostgreSQL sees that they are the same."""


class InfusionVersion(Table, table=True):
    """What the record said after each change, by whom and why. Written once, never changed."""

    __tablename__ = "infusion_version"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "infusion_id"], ["infusion.clinic_id", "infusion.infusion_id"]),
        Index("ix_infusion_version_recorded", "clinic_id", "recorded_at", "infusion_id"),
        Index("ix_infusion_version_correction", "clinic_id", "recorded_at", "infusion_id", postgresql_where=IS_CORRECTION),
    )

    clinic_id: UUID = Field(primary_key=True)
    infusion_id: UUID = Field(primary_key=True)
    version: int = Field(primary_key=True)
    step: str
    actor: str
    reason: str | None
    recorded_at: datetime = Field(sa_column=utc_column())
    snapshot: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))  # Any: JSON
