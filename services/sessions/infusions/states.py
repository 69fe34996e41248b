"""The states of an infusion and the steps that each one allows: the whole state machine on one page."""

from enum import StrEnum


class InfusionState(StrEnum):
    """Where an infusion stands. The last eight are ends; only a correction leads out of them."""

    SCHEDULED = "scheduled"
    ARRIVED = "arrived"
    IN_PROGRESS = "in-progress"
    RECOVERY = "recovery"
    COMPLETED = "completed"
    STOPPED_EARLY = "stopped-early"
    LEFT_AGAINST_ADVICE = "left-against-advice"
    TRANSFERRED = "transferred"
    CANCELLED = "cancelled"
    NO_SHOW = "no-show"
    NOT_DONE = "not-done"
    ENTERED_IN_ERROR = "entered-in-error"


class Step(StrEnum):
    """What can be done to an infusion, named as its route."""

    RESCHEDULE = "reschedule"
    CANCEL = "cancel"
    NO_SHOW = "no-show"
    CHECK_IN = "check-in"
    NOT_DONE = "not-done"
    VITAL_SIGNS = "vital-signs"
    START = "start"
    PUMP_END = "pump-end"
    STOP_EARLY = "stop-early"
    COMPLETE = "complete"
    LEAVE_AGAINST_ADVICE = "leave-against-advice"
    TRANSFER = "transfer"
    AMEND = "amend"
    RESTORE = "restore"
    ENTERED_IN_ERROR = "entered-in-error"
    CONFIRM_ENTERED_IN_ERROR = "entered-in-error/confirm"
    WITHDRAW_ENTERED_IN_ERROR = "entered-in-error/withdraw"


OUTCOMES = frozenset({InfusionState.COMPLETED, InfusionState.STOPPED_EARLY, InfusionState.LEFT_AGAINST_ADVICE, InfusionState.TRANSFERRED})
"""Ends of an infusion that was started: these are followed up when drug was given."""

NO_RECORD_OF_A_VISIT = frozenset({InfusionState.CANCELLED, InfusionState.NO_SHOW, InfusionState.NOT_DONE, InfusionState.ENTERED_IN_ERROR})
"""States in which no infusion takes or took place; they count neither as a duplicate nor as part of a course."""

_ON_REQUEST = frozenset({Step.CONFIRM_ENTERED_IN_ERROR, Step.WITHDRAW_ENTERED_IN_ERROR})
_MISTAKE = (Step.ENTERED_IN_ERROR, *_ON_REQUEST)

STEPS: dict[InfusionState, frozenset[Step]] = {
    InfusionState.SCHEDULED: frozenset({Step.RESCHEDULE, Step.CANCEL, Step.NO_SHOW, Step.CHECK_IN, *_MISTAKE}),
    InfusionState.ARRIVED: frozenset({Step.VITAL_SIGNS, Step.START, Step.NOT_DONE, Step.RESTORE, *_MISTAKE}),
    InfusionState.IN_PROGRESS: frozenset(
        {Step.VITAL_SIGNS, Step.PUMP_END, Step.STOP_EARLY, Step.LEAVE_AGAINST_ADVICE, Step.TRANSFER, *_MISTAKE}
    ),
    InfusionState.RECOVERY: frozenset({Step.VITAL_SIGNS, Step.COMPLETE, Step.LEAVE_AGAINST_ADVICE, Step.TRANSFER, *_MISTAKE}),
    **{outcome: frozenset({Step.VITAL_SIGNS, Step.AMEND, *_MISTAKE}) for outcome in OUTCOMES},
    InfusionState.CANCELLED: frozenset({Step.RESTORE, *_MISTAKE}),
    InfusionState.NO_SHOW: frozenset({Step.RESTORE, *_MISTAKE}),
    InfusionState.NOT_DONE: frozenset({Step.RESTORE, *_MISTAKE}),
    InfusionState.ENTERED_IN_ERROR: frozenset(),
}


def allowed_steps(state: InfusionState, *, error_requested: bool) -> list[Step]:
    """What can be done now, in the order of a visit. A mistake is requested once, then confirmed by somebody else or withdrawn."""
    refused = frozenset({Step.ENTERED_IN_ERROR}) if error_requested else _ON_REQUEST
    return [step for step in Step if step in STEPS[state] - refused]
