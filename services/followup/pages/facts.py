"""What intake says of a patient's page at that moment."""

from typing import Protocol
from uuid import UUID

from services.followup.subjects.shown import ClinicShown


class PageFacts(ClinicShown, Protocol):
    """What intake says of a patient's page."""

    @property
    def birth_date_salt(self) -> str: ...
    @property
    def birth_date_hash(self) -> str: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def clinic_active(self) -> bool: ...


class Intake(Protocol):
    """Where that is asked for, never inside a transaction. Raises Unavailable when there is no answer soon."""

    async def page_facts(self, clinic_id: UUID, patient_id: UUID) -> PageFacts: ...
