"""What the fields of a small form say: a birth date, answers."""

from collections.abc import Iterable
from datetime import date, timedelta

from services.followup.checkins.forms import Answer, Form, Item
from services.followup.pages.rendering import PageError

MAX_CHARACTERS = 16 * 1024

BIRTH_DATE_FIELDS = ("birth_month", "birth_day", "birth_year")


def birth_date_of(fields: dict[str, str], today: date) -> date | None:
    """The date that the three fields give, or None where they give none on which anybody who lives can have been born.

    ``today`` is the date in UTC, which is behind that of some: a day more is allowed.
    """
    month, day, year = (fields.get(name, "").strip() for name in BIRTH_DATE_FIELDS)
    if not all(part.isascii() and part.isdigit() and len(part) <= _DIGITS for part in (month, day, year)):
        return None
    try:
        given = date(int(year), int(month), int(day))
    except ValueError:
        return None
    return given if today.year - _OLDEST_YEARS <= given.year and given <= today + timedelta(days=1) else None


def is_no_month(fields: dict[str, str]) -> bool:
    """Whether what stands for the month is a number that no month has, as where the day was put first."""
    month = fields.get("birth_month", "").strip()
    return month.isascii() and month.isdigit() and len(month) <= _DIGITS and not 1 <= int(month) <= _MONTHS


_MONTHS = 12
_DIGITS = 4
_OLDEST_YEARS = 125
"""Nobody is known to have lived longer than 122 years; what is further back is a slip of the hand."""


def answers_of(form: Form, fields: dict[str, str]) -> tuple[dict[str, Answer], list[str]]:
    """The good answers in a sent form, and the items that have to be put right before it counts as sent."""
    answers: dict[str, Answer] = {}
    missing: list[str] = []
    for item in form.items.values():
        given = fields.get(item.item_id, "")
        answer = item.read(given)
        if answer is not None:
            answers[item.item_id] = answer
        elif given or item.risk:
            missing.append(item.item_id)
    return answers, missing


def errors_of(form: Form, missing: Iterable[str]) -> list[PageError]:
    """What to say of items that have to be put right."""
    return [PageError(f"{item_id}-0", f"Choose an answer: {_named(form.items[item_id])}") for item_id in missing if item_id in form.items]


def _named(item: Item) -> str:
    return item.short or item.label
