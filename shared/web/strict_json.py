"""Request bodies, read with limits and parsed without guessing: what two parsers could read differently is refused.

UTF-8 only, at most 64 KiB and 16 levels, no member twice, no NaN, one document. A number has at most 32 characters, no exponent, and no
digit that a reader with the usual precision would lose: a 6 with a 1 at the 28th place behind the point would be kept as 6.
Fractions become ``Decimal``. Nothing of the body is ever quoted in an error.
"""

import asyncio
import json
import re
from decimal import Decimal
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from shared.errors import DomainError, Invalid, Malformed

MAX_BODY_BYTES = 64 * 1024
MAX_DROPPED_BYTES = 16 * 1024 * 1024
"""A body that says it is no larger than this is let in and dropped, since closing on a caller who still sends would lose the refusal."""
MAX_DEPTH = 16
MAX_NUMBER_CHARS = 32
BODY_SECONDS = 10.0
"""All of a body must have arrived after this time."""

_BRACKET_OR_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LAST_ANSWER = {"Connection": "close"}
"""The rest of a refused body is not read, so the connection cannot be used again."""


class Document(dict[str, Any]):  # Any: a JSON value
    """A parsed JSON object, and the exact text it was parsed from, which a ``Body`` model is validated against."""

    def __init__(self, members: dict[str, Any], text: str) -> None:  # Any: as above
        super().__init__(members)
        self.text = text


async def read_body(request: Request, *, seconds: float = BODY_SECONDS) -> bytes:
    """The raw body. Raises 413 as soon as it is too large, 408 when it does not arrive in time, 415 when it is compressed."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise DomainError("encoding-not-supported", "Send the body without a content encoding.", status=415)
    declared = request.headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit() or len(declared) > 9 or int(declared) > MAX_DROPPED_BYTES:
        raise too_large()
    if int(declared) > MAX_BODY_BYTES:
        raise too_large(last=False)
    try:
        async with asyncio.timeout(seconds):
            return await _counted(request)
    except TimeoutError:
        raise DomainError("body-too-slow", f"The body must arrive within {seconds:g} s.", status=408, headers=_LAST_ANSWER) from None
    except ClientDisconnect:
        raise Malformed("body-incomplete", "The connection ended before the body did.") from None


def require_media_type(request: Request, *expected: str) -> None:
    """Raises 415 unless the body is declared as one of ``expected``; the only parameter allowed is ``charset=utf-8``."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media_type.strip().lower() not in expected or charset not in ("", "charset=utf-8"):
        raise DomainError("media-type-not-supported", f"Send the body as {expected[0]}.", status=415)


def parse(data: bytes) -> Any:  # Any: a JSON value
    """The one JSON document in ``data``; an object comes back as a ``Document``. Raises Malformed (400) with a stable code."""
    if not data:
        raise Malformed("body-required", "The body is empty.")
    text = _text_of(data)
    _refuse_deep(data)
    try:
        value = _DECODER.decode(text)
    except ValueError:
        raise Malformed("json-malformed", "The body is not one JSON document.") from None
    if _ESCAPED_SURROGATE.search(text) and _has_lone_surrogate(value):
        raise Invalid("text-not-allowed", "A text holds half of a surrogate pair.")
    return Document(value, text) if isinstance(value, dict) else value


async def _counted(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise too_large()
    return bytes(body)


def too_large(*, last: bool = True) -> DomainError:
    """413 for a body over the limit; the last answer on its connection unless the server is to drop the body first."""
    detail = f"A body has at most {MAX_BODY_BYTES} bytes."
    return DomainError("body-too-large", detail, status=413, headers=_LAST_ANSWER if last else None)


def _text_of(data: bytes) -> str:
    """A byte order mark or a zero byte (as in every other encoding of ASCII) is refused as well."""
    try:
        if data.startswith(b"\xef\xbb\xbf") or b"\x00" in data:
            raise ValueError
        return data.decode("utf-8")
    except ValueError:
        raise Malformed("not-utf8", "The body must be UTF-8 without a byte order mark.") from None


def _refuse_deep(data: bytes) -> None:
    depth = 0
    for match in _BRACKET_OR_STRING.finditer(data):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise Malformed("json-too-deep", f"A body has at most {MAX_DEPTH} levels.")
        elif token in (b"]", b"}"):
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: as above
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("json-duplicate-key", "An object has the same member twice.")
    return members


def _integer(digits: str) -> int:
    _refuse_long(digits)
    return int(digits)


def _fraction(digits: str) -> Decimal:
    _refuse_long(digits)
    value = Decimal(digits)
    if abs(float(digits)) == float("inf") or (value and not float(digits)):
        raise Malformed("json-non-finite", "A number is too large or too small.")
    if "e" in digits.lower():
        raise Malformed("json-number-exponent", "Write numbers without an exponent.")
    if value != Decimal(repr(float(digits))):
        raise Malformed("json-number-too-precise", "A number has more digits than can be kept.")
    return value


def _refuse_long(digits: str) -> None:
    if len(digits) > MAX_NUMBER_CHARS:
        raise Malformed("json-number-too-long", f"A number has at most {MAX_NUMBER_CHARS} characters.")


def _constant(_name: str) -> None:
    raise Malformed("json-non-finite", "NaN and Infinity are not numbers in JSON.")


def _has_lone_surrogate(value: Any) -> bool:  # Any: as above
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(_has_lone_surrogate(part) for member in value.items() for part in member)
    return isinstance(value, list) and any(_has_lone_surrogate(part) for part in value)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_float=_fraction, parse_constant=_constant)
