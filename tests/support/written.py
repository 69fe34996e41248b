"""Numbers of generated requests, written as the product wants them."""

from typing import Any


def in_one_way(value: Any) -> Any:  # Any: whatever was generated
    """A number as we want it written: JSON Schema takes 5.0 for a whole number, and no schema can forbid an exponent."""
    if isinstance(value, dict):
        return {name: in_one_way(part) for name, part in value.items()}
    if isinstance(value, list):
        return [in_one_way(part) for part in value]
    if not isinstance(value, float):
        return value
    if "e" in repr(value):
        return 0.5
    return int(value) if value.is_integer() else value
