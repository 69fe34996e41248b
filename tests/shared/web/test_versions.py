"""Changes name the version they have seen."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from tests.shared.web.client import Client


async def rename(client: Client, location: str, title: str, **headers: str) -> httpx.Response:
    return await client.http.patch(location, json={"title": title}, headers=client.headers(Idempotency_Key="", **headers))


async def test_a_change_needs_the_version_it_has_seen(client: Client) -> None:
    written = await client.write_note()
    location, seen = written.headers["location"], written.headers["etag"]
    assert seen == (await client.get(location)).headers["etag"] == 'W/"1"'
    changed = await rename(client, location, "Second", If_Match=seen)
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    stale = await rename(client, location, "Third", If_Match=seen)
    assert (stale.status_code, stale.json()["code"], stale.headers["etag"]) == (412, "version-stale", 'W/"2"')
    missing = await rename(client, location, "Third")
    assert (missing.status_code, missing.json()["code"]) == (428, "if-match-required")
    assert (await client.get(location)).json()["title"] == "Second"


@pytest.mark.parametrize("tag", ["1", "*", '"a"', 'W/"1", W/"2"', 'W/"-1"', 'W/"99999999999"', "W/'1'"])
async def test_a_version_is_one_of_our_tags(client: Client, tag: str) -> None:
    answer = await rename(client, f"/tiny/v1/notes/{uuid4()}", "x", If_Match=tag)
    assert (answer.status_code, answer.json()["code"]) == (400, "if-match-malformed")


async def test_a_strong_tag_is_understood(client: Client) -> None:
    location = (await client.write_note()).headers["location"]
    assert (await rename(client, location, "Second", If_Match='"1"')).status_code == 200


async def test_of_two_changes_at_once_one_is_stale(client: Client) -> None:
    location = (await client.write_note()).headers["location"]
    answers = await asyncio.gather(*(rename(client, location, f"t{number}", If_Match='W/"1"') for number in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
