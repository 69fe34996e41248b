from typing import Annotated
from uuid import UUID

from pydantic import Field

from services.intake.directory.rules import Refusal
from services.intake.patients.rules import Channel
from shared.web.schemas import Answer, Body


class AskNames(Body):
    patient_ids: Annotated[list[UUID], Field(min_length=1, max_length=200)]


class Names(Answer):
    """Display names by patient id; who is not a patient of this clinic is left out."""

    names: dict[UUID, str]


class AskContact(Body):
    patient_id: UUID


class AskPageFacts(Body):
    patient_id: UUID


class Contact(Answer):
    """How to reach a patient now, or why not. Without ``may_send`` there is no address and no hash.

    ``birth_date_hash`` is HMAC-SHA256 in hexadecimal: key = the bytes of ``birth_date_salt`` (hexadecimal), message = the birth date
    as YYYY-MM-DD. The salt is a new one in every answer.
    """

    may_send: bool
    reason: Refusal | None
    channel: Channel | None
    address: str | None
    language: str | None
    time_zone: str | None
    """IANA name of where the patient is now: a message may leave by day only."""
    birth_date_salt: str | None
    birth_date_hash: str | None
    clinic_name: str
    sender_name: str
    clinic_phone: str
    crisis_line: str
    clinic_active: bool
    contact_version: int
    """As in the event of a changed patient: a link that went out under a lower one went another way than messages go now."""


class PageFacts(Answer):
    """What a patient's page shows and checks, as it is now, of whatever status the patient is.

    ``birth_date_hash`` is made as in ``Contact``, with a new salt in every answer.
    """

    birth_date_salt: str
    birth_date_hash: str
    language: str
    time_zone: str
    sender_name: str
    clinic_phone: str
    crisis_line: str
    clinic_active: bool
