"""The statements that keep the projections: what is older than what is known changes nothing."""

from sqlalchemy import TextClause, text

from services.followup.subjects.models import Infusion, Patient
from services.followup.tables import rows_of, types_of
from shared.statements import Statement


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


LOCK = Statement(
    f"""
    INSERT INTO patient AS known (clinic_id, patient_id, version, status, status_version)
    SELECT CAST(:clinic_id AS uuid), id, 0, 'active', 0 FROM unnest(CAST(:ids AS uuid[])) AS given(id) ORDER BY id
    ON CONFLICT (clinic_id, patient_id) DO UPDATE SET version = known.version
    RETURNING patient_id, status, time_zone, patient_number, {consent_is_revoked("known")} AS treatment_revoked,
              (SELECT c.time_zone FROM clinic c WHERE c.clinic_id = CAST(:clinic_id AS uuid)) AS clinic_time_zone
    """  # noqa: S608 - columns of our own
)
STATUS = text(
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
    """
)


def _dated(column: str) -> TextClause:
    """The newest of such a time is kept."""
    return text(
        f"""
        INSERT INTO patient AS known (clinic_id, patient_id, version, status, status_version, {column})
        VALUES (CAST(:clinic_id AS uuid), CAST(:patient_id AS uuid), 0, 'active', 0, CAST(:at AS timestamptz))
        ON CONFLICT (clinic_id, patient_id) DO UPDATE
        SET {column} = greatest(known.{column}, EXCLUDED.{column})
        """  # noqa: S608 - columns of our own
    )


SIGNED = _dated("treatment_signed_at")
REVOKED = _dated("treatment_revoked_at")
TREATMENT = text(
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
    """  # noqa: S608 - columns of our own
)
COURSE = text(
    """
    INSERT INTO course AS known
        (clinic_id, course_id, patient_id, status, version, ran, responsible_clinician_id, therapist_id, coordinator_id)
    VALUES (CAST(:clinic_id AS uuid), CAST(:course_id AS uuid), CAST(:patient_id AS uuid), :status, :version, CAST(:ran AS jsonb),
        CAST(:responsible AS uuid), CAST(:therapist AS uuid), CAST(:coordinator AS uuid))
    ON CONFLICT (clinic_id, course_id) DO UPDATE SET status = EXCLUDED.status, version = EXCLUDED.version, ran = EXCLUDED.ran,
        responsible_clinician_id = EXCLUDED.responsible_clinician_id, therapist_id = EXCLUDED.therapist_id,
        coordinator_id = EXCLUDED.coordinator_id
    WHERE known.version < EXCLUDED.version
    """
)
INFUSION = types_of(
    Infusion, "infusion_id", "patient_id", "course_id", "version", "state", "scheduled_at", "started_at", "drug_given", "pump_ended_at",
    "discharged_at"
)  # fmt: skip
OF_PATIENT = types_of(Patient, "patient_number", "time_zone")
"""What an infusion tells of a patient; it counts as long as intake has told nothing."""
NOTE_INFUSIONS = Statement(
    f"""
    WITH given AS (SELECT * FROM {rows_of(INFUSION | OF_PATIENT)}),
    named AS (
        UPDATE patient SET patient_number = given.patient_number, time_zone = given.time_zone FROM given
        WHERE patient.clinic_id = CAST(:clinic_id AS uuid) AND patient.patient_id = given.patient_id AND patient.version = 0
    )
    INSERT INTO infusion AS known (clinic_id, {", ".join(INFUSION)})
    SELECT CAST(:clinic_id AS uuid), {", ".join(INFUSION)} FROM given
    ON CONFLICT (clinic_id, infusion_id) DO UPDATE
    SET version = EXCLUDED.version, state = EXCLUDED.state, scheduled_at = coalesce(EXCLUDED.scheduled_at, known.scheduled_at),
        started_at = coalesce(EXCLUDED.started_at, known.started_at),
        drug_given = coalesce(EXCLUDED.drug_given, known.drug_given), pump_ended_at = coalesce(EXCLUDED.pump_ended_at, known.pump_ended_at),
        discharged_at = coalesce(EXCLUDED.discharged_at, known.discharged_at)
    WHERE known.version <= EXCLUDED.version AND known.state <> 'entered-in-error'
    RETURNING infusion_id, patient_id, OLD.started_at AS started_before, started_at, OLD.version IS NULL AS news
    """  # noqa: S608 - column names of our own
)
