"""Messages to patients. A row holds no address and no text: both exist only at the moment of sending."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

from services.followup.tables import Table, code_column
from shared.db import utc_column


class MessageStatus(StrEnum):
    """Queued until it was handed over, refused or called off."""

    QUEUED = "queued"
    SENT = "sent"
    NOT_SENT = "not-sent"
    CANCELLED = "cancelled"


class Message(Table, table=True):
    """One message that asks a patient to answer a check-in; there is at most one per check-in and issue of its link."""

    __tablename__ = "message"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "check_in_id"], ["check_in.clinic_id", "check_in.check_in_id"]),
        UniqueConstraint("clinic_id", "check_in_id", "issue", name="uq_message_check_in_id"),
        Index("ix_message_patient", "clinic_id", "patient_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    message_id: UUID = Field(primary_key=True, default_factory=uuid4)
    check_in_id: UUID
    patient_id: UUID
    issue: int
    status: MessageStatus = Field(sa_column=code_column(MessageStatus))
    queued_at: datetime = Field(sa_column=utc_column())
    leaves_at: datetime = Field(sa_column=utc_column())
    """Not before this moment of business time."""
    attempts: int = 0
    handed_over_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    """When it was last about to be given to a channel: from then on it may have left, whatever became of us."""
    channel: str | None = None
    sent_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    reason: str | None = None
    """Why it was not sent or called off."""

    def sent(self, at: datetime) -> None:
        """A channel took it. Counts also for one that was called off while it was leaving: it is gone. Raises ValueError otherwise."""
        if self.status != MessageStatus.CANCELLED:
            self._settle(MessageStatus.SENT)
        self.status, self.sent_at = MessageStatus.SENT, at

    def not_sent(self, reason: str) -> None:
        """It must not or cannot leave. Raises ValueError for a message that is not queued."""
        self._settle(MessageStatus.NOT_SENT)
        self.reason = reason

    def _settle(self, status: MessageStatus) -> None:
        if self.status != MessageStatus.QUEUED:
            raise ValueError("the message is not queued any more")
        self.status = status
