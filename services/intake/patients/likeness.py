"""Whether two records may be of one person: values in, values out. A machine only asks; a person says whether they are two."""

import unicodedata
from dataclasses import dataclass
from datetime import date
from difflib import SequenceMatcher
from itertools import product
from typing import Protocol, Self


class Person(Protocol):
    """What is compared."""

    @property
    def given_name(self) -> str | None: ...
    @property
    def family_name(self) -> str | None: ...
    @property
    def preferred_name(self) -> str | None: ...
    @property
    def birth_date(self) -> date: ...
    @property
    def email(self) -> str | None: ...
    @property
    def phone(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class KnownAs:
    """A person as a value: what a record said before a change."""

    given_name: str | None
    family_name: str | None
    preferred_name: str | None
    birth_date: date
    email: str | None = None
    phone: str | None = None

    @classmethod
    def of(cls, person: Person) -> Self:
        """What is known of somebody at this moment."""
        return cls(person.given_name, person.family_name, person.preferred_name, person.birth_date, person.email, person.phone)


def likely_same(one: Person, other: Person, *, similar_percent: int) -> bool:
    """Born on the same day, and of a like name or reached by the same telephone or mail."""
    if one.birth_date != other.birth_date:
        return False
    return _same_contact(one, other) or any(_alike(*names, similar_percent) for names in product(_names(one), _names(other)))


def _same_contact(one: Person, other: Person) -> bool:
    same_email = one.email is not None and other.email is not None and one.email.casefold() == other.email.casefold()
    return same_email or (one.phone is not None and one.phone == other.phone)


def _names(person: Person) -> set[tuple[str, ...]]:
    """What a person may be entered as: by the given or by the preferred name, whichever comes first of given and family name."""
    called = {_words(person.given_name, person.family_name), _words(person.preferred_name or person.given_name, person.family_name)}
    return {words for words in called if words}


def _alike(one: tuple[str, ...], other: tuple[str, ...], similar_percent: int) -> bool:
    """The same but for a second name that one record leaves out, or for some letters. A part of one letter is nobody's whole name."""
    fewer, more = sorted((set(one), set(other)), key=len)
    if fewer <= more and max(map(len, fewer)) > 1:
        return True
    return 100 * max(_similarity(one, other), _similarity(other, one)) >= similar_percent


def _similarity(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    return SequenceMatcher(None, "".join(one), "".join(other), autojunk=False).ratio()


def _words(*names: str | None) -> tuple[str, ...]:
    """The words of names in order of the alphabet, without case, accents and signs."""
    plain = unicodedata.normalize("NFKD", " ".join(name for name in names if name)).casefold().translate(_LETTERS)
    kept = "".join(one for one in plain if not unicodedata.combining(one) and one not in _WITHIN_WORDS)
    return tuple(sorted("".join(one if one.isalnum() or unicodedata.category(one) == "Mc" else " " for one in kept).split()))


_WITHIN_WORDS = frozenset("'\u2019\u2018\u02bb\u02bc`\u00b4.\u200c\u200d")
_LETTERS = str.maketrans(
    {"\u00f8": "o", "\u0142": "l", "\u0111": "d", "\u00f0": "d", "\u00fe": "th", "\u00e6": "ae", "\u0153": "oe", "\u0131": "i"}
)
"""Letters with a stroke and the like, which are no letter with a mark to Unicode."""
