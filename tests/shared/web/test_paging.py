"""Lists are complete and without repetition, and their cursors are sealed."""

import base64
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from shared.errors import Malformed
from shared.web.paging import Cursors
from tests.shared.web.client import OTHER_CLINIC, Client, bearer, note


async def write(client: Client, number: int, **changes: object) -> str:
    """Notes with a title of their own, two for each moment; returns the title."""
    title = f"list {uuid4()}"
    for minute in range(number):
        answer = await client.write_note(note(title=title, seen_at=f"2026-11-23T09:{minute // 2:02}:00Z", **changes))
        assert answer.status_code == 201
    return title


async def pages(client: Client, path: str) -> list[list[str]]:
    found = []
    following: str | None = path
    while following:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        found.append([item["note_id"] for item in answer.json()["items"]])
        following = answer.json()["next"]
        assert answer.headers.get("link") == (f'<{following}>; rel="next"' if following else None)
    return found


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (200, [7])])
async def test_every_item_is_there_once(client: Client, limit: int, sizes: list[int]) -> None:
    title = await write(client, 7)
    found = await pages(client, f"/tiny/v1/notes?title={title.replace(' ', '%20')}&limit={limit}")
    assert [len(page) for page in found] == sizes
    assert len({item for page in found for item in page}) == 7


async def test_an_item_that_came_before_the_cursor_moves_nothing(client: Client) -> None:
    title = await write(client, 4)
    first = (await client.get(f"/tiny/v1/notes?title={title}&limit=2")).json()
    await client.write_note(note(title=title, seen_at="2026-01-01T00:00:00Z"))
    second = (await client.get(first["next"])).json()
    assert len({item["note_id"] for item in first["items"] + second["items"]}) == 4
    assert second["next"] is None


async def test_an_empty_list_is_a_list(client: Client) -> None:
    answer = await client.get(f"/tiny/v1/notes?title={uuid4()}")
    assert answer.json() == {"items": [], "next": None}
    assert "link" not in answer.headers


async def test_a_cursor_shows_nothing(client: Client) -> None:
    title = await write(client, 3)
    cursor = parse_qs(urlsplit((await client.get(f"/tiny/v1/notes?title={title}&limit=1")).json()["next"]).query)["cursor"][0]
    assert b"2026" not in base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


async def test_a_cursor_belongs_to_its_list_and_clinic(client: Client) -> None:
    title = await write(client, 3)
    following = (await client.get(f"/tiny/v1/notes?title={title}&limit=1")).json()["next"]
    cursor = parse_qs(urlsplit(following).query)["cursor"][0]
    flipped = cursor[:-4] + ("AAAA" if cursor[-4:] != "AAAA" else "BBBB")
    elsewhere = bearer(sub="clinic-b", clinic_id=str(OTHER_CLINIC)) | {"Afterglow_Practitioner": ""}
    answers = [
        await client.get(f"/tiny/v1/notes?cursor={cursor}"),
        await client.get(f"/tiny/v1/notes?title=other&cursor={cursor}"),
        await client.get(following, **elsewhere),
        await client.get(f"/tiny/v1/notes?title={title}&cursor={flipped}"),
        await client.get(f"/tiny/v1/notes?title={title}&cursor=x"),
        await client.get(f"/tiny/v1/notes?title={title}&cursor={'A' * 60}"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(400, "cursor-invalid")] * 6
    assert (await client.get(f"/tiny/v1/notes?limit=2&cursor={cursor}&title={title}")).status_code == 200, "its size may change"


@pytest.mark.parametrize("cursor", ["", "%C3%A9", "a+b", "A" * 1025])
async def test_a_cursor_has_a_form(client: Client, cursor: str) -> None:
    answer = await client.get(f"/tiny/v1/notes?cursor={cursor}")
    assert (answer.status_code, answer.json()["code"]) == (422, "format")


def test_a_cursor_opens_with_the_same_secret_only() -> None:
    sealed = Cursors("a" * 32).sealed(">d:1", b"list")
    assert Cursors("a" * 32).opened(sealed, b"list") == ">d:1"
    for secret, bound_to in (("b" * 32, b"list"), ("a" * 32, b"other")):
        with pytest.raises(Malformed):
            Cursors(secret).opened(sealed, bound_to)


def test_the_same_place_is_sealed_differently_each_time() -> None:
    cursors = Cursors("a" * 32)
    assert cursors.sealed(">d:1", b"list") != cursors.sealed(">d:1", b"list")
