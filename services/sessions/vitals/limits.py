"""The limits of vital signs as data: read from ``limits.yaml``, handed to whoever decides, never imported as constants."""

from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

_FILE = Path(__file__).with_name("limits.yaml")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PossibleRange(_Data):
    """What can be a reading at all; both ends inside."""

    lowest: int
    highest: int
    source: str


PULSE_PRESSURE = "pulse_pressure_mmhg"
"""Not read but reckoned: the difference of the two pressures."""


class ReadingRule(_Data):
    """One reading that holds the start, or is marked as unlikely: strictly above or strictly below its limit."""

    rule: str
    reading: str
    above: int | None = None
    below: int | None = None
    source: str

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"{self.rule}: name either above or below")
        return self


class VitalLimits(_Data):
    """All of the file. ``version`` is kept with every decision that was made against one of its limits."""

    code: str
    version: int
    status: str
    possible: dict[str, PossibleRange]
    unlikely: tuple[ReadingRule, ...]
    hold: tuple[ReadingRule, ...]

    @model_validator(mode="after")
    def _known_readings(self) -> Self:
        marked = {rule.reading for rule in self.unlikely} - {PULSE_PRESSURE}
        if unknown := ({rule.reading for rule in self.hold} | marked) - self.possible.keys():
            raise ValueError(f"no such reading: {', '.join(sorted(unknown))}")
        return self


def shipped_vital_limits() -> VitalLimits:
    """The limits that come with the product. Raises pydantic's ValidationError for a file that is not complete."""
    return VitalLimits.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
