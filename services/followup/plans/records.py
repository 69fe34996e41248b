"""The record of each infusion's follow-up, as clinic systems read it: the facts that it follows, and whether it goes on."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.means import Means, cause_of
from services.followup.plans.models import Plan, PlanStatus
from services.followup.plans.overview import REASON_OF
from services.followup.plans.slots import Told
from services.followup.subjects.commands import Standing
from services.followup.subjects.statements import consent_is_revoked
from services.followup.tables import arrays_of, rows_of, types_of
from shared.db import clinic_of
from shared.statements import Statement


async def take_over(db: AsyncSession, means: Means, told: Sequence[Told], standings: Mapping[UUID, Standing]) -> set[UUID]:
    """Make the records of infusions that have none, and let the others follow corrected facts. The protocol stays.

    Returns the infusions that had none.
    """
    given = [one for one in told if one.infusion.drug_given]
    if not given:
        return set()
    rows = arrays_of(_PLAN, [_row_of(one, means, standings[one.patient_id], means.now()) for one in given])
    return {row["infusion_id"] for row in await _TAKE_OVER.rows(db, **rows, clinic_id=clinic_of(db)) if row["version"] == 1}


async def restate(db: AsyncSession, means: Means, *, patients: Collection[UUID] = (), infusions: Collection[UUID] = ()) -> None:
    """Say of these patients' records, and of those of these infusions, whether they go on, by what is known now.

    A departure ends what goes on. A record of which nothing was left to ask stays as it is.
    """
    if patients or infusions:
        now = means.now()
        since = now - means.followed_by.default.follows_for
        given = {"clinic_id": clinic_of(db), "patients": sorted(patients), "infusions": sorted(infusions), "now": now, "since": since}
        await db.execute(_RESTATE, given)


_PLAN = types_of(
    Plan, "plan_id", "infusion_id", "infusion_version", "patient_id", "patient_number", "patient_time_zone", "course_id",
    "protocol_code", "protocol_version", "asked_protocol", "outcome", "started_at", "pump_ended_at", "discharged_at",
    "first_of_course", "therapist_id", "coordinator_id", "status", "status_reason", "made_at",
)  # fmt: skip


def _row_of(told: Told, means: Means, standing: Standing, now: datetime) -> dict[str, object]:
    infusion, asked = told.infusion, (told.protocol_code, told.protocol_version)
    protocol = means.followed_by.of(infusion.infusion_id, asked)
    cause = cause_of(standing)
    return {
        "plan_id": uuid4(),
        "infusion_id": infusion.infusion_id,
        "infusion_version": told.version,
        "patient_id": told.patient_id,
        "patient_number": told.patient_number,
        "patient_time_zone": infusion.zone.key,
        "course_id": told.course_id,
        "protocol_code": protocol.code,
        "protocol_version": protocol.version,
        "asked_protocol": None if means.followed_by.knows(asked) else f"{told.protocol_code}-v{told.protocol_version}",
        "outcome": infusion.outcome.value,
        "started_at": infusion.started_at,
        "pump_ended_at": infusion.pump_ended_at,
        "discharged_at": infusion.discharged_at,
        "first_of_course": told.first_of_course,
        "therapist_id": infusion.therapist_id,
        "coordinator_id": infusion.coordinator_id,
        "status": (PlanStatus.REVOKED if cause else PlanStatus.ACTIVE).value,
        "status_reason": REASON_OF[cause] if cause else None,
        "made_at": now,
    }


_TAKEN = (
    "infusion_version", "patient_time_zone", "outcome", "started_at", "pump_ended_at", "first_of_course", "therapist_id", "coordinator_id",
    "changed_at",
)  # fmt: skip
_TAKE_OVER = Statement(
    f"""
    INSERT INTO plan (clinic_id, generation, version, changed_at, {", ".join(_PLAN)})
    SELECT CAST(:clinic_id AS uuid), 0, 1, made_at, {", ".join(_PLAN)} FROM {rows_of(_PLAN)}
    ON CONFLICT (clinic_id, infusion_id) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _TAKEN)},
        discharged_at = coalesce(EXCLUDED.discharged_at, plan.discharged_at), version = plan.version + 1
    WHERE plan.infusion_version <= EXCLUDED.infusion_version
    RETURNING infusion_id, version
    """  # noqa: S608 - column names of our own
)
_RESTATE = text(
    f"""
    WITH stands AS (
        SELECT f.plan_id, CASE
            WHEN i.state = 'entered-in-error' THEN 'infusion-entered-in-error'
            WHEN i.drug_given IS FALSE THEN 'no-drug-given'
            WHEN f.pump_ended_at < CAST(:since AS timestamptz) AND f.status = 'active' THEN NULL  -- it had run its course before
            WHEN p.status = 'deceased' THEN 'patient-deceased'
            WHEN p.status = 'withdrawn' THEN 'patient-withdrawn'
            WHEN {consent_is_revoked("p")} THEN 'treatment-consent-revoked'
        END AS reason
        FROM plan f
        JOIN infusion i ON i.clinic_id = f.clinic_id AND i.infusion_id = f.infusion_id
        JOIN patient p ON p.clinic_id = f.clinic_id AND p.patient_id = f.patient_id
        WHERE f.clinic_id = CAST(:clinic_id AS uuid)
          AND (f.infusion_id = ANY(CAST(:infusions AS uuid[])) OR f.patient_id = ANY(CAST(:patients AS uuid[])))
    )
    UPDATE plan SET status_reason = s.reason, changed_at = :now, version = version + 1, status = CASE
        WHEN s.reason IS NULL THEN 'active' WHEN s.reason = 'infusion-entered-in-error' THEN 'entered-in-error' ELSE 'revoked' END
    FROM stands s
    WHERE plan.clinic_id = CAST(:clinic_id AS uuid) AND plan.plan_id = s.plan_id AND plan.status_reason IS DISTINCT FROM s.reason
    """  # noqa: S608 - our own text
)
