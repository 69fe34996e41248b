"""By which protocol an anchor is followed: the one in force when it was first followed, for ever."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.difference import Difference
from services.followup.plans.models import AnchorPin
from services.followup.tables import arrays_of, rows_of, types_of
from shared.db import clinic_of
from shared.statements import Statement


async def pin(db: AsyncSession, differences: Sequence[Difference], now: datetime) -> None:
    """Keep the protocols of anchors that are followed from now on; nothing is sent where there are none."""
    rows = [
        {"anchor_id": anchor_id, "patient_id": one.facts.patient_id, "protocol_code": code, "protocol_version": version, "pinned_at": now}
        for one in differences
        for anchor_id, (code, version) in one.new_pins.items()
    ]
    if rows:
        await _PIN.rows(db, **arrays_of(_PINNED, rows), clinic_id=clinic_of(db))


_PINNED = types_of(AnchorPin, "anchor_id", "patient_id", "protocol_code", "protocol_version", "pinned_at")
_PIN = Statement(
    f"""
    INSERT INTO anchor_pin (clinic_id, {", ".join(_PINNED)})
    SELECT CAST(:clinic_id AS uuid), {", ".join(_PINNED)} FROM {rows_of(_PINNED)}
    ON CONFLICT DO NOTHING
    """  # noqa: S608 - column names of our own
)
