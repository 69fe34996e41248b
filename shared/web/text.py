"""Which characters a text may hold: nothing that cannot be seen, stored or shown as it was typed."""

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_CONTROLS = "\\u0000-\\u001f\\u007f-\\u009f"
_CONTROLS_BUT_LINES = "\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f"
_UNSEEN = "\\u202a-\\u202e\\u2066-\\u2069\\ufff9-\\ufffb"
"""Overrides of the writing direction and interlinear marks."""
_SURROGATES = "\\ud800-\\udfff"
_BLANK = "\\s\\u00ad\\u115f\\u1160\\u180e\\u200b-\\u200f\\u2060-\\u2064\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0"
_COMBINING = "[\\u0300-\\u036f\\u0483-\\u0489\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f]"
_MAX_COMBINING_RUN = 8
"""Vietnamese, Hebrew and Thai need up to four; towers of marks hide neighbouring lines."""

_NOT_ALLOWED = re.compile(f"[{_CONTROLS_BUT_LINES}{_UNSEEN}{_SURROGATES}]|{_COMBINING}{{{_MAX_COMBINING_RUN + 1}}}")
_LINE_CONTROL = re.compile("[\t\n\r]")
_SEEN = re.compile(f"[^{_BLANK}]")


def allowed(text: str, *, lines: bool) -> bool:
    """Whether a text holds only characters that we take; ``lines`` allows tabs and line ends."""
    return not _NOT_ALLOWED.search(text) and (lines or not _LINE_CONTROL.search(text))


def pattern(*, lines: bool, seen: bool) -> str:
    """The same rule as a regular expression for the API's description; ``seen`` asks for at least one visible character."""
    refused = f"{_CONTROLS_BUT_LINES if lines else _CONTROLS}{_UNSEEN}"
    no_towers = f"(?![\\s\\S]*{_COMBINING}{{{_MAX_COMBINING_RUN + 1}}})"
    middle = f"[^{refused}{_BLANK}][^{refused}]*" if seen else ""
    return f"^{no_towers}[^{refused}]*{middle}$"


class Text:
    """``Annotated[str, Text(200)]``: 1 to ``max_chars`` characters of which one can be seen; anything else is 422 text-not-allowed.

    ``lines=True`` is for notes: it allows tabs and line ends as well.
    """

    def __init__(self, max_chars: int, *, lines: bool = False) -> None:
        self._max_chars = max_chars
        self._lines = lines

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # Any: as declared by pydantic
        plain = core_schema.str_schema(strict=True, min_length=1, max_length=self._max_chars, metadata={"afterglow_text": True})
        return core_schema.no_info_after_validator_function(self._checked, plain)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": pattern(lines=self._lines, seen=True)}

    def _checked(self, text: str) -> str:
        if not allowed(text, lines=self._lines) or not _SEEN.search(text):
            raise not_allowed()
        return text


def not_allowed() -> PydanticCustomError:
    """The one refusal of a text."""
    return PydanticCustomError("text-not-allowed", "Holds characters that cannot be seen, or none that can.")
