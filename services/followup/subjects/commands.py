"""Keeping the projections: each fact is applied once, by version, in whatever order and however often it arrives."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.subjects.models import (
    ENDED_COURSE,
    WHERE_COUNTS,
    Clinic,
    CourseStatus,
    Infusion,
    InfusionState,
    Patient,
    PatientStatus,
)
from services.followup.tables import arrays_of, rows_of, types_of
from shared.db import clinic_of
from shared.events.intake import ClinicChanged, ConsentChanged, CourseChanged, PatientChanged, PatientDeceased, PatientWithdrawn, Span
from shared.events.sessions import EndedInfusionEvent, InfusionAmended, InfusionEvent
from shared.statements import Statement


@dataclass(frozen=True, slots=True)
class Standing:
    """How a patient stands at this moment; the row is locked until the transaction ends."""

    patient_id: UUID
    status: PatientStatus
    treatment_revoked: bool
    patient_number: str | None
    time_zone: str | None
    clinic_time_zone: str | None
    """The zone of the clinic's business days, where it is known."""


@dataclass(frozen=True, slots=True)
class StatusNews:
    """That a patient's status is another one than was known; ``since`` is when they last began or ceased to be active, where known."""

    before: PatientStatus
    after: PatientStatus
    since: datetime | None


class ConsentNews(StrEnum):
    """That consent to treatment is taken back, or stands again, is not what was known."""

    REVOKED = "revoked"
    SIGNED_AGAIN = "signed-again"


@dataclass(frozen=True, slots=True)
class Noted:
    """What was known of an infusion before news of it were taken over, and when it was started by what is known now."""

    infusion_id: UUID
    patient_id: UUID
    drug_given: bool | None
    starts: tuple[datetime, ...]
    """When it was started, by what was known before and by what is known now."""
    among_others: bool
    """Whether the patient has had another infusion, before or after it."""
    news: bool
    """Whether nothing had been heard of it before."""


async def lock_patients(db: AsyncSession, patient_ids: Collection[UUID]) -> dict[UUID, Standing]:
    """Lock patients, in one statement and one order, whether anything was heard of them or not.

    Whatever makes or cancels follow-up comes through here first, so that a death and an infusion that arrive from two topics at the
    same moment are handled one after the other. So does what a person does with a task and what a patient answers. Check-ins are
    locked next, and tasks last. A call about a check-in that stayed silent or cannot be sent is made under the check-in's lock alone:
    whatever cancels tasks has locked the check-ins before.
    """
    rows = await _LOCK.rows(db, clinic_id=clinic_of(db), ids=sorted(set(patient_ids)))
    return {row["patient_id"]: _standing(**row) for row in rows}


def _standing(*, status: str, **known: Any) -> Standing:  # Any: the columns of ``_LOCK``
    return Standing(status=PatientStatus(status), **known)


async def note_clinic(db: AsyncSession, event: ClinicChanged) -> None:
    """Take over a clinic's state unless a newer one is known."""
    given = insert(Clinic).values(clinic_id=event.clinic_id, time_zone=event.time_zone, active=event.active, version=event.clinic_version)
    taken = {name: given.excluded[name] for name in ("time_zone", "active", "version")}
    newer = col(Clinic.version) < given.excluded.version
    await db.execute(given.on_conflict_do_update(index_elements=["clinic_id"], set_=taken, where=newer))


async def note_patient(db: AsyncSession, event: PatientChanged) -> StatusNews | None:
    """Take over a patient's number and zone, and the status; each unless a newer one is known. Returns what is new of the status."""
    given = insert(Patient).values(
        clinic_id=clinic_of(db),
        patient_id=event.patient_id,
        patient_number=event.patient_number,
        time_zone=event.time_zone,
        version=event.patient_version,
        active=_spans(event.active),
        messages_allowed=event.messages_allowed,
        status=PatientStatus.ACTIVE,
        status_version=0,
    )
    taken = {name: given.excluded[name] for name in ("patient_number", "time_zone", "version", "active", "messages_allowed")}
    newer = col(Patient.version) < given.excluded.version
    await db.execute(given.on_conflict_do_update(index_elements=["clinic_id", "patient_id"], set_=taken, where=newer))
    return await note_patient_status(db, event, PatientStatus(event.status), death_corrected=event.death_corrected)


