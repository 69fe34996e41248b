"""Bodies and answers of vital signs. Every reading has its unit in its name."""

from datetime import datetime
from typing import Self
from uuid import UUID

from services.sessions.infusions.schemas import Reason
from services.sessions.vitals.limits import VITAL_SIGNS
from services.sessions.vitals.models import VitalSigns
from services.sessions.vitals.rules import Readings, unlikely
from shared.web.schemas import Answer, Body, Moment


class RecordVitalSigns(Body):
    """The readings of one moment: any of them, at least one, and both values of a pressure."""

    measured_at: Moment
    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    heart_rate_per_min: int | None = None
    spo2_percent: int | None = None
    respiratory_rate_per_min: int | None = None
    moaa_s_score: int | None = None

    def readings(self) -> Readings:
        return self.model_dump(exclude={"measured_at"})


class StrikeVitalSigns(Body):
    """Why these readings should never have been saved for this patient."""

    reason: Reason


class Struck(Answer):
    """Who struck the readings as entered in error, when and why."""

    actor: str
    reason: str
    at: datetime


class UnlikelyReading(Answer):
    """A reading that was saved and should be looked at once more: the rule, the reading, and where the rule's limit comes from."""

    rule: str
    reading: str
    source: str


class VitalSignsOut(Answer):
    """One set of readings, and who saved it when. ``struck`` is null unless it was struck; ``version`` is for If-Match.

    ``limits_version`` names the limits by which it was marked when it was saved; null where an earlier release saved it.
    """

    vital_signs_id: UUID
    version: int
    infusion_id: UUID
    measured_at: datetime
    recorded_at: datetime
    actor: str
    systolic_mmhg: int | None
    diastolic_mmhg: int | None
    heart_rate_per_min: int | None
    spo2_percent: int | None
    respiratory_rate_per_min: int | None
    moaa_s_score: int | None
    limits_version: int | None
    unlikely: list[UnlikelyReading]
    struck: Struck | None

    @classmethod
    def of(cls, signs: VitalSigns) -> Self:
        """From its row, marked as it was when it was saved."""
        struck = None if signs.struck_at is None else {"actor": signs.struck_by, "reason": signs.struck_reason, "at": signs.struck_at}
        columns = signs.model_dump(include=set(cls.model_fields))
        marks = signs.marks
        if marks is None:
            marks = [mark._asdict() for mark in unlikely(signs.readings(), VITAL_SIGNS.default)]
        return cls.model_validate({**columns, "version": signs.version, "unlikely": marks, "struck": struck})
