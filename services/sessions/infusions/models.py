"""Infusions. A transition checks the state, changes the record and returns the event that tells of it.

An aborted infusion goes the same way as any other: ``stop-early`` ends the pump and leads to recovery with the record marked as
aborted, and its discharge, ``complete``, closes it as stopped-early. Leaving and transfer close a record in recovery; while the pump
still runs, its end is recorded first, as a version of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Never, TypeVar
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, event, text

from services.sessions.infusions.records import InfusionRecord
from services.sessions.infusions.rules import CourseMember, Order, PumpEnd, first_of_course
from services.sessions.infusions.states import OUTCOMES, InfusionState, Step
from services.sessions.subjects.models import Subject
from shared.errors import Conflict, Invalid
from shared.events import sessions as events

E = TypeVar("E", bound=events.InfusionEvent)

_TOLD_AS: dict[InfusionState, type[events.EndedInfusionEvent]] = {
    InfusionState.COMPLETED: events.InfusionCompleted,
    InfusionState.STOPPED_EARLY: events.InfusionStoppedEarly,
    InfusionState.LEFT_AGAINST_ADVICE: events.InfusionLeftAgainstAdvice,
    InfusionState.TRANSFERRED: events.InfusionTransferred,
}


class Infusion(InfusionRecord, table=True):
    """The record of one infusion as it stands; how it came to stand so is in its versions.

    Both are written by one statement, ``statements.KEEP``. The session writes neither: it raises instead.
    """

    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patient.clinic_id", "patient.patient_id"]),
        ForeignKeyConstraint(["clinic_id", "course_id"], ["course.clinic_id", "course.course_id"]),
        Index("ix_infusion_patient", "clinic_id", "patient_id", "scheduled_at"),
        Index("ix_infusion_course", "clinic_id", "course_id"),
        Index("ix_infusion_scheduled", "clinic_id", "scheduled_at", "infusion_id"),
        Index("ix_infusion_needs_review", "clinic_id", "scheduled_at", "infusion_id", postgresql_where=text("needs_review")),
        Index("ix_infusion_ended", "clinic_id", "ended_at", "infusion_id", postgresql_where=text("ended_at IS NOT NULL")),
    )

    def require(self, step: Step) -> None:
        """Raises 409 state, naming the state and the steps that it allows."""
        if step not in self.allowed:
            raise self.refusal("state", "The infusion's state does not allow this step.")

    def refusal(self, code: str, detail: str, **extra: object) -> Conflict:
        """A 409 that says where the infusion stands."""
        return Conflict(code, detail, extra={"state": self.state.value, "allowed": [step.value for step in self.allowed], **extra})

    def book(self, subject: Subject, now: datetime) -> events.InfusionScheduled:
        """The first version of a new record."""
        self._change(now, told=True)
        return self._tell(events.InfusionScheduled, subject, now, scheduled_at=self.scheduled_at)

    def reschedule(self, subject: Subject, at: datetime, now: datetime) -> events.InfusionScheduled:
        """Move the booking."""
        self.require(Step.RESCHEDULE)
        self.scheduled_at = at
        self._change(now, told=True)
        return self._tell(events.InfusionScheduled, subject, now, scheduled_at=at)

    def check_in(self, at: datetime, now: datetime) -> None:
        """The patient is here."""
        self.require(Step.CHECK_IN)
        self.state, self.arrived_at = InfusionState.ARRIVED, at
        self._change(now)

    def cancel(self, subject: Subject, by: str, reason: str | None, now: datetime) -> events.InfusionEvent:
        """Give the booking up, on the patient's or the clinic's side."""
        self.require(Step.CANCEL)
        self.state, self.cancelled_by, self.reason = InfusionState.CANCELLED, by, reason
        return self._over(subject, now)

    def miss(self, subject: Subject, now: datetime) -> events.InfusionEvent:
        """The patient did not come."""
        self.require(Step.NO_SHOW)
        self.state = InfusionState.NO_SHOW
        return self._over(subject, now)

    def not_do(self, subject: Subject, reason: str, now: datetime) -> events.InfusionEvent:
        """The patient came, and no drug was given."""
        self.require(Step.NOT_DONE)
        self.state, self.reason = InfusionState.NOT_DONE, reason
        return self._over(subject, now)

    def restore(self, subject: Subject, now: datetime) -> events.InfusionScheduled | None:
        """The arrival, the end of the booking or "not done" was a mistake: the visit stands as before it. Told where the end was."""
        self.require(Step.RESTORE)
        told = self.state is not InfusionState.ARRIVED
        if self.state is not InfusionState.NOT_DONE:
            self.arrived_at = None
        self.state = InfusionState.ARRIVED if self.state is InfusionState.NOT_DONE else InfusionState.SCHEDULED
        self.cancelled_by = self.reason = None
        self._change(now, told=told)
        return self._tell(events.InfusionScheduled, subject, now, scheduled_at=self.scheduled_at) if told else None

    def start(self, subject: Subject, order: Order, now: datetime) -> events.InfusionStarted:
        """The pump runs."""
        self.require(Step.START)
        self.state, self.pump_started_at = InfusionState.IN_PROGRESS, order.pump_started_at
        self.weight_kg, self.dose_ordered_mg = order.weight_kg, order.dose_ordered_mg
        self._change(now, told=True)
        return self._tell(events.InfusionStarted, subject, order.pump_started_at, started_at=order.pump_started_at)

    def end_pump(self, pump: PumpEnd, others: Sequence["Infusion"], now: datetime) -> None:
        """The pump has stopped, and what it gave is known."""
        self.require(Step.PUMP_END)
        self._stop_pump(pump, others, now)

    def stop_early(self, pump: PumpEnd, reason_code: str, reason: str, others: Sequence["Infusion"], now: datetime) -> None:
        """The pump was stopped before its time; recovery follows as after any infusion."""
        self.require(Step.STOP_EARLY)
        self.aborted, self.reason_code, self.reason = True, reason_code, reason
        self._stop_pump(pump, others, now)

    def complete(self, subject: Subject, at: datetime, now: datetime) -> events.InfusionEvent:
        """Discharge by a clinician; closes the record as completed or, when it was aborted, as stopped-early."""
        self.require(Step.COMPLETE)
        return self._close(InfusionState.STOPPED_EARLY if self.aborted else InfusionState.COMPLETED, subject, at, now)

    def leave(self, subject: Subject, at: datetime, reason: str, now: datetime) -> events.InfusionEvent:
        """The patient left before discharge."""
        self.require(Step.LEAVE_AGAINST_ADVICE)
        self.reason = reason
        return self._close(InfusionState.LEFT_AGAINST_ADVICE, subject, at, now)

    def transfer(self, subject: Subject, at: datetime, reason: str, now: datetime) -> events.InfusionEvent:
        """Emergency care took over."""
        self.require(Step.TRANSFER)
        self.reason = reason
        return self._close(InfusionState.TRANSFERRED, subject, at, now)

    def amend(
        self, subject: Subject, corrections: Mapping[str, object], others: Sequence["Infusion"], now: datetime, *, settled: bool
    ) -> events.InfusionEvent:
        """Correct an ended record: column by column, as a new version. Raises 422 nothing-to-amend when all is as recorded.

        ``settled``: the recorded weight counts otherwise than before, which is a correction by itself; a reason alone is none.
        """
        self.require(Step.AMEND)
        changed = self.differing(corrections)
        if not changed and not settled:
            raise Invalid("nothing-to-amend", "The record already says so.")
        for name, value in changed.items():
            setattr(self, name, value)
        if "state" in changed:
            self.aborted = self.state is InfusionState.STOPPED_EARLY or (self.aborted and self.state is not InfusionState.COMPLETED)
        self._take_place(others)
        self._change(now, told=True)
        return self._account(subject)

    def request_error(self, by: UUID, now: datetime) -> None:
        """One person says that this record should never have existed. Care goes on until another one agrees."""
        self.require(Step.ENTERED_IN_ERROR)
        self.error_requested_by, self.error_requested_at = by, now
        self._change(now)

    def withdraw_error_request(self, now: datetime) -> None:
        """The record is right after all. Nothing had changed by the request."""
        self.require(Step.WITHDRAW_ENTERED_IN_ERROR)
        self.error_requested_by = self.error_requested_at = None
        self._change(now)

    def confirm_error(self, subject: Subject, by: UUID, now: datetime) -> events.InfusionEvent:
        """Another person agrees. Raises 409 second-person-needed for the one who requested it."""
        self.require(Step.CONFIRM_ENTERED_IN_ERROR)
        if by == self.error_requested_by:
            others = [step.value for step in self.allowed if step is not Step.CONFIRM_ENTERED_IN_ERROR]
            raise self.refusal("second-person-needed", "Somebody other than the one who requested it must confirm.", allowed=others)
        self.state, self.error_confirmed_by, self.first_of_course = InfusionState.ENTERED_IN_ERROR, by, False
        return self._over(subject, now)

    def review_place(self, subject: Subject, others: Sequence["Infusion"], now: datetime) -> events.InfusionEvent | None:
        """See again whether this is the course's first, after another record of the course changed; told only if it has ended."""
        before = self.first_of_course
        self._take_place(others)
        if self.first_of_course == before:
            return None
        self._change(now, told=self.ended)
        return self._account(subject) if self.ended else None

    def mark_for_review(self, subject: Subject, code: str, rules: Sequence[str], now: datetime) -> events.InfusionReviewNeeded | None:
        """Let somebody look at this record again. None where it is marked for the same already, and waits."""
        if any(mark["settled"] is None and mark["code"] == code and set(rules) <= set(mark["rules"]) for mark in self.reviews):
            return None
        mark = {"code": code, "rules": list(rules), "at": now.isoformat(), "settled": None}
        self.reviews, self.needs_review = [*self.reviews, mark], True
        self._change(now)
        return events.InfusionReviewNeeded(
            occurred_at=now,
            infusion_id=self.infusion_id,
            patient_id=self.patient_id,
            patient_number=subject.patient.patient_number or "",
            patient_time_zone=subject.patient.time_zone or "",
            code=code,
            number=len(self.reviews),
            started_at=self.taken_place_at,
        )

    def settle_reviews(self, *, actor: str, reason: str, now: datetime) -> events.InfusionReviewed:
        """Somebody has looked at all that was marked. Raises 409 nothing-to-review."""
        if not self.needs_review:
            raise self.refusal("nothing-to-review", "Nothing on this record waits to be looked at.")
        settled = {"actor": actor, "reason": reason, "at": now.isoformat()}
        self.reviews = [{**mark, "settled": mark["settled"] or settled} for mark in self.reviews]
        self.needs_review = False
        self._change(now)
        number = len(self.reviews)
        return events.InfusionReviewed(occurred_at=now, infusion_id=self.infusion_id, patient_id=self.patient_id, number=number)

    @property
    def ended(self) -> bool:
        """Whether it was started, has ended, and still counts."""
        return self.state in OUTCOMES

    def account(self, subject: Subject) -> events.InfusionEvent | None:
        """The event that tells how the infusion stands, as at its last telling; None while it is not over."""
        unfinished = self.state in (InfusionState.SCHEDULED, InfusionState.ARRIVED, InfusionState.IN_PROGRESS, InfusionState.RECOVERY)
        return None if unfinished else self._account(subject)

    def _account(self, subject: Subject) -> events.InfusionEvent:
        match self.state:
            case InfusionState.CANCELLED:
                return self._tell(events.InfusionCancelled, subject, self.changed_at, cancelled_by=self.cancelled_by)
            case InfusionState.NO_SHOW:
                return self._tell(events.InfusionNoShow, subject, self.changed_at)
            case InfusionState.NOT_DONE:
                return self._tell(events.InfusionNotDone, subject, self.changed_at)
            case InfusionState.ENTERED_IN_ERROR:
                return self._tell(events.InfusionEnteredInError, subject, self.changed_at)
        facts = {
            "drug_given": self.drug_given,
            "started_at": self.pump_started_at,
            "pump_ended_at": self.pump_ended_at,
            "first_of_course": self.first_of_course,
        }
        if self.told_version != self.ended_version:
            return self._tell(events.InfusionAmended, subject, self.changed_at, outcome=self.state.value, **facts)
        return self._tell(_TOLD_AS[self.state], subject, self.departed_at or self.changed_at, **facts)

    def _over(self, subject: Subject, now: datetime) -> events.InfusionEvent:
        self._change(now, told=True)
        return self._account(subject)

    def _close(self, outcome: InfusionState, subject: Subject, at: datetime, now: datetime) -> events.InfusionEvent:
        self.state, self.departed_at, self.ended_at = outcome, at, now
        self.ended_version = self.version + 1
        return self._over(subject, now)

    def _stop_pump(self, pump: PumpEnd, others: Sequence["Infusion"], now: datetime) -> None:
        self.state, self.pump_ended_at, self.dose_given_mg = InfusionState.RECOVERY, pump.pump_ended_at, pump.dose_given_mg
        self.volume_given_ml, self.concentration_mg_per_ml = pump.volume_given_ml, pump.concentration_mg_per_ml
        self._take_place(others)
        self._change(now)

    def _take_place(self, others: Sequence["Infusion"]) -> None:
        counting = [one for one in (self, *others) if one.state is not InfusionState.ENTERED_IN_ERROR]
        members = [CourseMember(one.infusion_id, one.pump_started_at, one.dose_given_mg) for one in counting if one.pump_started_at]
        self.first_of_course = self.drug_given and first_of_course(members) == self.infusion_id

    def _change(self, now: datetime, *, told: bool = False) -> None:
        self.version += 1
        self.changed_at = now
        if told:
            self.told_version = self.version

    def _tell(self, kind: type[E], subject: Subject, occurred_at: datetime, **facts: Any) -> E:  # Any: the fields of the event class
        patient, course = subject.patient, subject.course
        return kind(
            occurred_at=occurred_at,
            infusion_id=self.infusion_id,
            infusion_version=self.told_version,
            patient_id=self.patient_id,
            patient_number=patient.patient_number or "",
            patient_time_zone=patient.time_zone or "",
            course_id=self.course_id,
            protocol_code=course.protocol_code,
            protocol_version=course.protocol_version,
            therapist_id=course.therapist_id,
            coordinator_id=course.coordinator_id,
            **facts,
        )


@event.listens_for(Infusion, "before_insert")
@event.listens_for(Infusion, "before_update")
def _refuse_to_write(*_: object) -> Never:
    raise RuntimeError("an infusion is written with its version, by statements.KEEP")
