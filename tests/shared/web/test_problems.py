"""Refusals: their form, and that none repeats what was sent."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from shared.errors import Conflict
from shared.web.problems import field_errors
from tests.shared.web.client import Client, note

CANARY = "kanarienvogel"
API = Path(__file__).parents[3] / "docs/api"


def raised(location: tuple[Any, ...], kind: str, **context: object) -> dict[str, Any]:
    return {"type": kind, "loc": location, "msg": f"said of {CANARY}", "input": CANARY, "ctx": context}


def test_pydantics_errors_get_our_codes() -> None:
    codes = {
        "missing": "required",
        "extra_forbidden": "unknown-field",
        "int_type": "type",
        "is_instance_of": "type",
        "less_than_equal": "out-of-range",
        "uuid_parsing": "format",
        "enum": "not-one-of",
        "value_error": "not-acceptable",
        "dose-over-hard-limit": "dose-over-hard-limit",
    }
    errors = field_errors([raised(("body", "dose"), kind, le=200, expected="'calm'") for kind in codes], ["dose"])
    assert [error["code"] for error in errors] == list(codes.values())
    assert all(error["pointer"] == "/dose" for error in errors)


def test_only_our_own_limits_are_told() -> None:
    (error,) = field_errors([raised(("body", "dose"), "enum", expected="'calm' or 'not-calm'", error=CANARY, input_value=CANARY)], ["dose"])
    assert error["detail"] == "Allowed: 'calm' or 'not-calm'."


REFUSED: dict[str, tuple[Any, object, str]] = {
    "minimum": (Annotated[int, Field(ge=1)], 0, "At least 1."),
    "exclusiveMinimum": (Annotated[Decimal, Field(gt=0)], Decimal(0), "More than 0."),
    "maximum": (Annotated[Decimal, Field(le=Decimal("2.5"))], Decimal(3), "At most 2.5."),
    "exclusiveMaximum": (Annotated[Decimal, Field(lt=5)], Decimal(5), "Less than 5."),
    "multipleOf": (Annotated[int, Field(multiple_of=5)], 3, "A multiple of 5."),
    "minLength": (Annotated[str, Field(min_length=1)], "", "Characters: at least 1."),
    "maxLength": (Annotated[str, Field(max_length=2)], CANARY, "Characters: at most 2."),
    "minItems": (Annotated[list[str], Field(min_length=1)], [], "Entries: at least 1."),
    "maxItems": (Annotated[list[str], Field(max_length=1)], [CANARY, CANARY], "Entries: at most 1."),
    "enum": (Literal["calm", "not-calm"], CANARY, "Allowed: 'calm' or 'not-calm'."),
    "const": (Literal["calm"], CANARY, "Allowed: 'calm'."),
    "pattern": (Annotated[str, Field(pattern="^[0-9]+$")], CANARY, "Has another form than the API's description says."),
    "maxDigits": (Annotated[Decimal, Field(max_digits=2)], Decimal(100), "Digits: at most 2."),
    "decimalPlaces": (Annotated[Decimal, Field(decimal_places=1)], Decimal("0.01"), "Digits after the decimal point: at most 1."),
}
"""By the word of JSON Schema that describes the limit, the last two by ours: what refuses a value, the value, and what is said of it."""

LIMITS = {
    *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern"),
    *("minItems", "maxItems", "contains", "minProperties", "maxProperties", "enum", "const"),
}
"""What JSON Schema can limit; but for ``uniqueItems``, which validators of our own see to, in their own words."""


@pytest.mark.parametrize(("limited", "value", "told"), REFUSED.values(), ids=REFUSED)
def test_a_limit_is_told_in_a_sentence(limited: Any, value: object, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(limited).validate_python(value)
    errors = [{**error, "loc": ("body", "dose")} for error in refused.value.errors()]
    assert [error["detail"] for error in field_errors(errors, {"dose"})] == [told]


@pytest.mark.parametrize("document", sorted(API.glob("*.openapi.json")), ids=lambda path: path.name)
def test_every_kind_of_limit_that_the_api_describes_has_its_sentence(document: Path) -> None:
    used = {name for name in LIMITS if f'"{name}":' in document.read_text()}
    assert {"maximum", "maxLength"} <= used <= REFUSED.keys()


def test_a_pointer_names_our_members_and_positions_only() -> None:
    location = ("body", "places", 3, CANARY, "a/b~c", "[key]", "int")
    assert field_errors([raised(location, "missing")], {"places", "a/b~c"})[0]["pointer"] == "/places/3/a~1b~0c"


def test_what_is_not_in_the_body_says_where_it_is() -> None:
    assert field_errors([raised(("query", "limit"), "less_than", lt=5)], {"limit"}) == [
        {"pointer": "/limit", "code": "out-of-range", "detail": "Less than 5.", "in": "query"}
    ]


def test_an_own_error_is_told_in_its_authors_words() -> None:
    own = PydanticCustomError("dose-not-positive", "More than 0 mg.")
    raised_by_pydantic = ValidationError.from_exception_data("Dose", [{"type": own, "loc": ("body", "dose"), "input": CANARY}])
    assert field_errors(raised_by_pydantic.errors(), {"dose"}) == [
        {"pointer": "/dose", "code": "dose-not-positive", "detail": "More than 0 mg."}
    ]


async def test_a_state_conflict_tells_the_state_and_what_is_allowed(client: Client) -> None:
    location = (await client.write_note()).headers["location"]
    assert (await client.post(f"{location}/sign")).status_code == 200
    answer = await client.post(f"{location}/sign")
    problem = answer.json()
    assert answer.status_code == problem["status"] == 409
    assert (problem["code"], problem["title"], problem["state"], problem["allowed"]) == ("state", "State", "signed", [])


def test_a_refusal_does_not_carry_its_code_twice() -> None:
    assert str(Conflict("state", "detail")) == "state"


async def test_nothing_that_was_sent_comes_back(client: Client) -> None:
    bad = note(title=CANARY, dose_mg=CANARY, mood=CANARY, patient_id=CANARY, seen_at=CANARY, scores={CANARY: CANARY}, **{CANARY: CANARY})
    answers = [
        await client.write_note(bad, X_Canary=CANARY),
        await client.get(f"/tiny/v1/notes/{CANARY}"),
        await client.get(f"/tiny/v1/{CANARY}"),
        await client.get(f"/tiny/v1/notes?{CANARY}={CANARY}"),
        await client.get(f"/tiny/v1/notes?limit={CANARY}"),
        await client.get(f"/tiny/v1/notes?cursor={CANARY}"),
        await client.write_note(Idempotency_Key=f"{CANARY} {CANARY}"),
        await client.write_note(Afterglow_Practitioner=CANARY),
        await client.get("/tiny/v1/notes", Authorization=f"Bearer {CANARY}"),
        await client.http.request("PURGE", f"/tiny/v1/notes?{CANARY}"),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert CANARY not in answer.text
        assert CANARY not in str(answer.headers)
