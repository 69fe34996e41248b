"""Check-ins, their answers, and the worries raised from them. A transition refuses a wrong state and returns its event, if it has one."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import Column, ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.followup.checkins.birth_dates import NOT_KEPT
from services.followup.checkins.forms import Answer, Form
from services.followup.checkins.rules import Level, highest
from services.followup.tables import Table, code_column
from shared.db import utc_column
from shared.errors import Conflict
from shared.events.followup import CheckInOverdue, CheckInSubmitted


class CheckInStatus(StrEnum):
    """Where a check-in stands. An expired one can still be answered for a while; what is answered stays."""

    PLANNED = "planned"
    OPEN = "open"
    OVERDUE = "overdue"
    SUBMITTED = "submitted"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


WAITING = frozenset({CheckInStatus.OPEN, CheckInStatus.OVERDUE})
"""The patient has been asked, or is about to be."""
UNANSWERED = WAITING | {CheckInStatus.PLANNED}
"""Nothing is decided yet; these are what a cancellation cancels."""
ANSWERABLE = WAITING | {CheckInStatus.EXPIRED}
"""An answer is taken; from an expired one only within the policy's time."""


class CheckIn(Table, table=True):
    """One request to a patient for answers."""

    __tablename__ = "check_in"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),
        ForeignKeyConstraint(["clinic_id", "plan_id"], ["plan.clinic_id", "plan.plan_id"]),
        UniqueConstraint("clinic_id", "infusion_id", "code", "ordinal", name="uq_check_in_infusion"),
        Index("uq_check_in_course", "clinic_id", "course_id", "code", "ordinal", unique=True, postgresql_where=text("infusion_id IS NULL")),
        Index("ix_check_in_patient", "clinic_id", "patient_id", "opens_at", "check_in_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    check_in_id: UUID = Field(primary_key=True, default_factory=uuid4)
    plan_id: UUID | None
    patient_id: UUID
    patient_number: str
    patient_time_zone: str
    infusion_id: UUID | None
    """The infusion it follows; None for a weekly one, which follows the course."""
    course_id: UUID
    code: str
    ordinal: int
    status: CheckInStatus = Field(sa_column=code_column(CheckInStatus))
    version: int = 1
    opens_at: datetime = Field(sa_column=utc_column())
    due_at: datetime = Field(sa_column=utc_column())
    expires_at: datetime = Field(sa_column=utc_column())
    form_code: str | None = None
    form_version: int | None = None
    """Set when it opens: what was sent keeps its version."""
    opened_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    submitted_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    late: bool = False
    """Answered after it had expired."""
    due_kept: bool = False
    """An amendment would have moved the due time into the past, so the old one was kept."""
    level: Level | None = Field(default=None, sa_column=code_column(Level, nullable=True))
    """The highest level that its answers raised; only ever goes up."""
    reviews: int = 0
    """How many tasks to look at its answers were made."""
    ended_reason: str | None = None
    """Why it was cancelled or superseded."""
    anchor_id: UUID | None = None
    """What it hangs on, the infusion or the course, and its number there; None where the version before wrote it."""
    number: int | None = None
    refused_due_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    """The new due time that had passed already, so that the old one was kept."""
    superseded_by: UUID | None = None
    """The infusion to which it gave way."""
    caused_by: UUID | None = None
    """The event from which its last change followed."""

    def open(self, form: Form, now: datetime) -> None:
        """The patient is asked from now on."""
        self._leave({CheckInStatus.PLANNED}, CheckInStatus.OPEN)
        self.form_code, self.form_version, self.opened_at = form.code, form.version, now

    def go_overdue(self, now: datetime) -> CheckInOverdue:
        """No answer came in time."""
        self._leave({CheckInStatus.OPEN}, CheckInStatus.OVERDUE)
        return CheckInOverdue(
            occurred_at=now, check_in_id=self.check_in_id, patient_id=self.patient_id, infusion_id=self.infusion_id, code=self.code
        )

    def expire(self) -> None:
        """No answer is expected any more; one that still comes is taken as late."""
        self._leave(WAITING, CheckInStatus.EXPIRED)

    def submit(self, now: datetime) -> CheckInSubmitted:
        """The patient answered."""
        self._leave(ANSWERABLE, CheckInStatus.SUBMITTED)
        self.submitted_at, self.late = now, now > self.expires_at
        return CheckInSubmitted(
            occurred_at=now,
            check_in_id=self.check_in_id,
            patient_id=self.patient_id,
            infusion_id=self.infusion_id,
            code=self.code,
            late=self.late,
        )

    def takes_answers(self, now: datetime, late_for: timedelta) -> bool:
        """Whether an answer is taken at ``now``; ``late_for`` after expiry it no longer is."""
        return self.status in ANSWERABLE and now <= self.expires_at + late_for

    def raise_to(self, level: Level) -> int:
        """Remember the highest level so far; returns the number of the review that this asks for, counted from 1."""
        self.level = level if self.level is None else highest([self.level, level])
        self.reviews += 1
        self.version += 1
        return self.reviews

    def _leave(self, allowed: frozenset[CheckInStatus] | set[CheckInStatus], to: CheckInStatus) -> None:
        if self.status not in allowed:
            raise Conflict("state", "The check-in's state does not allow this.", extra={"state": self.status.value})
        self.status = to
        self.version += 1


class CheckInAnswers(Table, table=True):
    """The answers of one check-in. One row for ever: it is inserted once and never changed."""

    __tablename__ = "check_in_answers"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "check_in_id"], ["check_in.clinic_id", "check_in.check_in_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    check_in_id: UUID = Field(primary_key=True)
    form_code: str
    form_version: int
    language: str
    answers: dict[str, Answer] = Field(sa_column=Column(JSONB, nullable=False))
    received_at: datetime = Field(sa_column=utc_column())


class CheckInPartial(Table, table=True):
    """Answers that came without the form being sent off whole: with a call for help, or on a form that was refused for an item."""

    __tablename__ = "check_in_partial"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "check_in_id"], ["check_in.clinic_id", "check_in.check_in_id"]),
        Index("ix_check_in_partial_check_in", "clinic_id", "check_in_id"),
    )

    clinic_id: UUID = Field(primary_key=True)
    check_in_partial_id: UUID = Field(primary_key=True, default_factory=uuid4)
    check_in_id: UUID
    help_now: bool
    answers: dict[str, Answer] = Field(sa_column=Column(JSONB, nullable=False))
    received_at: datetime = Field(sa_column=utc_column())