async def note_patient_status(
    db: AsyncSession,
    event: PatientChanged | PatientDeceased | PatientWithdrawn,
    status: PatientStatus,
    *,
    death_corrected: int | None = None,
) -> StatusNews | None:
    """Take over a status, also of a patient of whom nothing else is known, unless a newer one is. Returns what is new.

    A death stays, whatever is told later, for a producer that comes from a backup has forgotten it. It goes where the producer says that a
    death was declared entered in error with a later version than the one that is known.
    """
    parameters = {
        "clinic_id": clinic_of(db),
        "patient_id": event.patient_id,
        "status": status.value,
        "version": event.patient_version,
        "at": event.occurred_at,
        "death_corrected": death_corrected or 0,
    }
    changed = (await db.execute(_STATUS, parameters)).first()
    if changed is None or changed.before == status.value:
        return None
    return StatusNews(PatientStatus(changed.before), status, changed.since)


async def note_treatment_standing(db: AsyncSession, event: ConsentChanged) -> ConsentNews | None:
    """Take over how a patient's consent to treatment stands, unless a newer decision is known.

    That none stands any more is no news where signatures and revocations had said so before. A signature dated by a clock ahead stands from
    when that was told: a revocation after it is news.
    """
    parameters = {
        "clinic_id": clinic_of(db),
        "patient_id": event.patient_id,
        "version": event.consent_standing,
        "standing": event.standing,
        "since": min(event.since, event.occurred_at),
        "until": event.until,
        "stood": json.dumps(_spans(event.stood)),
    }
    changed = (await db.execute(_TREATMENT, parameters)).first()
    return None if changed is None else _consent_news(was_revoked=changed.was_revoked, revoked=changed.revoked)


async def note_treatment_signed(db: AsyncSession, patient_id: UUID, signed_at: datetime) -> ConsentNews | None:
    """Know a signature under which treatment may go on."""
    parameters = {"clinic_id": clinic_of(db), "patient_id": patient_id, "at": signed_at}
    changed = (await db.execute(_SIGNED, parameters)).one()
    return _consent_news(was_revoked=changed.was_revoked, revoked=changed.revoked)


async def note_treatment_revoked(db: AsyncSession, patient_id: UUID, revoked_at: datetime) -> ConsentNews | None:
    """Know a revocation; it takes back what was signed up to then.

    It is no news where the decision that was told knew of the revocation. An intake of the release before tells no decision.
    """
    parameters = {"clinic_id": clinic_of(db), "patient_id": patient_id, "at": revoked_at}
    changed = (await db.execute(_REVOKED, parameters)).one()
    return _consent_news(was_revoked=changed.was_revoked, revoked=changed.revoked)


async def note_course(db: AsyncSession, event: CourseChanged) -> bool:
    """Take over a course's state unless a newer one is known. Says whether a course that had ended runs again."""
    parameters = {
        "clinic_id": clinic_of(db),
        "course_id": event.course_id,
        "patient_id": event.patient_id,
        "status": CourseStatus(event.status).value,
        "version": event.course_version,
        "ran": json.dumps(_spans(event.ran)) if event.ran is not None else None,
        "responsible": event.responsible_clinician_id,
        "therapist": event.therapist_id,
        "coordinator": event.coordinator_id,
    }
    changed = (await db.execute(_COURSE, parameters)).first()
    return changed is not None and changed.before in ENDED_COURSE and changed.status not in ENDED_COURSE


async def note_infusions(db: AsyncSession, events: Sequence[InfusionEvent]) -> dict[UUID, Noted]:
    """Take over what events say of infusions, in one statement; the patients are locked before.

    Returns those that are not older than what is known: an event that is told again counts, for something of its follow-up may be
    missing.
    """
    rows = [_row_of(event) for event in _newest(events)]
    told = Counter(row["patient_id"] for row in rows)
    noted = await _NOTE_INFUSIONS.rows(db, **arrays_of(_INFUSION, rows), clinic_id=clinic_of(db))
    return {
        row["infusion_id"]: Noted(
            row["infusion_id"],
            row["patient_id"],
            row["had_been_given"],
            starts=tuple(sorted({start for start in (row["started_before"], row["started_at"]) if start is not None})),
            among_others=row["another"] or told[row["patient_id"]] > 1,
            news=row["news"],
        )
        for row in noted
    }


def _spans(told: Sequence[Span] | None) -> list[dict[str, Any]] | None:  # Any: JSON
    return None if told is None else [span.model_dump(mode="json") for span in told]


def _consent_news(*, was_revoked: bool, revoked: bool) -> ConsentNews | None:
    if revoked == was_revoked:
        return None
    return ConsentNews.REVOKED if revoked else ConsentNews.SIGNED_AGAIN


