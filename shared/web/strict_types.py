"""Rewrites pydantic's schemas of our bodies and answers, so that a field is strict by its type alone and nobody can forget it."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared.web import moments, strict_values, text

Node = dict[str, Any]  # Any: schemas are nested dictionaries of everything


def hardened(schema: CoreSchema) -> CoreSchema:
    """The schema of a body with strict decimals, times, dates, texts and whole numbers, at every depth."""
    return cast(CoreSchema, _rewritten(cast(Node, schema), _HARDENED))


def readable(schema: CoreSchema) -> CoreSchema:
    """The schema of an answer that writes times in UTC with ``Z`` and decimals as numbers."""
    return cast(CoreSchema, _rewritten(cast(Node, schema), _READABLE))


def hardened_json_schema(described: Node) -> None:
    """Makes the description of a body say what ``hardened`` accepts."""
    plain_numbers(described)
    describe_texts(described)
    for node in _nodes(described):
        if node.get("format") in ("date", "date-time"):
            node["pattern"] = moments.FROM_1900


def describe_texts(described: Node) -> None:
    """Gives every text without a form of its own the pattern that all texts must match."""
    for node in _nodes(described):
        if node.get("type") == "string" and not node.keys() & {"format", "enum", "const", "pattern"}:
            node["pattern"] = text.pattern(lines=False, seen=False)
        if isinstance(node.get("additionalProperties"), dict):
            node.setdefault("propertyNames", {"pattern": text.pattern(lines=False, seen=False)})


def plain_numbers(described: Node) -> None:
    """Decimals are described by pydantic as number or string; here they are numbers."""
    for node in _nodes(described):
        options = node.get("anyOf", [])
        if any(option.get("type") == "number" for option in options):
            kept = [option for option in options if not (option.get("type") == "string" and option.keys() <= {"type", "pattern"})]
            node.pop("anyOf")
            node.update(kept[0] if len(kept) == 1 else {"anyOf": kept})
        elif node.get("type") == "string" and node.get("format") == "decimal":
            node.pop("pattern", None)
            node.pop("format")
            node["type"] = "number"


def _rewritten(node: Any, rules: dict[str, Callable[[Node], Node]]) -> Any:  # Any: a schema, or a part of one
    if isinstance(node, list | tuple):
        return type(node)(_rewritten(part, rules) for part in node)
    if not isinstance(node, dict):
        return node
    copied = {key: _rewritten_part(key, part, rules) for key, part in node.items()}
    rule = rules.get(str(copied.get("type")))
    return rule(copied) if rule else copied


def _rewritten_part(key: str, part: Any, rules: dict[str, Callable[[Node], Node]]) -> Any:  # Any: as above
    if key in _NAMED_SCHEMAS and isinstance(part, dict):
        return {name: _rewritten(schema, rules) for name, schema in part.items()}
    return part if key in _NOT_SCHEMAS else _rewritten(part, rules)


def _nodes(described: Any) -> list[Node]:  # Any: as above
    parts = described.values() if isinstance(described, dict) else described if isinstance(described, list) else ()
    below = [node for part in parts for node in _nodes(part)]
    return [described, *below] if isinstance(described, dict) else below


_NAMED_SCHEMAS = frozenset({"fields", "choices"})
"""Parts whose keys are names of authors, which may look like pydantic's own."""
_NOT_SCHEMAS = frozenset({"metadata", "serialization", "cls", "config", "default", "expected", "members", "function", "ref"})


def _before(check: Callable[[Any], Any]) -> Callable[[Node], Node]:  # Any: whatever came in the JSON
    return lambda node: cast(Node, core_schema.no_info_before_validator_function(check, cast(CoreSchema, node)))


def _decimal(value: Any) -> Decimal:  # Any: as above
    """From the shortest text of a JSON number, so that 0.1 stays 0.1; never from a text, a boolean or NaN."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("type", "Must be a number.")
    return Decimal(str(value))


def _text(node: Node) -> Node:
    if node.get("metadata", {}).get("afterglow_text"):
        return node
    return cast(Node, core_schema.no_info_after_validator_function(_allowed_line, cast(CoreSchema, node)))


def _allowed_line(value: str) -> str:
    if not text.allowed(value, lines=False):
        raise text.not_allowed()
    return value


def _bounded(node: Node) -> Node:
    """What no limit of its own bounds must at least fit the database's integer."""
    lower = {} if node.keys() & {"ge", "gt"} else {"ge": -(2**31)}
    upper = {} if node.keys() & {"le", "lt"} else {"le": 2**31 - 1}
    return {**node, **lower, **upper}


def _undecided(node: Node) -> Node:
    raise TypeError(f"nobody has decided how a {node['type']} is written in a body")


def _from_list(node: Node) -> Node:
    """JSON has lists only; below a validator that runs before, pydantic would ask for a tuple or a set itself."""
    return {**node, "strict": False}


def _serialised(how: Callable[[Any], Any], returns: CoreSchema) -> Callable[[Node], Node]:  # Any: as above
    serialiser = core_schema.plain_serializer_function_ser_schema(how, when_used="json", return_schema=returns)
    return lambda node: {**node, "serialization": node.get("serialization", serialiser)}


def _in_utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


_HARDENED: dict[str, Callable[[Node], Node]] = {
    "decimal": _before(_decimal),
    "datetime": _before(moments.moment),
    "date": _before(moments.day),
    "int": _bounded,
    "uuid": _before(strict_values.identifier),
    "time": _undecided,
    "timedelta": _undecided,
    "str": _text,
    "tuple": _from_list,
    "set": _from_list,
    "frozenset": _from_list,
}
_READABLE: dict[str, Callable[[Node], Node]] = {
    "decimal": _serialised(float, core_schema.float_schema()),
    "datetime": _serialised(_in_utc, core_schema.datetime_schema()),
}
