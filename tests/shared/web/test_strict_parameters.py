"""What stands in an address is read in one way, by the type of the parameter alone."""

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import pytest
from fastapi import Depends, Query, Request
from fastapi.dependencies.utils import get_dependant
from fastapi.exceptions import RequestValidationError

from shared.web import Moment
from shared.web.strict_parameters import NotStrict, parameters_of, refuse_loose


class Colour(StrEnum):
    RED = "red"


def below(deep: int = 0) -> int:
    return deep


def endpoint(
    number: int,
    deeper: Annotated[int, Depends(below)],
    whole: Annotated[int | None, Query(ge=0)] = None,
    exact: Decimal | None = None,
    ratio: float | None = None,
    sure: bool | None = None,
    key: UUID | None = None,
    on: date | None = None,
    at: Moment | None = None,
    before: datetime | None = None,
    colour: Colour | None = None,
    word: Literal["a", "b"] | None = None,
    text: str | None = None,
) -> None: ...


PARAMETERS = parameters_of(get_dependant(path="/{number}", call=endpoint))
WHOLE = ["1_0", "+5", " 5", "5 ", "5.0", "05", "-0", "5e0", "0x5", "\uff15", "\u0665", "", "true", "9" * 19]
LOOSE: dict[str, list[str]] = {
    "whole": WHOLE,
    "deep": WHOLE,
    "exact": ["1_0.5", "+5", " 5", "05", "5.", ".5", "5e1", "Infinity", "NaN", "\uff15", "5,0", "", "6." + "0" * 27 + "1"],
    "ratio": ["1_0.5", "+5", " 5", "05", "1e3", "inf", "nan"],
    "sure": ["True", "TRUE", "yes", "on", "1", "t", "0", "no", " true", ""],
    "key": ["6f0f5b0e000040008000000000000000", "{6f0f5b0e-0000-4000-8000-000000000000}", "urn:uuid:6f0f5b0e-0000-4000-8000-000000000000"],
    "on": ["1795392000", "2026-5-4", "20260504", "2026-05-04T00:00:00", "2026-W19-1", " 2026-05-04", "2026-02-30", ""],
    "at": ["1795444800", "2026-11-23T14:40:00", "2026-11-23", "2026-11-23 14:40:00Z", "2026-11-23T14:40Z", "2026-11-23T14:40:00+25:00"],
    "before": ["1795444800", "2026-11-23T14:40:00", "2026-11-23", "2026-11-23 14:40:00Z"],
}  # fmt: skip
GOOD = {
    "whole": ["0", "5", "-5", "200"],
    "exact": ["0", "5", "-0.5", "36.60"],
    "ratio": ["0.25"],
    "sure": ["true", "false"],
    "key": ["6f0f5b0e-0000-4000-8000-000000000000", "6F0F5B0E-0000-4000-8000-000000000000"],
    "on": ["2026-05-04"],
    "at": ["2026-11-23T14:40:00Z", "2026-11-23T14:40:00.5-05:00"],
    "colour": ["red", "whatever"],
    "word": ["a", "whatever"],
    "text": ["+5"],
}


def asked(query: dict[str, str], number: str = "5") -> Request:
    return Request({"type": "http", "path_params": {"number": number}, "query_string": urlencode(query).encode(), "headers": []})


def refusals(request: Request) -> list[dict[str, Any]]:
    with pytest.raises(RequestValidationError) as refused:
        refuse_loose(request, PARAMETERS)
    return list(refused.value.errors())


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in LOOSE.items() for value in values])
def test_what_only_looks_like_a_value_is_refused_and_not_repeated(name: str, value: str) -> None:
    (refusal,) = refusals(asked({name: value}))
    assert refusal["loc"] == ("query", name)
    assert refusal["type"] == {"key": "format", "on": "time-format", "at": "time-format", "before": "time-format"}.get(name, "type")
    assert refusal["input"] is None


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD.items() for value in values])
def test_the_one_way_is_taken_and_texts_are_left_to_their_own_rules(name: str, value: str) -> None:
    refuse_loose(asked({name: value}), PARAMETERS)


@pytest.mark.parametrize("value", WHOLE)
def test_a_path_is_read_as_strictly(value: str) -> None:
    assert [refusal["loc"] for refusal in refusals(asked({}, number=value))] == [("path", "number")]


def test_all_that_is_wrong_is_named_at_once() -> None:
    assert [refusal["loc"][1] for refusal in refusals(asked({"whole": "+5", "sure": "yes"}))] == ["whole", "sure"]


@pytest.mark.parametrize("kind", [time, list[time], int | UUID])
def test_a_parameter_of_a_type_for_which_no_way_is_said_cannot_be_wired(kind: Any) -> None:
    def loose(value: Annotated[Any, Query()] = None) -> None: ...

    loose.__annotations__["value"] = Annotated[kind, Query()]
    call: Callable[..., None] = loose
    with pytest.raises(NotStrict):
        parameters_of(get_dependant(path="/", call=call))
