"""Types of fields that several bodies of intake share."""

import re
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

import phonenumbers
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from shared.mail_address import MAX_CHARS, NotDeliverable, delivered_form
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
    """The form that is delivered is the one that is kept and shown, so that everybody reads the address that a message goes to."""
    try:
        return delivered_form(value)
    except NotDeliverable:
        raise PydanticCustomError("email-invalid", "Send an e-mail address such as name@example.org.") from None


def _phone(value: str) -> str:
    """E.164, with the very digits that were typed.

    A number without its country is refused, since a guess would reach a stranger. So is whatever the library would read more out of
    than digits: words, letters on a keypad, extensions, a trunk zero, a second number.
    """
    if not _PHONE.fullmatch(value):
        raise _no_phone()
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        raise _no_phone() from None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(number) or written != "+" + _NO_DIGIT.sub("", value):
        raise _no_phone()
    return written


def _language_tag(value: str) -> str:
    """BCP 47 in its usual case: language, script, region, variants. By its grammar alone, for nobody's register is here to look into.

    What needs a register to be read is refused: extended languages (``zh-yue`` is ``yue``), extensions and private use.
    """
    language, *rest = value.split("-")
    if len({part.lower() for part in rest}) != len(rest):
        raise PydanticCustomError("language-repeats", "A language tag names no part twice.")
    return "-".join([language.lower(), *map(_usual_case, rest)])


def _usual_case(part: str) -> str:
    """RFC 5646, section 2.1.1: Latn, MX, everything else small."""
    if len(part) == _SCRIPT_CHARS and part.isalpha():
        return part.title()
    return part.upper() if len(part) == _REGION_CHARS else part.lower()


def _no_phone() -> PydanticCustomError:
    detail = "Send one existing number with its country code and nothing else, such as +12125550123."
    return PydanticCustomError("phone-invalid", detail)


_PHONE_FORM = r"^\+[0-9](?:[ .()-]{0,3}[0-9])*$"
_PHONE = re.compile(_PHONE_FORM)
_LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*$"
_SCRIPT_CHARS, _REGION_CHARS = 4, 2
_NO_DIGIT = re.compile("[^0-9]")

Name = Annotated[str, Text(100)]
TimeZoneName = Annotated[str, Text(64), AfterValidator(_known_zone), Field(examples=["America/New_York"])]
EmailAddress = Annotated[str, Text(MAX_CHARS), AfterValidator(_email), Field(examples=["name@example.org"])]
PhoneNumber = Annotated[str, Text(32), AfterValidator(_phone), Field(examples=["+12125550123"], json_schema_extra={"pattern": _PHONE_FORM})]
LanguageTag = Annotated[str, Field(max_length=35, pattern=_LANGUAGE, examples=["en", "es-419", "zh-Hans"]), AfterValidator(_language_tag)]
Reason = Annotated[str, Text(500, lines=True)]