class CheckInWorry(Table, table=True):
    """A rule that an answer met, once per check-in, rule and item, with its source. Never lowered, never removed."""

    __tablename__ = "check_in_worry"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "check_in_id"], ["check_in.clinic_id", "check_in.check_in_id"]),)

    clinic_id: UUID = Field(primary_key=True)
    check_in_id: UUID = Field(primary_key=True)
    rule_id: str = Field(primary_key=True)
    item: str = Field(primary_key=True)
    rule_version: int
    level: Level = Field(sa_column=code_column(Level))
    why: str
    source: str
    raised_at: datetime = Field(sa_column=utc_column())


class LinkStatus(StrEnum):
    """Used when the answers came; dead after too many wrong birth dates or when the check-in was called off. Neither opens again."""

    OPEN = "open"
    USED = "used"
    DEAD = "dead"


class PatientLink(Table, table=True):
    """The link under which a patient answers one check-in. The token itself is stored nowhere, only its SHA-256."""

    __tablename__ = "patient_link"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "check_in_id"], ["check_in.clinic_id", "check_in.check_in_id"]),
        UniqueConstraint("clinic_id", "check_in_id", "issue", name="uq_patient_link_check_in_id"),
        Index("ix_patient_link_token", "token_sha256"),
    )

    clinic_id: UUID = Field(primary_key=True)
    patient_link_id: UUID = Field(primary_key=True, default_factory=uuid4)
    check_in_id: UUID
    issue: int
    """Counts the links of one check-in; a new one is only made for a link that died."""
    token_sha256: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    birth_date_salt: str = NOT_KEPT
    """Where the release before kept the salt, beside a hash that can be tried out. It fails on this, and so counts no wrong try."""
    birth_date_hash: str = NOT_KEPT
    """A proof of the birth date as intake told it last, under a key of this service; gone when the link is used or dead."""
    wrong_tries: int = 0
    status: LinkStatus = Field(default=LinkStatus.OPEN, sa_column=code_column(LinkStatus))
    language: str
    sender_name: str
    """The clinic's neutral name, as the message gave it."""
    clinic_phone: str
    crisis_line: str
    contact_version: int = 1
    """The way by which the message went, as intake counts them: by a newer one the link is not to be trusted any more."""
    created_at: datetime = Field(sa_column=utc_column())

    def keep_birth_date(self, proof: str) -> None:
        """Know no more of a birth date than this."""
        self.birth_date_salt, self.birth_date_hash = NOT_KEPT, proof

    def forget_birth_date(self) -> None:
        """Nobody is asked for it any more."""
        self.keep_birth_date(NOT_KEPT)