def consent_is_revoked(row: str) -> str:
    """Whether consent to treatment is taken back by what a row of patients knows, as SQL.

    A revocation counts beside the decision that was told where it comes after the beginning of what stands: one that the decision knew
    ended an earlier time, for what stands was signed after it.
    """
    return f"""
        CASE WHEN {row}.treatment_version > 0
             THEN {row}.treatment_standing = 'revoked' OR coalesce({row}.treatment_revoked_at >= {row}.treatment_since, false)
             ELSE coalesce({row}.treatment_revoked_at >= coalesce({row}.treatment_signed_at, {row}.treatment_revoked_at), false)
        END"""


def _newest(events: Iterable[InfusionEvent]) -> list[InfusionEvent]:
    """The newest event of each infusion, in the order of ids."""
    of_infusion = {event.infusion_id: event for event in sorted(events, key=lambda event: event.infusion_version)}
    return [of_infusion[infusion_id] for infusion_id in sorted(of_infusion)]


def _row_of(event: InfusionEvent) -> dict[str, object]:
    ended = event if isinstance(event, EndedInfusionEvent) else None
    scheduled_at: datetime | None = getattr(event, "scheduled_at", None)
    started_at: datetime | None = getattr(event, "started_at", None)
    return {
        "infusion_id": event.infusion_id,
        "patient_id": event.patient_id,
        "course_id": event.course_id,
        "version": event.infusion_version,
        "state": InfusionState(event.state).value,
        "scheduled_at": scheduled_at,
        "started_at": started_at,
        "drug_given": ended.drug_given if ended else None,
        "pump_ended_at": ended.pump_ended_at if ended else None,
        "discharged_at": event.occurred_at if ended and not isinstance(event, InfusionAmended) else None,
    }


_LOCK = Statement(
    f"""
    INSERT INTO patient AS known (clinic_id, patient_id, version, status, status_version)
    SELECT CAST(:clinic_id AS uuid), id, 0, 'active', 0 FROM unnest(CAST(:ids AS uuid[])) AS given(id) ORDER BY id
    ON CONFLICT (clinic_id, patient_id) DO UPDATE SET version = known.version
    RETURNING patient_id, status, time_zone, patient_number, {consent_is_revoked("known")} AS treatment_revoked,
              (SELECT c.time_zone FROM clinic c WHERE c.clinic_id = CAST(:clinic_id AS uuid)) AS clinic_time_zone
    """  # noqa: S608 - columns of our own
)
_STATUS = text(
    """
    INSERT INTO patient AS known (clinic_id, patient_id, version, status, status_version, status_since, left_version)
    VALUES (CAST(:clinic_id AS uuid), CAST(:patient_id AS uuid), 0, CAST(:status AS text), CAST(:version AS int), CAST(:at AS timestamptz),
        CASE CAST(:status AS text) WHEN 'withdrawn' THEN CAST(:version AS int) END)
    ON CONFLICT (clinic_id, patient_id) DO UPDATE
    SET status = EXCLUDED.status, status_version = EXCLUDED.status_version,
        left_version = CASE
            WHEN EXCLUDED.status = 'active' THEN NULL
            WHEN known.status = 'withdrawn' THEN known.left_version
            WHEN known.status = 'deceased' THEN coalesce(known.left_version, EXCLUDED.left_version)
            ELSE EXCLUDED.left_version
        END,
        status_since = CASE
            WHEN known.status = EXCLUDED.status OR 'active' NOT IN (known.status, EXCLUDED.status)
            THEN coalesce(known.status_since, EXCLUDED.status_since)
            ELSE EXCLUDED.status_since
        END
    WHERE known.status_version < EXCLUDED.status_version
      AND (known.status <> 'deceased' OR known.status_version < :death_corrected)
    RETURNING coalesce(OLD.status, 'active') AS before, OLD.status_since AS since
    """
)


def _dated(column: str) -> TextClause:
    """The newest of such a time is kept; returned is whether consent is taken back now, and whether it was."""
    return text(
        f"""
        INSERT INTO patient AS known (clinic_id, patient_id, version, status, status_version, {column})
        VALUES (CAST(:clinic_id AS uuid), CAST(:patient_id AS uuid), 0, 'active', 0, CAST(:at AS timestamptz))
        ON CONFLICT (clinic_id, patient_id) DO UPDATE
        SET {column} = greatest(known.{column}, EXCLUDED.{column})
        RETURNING {consent_is_revoked("NEW")} AS revoked, {consent_is_revoked("OLD")} AS was_revoked
        """  # noqa: S608 - columns of our own
    )


