"""Bodies and answers by themselves: strict without their author's doing."""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from json import dumps
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from shared.web import moments
from shared.web.schemas import Answer, Body, Moment, Text
from shared.web.strict_json import parse
from shared.web.text import allowed, pattern


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


@pytest.mark.parametrize("json", ["1.5", "-4.4", "0", "true", "null", '"x"', "[]", "[{}]"])
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


def test_a_whole_number_is_not_written_as_a_fraction() -> None:
    assert codes('{"count": 5.0}') == ["int_type"]


@pytest.mark.parametrize(
    "value",
    [
        "6f0f5b0e000040008000000000000000",
        "{6f0f5b0e-0000-4000-8000-000000000000}",
        "urn:uuid:6f0f5b0e-0000-4000-8000-000000000000",
        " 6f0f5b0e-0000-4000-8000-000000000000",
        "6f0f5b0e-0000-4000-8000-00000000000\uff10",
        "",
    ],
)
def test_an_id_is_written_in_one_way(value: str) -> None:
    assert codes(dumps({"id": value})) == ["format"]


def test_a_type_for_which_nobody_decided_how_it_is_written_cannot_be_a_member() -> None:
    with pytest.raises(TypeError, match="time"):

        class Timed(Body):
            at: time


@pytest.mark.parametrize("value", [str(2**31), str(-(2**31) - 1), "9" * 32])
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


NEVER = {
    "zero": "a\u0000",
    "bell": "\u0007",
    "next-line": "\u0085",
    "line-separator": "a\u2028b",
    "paragraph-separator": "a\u2029b",
    "override": "abc\u202ecba",
    "isolate": "\u2066x\u2069",
    "deprecated": "a\u206ab",
    "interlinear": "a\ufff9",
    "no-character": "a\uffff",
    "tag": "a\U000e0041",
    "tag-begin": "a\U000e0001",
    "unassigned-unseen": "a\U000e0fff",
    "tower": "a" + "\u0301" * 9,
}


@pytest.mark.parametrize("field", ["name", "note", "plain"])
@pytest.mark.parametrize("text", NEVER.values(), ids=NEVER.keys())
def test_characters_that_cannot_be_seen_are_refused(field: str, text: str) -> None:
    assert codes(dumps({field: text})) == ["text-not-allowed"]


UNSEEN = {
    "soft-hyphen": "a\u00adb",
    "grapheme-joiner": "a\u034fb",
    "arabic-letter-mark": "a\u061cb",
    "left-to-right-mark": "a\u200eb",
    "right-to-left-mark": "\u05d0\u200f",
    "space-without-width": "a\u200bb",
    "word-joiner": "a\u2060b",
    "byte-order-mark": "\ufeffab",
    "hangul-filler": "\u1100\u1160",
    "halfwidth-filler": "a\uffa0",
    "khmer-vowel": "\u1780\u17b4",
    "joiner-in-latin": "a\u200db",
    "non-joiner-in-latin": "a\u200cb",
    "joiner-first": "\u200d\u0645",
    "two-joiners": "\u0645\u200d\u200d",
    "selector-of-latin": "a\ufe0fb",
    "ideograph-selector-of-latin": "a\U000e0100",
    "mongolian-selector-of-latin": "a\u180bb",
    "music": "a\U0001d173",
    "shorthand": "a\U0001bca0",
}


@pytest.mark.parametrize("text", UNSEEN.values(), ids=UNSEEN.keys())
def test_two_names_that_look_the_same_are_the_same_and_a_note_may_hold_what_a_program_put_there(text: str) -> None:
    assert codes(dumps({"name": text})) == codes(dumps({"plain": text})) == ["text-not-allowed"]
    assert read(dumps({"note": text})).note == text


@pytest.mark.parametrize("text", ["=?utf-8?q?x?=", "a =?utf-8?b?eA==?=", "=?a?="])
def test_a_line_holds_no_encoded_word(text: str) -> None:
    assert codes(dumps({"plain": text})) == ["text-not-allowed"]
    assert read(dumps({"note": text})).note == text


@pytest.mark.parametrize("text", [" ", "\u200b", "\u200d\ufeff", "\u3164", "\u00a0\u2003", "\ufe0f", "\u2800"])
@pytest.mark.parametrize("field", ["name", "note"])
def test_a_text_has_something_to_see(field: str, text: str) -> None:
    assert codes(dumps({field: text})) == ["text-not-allowed"]


WORLD = [
    "Nguy\u1ec5n",
    "Nguye\u0302\u0303n",
    "Jos\u00e9",
    "Jose\u0301",
    "O\u2019Neil",
    "O'Neil",
    "Ng\u016bg\u0129",
    "\u02bbOkina",
    "Anne-Marie",
    "Jean\u2011Luc",
    "M\u00fcller",
    "\u0141ukasz",
    "Bj\u00f6rk",
    "Jr., Ph.",
    "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\u05d9\u05e2\u05e7\u05d1",
    "\u0645\u062d\u0645\u062f",
    "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
    "\u06f1\u0647\u200d.",
    "\u0e1e\u0e35\u0e48",
    "\u0930\u093e\u092e",
    "\u0d28\u0d4d\u200d",
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "\u0995\u09cd\u200c\u09b7",
    "\u1780\u17d2\u200c\u1781",
    "\u182a\u180b\u1820\u180e\u1820",
    "\u8fbb\U000e0100\u5ddd",
    "\u845b\ufe00",
    "\U00020bb7\u91ce",
    "\uae40\ubbfc\uc218",
    "\u1112\u1161\u11ab",
    "\u10d2\u10d8\u10dd",
    "\u0531\u0576\u0561",
    "\u12a0\u1260\u1260",
    "\u0422\u0430\u0442\u044c\u044f\u043d\u0430",
    "\U0001e900\U0001e901",
    "X \u00c6 A-12",
    "\U0001f469\u200d\u2695\ufe0f",
    "1\ufe0f\u20e3",
    "=1+1",
    "<b>",
]


@pytest.mark.parametrize("text", WORLD, ids=ascii)
def test_names_of_the_world_are_taken(text: str) -> None:
    assert read(dumps({"name": text})).name == text
    assert read(dumps({"plain": text})).plain == text


@pytest.mark.parametrize("text", [*WORLD, *NEVER.values(), *UNSEEN.values(), "=?utf-8?q?x?=", " ", "\u3164"], ids=ascii)
@pytest.mark.parametrize("lines", [True, False])
def test_the_description_says_of_a_text_what_is_done(text: str, lines: bool) -> None:
    described = re.search(pattern(lines=lines, seen=False), text)
    assert bool(described) == allowed(text, lines=lines)


def test_a_line_end_is_for_notes_only() -> None:
    assert read('{"note": "a\\r\\nb"}').note == "a\r\nb"
    assert codes('{"name": "a\\nb"}') == codes('{"plain": "a\\nb"}') == ["text-not-allowed"]


def test_a_text_has_a_length() -> None:
    assert codes('{"name": ""}') == ["string_too_short"]
    assert codes('{"name": "12345678901"}') == ["string_too_long"]


@pytest.mark.parametrize(
    "text", ["a" * 60_000 + "\u0301" * 8, "=?" + "a=?" * 20_000, "\u0645\u200c" * 30_000], ids=["marks", "words", "joiners"]
)
@pytest.mark.parametrize("lines", [True, False])
def test_a_long_text_is_judged_in_linear_time(text: str, lines: bool) -> None:
    assert allowed(text, lines=lines)


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
