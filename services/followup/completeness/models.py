"""What the audit of completeness found, and when it last looked."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Column, Index, text
from sqlalchemy.dialects.postgresql import ARRAY, VARCHAR
from sqlmodel import Field

from services.followup.tables import Table, code_column
from shared.db import utc_column


class RunOutcome(StrEnum):
    """How a look at one clinic went."""

    COMPARED = "compared"
    SESSIONS_AWAY = "sessions-away"


class CompletenessGap(Table, table=True):
    """An ended infusion that lacked something when it was last looked at, or did so once."""

    __tablename__ = "completeness_gap"
    __table_args__ = (
        Index("ix_completeness_gap_open", "clinic_id", "first_seen_at", "infusion_id", postgresql_where=text("resolved_at IS NULL")),
    )

    clinic_id: UUID = Field(primary_key=True)
    infusion_id: UUID = Field(primary_key=True)
    patient_id: UUID
    ended_at: datetime = Field(sa_column=utc_column())
    missing: list[str] = Field(sa_column=Column(ARRAY(VARCHAR), nullable=False))
    """Codes: event, sessions-behind, plan, integration-session, C24, C72."""
    first_seen_at: datetime = Field(sa_column=utc_column())
    last_seen_at: datetime = Field(sa_column=utc_column())
    times_asked: int
    asked_at: datetime | None = Field(sa_column=utc_column(nullable=True))
    ask_again_at: datetime = Field(sa_column=utc_column())
    resolved_at: datetime | None = Field(sa_column=utc_column(nullable=True))


class CompletenessRun(Table, table=True):
    """The last look at one clinic."""

    __tablename__ = "completeness_run"

    clinic_id: UUID = Field(primary_key=True)
    ran_at: datetime = Field(sa_column=utc_column())
    window_from: datetime = Field(sa_column=utc_column())
    window_to: datetime = Field(sa_column=utc_column())
    outcome: RunOutcome = Field(sa_column=code_column(RunOutcome))
    compared: int
    gaps: int

    @property
    def compared_until(self) -> datetime:
        """From when on nothing has been compared: a look that got no answer has left its own window open, and what was before that."""
        return self.window_to if self.outcome is RunOutcome.COMPARED else self.window_from
