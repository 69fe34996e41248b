"""All clinical limits of this service as one thing to hand over, and which ones a clinic has at a moment."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from services.sessions.infusions.limits import INFUSION_RECORD, InfusionLimits
from services.sessions.vitals.limits import VITAL_SIGNS, VitalLimits
from shared.documents.in_force import Documents


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules of both slices are judged by."""

    infusions: InfusionLimits
    vitals: VitalLimits


class LimitsInForce:
    """The limits of whichever clinic asks."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def at(self, db: AsyncSession, at: datetime, now: datetime) -> Limits:
        """Those that counted at that moment; of what is ahead nothing is known yet, so they are those of now."""
        then = min(at, now)
        infusions = await self._documents.in_force(db, INFUSION_RECORD, then)
        return Limits(infusions, await self._documents.in_force(db, VITAL_SIGNS, then))
