"""A document's text: what is read, and what is refused by line, with a code and a reason that repeat nothing of the text."""

from pathlib import Path
from typing import Annotated, Self

import pytest
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.documents.checking import checked
from shared.documents.content import Document, Part, Source, misplaced
from shared.documents.kinds import FIRST_OF_A_CLINIC, Kind
from shared.documents.reading import MAX_CHARACTERS, Unreadable, parse
from shared.errors import Invalid


class Limit(Part):
    minutes: Annotated[int, Field(ge=1, le=600)]
    source: Source


class Waiting(Document):
    """A made-up document."""

    limits: dict[str, Limit]

    @model_validator(mode="after")
    def _no_first(self) -> Self:
        if "first" in self.limits:
            raise misplaced(("limits", "first"), PydanticCustomError("not-first", "Nothing is first here."))
        return self


DEFAULT = """\
code: waiting
version: 3
title: How long to wait
limits:
  short: {minutes: 5, source: "an old rule of thumb"}
"""
VERSION_GIVEN = "Leave the version out: the next number is given when the text is saved."
OWN = DEFAULT.replace("code: waiting\nversion: 3\n", "")


@pytest.fixture
def kind(tmp_path: Path) -> Kind[Waiting]:
    file = tmp_path / "waiting.yaml"
    file.write_text(DEFAULT)
    return Kind("waiting", Waiting, file)


def refused(kind: Kind[Waiting], text: str) -> list[tuple[str, str]]:
    """Code and reason of everything that is refused."""
    with pytest.raises(Invalid) as caught:
        checked(kind, text, FIRST_OF_A_CLINIC)
    assert caught.value.code == "document-invalid"
    assert {error.pointer for error in caught.value.errors} == {"/content"}
    return [(error.code, error.detail) for error in caught.value.errors]


def test_a_default_is_read_with_its_number(kind: Kind[Waiting]) -> None:
    assert (kind.default.version, kind.default.limits["short"].minutes) == (3, 5)


def test_a_clinics_text_gets_the_number_that_it_is_saved_under(kind: Kind[Waiting]) -> None:
    assert checked(kind, OWN, 1007).version == 1007


def test_json_is_read_as_yaml_is(kind: Kind[Waiting]) -> None:
    text = '{\n\t"title": "How long to wait",\n\t"limits": {"short": {"minutes": 5, "source": "an old rule of thumb"}}\n}'
    assert checked(kind, text, 1001).limits == kind.default.limits


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "not-a-document", 1),
        ("- a list", "not-a-document", 1),
        ("a: 1\n---\nb: 2", "not-yaml", 2),
        ("a: 1\nb: [1, 2", "not-yaml", 2),
        ("a: &big [1]\nb: *big", "reference", 1),
        ("a: {x: 1}\nb:\n  <<: {y: 1}", "reference", 3),
        ("a: 1\nb: !!python/object/apply:os.system [echo]", "tag", 2),
        ("a: " + "[" * 20 + "]" * 20, "too-deep", 1),
        ("a: 1\nb: 2\na: 3", "name-twice", 3),
        ("a:\n  b: 1\n  b: 2", "name-twice", 3),
        ("a: 1\n5: five", "name", 2),
        ("a: 1\nopens: 08:00\ncloses: 21:00", "ambiguous", 3),
        ("language: no", "ambiguous", 1),
        ("a: 0x1F", "ambiguous", 1),
        ("a: 1_000", "ambiguous", 1),
        ("a: .nan", "ambiguous", 1),
        ("a: .inf", "ambiguous", 1),
        ("a: 1" + "0" * 40, "ambiguous", 1),
        ("a: x\n" * 1 + "b: " + "x" * MAX_CHARACTERS, "too-long", 1),
    ],
)
def test_what_a_reader_and_a_program_could_take_for_two_things_is_refused_by_line(text: str, code: str, line: int) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(text)
    assert (caught.value.findings[0].code, caught.value.findings[0].line) == (code, line)


def test_numbers_truth_and_nothing_are_read_as_they_are_written() -> None:
    read = parse('a: 5\nb: -0.75\nc: true\nd: null\ne: "08:00"\nf: 2026-12-01\ng: "5"').data
    assert read == {"a": 5, "b": -0.75, "c": True, "d": None, "e": "08:00", "f": "2026-12-01", "g": "5"}


@pytest.mark.parametrize(
    ("written", "instead", "code", "reason"),
    [
        ("minutes: 5", "minutes: 0", "out-of-range", "Line 3: /limits/minutes: At least 1."),
        ("minutes: 5", "minutes: soon", "type", "Line 3: /limits/minutes: Has another type than the API's description says."),
        ("minutes: 5, ", "", "required", "Line 3: /limits/minutes: Is required."),
        (', source: "an old rule of thumb"', "", "required", "Line 3: /limits/source: Is required."),
        ("minutes: 5", "minutes: 5, hours: 1", "unknown-field", "Line 3: /limits: This object has a member that is not known here."),
        ("short:", "first:", "not-first", "Line 3: /limits: Nothing is first here."),
        ("title:", "titel:", "required", "Line 1: /title: Is required."),
        ("limits:", "version: 7\nlimits:", "version-given", f"Line 2: {VERSION_GIVEN}"),
        ("limits:", "code: other\nlimits:", "code-given", "Line 2: Leave the code out: it is named beside the text."),
    ],
)
def test_a_mistake_is_named_by_its_line_and_the_reason(kind: Kind[Waiting], written: str, instead: str, code: str, reason: str) -> None:
    assert (code, reason) in refused(kind, OWN.replace(written, instead))


def test_nothing_of_the_text_is_repeated(kind: Kind[Waiting]) -> None:
    told = refused(kind, OWN.replace("short:", "Rosalind:").replace("minutes: 5", "minutes: Testerly"))
    assert "Rosalind" not in str(told)
    assert "Testerly" not in str(told)


def test_a_default_of_another_code_or_with_a_clinics_number_stops_the_start(tmp_path: Path) -> None:
    for wrong in (DEFAULT.replace("code: waiting", "code: other"), DEFAULT.replace("version: 3", f"version: {FIRST_OF_A_CLINIC}")):
        file = tmp_path / f"{len(wrong)}.yaml"
        file.write_text(wrong)
        with pytest.raises(ValueError, match="is not the default"):
            assert Kind("waiting", Waiting, file).default is not None
