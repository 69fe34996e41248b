"""What the audit of completeness found, for people who look after the installation."""

from datetime import datetime
from typing import Self
from uuid import UUID

from services.followup.completeness.models import CompletenessGap, CompletenessRun, RunOutcome
from shared.web import Answer


class GapOut(Answer):
    """An ended infusion that lacks something. ``ended_at`` is when its record was closed or corrected, not when the pump stopped."""

    infusion_id: UUID
    patient_id: UUID
    ended_at: datetime
    missing: list[str]
    first_seen_at: datetime
    last_seen_at: datetime
    times_asked: int
    asked_at: datetime | None
    ask_again_at: datetime

    @classmethod
    def of(cls, gap: CompletenessGap) -> Self:
        return cls.model_validate(gap)


class RunOut(Answer):
    """The last look."""

    ran_at: datetime
    window_from: datetime
    window_to: datetime
    outcome: RunOutcome
    compared: int
    gaps: int


class AuditAsked(Answer):
    """Looks that ran at this time or later were asked for."""

    asked_at: datetime


class ClinicAudit(Answer):
    """The last look at one clinic: how many ended infusions lack something, by what they lack. ``last_run`` is null before the first."""

    clinic_id: UUID
    last_run: RunOut | None
    missing: dict[str, int]


class AuditFound(Answer):
    """Every clinic that is known here."""

    items: list[ClinicAudit]


class Completeness(Answer):
    """Open gaps, oldest first, and the last look; null before the first one."""

    items: list[GapOut]
    next: str | None
    last_run: RunOut | None

    @classmethod
    def of(cls, gaps: list[GapOut], following: str | None, run: CompletenessRun | None) -> Self:
        """One page of gaps with the last look."""
        return cls(items=gaps, next=following, last_run=None if run is None else RunOut.model_validate(run))
