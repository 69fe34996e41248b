"""Forms of public pages: as strict as JSON."""

from typing import Any

import pytest
from fastapi import Request

from shared.errors import DomainError
from shared.web import read_form
from shared.web.forms import MEDIA_TYPE


def form(body: bytes, media_type: str = MEDIA_TYPE) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", media_type.encode())]}, receive)


async def test_fields_are_read_as_they_were_typed() -> None:
    assert await read_form(form(b"birth_date=1980-02-29&name=Zo%C3%AB+K%26&empty=")) == {
        "birth_date": "1980-02-29",
        "name": "Zoë K&",
        "empty": "",
    }
    assert await read_form(form(b"")) == {}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"a=1&a=2", 400, "form-duplicate-field"),
        (b"a=%FF", 400, "form-malformed"),
        (b"a=\xff", 400, "form-malformed"),
        (b"a=%00", 400, "form-malformed"),
        (b"a", 400, "form-malformed"),
        (b"&".join(b"f%d=1" % number for number in range(300)), 400, "form-malformed"),
        (b"a=" + b"x" * 70_000, 413, "body-too-large"),
    ],
)
async def test_a_bad_form_is_refused(body: bytes, status: int, code: str) -> None:
    with pytest.raises(DomainError) as refused:
        await read_form(form(body))
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize("media_type", ["multipart/form-data; boundary=x", "application/json", "text/plain", ""])
async def test_only_urlencoded_forms_are_read(media_type: str) -> None:
    with pytest.raises(DomainError) as refused:
        await read_form(form(b"a=1", media_type))
    assert refused.value.code == "media-type-not-supported"
