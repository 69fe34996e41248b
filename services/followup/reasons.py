"""Why a task is there: a code, and the facts that it is told with. Values only; the words stand in ``tasks/texts``.

No statement compares a sentence, and none is stored: a reader is told what that reader may know, when the task is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Fact = str | int | list[str]
"""A code, a number, several codes, or a moment as ``moment`` writes it. Never a name, an answer, or what anybody typed."""


class ReasonCode(StrEnum):
    """What happened, so that somebody has to do something."""

    SESSION_DUE = "session-due"
    STOPPED_EARLY = "stopped-early"
    LEFT_EARLY = "left-early"
    TRANSFERRED = "transferred"
    HEARD_LATE = "heard-late"
    GAVE_WAY_IN_VAIN = "gave-way-in-vain"
    NEVER_ASKED = "never-asked"
    MISSED_SEVERAL = "missed-several"
    PATIENT_LEFT = "patient-left"
    DUE_KEPT = "due-kept"
    NO_INFUSION = "no-infusion"
    NOTHING_GIVEN = "nothing-given"
    CALLED_OFF = "called-off"
    START_HELD = "start-held"
    START_BARRED = "start-barred"
    START_BEFORE_HOLD = "start-before-hold"
    RECORDED_BY_MISTAKE = "recorded-by-mistake"
    CONSENT_AGAIN = "consent-signed-again"
    NOT_ANSWERED = "not-answered"
    NOT_SENT_IN_TIME = "not-sent-in-time"
    ASKED_BY_TELEPHONE = "asked-by-telephone"
    ASKED_AFTER_ALL = "asked-after-all"
    WORRYING_ANSWERS = "worrying-answers"
    CALL_FOR_HELP = "call-for-help"
    WORRYING_ANSWERS_RECORDED_DEAD = "worrying-answers-recorded-dead"
    CALL_FOR_HELP_RECORDED_DEAD = "call-for-help-recorded-dead"
    OLDER = "older"
    """Written before reasons had codes, or by a release that has more of them; its kind is all that can be told."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A code with its facts, by the names under which the texts ask for them."""

    code: ReasonCode
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def for_the_version_before(self) -> str:
        """What stands in ``care_task.why``, which the version before shows. It looks for one kind of call by this text."""
        if self.code in (ReasonCode.ASKED_BY_TELEPHONE, ReasonCode.ASKED_AFTER_ALL):
            return f"{self.facts.get('check_in', '')} by telephone: {self.facts.get('cause', '')}"
        return self.code.value.replace("-", " ")


def moment(at: datetime) -> str:
    """A moment as a fact."""
    return at.isoformat()
