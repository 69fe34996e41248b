"""The statement that writes infusions: a record as it stands now and, under its number, the version that says so, from one text."""

from services.sessions.infusions.records import InfusionRecord
from shared.statements import Statement

_COLUMNS = list(InfusionRecord.model_fields)
_NAMES = ", ".join(_COLUMNS)
_CHANGES = ", ".join(f"{name} = EXCLUDED.{name}" for name in _COLUMNS if name not in ("clinic_id", "infusion_id"))
KEEP = Statement(
    f"""
    WITH given AS (SELECT * FROM jsonb_populate_record(NULL::infusion, CAST(:snapshot AS jsonb))),
    kept AS (
        INSERT INTO infusion AS before ({_NAMES}) SELECT {_NAMES} FROM given
        ON CONFLICT (clinic_id, infusion_id) DO UPDATE SET {_CHANGES} WHERE before.version = EXCLUDED.version - 1
        RETURNING clinic_id, infusion_id, version, changed_at
    )
    INSERT INTO infusion_version (clinic_id, infusion_id, version, step, actor, reason, recorded_at, snapshot)
    SELECT clinic_id, infusion_id, version, :step, :actor, :reason, changed_at, CAST(:snapshot AS jsonb) FROM kept
    RETURNING version
    """  # noqa: S608 - our own text
)
"""Returns nothing when the version before is not the one that is stored."""
