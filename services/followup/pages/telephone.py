"""Telephone numbers on a page: which texts are a number that can be called, and which clinics' lines say more than the page does."""

import re

import phonenumbers

_ON_EVERY_PAGE = frozenset({"988", "911"})
_DEFAULT_CRISIS_LINE = (
    "If you are thinking of harming yourself, call or text 988 (Suicide and Crisis Lifeline) at any time. In an emergency, call 911."
)
"""What intake gives a clinic that names no line of its own; a test holds the two equal."""
_COUNTRY = "US"
"""Of a number without its country's code; the page's own numbers are of the same country."""


def number_to_call(text: str) -> str:
    """The text as a ``tel:`` link takes it, or nothing where not all of it is one telephone number that exists. A crisis line is written
    by people and may be a sentence: the digits of a sentence are nobody's number.
    """
    if not re.fullmatch(r"\+?[0-9 ().\-]+", text.strip(), re.ASCII):
        return ""
    short = re.sub("[^0-9]", "", text)
    if short in _ON_EVERY_PAGE:
        return short
    try:
        number = phonenumbers.parse(text, _COUNTRY)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_valid_number(number) else ""


def says_more(crisis_line: str) -> bool:
    """Whether a clinic's line tells what the page does not say by itself."""
    return bool(crisis_line) and crisis_line != _DEFAULT_CRISIS_LINE and number_to_call(crisis_line) not in _ON_EVERY_PAGE
