"""Which characters a text may hold: nothing that cannot be seen, stored or shown as it was typed.

Two kinds of text. A note (``lines=True``) is typed or pasted by people, who cannot see what a program put between the words: it may hold
what is invisible and harmless. A text of one line is a name, an address, a code: two that look the same must be the same, so an invisible
character is taken only where a script or a picture needs it.
"""

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_CONTROLS = "\\u0000-\\u001f\\u007f-\\u009f"
_CONTROLS_BUT_LINES = "\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f"
_NEVER = (
    "\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\u206a-\\u206f\\ufdd0-\\ufdef\\ufff9-\\ufffb\\ufffe\\uffff"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
"""Line and paragraph separators, which some programs take for a line's end; overrides and isolates of the writing direction; what Unicode
advises against; interlinear marks; tag characters, which hide a whole text; what no character may be.
"""
_NOT_IN_A_LINE = (
    "\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u200b\\u200e\\u200f\\u2060-\\u2065\\u3164\\ufeff\\uffa0\\ufff0-\\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
"""Soft hyphens, joiners and spaces without width, fillers, and marks of direction, which turn the punctuation beside them."""
_JOINED = (
    "\\u0600-\\u08ff\\u0900-\\u0dff\\u1000-\\u109f\\u1780-\\u18af\\u1a20-\\u1aaf\\u1b00-\\u1bff\\u1c00-\\u1c4f\\ua840-\\uaaff"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
"""Scripts that are written with joiners and non-joiners: the Arabic family, the scripts of India and South-East Asia, Mongolian."""
_PICTURES = "\\u2190-\\u2bff\\ufe0f\U0001f000-\U0001faff"
_VARIED = "#*0-9\\u00a9\\u00ae\\u1000-\\u109f\\u2010-\\u2bff\\u3000-\\u9fff\\ua840-\\ua87f\\uf900-\\ufaff\U00010000-\U0003ffff"
_IDEOGRAPHS = "\\u3400-\\u9fff\\uf900-\\ufaff\U00020000-\U0003ffff"
_OUT_OF_PLACE = (
    f"(?<![{_JOINED}])\\u200c"
    f"|(?<![{_JOINED}{_PICTURES}])\\u200d"
    "|(?<![\\u1800-\\u18af])[\\u180b-\\u180f]"
    f"|(?<![{_VARIED}])[\\ufe00-\\ufe0f]"
    f"|(?<![{_IDEOGRAPHS}])[\U000e0100-\U000e01ef]"
)
"""Joiners and selectors of variants that stand behind nothing that they could change. Japanese family names need the last."""
_ENCODED_WORD = "=\\?.*\\?="
"""RFC 2047: a mail library reads another text out of it. A line becomes a part of a mail's head, as a clinic's name does."""
_SURROGATES = "\\ud800-\\udfff"
_BLANK = (
    "\\s\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2060-\\u2065\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff"
    "\\uffa0\\ufff0-\\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0100-\U000e01ef"
)
_COMBINING = "[\\u0300-\\u036f\\u0483-\\u0489\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe20-\\ufe2f]"
_MAX_COMBINING_RUN = 8
"""Vietnamese, Hebrew and Thai need up to four; towers of marks hide neighbouring lines."""

_TOWER = f"{_COMBINING}{{{_MAX_COMBINING_RUN + 1}}}"
_NOT_IN_NOTES = re.compile(f"[{_CONTROLS_BUT_LINES}{_NEVER}{_SURROGATES}]|{_TOWER}")
_NOT_IN_LINES = re.compile(f"[{_CONTROLS}{_NEVER}{_NOT_IN_A_LINE}{_SURROGATES}]|{_OUT_OF_PLACE}|{_TOWER}")
_SEEN = re.compile(f"[^{_BLANK}]")


def allowed(text: str, *, lines: bool) -> bool:
    """Whether a text holds only characters that we take; ``lines`` is for notes."""
    if lines:
        return not _NOT_IN_NOTES.search(text)
    return not _NOT_IN_LINES.search(text) and not _has_encoded_word(text)


def _has_encoded_word(text: str) -> bool:
    """In linear time, whatever is typed."""
    begin = text.find("=?")
    return begin >= 0 and text.find("?=", begin + 2) >= 0


def pattern(*, lines: bool, seen: bool) -> str:
    """The same rule as a regular expression for the API's description; ``seen`` asks for at least one visible character."""
    refused = f"{_CONTROLS_BUT_LINES}{_NEVER}" if lines else f"{_CONTROLS}{_NEVER}{_NOT_IN_A_LINE}"
    nowhere = _TOWER if lines else f"(?:{_OUT_OF_PLACE}|{_ENCODED_WORD}|{_TOWER})"
    middle = f"[^{refused}{_BLANK}][^{refused}]*" if seen else ""
    return f"^(?![\\s\\S]*{nowhere})[^{refused}]*{middle}$"


class Text:
    """``Annotated[str, Text(200)]``: 1 to ``max_chars`` characters of which one can be seen; anything else is 422 text-not-allowed.

    ``lines=True`` is for notes: it allows tabs, line ends and what is invisible and harmless.
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
    return PydanticCustomError("text-not-allowed", "Holds characters that cannot be seen or change what is read, or none that can be seen.")
