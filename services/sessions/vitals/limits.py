"""The limits of vital signs: a clinical document. Handed to whoever decides, never imported as constants."""

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.documents.content import Document, Part, Source, misplaced
from shared.documents.kinds import Kind

Reading = Literal["systolic_mmhg", "diastolic_mmhg", "heart_rate_per_min", "spo2_percent", "respiratory_rate_per_min", "moaa_s_score"]
READINGS: tuple[Reading, ...] = get_args(Reading)
"""What can be read, each with its unit."""

PULSE_PRESSURE = "pulse_pressure_mmhg"
"""Not read but reckoned: the difference of the two pressures."""

RuleName = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]


class PossibleRange(Part):
    """What can be a reading at all; both ends inside."""

    lowest: Annotated[int, Field(ge=0)]
    highest: Annotated[int, Field(le=1000)]
    source: Source

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lowest > self.highest:
            raise PydanticCustomError("out-of-order", "The lowest is above the highest.")
        return self


class ReadingRule(Part):
    """One reading that holds the start, or is marked as unlikely: strictly above or strictly below its limit."""

    rule: RuleName
    reading: Reading | Literal["pulse_pressure_mmhg"]
    above: int | None = None
    below: int | None = None
    source: Source

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise PydanticCustomError("one-side", "Name either above or below.")
        return self


class VitalLimits(Document):
    """All of the document. ``version`` is kept with every decision that was made against one of its limits."""

    possible: dict[str, PossibleRange]
    unlikely: tuple[ReadingRule, ...]
    hold: Annotated[tuple[ReadingRule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.possible.keys() != set(READINGS):
            raise misplaced(("possible",), PydanticCustomError("reading-missing", "Every reading has its range here, nothing else."))
        for name, rules in (("unlikely", self.unlikely), ("hold", self.hold)):
            for number, rule in enumerate(rules):
                if rule.rule in {other.rule for other in rules[:number]}:
                    raise misplaced((name, number, "rule"), PydanticCustomError("rule-twice", "Another rule of this list has the name."))
                if name == "hold" and rule.reading == PULSE_PRESSURE:
                    raise misplaced((name, number, "reading"), PydanticCustomError("not-a-reading", "A start is held by readings alone."))
                if not self._reachable(rule):
                    raise misplaced((name, number), PydanticCustomError("out-of-reach", "No possible reading decides about this rule."))
        return self

    def _reachable(self, rule: ReadingRule) -> bool:
        """Whether some possible readings meet the rule and others do not."""
        if rule.reading == PULSE_PRESSURE:
            return True
        possible = self.possible[rule.reading]
        if rule.above is not None:
            return possible.lowest <= rule.above < possible.highest
        return rule.below is not None and possible.lowest < rule.below <= possible.highest


VITAL_SIGNS = Kind("vital-signs", VitalLimits, Path(__file__).with_name("limits.yaml"))
