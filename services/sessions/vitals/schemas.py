"""Bodies and answers of vital signs. Every reading has its unit in its name."""

from datetime import datetime
from uuid import UUID

from services.sessions.vitals.rules import Readings
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
        """The readings by name."""
        return self.model_dump(exclude={"measured_at"})


class VitalSignsOut(Answer):
    """One set of readings, and who saved it when."""

    vital_signs_id: UUID
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
