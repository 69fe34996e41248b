"""What time alone does to plans: one of a series opens, and the clock is set for the next."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.difference import Difference
from services.followup.plans.keeping_up import keep_up
from services.followup.plans.means import Means
from services.followup.subjects.commands import lock_patients
from shared.db import clinic_of
from shared.telemetry import Metrics
from shared.timers import DueTimer


class Waking:
    """Wakes the plans that change now, and counts what time alone would have changed and may not."""

    def __init__(self, metrics: Metrics) -> None:
        self._drift = metrics.counter("afterglow_plan_drift_total", "Changes that no fact explains, not written")

    async def come_due(self, means: Means, db: AsyncSession, timers: Sequence[DueTimer]) -> None:
        """Keep up with these patients. A timer of the release before names a course: its patient is meant."""
        for difference in await _keep_up(means, db, timers):
            self._drift.inc(len(difference.drift))


async def _keep_up(means: Means, db: AsyncSession, timers: Sequence[DueTimer]) -> list[Difference]:
    subjects = [timer.subject_id for timer in timers]
    patients = list((await db.execute(_PATIENTS, {"clinic_id": clinic_of(db), "ids": subjects})).scalars())
    await lock_patients(db, patients)
    return await keep_up(db, means.followed_by, patients, means.now(), only_time=True)


_PATIENTS = text(
    """
    SELECT patient_id FROM patient WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = ANY(CAST(:ids AS uuid[]))
    UNION SELECT patient_id FROM weekly_series WHERE clinic_id = CAST(:clinic_id AS uuid) AND course_id = ANY(CAST(:ids AS uuid[]))
    ORDER BY 1
    """
)
