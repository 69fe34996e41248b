"""What sending needs to know of a patient, asked of intake at the moment of sending and kept nowhere but in the link's row."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from services.followup.subjects.shown import ClinicShown
from shared.errors import Unavailable


class Contact(ClinicShown, Protocol):
    """Intake's answer. Where ``may_send`` is False, ``reason`` says why and the rest may be empty."""

    @property
    def may_send(self) -> bool: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def address(self) -> str | None: ...
    @property
    def language(self) -> str | None: ...
    @property
    def time_zone(self) -> str | None: ...
    @property
    def birth_date_salt(self) -> str | None: ...
    @property
    def birth_date_hash(self) -> str | None: ...
    @property
    def contact_version(self) -> int | None: ...


class Contacts(Protocol):
    """Where contact details are asked for. Raises Unavailable when there is no answer."""

    async def contact(self, clinic_id: UUID, patient_id: UUID) -> Contact: ...


@dataclass(frozen=True, slots=True)
class KnownContact:
    """A contact as a value."""

    may_send: bool = True
    reason: str | None = None
    channel: str | None = "email"
    address: str | None = "patient@example.org"
    language: str | None = "en-US"
    time_zone: str | None = "America/New_York"
    birth_date_salt: str | None = None
    birth_date_hash: str | None = None
    sender_name: str = "North Street Office"
    clinic_phone: str = "+1 212 555 0100"
    crisis_line: str = "988"
    contact_version: int | None = 1


@dataclass
class ContactBook:
    """Contacts in memory, in place of intake. ``away`` makes it not answer."""

    contacts: dict[UUID, KnownContact] = field(default_factory=dict)
    away: bool = False
    asked: int = 0

    async def contact(self, clinic_id: UUID, patient_id: UUID) -> Contact:
        self.asked += 1
        if self.away:
            raise Unavailable("Intake does not answer.")
        return self.contacts[patient_id]
