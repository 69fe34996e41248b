"""Reading what is known of patients and what exists for them: two statements, however many patients."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.fact_rows import facts_of
from services.followup.plans.facts import Facts
from services.followup.plans.stored import Items
from services.followup.plans.stored_rows import COVER_KINDS, ITEM_KINDS, items_of
from services.followup.subjects.statements import consent_is_revoked
from shared.db import clinic_of


@dataclass(frozen=True, slots=True)
class Known:
    """One patient: the facts, and the items over the same infusions and courses."""

    facts: Facts
    items: Items


async def read(db: AsyncSession, patient_ids: Collection[UUID]) -> dict[UUID, Known]:
    """Those of these patients of whom anything is known."""
    given = {"clinic_id": clinic_of(db), "patients": sorted(patient_ids)}
    patients = [dict(row) for row in (await db.execute(_FACTS, given)).mappings()]
    rows_of: dict[UUID, list[Any]] = defaultdict(list)  # Any: rows of several columns
    for row in (await db.execute(_ITEMS, {**given, "kinds": sorted({*ITEM_KINDS, *COVER_KINDS})})).mappings():
        rows_of[row["patient_id"]].append(dict(row))
    known = {}
    for patient in patients:
        if patient["zone"] or patient["clinic_zone"]:
            items = items_of(rows_of[patient["patient_id"]])
            known[patient["patient_id"]] = Known(facts_of(patient, items.stored), items)
    return known


_FACTS = text(
    f"""
    SELECT p.patient_id, p.messages_allowed, p.active, p.status, p.status_version, p.status_since, p.left_version,
           p.treatment_standing, p.treatment_since, p.treatment_stood, p.treatment_revoked_at, p.revoked_version,
           {consent_is_revoked("p")} AS revoked, clinic.time_zone AS clinic_zone,
           coalesce(p.time_zone, (
               SELECT patient_time_zone FROM plan WHERE plan.clinic_id = p.clinic_id AND plan.patient_id = p.patient_id
               ORDER BY plan.pump_ended_at DESC, plan.plan_id LIMIT 1
           )) AS zone,
           coalesce((
               SELECT jsonb_agg(jsonb_build_object('course_id', c.course_id, 'status', c.status, 'ran', c.ran) ORDER BY c.course_id)
               FROM course c WHERE c.clinic_id = p.clinic_id AND c.patient_id = p.patient_id
           ), '[]') AS courses,
           coalesce((
               SELECT jsonb_agg(jsonb_build_object(
                   'infusion_id', i.infusion_id, 'course_id', i.course_id, 'state', i.state, 'scheduled_at', i.scheduled_at,
                   'started_at', i.started_at, 'pump_ended_at', i.pump_ended_at, 'drug_given', i.drug_given,
                   'discharged_at', coalesce(i.discharged_at, f.discharged_at)
               ) ORDER BY i.infusion_id)
               FROM infusion i LEFT JOIN plan f ON f.clinic_id = i.clinic_id AND f.infusion_id = i.infusion_id
               WHERE i.clinic_id = p.clinic_id AND i.patient_id = p.patient_id
           ), '[]') AS visits
    FROM patient p LEFT JOIN clinic ON clinic.clinic_id = p.clinic_id
    WHERE p.clinic_id = CAST(:clinic_id AS uuid) AND p.patient_id = ANY(CAST(:patients AS uuid[]))
    """  # noqa: S608 - our own text
)
_ITEMS = text(
    """
    SELECT patient_id, 'check-in' AS what, check_in_id AS row_id, version, infusion_id, course_id, NULL AS focus_kind,
           NULL::uuid AS focus_id, code AS kind, ordinal, 1 AS attempt, status, NULL AS business_status, ended_reason AS reason,
           opens_at, due_at, expires_at, opened_at IS NOT NULL AS opened, due_kept, NULL AS because, NULL::jsonb AS facts,
           NULL::jsonb AS details
    FROM check_in WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = ANY(CAST(:patients AS uuid[]))
    UNION ALL
    SELECT patient_id, 'task', task_id, version, infusion_id, NULL, focus_kind,
           focus_id, kind, ordinal, attempt, status, business_status, status_reason,
           window_starts_at, due_at, expires_at, false, due_kept, reason, facts, details
    FROM care_task
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND patient_id = ANY(CAST(:patients AS uuid[])) AND kind = ANY(CAST(:kinds AS text[]))
    ORDER BY what, ordinal, attempt, row_id
    """
)
