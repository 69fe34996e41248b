"""The clinical and legal numbers that intake decides by: a clinical document, handed to the use cases."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.documents.content import Document, Part, Source, misplaced
from shared.documents.in_force import Documents
from shared.documents.kinds import FIRST_OF_A_CLINIC, Kind

Count = Annotated[int, Field(ge=1, le=1200, strict=True)]


class MinimumAge(Part):
    years: Count
    source: Source


class Validity(Part):
    months: Count
    source: Source


class ConsentValidity(Part):
    treatment: Validity
    messaging: Validity
    disclosure: Validity


class ClockSkew(Part):
    minutes: Count
    source: Source


class PlannedInfusions(Part):
    minimum: Count
    maximum: Count
    source: Source


class LikelyDuplicate(Part):
    similar_names_percent: Annotated[int, Field(ge=50, le=100)]
    source: Source


class Protocols(Part):
    """Versions by code. followup owns the files; a test holds this list against them, since no service asks another to accept work."""

    known: dict[str, list[Count]]
    source: Source


class Policy(Document):
    """One version of the rules' numbers."""

    minimum_age: MinimumAge
    consent_validity: ConsentValidity
    clock_skew: ClockSkew
    planned_infusions: PlannedInfusions
    protocols: Protocols
    likely_duplicate: LikelyDuplicate

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.planned_infusions.minimum > self.planned_infusions.maximum:
            place = ("planned_infusions", "minimum")
            raise misplaced(place, PydanticCustomError("out-of-order", "The minimum is above the maximum."))
        return self

    @model_validator(mode="after")
    def _known_protocols(self) -> Self:
        """A course that names a protocol that followup does not have would be followed up by nothing."""
        if self.version >= FIRST_OF_A_CLINIC:
            ours = INTAKE_POLICY.default.protocols.known
            if any(not set(versions) <= set(ours.get(code, ())) for code, versions in self.protocols.known.items()):
                raise misplaced(("protocols", "known"), PydanticCustomError("protocol-unknown", "Names a protocol that does not exist."))
        return self


INTAKE_POLICY = Kind("intake-policy", Policy, Path(__file__).with_name("policy.yaml"))


class PolicyInForce:
    """The policy of whichever clinic asks."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def at(self, db: AsyncSession, at: datetime) -> Policy:
        """The one that counts at that moment."""
        return await self._documents.in_force(db, INTAKE_POLICY, at)
