"""Telephone numbers on a page: which parts of a text can be called, and which clinics' lines say more than the page does."""

import re
from typing import NamedTuple

import phonenumbers
from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher

_ON_EVERY_PAGE = frozenset({"988", "911"})
_DEFAULT_CRISIS_LINE = (
    "If you are thinking of harming yourself, call or text 988 (Suicide and Crisis Lifeline) at any time. In an emergency, call 911."
)
"""What intake gives a clinic that names no line of its own; a test holds the two equal."""
_COUNTRY = "US"
"""Of a number without its country's code; the page's own numbers are of the same country."""


class Part(NamedTuple):
    """Of a text: words, or what stands there of a number; ``number`` is what a ``tel:`` link takes, or nothing."""

    text: str
    number: str


def in_parts(text: str) -> list[Part]:
    """The text, with every telephone number in it that exists and is written as one. The other digits of a sentence are nobody's number."""
    whole = number_to_call(text)
    if whole:
        return [Part(_spaced(text, whole), whole)]
    parts, end = [], 0
    for found in PhoneNumberMatcher(text, _COUNTRY, leniency=Leniency.STRICT_GROUPING):
        number = phonenumbers.format_number(found.number, PhoneNumberFormat.E164)
        parts += [Part(text[end : found.start], ""), Part(found.raw_string, number)]
        end = found.end
    return [*parts, Part(text[end:], "")]


def _spaced(text: str, number: str) -> str:
    """A number as people read it: as it is written where that has spaces."""
    if not re.fullmatch(r"\+?[0-9]+", text.strip(), re.ASCII) or not number.startswith("+"):
        return text
    parsed = phonenumbers.parse(number)
    ours = phonenumbers.region_code_for_number(parsed) == _COUNTRY
    return phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL if ours else PhoneNumberFormat.INTERNATIONAL)


def number_to_call(text: str) -> str:
    """The text as a ``tel:`` link takes it, or nothing where not all of it is one telephone number that exists."""
    if not re.fullmatch(r"\+?[0-9 ().\-]+", text.strip(), re.ASCII):
        return ""
    short = re.sub("[^0-9]", "", text)
    if short in _ON_EVERY_PAGE:
        return short
    try:
        number = phonenumbers.parse(text, _COUNTRY)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) if phonenumbers.is_valid_number(number) else ""


def says_more(crisis_line: str) -> bool:
    """Whether a clinic's line tells what the page does not say by itself."""
    return bool(crisis_line) and crisis_line != _DEFAULT_CRISIS_LINE and number_to_call(crisis_line) not in _ON_EVERY_PAGE
