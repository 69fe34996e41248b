import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from services.intake.fields import Name, PhoneNumber, TimeZoneName, absent
from shared.web.schemas import Answer, Body, Text

DEFAULT_CRISIS_LINE = (
    "If you are thinking of harming yourself, call or text 988 (Suicide and Crisis Lifeline) at any time. In an emergency, call 911."
)

_NUMBER = re.compile("[0-9]{3}")


def _with_number(value: str) -> str:
    """A crisis line is a sentence; without a number in digits that every telephone has, it helps nobody."""
    if not _NUMBER.search(value) or any(one.isdecimal() and not one.isascii() for one in value):
        raise PydanticCustomError("crisis-line-without-number", "Name a number to call, in the digits 0 to 9.")
    return value


CrisisLine = Annotated[str, Text(300), AfterValidator(_with_number)]


class RegisterClinic(Body):
    """``sender_name`` is what patients see as the sender of a message: it must not name the drug or the condition."""

    name: Name
    time_zone: TimeZoneName
    phone: PhoneNumber
    sender_name: Name
    crisis_line: CrisisLine = DEFAULT_CRISIS_LINE


class ChangeClinic(Body):
    """Only what is sent is changed."""

    name: Name = absent()
    time_zone: TimeZoneName = absent()
    phone: PhoneNumber = absent()
    sender_name: Name = absent()
    crisis_line: CrisisLine = absent()
    active: bool = absent()


class ClinicOut(Answer):
    clinic_id: UUID
    name: str
    time_zone: str
    phone: str
    sender_name: str
    crisis_line: str
    active: bool
    version: int
    registered_at: datetime


class ClinicEntryOut(Answer):
    """A row of the operators' index."""

    clinic_id: UUID
    name: str
    active: bool
    registered_at: datetime
