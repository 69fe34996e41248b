"""Form bodies of public pages and of the token endpoint: urlencoded only, with the same limits as JSON, every field once."""

from urllib.parse import parse_qsl

from fastapi import Request

from shared.errors import Malformed
from shared.web.strict_json import read_body, require_media_type

MEDIA_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 200


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises 400, 408, 413 or 415, and never quotes a value."""
    require_media_type(request, MEDIA_TYPE)
    try:
        text = (await read_body(request)).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Malformed("form-malformed", "The body is not a urlencoded form.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Malformed("form-duplicate-field", "A field is there twice.")
    if any("\x00" in part for pair in pairs for part in pair):
        raise Malformed("form-malformed", "A field holds a zero character.")
    return fields
