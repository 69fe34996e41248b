"""Names of time zones: the one place that turns a name into a zone, and into a ValueError where there is none."""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator


def zone_of(name: str) -> ZoneInfo:
    """The zone of this name. Raises ValueError for a name that gives none, and without repeating it.

    ZoneInfo looks for a file of that name, so that a folder's name or one that is too long makes it raise an OSError, which would
    pass for an outage that is over some day.
    """
    try:
        return ZoneInfo(name)
    except Exception:  # noqa: BLE001 - whatever the file system and the parser come up with: there is no such zone
        raise ValueError("no time zone has this name") from None


def _known(name: str) -> str:
    zone_of(name)
    return name


ZoneName = Annotated[str, AfterValidator(_known)]
"""A time zone's name in an event: one that is known here."""
