"""Quantities as callers send them: a number that always names its unit, and only the one unit that is meant.

Nothing is converted: a dose in micrograms or millilitres is refused, since a silent factor of a thousand kills.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

HIGHEST = 100_000
DECIMALS = 3
"""What the record can hold; the clinical limits are far below."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in the unit that its place asks for."""

    value: Decimal


class Unit:
    """``Annotated[Quantity, Unit("mg")]``: ``{"value": 40, "unit": "mg"}`` and nothing else."""

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # Any: as declared by pydantic
        return core_schema.no_info_plain_validator_function(self._parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        value = {"type": "number", "minimum": 0, "maximum": HIGHEST, "multipleOf": 10**-DECIMALS}
        return {
            "type": "object",
            "properties": {"value": value, "unit": {"type": "string", "const": self._unit}},
            "required": ["value", "unit"],
            "additionalProperties": False,
        }

    def _parse(self, sent: object) -> Quantity:
        if _is_number(sent):
            raise self._unit_required()
        if not isinstance(sent, dict):
            raise PydanticCustomError("type", "Send value and unit.")
        if sent.get("unit") is None:
            raise self._unit_required()
        if sent["unit"] != self._unit:
            raise PydanticCustomError("unit-not-allowed", "The unit is {unit}; nothing is converted.", {"unit": self._unit})
        if sent.keys() - {"value", "unit"}:
            raise PydanticCustomError("unknown-field", "Only value and unit.")
        return Quantity(_number(sent.get("value")))

    def _unit_required(self) -> PydanticCustomError:
        return PydanticCustomError("unit-required", "Send value and unit; the unit is {unit}.", {"unit": self._unit})


def _is_number(sent: object) -> bool:
    return isinstance(sent, int | float | Decimal) and not isinstance(sent, bool)


def _number(sent: object) -> Decimal:
    if not _is_number(sent):
        raise PydanticCustomError("type", "The value must be a number.")
    value = Decimal(str(sent))
    if not value.is_finite() or abs(value) > HIGHEST or value != round(value, DECIMALS):
        raise PydanticCustomError("out-of-range", "The value is at most 100000 and has at most 3 decimals.")
    return value


Milligrams = Annotated[Quantity, Unit("mg")]
Kilograms = Annotated[Quantity, Unit("kg")]
Millilitres = Annotated[Quantity, Unit("mL")]
MilligramsPerMillilitre = Annotated[Quantity, Unit("mg/mL")]
