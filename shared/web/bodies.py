"""Which bodies an operation reads: strict JSON, FHIR's JSON, forms. Each with the same limits, and nothing is guessed."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request

from shared.errors import DomainError, Malformed
from shared.web import strict_json
from shared.web.forms import Fields, read_fields


class BodyCodec(Protocol):
    """How the body of a request is read. Raises 400, 408, 413 or 415."""

    async def read(self, request: Request, *, takes_body: bool) -> tuple[bytes, object]:
        """The bytes, and the document in them; ``takes_body`` is whether the endpoint declares one."""


@dataclass(frozen=True, slots=True)
class StrictJson:
    """One JSON document of one of these media types."""

    media_types: tuple[str, ...]

    async def read(self, request: Request, *, takes_body: bool) -> tuple[bytes, object]:
        """A body that nobody asked for is refused unless it is an empty object."""
        body = await strict_json.read_body(request)
        if not body and not takes_body:
            return body, None
        strict_json.require_media_type(request, *self.media_types)
        document = strict_json.parse(body)
        if not takes_body and document != {}:
            raise Malformed("body-not-expected", "This operation takes no body.")
        return body, document


JSON = StrictJson(("application/json",))
FHIR_JSON = StrictJson(("application/fhir+json", "application/json"))


@dataclass(frozen=True, slots=True)
class FormBody:
    """A urlencoded form with these fields, each once but for those that are ``repeatable``."""

    fields: Collection[str]
    repeatable: Collection[str] = ()
    max_characters: int = strict_json.MAX_BODY_BYTES

    async def read(self, request: Request, *, takes_body: bool) -> tuple[bytes, object]:
        """The fields as ``Fields``."""
        fields = await read_fields(request, repeatable=self.repeatable)
        self._refuse(fields)
        return b"", fields

    def _refuse(self, fields: Fields) -> None:
        if fields.characters > self.max_characters:
            raise DomainError("body-too-large", "The form is too large.", status=413)
        if not fields.keys() <= {*self.fields, *self.repeatable}:
            raise Malformed("form-malformed", "The form has a field that does not belong to it.")