_SIGNED = _dated("treatment_signed_at")
_REVOKED = _dated("treatment_revoked_at")
_TREATMENT = text(
    f"""
    INSERT INTO patient AS known (clinic_id, patient_id, version, status, status_version,
        treatment_version, treatment_standing, treatment_since, treatment_until, treatment_stood, revoked_version)
    VALUES (CAST(:clinic_id AS uuid), CAST(:patient_id AS uuid), 0, 'active', 0,
        CAST(:version AS int), CAST(:standing AS text), :since, :until, CAST(:stood AS jsonb),
        CASE CAST(:standing AS text) WHEN 'revoked' THEN CAST(:version AS int) END)
    ON CONFLICT (clinic_id, patient_id) DO UPDATE
    SET treatment_version = EXCLUDED.treatment_version, treatment_standing = EXCLUDED.treatment_standing,
        treatment_since = EXCLUDED.treatment_since, treatment_until = EXCLUDED.treatment_until, treatment_stood = EXCLUDED.treatment_stood,
        revoked_version = CASE
            WHEN EXCLUDED.treatment_standing <> 'revoked' THEN NULL
            WHEN {consent_is_revoked("known")} THEN known.revoked_version
            ELSE EXCLUDED.revoked_version
        END
    WHERE known.treatment_version < EXCLUDED.treatment_version
    RETURNING {consent_is_revoked("NEW")} AS revoked, {consent_is_revoked("OLD")} AS was_revoked
    """  # noqa: S608 - columns of our own
)
_COURSE = text(
    """
    INSERT INTO course AS known
        (clinic_id, course_id, patient_id, status, version, ran, responsible_clinician_id, therapist_id, coordinator_id)
    VALUES (CAST(:clinic_id AS uuid), CAST(:course_id AS uuid), CAST(:patient_id AS uuid), :status, :version, CAST(:ran AS jsonb),
        CAST(:responsible AS uuid), CAST(:therapist AS uuid), CAST(:coordinator AS uuid))
    ON CONFLICT (clinic_id, course_id) DO UPDATE SET status = EXCLUDED.status, version = EXCLUDED.version, ran = EXCLUDED.ran,
        responsible_clinician_id = EXCLUDED.responsible_clinician_id, therapist_id = EXCLUDED.therapist_id,
        coordinator_id = EXCLUDED.coordinator_id
    WHERE known.version < EXCLUDED.version
    RETURNING status, OLD.status AS before
    """
)
_INFUSION = types_of(
    Infusion, "infusion_id", "patient_id", "course_id", "version", "state", "scheduled_at", "started_at", "drug_given", "pump_ended_at",
    "discharged_at"
)  # fmt: skip
_NOTE_INFUSIONS = Statement(
    f"""
    INSERT INTO infusion AS known (clinic_id, {", ".join(_INFUSION)})
    SELECT CAST(:clinic_id AS uuid), {", ".join(_INFUSION)} FROM {rows_of(_INFUSION)}
    ON CONFLICT (clinic_id, infusion_id) DO UPDATE
    SET version = EXCLUDED.version, state = EXCLUDED.state, scheduled_at = coalesce(EXCLUDED.scheduled_at, known.scheduled_at),
        started_at = coalesce(EXCLUDED.started_at, known.started_at),
        drug_given = coalesce(EXCLUDED.drug_given, known.drug_given), pump_ended_at = coalesce(EXCLUDED.pump_ended_at, known.pump_ended_at),
        discharged_at = coalesce(EXCLUDED.discharged_at, known.discharged_at)
    WHERE known.version <= EXCLUDED.version AND known.state <> 'entered-in-error'
    RETURNING infusion_id, patient_id, OLD.drug_given AS had_been_given, OLD.started_at AS started_before, started_at,
              OLD.version IS NULL AS news, EXISTS (
        SELECT FROM infusion other
        WHERE other.clinic_id = known.clinic_id AND other.patient_id = known.patient_id AND other.infusion_id <> known.infusion_id
          AND other.pump_ended_at IS NOT NULL
    ) OR EXISTS (
        SELECT FROM infusion other
        WHERE other.clinic_id = known.clinic_id AND other.patient_id = known.patient_id AND other.infusion_id <> known.infusion_id
          AND {WHERE_COUNTS}
    ) AS another
    """  # noqa: S608 - column names of our own
)
