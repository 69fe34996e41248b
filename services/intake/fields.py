"""Types of fields that several bodies of intake share."""

from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from shared.web.schemas import Text


def absent() -> Any:  # Any: stands for "not sent" in a body of changes, whatever the field's type is
    """Default of a member that may be left out and, unlike one with ``| None``, may not be null. See ``Body.model_fields_set``."""
    return Field(default_factory=lambda: None)


@cache
def _zones() -> frozenset[str]:
    return frozenset(zone for zone in available_timezones() if "/" in zone or zone == "UTC")


def _known_zone(value: str) -> str:
    if value not in _zones():
        raise PydanticCustomError("time-zone-unknown", "Send an IANA time zone such as America/New_York.")
    return value


def _email(value: str) -> str:
    """Checked by form alone: whether the domain takes mail is found out by sending, not by asking the network here."""
    try:
        return validate_email(value, check_deliverability=False, allow_smtputf8=False).normalized
    except EmailNotValidError:
        raise PydanticCustomError("email-invalid", "Send an e-mail address such as name@example.org.") from None


def _phone(value: str) -> str:
    """E.164. A number without its country is refused, since a guess would reach a stranger."""
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or number.extension or not phonenumbers.is_valid_number(number):
        raise PydanticCustomError("phone-invalid", "Send an existing number with its country code, such as +12125550123.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


Name = Annotated[str, Text(100)]
TimeZoneName = Annotated[str, Text(64), AfterValidator(_known_zone), Field(examples=["America/New_York"])]
EmailAddress = Annotated[str, Text(254), AfterValidator(_email), Field(examples=["name@example.org"])]
PhoneNumber = Annotated[str, Text(32), AfterValidator(_phone), Field(examples=["+12125550123"])]
LanguageTag = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$", examples=["en", "es-MX"])]
Reason = Annotated[str, Text(500, lines=True)]
