"""Bodies and answers by themselves: strict without their author's doing."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from shared.web import moments
from shared.web.schemas import Answer, Body, Moment, Text
from shared.web.strict_json import parse
from shared.web.text import allowed


class Colour(StrEnum):
    DARK_RED = "dark-red"


class Part(Body):
    at: datetime
    dose_mg: Decimal


class Whole(Body):
    id: UUID | None = None
    at: Moment | None = None
    on: date | None = None
    dose_mg: Annotated[Decimal, Field(gt=0, le=200, decimal_places=2)] | None = None
    count: int | None = None
    ratio: float | None = None
    sure: bool | None = None
    colour: Colour | None = None
    name: Annotated[str, Text(10)] | None = None
    note: Annotated[str, Text(50, lines=True)] | None = None
    plain: str | None = None
    parts: tuple[Part, ...] = ()
    within: "Whole | None" = None


def read(json: str) -> Whole:
    """As the framework does: from the parsed document."""
    return TypeAdapter(Whole).validate_python(parse(json.encode()), from_attributes=True)


def codes(json: str) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        read(json)
    return [str(error["type"]) for error in refused.value.errors()]


@pytest.mark.parametrize("json", ["1.5", "-4.4e-184", "0", "true", "null", '"x"', "[]", "[{}]"])
def test_what_is_no_object_is_no_body_even_where_every_member_may_be_left_out(json: str) -> None:
    assert len(codes(json)) == 1


def test_a_good_body_becomes_exact_values() -> None:
    body = read(
        '{"id": "6f0f5b0e-0000-4000-8000-000000000000", "at": "2026-11-23T09:00:00.25-05:00", "on": "1980-02-29", "dose_mg": 0.1,'
        ' "count": 3, "ratio": 2, "sure": true, "colour": "dark-red", "name": "Zoë 🫶", "note": "a\\n\\tb", "plain": ""}'
    )
    assert body == Whole(
        id=UUID("6f0f5b0e-0000-4000-8000-000000000000"),
        at=datetime(2026, 11, 23, 14, 0, 0, 250_000, tzinfo=UTC),
        on=date(1980, 2, 29),
        dose_mg=Decimal("0.1"),
        count=3,
        ratio=2.0,
        sure=True,
        colour=Colour.DARK_RED,
        name="Zoë 🫶",
        note="a\n\tb",
        plain="",
    )


def test_a_whole_number_is_a_decimal_too() -> None:
    assert read('{"dose_mg": 35}').dose_mg == Decimal(35)


@pytest.mark.parametrize("value", ['"35"', "true", "[35]", "{}", '"NaN"', '"1e3"'])
@pytest.mark.parametrize("field", ["dose_mg", "count", "ratio"])
def test_only_a_number_is_a_number(field: str, value: str) -> None:
    assert len(codes(f'{{"{field}": {value}}}')) == 1


@pytest.mark.parametrize("value", ["1", "0", '"true"', '"yes"', "[]"])
def test_only_a_boolean_is_a_boolean(value: str) -> None:
    assert codes(f'{{"sure": {value}}}') == ["bool_type"]


def test_a_fraction_is_not_a_whole_number() -> None:
    assert codes('{"count": 1.5}') == ["int_type"]


@pytest.mark.parametrize("value", ["100.0", "1e2"])
def test_a_whole_number_may_be_written_as_a_fraction(value: str) -> None:
    assert read(f'{{"count": {value}}}').count == 100


@pytest.mark.parametrize("value", [str(2**31), str(-(2**31) - 1), "9" * 32, "1e300"])
def test_a_whole_number_fits_the_database(value: str) -> None:
    assert codes(f'{{"count": {value}}}') in (["less_than_equal"], ["greater_than_equal"])


def test_limits_hold_for_decimals() -> None:
    assert codes('{"dose_mg": 0}') == ["greater_than"]
    assert codes('{"dose_mg": 200.01}') == ["less_than_equal"]
    assert codes('{"dose_mg": 0.001}') == ["decimal_max_places"]


@pytest.mark.parametrize(
    "value",
    [
        '"2026-05-04T10:00:00"',
        '"2026-05-04"',
        '"2026-05-04 10:00:00Z"',
        '"2026-05-04T10:00Z"',
        '"2026-02-30T10:00:00Z"',
        '"2026-05-04T24:00:00Z"',
        '"2026-05-04T10:00:60Z"',
        '"2026-05-04T10:00:00+25:00"',
        '"2026-W19-1T10:00:00Z"',
        '"٢٠٢٦-05-04T10:00:00Z"',
        '"0001-01-01T00:00:00+14:00"',
        '"1780000000"',
        "1780000000",
        "true",
        "{}",
    ],
)
def test_what_only_looks_like_a_time_is_refused(value: str) -> None:
    assert codes(f'{{"at": {value}}}') == ["time-format"]
    assert codes(f'{{"parts": [{{"at": {value}, "dose_mg": 1}}]}}') == ["time-format"]


@pytest.mark.parametrize("value", ['"2026-02-30"', '"20260504"', '"2026-5-4"', '"2026-05-04T00:00:00"', '"1640995200"', "5", "true"])
def test_what_only_looks_like_a_date_is_refused(value: str) -> None:
    assert codes(f'{{"on": {value}}}') == ["time-format"]


def test_years_before_1900_are_out_of_range() -> None:
    assert codes('{"at": "1899-12-31T23:59:59Z"}') == ["time-out-of-range"]
    assert codes('{"on": "1899-12-31"}') == ["time-out-of-range"]


@pytest.mark.parametrize("text", ["z", "Z"])
def test_an_offset_may_be_written_small(text: str) -> None:
    assert read(f'{{"at": "2026-05-04t10:00:00{text}"}}').at == datetime(2026, 5, 4, 10, tzinfo=UTC)


@pytest.mark.parametrize("field", ["name", "note", "plain"])
@pytest.mark.parametrize(
    "text",
    ["a\\u0000", "\\u0007", "\\u0085", "abc\\u202ecba", "\\u2066x\\u2069", "\\ufff9", "a" + "\\u0301" * 9],
    ids=["zero", "bell", "next-line", "override", "isolate", "interlinear", "tower"],
)
def test_characters_that_cannot_be_seen_are_refused(field: str, text: str) -> None:
    assert codes(f'{{"{field}": "{text}"}}') == ["text-not-allowed"]


@pytest.mark.parametrize("text", [" ", "\\u200b", "\\u200d\\ufeff", "\\u3164", "\\u00a0\\u2003", "\\ufe0f"])
def test_a_text_has_something_to_see(text: str) -> None:
    assert codes(f'{{"name": "{text}"}}') == ["text-not-allowed"]


@pytest.mark.parametrize("text", ["Nguyễn", "José", "שָׁלוֹם", "พี่", "👩‍⚕️", "a\u200fb", "O\u2019Neil", "=1+1", "<b>"])
def test_names_of_the_world_are_taken(text: str) -> None:
    assert read(f'{{"name": "{text}"}}').name == text


def test_a_line_end_is_for_notes_only() -> None:
    assert read('{"note": "a\\r\\nb"}').note == "a\r\nb"
    assert codes('{"name": "a\\nb"}') == codes('{"plain": "a\\nb"}') == ["text-not-allowed"]


def test_a_text_has_a_length() -> None:
    assert codes('{"name": ""}') == ["string_too_short"]
    assert codes('{"name": "12345678901"}') == ["string_too_long"]


def test_a_long_text_is_judged_in_linear_time() -> None:
    assert allowed("a" * 60_000 + "\u0301" * 8, lines=True)


def test_unknown_members_are_refused_at_every_depth() -> None:
    assert codes('{"is_admin": true}') == ["extra_forbidden"]
    assert codes('{"within": {"within": {"clinic_id": 1}}}') == ["extra_forbidden"]


def test_strictness_reaches_every_depth() -> None:
    assert codes('{"within": {"within": {"dose_mg": "1"}}}') == ["type"]
    assert codes('{"parts": [{"at": "2026-05-04T10:00:00Z", "dose_mg": "1"}]}') == ["type"]


def test_a_body_cannot_be_changed() -> None:
    body = read("{}")
    with pytest.raises(ValidationError):
        body.count = 1  # type: ignore[misc] # this is what must fail


def test_what_is_refused_is_not_shown() -> None:
    with pytest.raises(ValidationError) as refused:
        read('{"name": "Jane Doe of Elm Street"}')
    assert "Jane" not in str(refused.value)


def test_the_description_says_what_is_accepted() -> None:
    described = Whole.model_json_schema()["$defs"]["Whole"]["properties"]
    assert described["at"]["anyOf"][0] == {"type": "string", "format": "date-time", "pattern": moments.FROM_1900}
    assert described["on"]["anyOf"][0] == {"type": "string", "format": "date", "pattern": moments.FROM_1900}
    assert [option["type"] for option in described["dose_mg"]["anyOf"]] == ["number", "null"]
    assert "pattern" in described["plain"]["anyOf"][0]


class OddlyNamed(Body):
    type: str | None = None
    default: str | None = None
    metadata: Decimal | None = None
    members: tuple[datetime, ...] = ()
    fields_: str | None = None


@pytest.mark.parametrize(
    "json", ['{"type": "\\u0000"}', '{"default": "\\u0000"}', '{"metadata": "1"}', '{"members": ["2026-05-04"]}', '{"fields_": "\\u202e"}']
)
def test_a_name_cannot_hide_a_member_from_the_rules(json: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(OddlyNamed).validate_python(parse(json.encode()))


class Looked(Body):
    parts: tuple[Part, ...]
    colours: frozenset[Colour]

    @model_validator(mode="before")
    @classmethod
    def _look(cls, value: Any) -> Any:
        return value


def test_a_body_may_be_looked_at_before_it_is_validated() -> None:
    json = '{"parts": [{"at": "2026-05-04T10:00:00Z", "dose_mg": 1.5}], "colours": ["dark-red"]}'
    body = TypeAdapter(Looked).validate_python(parse(json.encode()))
    assert body == Looked(
        parts=(Part(at=datetime(2026, 5, 4, 10, tzinfo=UTC), dose_mg=Decimal("1.5")),), colours=frozenset({Colour.DARK_RED})
    )
    with pytest.raises(ValidationError):
        TypeAdapter(Looked).validate_python(parse(b'{"parts": {}, "colours": "dark-red"}'))


class Shown(Answer):
    at: datetime
    dose_mg: Decimal
    count: Decimal | None = None
    parts: tuple["Shown", ...] = ()


def shown(**values: Any) -> str:
    return Shown(**values).model_dump_json(exclude_unset=True)


def test_answers_tell_times_in_utc() -> None:
    at = datetime(2026, 11, 23, 9, tzinfo=timezone(timedelta(hours=-5)))
    assert shown(at=at, dose_mg=Decimal(1)) == '{"at":"2026-11-23T14:00:00Z","dose_mg":1.0}'


def test_answers_tell_decimals_as_numbers() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    inner = Shown(at=at, dose_mg=Decimal("0.1"))
    assert '"dose_mg":0.1}' in shown(at=at, dose_mg=Decimal("36.60"), parts=(inner,))
    assert Shown.model_json_schema(mode="serialization")["$defs"]["Shown"]["properties"]["dose_mg"]["type"] == "number"
