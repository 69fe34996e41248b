"""Times as they come in a body: RFC 3339 with an offset, and nothing that merely looks like a time."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

FIRST_YEAR = 1900
FROM_1900 = "^(19|[2-9][0-9])[0-9]{2}-"
"""The same for the API's description."""
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_FULL_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def moment(value: object) -> datetime:
    """An aware UTC time from an RFC 3339 text (or an aware ``datetime`` in our own code), to the microsecond."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise _time_format()
    try:
        at = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _time_format() from None
    if at.year < FIRST_YEAR:
        raise PydanticCustomError("time-out-of-range", "The year is before 1900.")
    return at


def day(value: object) -> date:
    """A date from ``YYYY-MM-DD`` (or a ``date`` in our own code)."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _FULL_DATE.fullmatch(value):
        raise _date_format()
    try:
        on = date.fromisoformat(value)
    except ValueError:
        raise _date_format() from None
    if on.year < FIRST_YEAR:
        raise PydanticCustomError("time-out-of-range", "The year is before 1900.")
    return on


def _time_format() -> PydanticCustomError:
    return PydanticCustomError("time-format", "Send a date, a time and an offset, such as 2026-05-04T10:00:00Z.")


def _date_format() -> PydanticCustomError:
    return PydanticCustomError("time-format", "Send a date as YYYY-MM-DD.")


class _Moment:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # Any: as declared by pydantic
        return core_schema.no_info_plain_validator_function(
            moment, serialization=core_schema.plain_serializer_function_ser_schema(_in_utc, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "pattern": FROM_1900}


def _in_utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


Moment = Annotated[datetime, _Moment()]
"""RFC 3339 with an offset; becomes aware UTC. Refuses a date alone, an epoch number, second 60 and years before 1900."""
