"""The one way to write a value as text, in an address, a header or a body. What merely looks like it is refused."""

import re
from uuid import UUID

from pydantic_core import PydanticCustomError

WHOLE = re.compile("0|-?[1-9][0-9]{0,17}")
DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?")
BOOLEAN = re.compile("true|false")
IDENTIFIER = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""RFC 9562, without the braces, prefixes and left-out hyphens that libraries take as well."""


def identifier(value: object) -> object:
    """What may be a UUID: a text in the one form (or a ``UUID`` in our own code); other types are left to the validator behind."""
    if isinstance(value, str) and not IDENTIFIER.fullmatch(value):
        raise PydanticCustomError("format", "Send a UUID as 8-4-4-4-12 hexadecimal digits.")
    return value


def uuid_of(text: str) -> UUID:
    """A UUID in its one form. Raises ValueError for anything else."""
    if not IDENTIFIER.fullmatch(text):
        raise ValueError("not a UUID in its one form")
    return UUID(text)
