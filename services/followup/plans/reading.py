"""Reading what is known of patients and what exists for them: two statements, however many patients."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.fact_rows import facts_of
from services.followup.plans.facts import Facts
from services.followup.plans.stored import Items
from services.followup.plans.stored_rows import COVER_KINDS, ITEM_KINDS, items_of
from services.followup.subjects.models import WHERE_COUNTS, WHERE_GIVEN, WHERE_UNTRUE
from services.followup.subjects.statements import consent_is_revoked
from shared.db import clinic_of
from shared.statements import Statement


@dataclass(frozen=True, slots=True)
class About:
    """An infusion that was told of, with when it was started by what was known before and by what is known now."""

    patient_id: UUID
    infusion_id: UUID
    starts: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """One patient: the facts, and the items over the same infusions and courses."""

    facts: Facts
    items: Items
    pins: Mapping[UUID, tuple[str, int]] = field(default_factory=dict)
    """The protocols by which anchors are followed already."""


async def read(db: AsyncSession, patient_ids: Collection[UUID], about: Sequence[About] | None = None) -> dict[UUID, Known]:
    """Those of these patients of whom anything is known.

    ``about`` names the infusions that were told of: only these and the one before each of their starts are compared, so that what an event
    costs does not grow with what a patient has had. Without it all are.
    """
    patients = await _patients(db, patient_ids, about)
    followed = [UUID(visit["infusion_id"]) for patient in patients for visit in patient["visits"] if visit["followed"]]
    courses = sorted({UUID(visit["course_id"]) for patient in patients for visit in patient["visits"]})
    rows_of: dict[UUID, list[Any]] = defaultdict(list)  # Any: rows of several columns
    given = {
        "clinic_id": clinic_of(db),
        "patients": sorted(patient_ids),
        "followed": followed,
        "courses": courses,
        "anchors": [*patient_ids, *courses, *followed],
        "kinds": sorted({*ITEM_KINDS, *COVER_KINDS}),
    }
    for row in await _ITEMS.rows(db, **given):
        rows_of[row["patient_id"]].append(dict(row))
    known = {}
    for patient in patients:
        if patient["zone"] or patient["clinic_zone"]:
            items = items_of(rows_of[patient["patient_id"]])
            pins = {UUID(anchor_id): (code, version) for anchor_id, code, version in patient["pins"]}
            known[patient["patient_id"]] = Known(facts_of(patient, items.stored), items, pins)
    return known


async def _patients(
    db: AsyncSession, patient_ids: Collection[UUID], about: Sequence[About] | None
) -> list[dict[str, Any]]:  # Any: as above
    starts = [(one.patient_id, start) for one in about or () for start in one.starts]
    given = {
        "clinic_id": clinic_of(db),
        "patients": sorted(patient_ids),
        "whole": [] if about is not None else sorted(patient_ids),
        "named": [one.infusion_id for one in about or ()],
        "starting": [patient_id for patient_id, _ in starts],
        "starts": [start for _, start in starts],
    }
    return [dict(row) for row in await _FACTS.rows(db, **given)]


# Every look at an infusion by itself is a join to one row, with a limit: the planner would otherwise read all of a patient's to find it.
_FACTS = Statement(
    f"""
    WITH named AS MATERIALIZED (
        SELECT i.* FROM infusion i WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.infusion_id = ANY(CAST(:named AS uuid[]))
        UNION
        SELECT i.* FROM infusion i WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.patient_id = ANY(CAST(:whole AS uuid[]))
        UNION
        SELECT before.* FROM unnest(CAST(:starting AS uuid[]), CAST(:starts AS timestamptz[])) AS s(patient_id, start) CROSS JOIN LATERAL (
            SELECT i.* FROM infusion i
            WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.patient_id = s.patient_id AND {WHERE_GIVEN} AND i.pump_ended_at <= s.start
            ORDER BY i.pump_ended_at DESC, i.infusion_id DESC LIMIT 1
        ) AS before
        UNION
        SELECT last.* FROM unnest(CAST(:patients AS uuid[])) AS p(patient_id) CROSS JOIN LATERAL (
            SELECT i.* FROM infusion i
            WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.patient_id = p.patient_id AND {WHERE_GIVEN}
            ORDER BY i.pump_ended_at DESC, i.infusion_id DESC LIMIT 1
        ) AS last
    ), seen AS (
        SELECT named.*, true AS followed FROM named
        UNION ALL
        SELECT other.*, false FROM (SELECT DISTINCT course_id FROM named) AS n CROSS JOIN LATERAL (
            (SELECT i.* FROM infusion i
             WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.course_id = n.course_id AND {WHERE_GIVEN}
             ORDER BY i.pump_ended_at, i.infusion_id LIMIT 1)
            UNION ALL
            (SELECT i.* FROM infusion i
             WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.course_id = n.course_id AND {WHERE_GIVEN}
             ORDER BY i.pump_ended_at DESC, i.infusion_id DESC LIMIT 1)
            UNION ALL
            (SELECT i.* FROM infusion i
             WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.course_id = n.course_id AND {WHERE_UNTRUE} LIMIT 1)
        ) AS other
        UNION ALL
        SELECT following.*, false FROM named n CROSS JOIN LATERAL (
            SELECT i.* FROM infusion i
            WHERE i.clinic_id = CAST(:clinic_id AS uuid) AND i.patient_id = n.patient_id AND {WHERE_COUNTS}
              AND i.started_at > n.pump_ended_at AND i.infusion_id <> n.infusion_id
            ORDER BY i.started_at, i.infusion_id LIMIT 1
        ) AS following
    ), visit AS MATERIALIZED (
        SELECT DISTINCT ON (infusion_id) * FROM seen ORDER BY infusion_id, followed DESC
    ), anchor AS (
        SELECT infusion_id AS anchor_id FROM visit UNION SELECT course_id FROM visit UNION SELECT unnest(CAST(:patients AS uuid[]))
    ), pinned AS MATERIALIZED (
        SELECT pin.* FROM anchor CROSS JOIN LATERAL (
            SELECT * FROM anchor_pin WHERE clinic_id = CAST(:clinic_id AS uuid) AND anchor_pin.anchor_id = anchor.anchor_id LIMIT 1
        ) AS pin
    )
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
                   'discharged_at', coalesce(i.discharged_at, record.discharged_at), 'followed', i.followed
               ) ORDER BY i.infusion_id)
               FROM visit i LEFT JOIN LATERAL (
                   SELECT f.discharged_at FROM plan f WHERE f.clinic_id = p.clinic_id AND f.infusion_id = i.infusion_id LIMIT 1
               ) AS record ON true
               WHERE i.patient_id = p.patient_id
           ), '[]') AS visits,
           coalesce((
               SELECT jsonb_agg(jsonb_build_array(pinned.anchor_id, pinned.protocol_code, pinned.protocol_version))
               FROM pinned WHERE pinned.patient_id = p.patient_id
           ), '[]') AS pins
    FROM patient p LEFT JOIN clinic ON clinic.clinic_id = p.clinic_id
    WHERE p.clinic_id = CAST(:clinic_id AS uuid) AND p.patient_id = ANY(CAST(:patients AS uuid[]))
    """  # noqa: S608 - our own text
)
_ITEMS = Statement(
    """
    SELECT patient_id, 'check-in' AS what, check_in_id AS row_id, version, infusion_id, course_id, NULL AS focus_kind,
           NULL::uuid AS focus_id, code AS kind, ordinal, 1 AS attempt, status, NULL AS business_status, ended_reason AS reason,
           opens_at, due_at, expires_at, opened_at IS NOT NULL AS opened, due_kept, NULL AS because, NULL::jsonb AS facts,
           NULL::jsonb AS details, anchor_id, code, number, NULL::int AS generation, refused_due_at, superseded_by,
           NULL::jsonb AS covered, false AS covers_more, status = 'expired' AND EXISTS (
               SELECT FROM patient_link l
               WHERE l.clinic_id = check_in.clinic_id AND l.check_in_id = check_in.check_in_id AND l.status = 'open'
           ) AS link_open
    FROM check_in WHERE clinic_id = CAST(:clinic_id AS uuid) AND (
        infusion_id = ANY(CAST(:followed AS uuid[])) OR (infusion_id IS NULL AND course_id = ANY(CAST(:courses AS uuid[])))
    )
    UNION ALL
    SELECT patient_id, 'task', task_id, version, infusion_id, NULL, focus_kind,
           focus_id, kind, ordinal, attempt, status, business_status, status_reason,
           window_starts_at, due_at, expires_at, false, due_kept, reason, facts, details, anchor_id, code, number, generation,
           refused_due_at, superseded_by, (
               SELECT jsonb_agg(jsonb_build_array(c.anchor_id, c.code, c.number))
               FROM unnest(CAST(:anchors AS uuid[])) AS a(anchor_id) CROSS JOIN LATERAL (
                   SELECT * FROM task_cover
                   WHERE task_cover.clinic_id = care_task.clinic_id AND task_id = care_task.task_id AND task_cover.anchor_id = a.anchor_id
                   ORDER BY code, number
               ) AS c
           ), EXISTS (
               SELECT 1 FROM task_cover
               WHERE clinic_id = care_task.clinic_id AND task_id = care_task.task_id AND anchor_id <> ALL(CAST(:anchors AS uuid[]))
           ), false
    FROM care_task
    WHERE clinic_id = CAST(:clinic_id AS uuid) AND kind = ANY(CAST(:kinds AS text[])) AND (
        infusion_id = ANY(CAST(:followed AS uuid[]))
        OR (infusion_id IS NULL AND patient_id = ANY(CAST(:patients AS uuid[])))
    )
    ORDER BY what, ordinal, attempt, row_id
    """
)
