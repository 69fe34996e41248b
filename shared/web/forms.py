"""Form bodies of pages and of the token endpoint: urlencoded only, with the same limits as JSON, a field once unless it may be repeated."""

from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl

from fastapi import Request

from shared.errors import Malformed
from shared.web.strict_json import read_body, require_media_type

MEDIA_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 200


class Fields(dict[str, str]):
    """The fields of a form by name; of one that may be repeated the first value. ``every`` has them all."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = tuple(pairs)
        super().__init__(reversed(self._pairs))

    def every(self, name: str) -> list[str]:
        """All values of a field, in the order in which they were sent."""
        return [value for given, value in self._pairs if given == name]

    @property
    def characters(self) -> int:
        """How large the form is."""
        return sum(len(name) + len(value) for name, value in self._pairs)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form of a public operation. Raises 400, 408, 413 or 415, and never quotes a value."""
    return await read_fields(request)


async def read_fields(request: Request, *, repeatable: Collection[str] = ()) -> Fields:
    """The fields of a form, none there twice but for those that are ``repeatable``. Raises as ``read_form``."""
    require_media_type(request, MEDIA_TYPE)
    try:
        text = (await read_body(request)).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Malformed("form-malformed", "The body is not a urlencoded form.") from None
    once = [name for name, _ in pairs if name not in repeatable]
    if len(set(once)) != len(once):
        raise Malformed("form-duplicate-field", "A field is there twice.")
    if any("\x00" in part for pair in pairs for part in pair):
        raise Malformed("form-malformed", "A field holds a zero character.")
    return Fields(pairs)
